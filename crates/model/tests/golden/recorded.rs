//! Reading what Python recorded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aurola_audio::{Clip, Limits, LogMel, MelConfig, MelFilters, log_mel, read_whole};
use aurola_model::{DtypeChoice, LoadOptions, Model, PromptPreset};
use serde::Deserialize;

/// A checkpoint and what Python computed with it.
pub(crate) struct Recording {
    pub(crate) checkpoint: PathBuf,
    pub(crate) adapter: Option<PathBuf>,
    pub(crate) golden: Golden,
    pub(crate) sounds: PathBuf,
}

pub(crate) struct Golden {
    file: File,
    tensors: BTreeMap<String, Tensor>,
}

pub(crate) struct Tensor {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f32>,
    pub(crate) ids: Vec<u32>,
}

#[derive(Deserialize)]
struct File {
    adapter: Option<String>,
    checkpoint: Option<String>,
    sounds: Option<String>,
    presets: Option<Vec<String>>,
    audio: Vec<ClipItem>,
    text: Vec<TextItem>,
    #[serde(default)]
    audio_text: Vec<TextItem>,
    #[serde(default)]
    rerank: Vec<RerankItem>,
    #[serde(default)]
    caption: Vec<CaptionItem>,
}

#[derive(Deserialize)]
pub(crate) struct ClipItem {
    pub(crate) file: String,
    pub(crate) n_frames: usize,
}

#[derive(Deserialize)]
pub(crate) struct TextItem {
    #[serde(default)]
    pub(crate) file: String,
    pub(crate) text: String,
}

#[derive(Deserialize)]
pub(crate) struct RerankItem {
    pub(crate) direction: String,
    pub(crate) audio: serde_json::Value,
    pub(crate) text: serde_json::Value,
}

#[derive(Deserialize)]
pub(crate) struct CaptionItem {
    pub(crate) audio: String,
    /// By how much the chosen token led at its closest: where that is less than rounding, another
    /// order of sums may choose another.
    pub(crate) smallest_lead: f32,
}

impl Recording {
    pub(crate) fn open(checkpoint: &Path, golden: &Path) -> Self {
        let text = std::fs::read_to_string(golden.join("golden.json")).unwrap();
        let file: File = serde_json::from_str(&text).unwrap();
        let bytes = std::fs::read(golden.join("golden.safetensors")).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes)
            .unwrap()
            .tensors()
            .into_iter()
            .map(|(name, view)| {
                let words: Vec<[u8; 4]> = view
                    .data()
                    .chunks_exact(4)
                    .map(|b| b.try_into().unwrap())
                    .collect();
                let integers = view.dtype() == safetensors::Dtype::I32;
                let tensor = Tensor {
                    shape: view.shape().to_vec(),
                    values: words.iter().map(|b| f32::from_le_bytes(*b)).collect(),
                    ids: if integers {
                        words.iter().map(|b| u32::from_le_bytes(*b)).collect()
                    } else {
                        vec![]
                    },
                };
                (name, tensor)
            })
            .collect();
        // An adapter's folder has no model of its own: its base stands beside it.
        let (checkpoint, adapter) = match (&file.adapter, &file.checkpoint) {
            (Some(adapter), Some(base)) => {
                let beside = golden.parent().unwrap();
                (beside.join(base), Some(beside.join(adapter)))
            }
            _ => (checkpoint.to_owned(), None),
        };
        let sounds = golden.join(file.sounds.as_deref().unwrap_or("../audio"));
        Self {
            checkpoint,
            adapter,
            golden: Golden { file, tensors },
            sounds,
        }
    }

    /// Loads the checkpoint to compute as the recordings did: in f32.
    pub(crate) fn model(&self, preset: PromptPreset) -> Model {
        let prompt = self.golden.has_presets().then_some(preset);
        let options = LoadOptions {
            dtype: DtypeChoice::F32,
            adapter: self.adapter.clone(),
            prompt,
            ..LoadOptions::default()
        };
        Model::load(&self.checkpoint, &options).unwrap()
    }

    /// The clip through our decoder and front end.
    pub(crate) fn mel(&self, file: &str) -> LogMel {
        self.mel_of_first(file, f64::INFINITY)
    }

    /// At most the first `seconds` of it.
    pub(crate) fn mel_of_first(&self, file: &str, seconds: f64) -> LogMel {
        let at = self
            .golden
            .clips()
            .iter()
            .position(|c| c.file == file)
            .unwrap();
        // Where the samples were recorded, no resampler or lossy decoder stands in between.
        let mut samples = match self.golden.tensor(&format!("audio/{at}/wave")) {
            Some(wave) => wave.values.clone(),
            None => self.decode(file),
        };
        samples.truncate((seconds * 16_000.0) as usize);
        self.log_mel(&samples)
    }

    /// The clip through our decoder and resampler, whatever was recorded of it.
    pub(crate) fn decoded_mel(&self, file: &str) -> LogMel {
        self.log_mel(&self.decode(file))
    }

    fn decode(&self, file: &str) -> Vec<f32> {
        let mut clip = Clip::open(&self.sounds.join(file), &Limits::default()).unwrap();
        read_whole(&mut clip, 300.0)
            .unwrap()
            .unwrap()
            .window
            .samples
    }

    fn log_mel(&self, samples: &[f32]) -> LogMel {
        log_mel(samples, &MelFilters::new(&MelConfig::default()).unwrap()).unwrap()
    }
}

impl Golden {
    /// Whether AuroLA's two prompt presets were recorded, and not a folder's own prompts.
    pub(crate) fn has_presets(&self) -> bool {
        self.file
            .presets
            .as_ref()
            .is_none_or(|p| p.iter().any(|p| p == "eval"))
    }

    pub(crate) fn preset_names(&self) -> Vec<String> {
        self.file
            .presets
            .clone()
            .unwrap_or_else(|| vec!["eval".into(), "demo".into()])
    }

    pub(crate) fn clips(&self) -> &[ClipItem] {
        &self.file.audio
    }

    pub(crate) fn texts(&self) -> &[TextItem] {
        &self.file.text
    }

    pub(crate) fn audio_texts(&self) -> &[TextItem] {
        &self.file.audio_text
    }

    pub(crate) fn reranks(&self) -> &[RerankItem] {
        &self.file.rerank
    }

    pub(crate) fn captions(&self) -> &[CaptionItem] {
        &self.file.caption
    }

    pub(crate) fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }
}

/// How close is close, and a message that says where it is not.
pub(crate) struct Close {
    absolute: f32,
    relative: f32,
}

impl Close {
    pub(crate) fn absolute(absolute: f32) -> Self {
        Self {
            absolute,
            relative: 0.0,
        }
    }

    /// Relative to the largest of the recorded values.
    pub(crate) fn relative(relative: f32) -> Self {
        Self {
            absolute: 0.0,
            relative,
        }
    }

    pub(crate) fn check(&self, got: &[f32], want: &[f32], what: &str) {
        assert_eq!(got.len(), want.len(), "{what}: how many");
        let largest = want.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
        let bound = self.absolute + self.relative * largest;
        let (mut worst, mut at) = (0.0, 0);
        for (i, (g, w)) in got.iter().zip(want).enumerate() {
            let error = (g - w).abs();
            if error.is_nan() || error > worst {
                (worst, at) = (error, i);
            }
        }
        // Read with `--nocapture`; docs/results.md has the largest of them.
        println!("{what}: within {worst:e} of {largest:e}");
        assert!(
            worst <= bound,
            "{what}: off by {worst:e} at {at} (bound {bound:e})"
        );
    }
}
