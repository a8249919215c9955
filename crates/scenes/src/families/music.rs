//! Bells, strings, pipes and drums.

use super::{Family, Take};
use crate::dsp::curve::{fade, shape};
use crate::dsp::filter::{Band, Soften, Steep};
use crate::dsp::grain::{Mode, burst, strike};
use crate::dsp::source::Osc;
use crate::dsp::{RATE, samples};

pub(super) const FAMILIES: &[Family] = &[
    Family::events("church_bell", "church bell", church_bell, (0.9, 1.6), 4)
        .kin("bell")
        .pitched()
        .nouns(&[
            "church bell*",
            "bell toll*",
            "toll* of a church bell",
            "large bell stroke*",
            "church bell chime*",
            "stroke* of a large bell",
        ])
        .acts(&[
            "a church bell|tolls|tolling",
            "a church bell|rings|ringing",
            "a large bell|tolls|tolling",
            "a bell|tolls in a tower|tolling in a tower",
            "a church bell|chimes|chiming",
        ]),
    Family::events("hand_bell", "small bell", hand_bell, (0.4, 0.9), 5)
        .kin("bell")
        .nouns(&[
            "small bell ring*",
            "bike bell ring*",
            "ding*",
            "hand bell ring*",
            "little bell ding*",
            "bicycle bell ring*",
        ])
        .acts(&[
            "a small bell|rings|ringing",
            "a bicycle bell|rings|ringing",
            "a hand bell|chimes|chiming",
            "a little bell|dings|dinging",
            "someone|rings a small bell|ringing a small bell",
        ]),
    Family::events("guitar", "plucked guitar string", guitar, (0.4, 1.0), 5)
        .pitched()
        .nouns(&[
            "guitar note*",
            "plucked string*",
            "pluck* of a guitar string",
            "guitar pluck*",
            "plucked note*",
            "string pluck*",
        ])
        .acts(&[
            "a guitar string|is plucked|being plucked",
            "someone|plucks a guitar string|plucking a guitar string",
            "someone|plucks a string|plucking a string",
            "a plucked string|sounds|sounding",
        ]),
    Family::events("flute", "flute note", flute, (0.4, 1.1), 4)
        .kin("pipe")
        .pitched()
        .nouns(&[
            "flute note*",
            "note* of a flute",
            "tone* of a flute",
            "recorder note*",
            "flute tone*",
            "woodwind note*",
        ])
        .acts(&[
            "a flute|plays a note|playing a note",
            "a flute|sounds|sounding",
            "someone|blows a flute|blowing a flute",
            "a recorder|plays a note|playing a note",
        ]),
    Family::events("piano", "piano note", piano, (0.5, 1.1), 5)
        .pitched()
        .nouns(&[
            "piano note*",
            "note* on a piano",
            "tone* of a piano",
            "single key* struck on a piano",
            "note* played on a piano",
        ])
        .acts(&[
            "a piano|plays a note|playing a note",
            "someone|plays a note on the piano|playing a note on the piano",
            "a piano key|is struck|being struck",
            "a pianist|strikes a key|striking a key",
        ]),
    Family::events("drum", "drum hit", drum, (0.2, 0.5), 5)
        .kin("drums")
        .pitched()
        .nouns(&[
            "drum hit*",
            "drum beat*",
            "beat* of a drum",
            "thump* of a drum",
            "drum stroke*",
            "bass drum hit*",
        ])
        .acts(&[
            "a drum|beats|beating",
            "someone|hits a drum|hitting a drum",
            "a drummer|strikes a drum|striking a drum",
            "a drum|is struck|being struck",
            "a drum|thumps|thumping",
        ]),
    Family::events("cymbal", "cymbal crash", cymbal, (0.6, 1.3), 4)
        .kin("drums")
        .nouns(&[
            "cymbal crash^",
            "crash^ of a cymbal",
            "cymbal splash^",
            "cymbal hit*",
            "crash cymbal*",
            "cymbal strike*",
        ])
        .acts(&[
            "a cymbal|crashes|crashing",
            "someone|hits a cymbal|hitting a cymbal",
            "a drummer|strikes a cymbal|striking a cymbal",
            "a cymbal|is struck|being struck",
        ]),
    Family::events("violin", "violin note", violin, (0.6, 1.3), 4)
        .pitched()
        .nouns(&[
            "violin note*",
            "note* of a violin",
            "bowed string note*",
            "fiddle note*",
            "tone* of a violin",
            "long violin note*",
        ])
        .acts(&[
            "a violin|plays a note|playing a note",
            "a fiddle|plays a note|playing a note",
            "someone|bows a violin|bowing a violin",
            "a bow|draws across a string|drawing across a string",
        ]),
];

fn church_bell(take: &mut Take, out: &mut [f32]) {
    // Partials of a tuned bell: hum, prime, tierce, quint, nominal and above (Rossing 2000).
    const PARTIALS: [(f32, f32, f32); 8] = [
        (0.5, 1.0, 0.5),
        (1.0, 0.8, 0.8),
        (1.2, 0.65, 0.8),
        (1.5, 0.4, 0.3),
        (2.0, 0.5, 1.0),
        (2.67, 0.25, 0.5),
        (3.01, 0.2, 0.4),
        (4.17, 0.15, 0.3),
    ];
    let prime = take.tuned(190.0, 430.0);
    let ring = take.same.range(2.5, 6.0);
    let modes = PARTIALS.map(|(ratio, lasting, level)| Mode {
        hz: prime * ratio * take.same.about(0.006),
        ring_s: ring * lasting,
        level: level * take.same.range(0.5, 1.0) * take.each.about(0.1),
    });
    strike(out, 0, &modes);
    let mut noise = take.each.noise();
    burst(out, 0, &mut noise, prime * 6.0, 1_500.0, 0.03, 0.5);
    fade(out, 8, samples(0.25));
}

fn hand_bell(take: &mut Take, out: &mut [f32]) {
    let base = take.same.octaves(1_500.0, 2_900.0);
    let ring = take.same.range(0.5, 1.6);
    let twice = take.same.chance(0.4);
    let modes = [
        (1.0, 1.0, 1.0),
        (1.006, 0.9, 0.5),
        (2.02, 0.5, 0.5),
        (2.74, 0.4, 0.3),
    ]
    .map(|(ratio, lasting, level)| Mode {
        hz: base * ratio,
        ring_s: ring * lasting,
        level: level * take.each.range(0.7, 1.0),
    });
    strike(out, 0, &modes);
    if twice {
        // A bicycle bell's clapper bounces: one ring to the ear.
        strike(out, samples(0.09), &modes);
    }
    fade(out, 4, samples(0.1));
}

fn guitar(take: &mut Take, out: &mut [f32]) {
    // Karplus and Strong 1983: noise in a loop that is averaged on each round.
    let hz = take.tuned(82.0, 380.0);
    let period = (RATE / hz).max(8.0) as usize;
    let mut noise = take.each.noise();
    let mut pick = Soften::new(take.same.octaves(1_200.0, 6_000.0));
    let mut string: Vec<f32> = (0..period).map(|_| pick.low(noise.tick())).collect();
    let damping = take.same.range(0.985, 0.998);
    let mut body = Band::new(take.same.octaves(95.0, 240.0), 90.0);
    let (mut at, mut last) = (0, 0.0);
    for sample in out.iter_mut() {
        let now = string[at];
        string[at] = damping * 0.5 * (now + last);
        last = now;
        at += 1;
        if at == period {
            at = 0;
        }
        *sample = now + 0.5 * body.tick(now);
    }
    fade(out, 8, samples(0.06));
}

fn flute(take: &mut Take, out: &mut [f32]) {
    let hz = take.tuned(400.0, 1_050.0);
    let mut noise = take.each.noise();
    let mut partials = [Osc::new(hz), Osc::new(hz * 2.0), Osc::new(hz * 3.0)];
    let levels = [1.0, take.same.range(0.15, 0.6), take.same.range(0.05, 0.25)];
    let mut vibrato = Osc::new(take.same.range(4.5, 6.0));
    let depth = take.same.range(0.0, 0.2);
    let mut air = Band::new(hz * 2.0, hz);
    let breath = take.same.range(0.1, 0.5);
    for sample in out.iter_mut() {
        let swing = 1.0 + depth * vibrato.sine();
        let mut sum = breath * air.tick(noise.tick());
        for (partial, level) in partials.iter_mut().zip(levels) {
            sum += level * partial.sine();
        }
        *sample = swing * sum;
    }
    shape(out, &[(0.0, 0.0), (0.12, 0.9), (0.8, 1.0), (1.0, 0.0)]);
}

fn piano(take: &mut Take, out: &mut [f32]) {
    let hz = take.tuned(130.0, 780.0);
    let ring = take.same.range(1.5, 3.5) * (260.0 / hz).sqrt();
    let soft = take.same.range(0.5, 0.8);
    let stiff = take.same.range(0.000_2, 0.000_8);
    let mut level = 1.0;
    for n in 1..=9_u8 {
        let k = f32::from(n);
        let partial = hz * k * (1.0 + stiff * k * k);
        // Two strings a little apart beat, as unisons do.
        let modes = [(1.0, 0.6), (1.001, 0.4)].map(|(detune, share)| Mode {
            hz: partial * detune,
            ring_s: ring / (0.6 + 0.4 * k),
            level: level * share,
        });
        strike(out, 0, &modes);
        level *= soft * take.same.range(0.7, 1.1);
    }
    let mut noise = take.each.noise();
    burst(out, 0, &mut noise, 350.0, 400.0, 0.04, 0.15);
    fade(out, 16, samples(0.1));
}

fn drum(take: &mut Take, out: &mut [f32]) {
    let hz = take.tuned(58.0, 150.0);
    let drop = take.same.range(1.2, 2.2);
    let ring = take.same.range(0.18, 0.45);
    let mut noise = take.each.noise();
    let mut skin = Osc::new(hz);
    let level = take.each.range(0.85, 1.0);
    let factor = crate::dsp::maths::decay(ring);
    let quick = crate::dsp::maths::decay(0.1);
    let (mut height, mut bend) = (level, drop - 1.0);
    for sample in out.iter_mut() {
        skin.tune(hz * (1.0 + bend));
        *sample = height * skin.sine();
        height *= factor;
        bend *= quick;
    }
    strike(
        out,
        0,
        &[
            Mode {
                hz: hz * 1.59,
                ring_s: ring * 0.5,
                level: 0.4,
            },
            Mode {
                hz: hz * 2.14,
                ring_s: ring * 0.4,
                level: 0.25,
            },
        ],
    );
    burst(
        out,
        0,
        &mut noise,
        take.same.octaves(500.0, 2_000.0),
        1_200.0,
        0.03,
        take.same.range(0.1, 0.5),
    );
    if take.same.chance(0.3) {
        // Snares.
        burst(out, 0, &mut noise, 3_500.0, 4_000.0, 0.15, 0.5);
    }
    fade(out, 4, samples(0.02));
}

fn cymbal(take: &mut Take, out: &mut [f32]) {
    let base = take.same.octaves(280.0, 480.0);
    let mut noise = take.each.noise();
    let mut high = Steep::high(take.same.octaves(2_000.0, 3_800.0));
    // Six rectangles of unrelated pitch make the metal, noise the rest.
    let mut plates = [1.0, 1.342, 1.571, 1.847, 2.232, 2.713].map(|ratio| Osc::new(base * ratio));
    let metal = take.same.range(0.15, 0.5);
    let factor = crate::dsp::maths::decay(take.same.range(0.7, 1.6));
    let mut level = 1.0;
    for sample in out.iter_mut() {
        let mut x = noise.tick();
        for plate in &mut plates {
            plate.advance();
            x += if plate.phase() < 0.5 { metal } else { -metal };
        }
        *sample = level * high.tick(x);
        level *= factor;
    }
    fade(out, 12, samples(0.15));
}

fn violin(take: &mut Take, out: &mut [f32]) {
    let hz = take.tuned(200.0, 640.0);
    let mut noise = take.each.noise();
    let mut string = Osc::new(hz);
    let mut vibrato = Osc::new(take.same.range(4.8, 6.5));
    let depth = take.same.range(0.002, 0.012);
    let mut bodies = [
        (Band::new(take.same.octaves(270.0, 310.0), 80.0), 0.7),
        (Band::new(take.same.octaves(430.0, 560.0), 120.0), 0.8),
        (Band::new(take.same.octaves(900.0, 1_300.0), 400.0), 0.7),
        (
            Band::new(take.same.octaves(2_300.0, 3_200.0), 900.0),
            take.same.range(0.4, 1.0),
        ),
    ];
    let rosin = take.same.range(0.02, 0.12);
    for sample in out.iter_mut() {
        string.tune(hz * (1.0 + depth * vibrato.sine()));
        let x = string.saw() + rosin * noise.tick();
        let mut sum = 0.15 * x;
        for (body, level) in &mut bodies {
            sum += *level * body.tick(x);
        }
        *sample = sum;
    }
    shape(
        out,
        &[(0.0, 0.0), (0.15, 0.8), (0.6, 1.0), (0.9, 0.8), (1.0, 0.0)],
    );
}
