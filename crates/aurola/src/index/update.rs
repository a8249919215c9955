//! Adding, and keeping up to date.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use aurola_retrieval::store::{JobState, Known, TagSource};
use aurola_retrieval::{ContentId, Store};

use super::{Index, unpoisoned};
use crate::library::Engine;
use crate::progress::{Cancel, Event};
use crate::{EngineError, Library, tags};

/// Sounds whose tags are read between two transactions.
const AT_ONCE: usize = 256;

impl Index {
    /// Embeds every sound at or below `paths` that is not known yet, and keeps those paths up to date
    /// from now on. Waits for another writer of this process; searches go on meanwhile, and find each
    /// batch as it is saved.
    ///
    /// # Errors
    ///
    /// As [`Engine::library`].
    pub fn add(
        &self,
        paths: &[PathBuf],
        cancel: &Cancel,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<Library, EngineError> {
        let _writing = unpoisoned(&self.writing);
        let absolute = paths
            .iter()
            .map(|path| {
                std::fs::canonicalize(path).map_err(|source| EngineError::NoSuchPath {
                    path: path.clone(),
                    source,
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut store = self.open_for_writing()?;
        if !store.is_read_only() {
            let writer = store.write()?;
            for path in &absolute {
                writer.root(path)?;
            }
            writer.commit()?;
        }
        self.job("add", paths, store, cancel, on_event)
    }

    /// Embeds every sound at or below `paths` that is not known yet, without keeping them up to date
    /// later: what a search of these paths needs.
    ///
    /// # Errors
    ///
    /// As [`Engine::library`].
    pub fn library(
        &self,
        paths: &[PathBuf],
        cancel: &Cancel,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<Library, EngineError> {
        let _writing = unpoisoned(&self.writing);
        let mut engine = Engine::new(&*self.model, self.open_for_writing()?, self.options.clone());
        self.run(&mut engine, paths, cancel, on_event)
    }

    /// The engine's work, and what belongs to it.
    fn run(
        &self,
        engine: &mut Engine<'_>,
        paths: &[PathBuf],
        cancel: &Cancel,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<Library, EngineError> {
        let mut library = engine.library(paths, cancel, on_event)?;
        if !library.interrupted && !engine.store().is_read_only() {
            library.gone = Self::missing(engine.store_mut(), &library)?;
            self.read_tags(engine.store_mut(), cancel)?;
            self.settle(engine.store_mut())?;
        }
        Ok(library)
    }

    /// Looks through every root again: what is new or changed is embedded, what was moved keeps its
    /// vectors, and what is gone is no longer found. A root that is not there, such as on a drive that
    /// is away, changes nothing and is told in [`Library::away`].
    ///
    /// # Errors
    ///
    /// As [`Engine::library`].
    pub fn update(
        &self,
        cancel: &Cancel,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<Library, EngineError> {
        let _writing = unpoisoned(&self.writing);
        let store = self.open_for_writing()?;
        let roots = store.roots()?;
        let (present, away): (Vec<PathBuf>, Vec<PathBuf>) = roots
            .into_iter()
            .map(|root| root.path)
            .partition(|path| path.exists());
        let mut library = self.job("update", &present, store, cancel, on_event)?;
        library.away = away;
        Ok(library)
    }

    /// Forgets the file, or everything below the folder, at `path` (absolute), and that it was a root.
    /// How many files; the sounds are not touched.
    ///
    /// # Errors
    ///
    /// [`EngineError::Store`].
    pub fn remove(&self, path: &Path) -> Result<u64, EngineError> {
        let _writing = unpoisoned(&self.writing);
        Ok(self.open_for_writing()?.forget(path)?)
    }

    /// One run of the engine, written down as a job.
    pub(super) fn job(
        &self,
        kind: &str,
        paths: &[PathBuf],
        mut store: Store,
        cancel: &Cancel,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<Library, EngineError> {
        let named: Vec<String> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let job = if store.is_read_only() {
            None
        } else {
            let writer = store.write()?;
            let job = writer.begin_job(kind, &named.join("\n"))?;
            writer.commit()?;
            Some(job)
        };
        let mut progress = (0, 0);
        let mut engine = Engine::new(&*self.model, store, self.options.clone());
        let run = self.run(&mut engine, paths, cancel, &mut |event| {
            match &event {
                Event::Planned { new, .. } => progress.1 = *new as u64,
                Event::Moved(moved) => progress.0 = moved.files_done as u64,
                Event::Skipped(_) => {}
            }
            on_event(event);
        });
        if let Some(job) = job {
            let (state, message) = match &run {
                Ok(library) if library.interrupted => (JobState::Stopped, None),
                Ok(library) if library.skipped.is_empty() => (JobState::Done, None),
                Ok(library) => (
                    JobState::Done,
                    Some(format!("{} skipped", library.skipped.len())),
                ),
                Err(error) => (JobState::Failed, Some(error.to_string())),
            };
            let writer = engine.store_mut().write();
            let ended = writer.and_then(|writer| {
                writer.end_job(job, state, progress, message.as_deref())?;
                writer.commit()
            });
            // An error of the work itself says more than that it could not be written down.
            if run.is_ok() {
                ended?;
            }
        }
        run
    }

    /// Reads the tags of sounds whose tags nobody has read, such as those of an older store.
    fn read_tags(&self, store: &mut Store, cancel: &Cancel) -> Result<(), EngineError> {
        let untagged = store.untagged(tags::READER)?;
        for batch in untagged.chunks(AT_ONCE) {
            if cancel.is_cancelled() {
                return Ok(());
            }
            let mut read = Vec::new();
            for content in batch {
                let files = store.known_of(*content, None)?;
                let there = files.iter().find(|file| file.path.is_file());
                // One that is away is read when it is back.
                if let Some(file) = there {
                    let names: Vec<_> = files.iter().flat_map(|f| tags::of_name(&f.path)).collect();
                    read.push((file.content, tags::of_bytes(&file.path), names));
                }
            }
            let writer = store.write()?;
            for (content, said, names) in &read {
                writer.set_tags(content, TagSource::File, said)?;
                writer.add_tags(content, names)?;
                writer.tagged(content, tags::READER)?;
            }
            writer.commit()?;
        }
        Ok(())
    }

    /// Files that are known and were not found: moved ones are forgotten under their old name, deleted
    /// ones are marked, and those on a drive that is away stay as they are. How many were not there.
    fn missing(store: &mut Store, library: &Library) -> Result<usize, EngineError> {
        let surely: Vec<&Known> = (library.unseen.iter())
            .filter(|file| {
                let found = std::fs::symlink_metadata(&file.path);
                found.is_err_and(|error| {
                    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
                }) && file.is_surely_gone()
            })
            .collect();
        if surely.is_empty() && library.back.is_empty() {
            return Ok(0);
        }
        let here: HashSet<ContentId> = library.files.iter().map(|file| file.content.id).collect();
        let writer = store.write()?;
        for file in &surely {
            if here.contains(&file.content.id) {
                writer.forget_path(file.id)?;
            } else {
                writer.set_away(file.id)?;
            }
        }
        for file in &library.back {
            writer.set_back(*file)?;
        }
        writer.commit()?;
        Ok(surely.len())
    }
}
