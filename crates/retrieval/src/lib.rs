//! Vectors, as ranked clips.
//!
//! ```text
//! embedding ──► store (SQLite) ──► vectors ──► exact scan ──► ranking
//! unit length   keyed by content   in memory   one product    windows into files
//!                                              per window     and time spans
//! ```
//!
//! The modules stand in the order in which data meets them. The crate knows neither sounds nor
//! models: a vector belongs to a [`store::Space`] (whatever makes vectors comparable), a window is
//! a span of samples, and a file is a path whose bytes have a hash.

pub mod embedding;

pub mod store;

pub mod vectors;

pub mod query;

pub mod distance;

pub mod exact;

pub mod ranking;

pub use embedding::{Embedding, EmbeddingError};
pub use exact::Matrix;
pub use query::{Query, QueryError};
pub use ranking::{Candidate, Hit, ScoredSpan, rank};
pub use store::{Store, StoreError};
pub use vectors::{ContentId, Span, Vectors};
