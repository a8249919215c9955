//! What a download tells the program that asked for it, and how the program says stop.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Told what is about to happen and what has; any answer of `Break` ends the work with
/// [`HubError::Stopped`](crate::HubError::Stopped). What was fetched until then is kept and taken up
/// again by the next attempt.
///
/// Every method has a default that says nothing and goes on.
pub trait Progress {
    /// Called once, before the first byte, and only where something must be fetched. The place to
    /// show the size and to ask.
    fn plan(&mut self, plan: &Plan) -> ControlFlow<()> {
        let _ = plan;
        ControlFlow::Continue(())
    }

    /// Called as bytes arrive, every 256 KiB or so, and once when a file is whole.
    fn moved(&mut self, transfer: &Transfer<'_>) -> ControlFlow<()> {
        let _ = transfer;
        ControlFlow::Continue(())
    }

    /// Called while nothing moves, several times a second.
    fn waiting(&mut self, waiting: &Waiting<'_>) -> ControlFlow<()> {
        let _ = waiting;
        ControlFlow::Continue(())
    }
}

/// Says nothing and agrees to everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {}

/// What will be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The model, as it was asked for.
    pub model: String,
    /// The commit the revision points at.
    pub commit: String,
    /// The model's folder in the cache.
    pub folder: PathBuf,
    /// Every file of the model that we use, those already here included.
    pub files: Vec<PlannedFile>,
    /// Bytes of all of them.
    pub total_bytes: u64,
    /// Bytes still to fetch, what is left of an earlier attempt taken off.
    pub missing_bytes: u64,
}

/// One file of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFile {
    /// Its path within the model.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Whether the cache has it already.
    pub here: bool,
}

/// How far a download is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer<'a> {
    /// The file that is arriving.
    pub file: &'a str,
    /// Bytes of it that are here.
    pub file_done: u64,
    /// Bytes of it in all.
    pub file_size: u64,
    /// Bytes of the whole model that are here; goes back where a damaged file starts again.
    pub done: u64,
    /// Bytes of the whole model.
    pub total: u64,
}

/// What a download waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Waiting<'a> {
    /// Another process is fetching this file, and holds this lock.
    Lock(&'a Path),
    /// The hub did not answer as it should; another attempt follows.
    Retry {
        /// What went wrong.
        reason: &'a str,
        /// Time until the next attempt.
        left: Duration,
    },
}
