//! Indexing, one job after the other, on a thread of its own; whoever watches is told.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use aurola::{Cancel, Event, Index, Library};
use tokio::sync::watch;

use crate::fault::Fault;
use crate::model::{giving_way, refusal};

/// Jobs that may wait.
const WAITING: usize = 64;

/// Jobs that are remembered.
const REMEMBERED: usize = 100;

/// Files that a job lists as skipped; all are counted.
const LISTED: usize = 1_000;

/// How often watchers are told of progress at most.
const OFTEN: Duration = Duration::from_millis(100);

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Queued,
    Running,
    Done,
    Failed,
    Cancelled,
}

/// A job, as of now.
#[derive(Debug, Clone)]
pub(crate) struct Status {
    pub(crate) state: State,
    pub(crate) began: Option<Instant>,
    pub(crate) finished: Option<SystemTime>,
    pub(crate) files: usize,
    pub(crate) files_done: usize,
    pub(crate) skipped: usize,
    pub(crate) seconds_done: f64,
    pub(crate) seconds: Option<f64>,
    pub(crate) current: PathBuf,
    pub(crate) listed: Vec<(PathBuf, String)>,
    pub(crate) embedded: usize,
    pub(crate) error: Option<String>,
    pub(crate) took: Option<Duration>,
}

/// A job.
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) created: SystemTime,
    status: Mutex<Status>,
    cancel: Cancel,
    changed: watch::Sender<u64>,
}

/// All jobs of this run of the server, and the thread that does them.
pub(crate) struct Jobs {
    jobs: Mutex<VecDeque<Arc<Job>>>,
    count: Mutex<u64>,
    sender: Mutex<Option<Sender<Arc<Job>>>>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub(crate) fn is_over(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Jobs {
    pub(crate) fn start(index: Arc<Index>) -> Self {
        let (sender, jobs) = channel();
        let worker = std::thread::Builder::new()
            .name("index".into())
            .spawn(move || work(&index, &jobs));
        if let Err(error) = &worker {
            tracing::error!(%error, "no thread for indexing");
        }
        Self {
            jobs: Mutex::default(),
            count: Mutex::new(0),
            sender: Mutex::new(Some(sender)),
            worker: Mutex::new(worker.ok()),
        }
    }

    /// A new job: these paths, or every root where there are none.
    pub(crate) fn add(&self, paths: Vec<PathBuf>) -> Result<Arc<Job>, Fault> {
        let mut jobs = unpoisoned(&self.jobs);
        let waiting = (jobs.iter()).filter(|job| !job.status().state.is_over());
        if waiting.count() >= WAITING {
            return Err(Fault::overloaded());
        }
        let mut count = unpoisoned(&self.count);
        *count += 1;
        let job = Arc::new(Job {
            id: format!("j{count}"),
            paths,
            created: SystemTime::now(),
            status: Mutex::new(Status {
                state: State::Queued,
                began: None,
                finished: None,
                files: 0,
                files_done: 0,
                skipped: 0,
                seconds_done: 0.0,
                seconds: None,
                current: PathBuf::new(),
                listed: Vec::new(),
                embedded: 0,
                error: None,
                took: None,
            }),
            cancel: Cancel::default(),
            changed: watch::Sender::new(0),
        });
        let sender = unpoisoned(&self.sender);
        let taken = sender
            .as_ref()
            .is_some_and(|sender| sender.send(job.clone()).is_ok());
        if !taken {
            return Err(Fault::stopping());
        }
        jobs.push_front(job.clone());
        while jobs.len() > REMEMBERED && jobs.back().is_some_and(|job| job.status().state.is_over())
        {
            jobs.pop_back();
        }
        Ok(job)
    }

    /// Newest first.
    pub(crate) fn list(&self) -> Vec<Arc<Job>> {
        unpoisoned(&self.jobs).iter().cloned().collect()
    }

    pub(crate) fn get(&self, id: &str) -> Option<Arc<Job>> {
        unpoisoned(&self.jobs)
            .iter()
            .find(|job| job.id == id)
            .cloned()
    }

    /// Whether any is under way.
    pub(crate) fn is_busy(&self) -> bool {
        unpoisoned(&self.jobs)
            .iter()
            .any(|job| !job.status().state.is_over())
    }

    /// Cancels all, and waits until what was under way is saved.
    pub(crate) fn finish(&self) {
        unpoisoned(&self.sender).take();
        for job in self.list() {
            job.cancel();
        }
        if let Some(worker) = unpoisoned(&self.worker).take() {
            // Its panics are caught where it works.
            let _ = worker.join();
        }
    }
}

impl Job {
    pub(crate) fn status(&self) -> Status {
        unpoisoned(&self.status).clone()
    }

    /// What is under way is finished and saved.
    pub(crate) fn cancel(&self) {
        self.cancel.cancel();
        self.change(|status| {
            if status.state == State::Queued {
                status.state = State::Cancelled;
                status.finished = Some(SystemTime::now());
            }
        });
    }

    /// Told whenever something has changed.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn change(&self, how: impl FnOnce(&mut Status)) {
        how(&mut unpoisoned(&self.status));
        self.changed.send_modify(|n| *n += 1);
    }
}

fn work(index: &Index, jobs: &Receiver<Arc<Job>>) {
    while let Ok(job) = jobs.recv() {
        if job.status().state != State::Queued {
            continue;
        }
        let began = Instant::now();
        job.change(|status| {
            status.state = State::Running;
            status.began = Some(began);
        });
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            giving_way(|| run(index, &job))
        }));
        let (state, library, error) = match ran {
            Ok(Ok(library)) if library.interrupted => (State::Cancelled, Some(library), None),
            Ok(Ok(library)) => (State::Done, Some(library), None),
            Ok(Err(error)) => {
                // A queue that stops is why, not the sound that was at hand.
                let error = refusal().map_or(error, |fault| fault.message().to_owned());
                (State::Failed, None, Some(error))
            }
            Err(_) => {
                tracing::error!(job = job.id, "indexing panicked");
                (
                    State::Failed,
                    None,
                    Some("the server failed; its log says how".into()),
                )
            }
        };
        if let Some(error) = &error {
            tracing::warn!(job = job.id, error, "indexing failed");
        }
        job.change(|status| {
            status.state = state;
            status.error = error;
            status.finished = Some(SystemTime::now());
            status.took = Some(began.elapsed());
            if let Some(Library {
                files,
                embedded,
                seconds,
                ..
            }) = library
            {
                status.files = status.files.max(files.len());
                status.embedded = embedded;
                status.seconds_done = status.seconds_done.max(seconds);
            }
        });
    }
}

fn run(index: &Index, job: &Job) -> Result<Library, String> {
    let mut told = Instant::now();
    let on_event = &mut |event: Event<'_>| match event {
        Event::Planned { new, .. } => job.change(|status| status.files = new),
        Event::Moved(progress) => {
            let is_last = progress.files_done == progress.files;
            if told.elapsed() < OFTEN && !is_last {
                return;
            }
            told = Instant::now();
            job.change(|status| {
                status.files = progress.files;
                status.files_done = progress.files_done;
                status.seconds_done = progress.seconds_done;
                status.seconds = progress.seconds;
                status.current = progress.current.to_path_buf();
            });
        }
        Event::Skipped(skipped) => job.change(|status| {
            status.skipped += 1;
            if status.listed.len() < LISTED {
                let (path, reason) = (skipped.path.clone(), skipped.reason.clone());
                status.listed.push((path, reason));
            }
        }),
        _ => {}
    };
    let done = match job.paths.is_empty() {
        true => index.update(&job.cancel, on_event),
        false => index.add(&job.paths, &job.cancel, on_event),
    };
    done.map_err(|error| error.to_string())
}
