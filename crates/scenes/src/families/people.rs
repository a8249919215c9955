//! People.

use super::{Family, Take};
use crate::dsp::curve::{fade, shape};
use crate::dsp::dice::Dice;
use crate::dsp::filter::{Band, Soften};
use crate::dsp::grain::burst;
use crate::dsp::source::{Drift, Osc};
use crate::dsp::throat::{Call, Formant, Points, utter};
use crate::dsp::{RATE, samples};

pub(super) const FAMILIES: &[Family] = &[
    Family::backdrop("speech", "speech", speech, 1.0)
        .kin("voice")
        .nouns(&[
            "~speech",
            "~a person talking",
            "talking voice",
            "~someone speaking",
            "~human speech",
            "~a voice speaking",
            "~talking",
            "~babbling speech",
        ])
        .acts(&[
            "someone|talks|talking",
            "a person|speaks|speaking",
            "a voice|speaks|speaking",
            "somebody|talks|talking",
            "a person|babbles|babbling",
        ]),
    Family::texture("laughter", "laughter", laughter, 0.9)
        .kin("voice")
        .nouns(&[
            "~laughter",
            "~laughing",
            "~a person laughing",
            "~someone laughing",
            "+giggles",
            "~the sound of laughter",
            "hearty laugh",
        ])
        .acts(&[
            "someone|laughs|laughing",
            "a person|laughs|laughing",
            "a person|giggles|giggling",
            "somebody|chuckles|chuckling",
            "someone|bursts out laughing|bursting out laughing",
        ]),
    Family::texture("baby", "crying baby", baby, 1.3)
        .kin("voice")
        .nouns(&[
            "crying baby",
            "~baby crying",
            "wailing baby",
            "+baby cries",
            "~an infant crying",
            "~the cry of a baby",
            "crying infant",
        ])
        .acts(&[
            "a baby|cries|crying",
            "an infant|cries|crying",
            "a baby|wails|wailing",
            "a newborn|cries|crying",
            "a baby|screams|screaming",
        ]),
    Family::events("snore", "snoring", snore, (0.7, 1.3), 3)
        .nouns(&[
            "snore*",
            "snoring sound*",
            "snore* of a sleeper",
            "rasping breath* of a sleeper",
            "snort* of a sleeper",
            "sleeper's snore*",
        ])
        .acts(&[
            "someone|snores|snoring",
            "a person|snores|snoring",
            "a sleeper|snores|snoring",
            "a man|snores|snoring",
        ]),
    Family::events("sneeze", "sneeze", sneeze, (0.5, 0.9), 4)
        .kin("outburst")
        .nouns(&[
            "sneeze*",
            "achoo*",
            "sneezing sound*",
            "human sneeze*",
            "sneeze* of a person",
            "sneeze* from a person",
        ])
        .acts(&[
            "someone|sneezes|sneezing",
            "a person|sneezes|sneezing",
            "somebody|sneezes|sneezing",
            "a man|sneezes|sneezing",
            "a woman|sneezes|sneezing",
        ]),
    Family::backdrop("applause", "applause", applause, 0.9)
        .nouns(&[
            "~applause",
            "~clapping",
            "~hand clapping",
            "clapping audience",
            "clapping crowd",
            "round of applause",
            "~an audience clapping",
        ])
        .acts(&[
            "people|clap|clapping",
            "an audience|applauds|applauding",
            "a crowd|claps|clapping",
            "people|applaud|applauding",
            "hands|clap|clapping",
        ]),
    Family::events("cough", "cough", cough, (0.25, 0.5), 5)
        .kin("outburst")
        .nouns(&[
            "cough*",
            "human cough*",
            "cough* of a person",
            "dry cough*",
            "coughing sound*",
            "hacking cough*",
        ])
        .acts(&[
            "someone|coughs|coughing",
            "a person|coughs|coughing",
            "a man|coughs|coughing",
            "somebody|coughs|coughing",
            "a patient|coughs|coughing",
        ]),
    Family::events("whistle", "human whistle", whistle, (0.3, 0.9), 4)
        .kin("pipe")
        .pitched()
        .nouns(&[
            "whistle*",
            "human whistle*",
            "whistle* of a person",
            "whistling sound*",
            "wolf whistle*",
            "whistled note*",
        ])
        .acts(&[
            "someone|whistles|whistling",
            "a person|whistles|whistling",
            "a man|whistles|whistling",
            "somebody|whistles|whistling",
        ]),
];

/// First three formants of some vowels of an adult, in hertz (Peterson and Barney 1952, rounded).
const VOWELS: [[f32; 3]; 7] = [
    [270.0, 2_290.0, 3_010.0],
    [390.0, 1_990.0, 2_550.0],
    [530.0, 1_840.0, 2_480.0],
    [660.0, 1_720.0, 2_410.0],
    [730.0, 1_090.0, 2_440.0],
    [570.0, 840.0, 2_410.0],
    [300.0, 870.0, 2_240.0],
];

struct Syllable<'a> {
    pitch_hz: Points<'a>,
    level: Points<'a>,
    from: [f32; 3],
    to: [f32; 3],
    breath: f32,
    rough: f32,
}

/// Adds one syllable that glides between two vowels.
fn syllable(dice: &mut Dice, out: &mut [f32], say: &Syllable<'_>) {
    let paths: [[(f32, f32); 2]; 3] =
        std::array::from_fn(|i| [(0.2, say.from[i]), (0.8, say.to[i])]);
    let formants: [Formant<'_>; 3] = std::array::from_fn(|i| Formant {
        hz: &paths[i],
        width_hz: [80.0, 110.0, 180.0][i],
        level: [1.0, 0.6, 0.25][i],
    });
    let call = Call {
        pitch_hz: say.pitch_hz,
        level: say.level,
        formants: &formants,
        breath: say.breath,
        rough: say.rough,
        vibrato: (0.0, 0.0),
    };
    utter(dice, out, &call);
}

fn speech(take: &mut Take, out: &mut [f32]) {
    let base = take.same.octaves(85.0, 260.0);
    // Longer throats belong to lower voices, on the whole.
    let mouth = (base / 130.0).sqrt().clamp(0.85, 1.35) * take.same.about(0.08);
    let rate = take.same.range(3.5, 6.5);
    let (breath, rough) = (take.same.range(0.02, 0.15), take.same.range(0.0, 0.2));
    let mut noise = take.each.noise();
    let mut at = samples(take.each.range(0.0, 0.12));
    let mut lift = 1.2;
    while at + 800 < out.len() {
        let length = samples(take.each.range(0.65, 1.2) / rate);
        let end = (at + length).min(out.len());
        if take.each.chance(0.55) {
            let hz = take.each.octaves(1_200.0, 5_500.0);
            let long = take.each.octaves(0.02, 0.12);
            burst(
                out,
                at,
                &mut noise,
                hz,
                hz * 0.5,
                long,
                take.each.range(0.03, 0.25),
            );
        }
        let vowel = |dice: &mut Dice| dice.pick(&VOWELS).map(|hz| hz * mouth);
        let (from, to) = (vowel(&mut take.each), vowel(&mut take.each));
        let pitch = base * lift * take.each.about(0.08);
        let stress = take.each.range(0.5, 1.0);
        let say = Syllable {
            pitch_hz: &[
                (0.0, pitch),
                (0.4, pitch * take.each.about(0.1)),
                (1.0, pitch * 0.92),
            ],
            level: &[(0.0, 0.0), (0.2, stress), (0.7, stress * 0.8), (1.0, 0.0)],
            from,
            to,
            breath,
            rough,
        };
        let gap = samples(0.02).min(length / 4);
        let start = (at + gap).min(end);
        syllable(&mut take.each, &mut out[start..end], &say);
        at = end;
        lift -= 0.05;
        if lift < 0.85 || take.each.chance(0.08) {
            at += samples(take.each.range(0.1, 0.3));
            lift = take.each.range(1.1, 1.3);
        }
    }
}

fn laughter(take: &mut Take, out: &mut [f32]) {
    let base = take.same.octaves(150.0, 420.0);
    let rate = take.same.range(4.0, 6.2);
    let vowel = take
        .same
        .pick(&[VOWELS[4], VOWELS[3], VOWELS[2]])
        .map(|hz| hz * (base / 160.0).sqrt().clamp(0.9, 1.3));
    let breath = take.same.range(0.15, 0.5);
    let mut at = 0;
    let mut step = 0;
    let turn = take.same.below(5) + 5;
    while at + 600 < out.len() {
        let period = samples(take.each.about(0.08) / rate);
        let end = (at + period).min(out.len());
        let fall = 1.35 - 0.5 * step as f32 / turn as f32;
        let pitch = base * fall * take.each.about(0.05);
        let say = Syllable {
            pitch_hz: &[(0.0, pitch * 0.9), (0.35, pitch * 1.1), (1.0, pitch * 0.8)],
            level: &[
                (0.0, 0.0),
                (0.15, 0.15),
                (0.3, 1.0),
                (0.6, 0.5),
                (0.75, 0.0),
                (1.0, 0.0),
            ],
            from: vowel,
            to: vowel,
            breath,
            rough: 0.15,
        };
        syllable(&mut take.each, &mut out[at..end], &say);
        step += 1;
        at = end;
        if step == turn {
            step = 0;
            at += samples(take.each.range(0.2, 0.4));
        }
    }
}

fn baby(take: &mut Take, out: &mut [f32]) {
    let base = take.same.octaves(350.0, 560.0);
    let (rough, breath) = (take.same.range(0.05, 0.45), take.same.range(0.03, 0.2));
    let mouth = take.same.about(0.1);
    let first = [
        (0.0, 800.0 * mouth),
        (0.4, 1_200.0 * mouth),
        (1.0, 900.0 * mouth),
    ];
    let second = [
        (0.0, 2_300.0 * mouth),
        (0.5, 2_900.0 * mouth),
        (1.0, 2_500.0 * mouth),
    ];
    let third = [(0.0, 4_200.0 * mouth), (1.0, 4_000.0 * mouth)];
    let mut at = samples(take.each.range(0.0, 0.1));
    while at + samples(0.3) < out.len() {
        let long = samples(take.each.range(0.6, 1.25));
        let end = (at + long).min(out.len());
        let top = base * take.each.range(1.1, 1.4);
        let call = Call {
            pitch_hz: &[
                (0.0, base * 0.8),
                (0.2, top),
                (0.7, top * 0.95),
                (1.0, base * 0.75),
            ],
            level: &[(0.0, 0.0), (0.12, 0.8), (0.5, 1.0), (0.85, 0.6), (1.0, 0.0)],
            formants: &[
                Formant {
                    hz: &first,
                    width_hz: 200.0,
                    level: 1.0,
                },
                Formant {
                    hz: &second,
                    width_hz: 300.0,
                    level: 0.8,
                },
                Formant {
                    hz: &third,
                    width_hz: 500.0,
                    level: 0.3,
                },
            ],
            breath,
            rough,
            vibrato: (take.each.range(4.0, 7.0), 0.03),
        };
        utter(&mut take.each, &mut out[at..end], &call);
        at = end + samples(0.05);
        // A gasp between wails.
        let gasp = (at + samples(0.22)).min(out.len());
        if at < gasp {
            let mut noise = take.each.noise();
            let mut air = Band::new(2_200.0, 1_500.0);
            let n = gasp - at;
            for (i, sample) in out[at..gasp].iter_mut().enumerate() {
                *sample += 0.12 * air.tick(noise.tick()) * (i as f32 / n as f32);
            }
        }
        at = gasp + samples(take.each.range(0.02, 0.12));
    }
}

fn snore(take: &mut Take, out: &mut [f32]) {
    let mut noise = take.each.noise();
    let flutter = take.same.octaves(22.0, 55.0) * take.each.about(0.06);
    let mut palate = Osc::new(flutter);
    let mut throat = Band::new(take.same.octaves(220.0, 520.0), 180.0);
    let mut nose = Band::new(take.same.octaves(800.0, 1_600.0), 500.0);
    let (tone, air) = (take.same.range(2.0, 6.0), take.same.range(0.2, 0.6));
    let mut shake = Drift::new(take.each.noise(), 0.06, 0.85, 1.15);
    let mut flap = 0.0;
    for sample in out.iter_mut() {
        palate.tune(flutter * shake.tick());
        let kick = if palate.advance() {
            1.0 + 0.4 * noise.tick()
        } else {
            0.0
        };
        flap = 0.985 * flap + kick;
        let x = noise.tick() * flap + tone * kick;
        *sample = 1.5 * throat.tick(x) + air * nose.tick(x);
    }
    shape(out, &[(0.0, 0.0), (0.3, 0.7), (0.75, 1.0), (1.0, 0.0)]);
}

fn sneeze(take: &mut Take, out: &mut [f32]) {
    let n = out.len();
    let base = take.same.octaves(130.0, 330.0);
    let mouth = (base / 150.0).sqrt().clamp(0.9, 1.3);
    let split = (take.same.range(0.35, 0.5) * n as f32) as usize;
    let (rise, choo) = out.split_at_mut(split);
    let inhale = Syllable {
        pitch_hz: &[(0.0, base), (1.0, base * 1.4)],
        level: &[(0.0, 0.0), (0.6, 0.2), (0.9, 0.35), (1.0, 0.0)],
        from: VOWELS[3].map(|hz| hz * mouth),
        to: VOWELS[4].map(|hz| hz * mouth),
        breath: 0.5,
        rough: 0.1,
    };
    syllable(&mut take.each, rise, &inhale);
    let mut noise = take.each.noise();
    let mut hiss = Band::new(take.same.octaves(2_200.0, 4_200.0), 2_500.0);
    let mut wet = Soften::new(take.same.octaves(1_500.0, 4_000.0));
    for sample in choo.iter_mut() {
        let x = noise.tick();
        *sample = 1.2 * hiss.tick(x) + 0.4 * wet.low(x);
    }
    shape(choo, &[(0.0, 0.0), (0.03, 1.0), (0.35, 0.5), (1.0, 0.0)]);
    let voiced = Syllable {
        pitch_hz: &[(0.0, base * 1.8), (0.3, base * 1.4), (1.0, base * 0.8)],
        level: &[(0.0, 0.0), (0.1, 0.9), (0.4, 0.6), (1.0, 0.0)],
        from: VOWELS[6].map(|hz| hz * mouth),
        to: VOWELS[6].map(|hz| hz * mouth),
        breath: 0.3,
        rough: 0.3,
    };
    let loud = take.same.range(0.3, 1.0);
    let mut voice = vec![0.0; choo.len()];
    syllable(&mut take.each, &mut voice, &voiced);
    for (sample, v) in choo.iter_mut().zip(voice) {
        *sample += loud * v;
    }
}

fn applause(take: &mut Take, out: &mut [f32]) {
    let mut noise = take.each.noise();
    let per_second = take.same.octaves(22.0, 110.0);
    let centre = take.same.octaves(900.0, 1_900.0);
    let claps = (per_second * out.len() as f32 / RATE) as usize + 4;
    for _ in 0..claps {
        let at = take.each.below(out.len());
        let hz = centre * take.each.octaves(0.65, 1.6);
        let level = take.each.range(0.15, 1.0);
        burst(
            out,
            at,
            &mut noise,
            hz,
            hz * 0.55,
            take.each.range(0.015, 0.05),
            level * level,
        );
    }
    let mut crowd = Band::new(centre, 1_200.0);
    let bed = 0.04 * per_second / 50.0;
    for sample in out.iter_mut() {
        *sample += bed * crowd.tick(noise.tick());
    }
}

fn cough(take: &mut Take, out: &mut [f32]) {
    let base = take.same.octaves(110.0, 300.0) * take.each.about(0.08);
    let mouth = (base / 150.0).sqrt().clamp(0.9, 1.3) * take.same.about(0.08);
    let mut noise = take.each.noise();
    let mut chest = Band::new(600.0 * mouth, 300.0);
    let mut mouth_air = Band::new(1_500.0 * mouth, 900.0);
    let mut hiss = Soften::new(take.same.octaves(1_800.0, 4_500.0));
    for sample in out.iter_mut() {
        let x = noise.tick();
        *sample = 0.8 * chest.tick(x) + mouth_air.tick(x) + 0.25 * hiss.low(x);
    }
    let second = take.same.range(0.0, 0.45);
    shape(
        out,
        &[
            (0.0, 0.0),
            (0.04, 1.0),
            (0.3, 0.35),
            (0.5, 0.12),
            (0.6, second),
            (1.0, 0.0),
        ],
    );
    let say = Syllable {
        pitch_hz: &[(0.0, base * 1.4), (0.3, base), (1.0, base * 0.7)],
        level: &[
            (0.0, 0.0),
            (0.08, 0.6),
            (0.4, 0.3),
            (0.55, 0.05),
            (0.65, second * 0.8),
            (1.0, 0.0),
        ],
        from: VOWELS[3].map(|hz| hz * mouth),
        to: VOWELS[5].map(|hz| hz * mouth),
        breath: 0.4,
        rough: take.same.range(0.2, 0.6),
    };
    syllable(&mut take.each, out, &say);
    fade(out, 30, samples(0.03));
}

fn whistle(take: &mut Take, out: &mut [f32]) {
    let base = take.tuned(950.0, 1_900.0) * take.each.about(0.02);
    let path = match take.same.below(4) {
        0 => [(0.0, base * 0.95), (0.2, base), (1.0, base)],
        1 => [(0.0, base * 0.7), (0.6, base * 1.3), (1.0, base * 1.35)],
        2 => [(0.0, base * 1.3), (0.5, base), (1.0, base * 0.75)],
        _ => [(0.0, base * 0.7), (0.4, base * 1.35), (1.0, base * 0.7)],
    };
    let mut noise = take.each.noise();
    let mut lips = Osc::new(base);
    let mut vibrato = Osc::new(take.same.range(4.5, 6.5));
    let depth = take.same.range(0.0, 0.012);
    let mut air = Band::new(base, 500.0);
    let breath = take.same.range(0.03, 0.25);
    crate::dsp::curve::follow(out.len(), &path, |i, hz| {
        lips.tune(hz * (1.0 + depth * vibrato.sine()));
        out[i] = lips.sine() + breath * air.tick(noise.tick());
    });
    shape(out, &[(0.0, 0.0), (0.08, 0.9), (0.85, 1.0), (1.0, 0.0)]);
}
