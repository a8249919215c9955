//! Memory of a LoRA step on a checkpoint in a published shape: `cargo run --release -p aurola-train --example
//! lora_memory -- DIR [PAIRS] [CHUNK] [f32|bf16]`.
//!
//! Rank 128 on every linear layer of both towers, layers computed again, pairs of 10 s of sound and a caption
//! of 40 tokens. `tools/make_3b.py DIR --layers 1 --audio-layers 1` writes one layer of the 3B shape; with two
//! layers beside it, what a layer adds can be told from what is there once.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use aurola_audio::{MelConfig, MelFilters, log_mel};
use aurola_model::config::ThinkerConfig;
use aurola_model::text::Prompt;
use aurola_model::weights::{Checkpoint, Weights};
use aurola_train::collective::Alone;
use aurola_train::loss::{ClusterSet, HybridNceConfig, OverlapRule};
use aurola_train::optimizer::{AdamW, AdamWConfig};
use aurola_train::step::{Item, Pair, Products, StepConfig, contrastive};
use aurola_train::thinker::{Gradients, LoraConfig, Scope, Source, Thinker};

const SECONDS: usize = 10;
const TEXT_TOKENS: usize = 40;
const AROUND: usize = 39;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let dir = Path::new(arguments.first().ok_or("give a checkpoint's folder")?);
    let number =
        |at: usize, otherwise: usize| arguments.get(at).map_or(Ok(otherwise), |n| n.parse());
    let (pairs, chunk) = (number(1, 8)?, number(2, 1)?);
    let products = match arguments.get(3).map(String::as_str) {
        Some("f32") => Products::F32,
        _ => Products::Bf16,
    };
    let config = ThinkerConfig::read(dir)?;
    let checkpoint = Checkpoint::open(dir)?;
    let source = Source::Checkpoint(Weights::thinker(&checkpoint, None)?);
    let scope = Scope {
        tensors: Vec::new(),
        lora: Some(LoraConfig::default()),
    };
    let before = resident("RssAnon:");
    let (thinker, mut parameters) = Thinker::new(&config, &source, &scope)?;
    let mut optimizer = AdamW::new(AdamWConfig::default(), &parameters.lengths())?;
    let mut gradients = Gradients::zeros(&parameters);
    let state = resident("RssAnon:") - before;
    let pairs = batch(&config, pairs)?;
    let step = StepConfig {
        chunk,
        products,
        recompute: true,
        memory: 0,
        dropout: 1,
    };
    let step = StepConfig {
        // What the chunk needs and no more, so that chunks are computed twice as in a large batch.
        memory: thinker.tape_bytes(&sample(&pairs[0].audio), true) * chunk as u64 * 11 / 10,
        ..step
    };
    let began = Instant::now();
    let loss = HybridNceConfig::default();
    let rule = OverlapRule::IdenticalSets;
    let found = contrastive(
        &thinker,
        &parameters,
        &pairs,
        &loss,
        rule,
        &step,
        &mut Alone,
        &mut gradients,
    )?;
    optimizer.step(&mut parameters.values_mut(), &gradients.as_slices(), 1e-4);
    println!(
        "{} audio and {} language layers, {} pairs, chunks of {} computed {}, {products:?}: {:.1} s",
        config.audio.encoder_layers,
        config.text.num_hidden_layers,
        pairs.len(),
        found.chunk,
        if found.twice { "twice" } else { "once" },
        began.elapsed().as_secs_f64()
    );
    println!("trained numbers: {:.1} M", parameters.count() as f64 / 1e6);
    println!(
        "parameters, gradients, moments: {:.3} GiB (by count {:.3})",
        state,
        parameters.count() as f64 * 16.0 / GIB
    );
    println!(
        "way back of a pair's sound, by the formula: {:.3} GiB",
        thinker.tape_bytes(&sample(&pairs[0].audio), true) as f64 / GIB
    );
    println!(
        "own memory now: {:.3} GiB; at its peak, pages of the checkpoint included: {:.3} GiB",
        resident("RssAnon:"),
        resident("VmHWM:")
    );
    Ok(())
}

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

fn sample(item: &Item) -> aurola_train::thinker::Sample<'_> {
    aurola_train::thinker::Sample {
        prompt: &item.prompt,
        mel: item.mel.as_deref(),
        keep: &item.keep,
    }
}

fn batch(config: &ThinkerConfig, pairs: usize) -> Result<Vec<Pair>, Box<dyn Error>> {
    let filters = MelFilters::new(&MelConfig::default())?;
    (0..pairs)
        .map(|pair| {
            let tone = |i: usize| (i as f32 * (0.02 + pair as f32 * 0.003)).sin() * 0.3;
            let samples: Vec<f32> = (0..SECONDS * 16_000).map(tone).collect();
            let mel = log_mel(&samples, &filters)?;
            let tokens = config.audio.tokens(mel.n_frames());
            let ids = |n: usize| {
                (0..n as u32)
                    .map(|i| (i * 37 + pair as u32 * 101) % 50_000)
                    .collect()
            };
            let audio = Prompt {
                ids: ids(tokens + AROUND),
                audio_at: Some(15..15 + tokens),
                pooled: tokens + AROUND - 1,
            };
            let text = Prompt {
                ids: ids(TEXT_TOKENS),
                audio_at: None,
                pooled: TEXT_TOKENS - 1,
            };
            Ok(Pair {
                audio: Item::embedding(audio, Some(mel)),
                text: Item::embedding(text, None),
                clusters: ClusterSet::default(),
            })
        })
        .collect()
}

/// A line of `/proc/self/status`, in GiB.
fn resident(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found = status.lines().find_map(|l| l.strip_prefix(line));
    let kib = found.and_then(|l| l.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or(0.0) * 1024.0 / GIB
}
