//! Animals.

use super::{Family, Take};
use crate::dsp::curve::{fade, line, shape};
use crate::dsp::dice::Dice;
use crate::dsp::filter::{Band, Soften, drive};
use crate::dsp::grain::{Mode, burst, strike};
use crate::dsp::source::{Drift, Osc};
use crate::dsp::throat::{Call, Formant, Points, utter};
use crate::dsp::{RATE, samples};

pub(super) const FAMILIES: &[Family] = &[
    Family::events("dog", "dog bark", dog, (0.16, 0.42), 5)
        .pitched()
        .nouns(&[
            "dog bark*",
            "bark*",
            "bark* of a dog",
            "barking sound*",
            "woof*",
            "yap* of a dog",
        ])
        .acts(&[
            "a dog|barks|barking",
            "a hound|barks|barking",
            "a dog|woofs|woofing",
            "a puppy|yaps|yapping",
            "a dog|gives a bark|giving a bark",
        ]),
    Family::events("cat", "cat meow", cat, (0.5, 1.0), 4)
        .pitched()
        .nouns(&[
            "cat meow*",
            "meow*",
            "meow* of a cat",
            "miaow*",
            "kitten meow*",
            "mew* of a cat",
        ])
        .acts(&[
            "a cat|meows|meowing",
            "a kitten|mews|mewing",
            "a cat|cries|crying",
            "a cat|miaows|miaowing",
        ]),
    Family::events("cow", "cow moo", cow, (0.9, 1.7), 3)
        .pitched()
        .nouns(&[
            "cow moo*",
            "moo*",
            "moo* of a cow",
            "cattle call*",
            "bellow* of a cow",
            "lowing sound* of a cow",
        ])
        .acts(&[
            "a cow|moos|mooing",
            "cattle|low|lowing",
            "a cow|bellows|bellowing",
            "a cow|lows|lowing",
        ]),
    Family::events("sheep", "sheep bleat", sheep, (0.5, 1.0), 4)
        .pitched()
        .nouns(&[
            "sheep bleat*",
            "bleat*",
            "bleat* of a sheep",
            "baa* of a sheep",
            "goat bleat*",
            "lamb bleat*",
        ])
        .acts(&[
            "a sheep|bleats|bleating",
            "a sheep|baas|baaing",
            "a goat|bleats|bleating",
            "a lamb|bleats|bleating",
        ]),
    Family::events("rooster", "rooster crow", rooster, (1.1, 1.8), 3)
        .nouns(&[
            "rooster crow*",
            "cock-a-doodle-doo*",
            "crow* of a rooster",
            "rooster call*",
            "cockerel call*",
            "cockcrow*",
        ])
        .acts(&[
            "a rooster|crows|crowing",
            "a cockerel|crows|crowing",
            "a cock|crows|crowing",
            "a rooster|calls|calling",
        ]),
    Family::events("crow", "crow caw", crow, (0.25, 0.5), 5)
        .nouns(&[
            "crow caw*",
            "caw*",
            "caw* of a crow",
            "raven call*",
            "crow call*",
            "croaking call* of a crow",
        ])
        .acts(&[
            "a crow|caws|cawing",
            "a raven|caws|cawing",
            "a crow|calls|calling",
            "a raven|croaks|croaking",
        ]),
    Family::backdrop("songbird", "bird chirping", songbird, 1.0)
        .nouns(&[
            "~birdsong",
            "~bird chirping",
            "+bird chirps",
            "chirping bird",
            "singing bird",
            "+tweeting birds",
            "~bird song",
            "songbird",
        ])
        .acts(&[
            "a bird|chirps|chirping",
            "birds|sing|singing",
            "a bird|tweets|tweeting",
            "a songbird|sings|singing",
            "birds|twitter|twittering",
        ]),
    Family::events("owl", "owl hoot", owl, (0.35, 0.8), 4)
        .nouns(&[
            "owl hoot*",
            "hoot*",
            "hoot* of an owl",
            "owl call*",
            "call* of an owl",
            "hooting sound*",
        ])
        .acts(&[
            "an owl|hoots|hooting",
            "an owl|calls|calling",
            "an owl|gives a hoot|giving a hoot",
            "a tawny owl|hoots|hooting",
        ]),
    Family::events("frog", "frog croak", frog, (0.2, 0.5), 5)
        .pitched()
        .nouns(&[
            "frog croak*",
            "croak*",
            "croak* of a frog",
            "ribbit*",
            "toad croak*",
            "frog call*",
        ])
        .acts(&[
            "a frog|croaks|croaking",
            "a toad|croaks|croaking",
            "a frog|ribbits|ribbiting",
            "a bullfrog|calls|calling",
        ]),
    Family::backdrop("crickets", "crickets", crickets, 1.0)
        .nouns(&[
            "+crickets",
            "+chirping crickets",
            "~cricket chirping",
            "+night insects",
            "~the chirp of crickets",
            "+cicadas",
            "~insect chirping",
        ])
        .acts(&[
            "crickets|chirp|chirping",
            "a cricket|chirps|chirping",
            "insects|chirp|chirping",
            "cicadas|sing|singing",
            "insects|trill|trilling",
        ]),
    Family::texture("bee", "bee buzzing", bee, 0.8)
        .pitched()
        .nouns(&[
            "buzzing bee",
            "~bee buzzing",
            "~the buzz of a fly",
            "buzzing insect",
            "bumblebee",
            "~buzzing of a wasp",
            "~insect buzz",
            "buzzing fly",
        ])
        .acts(&[
            "a bee|buzzes|buzzing",
            "a fly|buzzes around|buzzing around",
            "an insect|buzzes|buzzing",
            "a bee|flies around|flying around",
            "a wasp|buzzes|buzzing",
        ]),
    Family::texture("horse", "horse hooves", horse, 1.1)
        .nouns(&[
            "+horse hooves",
            "~the clip-clop of a horse",
            "trotting horse",
            "+hoofbeats",
            "galloping horse",
            "~horse trotting",
            "+hooves on cobblestones",
        ])
        .acts(&[
            "a horse|trots|trotting",
            "a horse|gallops|galloping",
            "a horse|walks on cobblestones|walking on cobblestones",
            "hooves|clatter|clattering",
            "a horse|clip-clops past|clip-clopping past",
        ]),
    Family::events("duck", "duck quack", duck, (0.16, 0.32), 5)
        .nouns(&[
            "duck quack*",
            "quack*",
            "quack* of a duck",
            "duck call*",
            "quacking sound*",
            "mallard call*",
        ])
        .acts(&[
            "a duck|quacks|quacking",
            "a mallard|quacks|quacking",
            "a duck|calls|calling",
            "a drake|quacks|quacking",
        ]),
];

/// Points with every value times `factor`.
fn scaled<const N: usize>(points: [(f32, f32); N], factor: f32) -> [(f32, f32); N] {
    points.map(|(at, value)| (at, value * factor))
}

fn formant(hz: Points<'_>, width_hz: f32, level: f32) -> Formant<'_> {
    Formant {
        hz,
        width_hz,
        level,
    }
}

fn dog(take: &mut Take, out: &mut [f32]) {
    // Big dogs bark lower, through a longer mouth.
    let size = take.tuned(0.6, 1.5);
    let base = 380.0 * size * take.each.about(0.07);
    let arch = take.same.range(1.2, 1.8);
    let pitch = [
        (0.0, base * 0.8),
        (0.2, base * arch),
        (0.55, base),
        (1.0, base * 0.5),
    ];
    let mouth = take.same.about(0.15) * size.sqrt();
    let first = scaled([(0.0, 450.0), (0.3, 950.0), (1.0, 550.0)], mouth);
    let second = scaled([(0.0, 1_200.0), (0.3, 1_700.0), (1.0, 1_200.0)], mouth);
    let third = scaled([(0.0, 2_700.0), (1.0, 2_500.0)], mouth);
    let attack = take.each.range(0.05, 0.14);
    let call = Call {
        pitch_hz: &pitch,
        level: &[
            (0.0, 0.0),
            (attack, 1.0),
            (0.45, 0.7),
            (0.75, 0.15),
            (1.0, 0.0),
        ],
        formants: &[
            formant(&first, 180.0, 1.0),
            formant(&second, 260.0, 0.7),
            formant(&third, 400.0, 0.35),
        ],
        breath: take.same.range(0.15, 0.6),
        rough: take.same.range(0.2, 0.7),
        vibrato: (0.0, 0.0),
    };
    utter(&mut take.each, out, &call);
}

fn cat(take: &mut Take, out: &mut [f32]) {
    let base = take.tuned(380.0, 720.0) * take.each.about(0.05);
    let bend = take.same.range(1.15, 1.5);
    let pitch = [
        (0.0, base * 0.85),
        (0.35, base * bend),
        (0.7, base),
        (1.0, base * 0.75),
    ];
    let open = take.same.range(0.3, 0.5);
    let mouth = take.same.about(0.12);
    let first = scaled(
        [(0.0, 380.0), (open, 1_050.0), (0.75, 700.0), (1.0, 380.0)],
        mouth,
    );
    let second = scaled(
        [
            (0.0, 2_500.0),
            (open, 1_900.0),
            (0.75, 1_200.0),
            (1.0, 850.0),
        ],
        mouth,
    );
    let third = scaled([(0.0, 3_500.0), (1.0, 3_100.0)], mouth);
    let call = Call {
        pitch_hz: &pitch,
        level: &[
            (0.0, 0.0),
            (0.12, 0.5),
            (open, 1.0),
            (0.75, 0.6),
            (1.0, 0.0),
        ],
        formants: &[
            formant(&first, 130.0, 1.0),
            formant(&second, 180.0, 0.8),
            formant(&third, 300.0, 0.3),
        ],
        breath: take.same.range(0.01, 0.12),
        rough: take.same.range(0.0, 0.25),
        vibrato: (take.same.range(4.0, 8.0), take.same.range(0.0, 0.03)),
    };
    utter(&mut take.each, out, &call);
}

fn cow(take: &mut Take, out: &mut [f32]) {
    let base = take.tuned(85.0, 190.0) * take.each.about(0.05);
    let rise = take.same.range(1.1, 1.6);
    let pitch = [
        (0.0, base * 0.8),
        (0.4, base * rise),
        (0.8, base * 1.1),
        (1.0, base * 0.7),
    ];
    let open = take.same.range(0.25, 0.5);
    let mouth = take.same.about(0.15);
    let first = scaled([(0.0, 260.0), (open, 600.0), (1.0, 450.0)], mouth);
    let second = scaled([(0.0, 700.0), (open, 1_000.0), (1.0, 850.0)], mouth);
    let third = scaled([(0.0, 2_000.0), (1.0, 2_300.0)], mouth);
    let call = Call {
        pitch_hz: &pitch,
        level: &[(0.0, 0.0), (0.15, 0.5), (open, 1.0), (0.8, 0.8), (1.0, 0.0)],
        formants: &[
            formant(&first, 90.0, 1.0),
            formant(&second, 130.0, 0.6),
            formant(&third, 250.0, 0.15),
        ],
        breath: take.same.range(0.02, 0.12),
        rough: take.same.range(0.05, 0.35),
        vibrato: (take.same.range(3.0, 6.0), take.same.range(0.0, 0.03)),
    };
    utter(&mut take.each, out, &call);
}

fn sheep(take: &mut Take, out: &mut [f32]) {
    let base = take.tuned(180.0, 380.0) * take.each.about(0.05);
    let mouth = take.same.about(0.15);
    let first = scaled([(0.0, 450.0), (0.2, 750.0), (1.0, 650.0)], mouth);
    let second = scaled([(0.0, 1_900.0), (1.0, 1_700.0)], mouth);
    let third = scaled([(0.0, 2_700.0), (1.0, 2_700.0)], mouth);
    let call = Call {
        pitch_hz: &[(0.0, base * 1.05), (0.2, base * 1.1), (1.0, base * 0.85)],
        level: &[(0.0, 0.0), (0.1, 1.0), (0.7, 0.8), (1.0, 0.0)],
        formants: &[
            formant(&first, 120.0, 1.0),
            formant(&second, 180.0, 0.8),
            formant(&third, 250.0, 0.4),
        ],
        breath: take.same.range(0.03, 0.2),
        rough: take.same.range(0.1, 0.35),
        vibrato: (take.same.range(6.0, 9.0), take.same.range(0.04, 0.1)),
    };
    utter(&mut take.each, out, &call);
    // The bleat's shake is a shake of level even more than of pitch.
    let depth = take.same.range(0.5, 0.85);
    let mut shake = Osc::new(call.vibrato.0);
    for sample in out {
        *sample *= 1.0 - depth * (0.5 - 0.5 * shake.sine());
    }
}

fn rooster(take: &mut Take, out: &mut [f32]) {
    let base = take.same.octaves(420.0, 640.0) * take.each.about(0.04);
    let high = take.same.range(1.5, 2.0);
    let last = take.same.range(0.5, 0.62);
    let pitch = [
        (0.0, base * 0.9),
        (0.1, base),
        (0.16, base * 1.2),
        (0.26, base * 1.3),
        (0.34, base * 1.25),
        (0.42, base * high),
        (last, base * high * 1.08),
        (0.85, base * high * 0.9),
        (1.0, base * 0.75),
    ];
    let level = [
        (0.0, 0.0),
        (0.03, 0.7),
        (0.11, 0.5),
        (0.14, 0.05),
        (0.17, 0.8),
        (0.23, 0.5),
        (0.25, 0.1),
        (0.28, 0.7),
        (0.33, 0.4),
        (0.36, 0.12),
        (0.42, 1.0),
        (0.85, 0.8),
        (1.0, 0.0),
    ];
    let mouth = take.same.about(0.12);
    let first = scaled(
        [(0.0, 800.0), (0.4, 1_100.0), (0.6, 1_300.0), (1.0, 800.0)],
        mouth,
    );
    let second = scaled([(0.0, 1_800.0), (0.5, 2_300.0), (1.0, 1_700.0)], mouth);
    let third = scaled([(0.0, 3_400.0), (1.0, 3_400.0)], mouth);
    let call = Call {
        pitch_hz: &pitch,
        level: &level,
        formants: &[
            formant(&first, 220.0, 1.0),
            formant(&second, 300.0, 0.9),
            formant(&third, 400.0, 0.4),
        ],
        breath: take.same.range(0.05, 0.3),
        rough: take.same.range(0.1, 0.4),
        vibrato: (take.same.range(8.0, 16.0), take.same.range(0.0, 0.02)),
    };
    utter(&mut take.each, out, &call);
}

fn crow(take: &mut Take, out: &mut [f32]) {
    let base = take.same.octaves(300.0, 520.0) * take.each.about(0.05);
    let mouth = take.same.about(0.15);
    let first = scaled([(0.0, 1_050.0), (0.3, 1_450.0), (1.0, 1_000.0)], mouth);
    let second = scaled([(0.0, 2_100.0), (1.0, 1_900.0)], mouth);
    let third = scaled([(0.0, 3_600.0), (1.0, 3_300.0)], mouth);
    let call = Call {
        pitch_hz: &[(0.0, base), (0.3, base * 1.15), (1.0, base * 0.85)],
        level: &[(0.0, 0.0), (0.1, 1.0), (0.7, 0.8), (1.0, 0.0)],
        formants: &[
            formant(&first, 250.0, 1.0),
            formant(&second, 300.0, 0.6),
            formant(&third, 400.0, 0.25),
        ],
        breath: take.same.range(0.5, 1.2),
        rough: take.same.range(0.7, 1.0),
        vibrato: (take.same.range(30.0, 50.0), 0.06),
    };
    utter(&mut take.each, out, &call);
}

/// One note of a bird: a sine that sweeps through `path` hertz.
fn chirp(out: &mut [f32], path: Points<'_>, trill: (f32, f32), level: f32) {
    let n = out.len();
    let mut tone = Osc::new(3_000.0);
    let mut shake = Osc::new(trill.0);
    for (chunk, samples) in out.chunks_mut(16).enumerate() {
        let at = chunk as f32 * 16.0 / n as f32;
        let hz = line(path, at);
        let bow = 4.0 * at * (1.0 - at) * level;
        for sample in samples {
            tone.tune(hz * (1.0 + trill.1 * shake.sine()));
            let s = tone.sine();
            *sample += bow * (s + 0.15 * s * s);
        }
    }
}

fn songbird(take: &mut Take, out: &mut [f32]) {
    let base = take.same.octaves(2_200.0, 4_800.0);
    let rate = take.same.octaves(2.5, 9.0);
    let motifs: Vec<[(f32, f32); 3]> = (0..3)
        .map(|_| {
            let from = base * take.same.octaves(0.75, 1.35);
            let peak = base * take.same.octaves(0.7, 1.5);
            [
                (0.0, from),
                (take.same.range(0.2, 0.8), peak),
                (1.0, base * take.same.octaves(0.7, 1.3)),
            ]
        })
        .collect();
    let trill = (
        take.same.range(18.0, 60.0),
        if take.same.chance(0.4) { 0.06 } else { 0.0 },
    );
    let share = take.same.range(0.35, 0.8);
    let mut at = samples(take.each.range(0.0, 0.1));
    while at + 400 < out.len() {
        let motif = take.each.pick(&motifs);
        for _ in 0..take.each.below(4) + 1 {
            let length = samples(share / rate * take.each.about(0.2));
            let end = (at + length).min(out.len());
            if at >= end {
                break;
            }
            chirp(&mut out[at..end], &motif, trill, take.each.range(0.6, 1.0));
            at += samples(1.0 / rate * take.each.about(0.1));
        }
        at += samples(take.each.range(0.05, 0.35));
    }
}

fn owl(take: &mut Take, out: &mut [f32]) {
    let base = take.same.octaves(260.0, 480.0) * take.each.about(0.03);
    let sag = take.same.range(0.82, 0.98);
    let warm = take.same.range(0.05, 0.25);
    let breath = take.same.range(0.01, 0.05);
    let mut noise = take.each.noise();
    let mut air = Band::new(base, 300.0);
    let shake = if take.same.chance(0.4) { 0.03 } else { 0.0 };
    let mut tremor = Osc::new(take.same.range(7.0, 14.0));
    let mut tone = Osc::new(base);
    let n = out.len() as f32;
    for (i, sample) in out.iter_mut().enumerate() {
        let at = i as f32 / n;
        tone.tune(
            base * (0.94 + 0.12 * at.min(0.5) - (1.0 - sag) * at) * (1.0 + shake * tremor.sine()),
        );
        let s = tone.sine();
        *sample = s + warm * s * s * s + breath * air.tick(noise.tick()) * 8.0;
    }
    shape(out, &[(0.0, 0.0), (0.2, 0.9), (0.6, 1.0), (1.0, 0.0)]);
}

fn frog(take: &mut Take, out: &mut [f32]) {
    let pulses = take.same.octaves(28.0, 75.0);
    let body = take.tuned(450.0, 1_500.0);
    let mut sac = Band::new(body, 160.0);
    let mut upper = Band::new(body * take.same.range(1.7, 2.6), 260.0);
    let mut glottis = Osc::new(pulses);
    let rise = take.same.range(0.7, 1.7);
    let mut noise = take.each.noise();
    let n = out.len() as f32;
    for (i, sample) in out.iter_mut().enumerate() {
        glottis.tune(pulses * (1.0 + (rise - 1.0) * i as f32 / n));
        let kick = if glottis.advance() {
            12.0 + 4.0 * noise.tick()
        } else {
            0.0
        };
        *sample = sac.tick(kick) + 0.6 * upper.tick(kick);
    }
    shape(out, &[(0.0, 0.2), (0.3, 0.8), (0.7, 1.0), (1.0, 0.0)]);
}

fn crickets(take: &mut Take, out: &mut [f32]) {
    let insects = take.same.below(3) + 1;
    for _ in 0..insects {
        let mut tone = Osc::new(take.same.octaves(3_600.0, 6_200.0));
        let wing = take.same.range(26.0, 48.0);
        let mut pulse = Osc::at(wing, take.each.unit());
        let trills = take.same.chance(0.35);
        let mut chirp = Osc::at(take.same.range(1.8, 4.5), take.each.unit());
        let share = if trills {
            1.1
        } else {
            take.same.range(0.25, 0.5)
        };
        let level = take.same.range(0.3, 1.0);
        let mut edge = Soften::new(120.0);
        for sample in out.iter_mut() {
            chirp.advance();
            let beat = pulse.sine().max(0.0);
            let open = if chirp.phase() < share { beat } else { 0.0 };
            *sample += level * edge.low(open) * tone.sine();
        }
    }
}

fn bee(take: &mut Take, out: &mut [f32]) {
    let wing = take.tuned(140.0, 290.0);
    let mut hz = Drift::new(take.each.noise(), 0.14, wing * 0.93, wing * 1.08);
    let mut near = Drift::new(take.each.noise(), take.same.range(0.2, 0.6), 0.25, 1.0);
    let mut noise = take.each.noise();
    let mut buzz = Osc::new(wing);
    let mut dull = Soften::new(take.same.octaves(1_000.0, 2_600.0));
    let mut thorax = Band::new(wing * take.same.range(2.6, 4.4), 300.0);
    let rasp = take.same.range(0.05, 0.25);
    for sample in out {
        buzz.tune(hz.tick());
        let x = drive(2.0 * buzz.saw()) + rasp * noise.tick();
        *sample = near.tick() * (dull.low(x) + thorax.tick(x));
    }
}

fn horse(take: &mut Take, out: &mut [f32]) {
    let mut noise = take.each.noise();
    let stride = take.same.range(0.42, 0.75);
    // Feet within one stride: walk and trot are even, a gallop comes in threes.
    let feet: &[f32] = take.same.pick(&[
        &[0.0, 0.5][..],
        &[0.0, 0.25, 0.5, 0.75][..],
        &[0.0, 0.18, 0.36][..],
    ]);
    let hollow = take.same.octaves(550.0, 1_100.0);
    let ring = take.same.range(0.03, 0.09);
    let mut at = take.each.range(0.0, 0.08);
    while samples(at) < out.len() {
        for (foot, late) in feet.iter().enumerate() {
            let start = samples(at + late * stride * take.each.about(0.05));
            let hz = hollow * (1.0 + 0.16 * (foot % 2) as f32) * take.each.about(0.04);
            let level = take.each.range(0.6, 1.0);
            strike(out, start, &hoof(hz, ring, level));
            burst(out, start, &mut noise, 2_400.0, 1_800.0, 0.02, 0.35 * level);
        }
        at += stride;
    }
}

fn hoof(hz: f32, ring_s: f32, level: f32) -> [Mode; 2] {
    [
        Mode { hz, ring_s, level },
        Mode {
            hz: hz * 2.3,
            ring_s: ring_s * 0.6,
            level: level * 0.4,
        },
    ]
}

fn duck(take: &mut Take, out: &mut [f32]) {
    let base = take.same.octaves(150.0, 260.0) * take.each.about(0.05);
    let nose = take.same.about(0.15);
    let first = scaled([(0.0, 700.0), (0.3, 1_150.0), (1.0, 900.0)], nose);
    let second = scaled([(0.0, 1_500.0), (0.3, 2_300.0), (1.0, 1_900.0)], nose);
    let third = scaled([(0.0, 3_200.0), (1.0, 3_000.0)], nose);
    let call = Call {
        pitch_hz: &[(0.0, base * 1.1), (0.3, base * 1.2), (1.0, base * 0.8)],
        level: &[(0.0, 0.0), (0.08, 1.0), (0.6, 0.8), (1.0, 0.0)],
        formants: &[
            formant(&first, 110.0, 1.0),
            formant(&second, 150.0, 1.2),
            formant(&third, 220.0, 0.6),
        ],
        breath: take.same.range(0.05, 0.2),
        rough: take.same.range(0.2, 0.5),
        vibrato: (0.0, 0.0),
    };
    utter(&mut take.each, out, &call);
    fade(out, 40, samples(0.02));
    wobble(&mut take.same, out);
}

/// The flutter a quack has from its beak.
fn wobble(dice: &mut Dice, out: &mut [f32]) {
    let step = 1.0 / RATE;
    let rate = dice.range(35.0, 60.0) * step;
    let mut phase = 0.0_f32;
    for sample in out {
        phase += rate;
        phase -= phase.floor();
        *sample *= 0.6 + 0.8 * (phase - 0.5).abs();
    }
}
