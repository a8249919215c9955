//! Log-mel spectrograms: the one bridge from samples to the audio tower.
//!
//! ```text
//! decode ──► resample ──► windows ──► LOG_MEL ──► audio tower
//!            f32, 16 kHz              [n_mels, n_frames]
//! ```
//!
//! Whisper's front end (Radford et al. 2022, §2.2; floor and scale from its released code) as
//! transformers' `WhisperFeatureExtractor` computes it for Qwen2.5-Omni: a 25 ms periodic Hann window
//! every 10 ms, power, mel, `log10`, a floor 8 decades under the loudest bin, then `(x + 4) / 4`.
//!
//! The original pads every clip with zeros to 300 s, transforms 30,000 frames and keeps those that
//! lie in the clip. Frames that no sample reaches are silent, so they cannot be the loudest; here
//! only the frames that a sample reaches are transformed. The two that begin after the clip's end
//! and still see it are computed, for their share in the maximum, and dropped.
//!
//! Knows nothing of files or tensors. One thread; the result depends on nothing but the samples.

mod filters;

use std::ops::Range;

use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

use crate::error::AudioError;
pub use filters::{MelConfig, MelFilters};

/// Power below which a bin counts as silent.
const SILENCE: f64 = 1e-10;
/// Decades under the loudest bin at which quieter ones are cut off.
const DECADES: f32 = 8.0;

/// A log-mel spectrogram, `[n_mels, n_frames]`.
#[derive(Debug, Clone, PartialEq)]
pub struct LogMel {
    n_mels: usize,
    n_frames: usize,
    values: Vec<f32>,
}

impl LogMel {
    /// A spectrogram computed elsewhere: `values` of `[n_mels, n_frames]`, row-major.
    ///
    /// # Errors
    ///
    /// [`AudioError::Setting`] where the values are no whole rows or one of them is not a number.
    pub fn from_values(n_mels: usize, values: Vec<f32>) -> Result<Self, AudioError> {
        if n_mels == 0 || values.is_empty() || !values.len().is_multiple_of(n_mels) {
            return Err(AudioError::Setting {
                name: "n_mels",
                value: n_mels as f64,
                range: "1 or more, and a divisor of how many values there are",
            });
        }
        if let Some(bad) = values.iter().find(|v| !v.is_finite()) {
            return Err(AudioError::Setting {
                name: "values",
                value: f64::from(*bad),
                range: "finite",
            });
        }
        Ok(Self {
            n_mels,
            n_frames: values.len() / n_mels,
            values,
        })
    }

    /// Mel bands: rows.
    pub fn n_mels(&self) -> usize {
        self.n_mels
    }

    /// Frames of one hop (10 ms): columns.
    pub fn n_frames(&self) -> usize {
        self.n_frames
    }

    /// `[n_mels, n_frames]`, row-major. No unit; within 2.0 of each other.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Silences a rectangle: fills it with the lowest value there is, the clip's own floor. For masking
    /// in training; the range of the values stays what it was.
    ///
    /// # Panics
    ///
    /// Where `bands` or `frames` reach beyond the spectrogram.
    pub fn silence(&mut self, bands: Range<usize>, frames: Range<usize>) {
        let floor = self.values.iter().copied().fold(f32::INFINITY, f32::min);
        for band in bands {
            let row = &mut self.values[band * self.n_frames..][..self.n_frames];
            row[frames.clone()].fill(floor);
        }
    }
}

/// Computes the log-mel spectrogram of one clip.
///
/// `samples`: mono, nominally in `[-1, 1]`, at `filters.config().sampling_rate` (16 kHz).
///
/// Returns `[n_mels, n_frames]`, row-major, with `n_frames = ceil(samples.len() / hop_length)`: one
/// column per 10 ms. Values carry no unit and lie within 2.0 of each other; digital silence is -1.5
/// throughout.
///
/// # Errors
///
/// - [`AudioError::TooShort`] below [`MelConfig::min_samples`] (321): the model would make no audio
///   token of it.
/// - [`AudioError::TooLong`] above [`MelConfig::max_samples`] (300 s).
/// - [`AudioError::NotFinite`] at the first NaN or infinity, with its time in seconds.
pub fn log_mel(samples: &[f32], filters: &MelFilters) -> Result<LogMel, AudioError> {
    let config = filters.config();
    let (count, hop) = (samples.len(), config.hop_length);
    if count < config.min_samples() {
        return Err(AudioError::TooShort {
            samples: count,
            min: config.min_samples(),
        });
    }
    if count > config.max_samples() {
        return Err(AudioError::TooLong {
            samples: count,
            max: config.max_samples(),
        });
    }
    if let Some(bad) = samples.iter().position(|x| !x.is_finite()) {
        return Err(AudioError::NotFinite {
            at_s: bad as f64 / f64::from(config.sampling_rate),
        });
    }
    let padded = Padded::new(samples, config);
    let n_frames = count.div_ceil(hop);
    let reached = padded.frames().max(n_frames);
    let n_mels = config.feature_size;
    let mut spectrum = Spectrum::new(filters);
    let mut values = vec![0.0; n_mels * n_frames];
    let mut column = vec![0.0; n_mels];
    let mut loudest = f32::NEG_INFINITY;
    for frame in 0..reached {
        spectrum.load(&padded, frame);
        spectrum.mel(filters, &mut column);
        for (band, power) in column.iter().enumerate() {
            let decades = power.max(SILENCE).log10() as f32;
            loudest = loudest.max(decades);
            if frame < n_frames {
                values[band * n_frames + frame] = decades;
            }
        }
    }
    let floor = loudest - DECADES;
    for value in &mut values {
        *value = (value.max(floor) + 4.0) / 4.0;
    }
    Ok(LogMel {
        n_mels,
        n_frames,
        values,
    })
}

/// A clip between its reflection and its silence, as the original lays it out: reflected at the
/// start, zeros to `chunk_length` after the end, reflected there.
struct Padded<'a> {
    samples: &'a [f32],
    /// Length with zeros; more of them than three hops change nothing.
    len: usize,
    n_fft: usize,
    hop: usize,
}

impl<'a> Padded<'a> {
    fn new(samples: &'a [f32], config: &MelConfig) -> Self {
        let (n_fft, hop) = (config.n_fft, config.hop_length);
        let enough = samples.len() + n_fft + hop;
        Padded {
            samples,
            len: enough.min(config.max_samples()),
            n_fft,
            hop,
        }
    }

    /// Frames that a sample reaches, of those that the original computes: the last is dropped there.
    fn frames(&self) -> usize {
        let reached = (self.samples.len() + self.n_fft / 2).div_ceil(self.hop);
        reached.min(self.len / self.hop)
    }

    /// The samples of frame `frame`, centred on sample `frame · hop`.
    fn copy(&self, frame: usize, out: &mut [f64]) {
        let start = (frame * self.hop) as isize - (self.n_fft / 2) as isize;
        if start >= 0
            && let Some(inside) = self
                .samples
                .get(start as usize..start as usize + self.n_fft)
        {
            for (out, &sample) in out.iter_mut().zip(inside) {
                *out = f64::from(sample);
            }
            return;
        }
        for (i, out) in out.iter_mut().enumerate() {
            let at = (start + i as isize).unsigned_abs();
            let at = if at >= self.len {
                (2 * (self.len - 1)).saturating_sub(at)
            } else {
                at
            };
            *out = self
                .samples
                .get(at)
                .map_or(0.0, |&sample| f64::from(sample));
        }
    }
}

/// Work space for one frame. In f64: the original's f32 transform is wrong by up to 7e-5 in the
/// weakest bins, another f32 transform by as much the other way, and both together by more than the
/// 1e-4 that we allow.
struct Spectrum {
    fft: std::sync::Arc<dyn realfft::RealToComplex<f64>>,
    window: Vec<f64>,
    frame: Vec<f64>,
    bins: Vec<Complex<f64>>,
    scratch: Vec<Complex<f64>>,
    power: Vec<f64>,
}

impl Spectrum {
    fn new(filters: &MelFilters) -> Self {
        let fft = RealFftPlanner::new().plan_fft_forward(filters.config().n_fft);
        Spectrum {
            window: filters.window().iter().map(|&w| f64::from(w)).collect(),
            frame: fft.make_input_vec(),
            bins: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            power: vec![0.0; filters.config().n_fft / 2 + 1],
            fft,
        }
    }

    /// Transforms one frame into [`Spectrum::power`].
    fn load(&mut self, padded: &Padded<'_>, frame: usize) {
        padded.copy(frame, &mut self.frame);
        for (sample, weight) in self.frame.iter_mut().zip(&self.window) {
            *sample *= weight;
        }
        self.fft
            .process_with_scratch(&mut self.frame, &mut self.bins, &mut self.scratch)
            .expect("buffers made by the plan fit it");
        for (power, bin) in self.power.iter_mut().zip(&self.bins) {
            *power = bin.re * bin.re + bin.im * bin.im;
        }
    }

    /// Gathers the power into mel bands.
    fn mel(&self, filters: &MelFilters, column: &mut [f64]) {
        for (band, value) in filters.bands().zip(column) {
            let power = &self.power[band.first..band.first + band.weights.len()];
            *value = power
                .iter()
                .zip(band.weights)
                .map(|(p, &w)| p * f64::from(w))
                .sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_from_elsewhere_are_whole_rows_of_numbers() {
        let mel = LogMel::from_values(2, vec![0.0, 0.5, 1.0, -0.5, -1.0, 0.25]).unwrap();
        assert_eq!((mel.n_mels(), mel.n_frames()), (2, 3));
        assert_eq!(mel.values()[3..], [-0.5, -1.0, 0.25], "the second band");
        for (n_mels, values, name) in [
            (0, vec![0.0], "n_mels"),
            (2, vec![], "n_mels"),
            (2, vec![0.0; 5], "n_mels"),
            (2, vec![0.0, f32::NAN], "values"),
        ] {
            let error = LogMel::from_values(n_mels, values).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
