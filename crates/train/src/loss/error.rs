//! What can be wrong with a batch or a setting.

use thiserror::Error;

/// Why there is no loss.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum LossError {
    /// Nothing to average over.
    #[error("{what}: empty; a loss needs at least one row and one column")]
    Empty {
        /// Which argument.
        what: &'static str,
    },
    /// A slice that is not the matrix it is said to be.
    #[error("{what}: {got} values are not [{rows}, {columns}]")]
    Shape {
        /// Which argument.
        what: &'static str,
        /// Rows it should have.
        rows: usize,
        /// Columns it should have.
        columns: usize,
        /// How many values came.
        got: usize,
    },
    /// A NaN or an infinity.
    #[error("{what}: row {row}, column {column} is {value}; the step before this one diverged")]
    NotFinite {
        /// Which argument.
        what: &'static str,
        /// Row of the first such number.
        row: usize,
        /// Its column.
        column: usize,
        /// The number.
        value: f32,
    },
    /// An embedding too short to have a direction.
    #[error("{what}: row {row} has length {norm:e}, too small to be scaled to 1")]
    NoDirection {
        /// Which side.
        what: &'static str,
        /// Its row.
        row: usize,
        /// Euclidean length.
        norm: f64,
    },
    /// A setting outside its range.
    #[error("`{name}` = {value}; it lies in {range}")]
    OutOfRange {
        /// Its name in a recipe.
        name: &'static str,
        /// What was asked for.
        value: f64,
        /// What may be asked for.
        range: &'static str,
    },
    /// A number that is no overlap.
    #[error(
        "overlap: row {row}, column {column} is {value}; it lies in [0, 1], and is 0 on the diagonal"
    )]
    NotAnOverlap {
        /// Its row.
        row: usize,
        /// Its column.
        column: usize,
        /// The number.
        value: f32,
    },
    /// Overlaps of another batch.
    #[error("overlap is of {overlap} pairs, similarities of {similarities}")]
    BatchesDiffer {
        /// Pairs in the similarities.
        similarities: usize,
        /// Pairs in the overlap.
        overlap: usize,
    },
    /// Nothing left in a denominator: the loss would be −∞.
    #[error(
        "pair {pair} of {batch} has no negatives and `positive_weight` is 0; raise that, or the batch"
    )]
    NoNegatives {
        /// The first such pair.
        pair: usize,
        /// Pairs in the batch.
        batch: usize,
    },
    /// No position has a target.
    #[error("none of {positions} positions has a target token")]
    NoTargets {
        /// How many there are.
        positions: usize,
    },
    /// A token the vocabulary does not have.
    #[error("position {position}: target {target} is outside the vocabulary of {vocab}")]
    UnknownToken {
        /// Its position.
        position: usize,
        /// The token.
        target: u32,
        /// Tokens there are.
        vocab: usize,
    },
    /// An answer that does not lie within its tokens, or starts at the first, which nothing predicts.
    #[error("answer {start}..{end} is not within 1..{len}")]
    AnswerOutside {
        /// Its first position.
        start: usize,
        /// The position after its last.
        end: usize,
        /// Tokens in all.
        len: usize,
    },
}
