//! Everything that can go wrong between a path and a spectrogram, each with the file, the place
//! and what would help.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// What can go wrong between a path and a log-mel spectrogram.
///
/// Times are seconds from the start of the clip as it would be heard.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AudioError {
    /// The file could not be opened at all.
    #[error("{}: cannot be opened", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A directory, a pipe or a device: reading it could block for ever or never end.
    #[error("{}: is a {kind}, not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is: `directory`, `pipe`, `socket`, `device`.
        kind: String,
    },
    /// Nothing in the bytes says that this is audio.
    #[error(
        "{}: not a sound file (known: wav, aiff, au, flac, mp3, ogg, opus, m4a, aac, alac, caf, mkv, mp4, webm)",
        path.display()
    )]
    Unrecognized {
        /// The file.
        path: PathBuf,
    },
    /// The container is known, what is inside cannot be decoded here.
    #[error("{}: {what} cannot be decoded; convert it to wav or flac", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The codec or the feature, in words.
        what: String,
    },
    /// The header contradicts itself or stops short.
    #[error("{}: the header is damaged: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is sound in form but holds no samples.
    #[error("{}: holds no sound", path.display())]
    NoSound {
        /// The file.
        path: PathBuf,
    },
    /// A packet could not be decoded, and sound follows it.
    #[error("{}: damaged {at_s:.2} s in: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where, in seconds.
        at_s: f64,
        /// What the decoder said.
        reason: String,
    },
    /// A sample is NaN or infinite, so no spectrogram of the clip would mean anything.
    #[error("{}: a sample {at_s:.3} s in is not a number", path.display())]
    SampleNotFinite {
        /// The file.
        path: PathBuf,
        /// Where, in seconds.
        at_s: f64,
    },
    /// Beyond what [`Limits`](crate::Limits) allows.
    #[error("{}: {found} {} is outside `{}` = {limit}", path.display(), quantity.unit(), quantity.name())]
    OverLimit {
        /// The file.
        path: PathBuf,
        /// Which limit.
        quantity: Quantity,
        /// What the file has.
        found: f64,
        /// What is allowed.
        limit: f64,
    },
    /// The operating system failed to deliver the file's bytes.
    #[error("{}: cannot be read {at_s:.2} s in", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Where, in seconds.
        at_s: f64,
        /// Why not.
        source: io::Error,
    },
    /// The decoder went on reading without producing a sample.
    #[error("{}: decoding makes no progress {at_s:.2} s in", path.display())]
    Stalled {
        /// The file.
        path: PathBuf,
        /// Where, in seconds.
        at_s: f64,
    },
    /// The decoder panicked. A defect of the decoder, brought out by this file.
    #[error("{}: the decoder failed {at_s:.2} s in: {message}", path.display())]
    Panicked {
        /// The file.
        path: PathBuf,
        /// Where, in seconds.
        at_s: f64,
        /// What it said.
        message: String,
    },
    /// The decoding process made no progress and was killed.
    #[error("{}: no sound decoded for {after_s:.1} s, {at_s:.2} s in; given up", path.display())]
    TimedOut {
        /// The file.
        path: PathBuf,
        /// Where, in seconds.
        at_s: f64,
        /// How long it was waited for, in seconds.
        after_s: f64,
    },
    /// The decoding process died: out of memory, stack overflow, abort.
    #[error("{}: the decoder died {at_s:.2} s in ({how})", path.display())]
    Crashed {
        /// The file.
        path: PathBuf,
        /// Where, in seconds.
        at_s: f64,
        /// Its exit status, in words.
        how: String,
    },
    /// The decoding process could not be started, or does not speak our protocol.
    #[error("the decoding process `{}` cannot be used: {source}", command.display())]
    Worker {
        /// The program that was started.
        command: OsString,
        /// Why not.
        source: io::Error,
    },
    /// Fewer samples than one audio token of the model needs.
    #[error("{samples} samples are too few: {min} ({min_ms:.0} ms) are needed", min_ms = *min as f64 / 16.0)]
    TooShort {
        /// Samples at 16 kHz.
        samples: usize,
        /// The least that works.
        min: usize,
    },
    /// More samples than one spectrogram may cover.
    #[error(
        "{samples} samples are more than one spectrogram holds ({max}); cut the clip into windows"
    )]
    TooLong {
        /// Samples at 16 kHz.
        samples: usize,
        /// The most that works.
        max: usize,
    },
    /// A sample given to [`log_mel`](crate::log_mel) is NaN or infinite.
    #[error("a sample {at_s:.3} s in is not a number")]
    NotFinite {
        /// Where, in seconds.
        at_s: f64,
    },
    /// A setting outside its range.
    #[error("`{name}` = {value} is out of range: {range}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: f64,
        /// What is allowed.
        range: &'static str,
    },
}

/// A quantity that [`Limits`](crate::Limits) bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Quantity {
    /// Channels of one track.
    Channels,
    /// Samples a second.
    SampleRate,
    /// Seconds of sound.
    Duration,
}

impl Quantity {
    /// The field of [`Limits`](crate::Limits) that bounds it.
    pub fn name(self) -> &'static str {
        match self {
            Quantity::Channels => "max_channels",
            Quantity::SampleRate => "sample_rates",
            Quantity::Duration => "max_duration_s",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Quantity::Channels => "channels",
            Quantity::SampleRate => "Hz",
            Quantity::Duration => "s",
        }
    }
}
