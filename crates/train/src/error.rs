//! What can go wrong in a run.

use thiserror::Error;

/// An error of training.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting out of its range.
    #[error("{name} is {value}; expected {range}")]
    Setting {
        /// The setting, as recipes name it.
        name: &'static str,
        /// What it is.
        value: f64,
        /// What it may be.
        range: &'static str,
    },
}
