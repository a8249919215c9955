//! Engines, motors and what they drive.

use super::{Family, Take};
use crate::dsp::curve::{line, shape};
use crate::dsp::filter::{Band, Soften, Steep, drive};
use crate::dsp::grain::{Mode, burst, strike};
use crate::dsp::source::{Drift, Osc};
use crate::dsp::{RATE, samples};

pub(super) const FAMILIES: &[Family] = &[
    Family::backdrop("engine", "engine idling", engine, 0.9)
        .kin("motor")
        .nouns(&[
            "idling engine",
            "~engine idling",
            "running engine",
            "~the hum of a car engine",
            "idling motor",
            "truck engine",
            "~a car engine running",
            "diesel engine",
        ])
        .acts(&[
            "an engine|idles|idling",
            "a car engine|runs|running",
            "a motor|runs|running",
            "a truck|idles|idling",
            "a diesel engine|rumbles|rumbling",
        ]),
    Family::events("car_passing", "car passing by", car_passing, (1.4, 2.6), 2)
        .nouns(&[
            "passing car*",
            "car pass-by*",
            "car* passing by",
            "vehicle* driving past",
            "passing vehicle*",
            "car* driving by",
        ])
        .acts(&[
            "a car|passes by|passing by",
            "a car|drives past|driving past",
            "a vehicle|goes by|going by",
            "a car|whooshes past|whooshing past",
            "a car|speeds past|speeding past",
        ]),
    Family::texture("motorcycle", "motorcycle", motorcycle, 1.1)
        .kin("motor")
        .nouns(&[
            "motorcycle",
            "revving motorbike",
            "~motorcycle engine revving",
            "motorbike",
            "~a motorcycle accelerating",
            "scooter engine",
            "revving motorcycle",
        ])
        .acts(&[
            "a motorcycle|revs its engine|revving its engine",
            "a motorbike|accelerates|accelerating",
            "a motorcycle|roars|roaring",
            "someone|revs a motorbike|revving a motorbike",
        ]),
    Family::backdrop("helicopter", "helicopter", helicopter, 1.0)
        .kin("aircraft")
        .nouns(&[
            "helicopter",
            "hovering helicopter",
            "~helicopter blades",
            "~the chop of helicopter rotors",
            "chopper",
            "~a helicopter overhead",
            "~helicopter noise",
        ])
        .acts(&[
            "a helicopter|flies overhead|flying overhead",
            "a helicopter|hovers|hovering",
            "helicopter blades|chop the air|chopping the air",
            "a chopper|flies by|flying by",
        ]),
    Family::backdrop("airplane", "airplane", airplane, 1.2)
        .kin("aircraft")
        .nouns(&[
            "airplane",
            "~a jet overhead",
            "~aircraft noise",
            "jet plane",
            "passing aeroplane",
            "~jet engine noise",
            "plane",
            "aircraft",
        ])
        .acts(&[
            "an airplane|flies overhead|flying overhead",
            "a jet|flies by|flying by",
            "a plane|passes overhead|passing overhead",
            "an aircraft|flies over|flying over",
            "a jet engine|roars|roaring",
        ]),
    Family::texture("chainsaw", "chainsaw", chainsaw, 1.0)
        .kin("motor")
        .nouns(&[
            "chainsaw",
            "running chainsaw",
            "~chainsaw noise",
            "buzzing chainsaw",
            "~a chainsaw cutting wood",
            "revving chainsaw",
            "power saw",
        ])
        .acts(&[
            "a chainsaw|runs|running",
            "a chainsaw|cuts wood|cutting wood",
            "someone|uses a chainsaw|using a chainsaw",
            "a chainsaw|revs|revving",
            "a chainsaw|buzzes|buzzing",
        ]),
    Family::texture("drill", "electric drill", drill, 0.8)
        .pitched()
        .kin("power tool")
        .nouns(&[
            "electric drill",
            "power drill",
            "~drilling",
            "~the whir of a drill",
            "~a drill boring a hole",
            "whirring drill",
            "drilling machine",
        ])
        .acts(&[
            "a drill|whirs|whirring",
            "someone|drills a hole|drilling a hole",
            "an electric drill|runs|running",
            "a power drill|whines|whining",
            "a drill|bores into a wall|boring into a wall",
        ]),
    Family::backdrop("vacuum", "vacuum cleaner", vacuum, 0.9)
        .kin("power tool")
        .nouns(&[
            "vacuum cleaner",
            "hoover",
            "~vacuum cleaner noise",
            "~vacuuming",
            "running vacuum cleaner",
            "~the hum of a vacuum cleaner",
            "vacuum",
        ])
        .acts(&[
            "a vacuum cleaner|runs|running",
            "someone|vacuums the floor|vacuuming the floor",
            "a vacuum cleaner|hums|humming",
            "someone|hoovers a carpet|hoovering a carpet",
        ]),
    Family::backdrop("train", "train on rails", train, 1.3)
        .nouns(&[
            "passing train",
            "~train wheels on rails",
            "~the clatter of a train",
            "~a train on the tracks",
            "~railway noise",
            "moving train",
            "rattling train",
        ])
        .acts(&[
            "a train|passes|passing",
            "a train|rattles along the tracks|rattling along the tracks",
            "train wheels|clatter on rails|clattering on rails",
            "a train|rolls by|rolling by",
        ]),
];

fn engine(take: &mut Take, out: &mut [f32]) {
    let firing = take.same.octaves(16.0, 42.0);
    let mut noise = take.each.noise();
    let mut crank = Osc::new(firing);
    let mut bodies = [
        (Band::new(take.same.octaves(55.0, 110.0), 40.0), 1.4),
        (Band::new(take.same.octaves(130.0, 240.0), 80.0), 1.0),
        (
            Band::new(take.same.octaves(350.0, 800.0), 250.0),
            take.same.range(0.2, 0.8),
        ),
    ];
    let rattle = take.same.range(0.02, 0.3);
    let mut pan = Steep::high(take.same.octaves(700.0, 1_800.0));
    let mut revs = Drift::new(take.each.noise(), 0.5, 0.96, 1.05);
    let uneven = take.same.range(0.1, 0.5);
    let (mut push, mut knock) = (0.0, 0.0);
    for sample in out {
        crank.tune(firing * revs.tick());
        if crank.advance() {
            push = 6.0 * (1.0 - uneven * noise.unit());
            knock = 1.0;
        }
        push *= 0.97;
        knock *= 0.985;
        let x = push - 0.6 * crank.phase() + 0.15 * noise.tick();
        let mut sum = rattle * knock * pan.tick(noise.tick());
        for (body, level) in &mut bodies {
            sum += body.tick(x) * *level;
        }
        *sample = sum;
    }
}

fn car_passing(take: &mut Take, out: &mut [f32]) {
    let n = out.len();
    let mut noise = take.each.noise();
    let middle = take.each.range(0.35, 0.6);
    let steepness = take.same.range(0.1, 0.22);
    let mut tyres = Soften::new(1_000.0);
    let mut bass = Steep::high(90.0);
    let base = take.same.octaves(60.0, 130.0);
    let mut motor = Osc::new(base);
    let mut hood = Soften::new(500.0);
    let share = take.same.range(0.05, 0.4);
    let bright = take.same.range(0.25, 0.5);
    for (chunk, samples) in out.chunks_mut(32).enumerate() {
        let at = chunk as f32 * 32.0 / n as f32;
        let far = (at - middle) / steepness;
        let near = 1.0 / (1.0 + far * far);
        tyres.keep(0.93 - bright * near);
        // Doppler: from 6 % above to 6 % below, quickest when nearest.
        motor.tune(base * (1.0 - 0.06 * far / (1.0 + far.abs())));
        for sample in samples {
            let road = tyres.low(bass.tick(noise.tick()));
            *sample = near * (road + share * hood.low(motor.saw()));
        }
    }
    shape(out, &[(0.0, 0.0), (0.15, 1.0), (0.85, 1.0), (1.0, 0.0)]);
}

/// Pitch of a hand on a throttle: `(moment, factor)` points that blip up to `high` and fall back.
fn throttle(take: &mut Take, n: usize, high: f32) -> Vec<(f32, f32)> {
    let mut points = vec![(0.0, 1.0)];
    let step = RATE / n as f32;
    let mut at = take.each.range(0.05, 0.4) * step;
    while at < 1.0 {
        let top = 1.0 + (high - 1.0) * take.each.range(0.5, 1.0);
        points.push((at, 1.0));
        at += take.each.range(0.12, 0.5) * step;
        points.push((at, top));
        at += take.each.range(0.05, 0.6) * step;
        points.push((at, top * take.each.about(0.08)));
        at += take.each.range(0.2, 0.5) * step;
        points.push((at, 1.0));
        at += take.each.range(0.05, 0.4) * step;
    }
    points
}

fn motorcycle(take: &mut Take, out: &mut [f32]) {
    let n = out.len();
    let idle = take.same.octaves(38.0, 75.0);
    let high = take.same.range(1.6, 3.2);
    let revs = throttle(take, n, high);
    let mut noise = take.each.noise();
    let mut first = Osc::new(idle);
    let mut pipe = Band::new(take.same.octaves(160.0, 330.0), 120.0);
    let mut muffler = Band::new(take.same.octaves(500.0, 1_100.0), 400.0);
    let mut dull = Soften::new(take.same.octaves(1_200.0, 3_500.0));
    let hiss = take.same.range(0.05, 0.25);
    let mut uneven = 1.0;
    for (chunk, samples) in out.chunks_mut(32).enumerate() {
        let factor = line(&revs, chunk as f32 * 32.0 / n as f32);
        first.tune(idle * factor);
        let level = 0.35 + 0.65 * (factor - 1.0) / (high - 1.0);
        for sample in samples {
            let x = first.pulse(0.18);
            if first.phase() < idle * factor / RATE {
                uneven = 0.7 + 0.6 * noise.unit();
            }
            let x = drive(3.0 * uneven * x) + hiss * noise.tick();
            *sample = level * (2.0 * pipe.tick(x) + muffler.tick(x) + 0.5 * dull.low(x));
        }
    }
}

fn helicopter(take: &mut Take, out: &mut [f32]) {
    let rotor = take.same.octaves(9.0, 17.0);
    let mut blade = Osc::at(rotor, take.each.unit());
    let mut noise = take.each.noise();
    let mut thump = Steep::low(take.same.octaves(90.0, 220.0));
    let mut chop = Band::new(take.same.octaves(300.0, 900.0), 500.0);
    let mut wash = Soften::new(take.same.octaves(700.0, 2_000.0));
    let mut turbine = Osc::new(take.same.octaves(800.0, 2_200.0));
    let whine = take.same.range(0.0, 0.08);
    let sharp = take.same.range(0.2, 0.5);
    let mut near = Drift::new(take.each.noise(), 1.0, 0.65, 1.0);
    let mut slap = 0.0;
    let fall = 1.0 - 30.0 / RATE;
    for sample in out {
        if blade.advance() {
            slap = 1.0;
        }
        slap *= fall;
        let x = noise.tick();
        let body = 5.0 * thump.tick(x + 2.0 * slap * sharp) * (0.2 + slap);
        let air = chop.tick(x) * (0.1 + 1.6 * slap) + 0.3 * wash.low(x) * (0.3 + 0.7 * slap);
        *sample = near.tick() * (body + air + whine * turbine.sine());
    }
}

fn airplane(take: &mut Take, out: &mut [f32]) {
    let n = out.len();
    let propeller = take.same.chance(0.35);
    let mut noise = take.each.noise();
    let mut roar = Soften::new(take.same.octaves(250.0, 900.0));
    let mut body = Band::new(take.same.octaves(120.0, 300.0), 200.0);
    let drone = if propeller {
        take.same.octaves(70.0, 120.0)
    } else {
        take.same.octaves(900.0, 2_400.0)
    };
    let mut tone = Osc::new(drone);
    let mut beat = Osc::new(drone * 1.013);
    let share = if propeller {
        take.same.range(0.4, 1.0)
    } else {
        take.same.range(0.02, 0.12)
    };
    let mut dull = Soften::new(if propeller { 500.0 } else { 3_000.0 });
    let fall = take.same.range(0.02, 0.2);
    let swell = take.each.range(0.1, 0.9);
    for (chunk, samples) in out.chunks_mut(64).enumerate() {
        let at = chunk as f32 * 64.0 / n as f32;
        let near = 1.0 - 0.6 * (at - swell).abs();
        tone.tune(drone * (1.0 - fall * at));
        beat.tune(drone * 1.013 * (1.0 - fall * at));
        for sample in samples {
            let x = noise.tick();
            let hum = dull.low(tone.saw() + beat.saw());
            *sample = near * (1.2 * roar.low(x) + body.tick(x) + share * hum);
        }
    }
}

fn chainsaw(take: &mut Take, out: &mut [f32]) {
    let n = out.len();
    let idle = take.same.octaves(55.0, 95.0);
    let high = take.same.range(1.5, 2.6);
    let revs = throttle(take, n, high);
    let mut noise = take.each.noise();
    let mut two_stroke = Osc::new(idle);
    let mut chain = Band::new(take.same.octaves(1_800.0, 3_200.0), 1_200.0);
    let mut casing = Band::new(take.same.octaves(700.0, 1_300.0), 500.0);
    let mut bass = Steep::high(100.0);
    let rasp = take.same.range(0.4, 1.0);
    let mut uneven = 1.0;
    for (chunk, samples) in out.chunks_mut(32).enumerate() {
        let factor = line(&revs, chunk as f32 * 32.0 / n as f32);
        let hz = idle * factor * 1.3;
        two_stroke.tune(hz);
        let effort = ((factor - 1.0) / (high - 1.0)).clamp(0.0, 1.2);
        for sample in samples {
            let saw = two_stroke.saw();
            if two_stroke.phase() < hz / RATE {
                uneven = 0.75 + 0.5 * noise.unit();
            }
            let x = drive(4.0 * saw * uneven);
            let teeth = rasp * effort * noise.tick() * (0.6 + 0.4 * saw);
            *sample = (0.4 + 0.6 * effort)
                * (0.5 * bass.tick(x) + casing.tick(x) + chain.tick(x + teeth));
        }
    }
}

fn drill(take: &mut Take, out: &mut [f32]) {
    let n = out.len();
    let top = take.tuned(260.0, 620.0);
    let spin = (take.same.range(0.08, 0.3) * RATE / n as f32).min(0.3);
    let load = take.same.range(0.8, 0.98);
    let path = [
        (0.0, top * 0.3),
        (spin, top),
        (0.5, top * load),
        (1.0 - spin * 0.6, top * load),
        (1.0, top * 0.35),
    ];
    let mut noise = take.each.noise();
    let mut motor = Osc::new(top);
    let mut gear = Osc::new(top);
    let ratio = take.same.range(4.3, 7.7);
    let mut shell = Band::new(take.same.octaves(1_000.0, 2_200.0), 700.0);
    let mut bite = Band::new(take.same.octaves(2_500.0, 4_500.0), 2_000.0);
    let (teeth, grit) = (take.same.range(0.05, 0.3), take.same.range(0.1, 0.5));
    let mut shake = Drift::new(take.each.noise(), 0.03, 0.985, 1.015);
    for (chunk, samples) in out.chunks_mut(32).enumerate() {
        let hz = line(&path, chunk as f32 * 32.0 / n as f32);
        for sample in samples {
            let now = hz * shake.tick();
            motor.tune(now);
            gear.tune(now * ratio);
            let x = motor.saw() + teeth * gear.sine();
            *sample = 0.5 * x + shell.tick(x) + grit * bite.tick(noise.tick());
        }
    }
}

fn vacuum(take: &mut Take, out: &mut [f32]) {
    let mut noise = take.each.noise();
    let hum = take.same.octaves(180.0, 420.0);
    let mut motor = Osc::new(hum);
    let mut whine = Osc::new(hum * take.same.range(6.0, 12.0));
    let mut dull = Soften::new(1_200.0);
    let mut nozzle = Band::new(
        take.same.octaves(700.0, 1_800.0),
        take.same.range(500.0, 1_500.0),
    );
    let mut air = Soften::new(take.same.octaves(2_500.0, 6_000.0));
    let (tone, shrill) = (take.same.range(0.12, 0.5), take.same.range(0.02, 0.12));
    let mut load = Drift::new(take.each.noise(), 0.7, 0.97, 1.03);
    for sample in out {
        let push = load.tick();
        motor.tune(hum * push);
        let x = noise.tick();
        *sample = 0.4 * air.low(x)
            + nozzle.tick(x)
            + tone * dull.low(motor.saw())
            + shrill * whine.sine();
    }
}

fn train(take: &mut Take, out: &mut [f32]) {
    let mut noise = take.each.noise();
    let mut rumble = Soften::new(take.same.octaves(150.0, 450.0));
    let mut squeal = Band::new(take.same.octaves(1_500.0, 3_000.0), 500.0);
    let grind = take.same.range(0.02, 0.15);
    let mut roll = Drift::new(take.each.noise(), 0.25, 0.6, 1.0);
    for sample in out.iter_mut() {
        let x = noise.tick();
        *sample = roll.tick() * (0.8 * rumble.low(x) + grind * squeal.tick(x));
    }
    let joint = take.same.range(0.42, 0.85);
    let axle = take.same.range(0.1, 0.16);
    let steel = take.same.octaves(280.0, 620.0);
    let ring = take.same.range(0.05, 0.14);
    let mut at = take.each.range(0.0, 0.3);
    while samples(at) < out.len() {
        for wheel in 0..2 {
            let start = samples(at + wheel as f32 * axle);
            let level = take.each.range(0.7, 1.0);
            strike(
                out,
                start,
                &[
                    Mode {
                        hz: steel,
                        ring_s: ring,
                        level: 0.6 * level,
                    },
                    Mode {
                        hz: steel * 2.71,
                        ring_s: ring * 0.7,
                        level: 0.3 * level,
                    },
                ],
            );
            burst(out, start, &mut noise, 1_300.0, 1_400.0, 0.06, 0.8 * level);
        }
        at += joint * take.each.about(0.03);
    }
}
