//! What is rendered: the same each time, within bounds, audible, in its place, and told apart.

use std::collections::HashSet;

use aurola_scenes::{SAMPLE_RATE, Scene, SceneConfig, families};

fn config() -> SceneConfig {
    SceneConfig::default()
}

fn single(family: &str, seed: u64, config: &SceneConfig) -> Scene {
    Scene::single(family, seed, config).expect(family)
}

fn loudest(samples: &[f32]) -> f32 {
    let rms =
        |window: &[f32]| (window.iter().map(|x| x * x).sum::<f32>() / window.len() as f32).sqrt();
    samples.chunks(1_600).map(rms).fold(0.0, f32::max)
}

#[test]
fn one_seed_is_one_scene_bit_for_bit() {
    for seed in 0..20 {
        let (a, b) = (Scene::draw(seed, &config()), Scene::draw(seed, &config()));
        assert_eq!(a.key(), b.key());
        assert!(
            a.render()
                .iter()
                .zip(b.render())
                .all(|(x, y)| x.to_bits() == y.to_bits()),
            "seed {seed}"
        );
    }
    assert_ne!(
        Scene::draw(1, &config()).render(),
        Scene::draw(2, &config()).render()
    );
}

/// The sum of all bits of some scenes, written down once: a change of sound is a change of corpus, and
/// should be meant. The same on every machine.
#[test]
fn the_corpus_is_the_one_that_was_measured() {
    let mut sum = 0_u64;
    for seed in 0..40 {
        for x in Scene::draw(seed, &config()).render() {
            sum = sum.wrapping_mul(0x0100_0000_01b3) ^ u64::from(x.to_bits());
        }
    }
    assert_eq!(sum, CORPUS, "sounds changed: write down {sum:#x}");
}

const CORPUS: u64 = 0xdc30_31e8_9096_61b6;

#[test]
fn samples_are_finite_and_within_bounds() {
    for seed in 0..300 {
        let scene = Scene::draw(seed, &config());
        let samples = scene.render();
        let length = samples.len() as f32 / SAMPLE_RATE as f32;
        assert!((length - scene.duration_s()).abs() < 1e-3);
        assert!(
            samples.iter().all(|x| x.is_finite() && x.abs() <= 0.99),
            "seed {seed}: {}",
            scene.key()
        );
    }
}

#[test]
fn every_family_alone_is_audible() {
    for family in families() {
        for seed in 0..6 {
            let samples = single(family.name(), seed, &config()).render();
            let peak = samples.iter().fold(0.0_f32, |peak, x| peak.max(x.abs()));
            let loud = loudest(&samples);
            assert!(
                peak > 0.15 && loud > 0.005,
                "{} {seed}: peak {peak}, rms {loud}",
                family.name()
            );
        }
    }
}

#[test]
fn a_thousand_seeds_are_hundreds_of_scenes() {
    let keys: HashSet<String> = (0..1_000)
        .map(|seed| Scene::draw(seed, &config()).key())
        .collect();
    assert!(keys.len() > 900, "{} keys", keys.len());
}

#[test]
fn every_family_and_every_arrangement_comes_up() {
    let keys: Vec<String> = (0..3_000)
        .map(|seed| Scene::draw(seed, &config()).key())
        .collect();
    let mut tags = HashSet::new();
    for seed in 0..3_000 {
        tags.extend(Scene::draw(seed, &config()).tags());
    }
    assert_eq!(tags.len(), families().len());
    for mark in [
        " > ",
        " & ",
        " / ",
        "[faint]",
        "[loud]",
        "[distant]",
        "[high]",
        "[low]",
        "*1",
        "*5",
    ] {
        assert!(
            keys.iter().filter(|key| key.contains(mark)).count() > 30,
            "{mark} is rare"
        );
    }
}

#[test]
fn events_lie_inside_the_clip_one_after_another() {
    for seed in 0..2_000 {
        let scene = Scene::draw(seed, &config());
        let events: Vec<_> = scene
            .timeline()
            .into_iter()
            .filter(|moment| moment.foreground)
            .collect();
        assert!(!events.is_empty());
        for event in &events {
            assert!(
                event.start_s >= 0.0 && event.start_s < event.end_s,
                "seed {seed}: {event:?}"
            );
            assert!(
                event.end_s <= scene.duration_s(),
                "seed {seed}: {event:?} of {}",
                scene.duration_s()
            );
        }
        if !scene.key().contains('&') {
            for pair in events.windows(2) {
                assert!(
                    pair[0].end_s + 0.1 < pair[1].start_s,
                    "seed {seed}: {pair:?}"
                );
            }
        }
    }
}

#[test]
fn short_clips_and_many_events_are_possible() {
    let small = SceneConfig {
        min_s: 0.5,
        max_s: 1.0,
        ..config()
    };
    let large = SceneConfig {
        min_s: 8.0,
        max_s: 12.0,
        max_events: 6,
        ..config()
    };
    for seed in 0..100 {
        assert!(Scene::draw(seed, &small).render().len() >= 8_000);
        assert!(Scene::draw(seed, &large).render().len() >= 128_000);
    }
    let most = (0..100)
        .map(|seed| Scene::draw(seed, &large).key().matches('>').count() + 1)
        .max();
    assert_eq!(most, Some(6));
}

/// Bursts of energy in `samples`: rises over a third of the greatest level after a fall under a tenth.
fn bursts(samples: &[f32]) -> usize {
    let levels: Vec<f32> = samples
        .chunks(160)
        .map(|window| window.iter().fold(0.0_f32, |peak, x| peak.max(x.abs())))
        .collect();
    let top = levels.iter().fold(0.0_f32, |top, &level| top.max(level));
    let (mut count, mut up) = (0, false);
    for level in levels {
        if !up && level > 0.33 * top {
            count += 1;
            up = true;
        } else if up && level < 0.1 * top {
            up = false;
        }
    }
    count
}

#[test]
fn the_count_in_the_key_is_the_count_in_the_sound() {
    let dry = SceneConfig {
        room: 0.0,
        ..config()
    };
    for family in [
        "dog", "knock", "beep", "car_horn", "hammer", "drum", "duck", "owl",
    ] {
        let (mut right, total) = (0, 40);
        for seed in 0..total {
            let scene = single(family, seed, &dry);
            right += usize::from(bursts(&scene.render()) == scene.timeline().len());
        }
        assert!(right >= 36, "{family}: {right} of {total} can be counted");
    }
}

/// A few numbers an ear would use: where the energy lies and how it moves.
fn features(samples: &[f32]) -> Vec<f32> {
    const EDGES: [f32; 7] = [120.0, 300.0, 700.0, 1_400.0, 2_600.0, 4_000.0, 6_500.0];
    let mut rest = samples.to_vec();
    let mut bands: Vec<Vec<f32>> = Vec::new();
    for hz in EDGES {
        let keep = (-std::f32::consts::TAU * hz / SAMPLE_RATE as f32).exp();
        let mut low = [0.0_f32; 2];
        let band: Vec<f32> = rest
            .iter_mut()
            .map(|x| {
                low[0] = *x + (low[0] - *x) * keep;
                low[1] = low[0] + (low[1] - low[0]) * keep;
                *x -= low[1];
                low[1]
            })
            .collect();
        bands.push(band);
    }
    bands.push(rest);
    let mut features = Vec::new();
    for band in &bands {
        let powers: Vec<f32> = band
            .chunks(256)
            .map(|w| w.iter().map(|x| x * x).sum::<f32>() + 1e-7)
            .collect();
        let mean = powers.iter().sum::<f32>() / powers.len() as f32;
        let log_mean = powers.iter().map(|p| p.ln()).sum::<f32>() / powers.len() as f32;
        let jumps = powers
            .windows(2)
            .map(|p| (p[1] / p[0]).ln().abs())
            .sum::<f32>()
            / powers.len() as f32;
        features.extend([mean.ln(), mean.ln() - log_mean, 2.0 * jumps]);
    }
    let level = features.iter().step_by(3).sum::<f32>() / bands.len() as f32;
    features.iter_mut().step_by(3).for_each(|x| *x -= level);
    features
}

#[test]
fn families_are_told_apart_by_simple_features() {
    let dry = SceneConfig {
        min_s: 3.0,
        max_s: 3.0,
        room: 0.3,
        ..config()
    };
    let examples = |seeds: std::ops::Range<u64>| -> Vec<Vec<Vec<f32>>> {
        families()
            .iter()
            .map(|family| {
                seeds
                    .clone()
                    .map(|seed| features(&single(family.name(), seed, &dry).render()))
                    .collect()
            })
            .collect()
    };
    let (train, test) = (examples(0..10), examples(100..105));
    let dim = train[0][0].len();
    let centre = |rows: &[Vec<f32>]| -> Vec<f32> {
        (0..dim)
            .map(|d| rows.iter().map(|row| row[d]).sum::<f32>() / rows.len() as f32)
            .collect()
    };
    let centres: Vec<Vec<f32>> = train.iter().map(|rows| centre(rows)).collect();
    let (mut right, mut total) = (0, 0);
    for (family, rows) in test.iter().enumerate() {
        for row in rows {
            let far = |centre: &[f32]| {
                centre
                    .iter()
                    .zip(row)
                    .map(|(a, b)| (a - b) * (a - b))
                    .sum::<f32>()
            };
            let nearest =
                (0..centres.len()).min_by(|&a, &b| far(&centres[a]).total_cmp(&far(&centres[b])));
            right += usize::from(nearest == Some(family));
            total += 1;
        }
    }
    let share = right as f32 / total as f32;
    println!(
        "nearest centroid: {right} of {total} among {} families",
        families().len()
    );
    assert!(
        share > 0.35,
        "{right} of {total} among {} families",
        families().len()
    );
}
