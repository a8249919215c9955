//! Sounds made to be noticed.

use super::{Family, Take};
use crate::dsp::curve::{fade, shape};
use crate::dsp::filter::{Band, Soften, Steep, drive};
use crate::dsp::grain::{Mode, strike};
use crate::dsp::source::{Drift, Osc};
use crate::dsp::{RATE, samples};

pub(super) const FAMILIES: &[Family] = &[
    Family::texture("police_siren", "police siren", police_siren, 1.5)
        .kin("siren")
        .nouns(&[
            "police siren",
            "wailing siren",
            "~a siren wailing",
            "siren",
            "~the wail of a siren",
            "~police car siren",
            "emergency siren",
        ])
        .acts(&[
            "a siren|wails|wailing",
            "a police siren|wails|wailing",
            "a police car|passes with its siren on|passing with its siren on",
            "a siren|howls|howling",
            "a police siren|blares|blaring",
        ]),
    Family::texture("ambulance", "ambulance two-tone siren", ambulance, 1.5)
        .kin("siren")
        .nouns(&[
            "two-tone siren",
            "ambulance siren",
            "~an ambulance passing with its siren on",
            "ambulance",
            "~the two-tone horn of an ambulance",
            "two-tone emergency siren",
        ])
        .acts(&[
            "an ambulance|sounds its two-tone siren|sounding its two-tone siren",
            "an ambulance siren|blares|blaring",
            "a two-tone siren|sounds|sounding",
            "an ambulance|drives by|driving by",
        ]),
    Family::events("beep", "beep", beep, (0.15, 0.4), 5)
        .kin("electronic tone")
        .pitched()
        .nouns(&[
            "beep*",
            "electronic beep*",
            "beep* of a machine",
            "bleep*",
            "beeping sound*",
            "short tone*",
        ])
        .acts(&[
            "a machine|beeps|beeping",
            "a device|beeps|beeping",
            "an electronic device|bleeps|bleeping",
            "a timer|beeps|beeping",
            "a microwave|beeps|beeping",
        ]),
    Family::texture("smoke_alarm", "smoke alarm", smoke_alarm, 1.1)
        .kin("electronic tone")
        .nouns(&[
            "smoke alarm",
            "smoke detector",
            "fire alarm",
            "~a smoke alarm going off",
            "shrill alarm",
            "~smoke detector beeping",
        ])
        .acts(&[
            "a smoke alarm|goes off|going off",
            "a smoke detector|shrieks|shrieking",
            "a fire alarm|sounds|sounding",
            "a smoke alarm|blares|blaring",
            "a shrill alarm|sounds|sounding",
        ]),
    Family::texture("alarm_clock", "alarm clock", alarm_clock, 1.2)
        .kin("electronic tone")
        .nouns(&[
            "alarm clock",
            "~an alarm clock beeping",
            "digital alarm clock",
            "beeping alarm clock",
            "~an alarm clock going off",
            "wake-up alarm",
        ])
        .acts(&[
            "an alarm clock|beeps|beeping",
            "an alarm clock|goes off|going off",
            "a digital alarm|beeps|beeping",
            "a bedside alarm|goes off|going off",
        ]),
    Family::events("telephone", "telephone ring", telephone, (0.7, 1.3), 3)
        .nouns(&[
            "telephone ring*",
            "phone ring*",
            "ring* of a telephone",
            "landline ring*",
            "old telephone ring*",
            "phone call tone*",
        ])
        .acts(&[
            "a telephone|rings|ringing",
            "a phone|rings|ringing",
            "an old telephone|rings|ringing",
            "a landline phone|rings|ringing",
        ]),
    Family::events("doorbell", "doorbell", doorbell, (0.9, 1.5), 3)
        .kin("bell")
        .nouns(&[
            "doorbell sound*",
            "doorbell ring*",
            "ding-dong*",
            "doorbell chime*",
            "ding-dong* of a doorbell",
            "door chime*",
        ])
        .acts(&[
            "a doorbell|rings|ringing",
            "someone|rings the doorbell|ringing the doorbell",
            "a doorbell|chimes|chiming",
            "a door chime|sounds|sounding",
            "a doorbell|goes ding-dong|going ding-dong",
        ]),
    Family::events("car_horn", "car horn", car_horn, (0.25, 0.8), 4)
        .kin("horn")
        .nouns(&[
            "car horn honk*",
            "honk*",
            "honk* of a car",
            "car honk*",
            "toot* of a car horn",
            "horn blast* from a car",
        ])
        .acts(&[
            "a car|honks|honking",
            "a car horn|sounds|sounding",
            "a driver|honks|honking",
            "a horn|blares|blaring",
            "a car|beeps its horn|beeping its horn",
        ]),
    Family::events("train_horn", "train horn", train_horn, (0.8, 1.7), 3)
        .kin("horn")
        .nouns(&[
            "train horn call*",
            "train horn blast*",
            "blast* of a train horn",
            "locomotive horn blast*",
            "train horn toot*",
            "horn blast* of a train",
        ])
        .acts(&[
            "a train|blows its horn|blowing its horn",
            "a train horn|sounds|sounding",
            "a locomotive|sounds its horn|sounding its horn",
            "a train horn|blares|blaring",
        ]),
    Family::events("ship_horn", "ship horn", ship_horn, (0.9, 1.9), 2)
        .kin("horn")
        .nouns(&[
            "ship horn call*",
            "foghorn call*",
            "ship horn blast*",
            "blast* of a foghorn",
            "deep horn blast*",
            "boat horn toot*",
        ])
        .acts(&[
            "a ship|sounds its horn|sounding its horn",
            "a foghorn|sounds|sounding",
            "a ship|blows its horn|blowing its horn",
            "a foghorn|blows|blowing",
        ]),
    Family::texture("blips", "electronic blips", blips, 0.9)
        .kin("electronic tone")
        .nouns(&[
            "+electronic blips",
            "+computer sounds",
            "+arcade game sounds",
            "video game",
            "+robotic bleeps",
            "+digital blips",
            "retro computer",
        ])
        .acts(&[
            "a computer|bleeps|bleeping",
            "a video game|plays|playing",
            "electronic blips|sound|sounding",
            "a robot|chatters in bleeps|chattering in bleeps",
            "an arcade machine|plays|playing",
        ]),
    Family::texture("static", "radio static", radio_static, 0.8)
        .nouns(&[
            "~static",
            "~white noise",
            "~radio static",
            "~static noise",
            "~TV static",
            "~the hiss of an untuned radio",
            "~hissing noise",
        ])
        .acts(&[
            "a radio|hisses with static|hissing with static",
            "static|hisses|hissing",
            "white noise|hisses|hissing",
            "an untuned radio|hisses|hissing",
            "a television|hisses|hissing",
        ]),
];

fn police_siren(take: &mut Take, out: &mut [f32]) {
    let (low, high) = (
        take.same.octaves(450.0, 750.0),
        take.same.octaves(1_150.0, 1_650.0),
    );
    let yelp = take.same.chance(0.4);
    let rate = if yelp {
        take.same.range(2.2, 4.0)
    } else {
        take.same.range(0.4, 0.8)
    };
    let mut sweep = Osc::at(rate, take.each.unit());
    let mut horn = Osc::new(low);
    let mut mouth = Band::new(take.same.octaves(1_100.0, 2_000.0), 1_200.0);
    let mut dull = Soften::new(take.same.octaves(1_500.0, 4_500.0));
    let hard = take.same.range(0.8, 4.0);
    for chunk in out.chunks_mut(16) {
        for _ in 0..chunk.len() {
            sweep.advance();
        }
        let bow = 1.0 - (2.0 * sweep.phase() - 1.0).abs();
        let eased = bow * (2.0 - bow);
        horn.tune(low + (high - low) * eased);
        for sample in chunk {
            let x = drive(hard * horn.saw());
            *sample = 0.6 * dull.low(x) + mouth.tick(x);
        }
    }
}

fn ambulance(take: &mut Take, out: &mut [f32]) {
    let low = take.same.octaves(360.0, 560.0);
    let high = low * take.same.range(1.25, 1.42);
    let period = take.same.range(0.35, 0.65);
    let mut turn = Osc::at(0.5 / period, take.each.unit());
    let mut horn = Osc::new(low);
    let mut dull = Soften::new(take.same.octaves(1_500.0, 4_000.0));
    let mut mouth = Band::new(take.same.octaves(900.0, 1_700.0), 700.0);
    let width = take.same.range(0.25, 0.5);
    let slide = take.same.range(0.985, 1.0);
    let n = out.len() as f32;
    for (i, sample) in out.iter_mut().enumerate() {
        turn.advance();
        let hz = if turn.phase() < 0.5 { low } else { high };
        horn.tune(hz * (1.0 - (1.0 - slide) * 3.0 * i as f32 / n));
        let x = horn.pulse(width);
        *sample = 0.6 * dull.low(x) + mouth.tick(x);
    }
}

fn beep(take: &mut Take, out: &mut [f32]) {
    let hz = take.tuned(750.0, 2_200.0);
    let square = take.same.range(0.0, 1.0);
    let mut tone = Osc::new(hz);
    let mut edge = Osc::new(hz);
    let mut dull = Soften::new(take.same.octaves(2_500.0, 6_000.0));
    for sample in out.iter_mut() {
        *sample = (1.0 - square) * tone.sine() + 0.5 * square * dull.low(edge.pulse(0.5));
    }
    fade(out, samples(0.004), samples(0.008));
}

fn smoke_alarm(take: &mut Take, out: &mut [f32]) {
    let hz = take.same.octaves(2_900.0, 3_700.0);
    let mut tone = Osc::new(hz);
    let mut edge = Soften::new(80.0);
    // Three long pips and a rest, or quick pips without end.
    let (rate, threes) = if take.same.chance(0.5) {
        (take.same.range(1.6, 2.2), true)
    } else {
        (take.same.range(4.0, 7.0), false)
    };
    let mut pips = Osc::at(rate, take.each.unit() * 0.5);
    let mut count = 0;
    let harsh = take.same.range(0.0, 1.5);
    for sample in out {
        if pips.advance() {
            count = (count + 1) % 4;
        }
        let on = pips.phase() < 0.6 && !(threes && count == 3);
        let level = edge.low(if on { 1.0 } else { 0.0 });
        let s = tone.sine();
        *sample = level * (s + harsh * s * s * s);
    }
}

fn alarm_clock(take: &mut Take, out: &mut [f32]) {
    let hz = take.same.octaves(1_500.0, 2_500.0);
    let mut tone = Osc::new(hz);
    let mut edge = Soften::new(150.0);
    let pips = take.same.below(3) + 2;
    let pip = take.same.range(0.06, 0.1);
    let rest = take.same.range(0.25, 0.5);
    let bar = (pips as f32 * 2.0 * pip + rest) * RATE;
    let mut at = take.each.range(0.0, 0.2) * bar;
    let width = take.same.range(0.3, 0.5);
    let step = pip * RATE;
    for sample in out {
        at += 1.0;
        if at >= bar {
            at -= bar;
        }
        let slot = (at / step) as usize;
        let on = slot < 2 * pips && slot.is_multiple_of(2);
        *sample = edge.low(if on { 1.0 } else { 0.0 }) * tone.pulse(width);
    }
}

fn telephone(take: &mut Take, out: &mut [f32]) {
    if take.same.chance(0.6) {
        // A clapper between two gongs.
        let rate = take.same.range(18.0, 26.0);
        let gong = take.same.octaves(1_000.0, 1_700.0);
        let other = gong * take.same.range(1.12, 1.3);
        let ring = take.same.range(0.25, 0.6);
        let end = out.len() * 4 / 5;
        let mut at = 0.0;
        let mut left = true;
        while samples(at) < end {
            let hz = if left { gong } else { other };
            let level = take.each.range(0.8, 1.0);
            strike(
                out,
                samples(at),
                &[
                    Mode {
                        hz,
                        ring_s: ring,
                        level: 0.3 * level,
                    },
                    Mode {
                        hz: hz * 2.4,
                        ring_s: ring * 0.5,
                        level: 0.25 * level,
                    },
                    Mode {
                        hz: hz * 3.9,
                        ring_s: ring * 0.3,
                        level: 0.15 * level,
                    },
                ],
            );
            left = !left;
            at += 1.0 / rate;
        }
        shape(out, &[(0.0, 1.0), (0.8, 1.0), (1.0, 0.0)]);
    } else {
        let low = take.same.octaves(650.0, 1_100.0);
        let high = low * take.same.range(1.18, 1.35);
        let mut warble = Osc::new(take.same.range(10.0, 18.0));
        let mut tone = Osc::new(low);
        let mut dull = Soften::new(3_000.0);
        for sample in out.iter_mut() {
            warble.advance();
            tone.tune(if warble.phase() < 0.5 { low } else { high });
            *sample = dull.low(tone.pulse(0.5));
        }
        fade(out, samples(0.01), samples(0.03));
    }
}

fn doorbell(take: &mut Take, out: &mut [f32]) {
    let high = take.same.octaves(560.0, 900.0);
    let low = high * take.same.pick(&[0.794, 0.75, 0.841]);
    let second = samples(take.same.range(0.3, 0.5)).min(out.len() / 2);
    let ring = take.same.range(0.6, 1.6);
    let bright = take.same.range(0.05, 0.4);
    for (at, hz, level) in [(0, high, 1.0), (second, low, 0.95)] {
        strike(
            out,
            at,
            &[
                Mode {
                    hz,
                    ring_s: ring,
                    level,
                },
                Mode {
                    hz: hz * 3.01,
                    ring_s: ring * 0.5,
                    level: bright,
                },
                Mode {
                    hz: hz * 5.4,
                    ring_s: ring * 0.2,
                    level: bright * 0.6,
                },
            ],
        );
    }
    fade(out, 0, samples(0.15));
}

/// A horn: tones with many overtones that start together, through a bell.
fn blow(take: &mut Take, out: &mut [f32], tones: &[f32], bell_hz: f32, dull_hz: f32, hard: f32) {
    let mut noise = take.each.noise();
    let mut mouth = Band::new(bell_hz, bell_hz);
    let mut dull = Steep::low(dull_hz);
    let mut oscs: Vec<Osc> = tones
        .iter()
        .map(|&hz| Osc::at(hz, take.each.unit()))
        .collect();
    for sample in out.iter_mut() {
        let mut sum = 0.02 * noise.tick();
        for osc in &mut oscs {
            sum += osc.saw();
        }
        let x = drive(hard * sum);
        *sample = dull.tick(x) + 0.8 * mouth.tick(x);
    }
}

fn car_horn(take: &mut Take, out: &mut [f32]) {
    let low = take.same.octaves(310.0, 460.0);
    let tones = [low, low * take.same.range(1.18, 1.3)];
    let bell = take.same.octaves(1_100.0, 2_200.0);
    let (dull, hard) = (
        take.same.octaves(2_000.0, 4_500.0),
        take.same.range(0.8, 3.0),
    );
    blow(take, out, &tones, bell, dull, hard);
    fade(out, samples(0.012), samples(0.03));
}

fn train_horn(take: &mut Take, out: &mut [f32]) {
    let root = take.same.octaves(230.0, 340.0);
    let chord = take
        .same
        .pick(&[[1.0, 1.189, 1.414], [1.0, 1.26, 1.498], [1.0, 1.335, 1.682]]);
    let tones = chord.map(|ratio| root * ratio);
    let bell = take.same.octaves(700.0, 1_300.0);
    let (dull, hard) = (
        take.same.octaves(1_200.0, 2_800.0),
        take.same.range(0.5, 1.5),
    );
    blow(take, out, &tones, bell, dull, hard);
    shape(
        out,
        &[(0.0, 0.0), (0.08, 0.7), (0.2, 1.0), (0.85, 0.9), (1.0, 0.0)],
    );
}

fn ship_horn(take: &mut Take, out: &mut [f32]) {
    let root = take.same.octaves(75.0, 140.0);
    let bell = take.same.octaves(220.0, 450.0);
    let (dull, hard) = (take.same.octaves(450.0, 1_000.0), take.same.range(0.6, 2.0));
    blow(take, out, &[root, root * 1.004], bell, dull, hard);
    shape(out, &[(0.0, 0.0), (0.12, 1.0), (0.8, 1.0), (1.0, 0.0)]);
}

fn blips(take: &mut Take, out: &mut [f32]) {
    let base = take.same.octaves(350.0, 900.0);
    let step = take.same.range(0.06, 0.14);
    let scale = [1.0, 1.122, 1.26, 1.498, 1.682, 2.0, 2.52, 3.0];
    let width = take.same.range(0.15, 0.5);
    let bend = if take.same.chance(0.4) {
        take.same.range(0.6, 1.7)
    } else {
        1.0
    };
    let rests = take.same.range(0.05, 0.35);
    let mut tone = Osc::new(base);
    for note in out.chunks_mut(samples(step)) {
        if take.each.chance(rests) {
            continue;
        }
        let hz = base * take.each.pick(&scale);
        let n = note.len() as f32;
        for (i, sample) in note.iter_mut().enumerate() {
            tone.tune(hz * (1.0 + (bend - 1.0) * i as f32 / n));
            *sample = tone.pulse(width);
        }
        fade(note, 40, samples(0.02));
    }
}

fn radio_static(take: &mut Take, out: &mut [f32]) {
    let mut noise = take.each.noise();
    let mut bass = Steep::high(take.same.octaves(100.0, 500.0));
    let mut air = Steep::low(take.same.octaves(4_500.0, 7_500.0));
    let crackles = take.same.range(0.0, 40.0);
    let mut fading = Drift::new(take.each.noise(), 0.3, take.same.range(0.6, 1.0), 1.0);
    for sample in out {
        let x = noise.tick() * fading.tick() + 4.0 * noise.sparks(crackles);
        *sample = air.tick(bass.tick(x));
    }
}
