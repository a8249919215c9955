//! What holds for every input.

mod common;

use aurola_audio::{
    AudioError, Clip, Limits, MelConfig, MelFilters, Resampler, SampleSource, log_mel,
};
use common::wav16;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn how_the_input_is_cut_changes_no_bit(
        rate in prop::sample::select(vec![8_000u32, 11_025, 15_999, 16_000, 22_050, 44_100, 48_000, 96_000]),
        input in prop::collection::vec(-1.0f32..1.0, 0..4_000),
        cuts in prop::collection::vec(1usize..700, 1..30),
    ) {
        let convert = |pieces: &mut dyn Iterator<Item = usize>| {
            let mut resampler = Resampler::new(rate).unwrap();
            let (mut out, mut rest) = (Vec::new(), input.as_slice());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(pieces.next().unwrap().min(rest.len()));
                resampler.push(piece, &mut out);
                rest = after;
            }
            resampler.finish(&mut out);
            out
        };
        let whole = convert(&mut std::iter::repeat(usize::MAX));
        let pieces = convert(&mut cuts.iter().copied().cycle());
        prop_assert_eq!(whole.len(), (input.len() as f64 * (16_000.0 / f64::from(rate))).ceil() as usize);
        prop_assert!(whole.iter().zip(&pieces).all(|(a, b)| a.to_bits() == b.to_bits()));
        prop_assert_eq!(whole.len(), pieces.len());
    }

    #[test]
    fn mel_values_lie_within_two_of_each_other(
        clip in prop::collection::vec(-1.0f32..1.0, 321..3_000),
        gain in -12.0f32..0.0,
    ) {
        let clip: Vec<f32> = clip.iter().map(|x| x * 10f32.powf(gain)).collect();
        let mel = log_mel(&clip, &MelFilters::new(&MelConfig::default()).unwrap()).unwrap();
        prop_assert_eq!(mel.n_frames(), clip.len().div_ceil(160));
        let (low, high) = mel.values().iter().fold((f32::MAX, f32::MIN), |(l, h), x| (l.min(*x), h.max(*x)));
        prop_assert!(low >= -1.5 && high - low <= 2.0, "{} to {}", low, high);
    }
}

#[test]
fn digital_silence_is_minus_one_and_a_half() {
    let mel = log_mel(
        &[0.0; 16_000],
        &MelFilters::new(&MelConfig::default()).unwrap(),
    )
    .unwrap();
    assert_eq!((mel.n_mels(), mel.n_frames()), (128, 100));
    assert!(mel.values().iter().all(|x| *x == -1.5));
}

#[test]
fn too_short_too_long_and_not_a_number_are_refused() {
    let filters = MelFilters::new(&MelConfig {
        chunk_length_s: 1,
        ..MelConfig::default()
    })
    .unwrap();
    assert!(matches!(
        log_mel(&[0.0; 320], &filters),
        Err(AudioError::TooShort {
            samples: 320,
            min: 321
        })
    ));
    assert!(matches!(
        log_mel(&[0.0; 16_001], &filters),
        Err(AudioError::TooLong { max: 16_000, .. })
    ));
    let mut clip = [0.0; 8_000];
    clip[4_000] = f32::NAN;
    assert!(
        matches!(log_mel(&clip, &filters), Err(AudioError::NotFinite { at_s }) if at_s == 0.25)
    );
}

#[test]
fn how_a_clip_is_read_changes_no_bit() {
    let samples: Vec<i16> = (0..30_000i32)
        .map(|n| (n * 7_919 % 60_000 - 30_000) as i16)
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clip.wav");
    std::fs::write(&path, wav16(22_050, &samples)).unwrap();
    let read = |piece: usize| {
        let mut clip = Clip::open(&path, &Limits::default()).unwrap();
        let (mut all, mut block) = (Vec::new(), vec![0.0; piece]);
        loop {
            let n = clip.read(&mut block).unwrap();
            all.extend_from_slice(&block[..n]);
            // Less than asked for only at the end.
            if n < piece {
                assert_eq!(clip.read(&mut block).unwrap(), 0);
                return all;
            }
        }
    };
    let whole = read(1 << 20);
    assert_eq!(whole.len(), 21_769);
    assert_eq!(whole, read(1));
    assert_eq!(whole, read(4_097));
}
