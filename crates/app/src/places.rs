//! Where things are kept.

use std::path::PathBuf;

use clap::Args;
use etcetera::BaseStrategy;

use crate::exit::AppError;

/// Where the store is.
#[derive(Debug, Clone, Args)]
pub(crate) struct StoreArgs {
    /// Where embeddings are kept [default: $XDG_DATA_HOME/aurola/library.sqlite]
    #[arg(
        long,
        value_name = "FILE",
        env = "AUROLA_STORE",
        hide_env_values = true,
        global = true
    )]
    store: Option<PathBuf>,
}

impl StoreArgs {
    /// The database's path; nothing is made or opened.
    pub(crate) fn path(&self) -> Result<PathBuf, AppError> {
        match &self.store {
            Some(path) => Ok(path.clone()),
            None => Ok(data_folder()?.join("library.sqlite")),
        }
    }
}

/// `$XDG_DATA_HOME/aurola`; the same on macOS, as is usual for programs of the command line.
fn data_folder() -> Result<PathBuf, AppError> {
    let base = etcetera::choose_base_strategy().map_err(|_| AppError::NoHome {
        what: "the store",
        help: "--store FILE names a place, and so does XDG_DATA_HOME",
    })?;
    Ok(base.data_dir().join("aurola"))
}

/// `$XDG_CACHE_HOME/aurola`: what can be made again at any time.
pub(crate) fn cache_folder() -> Result<PathBuf, AppError> {
    let base = etcetera::choose_base_strategy().map_err(|_| AppError::NoHome {
        what: "what the program unpacks",
        help: "XDG_CACHE_HOME names a place; with --model DIR none is needed",
    })?;
    Ok(base.cache_dir().join("aurola"))
}
