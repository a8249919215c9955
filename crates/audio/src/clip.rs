//! A file as a stream of mono samples at 16 kHz.
//!
//! What `librosa.load(path, sr=16000)` returns, in pieces: decoded to f32, averaged over channels at
//! the native rate, resampled as `soxr_hq` does, `ceil(n · 16000 / rate)` samples long. Unlike
//! there, a sample that is no number, a damaged packet and a decoder's panic are errors that name
//! the time, and what a header promised and the file does not hold is told by
//! [`notes`](SampleSource::notes).

use std::any::Any;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::decode::{self, Decode, Failure, Idle, Source};
use crate::error::{AudioError, Quantity};
use crate::limits::Limits;
use crate::mix;
use crate::resample::Resampler;

/// What is known of a clip before it is decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipInfo {
    /// The container: `wav`, `flac`, `ogg`.
    pub container: String,
    /// The codec: `pcm_s16le`, `vorbis`, `opus`.
    pub codec: String,
    /// Native samples a second.
    pub sample_rate: u32,
    /// Channels, mixed to one.
    pub channels: u32,
    /// Length in seconds as the header tells it; decoding may find another.
    pub duration_s: Option<f64>,
}

/// A stream of mono samples at [`SAMPLE_RATE`](crate::SAMPLE_RATE).
pub trait SampleSource {
    /// What the header said.
    fn info(&self) -> &ClipInfo;

    /// Fills `out` from the start and returns how many samples were written: fewer than
    /// `out.len()` only at the end of the clip, 0 from then on. How the clip is divided into reads
    /// never changes a sample. After an error the clip gives nothing more.
    fn read(&mut self, out: &mut [f32]) -> Result<usize, AudioError>;

    /// What was left out or assumed, in words; complete at the end of the clip. Empty for a sound
    /// file.
    fn notes(&self) -> &[String];
}

impl<S: SampleSource + ?Sized> SampleSource for Box<S> {
    fn info(&self) -> &ClipInfo {
        (**self).info()
    }

    fn read(&mut self, out: &mut [f32]) -> Result<usize, AudioError> {
        (**self).read(out)
    }

    fn notes(&self) -> &[String] {
        (**self).notes()
    }
}

/// A file that is being decoded in this process.
pub struct Clip {
    path: PathBuf,
    info: ClipInfo,
    limits: Limits,
    decoder: Option<Box<dyn Decode>>,
    idle: Idle,
    resampler: Resampler,
    /// Native frames decoded.
    frames: u64,
    interleaved: Vec<f32>,
    mono: Vec<f32>,
    /// Finished samples, of which `[..taken]` have been read.
    ready: Vec<f32>,
    taken: usize,
    notes: Vec<String>,
}

impl Clip {
    /// Opens a regular file and reads its header; what it is, its content decides.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, is not a regular file, is no sound file that can be decoded, or
    /// is beyond `limits`.
    pub fn open(path: &Path, limits: &Limits) -> Result<Clip, AudioError> {
        let source = open_regular(path, limits)?;
        let idle = source.idle();
        let decoder = guarded(path, 0.0, || decode::open(source))?;
        let track = decoder.track();
        limits.admit(path, track.channels, track.rate)?;
        let seconds = |frames| frames as f64 / f64::from(track.rate);
        let info = ClipInfo {
            container: track.container.clone(),
            codec: track.codec.clone(),
            sample_rate: track.rate,
            channels: track.channels as u32,
            duration_s: track.frames.map(seconds),
        };
        let resampler = Resampler::new(track.rate)?;
        idle.progress();
        Ok(Clip {
            path: path.to_owned(),
            info,
            limits: limits.clone(),
            decoder: Some(decoder),
            idle,
            resampler,
            frames: 0,
            interleaved: Vec::new(),
            mono: Vec::new(),
            ready: Vec::new(),
            taken: 0,
            notes: Vec::new(),
        })
    }

    /// Seconds decoded so far.
    fn now(&self) -> f64 {
        self.frames as f64 / f64::from(self.info.sample_rate)
    }

    /// Decodes until samples are ready; false at the end of the clip.
    fn advance(&mut self) -> Result<bool, AudioError> {
        self.ready.clear();
        self.taken = 0;
        for _ in 0..self.limits.max_idle_packets {
            let at_s = self.now();
            let Some(decoder) = &mut self.decoder else {
                return Ok(false);
            };
            let block = &mut self.interleaved;
            let Some(channels) = guarded(&self.path, at_s, || decoder.next(block))? else {
                self.notes = decoder.notes().to_vec();
                self.decoder = None;
                if self.frames == 0 {
                    return Err(AudioError::NoSound {
                        path: self.path.clone(),
                    });
                }
                self.resampler.finish(&mut self.ready);
                return Ok(!self.ready.is_empty());
            };
            if self.interleaved.is_empty() {
                continue;
            }
            self.limits
                .admit(&self.path, channels, self.info.sample_rate)?;
            self.accept(channels)?;
            self.idle.progress();
            if !self.ready.is_empty() {
                return Ok(true);
            }
        }
        Err(AudioError::Stalled {
            path: self.path.clone(),
            at_s: self.now(),
        })
    }

    /// Mixes and resamples the block just decoded.
    fn accept(&mut self, channels: usize) -> Result<(), AudioError> {
        let rate = f64::from(self.info.sample_rate);
        if let Some(bad) = self.interleaved.iter().position(|x| !x.is_finite()) {
            let at_s = (self.frames + (bad / channels) as u64) as f64 / rate;
            return Err(AudioError::SampleNotFinite {
                path: self.path.clone(),
                at_s,
            });
        }
        self.mono.clear();
        mix::mean(&self.interleaved, channels, &mut self.mono);
        // The sum of finite channels can overflow; then the mean is not a number either.
        if let Some(bad) = self.mono.iter().position(|x| !x.is_finite()) {
            let at_s = (self.frames + bad as u64) as f64 / rate;
            return Err(AudioError::SampleNotFinite {
                path: self.path.clone(),
                at_s,
            });
        }
        self.frames += self.mono.len() as u64;
        if self.now() > self.limits.max_duration_s {
            return Err(AudioError::OverLimit {
                path: self.path.clone(),
                quantity: Quantity::Duration,
                found: self.now(),
                limit: self.limits.max_duration_s,
            });
        }
        self.resampler.push(&self.mono, &mut self.ready);
        Ok(())
    }
}

impl SampleSource for Clip {
    fn info(&self) -> &ClipInfo {
        &self.info
    }

    fn read(&mut self, out: &mut [f32]) -> Result<usize, AudioError> {
        let mut written = 0;
        while written < out.len() {
            if self.taken == self.ready.len() {
                match self.advance() {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        self.decoder = None;
                        self.ready.clear();
                        return Err(error);
                    }
                }
            }
            let n = (out.len() - written).min(self.ready.len() - self.taken);
            out[written..written + n].copy_from_slice(&self.ready[self.taken..self.taken + n]);
            self.taken += n;
            written += n;
        }
        Ok(written)
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl std::fmt::Debug for Clip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clip")
            .field("path", &self.path)
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

/// Opens `path` if it is a regular file. Asked before opening, since opening a pipe blocks until
/// somebody writes to it.
fn open_regular(path: &Path, limits: &Limits) -> Result<Source, AudioError> {
    let failed = |source| AudioError::Open {
        path: path.to_owned(),
        source,
    };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        let kind = kind(&metadata).into();
        return Err(AudioError::NotAFile {
            path: path.to_owned(),
            kind,
        });
    }
    let file = File::open(path).map_err(failed)?;
    Source::new(file, limits.max_idle_bytes).map_err(failed)
}

fn kind(metadata: &std::fs::Metadata) -> &'static str {
    if metadata.is_dir() {
        return "directory";
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kind = metadata.file_type();
        if kind.is_fifo() {
            return "pipe";
        }
        if kind.is_socket() {
            return "socket";
        }
    }
    "device"
}

/// Runs a decoder; its failures and its panics become errors that name the file and the time.
fn guarded<T>(
    path: &Path,
    at_s: f64,
    run: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, AudioError> {
    let path = path.to_owned();
    // A decoder that panicked is dropped and never called again, so what state it left is not seen.
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(failure)) => Err(match failure {
            Failure::NoSound => AudioError::NoSound { path },
            Failure::Io(source) => AudioError::Read { path, at_s, source },
            Failure::Unrecognized => AudioError::Unrecognized { path },
            Failure::Unsupported(what) => AudioError::Unsupported { path, what },
            Failure::Malformed(reason) => AudioError::Malformed { path, reason },
            Failure::Damaged(reason) => AudioError::Damaged { path, at_s, reason },
            Failure::Stalled => AudioError::Stalled { path, at_s },
        }),
        Err(panic) => Err(AudioError::Panicked {
            path,
            at_s,
            message: message(&*panic),
        }),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or(panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic")
        .into()
}
