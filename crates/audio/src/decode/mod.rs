//! A file's bytes, as interleaved samples at the rate they were recorded.
//!
//! ```text
//! source ──► SNIFF ──► header (wave, aiff, au: ours; the rest: symphonia) ──► packets ──► samples
//! a range    16 bytes                                                                    f32, native rate
//! of bytes
//! ```
//!
//! What a file is, its first bytes say; its name is never asked. The plain PCM containers are read
//! here, because sound libraries are full of wavs whose headers are slightly wrong and whose
//! samples are fine; compressed streams are decoded by symphonia, and Opus by ropus.

mod aiff;
mod alaw;
mod au;
mod chunks;
mod continuity;
mod ebml;
mod gapless;
mod ima;
mod media;
mod opus;
mod pcm;
mod sniff;
mod source;
mod wave;

use std::io;

pub(crate) use sniff::open;
pub(crate) use source::{Idle, NO_PROGRESS, Source};

/// What a header says about the track that will be decoded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Track {
    /// The container's common name: `wav`, `flac`, `matroska`.
    pub(crate) container: String,
    /// The codec's common name: `pcm_s16le`, `vorbis`.
    pub(crate) codec: String,
    /// Samples a second.
    pub(crate) rate: u32,
    /// Channels.
    pub(crate) channels: usize,
    /// Samples per channel, where the header says it.
    pub(crate) frames: Option<u64>,
}

/// Why a decoder stopped. Its owner knows the path and the time and makes an
/// [`AudioError`](crate::AudioError) of it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The bytes could not be read.
    Io(io::Error),
    /// In form a sound file, but without a single sample.
    NoSound,
    /// No container that we know.
    Unrecognized,
    /// A known container with something inside that we cannot decode.
    Unsupported(String),
    /// A header that cannot be followed.
    Malformed(String),
    /// A packet that cannot be decoded.
    Damaged(String),
    /// The reader goes in circles.
    Stalled,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::Other && error.to_string() == NO_PROGRESS {
            Failure::Stalled
        } else if error.kind() == io::ErrorKind::UnexpectedEof {
            Failure::Malformed("the file ends inside it".into())
        } else {
            Failure::Io(error)
        }
    }
}

/// A stream of interleaved samples.
pub(crate) trait Decode: Send {
    /// What the header said.
    fn track(&self) -> &Track;

    /// Replaces `out` by the next block, interleaved, nominally in `[-1, 1]`, and returns its
    /// number of channels; `None` at the end. A block may be empty.
    fn next(&mut self, out: &mut Vec<f32>) -> Result<Option<usize>, Failure>;

    /// What was left out or assumed so far, for people to read. Complete once
    /// [`next`](Decode::next) has returned `None`.
    fn notes(&self) -> &[String];
}
