//! The model that is trained: the same numbers as the one that is served, and true gradients.

mod adapter;
mod gradients;
mod recorded;
mod serving;

use std::path::PathBuf;

use aurola_audio::{LogMel, MelConfig, MelFilters, log_mel};
use aurola_compute::Precision;
use aurola_model::Input;
use aurola_model::config::ThinkerConfig;
use aurola_model::text::{Prompt, PromptInput, TextOptions, TextSide};
use aurola_model::weights::{Checkpoint, Weights};
use aurola_train::thinker::{Parameters, Pass, Sample, Scope, Source, Thinker};

fn tiny() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/checkpoints/tiny")
}

/// The tiny checkpoint, of which `scope` is trained.
fn load(scope: &Scope) -> (Thinker, Parameters) {
    let config = ThinkerConfig::read(&tiny()).unwrap();
    let checkpoint = Checkpoint::open(&tiny()).unwrap();
    let source = Source::Checkpoint(Weights::thinker(&checkpoint, None).unwrap());
    Thinker::new(&config, &source, scope).unwrap()
}

fn text_side() -> TextSide {
    TextSide::load(&tiny(), &TextOptions::default()).unwrap()
}

fn pass(parameters: &Parameters) -> Pass<'_> {
    Pass {
        parameters,
        precision: Precision::F32,
        recompute: false,
        dropout: None,
    }
}

/// A clip of `seconds` whose pitch rises.
fn clip(seconds: f32, pitch: f32) -> LogMel {
    let samples: Vec<f32> = (0..(seconds * 16_000.0) as usize)
        .map(|i| {
            let t = i as f32 / 16_000.0;
            0.3 * (t * (pitch + 40.0 * t) * std::f32::consts::TAU).sin() * (1.0 + (t * 9.0).sin())
        })
        .collect();
    log_mel(&samples, &MelFilters::new(&MelConfig::default()).unwrap()).unwrap()
}

const CAPTIONS: [&str; 2] = ["a dog barks", "rain falls on a tin roof while a bell rings"];

/// What the model that is served takes for the same batch.
fn inputs(batch: &Batch) -> Vec<Input<'_>> {
    let mut captions = CAPTIONS.into_iter();
    batch
        .samples()
        .iter()
        .map(|s| {
            s.mel
                .map_or_else(|| Input::Text(captions.next().unwrap()), Input::Audio)
        })
        .collect()
}

/// Prompts, clips and positions of a small batch: three clips of odd lengths, two sentences.
struct Batch {
    items: Vec<(Prompt, Option<LogMel>, Vec<usize>)>,
}

impl Batch {
    fn small() -> Self {
        let text = text_side();
        let config = ThinkerConfig::read(&tiny()).unwrap();
        let clips = [clip(0.5, 300.0), clip(2.37, 900.0), clip(0.81, 150.0)];
        let mut items: Vec<_> = clips
            .into_iter()
            .map(|mel| {
                let tokens = config.audio.tokens(mel.n_frames());
                let prompt = text.embedding_prompt(PromptInput::Audio(tokens)).unwrap();
                (prompt, Some(mel))
            })
            .collect();
        for caption in CAPTIONS {
            items.push((
                text.embedding_prompt(PromptInput::Text(caption)).unwrap(),
                None,
            ));
        }
        Self {
            items: items
                .into_iter()
                .map(|(prompt, mel)| {
                    let keep = vec![prompt.pooled];
                    (prompt, mel, keep)
                })
                .collect(),
        }
    }

    fn samples(&self) -> Vec<Sample<'_>> {
        self.items
            .iter()
            .map(|(prompt, mel, keep)| Sample {
                prompt,
                mel: mel.as_ref(),
                keep,
            })
            .collect()
    }
}
