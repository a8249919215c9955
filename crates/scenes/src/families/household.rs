//! Things in a house, and hands on them.

use super::{Family, Take};
use crate::dsp::curve::{line, shape};
use crate::dsp::filter::{Band, Soften, Steep};
use crate::dsp::grain::{Mode, burst, strike};
use crate::dsp::source::Osc;
use crate::dsp::{RATE, samples};

pub(super) const FAMILIES: &[Family] = &[
    Family::backdrop("clock", "clock tick", clock, 1.3)
        .nouns(&[
            "ticking clock",
            "~clock ticking",
            "~the tick of a clock",
            "+clock ticks",
            "~a clock's tick-tock",
            "ticking watch",
            "wall clock",
        ])
        .acts(&[
            "a clock|ticks|ticking",
            "a watch|ticks|ticking",
            "a wall clock|ticks|ticking",
            "a clock|goes tick-tock|going tick-tock",
        ]),
    Family::events("hammer", "hammering", hammer, (0.15, 0.35), 5)
        .kin("blow")
        .nouns(&[
            "hammer blow*",
            "hammer hit*",
            "strike* of a hammer",
            "blow* of a hammer",
            "hammer strike*",
            "bang* of a hammer on a nail",
        ])
        .acts(&[
            "someone|hammers a nail|hammering a nail",
            "a hammer|strikes|striking",
            "a hammer|hits metal|hitting metal",
            "a carpenter|hammers|hammering",
            "a hammer|bangs|banging",
        ]),
    Family::texture("hand_saw", "sawing wood", hand_saw, 1.2)
        .nouns(&[
            "~sawing",
            "hand saw",
            "~sawing of wood",
            "~wood being sawed",
            "~the rasp of a saw",
            "handsaw",
            "~a saw cutting through wood",
        ])
        .acts(&[
            "someone|saws wood|sawing wood",
            "a hand saw|cuts a board|cutting a board",
            "a carpenter|saws a plank|sawing a plank",
            "a handsaw|rasps|rasping",
        ]),
    Family::texture("typing", "keyboard typing", typing, 1.0)
        .kin("keys")
        .nouns(&[
            "~keyboard typing",
            "~typing",
            "~typing on a keyboard",
            "+keystrokes",
            "~computer keyboard clicking",
            "~the clatter of a keyboard",
            "clicking keyboard",
        ])
        .acts(&[
            "someone|types on a keyboard|typing on a keyboard",
            "a person|types|typing",
            "a keyboard|clatters|clattering",
            "someone|types on a computer|typing on a computer",
            "fingers|tap on a keyboard|tapping on a keyboard",
        ]),
    Family::events("mouse_click", "mouse click", mouse_click, (0.1, 0.18), 5)
        .kin("keys")
        .nouns(&[
            "mouse click*",
            "click*",
            "click* of a computer mouse",
            "button click*",
            "computer mouse click*",
            "clicking sound*",
        ])
        .acts(&[
            "a mouse|clicks|clicking",
            "someone|clicks a mouse|clicking a mouse",
            "a button|clicks|clicking",
            "someone|presses a mouse button|pressing a mouse button",
        ]),
    Family::texture("footsteps", "footsteps", footsteps, 1.2)
        .nouns(&[
            "+footsteps",
            "~walking",
            "+steps",
            "~the sound of footsteps",
            "+footfalls",
            "+steps on gravel",
            "+approaching steps",
            "~a person walking",
        ])
        .acts(&[
            "someone|walks|walking",
            "a person|walks along|walking along",
            "footsteps|sound|sounding",
            "somebody|walks across the floor|walking across the floor",
            "a person|strides along|striding along",
        ]),
    Family::events("knock", "door knock", knock, (0.12, 0.25), 5)
        .kin("blow")
        .nouns(&[
            "door knock*",
            "knock*",
            "knock* on a door",
            "rap* on a door",
            "knock* on wood",
            "rap* on wood",
        ])
        .acts(&[
            "someone|knocks on a door|knocking on a door",
            "a person|knocks|knocking",
            "a fist|raps on wood|rapping on wood",
            "a visitor|knocks|knocking",
            "someone|raps on a door|rapping on a door",
        ]),
    Family::events("door_slam", "door slam", door_slam, (0.4, 0.8), 3)
        .nouns(&[
            "door slam*",
            "slam* of a door",
            "slam* of a heavy door",
            "door bang*",
            "bang* of a door",
            "slam*",
        ])
        .acts(&[
            "a door|slams|slamming",
            "a door|slams shut|slamming shut",
            "a door|bangs shut|banging shut",
            "someone|slams a door|slamming a door",
            "a door|is shut hard|being shut hard",
        ]),
    Family::events("door_creak", "door creak", door_creak, (0.6, 1.3), 3)
        .nouns(&[
            "door creak*",
            "creak*",
            "creak* of a door",
            "squeak* of a hinge",
            "door squeak*",
            "hinge squeak*",
        ])
        .acts(&[
            "a door|creaks|creaking",
            "a hinge|squeaks|squeaking",
            "a door|creaks open|creaking open",
            "an old door|squeaks|squeaking",
            "a gate|creaks|creaking",
        ]),
    Family::events("glass", "glass breaking", glass, (0.5, 1.1), 3)
        .nouns(&[
            "glass break*",
            "glass crash^",
            "smash^ of glass",
            "bottle smash^",
            "smash^ of a window",
            "shatter* of glass",
        ])
        .acts(&[
            "glass|breaks|breaking",
            "glass|shatters|shattering",
            "a bottle|smashes|smashing",
            "a window|shatters|shattering",
            "a glass|breaks|breaking",
        ]),
    Family::events("camera", "camera shutter", camera, (0.18, 0.4), 4)
        .kin("keys")
        .nouns(&[
            "camera shutter click*",
            "camera click*",
            "shutter click*",
            "click* of a camera",
            "camera shutter sound*",
            "photo click*",
        ])
        .acts(&[
            "a camera|clicks|clicking",
            "someone|takes a photo|taking a photo",
            "a camera shutter|clicks|clicking",
            "a photographer|takes a picture|taking a picture",
            "a shutter|snaps|snapping",
        ]),
];

fn clock(take: &mut Take, out: &mut [f32]) {
    let mut noise = take.each.noise();
    let period = take.same.pick(&[0.25, 0.33, 0.4, 0.5, 0.5, 0.66, 1.0]) * take.same.about(0.04);
    let body = take.same.octaves(900.0, 3_200.0);
    let lower = take.same.range(0.72, 1.0);
    let ring = take.same.range(0.012, 0.06);
    let woody = take.same.range(0.1, 0.7);
    let mut at = take.each.range(0.0, period.min(0.3));
    let mut tock = false;
    while samples(at) < out.len() {
        let start = samples(at);
        let hz = if tock { body * lower } else { body };
        let level = if tock { 0.75 } else { 1.0 };
        strike(
            out,
            start,
            &[
                Mode {
                    hz,
                    ring_s: ring,
                    level,
                },
                Mode {
                    hz: hz * 1.83,
                    ring_s: ring * 0.7,
                    level: 0.5 * level,
                },
                Mode {
                    hz: hz * 0.31,
                    ring_s: ring * 1.2,
                    level: woody * level,
                },
            ],
        );
        burst(out, start, &mut noise, 4_500.0, 3_000.0, 0.006, 0.7 * level);
        tock = !tock;
        at += period;
    }
}

fn hammer(take: &mut Take, out: &mut [f32]) {
    let mut noise = take.each.noise();
    let metal = take.same.octaves(900.0, 2_300.0);
    let ring = take.same.range(0.08, 0.3);
    let level = take.each.range(0.8, 1.0);
    let ratios = [1.0, 1.52, 2.41, 3.1];
    let modes = ratios.map(|ratio| Mode {
        hz: metal * ratio,
        ring_s: ring / ratio,
        level: 0.4 * level * take.same.range(0.3, 1.0),
    });
    strike(out, 0, &modes);
    strike(
        out,
        0,
        &[Mode {
            hz: take.same.octaves(110.0, 220.0),
            ring_s: 0.06,
            level: 0.8,
        }],
    );
    burst(out, 0, &mut noise, 2_500.0, 2_500.0, 0.025, 1.0);
}

fn hand_saw(take: &mut Take, out: &mut [f32]) {
    let mut noise = take.each.noise();
    let stroke = take.same.range(0.28, 0.5);
    let bright = take.same.octaves(1_400.0, 3_200.0);
    let mut wood = Band::new(bright, 1_200.0);
    let mut board = Band::new(take.same.octaves(350.0, 800.0), 250.0);
    let teeth = take.same.range(60.0, 130.0);
    let mut tooth = Osc::new(teeth);
    let back = take.same.range(0.35, 0.8);
    let (mut at, mut forth) = (0, true);
    while at < out.len() {
        let length = samples(stroke * take.each.about(0.1));
        let end = (at + length).min(out.len());
        let level = if forth { 1.0 } else { back };
        let lift = if forth { 1.0 } else { 0.8 };
        for (i, sample) in out[at..end].iter_mut().enumerate() {
            let moment = i as f32 / length as f32;
            let speed = 4.0 * moment * (1.0 - moment);
            tooth.tune(teeth * lift * (0.4 + speed));
            let x = noise.tick() * (0.4 + 0.6 * tooth.saw().max(0.0));
            *sample = level * speed * (wood.tick(x) + 0.8 * board.tick(x));
        }
        wood.tune(bright * if forth { 0.85 } else { 1.0 });
        forth = !forth;
        at = end;
    }
}

fn typing(take: &mut Take, out: &mut [f32]) {
    let mut noise = take.each.noise();
    let rate = take.same.range(5.0, 11.0);
    let key = take.same.octaves(1_600.0, 3_800.0);
    let desk = take.same.octaves(220.0, 480.0);
    let clack = take.same.range(0.1, 0.6);
    let mut at = take.each.range(0.0, 0.1);
    while samples(at) < out.len() {
        let start = samples(at);
        let level = take.each.range(0.4, 1.0);
        let hz = key * take.each.about(0.2);
        burst(out, start, &mut noise, hz, 1_800.0, 0.018, level);
        // The key comes back up.
        let up = start + samples(take.each.range(0.05, 0.09));
        burst(out, up, &mut noise, hz * 1.25, 1_800.0, 0.012, 0.4 * level);
        strike(
            out,
            start,
            &[Mode {
                hz: desk * take.each.about(0.1),
                ring_s: 0.03,
                level: clack * level,
            }],
        );
        at += take.each.range(0.5, 1.6) / rate;
        if take.each.chance(0.07) {
            at += take.each.range(0.15, 0.4);
        }
    }
}

fn mouse_click(take: &mut Take, out: &mut [f32]) {
    let mut noise = take.each.noise();
    let hz = take.same.octaves(2_600.0, 5_200.0);
    let ring = take.same.range(0.006, 0.014);
    for (start, level) in [
        (0.0, 1.0),
        (take.same.range(0.04, 0.075) * take.each.about(0.15), 0.6),
    ] {
        let at = samples(start);
        burst(out, at, &mut noise, hz, 2_500.0, ring, level);
        strike(
            out,
            at,
            &[
                Mode {
                    hz: hz * 0.55,
                    ring_s: ring * 1.4,
                    level: 0.7 * level,
                },
                Mode {
                    hz: hz * 1.2,
                    ring_s: ring,
                    level: 0.5 * level,
                },
            ],
        );
    }
}

fn footsteps(take: &mut Take, out: &mut [f32]) {
    let mut noise = take.each.noise();
    let pace = take.same.range(0.36, 0.66);
    let gravel = take.same.chance(0.4);
    let heel = take.same.octaves(90.0, 260.0);
    let floor = take.same.octaves(500.0, 1_600.0);
    let mut at = take.each.range(0.02, 0.15);
    while samples(at) < out.len() {
        let start = samples(at);
        let level = take.each.range(0.7, 1.0);
        strike(
            out,
            start,
            &[Mode {
                hz: heel * take.each.about(0.08),
                ring_s: 0.09,
                level,
            }],
        );
        if gravel {
            for _ in 0..14 {
                let grain = start + samples(take.each.range(0.0, 0.15));
                let hz = take.each.octaves(1_500.0, 5_000.0);
                burst(
                    out,
                    grain,
                    &mut noise,
                    hz,
                    hz * 0.6,
                    0.015,
                    0.35 * level * take.each.unit(),
                );
            }
        } else {
            burst(
                out,
                start,
                &mut noise,
                floor,
                floor * 0.8,
                0.035,
                0.6 * level,
            );
            let toe = start + samples(take.each.range(0.07, 0.12));
            burst(out, toe, &mut noise, floor * 1.3, floor, 0.025, 0.3 * level);
        }
        at += pace * take.each.about(0.06);
    }
}

fn knock(take: &mut Take, out: &mut [f32]) {
    let mut noise = take.each.noise();
    let panel = take.same.octaves(140.0, 360.0) * take.each.about(0.03);
    let ring = take.same.range(0.05, 0.12);
    let level = take.each.range(0.8, 1.0);
    strike(
        out,
        0,
        &[
            Mode {
                hz: panel,
                ring_s: ring,
                level,
            },
            Mode {
                hz: panel * 1.63,
                ring_s: ring * 0.8,
                level: 0.6 * level,
            },
            Mode {
                hz: panel * 2.72,
                ring_s: ring * 0.6,
                level: 0.35 * level,
            },
        ],
    );
    burst(
        out,
        0,
        &mut noise,
        take.same.octaves(700.0, 1_400.0),
        900.0,
        0.015,
        0.5 * level,
    );
}

fn door_slam(take: &mut Take, out: &mut [f32]) {
    let mut noise = take.each.noise();
    let at = samples(take.each.range(0.02, 0.06));
    let panel = take.same.octaves(55.0, 120.0);
    strike(
        out,
        at,
        &[
            Mode {
                hz: panel,
                ring_s: 0.35,
                level: 1.0,
            },
            Mode {
                hz: panel * 1.7,
                ring_s: 0.25,
                level: 0.7,
            },
            Mode {
                hz: panel * 3.1,
                ring_s: 0.15,
                level: 0.4,
            },
        ],
    );
    burst(
        out,
        at,
        &mut noise,
        350.0,
        500.0,
        take.same.range(0.15, 0.35),
        1.0,
    );
    burst(
        out,
        at,
        &mut noise,
        1_800.0,
        2_200.0,
        take.same.range(0.04, 0.12),
        0.6,
    );
    // The latch, a little before or after the frame is hit.
    let latch = at + samples(take.same.range(0.02, 0.09));
    burst(out, latch, &mut noise, 3_000.0, 1_500.0, 0.02, 0.4);
}

fn door_creak(take: &mut Take, out: &mut [f32]) {
    let n = out.len();
    // A hinge slips and sticks: pulses, slow enough to be heard singly at times, through a wooden body.
    let (low, high) = (take.same.range(35.0, 90.0), take.same.range(110.0, 300.0));
    let path: Vec<(f32, f32)> = (0..6)
        .map(|i| (i as f32 / 5.0, take.each.octaves(low, high)))
        .collect();
    let mut noise = take.each.noise();
    let mut slip = Osc::new(low);
    let bodies = take.same.octaves(500.0, 1_000.0);
    let mut wood = Band::new(bodies, 90.0);
    let mut upper = Band::new(bodies * take.same.range(1.6, 2.3), 130.0);
    let mut squeak = Band::new(bodies * take.same.range(2.8, 4.0), 200.0);
    for (chunk, samples) in out.chunks_mut(32).enumerate() {
        slip.tune(line(&path, chunk as f32 * 32.0 / n as f32) * (1.0 + 0.1 * noise.tick()));
        for sample in samples {
            let kick = if slip.advance() {
                5.0 + 4.0 * noise.unit()
            } else {
                0.0
            };
            *sample = wood.tick(kick) + 0.8 * upper.tick(kick) + 0.5 * squeak.tick(kick);
        }
    }
    shape(out, &[(0.0, 0.2), (0.15, 0.8), (0.8, 1.0), (1.0, 0.0)]);
}

fn glass(take: &mut Take, out: &mut [f32]) {
    let n = out.len();
    let mut noise = take.each.noise();
    burst(out, 0, &mut noise, 3_500.0, 3_500.0, 0.08, 1.0);
    burst(out, 0, &mut noise, 700.0, 700.0, 0.04, 0.5);
    let low = take.same.octaves(1_800.0, 2_800.0);
    let shards = take.same.below(18) + 16;
    for _ in 0..shards {
        // Most shards land early.
        let early = take.each.unit();
        let at = (early * early * 0.75 * n as f32) as usize;
        let level = 0.35 * take.each.range(0.2, 1.0) * (1.0 - 0.6 * early);
        let hz = take.each.octaves(low, 7_000.0);
        let ring_s = take.each.range(0.04, 0.22);
        strike(
            out,
            at,
            &[
                Mode { hz, ring_s, level },
                Mode {
                    hz: hz * 1.37,
                    ring_s: ring_s * 0.7,
                    level: level * 0.6,
                },
            ],
        );
    }
    shape(out, &[(0.0, 1.0), (0.7, 1.0), (1.0, 0.0)]);
}

fn camera(take: &mut Take, out: &mut [f32]) {
    let n = out.len();
    let mut noise = take.each.noise();
    let hz = take.same.octaves(1_400.0, 3_000.0);
    let second = take.same.range(0.35, 0.6) * n as f32;
    for (at, level) in [(0, 1.0), (second as usize, 0.8)] {
        burst(out, at, &mut noise, hz, 1_600.0, 0.025, level);
        burst(
            out,
            at + samples(0.012),
            &mut noise,
            hz * 1.7,
            2_000.0,
            0.02,
            0.6 * level,
        );
        strike(
            out,
            at,
            &[Mode {
                hz: hz * 0.23,
                ring_s: 0.035,
                level: 0.5 * level,
            }],
        );
    }
    // Between the two curtains the mechanism whirs.
    let mut whir = Steep::high(2_000.0);
    let mut dull = Soften::new(5_000.0);
    let mut gear = Osc::new(take.same.range(90.0, 200.0));
    let loud = take.same.range(0.02, 0.12);
    let end = second as usize;
    for sample in &mut out[samples(0.02).min(end)..end] {
        *sample += loud * dull.low(whir.tick(noise.tick())) * (1.0 + gear.saw());
    }
    debug_assert!(n as f32 / RATE < 1.0);
}
