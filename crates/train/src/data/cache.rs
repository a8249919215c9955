//! Decoded samples in memory, so that a small set is decoded once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Samples of clips, up to a number of bytes. What came first stays: rows come in permutations, of which
/// a cache that forgets the oldest would hold none when they come again.
#[derive(Debug)]
pub(super) struct Cache {
    most: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    clips: HashMap<(usize, usize), Arc<Rounded>>,
    bytes: usize,
}

/// Samples as 16-bit numbers of a step that is a power of two and fits the clip: files of 16 bits at
/// 16 kHz come out as they went in, and what is rounded off elsewhere is 90 dB under the loudest sample,
/// below the spectrogram's floor.
#[derive(Debug)]
struct Rounded {
    step: f32,
    samples: Vec<i16>,
}

impl Rounded {
    fn new(samples: &[f32]) -> Self {
        let peak = samples.iter().fold(0.0, |peak: f32, s| peak.max(s.abs()));
        let octave = peak.max(f32::MIN_POSITIVE).log2().ceil().max(-60.0);
        let step = octave.exp2() / 32_768.0;
        // A cast saturates: of a clip whose peak is a power of two, that one loses half a step.
        let round = |sample: &f32| (sample / step).round() as i16;
        Self {
            step,
            samples: samples.iter().map(round).collect(),
        }
    }

    fn samples(&self) -> Vec<f32> {
        let sample = |rounded: &i16| f32::from(*rounded) * self.step;
        self.samples.iter().map(sample).collect()
    }
}

impl Cache {
    /// A cache of at most `mib` MiB of samples.
    pub(super) fn new(mib: usize) -> Self {
        Self {
            most: mib << 20,
            kept: Mutex::default(),
        }
    }

    /// The samples of a row; `decode` is asked where they are not kept. Rounded either way, so what is
    /// kept never changes a batch.
    pub(super) fn samples<E>(
        &self,
        source: usize,
        row: usize,
        decode: impl FnOnce() -> Result<Vec<f32>, E>,
    ) -> Result<Vec<f32>, E> {
        let lock = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().clips.get(&(source, row)).cloned();
        if let Some(known) = known {
            return Ok(known.samples());
        }
        let rounded = Rounded::new(&decode()?);
        let samples = rounded.samples();
        let bytes = rounded.samples.len() * size_of::<i16>();
        let mut kept = lock();
        if kept.bytes + bytes <= self.most
            && kept
                .clips
                .insert((source, row), Arc::new(rounded))
                .is_none()
        {
            kept.bytes += bytes;
        }
        Ok(samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bit_samples_come_out_as_they_went_in() {
        for peak in [32_767, 16_384, 100, 1] {
            let samples: Vec<f32> = (-peak..peak).map(|s| s as f32 / 32_768.0).collect();
            let again = Rounded::new(&samples).samples();
            assert!(samples.iter().zip(&again).all(|(a, b)| a == b), "{peak}");
        }
        assert_eq!(Rounded::new(&[0.0, 3.0]).samples(), [0.0, 3.0]);
        assert_eq!(Rounded::new(&[]).samples(), [0.0; 0]);
    }

    #[test]
    fn what_fits_is_decoded_once_and_what_does_not_is_the_same() {
        let cache = Cache::new(1);
        let large = vec![0.3; 400_000];
        let decode = || Ok::<_, ()>(large.clone());
        let first = cache.samples(0, 0, decode).unwrap();
        assert_eq!(cache.samples(0, 0, || Err(())), Ok(first.clone()));
        assert_eq!(cache.samples(0, 1, decode), Ok(first));
        assert_eq!(cache.samples(0, 1, || Err(())), Err(()));
    }
}
