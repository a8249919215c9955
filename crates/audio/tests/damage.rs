//! Damage is told: a hole in a stream is an error with its time, a missing end is a note.

mod common;

use std::fs;

use aurola_audio::AudioError;
use common::{decode_bytes, fixtures};

/// The bytes of a fixture.
fn fixture(name: &str) -> Vec<u8> {
    fs::read(fixtures().join(name)).unwrap()
}

#[test]
fn bytes_lost_from_the_middle_are_an_error_with_their_time() {
    for name in [
        "sweep.flac",
        "sweep_flac.ogg",
        "sweep.ogg",
        "sweep_music.opus",
        "sweep.m4a",
    ] {
        let whole = fixture(name);
        let mut holed = whole.clone();
        let middle = whole.len() / 2;
        holed[middle..middle + whole.len() / 8].fill(0);
        match decode_bytes(&holed) {
            Err(AudioError::Damaged { at_s, .. }) => {
                assert!((0.0..0.5).contains(&at_s), "{name} at {at_s}");
            }
            // A stream of one page, or one whose last frames are the hole, ends early.
            Ok((_, notes)) => assert!(!notes.is_empty(), "{name} lost sound in silence"),
            Err(other) => panic!("{name}: {other}"),
        }
    }
}

#[test]
fn a_file_cut_short_gives_what_it_has_and_says_so() {
    for name in [
        "sweep.flac",
        "sweep.ogg",
        "sweep_cbr.mp3",
        "sweep_ms.wav",
        "sweep_mp3.wav",
    ] {
        let whole = fixture(name);
        match decode_bytes(&whole[..whole.len() * 3 / 4]) {
            Ok((samples, notes)) => {
                assert!(
                    (3_000..8_000).contains(&samples.len()),
                    "{name}: {}",
                    samples.len()
                );
                assert!(!notes.is_empty(), "{name} is cut in silence");
            }
            // All of a small Ogg file can be one page.
            Err(error) => assert!(name.ends_with("ogg"), "{error}"),
        }
    }
}

#[test]
fn junk_between_the_frames_of_an_mp3_is_noted() {
    let whole = fixture("sweep_no_tag.mp3");
    // Frames of 64 kbit/s at 22.05 kHz are 208 or 209 bytes; between two of them.
    let second = (2..whole.len())
        .find(|&at| at > 2_000 && whole[at..at + 2] == whole[..2])
        .unwrap();
    let junk = vec![0; 10_000];
    let file = [&whole[..second], &junk, &whole[second..]].concat();
    let (samples, notes) = decode_bytes(&file).unwrap();
    assert_eq!(samples.len(), 9_196);
    assert!(notes.len() == 1 && notes[0].contains("bytes"), "{notes:?}");
}

#[test]
fn a_cue_sheet_or_a_picture_of_a_flac_is_never_read() {
    let whole = fixture("sweep.flac");
    // After the format: a picture of 16 MB less one byte that is not even there in full, then sound.
    assert_eq!(whole[4] & 0x7F, 0);
    let mut file = whole[..42].to_vec();
    file[4] = 0;
    file.extend([0x06, 0x01, 0x00, 0x00]);
    file.extend(vec![0xFF; 1 << 16]);
    file.extend([0x85, 0x00, 0x00, 0x04, 1, 2, 3, 4]);
    let mut at = 42;
    let mut last = whole[4] & 0x80 != 0;
    while !last {
        last = whole[at] & 0x80 != 0;
        at += 4 + usize::from(whole[at + 2]) * 256 + usize::from(whole[at + 3]);
    }
    file.extend_from_slice(&whole[at..]);
    let (samples, notes) = decode_bytes(&file).unwrap();
    assert_eq!((samples.len(), notes), (8_000, vec![]));
}

/// Cuts and flips of every fixture: an error or samples, never a panic.
#[test]
fn no_damage_makes_a_decoder_panic() {
    for entry in fs::read_dir(fixtures()).unwrap() {
        let path = entry.unwrap().path();
        if !aurola_audio::is_audio_path(&path) {
            continue;
        }
        let whole = fs::read(&path).unwrap();
        let mut seed = 7u64;
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % below
        };
        for round in 0..40 {
            let mut bytes = whole.clone();
            if round % 4 == 0 {
                bytes.truncate(random(whole.len()));
            }
            for _ in 0..round {
                let header = if round % 2 == 0 { 200 } else { usize::MAX };
                if !bytes.is_empty() {
                    let at = random(bytes.len().min(header));
                    bytes[at] ^= 1 << random(8);
                }
            }
            let result = decode_bytes(&bytes);
            let panicked = matches!(result, Err(AudioError::Panicked { .. }));
            assert!(
                !panicked,
                "{} round {round}: {}",
                path.display(),
                result.unwrap_err()
            );
        }
    }
}
