//! Plain sample formats, each file written byte by byte here.

mod common;

use aurola_audio::{AudioError, Limits, Quantity};
use common::{chunk, decode, decode_bytes, format, riff, wav, wav16};

/// Decodes a 16 kHz mono file and returns its samples; there must be no notes.
fn samples(bytes: &[u8]) -> Vec<f32> {
    let (samples, notes) = decode_bytes(bytes).unwrap();
    assert_eq!(notes, [] as [String; 0]);
    samples
}

#[test]
fn every_width_of_pcm_means_the_same_numbers() {
    // -1, -1/2, 0, 1/2 at full scale of each width.
    let expected = [-1.0, -0.5, 0.0, 0.5];
    let int16 = [-32_768i16, -16_384, 0, 16_384];
    let top = |bytes: usize| -> Vec<u8> {
        int16
            .iter()
            .flat_map(|&s| (i32::from(s) << 16).to_le_bytes()[4 - bytes..].to_vec())
            .collect()
    };
    assert_eq!(samples(&wav(1, 8, &[0, 64, 128, 192])), expected);
    assert_eq!(samples(&wav(1, 16, &top(2))), expected);
    assert_eq!(samples(&wav(1, 24, &top(3))), expected);
    assert_eq!(samples(&wav(1, 32, &top(4))), expected);
    // 12 and 20 bits stand at the top of 2 and 3 bytes.
    assert_eq!(samples(&wav(1, 12, &top(2))), expected);
    assert_eq!(samples(&wav(1, 20, &top(3))), expected);
    let floats: Vec<u8> = expected
        .iter()
        .flat_map(|x: &f32| x.to_le_bytes())
        .collect();
    assert_eq!(samples(&wav(3, 32, &floats)), expected);
    let doubles: Vec<u8> = expected
        .iter()
        .flat_map(|x| f64::from(*x).to_le_bytes())
        .collect();
    assert_eq!(samples(&wav(3, 64, &doubles)), expected);
    // Floats above full scale stay what they are.
    assert_eq!(samples(&wav(3, 32, &3.5f32.to_le_bytes())), [3.5]);
}

#[test]
fn telephone_codes_by_table() {
    // G.711: µ-law 0x80 is 32124, 0xFF is 0; A-law 0xAA is 32256, 0xD5 is 8.
    assert_eq!(
        samples(&wav(7, 8, &[0x80, 0xFF])),
        [32_124.0 / 32_768.0, 0.0]
    );
    assert_eq!(
        samples(&wav(6, 8, &[0xAA, 0xD5])),
        [32_256.0 / 32_768.0, 8.0 / 32_768.0]
    );
}

#[test]
fn ima_adpcm_by_hand() {
    // One block: predictor 1000, step index 0 (step 7), then nibbles 4 (+7/8+7) and 12 (-): the
    // reference decoder gives 1000, 1000 + 7 + 0, and back by the same step of index 2 (step 9).
    let mut block = 1_000i16.to_le_bytes().to_vec();
    block.extend([0, 0, 0xC4, 0x00, 0x00, 0x00]);
    let mut fmt = format(0x11, 1, 16_000, 8, 4);
    fmt.extend([2, 0, 9, 0]);
    let decoded = samples(&riff(&[chunk(b"fmt ", &fmt), chunk(b"data", &block)]));
    assert_eq!(decoded.len(), 9);
    assert_eq!(decoded[..2], [1_000.0 / 32_768.0, 1_007.0 / 32_768.0]);
    assert!(decoded[2] < decoded[1]);
}

#[test]
fn the_extensible_format_and_24_bits_in_4_bytes() {
    let extensible = |bits: u16, valid: u16| {
        let mut fmt = format(0xFFFE, 1, 16_000, bits / 8, bits);
        fmt.extend(22u16.to_le_bytes());
        fmt.extend(valid.to_le_bytes());
        fmt.extend(4u32.to_le_bytes());
        fmt.extend([
            1, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71,
        ]);
        fmt
    };
    let half = (1i32 << 30).to_le_bytes();
    let file = riff(&[chunk(b"fmt ", &extensible(32, 24)), chunk(b"data", &half)]);
    assert_eq!(samples(&file), [0.5]);
    // Without the extension, 24 bits in 4 bytes are the lower three.
    let fmt = format(1, 1, 16_000, 4, 24);
    let low = (1i32 << 22).to_le_bytes();
    assert_eq!(
        samples(&riff(&[chunk(b"fmt ", &fmt), chunk(b"data", &low)])),
        [0.5]
    );
}

#[test]
fn big_endian_riff_au_and_both_aiffs() {
    let half = 16_384i16.to_be_bytes();
    let mut rifx = b"RIFX\0\0\0\x26WAVEfmt \0\0\0\x10".to_vec();
    rifx.extend([0, 1, 0, 1, 0, 0, 0x3E, 0x80, 0, 0, 0x7D, 0, 0, 2, 0, 16]);
    rifx.extend(b"data\0\0\0\x02");
    rifx.extend(half);
    assert_eq!(samples(&rifx), [0.5]);

    let mut au = b".snd\0\0\0\x18\xFF\xFF\xFF\xFF\0\0\0\x03\0\0\x3E\x80\0\0\0\x01".to_vec();
    au.extend(half);
    assert_eq!(samples(&au), [0.5]);

    let aiff = |form: &[u8; 4], compression: &[u8], data: &[u8]| {
        let mut comm = vec![0, 1, 0, 0, 0, 1, 0, 16];
        comm.extend([0x40, 0x0C, 0xFA, 0, 0, 0, 0, 0, 0, 0]); // 16,000
        comm.extend(compression);
        let be = |tag: &[u8], body: &[u8]| {
            let mut out = tag.to_vec();
            out.extend((body.len() as u32).to_be_bytes());
            out.extend(body);
            out
        };
        let sound = [&[0; 8], data].concat();
        be(
            b"FORM",
            &[form.to_vec(), be(b"COMM", &comm), be(b"SSND", &sound)].concat(),
        )
    };
    assert_eq!(samples(&aiff(b"AIFF", b"", &half)), [0.5]);
    assert_eq!(samples(&aiff(b"AIFC", b"NONE", &half)), [0.5]);
    assert_eq!(
        samples(&aiff(b"AIFC", b"sowt", &16_384i16.to_le_bytes())),
        [0.5]
    );
    let Err(AudioError::Unsupported { what, .. }) = decode_bytes(&aiff(b"AIFC", b"QDM2", &half))
    else {
        panic!("QDM2 cannot be decoded");
    };
    assert!(what.contains("QDM2"));
}

#[test]
fn rf64_and_w64_hold_more_than_four_gigabytes_by_other_headers() {
    let mut ds64 = 0u64.to_le_bytes().to_vec();
    ds64.extend(2u64.to_le_bytes());
    ds64.extend([0; 12]);
    let fmt = format(1, 1, 16_000, 2, 16);
    let mut rf64 = riff(&[chunk(b"ds64", &ds64), chunk(b"fmt ", &fmt)]);
    rf64[..4].copy_from_slice(b"RF64");
    rf64.extend(b"data\xFF\xFF\xFF\xFF");
    rf64.extend(16_384i16.to_le_bytes());
    rf64.extend(chunk(b"bext", &[1; 10]));
    assert_eq!(samples(&rf64), [0.5]);

    let guid = |tag: &[u8; 4], rest: [u8; 12], body: &[u8]| {
        let mut out = [tag.as_slice(), &rest].concat();
        out.extend((body.len() as u64 + 24).to_le_bytes());
        out.extend(body);
        out.resize(out.len().next_multiple_of(8), 0);
        out
    };
    let tail = [
        0xF3, 0xAC, 0xD3, 0x11, 0x8C, 0xD1, 0, 0xC0, 0x4F, 0x8E, 0xDB, 0x8A,
    ];
    let mut w64 = b"riff\x2E\x91\xCF\x11\xA5\xD6\x28\xDB\x04\xC1\0\0".to_vec();
    w64.extend(0u64.to_le_bytes());
    w64.extend([b"wave".as_slice(), &tail].concat());
    w64.extend(guid(b"fmt ", tail, &fmt));
    w64.extend(guid(b"data", tail, &16_384i16.to_le_bytes()));
    assert_eq!(samples(&w64), [0.5]);
}

#[test]
fn headers_that_are_slightly_wrong_lose_no_sound_and_are_told() {
    let data = 16_384i16.to_le_bytes().repeat(8);
    let fmt = chunk(b"fmt ", &format(1, 1, 16_000, 2, 16));
    let half = vec![0.5; 8];
    let with_len = |len: u32| {
        let mut file = riff(&[fmt.clone(), chunk(b"data", &data)]);
        let at = file.len() - data.len() - 4;
        file[at..at + 4].copy_from_slice(&len.to_le_bytes());
        decode_bytes(&file).unwrap()
    };
    let (decoded, notes) = with_len(4_000);
    assert_eq!((decoded, notes.len()), (half.clone(), 1));
    assert!(
        notes[0].contains("4000") && notes[0].contains("16"),
        "{notes:?}"
    );
    let (decoded, notes) = with_len(0);
    assert_eq!((decoded, notes.len()), (half.clone(), 1));
    // A pipe's way of saying "unknown" is no damage.
    assert_eq!(with_len(u32::MAX), (half.clone(), vec![]));
    // A block alignment of 0, an odd chunk in front, with and without its pad byte.
    let odd = chunk(b"LIST", b"odd");
    let file = riff(&[
        chunk(b"fmt ", &format(1, 1, 16_000, 0, 16)),
        odd.clone(),
        chunk(b"data", &data),
    ]);
    assert_eq!(samples(&file), half);
    let file = riff(&[
        fmt.clone(),
        odd[..odd.len() - 1].to_vec(),
        chunk(b"data", &data),
    ]);
    assert_eq!(samples(&file), half);
    // Half a sample at the end.
    let file = riff(&[fmt, chunk(b"data", &data[..15])]);
    let (decoded, notes) = decode_bytes(&file).unwrap();
    assert_eq!((decoded.len(), notes.len()), (7, 1));
}

#[test]
fn channels_are_averaged() {
    let fmt = format(1, 3, 16_000, 6, 16);
    let data: Vec<u8> = [0i16, 16_384, -16_384, 3, 3, 3]
        .iter()
        .flat_map(|s| s.to_le_bytes())
        .collect();
    let file = riff(&[chunk(b"fmt ", &fmt), chunk(b"data", &data)]);
    assert_eq!(samples(&file), [0.0, 9.0 / 32_768.0 / 3.0]);
}

#[test]
fn a_sample_that_is_no_number_is_an_error_with_its_time() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut data = 0.5f32.to_le_bytes().repeat(16_000);
        data[8_000 * 4..8_000 * 4 + 4].copy_from_slice(&bad.to_le_bytes());
        match decode_bytes(&wav(3, 32, &data)) {
            Err(AudioError::SampleNotFinite { at_s, .. }) => assert_eq!(at_s, 0.5),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_is_no_sound_is_refused_by_name() {
    let text = b"Dear listener, this is a letter and not a sound file.".repeat(20);
    assert!(matches!(
        decode_bytes(&text),
        Err(AudioError::Unrecognized { .. })
    ));
    assert!(matches!(decode_bytes(b""), Err(AudioError::NoSound { .. })));
    assert!(matches!(
        decode_bytes(&wav16(44_100, &[])),
        Err(AudioError::NoSound { .. })
    ));
    let zero_channels = riff(&[
        chunk(b"fmt ", &format(1, 0, 16_000, 2, 16)),
        chunk(b"data", &[0; 8]),
    ]);
    assert!(matches!(
        decode_bytes(&zero_channels),
        Err(AudioError::Malformed { .. })
    ));
    assert!(matches!(
        decode_bytes(&wav(0x2000, 16, &[0; 8])),
        Err(AudioError::Unsupported { .. })
    ));
    let dir = tempfile::tempdir().unwrap();
    assert!(
        matches!(decode(dir.path()), Err(AudioError::NotAFile { kind, .. }) if kind == "directory")
    );
    assert!(matches!(
        decode(&dir.path().join("gone.wav")),
        Err(AudioError::Open { .. })
    ));
}

#[cfg(unix)]
#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe.wav");
    let made = std::process::Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .unwrap();
    assert!(made.success());
    assert!(matches!(decode(&pipe), Err(AudioError::NotAFile { kind, .. }) if kind == "pipe"));
    assert!(
        matches!(decode("/dev/zero".as_ref()), Err(AudioError::NotAFile { kind, .. }) if kind == "device")
    );
}

#[test]
fn limits_name_what_is_beyond_them() {
    let over = |bytes: &[u8], limits: &Limits| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, bytes).unwrap();
        let opened = aurola_audio::Clip::open(&path, limits);
        match opened.and_then(|mut clip| common::drain(&mut clip)) {
            Err(AudioError::OverLimit {
                quantity,
                found,
                limit,
                ..
            }) => (quantity, found, limit),
            other => panic!("{other:?}"),
        }
    };
    let limits = Limits::default();
    let wide = riff(&[
        chunk(b"fmt ", &format(1, 33, 16_000, 66, 16)),
        chunk(b"data", &[0; 66]),
    ]);
    assert_eq!(over(&wide, &limits), (Quantity::Channels, 33.0, 32.0));
    assert_eq!(
        over(&wav16(999, &[0; 9]), &limits),
        (Quantity::SampleRate, 999.0, 1_000.0)
    );
    assert_eq!(
        over(&wav16(10_000_000, &[0; 9]), &limits).0,
        Quantity::SampleRate
    );
    let short = Limits {
        max_duration_s: 0.5,
        ..Limits::default()
    };
    assert_eq!(
        over(&wav16(16_000, &[0; 16_000]), &short).0,
        Quantity::Duration
    );
}

#[test]
fn tags_around_the_sound_are_no_part_of_it() {
    // An ID3v2 tag in front (100 bytes after its header), ID3v1 behind.
    let mut file = b"ID3\x04\0\0\0\0\0\x64".to_vec();
    file.extend([0xFF; 100]);
    file.extend(wav16(16_000, &[16_384; 4]));
    file.extend([b"TAG".as_slice(), &[b' '; 125]].concat());
    assert_eq!(samples(&file), [0.5; 4]);
}
