//! The losses of the three training stages, each with its gradient worked out by hand.
//!
//! ```text
//! Pairs ──► Similarities ──► info_nce / hybrid_nce ──► ContrastiveLoss ──► Pairs::backward
//! f32       f64              Overlap, by tag clusters  value, gradient     f32, both sides
//! ```
//!
//! [`info_nce()`] is the text stage's, [`hybrid_nce()`] the audio stage's (arXiv:2602.18010), and
//! [`cross_entropy()`] the re-ranker's. From the embeddings' `f32` to the gradients' `f32` everything
//! is `f64`: at τ = 0.005 the rounding of one cosine to `f32` would already move `exp(s / τ)` by 1e-5.
//! Sums of exponentials are kept as logarithms, so no temperature overflows.
//!
//! ```
//! use aurola_train::loss::{HybridNceConfig, Overlap, Pairs, hybrid_nce};
//!
//! let audio = [3.0, 4.0, -1.0, 0.5]; // [batch, dim] = [2, 2], as the model left them
//! let text = [1.0, 1.0, 0.0, 2.0];
//! let pairs = Pairs::normalized(&audio, &text, 2)?;
//! let loss = hybrid_nce(&pairs.similarities(), &Overlap::none(2), &HybridNceConfig::default())?;
//! let gradients = pairs.backward(&loss.gradient)?;
//! assert_eq!(gradients.audio.len(), audio.len());
//! # Ok::<(), aurola_train::loss::LossError>(())
//! ```

mod error;
mod hybrid_nce;
mod info_nce;
mod log_sum;
mod overlap;
mod similarity;
mod yes_no;

pub use error::LossError;
pub use hybrid_nce::{Form, HybridNceConfig, hybrid_nce};
pub use info_nce::{InfoNceConfig, info_nce};
pub use overlap::{ClusterSet, Overlap, OverlapRule};
pub use similarity::{EmbeddingGradients, Pairs, Similarities};
pub use yes_no::{Target, TokenLoss, cross_entropy, next_tokens};

use serde::{Deserialize, Serialize};

/// Which side asks, and which side is searched for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Each sound among all captions: the rows. What the released training uses.
    #[default]
    AudioToText,
    /// The mean of that and of each caption among all sounds: rows and columns.
    Symmetric,
}

/// The loss of a batch of pairs, and where it would have the similarities go.
#[derive(Debug, Clone, PartialEq)]
pub struct ContrastiveLoss {
    /// Mean over the anchors: each row, and in [`Direction::Symmetric`] each column too. In nats.
    pub value: f64,
    /// `∂ value / ∂ s`, `[batch, batch]`, row-major. [`Pairs::backward`] takes it on to the embeddings.
    pub gradient: Vec<f64>,
}

#[cfg(test)]
mod finite_differences;
