//! Batches made ahead of the step that needs them.
//!
//! ```text
//! step ─► draws ─► workers, one example each ─► slots of the step's batch ─► batches, in order
//! ```
//!
//! Workers decide when an example is made, never which: a batch is the same for any number of them,
//! none included, and a loader may begin at any step.

use std::any::Any;
use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::DataError;
use super::config::Policy;
use super::examples::{Example, Examples, RerankExample};
use super::rerank::Negatives;
use super::sampler::Sampler;

/// How a loader works. Nothing here changes a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoaderConfig {
    /// Threads that make examples; default 4. With 0, they are made when a batch is asked for.
    pub workers: usize,
    /// Batches that may be made or in the making before they are asked for, at least 1; default 2.
    pub ahead: usize,
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self {
            workers: 4,
            ahead: 2,
        }
    }
}

/// What a step trains on.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch<E> {
    /// The step.
    pub step: u64,
    /// Its examples, in the order drawn.
    pub examples: Vec<E>,
    /// What was drawn and could not be made, by the recipe's leave. Nothing took its place.
    pub skipped: Vec<SkippedExample>,
    /// Seconds of sound in it.
    pub audio_seconds: f64,
    /// Seconds that the step waited for it.
    pub wait_s: f64,
}

/// An example that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedExample {
    /// The source's name.
    pub source: String,
    /// The row.
    pub id: String,
    /// Why, with the file's name.
    pub reason: String,
}

/// What became of a draw: an example with its seconds of sound, one left out, or the run's end.
type Made<E> = Result<Result<(E, f64), SkippedExample>, DataError>;
/// Makes an example.
type Job<E> = Box<dyn FnOnce() -> Made<E> + Send>;
/// The examples of a step, to be made.
type Plan<E> = dyn Fn(u64) -> Result<Vec<Job<E>>, DataError> + Send + Sync;

/// Batches of the given steps, in order. Dropping it ends its threads.
pub struct Loader<E> {
    shared: Arc<Shared<E>>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared<E> {
    plan: Box<Plan<E>>,
    ahead: usize,
    end: u64,
    state: Mutex<State<E>>,
    /// There may be something to make.
    work: Condvar,
    /// The batch in front may be complete.
    done: Condvar,
}

struct State<E> {
    /// The first step that is not planned yet.
    next: u64,
    batches: VecDeque<Pending<E>>,
    closed: bool,
}

struct Pending<E> {
    step: u64,
    jobs: VecDeque<(usize, Job<E>)>,
    made: Vec<Option<Made<E>>>,
    left: usize,
}

impl Loader<Example> {
    /// Pairs: batches of `steps`, of each the draws in `slots` (`0..sampler.batch_size()` where one
    /// process trains alone).
    pub fn pairs(
        sampler: Arc<Sampler>,
        examples: Arc<Examples>,
        steps: Range<u64>,
        slots: Range<usize>,
        config: &LoaderConfig,
    ) -> Self {
        let plan = move |step: u64| {
            let draws = sampler.batch(step);
            let job = |draw: &super::Draw| -> Job<Example> {
                let (draw, examples) = (*draw, Arc::clone(&examples));
                Box::new(move || {
                    let made = examples.realise(&draw).map(|e| (e.audio_seconds, e));
                    settle(made, examples.unreadable(draw.source))
                })
            };
            Ok(draws[slots.clone()].iter().map(job).collect())
        };
        Self::new(Box::new(plan), steps, config)
    }
}

impl Loader<RerankExample> {
    /// Samples of the re-ranker stage, as [`Loader::pairs`].
    pub fn rerank(
        sampler: Arc<Sampler>,
        negatives: Arc<Negatives>,
        examples: Arc<Examples>,
        steps: Range<u64>,
        slots: Range<usize>,
        config: &LoaderConfig,
    ) -> Self {
        let plan = move |step: u64| {
            let draws = sampler.rerank_batch(step, &negatives)?;
            let job = |draw: &super::RerankDraw| -> Job<RerankExample> {
                let (draw, examples) = (draw.clone(), Arc::clone(&examples));
                Box::new(move || {
                    let made = examples.realise_rerank(&draw).map(|e| (e.audio_seconds, e));
                    settle(made, examples.unreadable(draw.positive.source))
                })
            };
            Ok(draws[slots.clone()].iter().map(job).collect())
        };
        Self::new(Box::new(plan), steps, config)
    }
}

/// Whether what could not be made ends the run.
fn settle<E>(made: Result<(f64, E), DataError>, unreadable: Policy) -> Made<E> {
    match made {
        Ok((seconds, example)) => Ok(Ok((example, seconds))),
        Err(DataError::Unreadable {
            name, id, reason, ..
        }) if unreadable == Policy::Skip => Ok(Err(SkippedExample {
            source: name,
            id,
            reason,
        })),
        Err(error) => Err(error),
    }
}

impl<E: Send + 'static> Loader<E> {
    fn new(plan: Box<Plan<E>>, steps: Range<u64>, config: &LoaderConfig) -> Self {
        let shared = Arc::new(Shared {
            plan,
            ahead: config.ahead.max(1),
            end: steps.end,
            state: Mutex::new(State {
                next: steps.start,
                batches: VecDeque::new(),
                closed: false,
            }),
            work: Condvar::new(),
            done: Condvar::new(),
        });
        let worker = |number: usize| {
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name(format!("loader {number}"));
            thread.spawn(move || shared.work())
        };
        // Where the system gives fewer threads, fewer do: with none, batches are made when asked for.
        let workers = (0..config.workers).map_while(|number| worker(number).ok());
        Self {
            workers: workers.collect(),
            shared,
        }
    }
}

impl<E> Shared<E> {
    fn lock(&self) -> MutexGuard<'_, State<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plans the next step, where there is one.
    fn plan(&self, state: &mut State<E>) -> bool {
        if state.next >= self.end {
            return false;
        }
        let step = state.next;
        state.next += 1;
        state.batches.push_back(match (self.plan)(step) {
            Ok(jobs) => Pending {
                step,
                left: jobs.len(),
                made: jobs.iter().map(|_| None).collect(),
                jobs: jobs.into_iter().enumerate().collect(),
            },
            Err(error) => Pending {
                step,
                left: 0,
                made: vec![Some(Err(error))],
                jobs: VecDeque::new(),
            },
        });
        true
    }

    /// A worker's life.
    fn work(&self) {
        let mut state = self.lock();
        while !state.closed {
            let open = state
                .batches
                .iter_mut()
                .find(|batch| !batch.jobs.is_empty());
            if let Some((step, (slot, job))) =
                open.and_then(|batch| Some((batch.step, batch.jobs.pop_front()?)))
            {
                drop(state);
                let made = run(job, step, slot);
                state = self.lock();
                // Gone, where the loader was closed meanwhile.
                let mut batches = state.batches.iter_mut();
                if let Some(batch) = batches.find(|batch| batch.step == step) {
                    batch.made[slot] = Some(made);
                    batch.left -= 1;
                    if batch.left == 0 {
                        self.done.notify_all();
                    }
                }
            } else if state.batches.len() < self.ahead && self.plan(&mut state) {
                self.work.notify_all();
                self.done.notify_all();
            } else {
                state = self
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

fn run<E>(job: Job<E>, step: u64, slot: usize) -> Made<E> {
    // What a job that panicked was making is dropped with it.
    catch_unwind(AssertUnwindSafe(job)).unwrap_or_else(|panic| {
        Err(DataError::Panicked {
            step,
            slot,
            message: message(&*panic),
        })
    })
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or(panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic")
        .into()
}

impl<E> Loader<E> {
    /// The next batch in the making, complete; `None` after the last step.
    fn next_pending(&self) -> Option<Pending<E>> {
        let mut state = self.shared.lock();
        if self.workers.is_empty() {
            if !self.shared.plan(&mut state) {
                return None;
            }
            let mut batch = state.batches.pop_front()?;
            for (slot, job) in std::mem::take(&mut batch.jobs) {
                batch.made[slot] = Some(run(job, batch.step, slot));
            }
            return Some(batch);
        }
        loop {
            match state.batches.front() {
                Some(batch) if batch.left == 0 => break,
                None if state.next >= self.shared.end => return None,
                _ => {
                    let wait = self.shared.done.wait(state);
                    state = wait.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
        let batch = state.batches.pop_front();
        self.shared.work.notify_all();
        batch
    }
}

impl<E> Iterator for Loader<E> {
    type Item = Result<Batch<E>, DataError>;

    /// The next step's batch. An error is the first of the step, in the order drawn, however many
    /// workers there are.
    fn next(&mut self) -> Option<Self::Item> {
        let asked = Instant::now();
        let pending = self.next_pending()?;
        let mut batch = Batch {
            step: pending.step,
            examples: Vec::new(),
            skipped: Vec::new(),
            audio_seconds: 0.0,
            wait_s: asked.elapsed().as_secs_f64(),
        };
        for made in pending.made.into_iter().flatten() {
            match made {
                Ok(Ok((example, seconds))) => {
                    batch.examples.push(example);
                    batch.audio_seconds += seconds;
                }
                Ok(Err(skipped)) => batch.skipped.push(skipped),
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(batch))
    }
}

impl<E> Drop for Loader<E> {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_all();
        for worker in self.workers.drain(..) {
            // Examples in the making are finished first; their panics were caught.
            let _ = worker.join();
        }
    }
}
