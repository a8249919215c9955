//! What is done to samples: mono, 16 kHz, nominally in `[-1, 1]`, never clipped.

use std::f64::consts::{SQRT_2, TAU};

use aurola_audio::{Resampler, SAMPLE_RATE};

use super::super::random::Random;
use super::{
    GainConfig, LowPassConfig, MixConfig, NoiseConfig, ShiftConfig, SpeedConfig, TiltConfig,
};

/// Steps of speed, in Hz of the rate that the samples are taken to have: few, so that their filters are
/// computed once.
const SPEED_STEP: f64 = 400.0;
/// Where the tilt turns, in Hz.
const PIVOT: f64 = 1_000.0;

/// A stretch of at most `most` samples: a random one, or the first where there is no chance given.
pub(in super::super) fn crop(samples: &mut Vec<f32>, most: usize, random: Option<&mut Random>) {
    if samples.len() <= most {
        return;
    }
    let beyond = (samples.len() - most) as u64;
    let from = random.map_or(0, |random| random.below(beyond + 1)) as usize;
    samples.truncate(from + most);
    samples.drain(..from);
}

/// Plays samples faster and higher, or slower and lower.
pub(in super::super) fn speed(samples: &mut Vec<f32>, config: &SpeedConfig, random: &mut Random) {
    if !random.happens(config.probability) {
        return;
    }
    let rate = f64::from(SAMPLE_RATE) * random.between(config.factor);
    let rate = ((rate / SPEED_STEP).round() * SPEED_STEP) as u32;
    let mut resampler = Resampler::new(rate).expect("a factor of 0.5 to 2 is a rate within bounds");
    let mut out = Vec::with_capacity(samples.len());
    resampler.push(samples, &mut out);
    resampler.finish(&mut out);
    *samples = out;
}

/// Adds another sound, both heard whole.
pub(in super::super) fn mix(
    samples: &mut Vec<f32>,
    other: &[f32],
    config: &MixConfig,
    random: &mut Random,
) {
    let db = random.between(config.snr_db);
    let (own, others) = (level(samples), level(other));
    // Beside silence no level is right: the other sound stays as it is.
    let factor = match own > 0.0 && others > 0.0 {
        true => own / others / ratio(db),
        false => 1.0,
    };
    let place = |room: usize, random: &mut Random| random.below(room as u64 + 1) as usize;
    if other.len() > samples.len() {
        let lead = place(other.len() - samples.len(), random);
        samples.splice(0..0, std::iter::repeat_n(0.0, lead));
        samples.resize(other.len(), 0.0);
        add(samples, other, factor);
    } else {
        let lead = place(samples.len() - other.len(), random);
        add(&mut samples[lead..], other, factor);
    }
}

fn add(samples: &mut [f32], other: &[f32], factor: f64) {
    for (sample, other) in samples.iter_mut().zip(other) {
        *sample += (f64::from(*other) * factor) as f32;
    }
}

/// Puts silence in front, as far as `most` samples leave room.
pub(in super::super) fn shift(
    samples: &mut Vec<f32>,
    most: usize,
    config: &ShiftConfig,
    random: &mut Random,
) {
    if !random.happens(config.probability) {
        return;
    }
    let lead = random.between([0.0, config.most_s]) * f64::from(SAMPLE_RATE);
    let lead = (lead as usize).min(most.saturating_sub(samples.len()));
    samples.splice(0..0, std::iter::repeat_n(0.0, lead));
}

/// Makes samples brighter or duller.
pub(in super::super) fn tilt(samples: &mut [f32], config: &TiltConfig, random: &mut Random) {
    if !random.happens(config.probability) {
        return;
    }
    let half = ratio(random.between(config.db) / 2.0);
    let (treble, bass) = (half, 1.0 / half);
    // What a one-pole low-pass leaves is bass, what it takes is treble.
    let keep = (-TAU * PIVOT / f64::from(SAMPLE_RATE)).exp();
    let mut low = 0.0;
    for sample in samples {
        let x = f64::from(*sample);
        low = x + keep * (low - x);
        *sample = (bass * low + treble * (x - low)) as f32;
    }
}

/// Takes off what is above a corner.
pub(in super::super) fn low_pass(samples: &mut [f32], config: &LowPassConfig, random: &mut Random) {
    if !random.happens(config.probability) {
        return;
    }
    let hz = random.between(config.hz.map(f64::ln)).exp();
    // The bilinear transform of 1 / (s² + √2 s + 1).
    let k = (TAU / 2.0 * hz / f64::from(SAMPLE_RATE)).tan();
    let norm = 1.0 / (1.0 + SQRT_2 * k + k * k);
    let (b, a1, a2) = (
        k * k * norm,
        2.0 * (k * k - 1.0) * norm,
        (1.0 - SQRT_2 * k + k * k) * norm,
    );
    let (mut s1, mut s2) = (0.0, 0.0);
    for sample in samples {
        let x = f64::from(*sample);
        let y = b * x + s1;
        s1 = 2.0 * b * x - a1 * y + s2;
        s2 = b * x - a2 * y;
        *sample = y as f32;
    }
}

/// Makes samples louder or quieter.
pub(in super::super) fn gain(samples: &mut [f32], config: &GainConfig, random: &mut Random) {
    if !random.happens(config.probability) {
        return;
    }
    let factor = ratio(random.between(config.db));
    for sample in samples {
        *sample = (f64::from(*sample) * factor) as f32;
    }
}

/// Adds white noise; to silence none, since nothing is so much louder than it.
pub(in super::super) fn noise(samples: &mut [f32], config: &NoiseConfig, random: &mut Random) {
    if !random.happens(config.probability) {
        return;
    }
    let factor = level(samples) / ratio(random.between(config.snr_db));
    for sample in samples {
        *sample += (random.normal() * factor) as f32;
    }
}

/// The root of the mean square; 0 of nothing.
fn level(samples: &[f32]) -> f64 {
    let sum: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
    (sum / samples.len().max(1) as f64).sqrt()
}

fn ratio(db: f64) -> f64 {
    10_f64.powf(db / 20.0)
}

#[cfg(test)]
mod tests {
    use super::super::super::random::Purpose;
    use super::*;

    fn random(a: u64) -> Random {
        Random::at(7, Purpose::Noise, a, 0)
    }

    fn tone(hz: f64, n: usize) -> Vec<f32> {
        let step = TAU * hz / f64::from(SAMPLE_RATE);
        (0..n)
            .map(|i| (step * i as f64).sin() as f32 * 0.5)
            .collect()
    }

    fn db(a: f64, b: f64) -> f64 {
        20.0 * (a / b).log10()
    }

    #[test]
    fn speed_changes_the_length_and_nothing_else_that_is_asked() {
        let mut samples = tone(400.0, 16_000);
        let config = SpeedConfig {
            probability: 1.0,
            factor: [1.25, 1.25],
        };
        speed(&mut samples, &config, &mut random(0));
        assert_eq!(samples.len(), 12_800);
        // A quarter higher: as many periods as before, so 400 zero crossings upwards.
        let ups = samples.windows(2).filter(|w| w[0] < 0.0 && w[1] >= 0.0);
        assert!((398..=401).contains(&ups.count()));
    }

    #[test]
    fn a_mix_has_the_level_asked_for_and_loses_nothing() {
        let config = MixConfig {
            probability: 1.0,
            snr_db: [6.0, 6.0],
        };
        for (own, other) in [(16_000, 4_000), (4_000, 16_000)] {
            let (own, other) = (tone(300.0, own), tone(2_000.0, other));
            let mut mixed = own.clone();
            mix(&mut mixed, &other, &config, &mut random(1));
            assert_eq!(mixed.len(), 16_000);
            let power = |samples: &[f32]| level(samples).powi(2) * samples.len() as f64;
            let others = power(&mixed) - power(&own);
            let (own_rms, other_rms) = (level(&own), (others / other.len() as f64).sqrt());
            assert!((db(own_rms, other_rms) - 6.0).abs() < 0.2);
        }
    }

    #[test]
    fn filters_do_what_their_names_say() {
        let corner = LowPassConfig {
            probability: 1.0,
            hz: [1_000.0, 1_000.0],
        };
        let treble = TiltConfig {
            probability: 1.0,
            db: [12.0, 12.0],
        };
        for (hz, passed, tilted) in [
            (50.0, 0.0, -6.0),
            (1_000.0, -3.0, f64::NAN),
            (6_000.0, -40.0, 6.0),
        ] {
            let clean = tone(hz, 16_000);
            let mut low = clean.clone();
            low_pass(&mut low, &corner, &mut random(2));
            let got = db(level(&low), level(&clean));
            assert!(
                (got - passed).abs() < 0.3 || got < -35.0 && passed < -35.0,
                "{hz}: {got}"
            );
            let mut bright = clean.clone();
            tilt(&mut bright, &treble, &mut random(3));
            let got = db(level(&bright), level(&clean));
            assert!(tilted.is_nan() || (got - tilted).abs() < 1.5, "{hz}: {got}");
        }
    }

    #[test]
    fn gain_noise_and_shift_by_hand() {
        let mut samples = tone(500.0, 16_000);
        let before = level(&samples);
        let config = GainConfig {
            probability: 1.0,
            db: [-6.0, -6.0],
        };
        gain(&mut samples, &config, &mut random(4));
        assert!((db(level(&samples), before) + 6.0).abs() < 1e-3);
        let clean = samples.clone();
        let config = NoiseConfig {
            probability: 1.0,
            snr_db: [10.0, 10.0],
        };
        noise(&mut samples, &config, &mut random(5));
        let added: Vec<f32> = samples.iter().zip(&clean).map(|(a, b)| a - b).collect();
        assert!((db(level(&clean), level(&added)) - 10.0).abs() < 0.3);
        let config = ShiftConfig {
            probability: 1.0,
            most_s: 1.0,
        };
        let mut shifted = clean.clone();
        shift(&mut shifted, 20_000, &config, &mut random(6));
        assert!(shifted.len() > clean.len() && shifted.len() <= 20_000);
        assert!(shifted.ends_with(&clean));
    }

    #[test]
    fn a_crop_is_a_stretch() {
        let whole: Vec<f32> = (0..100).map(|i| i as f32).collect();
        let mut first = whole.clone();
        crop(&mut first, 30, None);
        assert_eq!(first, &whole[..30]);
        let mut starts = std::collections::BTreeSet::new();
        for a in 0..400 {
            let mut some = whole.clone();
            crop(&mut some, 98, Some(&mut random(a)));
            assert_eq!(some.len(), 98);
            starts.insert(some[0] as u64);
        }
        assert_eq!(starts.len(), 3);
    }
}
