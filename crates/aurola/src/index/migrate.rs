//! Another model: its vectors are made beside the old ones, which serve until all are there.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use aurola_retrieval::Store;

use super::live::Live;
use super::{FILE, Index};
use crate::library::{Options, space_key};
use crate::progress::{Cancel, Event};
use crate::{Embedder, EngineError, Library};

impl Index {
    /// Embeds every file that the store at `store` knows with `model`, beside the vectors that are
    /// there. Only when all are done do the new ones serve, and the old ones are dropped with
    /// `drop_old`. A run that is stopped or killed is taken up by the next one. Files that are not
    /// there are told as skipped, and then the old vectors are kept, whatever `drop_old` says.
    ///
    /// # Errors
    ///
    /// As [`crate::Engine::library`].
    pub fn migrate(
        store: &Path,
        model: Arc<dyn Embedder + Send>,
        options: Options,
        drop_old: bool,
        cancel: &Cancel,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<Library, EngineError> {
        let path = if store.is_dir() {
            store.join(FILE)
        } else {
            store.to_path_buf()
        };
        let mut opened = Store::open(&path)?;
        let key = space_key(&*model, &options);
        // Named before the first new vector is there, or the only ones there would serve.
        if let Some(serving) = opened.serving()?
            && *serving.key() != key
        {
            let writer = opened.write()?;
            writer.serve(&serving)?;
            writer.commit()?;
        }
        let known = opened.known_below(Path::new("/"), None)?;
        let (there, missing): (Vec<_>, Vec<_>) =
            known.into_iter().partition(|file| file.path.is_file());
        let paths: Vec<PathBuf> = there.into_iter().map(|file| file.path).collect();
        let index = Self {
            read_only: opened.is_read_only(),
            live: Mutex::new(Live::new(Store::open(&path)?)),
            path,
            model,
            reranker: None,
            options,
            key,
            writing: Mutex::default(),
            readers: Mutex::default(),
        };
        let mut library = index.job("migrate", &paths, opened, cancel, on_event)?;
        for file in missing {
            library.skipped.push(crate::Skipped {
                path: file.path,
                reason: "not there; it keeps its old vectors".into(),
            });
        }
        if library.interrupted || index.read_only {
            return Ok(library);
        }
        let mut store = Store::open(&index.path)?;
        if let Some(space) = store.space(&index.key)? {
            let old: Vec<_> = store
                .spaces()?
                .into_iter()
                .filter(|other| *other != space)
                .collect();
            let writer = store.write()?;
            writer.serve(&space)?;
            let dropped = drop_old && library.skipped.is_empty();
            for other in old.iter().filter(|_| dropped) {
                writer.drop_space(other)?;
            }
            writer.commit()?;
            for other in old.iter().filter(|_| dropped) {
                store.unseal(other)?;
            }
        }
        Ok(library)
    }
}
