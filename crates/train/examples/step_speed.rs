//! Seconds of a training step at the shape of `tools/bench_training.py`, for comparing with it in one run:
//! `RAYON_NUM_THREADS=2 cargo run --release -p aurola-train --example step_speed -- [f32|bf16] [STEPS] [CHUNK]`.
//!
//! 48 pairs of random log-mel of 4 s and captions of 40 tokens, symmetric InfoNCE, whole tensors, AdamW. One
//! warm-up step, then each step's wall and CPU seconds; the median and the peak memory at the end.

use std::error::Error;
use std::time::Instant;

use aurola_audio::{MelConfig, MelFilters, log_mel};
use aurola_compute::keep_freed_memory;
use aurola_model::config::ThinkerConfig;
use aurola_model::text::Prompt;
use aurola_train::collective::Alone;
use aurola_train::loss::{ClusterSet, Direction, HybridNceConfig, OverlapRule};
use aurola_train::optimizer::{AdamW, AdamWConfig};
use aurola_train::step::{Item, Pair, Products, StepConfig, contrastive};
use aurola_train::thinker::{Gradients, Scope, Source, Thinker};

const PAIRS: usize = 48;
const SECONDS: usize = 4;
const TEXT_TOKENS: usize = 40;
/// Ids around the placeholders of a clip.
const AROUND: usize = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let products = match arguments.next().as_deref() {
        None | Some("f32") => Products::F32,
        Some("bf16") => Products::Bf16,
        Some(other) => return Err(format!("{other}: f32 or bf16").into()),
    };
    let steps = arguments.next().map_or(Ok(5), |n| n.parse::<usize>())?;
    let chunk = arguments.next().map_or(Ok(16), |n| n.parse::<usize>())?;
    keep_freed_memory();
    let config = ThinkerConfig::parse(CONFIG, "config.json".as_ref())?;
    let (thinker, mut parameters) =
        Thinker::new(&config, &Source::Random(1), &Scope::everything())?;
    let pairs = pairs(&config)?;
    let step = StepConfig {
        chunk,
        products,
        recompute: false,
        memory: 16 << 30,
        dropout: 0,
    };
    let loss = HybridNceConfig {
        direction: Direction::Symmetric,
        ..HybridNceConfig::info_nce(0.05)
    };
    let mut optimizer = AdamW::new(AdamWConfig::default(), &parameters.lengths())?;
    let mut gradients = Gradients::zeros(&parameters);
    let mut taken = Vec::new();
    for number in 0..=steps {
        let (wall, cpu) = (Instant::now(), cpu_seconds());
        gradients.clear();
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
        let (wall, cpu) = (wall.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        println!(
            "step {number}: loss {:.5}, {wall:.3} s wall, {cpu:.3} CPU s",
            found.loss
        );
        if number > 0 {
            taken.push((wall, cpu));
        }
    }
    let median = |of: fn(&(f64, f64)) -> f64| {
        let mut all: Vec<f64> = taken.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    println!(
        "{} parameters, {products:?}, {} threads: {:.3} s wall, {:.3} CPU s (medians of {steps}), peak {:.2} GiB",
        parameters.count(),
        rayon::current_num_threads(),
        median(|t| t.0),
        median(|t| t.1),
        peak_gib()
    );
    Ok(())
}

fn pairs(config: &ThinkerConfig) -> Result<Vec<Pair>, Box<dyn Error>> {
    let filters = MelFilters::new(&MelConfig::default())?;
    let mut state = 1_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 33
    };
    let mut all = Vec::new();
    for _ in 0..PAIRS {
        let samples: Vec<f32> = (0..SECONDS * 16_000)
            .map(|_| random() as f32 / (1_u64 << 31) as f32 - 0.5)
            .collect();
        let mel = log_mel(&samples, &filters)?;
        let tokens = config.audio.tokens(mel.n_frames());
        let mut ids = |n: usize| -> Vec<u32> { (0..n).map(|_| (random() as u32) % 4000).collect() };
        let audio = Prompt {
            ids: ids(tokens + AROUND),
            audio_at: Some(4..4 + tokens),
            pooled: tokens + AROUND - 1,
        };
        let text = Prompt {
            ids: ids(TEXT_TOKENS),
            audio_at: None,
            pooled: TEXT_TOKENS - 1,
        };
        all.push(Pair {
            audio: Item::embedding(audio, Some(mel)),
            text: Item::embedding(text, None),
            clusters: ClusterSet::default(),
        });
    }
    Ok(all)
}

/// Of this process, user and system, by the system's clock ticks of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(") ").next().unwrap_or_default();
    let fields: Vec<&str> = after.split(' ').collect();
    let ticks = |i: usize| {
        fields
            .get(i)
            .and_then(|f| f.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    (ticks(11) + ticks(12)) / 100.0
}

fn peak_gib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kib = line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0 / 1024.0
}

const CONFIG: &str = r#"{
    "model_type": "qwen2_5_omni_thinker", "tie_word_embeddings": true,
    "audio_config": {"num_mel_bins": 128, "d_model": 192, "encoder_layers": 4, "encoder_attention_heads": 4,
        "encoder_ffn_dim": 768, "n_window": 100, "output_dim": 256},
    "text_config": {"vocab_size": 4096, "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 4,
        "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
        "tie_word_embeddings": true}
}"#;
