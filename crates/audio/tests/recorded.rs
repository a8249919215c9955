//! Against recorded truth: `testdata/audio/ORIGIN.md` tells what wrote it.

mod common;

use std::fs;

use aurola_audio::{MelConfig, MelFilters, Resampler, log_mel};
use common::{decode, fixtures};

/// A table with a header: first columns as text, the rest as numbers.
fn table(name: &str, texts: usize) -> Vec<(Vec<String>, Vec<f32>)> {
    let text = fs::read_to_string(fixtures().join(name)).unwrap();
    let row = |line: &str| {
        // Commas inside quotes are in the notes only.
        let line = line.split('"').enumerate().map(|(i, part)| match i % 2 {
            1 => part.replace(',', ";"),
            _ => part.to_owned(),
        });
        let fields: Vec<String> = line
            .collect::<String>()
            .split(',')
            .map(str::to_owned)
            .collect();
        let (texts, numbers) = fields.split_at(texts);
        (
            texts.to_vec(),
            numbers.iter().map(|n| n.parse().unwrap()).collect(),
        )
    };
    text.lines().skip(1).map(row).collect()
}

/// Where `n` recorded values stand among `len` samples.
fn probes(len: usize, n: usize) -> impl Iterator<Item = usize> {
    (0..n).map(move |k| (len - 1) * k / (n - 1))
}

/// The noise of `tools/make_audio_fixtures.py`.
fn noise(n: u64) -> Vec<f32> {
    let sample = |i: u64| ((i * 2_654_435_761 % (1 << 32)) >> 8) as f32 / (1 << 24) as f32 - 0.5;
    (0..n).map(sample).collect()
}

#[test]
fn compressed_files_decode_as_under_librosa() {
    let mut seen = 0;
    for (texts, numbers) in table("decoded.csv", 3) {
        let (file, by) = (texts[0].as_str(), texts[2].as_str());
        let (len, values) = (numbers[0] as usize, &numbers[1..]);
        let (samples, notes) = decode(&fixtures().join(file)).unwrap();
        assert_eq!(notes, [] as [String; 0], "{file}");
        // ffmpeg pads these to whole packets; the container says where the sound ends.
        let ours = match file {
            "sweep.m4a" => 8_000,
            _ => len,
        };
        assert_eq!(samples.len(), ours, "{file}");
        let tolerance = match (file, by) {
            (file, _) if file.ends_with(".opus") || file.ends_with(".webm") => 4e-4, // fixed point
            (_, "ffmpeg") => 5e-5, // librosa gets 16 bits from it
            _ => 3e-6,
        };
        for (at, value) in probes(len, values.len()).zip(values) {
            if let Some(sample) = samples.get(at) {
                assert!(
                    (sample - value).abs() < tolerance,
                    "{file}[{at}]: {sample} for {value}"
                );
            }
        }
        seen += 1;
    }
    assert_eq!(seen, 19);
}

#[test]
fn rates_are_converted_as_by_soxr() {
    for (texts, values) in table("resampled.csv", 3) {
        let [rate, n, len]: [u64; 3] = std::array::from_fn(|i| texts[i].parse().unwrap());
        let mut resampler = Resampler::new(rate as u32).unwrap();
        let mut out = Vec::new();
        resampler.push(&noise(n), &mut out);
        resampler.finish(&mut out);
        assert_eq!(out.len() as u64, len, "{rate} Hz");
        for (k, (at, value)) in probes(out.len(), values.len()).zip(values).enumerate() {
            // soxr halves a high rate with a filter of its own, which begins with the clip.
            let tolerance = match rate {
                64_000.. if k == 0 => 2e-2,
                64_000.. => 1e-5,
                _ => 3e-6,
            };
            assert!(
                (out[at] - value).abs() < tolerance,
                "{rate} Hz [{at}]: {} for {value}",
                out[at]
            );
        }
    }
}

#[test]
fn log_mel_agrees_with_transformers() {
    let bytes = fs::read(fixtures().join("log_mel.f32")).unwrap();
    let (values, []) = bytes.as_chunks::<4>() else {
        panic!("not a table of f32")
    };
    let mut values = values.iter().map(|b| f32::from_le_bytes(*b));
    for (feature_size, chunk_length_s, n) in [
        (128, 300, 321),
        (128, 300, 1_600),
        (80, 30, 4_321),
        (20, 1, 16_000),
        (20, 1, 15_900),
    ] {
        let config = MelConfig {
            feature_size,
            chunk_length_s,
            ..MelConfig::default()
        };
        let ramp = (0..n).map(|i| ((i + 1) as f64 / n as f64) as f32);
        let clip: Vec<f32> = noise(n).iter().zip(ramp).map(|(x, w)| x * w).collect();
        let mel = log_mel(&clip, &MelFilters::new(&config).unwrap()).unwrap();
        assert_eq!(
            (mel.n_mels(), mel.n_frames()),
            (feature_size, n.div_ceil(160) as usize)
        );
        for (i, ours) in mel.values().iter().enumerate() {
            let recorded = values.next().unwrap();
            // The recording's own f32 transform is wrong by up to 1e-4 near the floor.
            assert!(
                (ours - recorded).abs() < 1e-4,
                "{n} samples [{i}]: {ours} for {recorded}"
            );
        }
    }
    assert_eq!(values.next(), None);
}
