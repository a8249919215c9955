//! A run: a recipe, carried out step by step, in a folder that survives being stopped anywhere.
//!
//! ```text
//! recipe ─► model, data ─► [ batch ─► step ─► clip ─► AdamW ─► record ─► checkpoint ] × steps ─► export
//! ```
//!
//! What a run makes depends on its recipe and its files alone: a resumed run is an uninterrupted one, bit
//! for bit on the same machine and number of threads.

mod items;
mod setup;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use aurola_compute::keep_freed_memory;

use crate::TrainError;
use crate::checkpoint::{self, LoopState};
use crate::collective::Collective;
use crate::data::{Batch, Example, Examples, Loader, RerankExample, Sampler};
use crate::export;
use crate::optimizer::{AdamW, clip};
use crate::random::mix;
use crate::recipe::{Recipe, Stage};
use crate::report::{
    Dashboard, EventFile, EventRecord, METRICS_FILE, MetricsLog, Record, RunEvent, RunState,
    StepRecord, ValidationRecord,
};
use crate::schedule::Schedule;
use crate::step::{self, Outcome, StepConfig};
use crate::thinker::{Gradients, Parameters};
use crate::validate::Validation;
use setup::Setup;

/// Memory for tapes where the system does not tell what is free.
const MEMORY_UNKNOWN: u64 = 4 << 30;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// All steps are done; the model or adapter is in this folder.
    Done(PathBuf),
    /// It was asked to stop and is saved after this many steps.
    Stopped(u64),
}

/// Carries out the recipe at `path` in `run_dir`: from its newest checkpoint where there is one, else from
/// the start. Where `stop` says so the run ends after the step at hand, saved.
///
/// # Errors
///
/// [`TrainError`]. The newest checkpoint is whole whatever happens, and the same call goes on from it.
pub fn train(
    path: &Path,
    run_dir: &Path,
    stop: &dyn Fn() -> bool,
    collective: &mut dyn Collective,
    dashboard: &mut Dashboard,
) -> Result<Ending, TrainError> {
    let (recipe, folder) = Recipe::read(path)?;
    keep_freed_memory();
    std::fs::create_dir_all(run_dir).map_err(TrainError::io(run_dir))?;
    if collective.rank() == 0 {
        refuse_company(run_dir)?;
    }
    let newest = newest(run_dir, &recipe)?;
    let setup = Setup::new(&recipe, &folder, run_dir, newest.is_some(), collective)?;
    Run::begin(
        &recipe, &folder, run_dir, newest, setup, collective, dashboard,
    )?
    .go(stop)
}

/// Refuses a folder in which another process trains: two would undo each other's work.
fn refuse_company(run_dir: &Path) -> Result<(), TrainError> {
    match RunState::load(run_dir) {
        Ok(state) if state.is_alive() == Some(true) && state.pid != std::process::id() => {
            Err(TrainError::Busy {
                path: run_dir.to_owned(),
                pid: state.pid,
            })
        }
        _ => Ok(()),
    }
}

/// The checkpoint to go on from, where there is one; one of another recipe is refused before anything
/// of it is read.
fn newest(run_dir: &Path, recipe: &Recipe) -> Result<Option<PathBuf>, TrainError> {
    let Some((_, dir)) = checkpoint::list(run_dir)?.pop() else {
        return Ok(None);
    };
    if checkpoint::state(&dir)?.recipe != recipe.fingerprint() {
        return Err(TrainError::Checkpoint {
            path: dir,
            reason: "was made by another recipe; give this one another folder, or the old recipe"
                .into(),
        });
    }
    Ok(Some(dir))
}

/// A run under way.
struct Run<'r> {
    recipe: &'r Recipe,
    run_dir: &'r Path,
    setup: Setup,
    validations: Vec<Validation>,
    optimizer: AdamW,
    schedule: Schedule,
    step: StepConfig,
    state: LoopState,
    collective: &'r mut dyn Collective,
    dashboard: &'r mut Dashboard,
    log: Option<(MetricsLog, EventFile)>,
    /// The steps of the newest checkpoint.
    saved: Option<u64>,
}

impl<'r> Run<'r> {
    fn begin(
        recipe: &'r Recipe,
        folder: &Path,
        run_dir: &'r Path,
        newest: Option<PathBuf>,
        mut setup: Setup,
        collective: &'r mut dyn Collective,
        dashboard: &'r mut Dashboard,
    ) -> Result<Self, TrainError> {
        let schedule = Schedule::new(
            recipe.schedule.learning_rate,
            recipe.schedule.warmup,
            setup.steps,
        )?;
        let mut optimizer = AdamW::new(recipe.optimizer, &setup.parameters.lengths())?;
        let mut state = LoopState {
            step: 0,
            skipped: 0,
            chunk: None,
            recipe: recipe.fingerprint(),
        };
        if let Some(dir) = &newest {
            let saved = checkpoint::load(dir, &mut setup.parameters)?;
            optimizer = AdamW::resume(recipe.optimizer, saved.moments, saved.state.step)?;
            state = saved.state;
        }
        agree(run_dir, state.step, &setup.parameters, collective)?;
        let validations: Vec<Validation> = recipe
            .validation
            .iter()
            .map(|v| {
                Validation::new(
                    v,
                    folder,
                    recipe.seed,
                    &setup.text,
                    &setup.filters,
                    &setup.thinker,
                )
            })
            .collect::<Result<_, _>>()?;
        for validation in &validations {
            for skipped in &validation.skipped {
                dashboard.message(&format!(
                    "left out of validation {}: {skipped}",
                    validation.name
                ));
            }
        }
        let mut log = None;
        if collective.rank() == 0 {
            let path = run_dir.join("recipe.toml");
            checkpoint::write_synced(&path, recipe.resolved(Some(folder)).as_bytes())?;
            RunState::of_this_process(&recipe.name, setup.steps).save(run_dir)?;
            let metrics = run_dir.join(METRICS_FILE);
            // A run that ended before its first checkpoint has a log too: it is begun anew.
            log = Some(if metrics.exists() {
                (
                    MetricsLog::resume(&metrics, state.step)?,
                    EventFile::resume(run_dir, state.step)?,
                )
            } else {
                (MetricsLog::create(&metrics)?, EventFile::create(run_dir)?)
            });
        }
        let compute = &recipe.compute;
        let step = StepConfig {
            chunk: state.chunk.unwrap_or(compute.chunk),
            products: compute.products,
            recompute: compute.recompute,
            memory: compute.memory_mib.map_or_else(
                || free_memory(collective.world()),
                |mib| mib.saturating_mul(1 << 20),
            ),
            dropout: 0,
        };
        dashboard.set_total_steps(setup.steps);
        let saved = newest.is_some().then_some(state.step);
        let mut run = Self {
            recipe,
            run_dir,
            setup,
            validations,
            optimizer,
            schedule,
            step,
            state,
            collective,
            dashboard,
            log,
            saved,
        };
        let total_steps = run.setup.steps;
        run.event(if newest.is_some() {
            RunEvent::Resumed { total_steps }
        } else {
            RunEvent::Started { total_steps }
        })?;
        Ok(run)
    }

    fn go(mut self, stop: &dyn Fn() -> bool) -> Result<Ending, TrainError> {
        match self.recipe.stage {
            Stage::Contrastive => {
                let loader = self.loader(Loader::pairs);
                self.steps(loader, stop, Self::contrastive)
            }
            Stage::Reranker => {
                let negatives = Arc::clone(&self.setup.negatives);
                let loader = self.loader(|sampler, examples, steps, slots, config| {
                    Loader::rerank(sampler, negatives, examples, steps, slots, config)
                });
                self.steps(loader, stop, Self::answers)
            }
        }
    }

    fn loader<L>(
        &self,
        new: impl FnOnce(
            Arc<Sampler>,
            Arc<Examples>,
            std::ops::Range<u64>,
            std::ops::Range<usize>,
            &crate::data::LoaderConfig,
        ) -> L,
    ) -> L {
        let (rank, world) = (self.collective.rank(), self.collective.world());
        let batch = self.recipe.schedule.batch_size;
        let each = self.recipe.schedule.accumulate as u64;
        new(
            Arc::clone(&self.setup.sampler),
            Arc::clone(&self.setup.examples),
            self.state.step * each..self.setup.steps * each,
            rank * batch / world..(rank + 1) * batch / world,
            &self.recipe.compute.loader,
        )
    }

    /// All steps that are left. `part` adds the gradient of one batch.
    fn steps<E: Send + 'static>(
        &mut self,
        mut loader: Loader<E>,
        stop: &dyn Fn() -> bool,
        part: impl Fn(&mut Self, &Batch<E>, &mut Gradients) -> Result<Outcome, TrainError>,
    ) -> Result<Ending, TrainError> {
        let mut gradients = Gradients::zeros(&self.setup.parameters);
        let each = self.recipe.schedule.accumulate;
        let mut began = Instant::now();
        while self.state.step < self.setup.steps {
            gradients.clear();
            let mut record = StepRecord::default();
            for part_of_step in 0..each as u64 {
                let nth = self.state.step * each as u64 + part_of_step;
                self.step.dropout = mix(mix(self.recipe.seed, nth), self.collective.rank() as u64);
                let batch = loader.next().expect("a batch for every step")?;
                let outcome = part(self, &batch, &mut gradients)?;
                record.loss += outcome.loss / each as f64;
                record.wait_s += batch.wait_s;
                record.audio_seconds += batch.audio_seconds;
                record.skipped += batch.skipped.len() as u64;
                for skipped in &batch.skipped {
                    let message = format!(
                        "left out {} of {}: {}",
                        skipped.id, skipped.source, skipped.reason
                    );
                    self.dashboard.message(&message);
                }
                record.chunk = outcome.chunk as u64;
                if outcome.chunk < self.step.chunk {
                    self.step.chunk = outcome.chunk;
                    self.state.chunk = Some(outcome.chunk);
                    self.event(RunEvent::OutOfMemory {
                        chunk: outcome.chunk as u64,
                    })?;
                }
            }
            self.update(&mut gradients, &mut record)?;
            self.state.step += 1;
            record.step_s = began.elapsed().as_secs_f64();
            began = Instant::now();
            self.finish(record)?;
            self.after_step()?;
            if self.state.step < self.setup.steps && self.stops(stop)? {
                self.prune()?;
                self.event(RunEvent::Stopped {
                    reason: "asked to".into(),
                })?;
                return Ok(Ending::Stopped(self.state.step));
            }
        }
        self.prune()?;
        let out = self.export()?;
        self.event(RunEvent::Finished)?;
        self.dashboard.finish();
        Ok(Ending::Done(out))
    }

    /// Sums gradients over ranks, clips them and makes the step.
    fn update(
        &mut self,
        gradients: &mut Gradients,
        record: &mut StepRecord,
    ) -> Result<(), TrainError> {
        let each = self.recipe.schedule.accumulate;
        for gradient in gradients.as_mut_slices() {
            self.collective.all_reduce_sum(gradient)?;
            if each > 1 {
                gradient.iter_mut().for_each(|g| *g /= each as f32);
            }
        }
        let norm = clip(
            &mut gradients.as_mut_slices(),
            self.recipe.schedule.max_norm,
        );
        if !norm.is_finite() {
            return Err(TrainError::Diverged {
                value: f64::from(norm),
            });
        }
        // What the last step left has a loss.
        self.prune()?;
        let rate = self.schedule.rate(self.state.step);
        record.gradient_norm = f64::from(norm);
        record.learning_rate = rate;
        let mut parameters = self.setup.parameters.values_mut();
        self.optimizer
            .step(&mut parameters, &gradients.as_slices(), rate as f32);
        // Before anything is saved of them.
        match parameters
            .iter()
            .flat_map(|p| p.iter())
            .find(|v| !v.is_finite())
        {
            Some(value) => Err(TrainError::Diverged {
                value: f64::from(*value),
            }),
            None => Ok(()),
        }
    }

    /// Gathers what ranks have counted, and records the step.
    fn finish(&mut self, mut record: StepRecord) -> Result<(), TrainError> {
        let mut sums = [record.audio_seconds as f32, record.skipped as f32];
        self.collective.all_reduce_sum(&mut sums)?;
        let schedule = &self.recipe.schedule;
        let pairs = (schedule.batch_size * schedule.accumulate) as f64 - f64::from(sums[1]);
        record.step = self.state.step;
        record.epoch = self.state.step as f64 * schedule.accumulate as f64
            / self.setup.sampler.steps_per_epoch().max(1) as f64;
        record.audio_seconds = f64::from(sums[0]);
        record.audio_seconds_per_s = record.audio_seconds / record.step_s.max(1e-9);
        record.pairs_per_s = pairs / record.step_s.max(1e-9);
        self.state.skipped += sums[1] as u64;
        record.skipped = self.state.skipped;
        self.dashboard.step(&record);
        self.write(Record::Step(record))
    }

    /// Validation and checkpoints, where they are due.
    fn after_step(&mut self) -> Result<(), TrainError> {
        let (step, last) = (self.state.step, self.setup.steps);
        for v in 0..self.validations.len() {
            let validation = &self.validations[v];
            if !step.is_multiple_of(validation.every) && step != last {
                continue;
            }
            let (thinker, parameters) = (&self.setup.thinker, &self.setup.parameters);
            let scores = validation.run(thinker, parameters, &self.step, self.collective)?;
            let record = ValidationRecord {
                step,
                name: validation.name.clone(),
                scores,
            };
            self.dashboard.validation(&record);
            self.write(Record::Validation(record))?;
        }
        if step.is_multiple_of(self.recipe.checkpoint.every) || step == last {
            self.save()?;
        }
        Ok(())
    }

    /// Whether any rank was asked to stop: all do, or none.
    fn stops(&mut self, stop: &dyn Fn() -> bool) -> Result<bool, TrainError> {
        let mut asked = [f32::from(u8::from(stop()))];
        self.collective.all_reduce_sum(&mut asked)?;
        if asked[0] > 0.0 {
            self.save()?;
        }
        Ok(asked[0] > 0.0)
    }

    /// Saves the run, once a step.
    fn save(&mut self) -> Result<(), TrainError> {
        if self.collective.rank() > 0 || self.saved == Some(self.state.step) {
            return Ok(());
        }
        checkpoint::save(
            self.run_dir,
            &self.state,
            &self.setup.parameters,
            self.optimizer.moments(),
        )?;
        self.saved = Some(self.state.step);
        Ok(())
    }

    /// Removes checkpoints that are too many, once the newest is known to be good.
    fn prune(&self) -> Result<(), TrainError> {
        if self.collective.rank() > 0 || self.saved != Some(self.state.step) {
            return Ok(());
        }
        checkpoint::prune(self.run_dir, self.recipe.checkpoint.keep)
    }

    fn export(&mut self) -> Result<PathBuf, TrainError> {
        let adapter = self.recipe.model.new.is_none() && self.recipe.model.train.lora.is_some();
        let out = self.run_dir.join(if adapter { "adapter" } else { "model" });
        if self.collective.rank() == 0 {
            let (base, parameters) = (&self.setup.base, &self.setup.parameters);
            match &self.recipe.model.train.lora {
                Some(lora) if adapter => export::adapter(&out, base, lora, parameters)?,
                _ => export::model(&out, base, parameters, self.recipe.model.rerank.as_ref())?,
            }
        }
        self.collective.barrier()?;
        Ok(out)
    }

    fn event(&mut self, event: RunEvent) -> Result<(), TrainError> {
        let record = EventRecord {
            step: self.state.step,
            event,
        };
        self.dashboard.event(&record);
        self.write(Record::Event(record))
    }

    fn write(&mut self, record: Record) -> Result<(), TrainError> {
        if let Some((metrics, events)) = &mut self.log {
            metrics.append(&record)?;
            events.record(&record)?;
        }
        Ok(())
    }

    fn contrastive(
        &mut self,
        batch: &Batch<Example>,
        gradients: &mut Gradients,
    ) -> Result<Outcome, TrainError> {
        let setup = &self.setup;
        let pairs = items::pairs(&batch.examples, &setup.text, setup.thinker.config())?;
        let loss = &self.recipe.loss;
        step::contrastive(
            &setup.thinker,
            &setup.parameters,
            &pairs,
            &loss.hybrid_nce,
            loss.overlap,
            &self.step,
            self.collective,
            gradients,
        )
    }

    fn answers(
        &mut self,
        batch: &Batch<RerankExample>,
        gradients: &mut Gradients,
    ) -> Result<Outcome, TrainError> {
        let setup = &self.setup;
        let questions = items::questions(
            &batch.examples,
            &setup.text,
            setup.thinker.config(),
            self.recipe.loss.caption_weight,
        )?;
        step::answers(
            &setup.thinker,
            &setup.parameters,
            &questions,
            &self.step,
            self.collective,
            gradients,
        )
    }
}

/// Refuses ranks that do not begin alike: by a folder they do not share, or another version of a file.
fn agree(
    run_dir: &Path,
    step: u64,
    parameters: &Parameters,
    collective: &mut dyn Collective,
) -> Result<(), TrainError> {
    if collective.world() == 1 {
        return Ok(());
    }
    let mut hasher = blake3::Hasher::new();
    for parameter in parameters.iter() {
        hasher.update(parameter.name.as_bytes());
        for values in parameter.values.chunks(1 << 16) {
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            hasher.update(&bytes);
        }
    }
    let own = [&step.to_le_bytes()[..], hasher.finalize().as_bytes()].concat();
    let all = collective.all_gather_bytes(&own)?;
    match all.iter().position(|other| *other != all[0]) {
        None => Ok(()),
        Some(rank) => Err(TrainError::Checkpoint {
            path: run_dir.to_owned(),
            reason: format!(
                "rank {rank} does not begin where rank 0 does; all ranks need the same run folder, base and data"
            ),
        }),
    }
}

/// Two thirds of what the system says is free, shared by the ranks on this machine: by all, where the
/// launcher does not tell which.
fn free_memory(world: usize) -> u64 {
    let here = std::env::var("LOCAL_WORLD_SIZE")
        .ok()
        .and_then(|n| n.parse().ok());
    let here = here.unwrap_or(world).clamp(1, world.max(1)) as u64;
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map_or(MEMORY_UNKNOWN, |kib| kib * 1024 / 3 * 2) / here
}
