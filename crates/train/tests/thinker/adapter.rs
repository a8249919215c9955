//! A run that begins with an adapter.

use std::path::{Path, PathBuf};

use aurola_model::config::ThinkerConfig;
use aurola_model::lora::Adapter;
use aurola_model::weights::{Checkpoint, Weights};
use aurola_model::{LoadOptions, Model};
use aurola_train::thinker::{LoraConfig, Parameters, Scope, Source, Thinker};

use super::{Batch, inputs, pass, tiny};

/// The committed adapter of the tiny checkpoint.
pub(super) fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/checkpoints/lora")
}

/// What that adapter changes.
pub(super) fn scope() -> Scope {
    Scope {
        tensors: Vec::new(),
        lora: Some(LoraConfig {
            r: 4,
            lora_alpha: 8.0,
            lora_dropout: 0.0,
            target_modules: vec![r"(audio_tower|model)\.layers\.\d+\..*".into()],
            ..LoraConfig::default()
        }),
    }
}

fn begin(base: &Path, scope: &Scope) -> Result<(Thinker, Parameters), String> {
    let config = ThinkerConfig::read(base).unwrap();
    let checkpoint = Checkpoint::open(base).unwrap();
    let adapter = Adapter::open(&fixture()).unwrap();
    let source = Source::Adapted {
        weights: Weights::thinker(&checkpoint, None).unwrap(),
        adapter: &adapter,
    };
    Thinker::new(&config, &source, scope).map_err(|e| e.to_string())
}

fn changed(change: impl FnOnce(&mut LoraConfig)) -> Scope {
    let mut scope = scope();
    change(scope.lora.as_mut().unwrap());
    scope
}

#[test]
fn a_run_begins_at_what_the_adapter_serves() {
    let (thinker, parameters) = begin(&tiny(), &scope()).unwrap();
    let batch = Batch::small();
    let (states, _) = thinker
        .forward(&pass(&parameters), &batch.samples(), false)
        .unwrap();
    let options = LoadOptions {
        adapter: Some(fixture()),
        ..LoadOptions::default()
    };
    let served = Model::load(&tiny(), &options).unwrap();
    let embeddings = served.embed(&inputs(&batch)).unwrap();
    for (state, embedding) in states.chunks_exact(thinker.hidden_size()).zip(&embeddings) {
        let norm = state.iter().map(|v| v * v).sum::<f32>().sqrt();
        for (a, b) in state.iter().zip(embedding.as_slice()) {
            assert!((a / norm - b).abs() < 2e-6, "{} against {b}", a / norm);
        }
    }
}

#[test]
fn an_adapter_that_the_scope_does_not_describe_is_refused_naming_both() {
    let q_proj = r"model\.layers\.0\.self_attn\.q_proj";
    for (scope, parts) in [
        (changed(|l| l.r = 16), &["rank 4", "rank 16"][..]),
        (
            changed(|l| l.lora_alpha = 12.0),
            &["scaled by 2", "over rank, 3"],
        ),
        (
            changed(|l| l.rank_pattern = vec![(q_proj.into(), 2)]),
            &["model.layers.0.self_attn.q_proj at rank 4", "rank 2"],
        ),
        (
            changed(|l| l.target_modules.push(r"audio_tower\.proj".into())),
            &[
                "`lora.target_modules` matches audio_tower.proj",
                "does not change",
            ],
        ),
        (
            changed(|l| l.target_modules = vec![r"model\.layers\..*".into()]),
            &["the adapter changes audio_tower.layers.0", "no pattern"],
        ),
        (Scope::everything(), &["the adapter changes", "no pattern"]),
    ] {
        let error = begin(&tiny(), &scope).unwrap_err();
        for part in parts {
            assert!(error.contains(part), "{error} does not say {part:?}");
        }
    }
}

#[test]
fn an_adapter_of_another_base_is_refused() {
    let kv1 = tiny().with_file_name("kv1");
    let error = begin(&kv1, &scope()).unwrap_err();
    assert!(
        error.contains("adapter_model") || error.contains("lora_A"),
        "{error}"
    );
    // A base of the same shapes with a layer less.
    let mut config = ThinkerConfig::read(&tiny()).unwrap();
    config.text.num_hidden_layers = 1;
    let checkpoint = Checkpoint::open(&tiny()).unwrap();
    let adapter = Adapter::open(&fixture()).unwrap();
    let source = Source::Adapted {
        weights: Weights::thinker(&checkpoint, None).unwrap(),
        adapter: &adapter,
    };
    let error = Thinker::new(&config, &source, &scope())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("model.layers.1") && error.contains("another base"),
        "{error}"
    );
}
