//! What can go wrong in the engine, grouped by who must act.

use std::path::PathBuf;

use aurola_audio::AudioError;
use aurola_model::ModelError;
use aurola_retrieval::store::FileId;
use aurola_retrieval::{QueryError, StoreError};
use thiserror::Error;

/// An error that ends the work at hand. A file that cannot be read does not: it is
/// [`crate::Skipped`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A path that was given is not there, or may not be looked at.
    #[error("{path}: cannot be opened")]
    NoSuchPath {
        /// As it was given.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A path that was given is a pipe, a device or the like.
    #[error("{path}: neither a folder nor a regular file")]
    NotAFile {
        /// As it was given.
        path: PathBuf,
    },
    /// A sound that the question itself needs cannot be read.
    #[error("{path}: {reason}")]
    Unreadable {
        /// As it was given.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Sounds cannot be read at all: no decoder starts, or a setting is out of range.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// The parts of a question do not go together.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A request that cannot be meant.
    #[error("{field}: {reason}")]
    Request {
        /// Which part of it.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that the index does not know.
    #[error("there is no file {id} in the index")]
    NoSuchFile {
        /// As it was given.
        id: FileId,
    },
    /// The vectors of an index are another model's.
    #[error(transparent)]
    OtherModel(Box<OtherModel>),
    /// Re-ranking compares words with sounds, and there are no words.
    #[error("re-ranking needs words: the model judges whether a sound matches a sentence")]
    NothingToJudgeBy,
    /// The model cannot do what it is for.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whose vectors an index has, and whose it would have.
#[derive(Debug, Error)]
#[error(
    "{path}: made by {theirs} ({their_fingerprint}), windows of {their_window}; this is {ours} \
     ({our_fingerprint}), windows of {our_window}. `aurola index migrate` embeds it anew while the \
     old one serves"
)]
pub struct OtherModel {
    /// The index.
    pub path: PathBuf,
    /// The model that made it.
    pub theirs: String,
    /// Digest of everything that decides its vectors.
    pub their_fingerprint: String,
    /// How it cut sounds.
    pub their_window: String,
    /// The model at hand.
    pub ours: String,
    /// Its digest.
    pub our_fingerprint: String,
    /// How it cuts sounds.
    pub our_window: String,
}
