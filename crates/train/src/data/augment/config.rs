//! The settings of augmentations.

use serde::{Deserialize, Serialize};

use super::super::DataError;
use super::super::config::{within, within_both};

/// What is done to sounds; default nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AugmentConfig {
    /// Faster and higher, or slower and lower.
    pub speed: Option<SpeedConfig>,
    /// Another row's sound on top, and both captions.
    pub mix: Option<MixConfig>,
    /// Silence in front.
    pub shift: Option<ShiftConfig>,
    /// Brighter or duller.
    pub tilt: Option<TiltConfig>,
    /// As through a wall.
    pub low_pass: Option<LowPassConfig>,
    /// Louder or quieter.
    pub gain: Option<GainConfig>,
    /// White noise.
    pub noise: Option<NoiseConfig>,
    /// Stretches of time and bands of the spectrogram silenced (SpecAugment, Park et al. 2019).
    pub masks: Option<MasksConfig>,
}

fn always() -> f64 {
    1.0
}

/// Speed and pitch together, by resampling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeedConfig {
    /// In `[0, 1]`, default 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// Least and most, in `0.5..=2`; rounded to fortieths.
    pub factor: [f64; 2],
}

/// Another row of the same source on top. The shorter of the two begins at a random place within the
/// longer, so both are heard whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixConfig {
    /// In `[0, 1]`, default 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// How much louder the row's own sound is, in dB, in `-30..=30`.
    pub snr_db: [f64; 2],
}

/// Silence in front, as far as the longest stretch leaves room for it: nothing is pushed out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShiftConfig {
    /// In `[0, 1]`, default 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// Most seconds, in `0..=30`; the least is 0.
    pub most_s: f64,
}

/// A first-order shelf about 1 kHz: half of it below, half of it, the other way, above.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TiltConfig {
    /// In `[0, 1]`, default 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// Treble over bass in dB, in `-30..=30`.
    pub db: [f64; 2],
}

/// A second-order Butterworth low-pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LowPassConfig {
    /// In `[0, 1]`, default 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// Corner in Hz, in `50..=7900`; drawn evenly over its logarithm.
    pub hz: [f64; 2],
}

/// Louder or quieter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GainConfig {
    /// In `[0, 1]`, default 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// In dB, in `-60..=60`. Nothing clips: samples are floats up to the spectrogram.
    pub db: [f64; 2],
}

/// White noise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoiseConfig {
    /// In `[0, 1]`, default 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// How much louder the sound is, in dB, in `-30..=120`.
    pub snr_db: [f64; 2],
}

/// Masks. Each is between nothing and its most wide, and anywhere.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MasksConfig {
    /// How many stretches of time, at most 100; default 0.
    pub times: usize,
    /// Most frames (10 ms) of each; never more than a third of the clip. Default 0.
    pub most_frames: usize,
    /// How many bands, at most 100; default 0.
    pub bands: usize,
    /// Most mel bands of each; never more than a third of them. Default 0.
    pub most_bands: usize,
}

impl AugmentConfig {
    pub(in super::super) fn check(&self) -> Result<(), DataError> {
        let probability = |of: &str, value| within(&format!("{of}.probability"), value, 0.0, 1.0);
        if let Some(speed) = &self.speed {
            probability("speed", speed.probability)?;
            within_both("speed.factor", speed.factor, 0.5, 2.0)?;
        }
        if let Some(mix) = &self.mix {
            probability("mix", mix.probability)?;
            within_both("mix.snr_db", mix.snr_db, -30.0, 30.0)?;
        }
        if let Some(shift) = &self.shift {
            probability("shift", shift.probability)?;
            within("shift.most_s", shift.most_s, 0.0, 30.0)?;
        }
        if let Some(tilt) = &self.tilt {
            probability("tilt", tilt.probability)?;
            within_both("tilt.db", tilt.db, -30.0, 30.0)?;
        }
        if let Some(low_pass) = &self.low_pass {
            probability("low_pass", low_pass.probability)?;
            within_both("low_pass.hz", low_pass.hz, 50.0, 7_900.0)?;
        }
        if let Some(gain) = &self.gain {
            probability("gain", gain.probability)?;
            within_both("gain.db", gain.db, -60.0, 60.0)?;
        }
        if let Some(noise) = &self.noise {
            probability("noise", noise.probability)?;
            within_both("noise.snr_db", noise.snr_db, -30.0, 120.0)?;
        }
        if let Some(masks) = &self.masks {
            within("masks.times", masks.times as f64, 0.0, 100.0)?;
            within("masks.bands", masks.bands as f64, 0.0, 100.0)?;
        }
        Ok(())
    }
}
