//! What can go wrong between a checkpoint and a vector.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// An error of the model crate. Each names the file or the tensor, the reason, and what would help.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file of the checkpoint could not be read.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that a checkpoint must have is not there.
    #[error("{dir}: no {name}; {help}", dir = dir.display())]
    MissingFile {
        /// The checkpoint's folder.
        dir: PathBuf,
        /// The file's name, or the names of which one is needed.
        name: String,
        /// Where it comes from.
        help: String,
    },
    /// A JSON file that is not what it should be.
    #[error("{path}: {reason}", path = path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the key or the line.
        reason: String,
    },
    /// The configuration asks for something the program does not do, or contradicts itself.
    #[error("{path}: {reason}", path = path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What and why.
        reason: String,
    },
    /// A weights file that is damaged, or does not fit the configuration.
    #[error("{path}: {reason}", path = path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// Which tensor, what was found, what was expected.
        reason: String,
    },
    /// The weights need more memory than there is, and could not be read from their file in pieces.
    #[error("{dir}: the weights need {needed}, and {available} of memory are free; {help}", dir = dir.display())]
    Memory {
        /// The checkpoint's folder.
        dir: PathBuf,
        /// How much is needed.
        needed: String,
        /// How much there is.
        available: String,
        /// What would fit.
        help: String,
    },
    /// The tokenizer or the chat template failed.
    #[error("{path}: {reason}", path = path.display())]
    Text {
        /// The file the tokenizer or the template came from.
        path: PathBuf,
        /// What failed, on which text.
        reason: String,
    },
    /// An input the model cannot take.
    #[error("{0}")]
    Input(String),
    /// The computation produced a NaN or an infinity.
    #[error("the embedding of {input} is not finite: {source}")]
    NotFinite {
        /// Which input.
        input: String,
        /// What was found.
        source: aurola_retrieval::EmbeddingError,
    },
}

impl ModelError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}
