//! Folders, as a library that can be searched: what is new is embedded and saved, batch by batch.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use aurola_retrieval::Store;
use aurola_retrieval::store::{Content, FileId, Known, Sound, Space, SpaceKey};

use crate::intake::Intake;
use crate::listen::Listening;
use crate::prepare::{Preparation, Report, look};
use crate::progress::{Cancel, Event, Noted, Skipped};
use crate::walk::{SoundFile, walk};
use crate::{Embedder, EngineError};

/// Bytes that could not be read are tried again when this changes: the program's version, and with
/// it its decoders.
const READER: &str = concat!("aurola ", env!("CARGO_PKG_VERSION"));

/// Windows that may wait for the model, decoded. One of 30 s is a megabyte and a half.
const WINDOWS_AHEAD: usize = 16;

/// A model, a store, and how sounds are cut and read: everything a search needs.
pub struct Engine<'m> {
    pub(crate) model: &'m dyn Embedder,
    pub(crate) reranker: &'m dyn Embedder,
    pub(crate) store: Store,
    pub(crate) options: Options,
    pub(crate) key: SpaceKey,
}

/// How an [`Engine`] works.
#[derive(Debug, Clone)]
pub struct Options {
    /// How sounds are cut and read.
    pub listening: Listening,
    /// What people call the model, to tell spaces apart in a store.
    pub name: String,
    /// Tokens of sound that are embedded, and saved, at once; at least one window is. Default
    /// 1,536: two windows of 30 s, or six clips of 10 s.
    pub batch_tokens: usize,
    /// Threads that read and decode ahead of the model, at least 1.
    pub readers: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listening: Listening::default(),
            name: "unnamed".into(),
            batch_tokens: 1_536,
            readers: std::thread::available_parallelism().map_or(1, |n| n.get().min(4)),
        }
    }
}

/// Sounds that can be searched, and what was passed over.
#[derive(Debug, Clone, Default)]
pub struct Library {
    /// Files whose vectors are in the store, in order of their absolute path.
    pub files: Vec<LibraryFile>,
    /// Files that are not, with the reason.
    pub skipped: Vec<Skipped>,
    /// What was left out of files this run embedded, or assumed of them, in words: a tail cut off, a
    /// header that promised more.
    pub notes: Vec<Noted>,
    /// How many files this run embedded, decoded or not: bytes known under another name are not
    /// among them.
    pub embedded: usize,
    /// Seconds of sound this run gave to the model.
    pub seconds: f64,
    /// Folders that are kept up to date and were not there, such as a drive that is away. What is known
    /// of them stays.
    pub away: Vec<PathBuf>,
    /// Files that are known and were found to be gone.
    pub gone: usize,
    /// Files that are known below a folder that was looked through, and were not found there.
    pub(crate) unseen: Vec<Known>,
    /// Files that were gone and are back.
    pub(crate) back: Vec<FileId>,
    /// Whether a [`Cancel`] ended it early. What was done is saved; the rest is missing here.
    pub interrupted: bool,
}

/// A file that can be found.
#[derive(Debug, Clone, PartialEq)]
pub struct LibraryFile {
    /// As the person would name it.
    pub shown: PathBuf,
    /// Absolute.
    pub absolute: PathBuf,
    /// Its bytes.
    pub content: Content,
    /// What a decoder said of them.
    pub sound: Sound,
}

impl<'m> Engine<'m> {
    /// Puts them together.
    pub fn new(model: &'m dyn Embedder, store: Store, options: Options) -> Self {
        let key = space_key(model, &options);
        Self {
            model,
            reranker: model,
            store,
            options,
            key,
        }
    }

    /// The same, with another model to judge the best finds: the method's second copy, which was
    /// trained for it.
    #[must_use]
    pub fn with_reranker(self, reranker: &'m dyn Embedder) -> Self {
        Self { reranker, ..self }
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    /// Finds every sound at or below `paths` and embeds those that the store does not know yet,
    /// newest first. What is embedded is saved batch by batch, so that a run that is stopped or
    /// killed is taken up by the next one. A file that cannot be read is passed over and told.
    ///
    /// # Errors
    ///
    /// [`EngineError`] where a path is not there, the store fails, or the model refuses everything.
    pub fn library(
        &mut self,
        paths: &[PathBuf],
        cancel: &Cancel,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<Library, EngineError> {
        let found = walk(paths)?;
        let space = self.store.space(&self.key)?;
        let mut known: HashMap<PathBuf, Known> = HashMap::new();
        for folder in &found.folders {
            let below = self.store.known_below(folder, space.as_ref())?;
            known.extend(below.into_iter().map(|file| (file.path.clone(), file)));
        }
        let mut library = Library::default();
        for skipped in found.skipped {
            on_event(Event::Skipped(&skipped));
            library.skipped.push(skipped);
        }
        let mut new: Vec<&SoundFile> = Vec::new();
        for file in &found.files {
            let seen = match known.remove(&file.absolute) {
                Some(seen) => Some(seen),
                None => self.store.known_file(&file.absolute, space.as_ref())?,
            };
            if let Some(back) = seen.as_ref().filter(|seen| seen.away_since_ns.is_some()) {
                library.back.push(back.id);
            }
            match seen.filter(|seen| seen.state.still_holds(&file.state, seen.checked_ns)) {
                Some(seen) if seen.embedded => library.add(file, seen.content, seen.sound),
                Some(Known {
                    failure: Some(failure),
                    ..
                }) if failure.reader == READER => library.skip(file, failure.reason, on_event),
                _ => new.push(file),
            }
        }
        library.unseen = known.into_values().collect();
        on_event(Event::Planned {
            files: found.files.len(),
            new: new.len(),
        });
        if self.store.is_read_only() {
            for file in new.drain(..) {
                self.look_up(file, space.as_ref(), &mut library, on_event)?;
            }
        }
        if !new.is_empty() {
            new.sort_by(|a, b| {
                (b.state.mtime_ns.cmp(&a.state.mtime_ns)).then(a.absolute.cmp(&b.absolute))
            });
            let space = match space {
                Some(space) => space,
                None => self.new_space()?,
            };
            self.embed_new(&new, &space, &mut library, cancel, on_event)?;
            library.files.sort_by(|a, b| a.absolute.cmp(&b.absolute));
        }
        Ok(library)
    }

    /// A file that looks new, in a store that cannot learn of it: its bytes may be known.
    fn look_up(
        &self,
        file: &SoundFile,
        space: Option<&Space>,
        library: &mut Library,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), EngineError> {
        let seen = match look(&file.absolute) {
            Ok(seen) => seen,
            Err(error) => {
                library.skip(file, error.to_string(), on_event);
                return Ok(());
            }
        };
        match self.store.content(&seen.hash, space)? {
            Some(known) if known.embedded => library.add(file, known.content, known.sound),
            _ => {
                let reason = "not embedded yet, and the store cannot be written to".into();
                library.skip(file, reason, on_event);
            }
        }
        Ok(())
    }

    fn new_space(&mut self) -> Result<Space, EngineError> {
        let writer = self.store.write()?;
        let space = writer.space(&self.key)?;
        writer.commit()?;
        Ok(space)
    }

    pub(crate) fn space(&self) -> Result<Option<Space>, EngineError> {
        Ok(self.store.space(&self.key)?)
    }

    fn embed_new(
        &mut self,
        new: &[&SoundFile],
        space: &Space,
        library: &mut Library,
        cancel: &Cancel,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), EngineError> {
        let store = self.store.path().to_path_buf();
        let model = self.model;
        let preparation = Preparation::new(
            new,
            &store,
            space,
            &self.options.listening,
            model.mel_config(),
            READER,
        );
        let batch_tokens = self.options.batch_tokens;
        let mut intake = Intake::new(model, &mut self.store, space, new, READER);
        let (sender, reports) = sync_channel(WINDOWS_AHEAD);
        std::thread::scope(|threads| {
            for _ in 0..self.options.readers.clamp(1, new.len()) {
                let (sender, preparation) = (sender.clone(), &preparation);
                threads.spawn(move || preparation.work(&sender));
            }
            drop(sender); // so that the reports end when the last thread does
            let done = take_in(
                &mut intake,
                &reports,
                batch_tokens,
                library,
                cancel,
                on_event,
            );
            preparation.stop();
            drop(reports); // a thread that waits to report learns that nobody listens
            done
        })
    }
}

/// What vectors of `model` are kept under.
pub(crate) fn space_key(model: &dyn Embedder, options: &Options) -> SpaceKey {
    SpaceKey {
        fingerprint: model.fingerprint().to_owned(),
        window: options.listening.cut.to_string(),
        dim: model.dim(),
        model: options.name.clone(),
    }
}

/// Everything the threads report, into the store and the library.
fn take_in(
    intake: &mut Intake<'_>,
    reports: &Receiver<Report>,
    batch_tokens: usize,
    library: &mut Library,
    cancel: &Cancel,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<(), EngineError> {
    loop {
        if cancel.is_cancelled() {
            library.interrupted = true;
            // Windows that wait are dropped, what is finished is kept.
            return intake.save(library, on_event);
        }
        match reports.recv_timeout(Duration::from_millis(100)) {
            Ok(report) => {
                intake.take(report)?;
                if intake.tokens_waiting() >= batch_tokens {
                    intake.embed(library, on_event)?;
                } else if intake.is_worth_saving() {
                    intake.save(library, on_event)?;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                intake.embed(library, on_event)?;
                return intake.save(library, on_event);
            }
        }
    }
}

impl Library {
    pub(crate) fn add(&mut self, file: &SoundFile, content: Content, sound: Sound) {
        self.files.push(LibraryFile {
            shown: file.shown.clone(),
            absolute: file.absolute.clone(),
            content,
            sound,
        });
    }

    pub(crate) fn skip(
        &mut self,
        file: &SoundFile,
        reason: String,
        on_event: &mut dyn FnMut(Event<'_>),
    ) {
        let skipped = Skipped {
            path: file.shown.clone(),
            reason,
        };
        on_event(Event::Skipped(&skipped));
        self.skipped.push(skipped);
    }
}
