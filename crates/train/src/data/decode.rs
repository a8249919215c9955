//! A row's sound as samples, wherever it is.

use std::error::Error;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use aurola_audio::{AudioError, Clip, Limits, read_whole};

use super::manifest::Manifest;
use super::row::Audio;

/// The samples of row `row`: mono, 16 kHz, at least one.
///
/// # Errors
///
/// In words that name the file: it cannot be read or decoded, holds nothing, or is longer than
/// `longest_s` seconds.
pub(super) fn samples(manifest: &Manifest, row: usize, longest_s: f64) -> Result<Vec<f32>, String> {
    let audio = &manifest.rows[row].audio;
    match audio {
        Audio::File(path) => file(path, longest_s).map_err(|error| error.told()),
        Audio::Member {
            archive,
            offset,
            len,
            ..
        } => {
            let bytes = stretch(archive, *offset, *len);
            held(
                &bytes.map_err(|error| format!("{}: {error}", audio.shown()))?,
                audio,
                longest_s,
            )
        }
        Audio::Cell { column, row } => {
            let bytes = column.read(*row);
            let bytes = bytes.map_err(|error| format!("{}: {error}", audio.shown()))?;
            held(bytes.data(), audio, longest_s)
        }
        Audio::Scene { seed } => match &manifest.generator {
            Some(generator) => Ok(generator.samples(*seed)),
            None => Err("a scene in a source without a generator".into()),
        },
        Audio::None => Err("it has no audio".into()),
    }
}

enum Failure {
    Audio(AudioError),
    TooLong { path: String, longest_s: f64 },
    Empty { path: String },
}

impl From<AudioError> for Failure {
    fn from(error: AudioError) -> Self {
        Self::Audio(error)
    }
}

impl Failure {
    fn told(&self) -> String {
        match self {
            Failure::Audio(error) => match error.source() {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            },
            Failure::TooLong { path, longest_s } => {
                format!("{path}: is over `longest_s` = {longest_s}; split it or raise that")
            }
            Failure::Empty { path } => format!("{path}: holds no sound"),
        }
    }
}

fn file(path: &Path, longest_s: f64) -> Result<Vec<f32>, Failure> {
    let mut clip = Clip::open(path, &Limits::default())?;
    let shown = || path.display().to_string();
    match read_whole(&mut clip, longest_s)? {
        None => Err(Failure::Empty { path: shown() }),
        Some(whole) if whole.is_cut => Err(Failure::TooLong {
            path: shown(),
            longest_s,
        }),
        Some(whole) => Ok(whole.window.samples),
    }
}

fn stretch(archive: &Path, offset: u64, len: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(archive)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(len).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != len {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

/// Decodes bytes by way of a file of their own, since decoders seek; messages name the place they are
/// from instead of that file.
fn held(bytes: &[u8], audio: &Audio, longest_s: f64) -> Result<Vec<f32>, String> {
    let written = tempfile::NamedTempFile::new().and_then(|mut file| {
        file.write_all(bytes)?;
        file.flush()?;
        Ok(file)
    });
    let copy = written.map_err(|error| format!("{}: a copy: {error}", audio.shown()))?;
    file(copy.path(), longest_s).map_err(|error| {
        let copied = copy.path().display().to_string();
        error.told().replace(&copied, &audio.shown())
    })
}
