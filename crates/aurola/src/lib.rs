//! The engine: search, embed, re-rank and caption a library of sounds.
//!
//! ```text
//! paths ─► walk ─► what the store knows ──────────────────────────► library ─► search ─► answer
//!                  └ what it does not: prepare ─► intake ─► store ─┘
//!                                      decode      embed
//!                                      log-mel     save
//! ```
//!
//! Everything a program needs to do what `aurola` does, and nothing of a terminal, a protocol or an
//! exit code. One bad file never ends a run: it is [`Skipped`], with the reason.

#![warn(missing_docs)]

mod error;
mod progress;

mod embedder;

mod walk;

mod listen;

mod prepare;

mod intake;

mod library;

mod search;

pub use embedder::Embedder;
pub use error::EngineError;
pub use library::{Engine, Library, LibraryFile, Options};
pub use listen::{Beginning, Cut, Decoding, Heard, Listener, Listening, reason, seconds};
pub use progress::{Cancel, Event, Noted, Progress, Skipped};
pub use search::{Answer, FileHit, Moment, Question};
pub use walk::{Found, SoundFile, walk};
