//! What can go wrong in a run.

use std::path::PathBuf;

use aurola_model::ModelError;
use thiserror::Error;

use crate::collective::CollectiveError;
use crate::data::DataError;
use crate::loss::LossError;
use crate::report::ReportError;

/// An error of training.
#[derive(Debug, Error)]
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
    /// What is to be trained does not go with the model.
    #[error("what is trained: {reason}")]
    Scope {
        /// What is wrong.
        reason: String,
    },
    /// A sample that the model cannot take.
    #[error("sample {index} of the batch: {reason}")]
    Sample {
        /// Its place in the batch.
        index: usize,
        /// What is wrong.
        reason: String,
    },
    /// A model without an output head cannot answer.
    #[error(
        "the checkpoint has no output head (lm_head.weight), which the re-ranker's stage trains"
    )]
    NoHead,
    /// A checkpoint that cannot be read.
    #[error(transparent)]
    Model(Box<ModelError>),
    /// A batch without a loss.
    #[error(transparent)]
    Loss(#[from] LossError),
    /// The loss is not a number any more.
    #[error(
        "a loss, gradient or weight is {value}: the run diverged; lower schedule.learning_rate or schedule.max_norm"
    )]
    Diverged {
        /// What is no finite number.
        value: f64,
    },
    /// Not even one item's way back fits the memory.
    #[error(
        "one item needs {} MiB for its way back and {} MiB are allowed; set compute.recompute, shorten data.max_s, or \
         raise compute.memory_mib", needed.div_ceil(1 << 20), allowed >> 20
    )]
    Memory {
        /// Bytes.
        needed: u64,
        /// Bytes.
        allowed: u64,
    },
    /// The other ranks.
    #[error(transparent)]
    Collective(#[from] CollectiveError),
    /// A recipe that says something it cannot mean.
    #[error("{path}: {reason}", path = path.display())]
    Recipe {
        /// The recipe.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A checkpoint of a run that cannot be gone on from.
    #[error("{path}: {reason}", path = path.display())]
    Checkpoint {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A folder in which another process trains.
    #[error(
        "{path}: process {pid} trains here; `aurola train attach` watches it, a signal to it stops it",
        path = path.display()
    )]
    Busy {
        /// The run's folder.
        path: PathBuf,
        /// The process.
        pid: u32,
    },
    /// The examples.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The record of the run.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// Captions of which no tokenizer can be made.
    #[error("the tokenizer: {reason}")]
    Tokenizer {
        /// Why.
        reason: String,
    },
    /// A file that cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl TrainError {
    pub(crate) fn model(error: ModelError) -> Self {
        Self::Model(Box::new(error))
    }

    pub(crate) fn tokenizer(error: tokenizers::Error) -> Self {
        Self::Tokenizer {
            reason: error.to_string(),
        }
    }

    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        |source| Self::Io { path, source }
    }
}

impl From<ModelError> for TrainError {
    fn from(error: ModelError) -> Self {
        Self::model(error)
    }
}
