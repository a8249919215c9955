//! The index as the server holds it: searched by many, written by one job at a time, its files opened
//! with care.

mod collections;
mod file;
mod jobs;
mod pictures;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aurola::{EngineError, FileEntry, FileId, Index, Listening, Options};
use tokio::sync::Semaphore;

use crate::fault::{Fault, Kind};
use crate::model::{Queue, Queued, Served, refusal};

pub(crate) use collections::{Clip, Collections};
pub(crate) use file::{Opened, open_beneath};
pub(crate) use jobs::{Job, Jobs, State};
pub(crate) use pictures::{FINEST, Pictures, WIDEST};

/// Where an index is.
#[derive(Debug, Clone)]
pub struct IndexPlace {
    /// Its database, or a folder that holds it.
    pub store: PathBuf,
    /// What people call the model, to tell vectors apart.
    pub name: String,
    /// Threads that read and decode while it indexes.
    pub readers: usize,
}

impl IndexPlace {
    /// Opens it with these models.
    pub(crate) fn open(
        &self,
        listening: &Listening,
        model: Arc<dyn aurola::Embedder + Send>,
        judge: Arc<dyn aurola::Embedder + Send>,
    ) -> Result<Index, EngineError> {
        let options = Options {
            listening: listening.clone(),
            name: self.name.clone(),
            readers: self.readers.max(1),
            ..Options::default()
        };
        Ok(Index::open(&self.store, model, options)?.with_reranker(judge))
    }
}

/// An open index and what belongs to it.
pub(crate) struct Shelf {
    pub(crate) index: Arc<Index>,
    pub(crate) jobs: Jobs,
    pub(crate) collections: Collections,
    pub(crate) pictures: Pictures,
    /// Searches that compute at once; more would only share the cores.
    searching: Arc<Semaphore>,
    /// Searches that wait for the judge at once: they must not hold up the others.
    judging: Arc<Semaphore>,
    roots: Mutex<Option<(Instant, Vec<PathBuf>)>>,
}

/// How long the list of roots is believed.
const ROOTS: Duration = Duration::from_secs(2);

/// Searches with a judge at once.
const JUDGING: usize = 4;

impl Shelf {
    pub(crate) fn open(
        place: &IndexPlace,
        listening: &Listening,
        queue: &Queue,
        model: &Arc<dyn Served>,
        judge: &Arc<dyn Served>,
        cache: Option<PathBuf>,
    ) -> Result<Self, EngineError> {
        let queued = |model: &Arc<dyn Served>| -> Arc<dyn aurola::Embedder + Send> {
            Arc::new(Queued::new(queue.clone(), model.clone()))
        };
        let index = Arc::new(place.open(listening, queued(model), queued(judge))?);
        let beside = index.path().with_extension("collections.json");
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Self {
            jobs: Jobs::start(index.clone()),
            collections: Collections::at(beside),
            pictures: Pictures::in_folder(cache),
            searching: Arc::new(Semaphore::new(cores)),
            judging: Arc::new(Semaphore::new(JUDGING)),
            roots: Mutex::default(),
            index,
        })
    }

    /// Work on the index that computes, on a thread that may.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        judged: bool,
        work: impl FnOnce(&Index) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, Fault> {
        let line = if judged {
            &self.judging
        } else {
            &self.searching
        };
        let permit = line.clone().acquire_owned().await;
        let permit = permit.map_err(|_| Fault::stopping())?;
        let index = self.index.clone();
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&index).map_err(|error| fault(&error));
            drop(permit);
            done
        });
        done.await.unwrap_or_else(|_| {
            Err(Fault::new(
                Kind::Internal,
                "the search failed; the log says how",
            ))
        })
    }

    /// One file, which must be there.
    pub(crate) async fn entry(&self, id: &str) -> Result<FileEntry, Fault> {
        let id = file_id(id)?;
        let entry = self.run(false, move |index| index.file(id)).await?;
        entry.ok_or_else(|| unknown(&id.to_string()))
    }

    /// Folders that are indexed.
    pub(crate) async fn roots(&self) -> Result<Vec<PathBuf>, Fault> {
        {
            let known = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((at, roots)) = &*known
                && at.elapsed() < ROOTS
            {
                return Ok(roots.clone());
            }
        }
        let status = self.run(false, |index| index.status()).await?;
        let roots: Vec<PathBuf> = status.roots.into_iter().map(|root| root.path).collect();
        let mut known = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some((Instant::now(), roots.clone()));
        Ok(roots)
    }

    /// A file of the index, opened where it belongs.
    pub(crate) async fn file(&self, path: &Path) -> Result<Opened, Fault> {
        let roots = self.roots().await?;
        let path = path.to_path_buf();
        let opened = tokio::task::spawn_blocking(move || open_beneath(&path, &roots));
        opened.await.unwrap_or_else(|_| Err(Fault::stopping()))
    }
}

/// A file's number as answers give it; anything else names nothing.
pub(crate) fn file_id(text: &str) -> Result<FileId, Fault> {
    let is_plain = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    match text.parse() {
        Ok(id) if is_plain => Ok(id),
        _ => Err(unknown(text)),
    }
}

fn unknown(id: &str) -> Fault {
    let shown: String = id.chars().take(64).collect();
    Fault::not_found(format!("there is no sound {shown:?} in the index"))
}

/// An engine's error, as its caller must hear it.
pub(crate) fn fault(error: &EngineError) -> Fault {
    if let Some(fault) = refusal() {
        return fault;
    }
    let words = error.to_string();
    match error {
        EngineError::Request { .. } | EngineError::Query(_) | EngineError::NothingToJudgeBy => {
            Fault::bad(words)
        }
        EngineError::NoSuchFile { .. } => Fault::not_found(words),
        EngineError::NoSuchPath { .. } | EngineError::NotAFile { .. } => Fault::bad(words),
        EngineError::Unreadable { .. } | EngineError::Model(aurola_model::ModelError::Input(_)) => {
            Fault::unprocessable(words)
        }
        EngineError::OtherModel(_) => Fault::new(Kind::Unavailable, words),
        _ => {
            tracing::error!(error = words, "the index failed");
            Fault::new(
                Kind::Unavailable,
                "the index cannot be used just now; the log says why",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_sixteen_digits_and_nothing_else() {
        assert!(file_id("000000000000001f").is_ok());
        for odd in [
            "",
            "1f",
            "+00000000000001f",
            "../../etc/passwd",
            "000000000000001g",
            "%00",
        ] {
            assert_eq!(file_id(odd).unwrap_err().kind(), Kind::NotFound, "{odd}");
        }
    }
}
