//! Training: pairs of sounds and words, as a model that finds one by the other.
//!
//! ```text
//! audio embeddings ─┐
//!                   ├─► similarities ─► LOSS ─► gradients of both sides ─► the model's backward pass
//! text embeddings ──┘
//! answer logits ──────────────────────► LOSS ─► gradient of the logits
//! ```
//!
//! The losses know neither models nor files: numbers in, a value and a gradient out. The optimizer
//! and its schedule know slices and steps.

pub mod loss;
pub mod optimizer;
pub mod schedule;

mod error;

pub use error::TrainError;
