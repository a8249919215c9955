//! Generated sound scenes: as many as wanted, each with words that are true of it.
//!
//! ```text
//!                        ┌──► families ──► layers ──► mix ──► samples   16 kHz, mono
//! seed ──► dice ──► SCENE┤    oscillators, noise,     room,
//!                        │    formants, struck bodies level
//!                        └──► lexicon ──► templates ──► captions, tags, near misses
//! ```
//!
//! A [`Scene`] says what happens: which [`families`] of sound, how often, in what order or at once, how
//! loud, over what background. Sound and words are both made from it, so a caption cannot be wrong about
//! its clip. Everything is a pure function of seeds: no recordings, no clock, no threads, and no function
//! of the platform whose last bits differ between machines.
//!
//! Tests, the demonstration and models trained from nothing share this one source.

mod dsp;
mod families;
mod render;
mod scene;
mod words;

pub use families::{Family, families};
pub use scene::{Moment, Scene, SceneConfig};
pub use words::{Captions, NearMiss, NearMissKind};

/// Samples per second of everything rendered.
pub const SAMPLE_RATE: u32 = 16_000;
