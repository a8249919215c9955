//! What can go wrong between a model's name and a folder.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// An error of the hub crate. Each names the model or the file, the reason, and what would help.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HubError {
    /// The name is a path, and nothing is there.
    #[error("{path}: no such folder", path = path.display())]
    NoSuchFolder {
        /// The path.
        path: PathBuf,
    },
    /// The name is a path, and what is there is not a folder.
    #[error(
        "{path}: not a folder; a model is the folder that holds its config.json",
        path = path.display()
    )]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// Neither a folder that exists nor a name the hub could know.
    #[error(
        "`{name}`: no such folder, and not the name of a model on the hub either: {reason}; \
         give a folder, or a name like org/name or org/name@revision"
    )]
    NoSuchName {
        /// What was asked for.
        name: String,
        /// Why the hub could not know it.
        reason: &'static str,
    },
    /// No folder of that name, and the hub does not know the model (or hides it from us).
    #[error(
        "`{name}`: no such folder, and no such model at {page}; check the spelling, or, if the \
         model is private, set HF_TOKEN to a token that may read it"
    )]
    NotFound {
        /// What was asked for.
        name: String,
        /// Where the model's page would be.
        page: String,
    },
    /// The model exists, the revision does not.
    #[error("`{name}`: {page} has no revision `{revision}`")]
    NoSuchRevision {
        /// The model.
        name: String,
        /// The branch, tag or commit.
        revision: String,
        /// The model's page.
        page: String,
    },
    /// The model's owner wants its licence to be accepted first.
    #[error(
        "`{name}` is gated: accept its terms at {page}, then log in with `hf auth login` or set \
         HF_TOKEN"
    )]
    Gated {
        /// The model.
        name: String,
        /// The page where access is asked for.
        page: String,
    },
    /// The hub does not let us in.
    #[error("`{name}`: {page} refuses access: {message}; check the token in HF_TOKEN")]
    Unauthorized {
        /// The model.
        name: String,
        /// The model's page.
        page: String,
        /// What the hub said.
        message: String,
    },
    /// The network is switched off, and the cache lacks the model or part of it.
    #[error(
        "`{name}` is not {whole}in {cache}, and {because} forbids the network; run \
         `aurola model pull {name}` where there is one{missing}",
        cache = cache.display(),
        whole = if missing.is_empty() { "" } else { "wholly " },
        missing = Missing(missing)
    )]
    Offline {
        /// The model.
        name: String,
        /// The cache that was searched.
        cache: PathBuf,
        /// The variable or flag that forbids the network.
        because: String,
        /// Files that are missing where others are there.
        missing: Vec<String>,
    },
    /// The cache has nothing of that name.
    #[error(
        "`{name}`: nothing of that name is in {cache}; `aurola model ls` lists what is",
        cache = cache.display()
    )]
    NotCached {
        /// The model.
        name: String,
        /// The cache.
        cache: PathBuf,
    },
    /// The repository holds no model that we could load.
    #[error("`{name}`: {reason}; see {page}")]
    NotAModel {
        /// The repository.
        name: String,
        /// What is missing.
        reason: String,
        /// The repository's page.
        page: String,
    },
    /// The hub could not be reached, or the connection broke too often.
    #[error("{url}: {reason}{advice}", advice = advice(*.never_reached))]
    Network {
        /// The address, without its query.
        url: String,
        /// What failed.
        reason: String,
        /// Whether the hub has not answered even once.
        never_reached: bool,
        /// The failure below, where there is one.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The hub answered with an error that is not about the model.
    #[error("{url}: the hub answered {status}: {message}")]
    Status {
        /// The address, without its query.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// The hub's answer is not what a hub says.
    #[error("{url}: not an answer of a model hub: {reason}; check HF_ENDPOINT and the proxy")]
    Protocol {
        /// The address, without its query.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A setting of the connection cannot be used.
    #[error("{setting}: {reason}")]
    Setting {
        /// The variable's name.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// What arrived is not what the hub announced.
    #[error(
        "{url}: damaged on the way: expected {expected}, got {found}; nothing of it was kept, try \
         again"
    )]
    Integrity {
        /// The address, without its query.
        url: String,
        /// The size or hash that was announced.
        expected: String,
        /// The one that arrived.
        found: String,
    },
    /// The disk has not enough room for the download.
    #[error(
        "{folder}: {needed} bytes are needed and {available} are free; make room, or set \
         HF_HUB_CACHE to a folder on another disk",
        folder = folder.display()
    )]
    DiskFull {
        /// The cache.
        folder: PathBuf,
        /// Bytes still to fetch.
        needed: u64,
        /// Bytes free.
        available: u64,
    },
    /// A file of the cache could not be read or written.
    #[error("{path}: cannot {doing}: {source}", path = path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A lock could not be taken.
    #[error(
        "{path}: cannot lock: {source}; set HF_HUB_CACHE to a folder on a local disk",
        path = path.display()
    )]
    Lock {
        /// The lock's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// [`Progress`](crate::Progress) said stop.
    #[error("`{name}`: stopped; what was fetched is kept, and the next attempt goes on from there")]
    Stopped {
        /// The model.
        name: String,
    },
}

impl HubError {
    /// For `map_err`: an IO error while `doing` something to `path`.
    pub(crate) fn disk<'a>(
        path: &'a Path,
        doing: &'static str,
    ) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Disk {
            path: path.to_owned(),
            doing,
            source,
        }
    }
}

fn advice(never_reached: bool) -> &'static str {
    if never_reached {
        "; check the network, HF_ENDPOINT and HTTPS_PROXY, or give a folder"
    } else {
        "; what was fetched is kept, try again"
    }
}

/// The first few of the missing files, for the end of a message.
struct Missing<'a>(&'a [String]);

impl std::fmt::Display for Missing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN: usize = 3;
        let Some((first, rest)) = self.0.split_first() else {
            return Ok(());
        };
        write!(f, " (missing: {first}")?;
        for name in rest.iter().take(SHOWN - 1) {
            write!(f, ", {name}")?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => f.write_str(")"),
            more => write!(f, " and {more} more)"),
        }
    }
}
