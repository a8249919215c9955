//! Benchmarks, as figures that can be trusted.
//!
//! ```text
//! annotations ─► benchmark ─► task ─┐
//!                                   ├─► places ─► outcomes ─► figures, intervals, comparisons
//! similarities ─────────────────────┘      └► re-ranking: every candidate fused, the weight chosen elsewhere
//! ```
//!
//! The modules stand in the order in which data meets them. Everything honest is in `places`, `metrics`, `bootstrap` and
//! `rerank`; `released` alone reproduces what the released code does, mistakes included, for comparison.

#![warn(missing_docs)]

pub mod error;

pub mod benchmark;

pub mod run;

pub mod similarity;

pub mod pool;

pub mod places;

pub mod metrics;

pub mod bootstrap;

pub mod classes;

pub mod rerank;

pub mod released;

pub mod score;

pub mod evaluation;

pub mod published;

pub mod report;

pub use error::{EvalError, Place};
pub use pool::{Pool, Side};
pub use score::Scored;
pub use similarity::Similarity;

/// BLAKE3 of some bytes, in hexadecimal.
pub fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}
