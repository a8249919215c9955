//! How fast scenes and captions are made, on one core.
//!
//! ```text
//! cargo run --release -p aurola-scenes --example speed
//! ```

use std::time::Instant;

use aurola_scenes::{Scene, SceneConfig, families};

fn main() {
    let config = SceneConfig {
        min_s: 4.0,
        max_s: 4.0,
        ..SceneConfig::default()
    };
    let scenes: Vec<Scene> = (0..400).map(|seed| Scene::draw(seed, &config)).collect();
    let clock = Instant::now();
    let layers: usize = scenes.iter().map(|scene| scene.tags().len()).sum();
    let mut checksum = 0.0;
    for scene in &scenes {
        checksum += scene.render()[1_000];
    }
    let render_ms = clock.elapsed().as_secs_f64() * 1e3 / scenes.len() as f64;
    println!(
        "{render_ms:.2} ms per scene of 4 s and {:.1} layers (checksum {checksum})",
        layers as f64 / scenes.len() as f64
    );

    let clock = Instant::now();
    let letters: usize = (0..20_000)
        .map(|i| scenes[i % scenes.len()].captions(i as u64).long.len())
        .sum();
    println!(
        "{:.0} captions of each kind per second ({} letters on average)",
        20_000.0 / clock.elapsed().as_secs_f64(),
        letters / 20_000
    );

    let clock = Instant::now();
    for seed in 0..20_000 {
        std::hint::black_box(Scene::draw(seed, &config));
    }
    println!(
        "{:.1} µs per draw",
        clock.elapsed().as_secs_f64() * 1e6 / 20_000.0
    );

    let mut slow: Vec<(f64, &str)> = families()
        .iter()
        .map(|family| {
            let clock = Instant::now();
            for seed in 0..10 {
                std::hint::black_box(
                    Scene::single(family.name(), seed, &config).map(|scene| scene.render()),
                );
            }
            (clock.elapsed().as_secs_f64() * 100.0, family.name())
        })
        .collect();
    slow.sort_by(|a, b| b.0.total_cmp(&a.0));
    println!("slowest alone:");
    for (ms, name) in &slow[..8] {
        println!("  {ms:6.2} ms  {name}");
    }
}
