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

pub mod checkpoint;
pub mod collective;
pub mod data;
pub mod export;
pub mod fresh;
pub mod loss;
pub mod mine;
pub mod optimizer;
mod random;
pub mod recipe;
pub mod report;
pub mod run;
pub mod schedule;
pub mod step;
pub mod thinker;
pub mod validate;

mod error;

pub use error::TrainError;
