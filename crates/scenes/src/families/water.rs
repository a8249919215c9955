//! Weather, water and fire.

use super::{Family, Take};
use crate::dsp::curve::{line, shape};
use crate::dsp::filter::{Band, Soften, Steep};
use crate::dsp::grain::{bubble, burst};
use crate::dsp::source::Drift;
use crate::dsp::{RATE, samples};

pub(super) const FAMILIES: &[Family] = &[
    Family::backdrop("rain", "rain", rain, 0.9)
        .kin("rainfall")
        .nouns(&[
            "~rain",
            "~pattering rain",
            "~falling rain",
            "~rainfall",
            "rain shower",
            "~steady rain",
            "~drizzle",
            "~the sound of rain",
        ])
        .acts(&[
            "rain|falls|falling",
            "rain|patters on the ground|pattering on the ground",
            "raindrops|fall|falling",
        ]),
    Family::backdrop("heavy_rain", "heavy rain on a roof", heavy_rain, 0.9)
        .kin("rainfall")
        .nouns(&[
            "~heavy rain",
            "~heavy rain on a roof",
            "downpour",
            "~pouring rain",
            "~torrential rain",
            "rainstorm",
            "~rain drumming on a tin roof",
        ])
        .acts(&[
            "heavy rain|falls on a roof|falling on a roof",
            "rain|pours down|pouring down",
            "heavy rain|drums on a roof|drumming on a roof",
            "rain|hammers on a metal roof|hammering on a metal roof",
        ]),
    Family::backdrop("wind", "wind", wind, 1.2)
        .nouns(&[
            "~wind",
            "~gusty wind",
            "~howling wind",
            "~strong wind",
            "~the sound of wind",
            "breeze",
            "+gusts of wind",
            "~whistling wind",
        ])
        .acts(&[
            "the wind|blows|blowing",
            "wind|howls|howling",
            "wind|gusts|gusting",
            "a strong wind|blows|blowing",
        ]),
    Family::events("thunder", "thunder", thunder, (1.2, 2.4), 2)
        .nouns(&[
            "thunderclap*",
            "clap* of thunder",
            "roll* of thunder",
            "thunder crash^",
            "thunder rumble*",
            "rumble* of thunder",
        ])
        .acts(&[
            "thunder|rumbles|rumbling",
            "thunder|crashes|crashing",
            "thunder|rolls|rolling",
            "a thunderstorm|rumbles|rumbling",
        ]),
    Family::backdrop("sea_waves", "sea waves", sea_waves, 1.8)
        .nouns(&[
            "+sea waves",
            "+ocean waves",
            "+waves on a beach",
            "~surf",
            "+breaking waves",
            "+waves on the shore",
            "~the sound of the sea",
            "~ocean surf",
        ])
        .acts(&[
            "waves|crash on the shore|crashing on the shore",
            "ocean waves|roll ashore|rolling ashore",
            "waves|wash ashore|washing ashore",
            "the sea|washes over a beach|washing over a beach",
            "surf|breaks on a beach|breaking on a beach",
        ]),
    Family::backdrop("stream", "stream", stream, 0.9)
        .kin("running water")
        .nouns(&[
            "babbling brook",
            "bubbling stream",
            "~running water",
            "~a stream",
            "~flowing water",
            "small creek",
            "~trickling water",
            "brook",
        ])
        .acts(&[
            "a stream|flows|flowing",
            "a brook|babbles|babbling",
            "water|trickles|trickling",
            "water|flows over stones|flowing over stones",
            "a creek|bubbles|bubbling",
        ]),
    Family::events("water_drop", "water drop", water_drop, (0.15, 0.35), 5)
        .kin("drop")
        .nouns(&[
            "water drop*",
            "drip*",
            "drop* of water",
            "water drip*",
            "droplet*",
            "plop* of water",
        ])
        .acts(&[
            "water|drips|dripping",
            "a drop of water|falls|falling",
            "a tap|drips|dripping",
            "a water drop|plops|plopping",
            "a faucet|drips|dripping",
        ]),
    Family::texture("pouring", "pouring water", pouring, 1.0)
        .kin("running water")
        .nouns(&[
            "~pouring water",
            "~water being poured",
            "~water poured into a glass",
            "~liquid being poured",
            "~the sound of water filling a glass",
            "~water filling a cup",
        ])
        .acts(&[
            "water|pours into a glass|pouring into a glass",
            "someone|pours water|pouring water",
            "a glass|fills with water|filling with water",
            "someone|pours a drink|pouring a drink",
            "liquid|pours into a container|pouring into a container",
        ]),
    Family::backdrop("fire", "crackling fire", fire, 0.9)
        .nouns(&[
            "crackling fire",
            "~fire crackling",
            "campfire",
            "fireplace",
            "burning fire",
            "~burning wood",
            "~the crackle of a fire",
            "log fire",
        ])
        .acts(&[
            "a fire|crackles|crackling",
            "fire|burns and crackles|burning and crackling",
            "wood|crackles in a fire|crackling in a fire",
            "a campfire|burns|burning",
            "a fireplace|crackles|crackling",
        ]),
];

fn rain(take: &mut Take, out: &mut [f32]) {
    let mut noise = take.each.noise();
    let mut floor = Steep::high(take.same.octaves(900.0, 2_200.0));
    let mut air = Soften::new(take.same.octaves(3_500.0, 7_500.0));
    let mut near = Band::new(take.same.octaves(1_800.0, 3_200.0), 1_200.0);
    let mut leaf = Band::new(take.same.octaves(3_500.0, 6_000.0), 2_500.0);
    let drops = take.same.octaves(40.0, 260.0);
    let ticks = take.same.range(1.5, 6.0);
    let mut swell = Drift::new(take.each.noise(), 0.8, 0.75, 1.0);
    for sample in out {
        let drop = noise.sparks(drops) * ticks;
        let hiss = air.low(floor.tick(noise.tick()));
        *sample = swell.tick() * (0.35 * hiss + near.tick(drop) + leaf.tick(drop));
    }
}

fn heavy_rain(take: &mut Take, out: &mut [f32]) {
    let mut noise = take.each.noise();
    let mut body = Soften::new(take.same.octaves(1_200.0, 2_600.0));
    let mut rumble = Steep::high(take.same.octaves(120.0, 300.0));
    let mut roof = Band::new(
        take.same.octaves(350.0, 700.0),
        take.same.range(150.0, 400.0),
    );
    let mut sheet = Band::new(
        take.same.octaves(900.0, 1_700.0),
        take.same.range(200.0, 600.0),
    );
    let drops = take.same.octaves(300.0, 900.0);
    let ticks = take.same.range(4.0, 10.0);
    let mut swell = Drift::new(take.each.noise(), 0.6, 0.7, 1.0);
    for sample in out {
        let drop = noise.sparks(drops) * ticks;
        let wash = body.low(rumble.tick(noise.tick()));
        *sample = swell.tick() * (wash + roof.tick(drop) + 0.8 * sheet.tick(drop));
    }
}

fn wind(take: &mut Take, out: &mut [f32]) {
    let mut noise = take.each.noise();
    let centre = take.tuned(220.0, 620.0);
    let width = take.same.range(60.0, 220.0);
    let mut howl = Band::new(centre, width);
    let mut second = Band::new(centre * 1.9, width * 2.0);
    let mut rumble = Soften::new(take.same.octaves(120.0, 300.0));
    let howling = take.same.range(1.5, 5.0);
    let mut gust = Drift::new(take.each.noise(), take.same.range(0.35, 0.9), 0.0, 1.0);
    for chunk in out.chunks_mut(32) {
        let mut strength = 0.0;
        for sample in chunk {
            strength = gust.tick();
            let x = noise.tick();
            let level = 0.15 + strength * strength;
            *sample = level * (howling * howl.tick(x) + second.tick(x) + 1.2 * rumble.low(x));
        }
        howl.tune(centre * (0.7 + 0.8 * strength));
        second.tune(centre * (1.3 + 1.7 * strength));
    }
}

fn thunder(take: &mut Take, out: &mut [f32]) {
    let mut noise = take.each.noise();
    let n = out.len();
    let mut deep = Steep::low(take.same.octaves(90.0, 260.0));
    let mut mid = Soften::new(take.same.octaves(200.0, 500.0));
    let mut bumps = Drift::new(take.each.noise(), 0.09, 0.2, 1.0);
    for sample in out.iter_mut() {
        let x = noise.tick();
        *sample = bumps.tick() * (4.0 * deep.tick(x) + 0.8 * mid.low(x));
    }
    let peak = take.each.range(0.03, 0.2);
    shape(out, &[(0.0, 0.1), (peak, 1.0), (0.5, 0.45), (1.0, 0.0)]);
    if take.same.chance(0.6) {
        for _ in 0..3 {
            let at = (peak * n as f32 * take.each.range(0.5, 1.1)) as usize;
            let hz = take.each.octaves(500.0, 1_400.0);
            burst(out, at, &mut noise, hz, hz, take.each.range(0.2, 0.6), 0.5);
        }
    }
}

fn sea_waves(take: &mut Take, out: &mut [f32]) {
    let mut noise = take.each.noise();
    let mut far = Soften::new(take.same.octaves(250.0, 600.0));
    let mut foam = Soften::new(3_000.0);
    let mut hiss = Steep::high(take.same.octaves(300.0, 900.0));
    let period = take.same.range(1.7, 3.6) * RATE;
    let crest = take.same.range(0.3, 0.5);
    let mut phase = take.each.range(0.0, 1.0);
    let mut height = take.each.range(0.6, 1.0);
    let wave = [
        (0.0, 0.06),
        (crest * 0.6, 0.2),
        (crest, 1.0),
        (crest + 0.15, 0.8),
        (0.8, 0.25),
        (1.0, 0.06),
    ];
    for chunk in out.chunks_mut(64) {
        phase += 64.0 / period;
        if phase >= 1.0 {
            phase -= 1.0;
            height = take.each.range(0.6, 1.0);
        }
        let level = height * line(&wave, phase);
        // A breaking wave is brighter, not only louder.
        foam.keep(0.85 - 0.6 * level);
        for sample in chunk {
            let x = noise.tick();
            *sample = 0.5 * (0.4 + level) * far.low(x) + level * foam.low(hiss.tick(x));
        }
    }
}

fn stream(take: &mut Take, out: &mut [f32]) {
    let mut noise = take.each.noise();
    let mut wash = Band::new(take.same.octaves(600.0, 1_500.0), 900.0);
    let wet = take.same.range(0.03, 0.15);
    for sample in out.iter_mut() {
        *sample = wet * wash.tick(noise.tick());
    }
    let per_second = take.same.octaves(45.0, 130.0);
    let (low, high) = (
        take.same.octaves(350.0, 600.0),
        take.same.octaves(1_300.0, 2_400.0),
    );
    let bubbles = (per_second * out.len() as f32 / RATE) as usize;
    for _ in 0..bubbles {
        let at = take.each.below(out.len());
        let hz = take.each.octaves(low, high);
        let level = take.each.unit();
        let fall = take.each.range(0.02, 0.09);
        bubble(
            out,
            at,
            hz,
            take.each.range(1.0, 9.0),
            fall,
            0.3 * level * level,
        );
    }
}

fn water_drop(take: &mut Take, out: &mut [f32]) {
    let mut noise = take.each.noise();
    let hz = take.tuned(600.0, 1_700.0) * take.each.about(0.08);
    let rise = take.same.range(6.0, 22.0);
    let ring = take.same.range(0.06, 0.2);
    burst(out, 0, &mut noise, 4_000.0, 2_500.0, 0.006, 0.15);
    bubble(out, samples(0.008), hz, rise, ring, 0.8);
    if take.same.chance(0.5) {
        let late = samples(take.each.range(0.05, 0.1));
        bubble(
            out,
            late,
            hz * take.each.range(1.2, 1.7),
            rise,
            ring * 0.6,
            0.25,
        );
    }
}

fn pouring(take: &mut Take, out: &mut [f32]) {
    let n = out.len();
    let mut noise = take.each.noise();
    // The air left above the water is a pipe that shortens: the one sound that says "filling".
    let start = take.same.octaves(350.0, 600.0);
    let end = start * take.same.range(2.2, 3.6);
    let mut column = Band::new(start, take.same.range(90.0, 220.0));
    let mut splash = Steep::high(1_500.0);
    let wet = take.same.range(0.03, 0.12);
    for (chunk, samples) in out.chunks_mut(64).enumerate() {
        let filled = chunk as f32 * 64.0 / n as f32;
        column.tune(start + (end - start) * filled * filled);
        for sample in samples {
            let x = noise.tick();
            *sample = column.tick(x) + wet * splash.tick(x);
        }
    }
    let bubbles = (take.same.range(60.0, 140.0) * n as f32 / RATE) as usize;
    for _ in 0..bubbles {
        let at = take.each.below(n);
        let filled = at as f32 / n as f32;
        let hz = (start + (end - start) * filled) * take.each.range(0.9, 2.2);
        bubble(
            out,
            at,
            hz,
            4.0,
            take.each.range(0.015, 0.05),
            0.25 * take.each.unit(),
        );
    }
}

fn fire(take: &mut Take, out: &mut [f32]) {
    let n = out.len();
    let mut noise = take.each.noise();
    let mut roar = Steep::low(take.same.octaves(180.0, 450.0));
    let mut hiss = Steep::high(3_000.0);
    let (flames, breath) = (take.same.range(0.1, 0.6), take.same.range(0.004, 0.03));
    let mut flicker = Drift::new(take.each.noise(), 0.12, 0.3, 1.0);
    for sample in out.iter_mut() {
        let x = noise.tick();
        *sample = flicker.tick() * flames * roar.tick(x) + breath * hiss.tick(x);
    }
    let crackles = (take.same.octaves(14.0, 45.0) * n as f32 / RATE) as usize + 3;
    for _ in 0..crackles {
        let at = take.each.below(n);
        let hz = take.each.octaves(900.0, 6_000.0);
        let level = take.each.unit();
        let fall = take.each.octaves(0.004, 0.03);
        burst(
            out,
            at,
            &mut noise,
            hz,
            hz * 0.7,
            fall,
            0.06 + 0.8 * level * level * level,
        );
    }
}
