//! An index that lasts: one writes, many search, and searching goes on while sounds are added.
//!
//! ```text
//! add, update ──► engine ──► store ──► sealed vectors, calibration
//!                              │
//! search ──► question ──► snapshot, words ──► fuse ──► files ──► group, sort, page ──► judge ──► answer
//! ```
//!
//! Readers take a connection from a pool and share one snapshot of the vectors, which is brought up to
//! date before a search where something was committed since. What is damaged in the sealed vectors is
//! made again from the catalogue.

mod calibration;
mod entry;
mod fuse;
mod live;
mod migrate;
mod moments;
mod question;
mod search;
mod update;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aurola_retrieval::Store;
use aurola_retrieval::store::{Job, SpaceKey, TagCount};

pub use entry::{Edit, FileEntry, IndexStatus, RootStatus};

use crate::library::{Options, space_key};
use crate::{Embedder, EngineError, OtherModel};
use live::Live;

/// What an index in a folder is called.
const FILE: &str = "library.sqlite";

/// A store, a model, and what a search holds in memory. Shared by many threads behind an [`Arc`].
pub struct Index {
    path: PathBuf,
    model: Arc<dyn Embedder + Send>,
    reranker: Option<Arc<dyn Embedder + Send>>,
    options: Options,
    key: SpaceKey,
    read_only: bool,
    /// Held by the one who writes.
    writing: Mutex<()>,
    readers: Mutex<Vec<Store>>,
    live: Mutex<Live>,
}

impl Index {
    /// Opens the index at `store`, a file, or a folder that holds `library.sqlite`; makes it where there is
    /// none.
    ///
    /// # Errors
    ///
    /// [`EngineError::OtherModel`] where its vectors are another model's and it has none of this one,
    /// and [`EngineError::Store`] as [`Store::open`].
    pub fn open(
        store: &Path,
        model: Arc<dyn Embedder + Send>,
        options: Options,
    ) -> Result<Self, EngineError> {
        let index = Self::open_beside(store, model, options)?;
        index.reading(|store| {
            if store.space(&index.key)?.is_none()
                && let Some(other) = store.serving()?.or(store.spaces()?.pop())
            {
                return Err(other_model(&index.path, other.key(), &index.key));
            }
            Ok(())
        })?;
        Ok(index)
    }

    /// As [`Index::open`], but what other models made is no reason to refuse: this one's vectors are
    /// made beside it, of what is named to [`Index::library`].
    ///
    /// # Errors
    ///
    /// [`EngineError::Store`] as [`Store::open`].
    pub fn open_beside(
        store: &Path,
        model: Arc<dyn Embedder + Send>,
        options: Options,
    ) -> Result<Self, EngineError> {
        let path = if store.is_dir() {
            store.join(FILE)
        } else {
            store.to_path_buf()
        };
        let opened = Store::open(&path)?;
        let key = space_key(&*model, &options);
        Ok(Self {
            read_only: opened.is_read_only(),
            live: Mutex::new(Live::new(opened)),
            path,
            model,
            reranker: None,
            options,
            key,
            writing: Mutex::default(),
            readers: Mutex::default(),
        })
    }

    /// The same, with another model to judge the best finds.
    #[must_use]
    pub fn with_reranker(self, reranker: Arc<dyn Embedder + Send>) -> Self {
        Self {
            reranker: Some(reranker),
            ..self
        }
    }

    /// The database.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The model that finds.
    pub fn model(&self) -> &(dyn Embedder + Send) {
        &*self.model
    }

    /// The model that judges.
    pub fn reranker(&self) -> &(dyn Embedder + Send) {
        self.reranker.as_deref().unwrap_or(&*self.model)
    }

    /// How sounds are cut and read.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Whether nothing can be added.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// The latest jobs, latest first; [`Index::add`], [`Index::update`] and [`Index::migrate`] write
    /// them.
    ///
    /// # Errors
    ///
    /// [`EngineError::Store`].
    pub fn jobs(&self, most: usize) -> Result<Vec<Job>, EngineError> {
        self.reading(|store| Ok(store.jobs(most)?))
    }

    /// The most frequent keywords, genres and categories.
    ///
    /// # Errors
    ///
    /// [`EngineError::Store`].
    pub fn tag_counts(&self, most: usize) -> Result<Vec<TagCount>, EngineError> {
        self.reading(|store| Ok(store.tag_counts(most)?))
    }

    /// Runs `read` with a connection that nobody else uses meanwhile.
    fn reading<T>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let idle = unpoisoned(&self.readers).pop();
        let store = match idle {
            Some(store) => store,
            None => Store::open_read_only(&self.path)?,
        };
        let result = read(&store);
        unpoisoned(&self.readers).push(store);
        result
    }

    fn open_for_writing(&self) -> Result<Store, EngineError> {
        Ok(Store::open(&self.path)?)
    }
}

/// What a thread that panicked left behind is whole: nothing here is changed halfway.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn other_model(path: &Path, theirs: &SpaceKey, ours: &SpaceKey) -> EngineError {
    EngineError::OtherModel(Box::new(OtherModel {
        path: path.into(),
        theirs: theirs.model.clone(),
        their_fingerprint: theirs.fingerprint.clone(),
        their_window: theirs.window.clone(),
        ours: ours.model.clone(),
        our_fingerprint: ours.fingerprint.clone(),
        our_window: ours.window.clone(),
    }))
}
