//! A recipe: everything a run depends on, in one TOML file.
//!
//! ```text
//! recipe.toml ─► RECIPE: model · data · loss · optimizer · compute · validation ─► run
//! ```
//!
//! Every key has a default or is required, a misspelt key is an error that names it, and paths start at the
//! recipe's folder. A run saves its recipe, resolved, beside what it makes.

use std::path::{Path, PathBuf};

use aurola_model::text::RerankPrompts;
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::data::{DataConfig, LoaderConfig, NegativesConfig};
use crate::fresh::FreshConfig;
use crate::loss::{HybridNceConfig, OverlapRule};
use crate::optimizer::AdamWConfig;
use crate::step::Products;
use crate::thinker::Scope;

/// A whole recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What reports call the run.
    pub name: String,
    /// What is learnt.
    #[serde(default)]
    pub stage: Stage,
    /// The folder that paths start from; default that of the recipe. A saved recipe names it.
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// Everything random comes from it; default 0.
    #[serde(default)]
    pub seed: u64,
    /// What is trained.
    pub model: ModelConfig,
    /// On what.
    pub data: DataConfig,
    /// The contrastive stages' loss.
    #[serde(default)]
    pub loss: LossConfig,
    /// Where the re-ranker stage's wrong candidates come from.
    #[serde(default)]
    pub negatives: NegativesConfig,
    /// How long, and how fast.
    pub schedule: ScheduleConfig,
    /// AdamW's constants.
    #[serde(default)]
    pub optimizer: AdamWConfig,
    /// How it is computed.
    #[serde(default)]
    pub compute: ComputeConfig,
    /// When the run is saved.
    #[serde(default)]
    pub checkpoint: CheckpointConfig,
    /// What it is tried on along the way; default nothing.
    #[serde(default)]
    pub validation: Vec<ValidationConfig>,
}

/// What is learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Sounds and captions, or pairs of sentences, close to each other: the text and the audio stage.
    #[default]
    Contrastive,
    /// Whether a sound and a caption go together, Yes or No.
    Reranker,
}

/// What is trained.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// The checkpoint to begin with. Either this or `new` is given.
    pub base: Option<PathBuf>,
    /// An adapter of that base whose low-rank changes are trained on; its ranks, scales and layers are those
    /// of `train.lora`.
    pub adapter: Option<PathBuf>,
    /// The shape of a model to begin from nothing.
    pub new: Option<FreshConfig>,
    /// A model the tokenizer of a new one is taken from; default it is learnt from the captions.
    pub tokenizer: Option<PathBuf>,
    /// Which tensors are trained whole, which layers have low-rank changes.
    pub train: Scope,
    /// How the re-ranker is asked, there and ever after: what the run leaves says so in its `aurola.json`.
    /// Default as the base says.
    pub rerank: Option<RerankPrompts>,
}

/// The contrastive stages' loss.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossConfig {
    /// Its weights. `shared_tag_weight = 0` and `hardness = 0` make it InfoNCE.
    pub hybrid_nce: HybridNceConfig,
    /// When captions that share tags are no negatives.
    pub overlap: OverlapRule,
    /// How much each token of a right caption counts beside the re-ranker's answer, where the caption comes
    /// after its sound; default 0, as released. To foretell a caption is to listen for what it will name,
    /// which a Yes or No alone teaches a small model slowly.
    pub caption_weight: f32,
}

/// How long, and how fast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleConfig {
    /// The highest rate.
    pub learning_rate: f64,
    /// Share of the steps in which the rate rises; default 0.03, as released.
    #[serde(default = "warmup")]
    pub warmup: f64,
    /// Steps. Either this or `epochs` is given.
    pub steps: Option<u64>,
    /// Times the data is gone through.
    pub epochs: Option<f64>,
    /// Pairs of a step, over all ranks.
    pub batch_size: usize,
    /// Batches whose gradients are averaged in a step; default 1. Each has its own negatives.
    #[serde(default = "one")]
    pub accumulate: usize,
    /// Longest gradient; longer ones are scaled down. Default 1, as the released trainer.
    #[serde(default = "unit")]
    pub max_norm: f32,
}

fn warmup() -> f64 {
    0.03
}

fn one() -> usize {
    1
}

fn unit() -> f32 {
    1.0
}

/// How it is computed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ComputeConfig {
    /// In which type products take their inputs; default `f32`.
    pub products: Products,
    /// Items that go through the model together; default 16. Less is less memory, and the same numbers.
    pub chunk: usize,
    /// Whether layers are computed again on the way back instead of kept; default no.
    pub recompute: bool,
    /// MiB that may be kept for the way back; default two thirds of what the machine has free. Where a
    /// batch needs more, its chunks are computed twice; where a chunk does, chunks are halved.
    pub memory_mib: Option<u64>,
    /// Threads that make examples ahead of the step.
    pub loader: LoaderConfig,
}

impl Default for ComputeConfig {
    fn default() -> Self {
        Self {
            products: Products::default(),
            chunk: 16,
            recompute: false,
            memory_mib: None,
            loader: LoaderConfig::default(),
        }
    }
}

/// When a run is saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Steps from one checkpoint to the next; default 200.
    pub every: u64,
    /// Checkpoints that are kept, the newest ones; default 2. One more is, until the step after the newest
    /// has shown that its loss is finite.
    pub keep: usize,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self {
            every: 200,
            keep: 2,
        }
    }
}

/// What a run is tried on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidationConfig {
    /// What reports call it.
    pub name: String,
    /// Steps from one trial to the next; the last step is always followed by one.
    pub every: u64,
    /// Rows that are taken; default 500. Clips with the same caption all count as its own, so a set of
    /// classes gives the accuracy of choosing among them.
    #[serde(default = "limit")]
    pub limit: usize,
    /// The rows.
    pub data: DataConfig,
}

fn limit() -> usize {
    500
}

impl Recipe {
    /// Reads the recipe at `path`; the folder that its paths start from is that of the file.
    ///
    /// # Errors
    ///
    /// [`TrainError::Recipe`] with line and key for what is misspelt, missing or contradictory.
    pub fn read(path: &Path) -> Result<(Self, PathBuf), TrainError> {
        let text = std::fs::read_to_string(path).map_err(TrainError::io(path))?;
        let refuse = |reason: String| TrainError::Recipe {
            path: path.to_owned(),
            reason,
        };
        let recipe: Self = toml::from_str(&text).map_err(|e| refuse(located(&text, &e)))?;
        recipe.check().map_err(refuse)?;
        // Of a bare file name the parent is empty, which is no path.
        let own = path.parent().filter(|p| !p.as_os_str().is_empty());
        let own = own.unwrap_or(Path::new(".")).to_owned();
        let folder = recipe.folder.as_ref().map_or(own.clone(), |f| own.join(f));
        Ok((recipe, folder))
    }

    fn check(&self) -> Result<(), String> {
        let name = Path::new(&self.name);
        if name.file_name() != Some(name.as_os_str()) {
            return Err(format!(
                "name is {:?}; expected a name that a folder can have",
                self.name
            ));
        }
        let model = &self.model;
        if model.base.is_some() == model.new.is_some() {
            return Err("model: give either `base` or `new`".into());
        }
        if model.tokenizer.is_some() && model.new.is_none() {
            return Err("model.tokenizer goes with `new`; a base has its own".into());
        }
        if model.new.is_some() && model.train != Scope::default() {
            return Err("model.train goes with `base`; a new model is trained whole".into());
        }
        if model.adapter.is_some() && model.train.lora.is_none() {
            return Err(
                "model.adapter goes with `model.train.lora`, which says what of it is trained"
                    .into(),
            );
        }
        if model.train.lora.is_some() && !model.train.tensors.is_empty() {
            return Err(
                "model.train: give either `lora` or `tensors`; an adapter has no place for whole tensors".into(),
            );
        }
        let schedule = &self.schedule;
        if schedule.steps.is_some() == schedule.epochs.is_some() {
            return Err("schedule: give either `steps` or `epochs`".into());
        }
        if schedule.epochs.is_some_and(|e| !(e > 0.0 && e.is_finite())) {
            return Err("schedule.epochs: expected above 0".into());
        }
        let positive = [
            ("schedule.batch_size", schedule.batch_size as u64),
            ("schedule.accumulate", schedule.accumulate as u64),
            ("compute.chunk", self.compute.chunk as u64),
            ("checkpoint.every", self.checkpoint.every),
            ("checkpoint.keep", self.checkpoint.keep as u64),
        ];
        if let Some((name, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Err(format!("{name} is 0; expected 1 or more"));
        }
        for validation in &self.validation {
            if validation.every == 0 || validation.limit < 2 {
                return Err(format!(
                    "validation {}: `every` is at least 1 and `limit` at least 2",
                    validation.name
                ));
            }
        }
        if schedule.max_norm.is_nan() || schedule.max_norm <= 0.0 {
            return Err(format!(
                "schedule.max_norm is {}; expected above 0",
                schedule.max_norm
            ));
        }
        if model.rerank.is_some() && model.train.lora.is_some() {
            return Err(
                "model.rerank goes with a whole model; an adapter's folder has no place for prompts"
                    .into(),
            );
        }
        let weight = self.loss.caption_weight;
        if !(weight.is_finite() && weight >= 0.0) {
            return Err(format!(
                "loss.caption_weight is {weight}; expected 0 or more"
            ));
        }
        self.negatives
            .check()
            .map_err(|e| format!("negatives.{e}"))?;
        self.loss
            .hybrid_nce
            .check()
            .map_err(|e| format!("loss.hybrid_nce: {e}"))
    }

    /// The recipe with every default written out, its paths starting from `folder`.
    ///
    /// # Panics
    ///
    /// Never: every field is a TOML value.
    pub fn resolved(&self, folder: Option<&Path>) -> String {
        let folder = folder.map(|f| std::path::absolute(f).unwrap_or_else(|_| f.to_owned()));
        let recipe = Self {
            folder,
            ..self.clone()
        };
        toml::to_string_pretty(&recipe).expect("a recipe is TOML")
    }

    /// Tells recipes apart that make other numbers. Where folders are, how often a run is saved and tried,
    /// how much memory it takes and how many threads make examples may differ.
    pub fn fingerprint(&self) -> String {
        let mut recipe = Self {
            checkpoint: CheckpointConfig::default(),
            validation: Vec::new(),
            ..self.clone()
        };
        recipe.data.cache_mib = 0;
        recipe.compute.memory_mib = None;
        recipe.compute.recompute = false;
        recipe.compute.loader = LoaderConfig::default();
        blake3::hash(recipe.resolved(None).as_bytes()).to_hex()[..32].to_owned()
    }
}

/// What is wrong with a recipe's text, after the line in which it is.
fn located(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().trim_end().replace('\n', "; ");
    match error.span() {
        Some(span) => {
            let before = &text.as_bytes()[..span.start.min(text.len())];
            let line = before.iter().filter(|b| **b == b'\n').count() + 1;
            format!("line {line}: {message}")
        }
        None => message,
    }
}
