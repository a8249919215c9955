//! Sound and words, as vectors and scores: the Qwen2.5-Omni Thinker.

pub mod error;

pub use error::ModelError;
