//! The engine: search, embed, re-rank and caption a library of sounds.
//!
//! ```text
//! paths ─► walk ─► what the store knows ──────────────────────────► library ─► search ─► answer
//!                  └ what it does not: prepare ─► intake ─► store ─┘
//!                                      decode      embed
//!                                      log-mel     save
//! ```
//!
//! An [`Index`] is the same for many threads and a long life: one writes, many search, and what is
//! found can be filtered, grouped, judged and explained.
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

mod tags;

mod request;

mod found;

mod index;

pub use aurola_retrieval::store::{
    FileId, Filter, Job, JobState, Sound, Tag, TagCount, TagFilter, TagSource,
};
pub use embedder::Embedder;
pub use error::{EngineError, OtherModel};
pub use found::{Label, Relevance, SearchAnswer, SearchHit, SpaceInfo, Timing};
pub use index::{Edit, FileEntry, Index, IndexStatus, RootStatus};
pub use library::{Engine, Library, LibraryFile, Options};
pub use listen::{Beginning, Cut, Decoding, Heard, Listener, Listening, reason, seconds};
pub use progress::{Cancel, Event, Noted, Progress, Skipped};
pub use request::{GroupBy, Mode, Part, Rerank, SearchRequest, Sort, What};
pub use search::{Answer, FileHit, Moment, Question};
pub use walk::{Found, SoundFile, walk};
