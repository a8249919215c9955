//! The front end a checkpoint was made with: `preprocessor_config.json`.

use std::path::{Path, PathBuf};

use aurola_audio::{MelConfig, MelFilters, SAMPLE_RATE};
use serde::Deserialize;
use serde_json::Value;

use crate::ModelError;
use crate::config::AudioConfig;

/// What of the file concerns sound. Keys that are left out are as Qwen2.5-Omni has them.
#[derive(Deserialize)]
struct FeatureExtractor {
    feature_size: Option<usize>,
    sampling_rate: Option<u32>,
    hop_length: Option<usize>,
    n_fft: Option<usize>,
    chunk_length: Option<u32>,
    #[serde(default)]
    dither: f64,
    #[serde(default)]
    padding_value: f64,
}

/// Reads the front end of the checkpoint in `dir` and checks that it is the audio tower's.
///
/// # Errors
///
/// [`ModelError::MissingFile`] where there is no such file, [`ModelError::Config`] for a front end
/// that is not implemented or does not go with the tower.
pub fn read_mel_config(dir: &Path, tower: &AudioConfig) -> Result<MelConfig, ModelError> {
    let (path, value) = read(dir)?;
    let refuse = |reason: String| ModelError::Config {
        path: path.clone(),
        reason,
    };
    let file: FeatureExtractor = serde_json::from_value(value).map_err(|e| ModelError::Json {
        path: path.clone(),
        reason: e.to_string(),
    })?;
    if file.dither != 0.0 || file.padding_value != 0.0 {
        return Err(refuse(
            "dither and padding_value other than 0 are not implemented".into(),
        ));
    }
    let bands = file.feature_size.unwrap_or(tower.num_mel_bins);
    if bands != tower.num_mel_bins {
        return Err(refuse(format!(
            "feature_size {bands} is not num_mel_bins {} of config.json",
            tower.num_mel_bins
        )));
    }
    let released = MelConfig::default();
    let mel = MelConfig {
        feature_size: bands,
        n_fft: file.n_fft.unwrap_or(released.n_fft),
        hop_length: file.hop_length.unwrap_or(released.hop_length),
        sampling_rate: file.sampling_rate.unwrap_or(released.sampling_rate),
        chunk_length_s: file.chunk_length.unwrap_or(released.chunk_length_s),
    };
    if mel.sampling_rate != SAMPLE_RATE {
        return Err(refuse(format!(
            "sampling_rate {} is not implemented; clips are resampled to {SAMPLE_RATE}",
            mel.sampling_rate
        )));
    }
    // The filters know which sizes can be computed.
    MelFilters::new(&mel).map_err(|e| refuse(e.to_string()))?;
    Ok(mel)
}

fn read(dir: &Path) -> Result<(PathBuf, Value), ModelError> {
    // transformers 5 writes all processors into one file; earlier ones write one each.
    for (name, key) in [
        ("preprocessor_config.json", None),
        ("processor_config.json", Some("feature_extractor")),
    ] {
        let path = dir.join(name);
        if !path.exists() {
            continue;
        }
        let text = std::fs::read_to_string(&path).map_err(ModelError::io(&path))?;
        let value: Value = serde_json::from_str(&text).map_err(|e| ModelError::Json {
            path: path.clone(),
            reason: e.to_string(),
        })?;
        match key {
            None => return Ok((path, value)),
            Some(key) if value.get(key).is_some() => return Ok((path, value[key].clone())),
            Some(_) => {}
        }
    }
    Err(ModelError::MissingFile {
        dir: dir.to_owned(),
        name: "preprocessor_config.json".into(),
        help: "copy it from the base model; it says how sound becomes a spectrogram".into(),
    })
}
