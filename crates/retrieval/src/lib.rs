//! Vectors, as ranked clips.

pub mod embedding;

pub use embedding::{Embedding, EmbeddingError};
