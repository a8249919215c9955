//! Files made by hand, and the samples of a clip in one `Vec`.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};

use aurola_audio::{AudioError, Clip, Limits, SampleSource};

/// All samples of a clip, and its notes.
pub(crate) fn drain(source: &mut impl SampleSource) -> Result<(Vec<f32>, Vec<String>), AudioError> {
    let (mut samples, mut block) = (Vec::new(), vec![0.0; 10_007]);
    loop {
        match source.read(&mut block)? {
            0 => return Ok((samples, source.notes().to_vec())),
            n => samples.extend_from_slice(&block[..n]),
        }
    }
}

/// Decodes a file with default limits.
pub(crate) fn decode(path: &Path) -> Result<(Vec<f32>, Vec<String>), AudioError> {
    drain(&mut Clip::open(path, &Limits::default())?)
}

/// Decodes `bytes` as a file of an unhelpful name.
pub(crate) fn decode_bytes(bytes: &[u8]) -> Result<(Vec<f32>, Vec<String>), AudioError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sound.txt");
    std::fs::write(&path, bytes).unwrap();
    decode(&path)
}

/// A RIFF chunk, padded to an even length.
pub(crate) fn chunk(tag: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut out = tag.to_vec();
    out.extend((body.len() as u32).to_le_bytes());
    out.extend_from_slice(body);
    out.resize(out.len().next_multiple_of(2), 0);
    out
}

/// The 16 bytes that every wav format begins with.
pub(crate) fn format(tag: u16, channels: u16, rate: u32, align: u16, bits: u16) -> Vec<u8> {
    let mut out = Vec::new();
    for pair in [tag, channels] {
        out.extend(pair.to_le_bytes());
    }
    out.extend(rate.to_le_bytes());
    out.extend((rate * u32::from(align)).to_le_bytes());
    out.extend(align.to_le_bytes());
    out.extend(bits.to_le_bytes());
    out
}

/// A wav of these chunks.
pub(crate) fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
    let body = chunks.concat();
    let mut out = b"RIFF".to_vec();
    out.extend((body.len() as u32 + 4).to_le_bytes());
    out.extend(b"WAVE");
    out.extend(body);
    out
}

/// A 16 kHz mono wav with one format and its data.
pub(crate) fn wav(tag: u16, bits: u16, data: &[u8]) -> Vec<u8> {
    riff(&[
        chunk(b"fmt ", &format(tag, 1, 16_000, bits.div_ceil(8), bits)),
        chunk(b"data", data),
    ])
}

/// A 16-bit mono wav of these samples.
pub(crate) fn wav16(rate: u32, samples: &[i16]) -> Vec<u8> {
    let data: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
    riff(&[
        chunk(b"fmt ", &format(1, 1, rate, 2, 16)),
        chunk(b"data", &data),
    ])
}

/// The workspace's `testdata/audio`.
pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/audio")
}

/// The data shared between tasks, where this machine has it: beside the workspace, or where
/// `AUROLA_SHARED` says.
pub(crate) fn shared(part: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let dir = std::env::var_os("AUROLA_SHARED")
        .map_or_else(beside, PathBuf::from)
        .join(part);
    if dir.exists() {
        return Some(dir);
    }
    eprintln!("not run: {} is not there", dir.display());
    None
}
