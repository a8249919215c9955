//! Sound and words, as vectors and scores: the Qwen2.5-Omni Thinker.
//!
//! ```text
//! log-mel ─► audio tower ─┐
//!                         ├► prompt ─► language model ─► embedding · Yes/No · caption
//! words ───► tokenizer ───┘
//! ```
//!
//! [`Model::load`] reads a checkpoint in the published layout; [`Model::embed`], [`Model::rerank`]
//! and [`Model::caption`] use it. The crate does no input or output except reading weights, and
//! nothing in it changes after loading: one model serves many threads.
//!
//! The modules stand in the order data meets them.

pub mod config;
pub mod description;
pub mod front_end;
pub mod lora;
mod packed_header;
pub mod quantise;
pub mod weights;

pub mod text;

pub mod audio_tower;
pub mod language_model;
mod linear;
mod plan;
pub mod thinker;

mod choice;
mod generate;
mod model;
mod prefix;
mod rerank;
mod score;

pub mod error;

pub use aurola_compute::packed::Form;
pub use description::Description;
pub use error::ModelError;
pub use generate::Generation;
pub use model::{DtypeChoice, Input, LoadOptions, Model, Sound};
pub use score::YesNo;
pub use text::{CaptionStyle, Direction, PromptPreset};
