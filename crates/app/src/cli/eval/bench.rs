//! What every split is measured with: the model, the engine's store, and the journals beside it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aurola::{Cancel, Engine, Options, Skipped};
use aurola_eval::benchmark::{Located, Text};
use aurola_eval::rerank::Verdicts;
use aurola_eval::run::{Journal, Judge, Measured, Step, Tools, judge, measure};
use aurola_model::Model;
use aurola_retrieval::Store;
use aurola_retrieval::store::SpaceKey;

use crate::cli::Common;
use crate::exit::AppError;
use crate::interrupt::Interrupts;
use crate::progress::Meter;

/// What every split is measured with.
pub(super) struct Bench<'a> {
    pub(super) common: &'a Common,
    pub(super) interrupts: &'a Interrupts,
    pub(super) model: &'a Model,
    pub(super) options: &'a Options,
    pub(super) store: PathBuf,
    pub(super) prompt_of: &'a dyn Fn(&Text) -> Vec<String>,
}

impl Bench<'_> {
    /// A journal of this model, beside the store.
    fn journal(&self, what: &str, fingerprint: &str, width: usize) -> Result<Journal, AppError> {
        let beside = self.store.parent().unwrap_or(Path::new("."));
        let short: String = fingerprint
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(16)
            .collect();
        let path = beside
            .join("evaluation")
            .join(format!("{what}-{short}.journal"));
        Ok(Journal::open(&path, width)?)
    }

    pub(super) fn measure(&self, located: Located) -> Result<Option<Measured>, AppError> {
        let store = Store::open(&self.store)?;
        let space = SpaceKey {
            fingerprint: self.model.fingerprint().to_owned(),
            window: self.options.listening.cut.to_string(),
            dim: self.model.dim(),
            model: self.options.name.clone(),
        };
        let mut engine = Engine::new(self.model, store, self.options.clone());
        let mut texts = self.journal("texts", self.model.fingerprint(), self.model.dim())?;
        let mut meter = Meter::new(self.common);
        let mut counter = Counter::new(self.common);
        let measured = self.interrupts.patiently(|cancel: &Cancel| {
            let tools = Tools {
                engine: &mut engine,
                model: self.model,
                space: &space,
                texts: &mut texts,
                cancel,
            };
            measure(
                located,
                self.prompt_of,
                tools,
                &self.options.listening,
                &mut |step| match step {
                    Step::Sounds(event) => meter.show(&event),
                    other => counter.show(&other),
                },
            )
        });
        meter.finish();
        Ok(measured?)
    }

    pub(super) fn judge(
        &self,
        reranker: &Model,
        measured: &Measured,
        depth: usize,
    ) -> Result<Option<[Verdicts; 2]>, AppError> {
        let mut journal = self.journal("pairs", reranker.fingerprint(), 1)?;
        let mut counter = Counter::new(self.common);
        let judged = self.interrupts.patiently(|cancel: &Cancel| {
            let who = Judge {
                reranker,
                listening: &self.options.listening,
                journal: &mut journal,
                cancel,
            };
            judge(measured, depth, who, &mut |step| counter.show(&step))
        })?;
        let Some((verdicts, skipped)) = judged else {
            return Ok(None);
        };
        if let Some(Skipped { path, reason }) = skipped.first() {
            return Err(AppError::Usage {
                message: format!(
                    "{}: cannot be read again to be judged: {reason}",
                    path.display()
                ),
                help: "sounds must stay where they are until the run ends; the same command goes on from here",
            });
        }
        Ok(Some(verdicts))
    }
}

/// Texts and pairs, counted every ten seconds.
struct Counter<'a> {
    common: &'a Common,
    started: Instant,
    told: Instant,
}

impl<'a> Counter<'a> {
    fn new(common: &'a Common) -> Self {
        let now = Instant::now();
        Self {
            common,
            started: now,
            told: now,
        }
    }

    fn show(&mut self, step: &Step<'_>) {
        let (done, all, what) = match step {
            Step::Texts(done, all) => (*done, *all, "texts embedded"),
            Step::Pairs(done, all) => (*done, *all, "pairs judged"),
            Step::Seconds(done, all) => (*done as usize, *all as usize, "seconds of sound heard"),
            _ => return,
        };
        if done == 0 {
            self.started = Instant::now();
        }
        if self.told.elapsed() < Duration::from_secs(10) {
            return;
        }
        self.told = Instant::now();
        let rate = done as f64 / self.started.elapsed().as_secs_f64().max(1e-3);
        let left = if rate > 0.0 {
            format!(
                " · {} left",
                crate::present::spoken((all - done) as f64 / rate)
            )
        } else {
            String::new()
        };
        self.common
            .progress_line(&format!("{done} of {all} {what}{left}"));
    }
}
