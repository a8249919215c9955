//! Mel filters: triangles, evenly spaced in Slaney's mel, each of area 2 / width.
//!
//! Computed in f64 and rounded to f32, as transformers' `mel_filter_bank(norm="slaney",
//! mel_scale="slaney")` does (transformers 4.57.1, `audio_utils.py`; Slaney 1998, Auditory Toolbox).

use std::f64::consts::PI;

use crate::error::AudioError;

/// The front end's sizes, as `preprocessor_config.json` names them.
#[derive(Debug, Clone, PartialEq)]
pub struct MelConfig {
    /// Mel bands, in `1..=512`; 128 for Qwen2.5-Omni, 80 for the smaller Whispers.
    pub feature_size: usize,
    /// Samples in a window, even, in `16..=16384`; 400 (25 ms).
    pub n_fft: usize,
    /// Samples from one window to the next, in `1..=n_fft`; 160 (10 ms).
    pub hop_length: usize,
    /// Samples a second; 16,000.
    pub sampling_rate: u32,
    /// Longest clip in seconds, in `1..=86400`; 300 for Qwen2.5-Omni.
    pub chunk_length_s: u32,
}

impl Default for MelConfig {
    /// Qwen2.5-Omni's.
    fn default() -> Self {
        MelConfig {
            feature_size: 128,
            n_fft: 400,
            hop_length: 160,
            sampling_rate: 16_000,
            chunk_length_s: 300,
        }
    }
}

impl MelConfig {
    /// Least samples of which the model makes an audio token: one more than two hops.
    pub fn min_samples(&self) -> usize {
        (2 * self.hop_length + 1).max(self.n_fft / 2 + 1)
    }

    /// Most samples that one spectrogram covers.
    pub fn max_samples(&self) -> usize {
        self.chunk_length_s as usize * self.sampling_rate as usize
    }

    fn check(&self) -> Result<(), AudioError> {
        let within = |name, value: usize, good: bool, range| {
            let value = value as f64;
            if good {
                Ok(())
            } else {
                Err(AudioError::Setting { name, value, range })
            }
        };
        let n_fft = self.n_fft;
        within(
            "feature_size",
            self.feature_size,
            (1..=512).contains(&self.feature_size),
            "1 to 512",
        )?;
        let even = n_fft.is_multiple_of(2) && (16..=16_384).contains(&n_fft);
        within("n_fft", n_fft, even, "even, 16 to 16384")?;
        let hop = self.hop_length;
        within("hop_length", hop, (1..=n_fft).contains(&hop), "1 to n_fft")?;
        let rate = self.sampling_rate as usize;
        within(
            "sampling_rate",
            rate,
            (1_000..=768_000).contains(&rate),
            "1000 to 768000",
        )?;
        let chunk = self.chunk_length_s as usize;
        within(
            "chunk_length",
            chunk,
            (1..=86_400).contains(&chunk),
            "1 to 86400",
        )
    }
}

/// The filters and the window of one [`MelConfig`], computed once.
#[derive(Debug, Clone)]
pub struct MelFilters {
    config: MelConfig,
    /// Periodic Hann window, `n_fft` long.
    window: Vec<f32>,
    /// First bin and number of bins of every band.
    spans: Vec<(usize, usize)>,
    /// The bands' weights that are not zero, one after the other.
    weights: Vec<f32>,
}

/// One band's weights over neighbouring bins.
pub(super) struct Band<'a> {
    pub(super) first: usize,
    pub(super) weights: &'a [f32],
}

impl MelFilters {
    /// Computes filters and window.
    ///
    /// # Errors
    ///
    /// [`AudioError::Setting`] for a size out of its range.
    pub fn new(config: &MelConfig) -> Result<Self, AudioError> {
        config.check()?;
        let (mut spans, mut weights) = (Vec::new(), Vec::new());
        for row in triangles(config) {
            let first = row.iter().position(|w| *w != 0.0).unwrap_or(0);
            let last = row
                .iter()
                .rposition(|w| *w != 0.0)
                .map_or(first, |last| last + 1);
            spans.push((first, last - first));
            weights.extend_from_slice(&row[first..last]);
        }
        // In f32 as torch computes it, argument included: its window is off the true one by up to
        // 2.4e-7, and the leakage of that shows in the weakest bins.
        let turn = (2.0 * PI / config.n_fft as f64) as f32;
        let hann = |i: usize| 0.5 - 0.5 * (f64::from(i as f32 * turn).cos() as f32);
        let window = (0..config.n_fft).map(hann).collect();
        Ok(MelFilters {
            config: config.clone(),
            window,
            spans,
            weights,
        })
    }

    /// What they were computed for.
    pub fn config(&self) -> &MelConfig {
        &self.config
    }

    pub(super) fn window(&self) -> &[f32] {
        &self.window
    }

    pub(super) fn bands(&self) -> impl Iterator<Item = Band<'_>> {
        let mut rest = self.weights.as_slice();
        self.spans.iter().map(move |&(first, len)| {
            let (weights, after) = rest.split_at(len);
            rest = after;
            Band { first, weights }
        })
    }
}

/// All weights, `[feature_size][n_fft / 2 + 1]`.
fn triangles(config: &MelConfig) -> Vec<Vec<f32>> {
    let top = f64::from(config.sampling_rate) / 2.0;
    let (bins, bands) = (config.n_fft / 2 + 1, config.feature_size);
    // Corner frequencies in Hz: band b rises from corner b, peaks at b + 1, falls to b + 2.
    let spread = |n: usize, steps: usize, end: f64| end * n as f64 / steps as f64;
    let corners: Vec<f64> = (0..bands + 2)
        .map(|n| hertz(spread(n, bands + 1, mel(top))))
        .collect();
    let band = |b: usize| {
        let (low, peak, high) = (corners[b], corners[b + 1], corners[b + 2]);
        let weight = move |bin: usize| {
            let f = spread(bin, bins - 1, top);
            let rise = (f - low) / (peak - low);
            let fall = (high - f) / (high - peak);
            (rise.min(fall).max(0.0) * 2.0 / (high - low)) as f32
        };
        (0..bins).map(weight).collect()
    };
    (0..bands).map(band).collect()
}

/// Slaney's mel: linear below 1 kHz, 15 mel there, 27 more for every factor of 6.4.
fn mel(hertz: f64) -> f64 {
    if hertz < 1_000.0 {
        3.0 * hertz / 200.0
    } else {
        15.0 + (hertz / 1_000.0).ln() * 27.0 / 6.4f64.ln()
    }
}

fn hertz(mel: f64) -> f64 {
    if mel < 15.0 {
        200.0 * mel / 3.0
    } else {
        1_000.0 * ((mel - 15.0) * 6.4f64.ln() / 27.0).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slaneys_scale_by_hand() {
        assert_eq!(mel(200.0), 3.0);
        assert_eq!(hertz(15.0), 1_000.0);
        assert!((mel(6_400.0) - 42.0).abs() < 1e-12);
        assert!((hertz(42.0) - 6_400.0).abs() < 1e-9);
    }

    #[test]
    fn every_band_of_the_released_model_has_weight() {
        let filters = MelFilters::new(&MelConfig::default()).unwrap();
        assert_eq!(
            filters
                .bands()
                .filter(|band| !band.weights.is_empty())
                .count(),
            128
        );
        // Neighbouring triangles overlap and none is wider than the spectrum.
        assert!(
            filters
                .bands()
                .all(|band| band.first + band.weights.len() <= 201)
        );
    }

    #[test]
    fn sizes_out_of_range_are_refused_by_name() {
        for (config, name) in [
            (
                MelConfig {
                    n_fft: 401,
                    ..MelConfig::default()
                },
                "n_fft",
            ),
            (
                MelConfig {
                    feature_size: 0,
                    ..MelConfig::default()
                },
                "feature_size",
            ),
            (
                MelConfig {
                    hop_length: 401,
                    ..MelConfig::default()
                },
                "hop_length",
            ),
            (
                MelConfig {
                    chunk_length_s: 0,
                    ..MelConfig::default()
                },
                "chunk_length",
            ),
        ] {
            let error = MelFilters::new(&config).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
