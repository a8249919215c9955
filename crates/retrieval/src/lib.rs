//! Vectors, as ranked clips.
//!
//! ```text
//! embedding ──► store (SQLite) ──► sealed ──► snapshot ──────────────► contents with their windows
//! unit length   keyed by content   codes      rough pass, then f32
//!                     │
//!                     └──► vectors ──► exact scan ──► ranking: the plain form that the other is tested against
//! ```
//!
//! The modules stand in the order in which data meets them. The crate knows neither sounds nor
//! models: a vector belongs to a [`store::Space`] (whatever makes vectors comparable), a window is
//! a span of samples, and a file is a path whose bytes have a hash.

pub mod embedding;

pub mod store;

pub mod vectors;

mod sealed;

pub mod query;

pub mod snapshot;

pub mod distance;

pub mod exact;

pub mod ranking;

pub use embedding::{Embedding, EmbeddingError};
pub use exact::Matrix;
pub use query::{Query, QueryError};
pub use ranking::{Candidate, Hit, ScoredSpan, rank};
pub use sealed::Sealing;
pub use snapshot::{ContentHit, Snapshot};
pub use store::{Store, StoreError};
pub use vectors::{ContentId, Span, Vectors};
