//! An audio file, as log-mel spectrograms.
//!
//! ```text
//! path ──► CLIP: decode ──► mix ──► resample ──► WINDOWS ──► LOG_MEL ──► audio tower
//!          native rate      mono    16 kHz       30 s        [n_mels, n_frames]
//! ```
//!
//! - [`clip`]: a file as a stream of mono samples at 16 kHz; the memory it needs does not depend on
//!   its length.
//! - [`isolate`]: the same stream, decoded in a child process that may die without harm.
//! - [`resample`]: any rate to 16 kHz, as soxr's high quality does it.
//! - [`window`]: long clips as overlapping windows, nothing left out.
//! - [`mel`]: Whisper's front end, in 1/100 of the time of padding to 300 s.
//!
//! Samples are `f32`, nominally in `[-1, 1]`. Times are seconds. Nothing here knows of a model, a
//! terminal or an index.

pub mod clip;
mod decode;
mod error;
pub mod extensions;
pub mod isolate;
mod limits;
pub mod mel;
mod mix;
pub mod resample;
pub mod window;

pub use clip::{Clip, ClipInfo, SampleSource};
pub use error::{AudioError, Quantity};
pub use extensions::{AUDIO_EXTENSIONS, is_audio_path};
pub use isolate::{IsolatedClip, IsolatedDecoder};
pub use limits::Limits;
pub use mel::{LogMel, MelConfig, MelFilters, log_mel};
pub use resample::Resampler;
pub use window::{Whole, Window, WindowConfig, Windows, read_whole};

/// Samples a second of everything downstream of [`Clip`].
pub const SAMPLE_RATE: u32 = 16_000;
