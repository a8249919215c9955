//! The line in front of the model: what many requests ask for, as batches of bounded size.
//!
//! ```text
//! requests ─► admission (429 beyond the bound) ─► line ─► one thread: batches by tokens ─► answers
//! ```
//!
//! One thread owns the model's time, so a batch is never torn by another. Inputs of different
//! requests share a batch, and each comes out as if it were alone (the model's promise), so nobody
//! sees whose neighbour they were. The line is bounded in requests and in tokens; who comes when it
//! is full is told at once, and never waits for the news.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aurola_audio::LogMel;
use aurola_model::{Input, ModelError, YesNo};
use aurola_retrieval::Embedding;
use tokio::sync::oneshot;

use super::Served;
use crate::fault::{Fault, Kind};
use crate::metrics::Metrics;

/// One input, ready for the model.
#[derive(Debug, Clone)]
pub(crate) enum Prepared {
    Text(Arc<str>),
    Sound(Arc<LogMel>),
    Both(Arc<LogMel>, Arc<str>),
}

/// How much is taken at once.
#[derive(Debug, Clone)]
pub(crate) struct QueueOptions {
    /// Tokens of one batch; at least one input is taken, however long.
    pub(crate) batch_tokens: usize,
    /// Inputs of one batch.
    pub(crate) batch_inputs: usize,
    /// Requests that may be under way at once, from their first byte to their answer.
    pub(crate) requests: usize,
    /// Tokens that may wait.
    pub(crate) tokens: usize,
}

/// An answer, and where the time went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timed<T> {
    pub(crate) value: T,
    pub(crate) queued: Duration,
    pub(crate) computed: Duration,
}

type Answer<T> = Result<Timed<T>, Fault>;

enum Task {
    Embed {
        input: Prepared,
        answer: oneshot::Sender<Answer<Embedding>>,
    },
    Judge {
        query: Prepared,
        candidates: Vec<Prepared>,
        answer: oneshot::Sender<Answer<Vec<YesNo>>>,
    },
}

struct Job {
    task: Task,
    tokens: usize,
    since: Instant,
}

/// Which line an input goes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Somebody waits for it.
    Now,
    /// Indexing: whenever nobody waits.
    Later,
}

#[derive(Default)]
struct Line {
    jobs: VecDeque<Job>,
    /// Tokens of those.
    tokens: usize,
    /// Bounded by its callers, who wait for each batch.
    later: VecDeque<Job>,
    closed: bool,
}

struct Shared {
    line: Mutex<Line>,
    something: Condvar,
    under_way: AtomicUsize,
    options: QueueOptions,
    metrics: Arc<Metrics>,
}

/// The line. Clones are the same line.
#[derive(Clone)]
pub(crate) struct Queue {
    shared: Arc<Shared>,
    worker: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// A place among the requests under way, given back when it is dropped.
pub(crate) struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Queue {
    /// Starts the thread. `judge` reads the pairs.
    ///
    /// # Errors
    ///
    /// The system gave no thread.
    pub(crate) fn start(
        model: Arc<dyn Served>,
        judge: Arc<dyn Served>,
        options: QueueOptions,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            line: Mutex::default(),
            something: Condvar::new(),
            under_way: AtomicUsize::new(0),
            options,
            metrics,
        });
        let mine = shared.clone();
        let worker = std::thread::Builder::new()
            .name("model".into())
            .spawn(move || mine.work(&*model, &*judge))?;
        Ok(Self {
            shared,
            worker: Arc::new(Mutex::new(Some(worker))),
        })
    }

    /// A place for one request, or the news that there is none.
    pub(crate) fn enter(&self) -> Result<Place, Fault> {
        let limit = self.shared.options.requests;
        let taken =
            self.shared
                .under_way
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
                    (now < limit).then_some(now + 1)
                });
        match taken {
            Ok(_) => Ok(Place(self.shared.clone())),
            Err(_) => Err(Fault::overloaded()),
        }
    }

    /// Puts inputs in the line, all or none, each with its tokens.
    pub(crate) fn embed(
        &self,
        inputs: Vec<(Prepared, usize)>,
    ) -> Result<Vec<Pending<Embedding>>, Fault> {
        self.embed_in(Lane::Now, inputs)
    }

    /// The same, in either line.
    pub(crate) fn embed_in(
        &self,
        lane: Lane,
        inputs: Vec<(Prepared, usize)>,
    ) -> Result<Vec<Pending<Embedding>>, Fault> {
        let mut pending = Vec::with_capacity(inputs.len());
        let jobs = inputs
            .into_iter()
            .map(|(input, tokens)| {
                let (answer, receiver) = oneshot::channel();
                pending.push(Pending(receiver));
                (Task::Embed { input, answer }, tokens)
            })
            .collect();
        self.shared.push(lane, jobs)?;
        Ok(pending)
    }

    /// Puts pairs in the line: as many candidates together as a batch takes, since they share the
    /// reading of the query. The verdicts come in the candidates' order.
    pub(crate) fn judge(
        &self,
        query: &Prepared,
        query_tokens: usize,
        candidates: Vec<(Prepared, usize)>,
    ) -> Result<Vec<Pending<Vec<YesNo>>>, Fault> {
        let budget = self.shared.options.batch_tokens;
        let mut pending = Vec::new();
        let mut jobs = Vec::new();
        let mut group: Vec<Prepared> = Vec::new();
        let mut tokens = query_tokens;
        let mut close = |group: &mut Vec<Prepared>, tokens: usize| {
            if group.is_empty() {
                return;
            }
            let (answer, receiver) = oneshot::channel();
            pending.push(Pending(receiver));
            let task = Task::Judge {
                query: query.clone(),
                candidates: std::mem::take(group),
                answer,
            };
            jobs.push((task, tokens));
        };
        for (candidate, more) in candidates {
            if tokens + more > budget || group.len() >= self.shared.options.batch_inputs {
                close(&mut group, tokens);
                tokens = query_tokens;
            }
            tokens += more;
            group.push(candidate);
        }
        close(&mut group, tokens);
        self.shared.push(Lane::Now, jobs)?;
        Ok(pending)
    }

    /// Takes nothing more, answers what is in the line, and waits for that.
    pub(crate) fn finish(&self) {
        self.shared.lock().closed = true;
        self.shared.something.notify_all();
        let worker = self
            .worker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(worker) = worker {
            // It catches the panics of models, so there is nothing to hear of here.
            let _ = worker.join();
        }
    }
}

/// An answer that will come.
pub(crate) struct Pending<T>(oneshot::Receiver<Answer<T>>);

impl<T> Pending<T> {
    pub(crate) async fn answer(self) -> Answer<T> {
        self.0.await.unwrap_or_else(|_| Err(Fault::stopping()))
    }

    /// The same for a thread that may block.
    pub(crate) fn wait(self) -> Answer<T> {
        self.0
            .blocking_recv()
            .unwrap_or_else(|_| Err(Fault::stopping()))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Line> {
        // Nothing panics while it is held; a line is valid at any time anyway.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, lane: Lane, jobs: Vec<(Task, usize)>) -> Result<(), Fault> {
        let since = Instant::now();
        let tokens: usize = jobs.iter().map(|(_, tokens)| tokens).sum();
        let mut line = self.lock();
        if line.closed {
            return Err(Fault::stopping());
        }
        let jobs = jobs.into_iter().map(|(task, tokens)| Job {
            task,
            tokens,
            since,
        });
        if lane == Lane::Later {
            line.later.extend(jobs);
        } else {
            // One request beyond the bound is let in where nothing waits: it could never be answered.
            if !line.jobs.is_empty() && line.tokens + tokens > self.options.tokens {
                return Err(Fault::overloaded());
            }
            line.tokens += tokens;
            line.jobs.extend(jobs);
            self.metrics.queue_size(line.jobs.len());
        }
        drop(line);
        self.something.notify_one();
        Ok(())
    }

    /// The next batch: embeddings together up to the budget, or one group of pairs; where nobody waits,
    /// one window of indexing. None when the line is closed and empty.
    fn next(&self) -> Option<Vec<Job>> {
        let mut line = self.lock();
        while line.jobs.is_empty() {
            if let Some(job) = line.later.pop_front() {
                return Some(vec![job]);
            }
            if line.closed {
                return None;
            }
            line = (self.something.wait(line)).unwrap_or_else(PoisonError::into_inner);
        }
        let mut batch: Vec<Job> = Vec::new();
        let mut tokens = 0;
        while let Some(job) = line.jobs.front() {
            let alone = matches!(job.task, Task::Judge { .. });
            let full = tokens + job.tokens > self.options.batch_tokens
                || batch.len() >= self.options.batch_inputs;
            if !batch.is_empty() && (alone || full) {
                break;
            }
            tokens += job.tokens;
            batch.extend(line.jobs.pop_front());
            if alone {
                break;
            }
        }
        line.tokens -= tokens;
        self.metrics.queue_size(line.jobs.len());
        self.metrics.batch(batch.len(), tokens);
        Some(batch)
    }

    fn work(&self, model: &dyn Served, judge: &dyn Served) {
        while let Some(batch) = self.next() {
            let mut embeddings = Vec::new();
            for Job { task, since, .. } in batch {
                match task {
                    // Whoever asked has gone: nobody would read it.
                    Task::Embed { answer, .. } if answer.is_closed() => {}
                    Task::Judge { answer, .. } if answer.is_closed() => {}
                    Task::Embed { input, answer } => embeddings.push((input, answer, since)),
                    Task::Judge {
                        query,
                        candidates,
                        answer,
                    } => {
                        let inputs: Vec<Input<'_>> =
                            candidates.iter().map(Prepared::input).collect();
                        let (done, computed) =
                            timed(|| judge.rerank(&query.input(), &inputs).map_err(|e| fault(&e)));
                        self.metrics.inference(computed);
                        self.metrics.pairs(candidates.len());
                        let queued = since.elapsed().saturating_sub(computed);
                        // An answer that nobody waits for any more is dropped.
                        let _ = answer.send(done.map(|value| Timed {
                            value,
                            queued,
                            computed,
                        }));
                    }
                }
            }
            if !embeddings.is_empty() {
                self.embed(model, embeddings);
            }
        }
    }

    fn embed(
        &self,
        model: &dyn Served,
        jobs: Vec<(Prepared, oneshot::Sender<Answer<Embedding>>, Instant)>,
    ) {
        let began = Instant::now();
        let inputs: Vec<Input<'_>> = jobs.iter().map(|(input, ..)| input.input()).collect();
        let (together, computed) = timed(|| model.embed(&inputs).map_err(|e| fault(&e)));
        self.metrics.inference(computed);
        let each: Vec<Result<Embedding, Fault>> = match together {
            Ok(embeddings) if embeddings.len() == jobs.len() => {
                embeddings.into_iter().map(Ok).collect()
            }
            // Together they failed, for which one of them is to blame and the others are not.
            _ => inputs
                .iter()
                .map(|input| {
                    let one = timed(|| {
                        model
                            .embed(std::slice::from_ref(input))
                            .map_err(|e| fault(&e))
                    });
                    match one.0?.pop() {
                        Some(embedding) => Ok(embedding),
                        None => Err(Fault::new(Kind::Internal, "the model gave no vector")),
                    }
                })
                .collect(),
        };
        let computed = began.elapsed();
        drop(inputs);
        for ((_, answer, since), done) in jobs.into_iter().zip(each) {
            let queued = began.saturating_duration_since(since);
            // As above.
            let _ = answer.send(done.map(|value| Timed {
                value,
                queued,
                computed,
            }));
        }
    }
}

impl Prepared {
    pub(crate) fn input(&self) -> Input<'_> {
        match self {
            Self::Text(text) => Input::Text(text),
            Self::Sound(mel) => Input::Audio(mel),
            Self::Both(mel, text) => Input::AudioText(mel, text),
        }
    }
}

/// Runs the model; a panic in it is this batch's error and no more.
fn timed<T>(run: impl FnOnce() -> Result<T, Fault>) -> (Result<T, Fault>, Duration) {
    let began = Instant::now();
    // A model does not change after loading, so a panic leaves nothing half done in it.
    let done = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let words = panic
            .downcast_ref::<&str>()
            .map(|words| (*words).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned());
        tracing::error!(panic = words, "the model panicked");
        Err(Fault::new(
            Kind::Internal,
            "the model failed; the log says how",
        ))
    });
    (done, began.elapsed())
}

/// A model's refusal, as its caller must hear it: no paths of this machine.
pub(crate) fn fault(error: &ModelError) -> Fault {
    match error {
        ModelError::Input(words) => Fault::unprocessable(words.clone()),
        ModelError::NotFinite { .. } => Fault::unprocessable(error.to_string()),
        other => {
            tracing::error!(error = %other, "the model failed");
            Fault::new(Kind::Internal, "the model failed; the log says how")
        }
    }
}
