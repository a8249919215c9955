//! Files ahead of the model: hashed, looked up, decoded and turned into spectrograms by a few
//! threads, while the model is busy with the windows before.
//!
//! ```text
//! job ──► hash ──┬─ embedded already ─────────────────────────► Known
//!                ├─ another job of this run has these bytes ──► Twin
//!                └─ decode ─► window ─► log-mel ──────────────► Begun, Window…, Done
//!                                └ an error anywhere ─────────► Failed
//! ```
//!
//! The channel they report into is short: a window is a megabyte and a half, and the model is the
//! slow one.

use std::collections::HashSet;
use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{SystemTime, UNIX_EPOCH};

use aurola_audio::{AudioError, LogMel, MelConfig};
use aurola_retrieval::store::{ContentHash, FileState, Sound, Space, StoredContent};
use aurola_retrieval::{Span, Store};

use crate::EngineError;
use crate::listen::{Heard, Listener, Listening, is_about_the_bytes, reason};
use crate::walk::SoundFile;

/// What a file was when its bytes were hashed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) hash: ContentHash,
    pub(crate) state: FileState,
    pub(crate) checked_ns: i64,
}

/// What a thread found out about job `job`. Reports of one job come in order.
pub(crate) enum Report {
    /// All of it was embedded before, under this name or another.
    Known {
        job: usize,
        seen: Seen,
        stored: StoredContent,
    },
    /// These bytes were tried before and cannot be read.
    KnownBad {
        job: usize,
        seen: Seen,
        reason: String,
    },
    /// Another job of this run has the same bytes.
    Twin { job: usize, seen: Seen },
    /// It can be opened. Windows that are already in the store will not be reported.
    Begun {
        job: usize,
        seen: Seen,
        sound: Sound,
        /// Seconds, as its header has it.
        said: Option<f64>,
    },
    /// One window of it.
    Window { job: usize, span: Span, mel: LogMel },
    /// It was read to its end.
    Done { job: usize, heard: Heard },
    /// It cannot be read.
    Failed {
        job: usize,
        /// None where not even its bytes could be read, or they changed meanwhile: then it is tried
        /// again next time.
        seen: Option<Seen>,
        reason: String,
    },
    /// The store cannot be read, or no decoder started; nothing sensible can follow.
    Broken(EngineError),
}

/// What the threads share.
pub(crate) struct Preparation<'a> {
    pub(crate) jobs: &'a [&'a SoundFile],
    pub(crate) store: &'a Path,
    pub(crate) space: &'a Space,
    pub(crate) listening: &'a Listening,
    pub(crate) mel: &'a MelConfig,
    /// Who failures are remembered for; see [`aurola_retrieval::store::Failure::reader`].
    pub(crate) reader: &'a str,
    next: AtomicUsize,
    stop: AtomicBool,
    /// Contents that a job of this run has taken up.
    taken: Mutex<HashSet<ContentHash>>,
}

impl<'a> Preparation<'a> {
    pub(crate) fn new(
        jobs: &'a [&'a SoundFile],
        store: &'a Path,
        space: &'a Space,
        listening: &'a Listening,
        mel: &'a MelConfig,
        reader: &'a str,
    ) -> Self {
        Self {
            jobs,
            store,
            space,
            listening,
            mel,
            reader,
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            taken: Mutex::default(),
        }
    }

    /// Asks the threads to end soon.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Takes jobs until there are no more, or nobody listens. One thread's work.
    pub(crate) fn work(&self, reports: &SyncSender<Report>) {
        if let Err(error) = self.work_or_break(reports) {
            let _ = reports.send(Report::Broken(error)); // nobody listens: nobody needs to know
        }
    }

    fn work_or_break(&self, reports: &SyncSender<Report>) -> Result<(), EngineError> {
        let store = Store::open_read_only(self.store)?;
        let mut listener = Listener::new(self.listening, self.mel)?;
        while !self.is_stopped() {
            let job = self.next.fetch_add(1, Ordering::Relaxed);
            if job >= self.jobs.len() {
                break;
            }
            let Some(last) = self.prepare(job, &store, &mut listener, reports)? else {
                break; // nobody listens any more
            };
            if reports.send(last).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// The report that ends the job; `None` where nobody listens any more.
    fn prepare(
        &self,
        job: usize,
        store: &Store,
        listener: &mut Listener,
        reports: &SyncSender<Report>,
    ) -> Result<Option<Report>, EngineError> {
        let path = &self.jobs[job].absolute;
        let failed = |seen, reason: String| Ok(Some(Report::Failed { job, seen, reason }));
        let seen = match look(path) {
            Ok(seen) => seen,
            Err(error) => return failed(None, error.to_string()),
        };
        let stored = store.content(&seen.hash, Some(self.space))?;
        let mut finished: HashSet<Span> = HashSet::new();
        if let Some(stored) = stored {
            if stored.embedded {
                return Ok(Some(Report::Known { job, seen, stored }));
            }
            if let Some(failure) = stored.failure
                && failure.reader == self.reader
            {
                let reason = failure.reason;
                return Ok(Some(Report::KnownBad { job, seen, reason }));
            }
            let windows = store.windows(self.space, &stored.content)?;
            finished.extend(windows.into_iter().map(|(span, _)| span));
        }
        if !self.take(seen.hash) {
            return Ok(Some(Report::Twin { job, seen }));
        }
        let heard = listener.hear(
            path,
            &mut |sound, said| {
                let begun = Report::Begun {
                    job,
                    seen,
                    sound: sound.clone(),
                    said,
                };
                match reports.send(begun) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                }
            },
            &mut |span| !finished.contains(&span),
            &mut |span, mel| {
                if self.is_stopped() || reports.send(Report::Window { job, span, mel }).is_err() {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            },
        );
        match heard {
            Ok(Some(Heard { windows: 0, .. })) => failed(Some(seen), "holds no sound".into()),
            Ok(Some(heard)) => match look_again(path, &seen) {
                Ok(()) => Ok(Some(Report::Done { job, heard })),
                Err(reason) => failed(None, reason),
            },
            Ok(None) => Ok(None),
            Err(error @ AudioError::Worker { .. }) => Err(error.into()),
            Err(error) => failed(
                is_about_the_bytes(&error).then_some(seen),
                reason(&error, path),
            ),
        }
    }

    /// Whether this is the first job of the run with these bytes.
    fn take(&self, hash: ContentHash) -> bool {
        // A thread that panicked holding this had only inserted; the set is still right.
        let mut taken = self.taken.lock().unwrap_or_else(|e| e.into_inner());
        taken.insert(hash)
    }
}

/// State and hash of a file.
pub(crate) fn look(path: &Path) -> std::io::Result<Seen> {
    let checked_ns = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as i64);
    let file = File::open(path)?;
    let state = FileState::of(&file.metadata()?);
    let hash = ContentHash::of(file)?;
    Ok(Seen {
        hash,
        state,
        checked_ns,
    })
}

/// The hash was made in one pass and the sound in another: both must be of the same bytes.
fn look_again(path: &Path, seen: &Seen) -> Result<(), String> {
    match std::fs::metadata(path) {
        Ok(metadata) if FileState::of(&metadata) == seen.state => Ok(()),
        Ok(_) => Err("changed while it was being read; the next run takes it up".into()),
        Err(error) => Err(error.to_string()),
    }
}
