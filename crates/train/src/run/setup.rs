//! What a run works on, made of its recipe: model, data, and where wrong candidates come from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aurola_audio::{MelConfig, MelFilters};
use aurola_model::config::ThinkerConfig;
use aurola_model::description::Origin;
use aurola_model::front_end::read_mel_config;
use aurola_model::lora::Adapter;
use aurola_model::text::{TextOptions, TextSide};
use aurola_model::weights::{Checkpoint, Weights};
use aurola_model::{LoadOptions, Model};

use crate::TrainError;
use crate::collective::Collective;
use crate::data::{Examples, FindNearest, Negatives, Sampler};
use crate::fresh;
use crate::mine::InBlock;
use crate::recipe::{Recipe, Stage};
use crate::thinker::{Parameters, Scope, Source, Thinker};

/// Draws whose captions a new model's tokenizer is learnt from.
const TOKENIZER_DRAWS: usize = 20_000;

/// What a run works on.
pub(super) struct Setup {
    pub(super) base: PathBuf,
    pub(super) thinker: Thinker,
    pub(super) parameters: Parameters,
    pub(super) text: TextSide,
    pub(super) filters: MelFilters,
    pub(super) sampler: Arc<Sampler>,
    pub(super) examples: Arc<Examples>,
    pub(super) negatives: Arc<Negatives>,
    pub(super) steps: u64,
}

impl Setup {
    pub(super) fn new(
        recipe: &Recipe,
        folder: &Path,
        run_dir: &Path,
        goes_on: bool,
        collective: &mut dyn Collective,
    ) -> Result<Self, TrainError> {
        let manifests = recipe.data.read(folder)?;
        let schedule = &recipe.schedule;
        let sampler = Arc::new(Sampler::new(manifests, schedule.batch_size, recipe.seed)?);
        let base = match (&recipe.model.base, &recipe.model.new) {
            (Some(base), _) => folder.join(base),
            (None, Some(new)) => {
                let base = run_dir.join("base");
                // Without a checkpoint nothing depends on it, and it may be of another recipe.
                if collective.rank() == 0 && !(goes_on && base.exists()) {
                    let tokenizer = recipe.model.tokenizer.as_ref().map(|t| folder.join(t));
                    let mel = MelConfig {
                        feature_size: new.mel_bands,
                        ..MelConfig::default()
                    };
                    let filters = filters(&base, &mel)?;
                    let examples = Examples::new(
                        &recipe.data,
                        Arc::clone(sampler.manifests()),
                        filters,
                        folder,
                    )?;
                    let captions = captions(&sampler, &examples);
                    let beside = run_dir.join(".base.partial");
                    remove_folder(&beside)?;
                    fresh::write_folder(&beside, new, tokenizer.as_deref(), captions)?;
                    remove_folder(&base)?;
                    std::fs::rename(&beside, &base).map_err(TrainError::io(&base))?;
                }
                collective.barrier()?;
                base
            }
            (None, None) => unreachable!("a recipe that was read has one of the two"),
        };
        let config = ThinkerConfig::read(&base)?;
        let mel = read_mel_config(&base, &config.audio)?;
        let filters = filters(&base, &mel)?;
        let options = TextOptions {
            preset: None,
            audio_token_id: config.audio_token_id,
            context: Some(config.text.max_position_embeddings),
        };
        let mut text = TextSide::load(&base, &options)?;
        if let Some(prompts) = &recipe.model.rerank {
            if text.description().origin == Origin::SentenceTransformers {
                return Err(TrainError::Recipe {
                    path: base,
                    reason: "model.rerank: the base is described by modules.json, which an aurola.json beside it would hide; leave it out".into(),
                });
            }
            text.set_rerank_prompts(prompts.clone(), "model.rerank")?;
        }
        let (thinker, parameters) = if recipe.model.new.is_some() {
            Thinker::new(&config, &Source::Random(recipe.seed), &Scope::everything())?
        } else {
            let stored = Checkpoint::open(&base)?;
            let weights = Weights::thinker(&stored, None)?;
            let adapter = match &recipe.model.adapter {
                Some(dir) => Some(Adapter::open(&folder.join(dir))?),
                None => None,
            };
            let source = match &adapter {
                Some(adapter) => Source::Adapted { weights, adapter },
                None => Source::Checkpoint(weights),
            };
            Thinker::new(&config, &source, &recipe.model.train)?
        };
        let examples = Arc::new(Examples::new(
            &recipe.data,
            Arc::clone(sampler.manifests()),
            filters.clone(),
            folder,
        )?);
        let finder: Option<Box<dyn FindNearest>> = match &recipe.negatives.nearest {
            Some(_) if recipe.stage == Stage::Reranker => {
                let model = Model::load(&base, &LoadOptions::default())?;
                let manifests = Arc::clone(sampler.manifests());
                Some(Box::new(InBlock::new(
                    model,
                    &recipe.data,
                    manifests,
                    folder,
                )?))
            }
            _ => None,
        };
        let negatives = Arc::new(Negatives::new(recipe.negatives.clone(), finder));
        let per_epoch = sampler.steps_per_epoch() as f64 / schedule.accumulate as f64;
        let steps = schedule
            .steps
            .unwrap_or_else(|| (schedule.epochs.unwrap_or(1.0) * per_epoch).ceil().max(1.0) as u64);
        Ok(Self {
            base,
            thinker,
            parameters,
            text,
            filters,
            sampler,
            examples,
            negatives,
            steps,
        })
    }
}

fn remove_folder(dir: &Path) -> Result<(), TrainError> {
    if dir.exists() {
        std::fs::remove_dir_all(dir).map_err(TrainError::io(dir))?;
    }
    Ok(())
}

fn filters(base: &Path, mel: &MelConfig) -> Result<MelFilters, TrainError> {
    MelFilters::new(mel).map_err(|e| TrainError::Recipe {
        path: base.to_owned(),
        reason: e.to_string(),
    })
}

/// Captions as the first draws tell them.
fn captions<'c>(
    sampler: &'c Sampler,
    examples: &'c Examples,
) -> impl Iterator<Item = String> + Send + use<'c> {
    let batch = sampler.batch_size();
    (0..TOKENIZER_DRAWS.div_ceil(batch) as u64)
        .flat_map(|step| sampler.batch(step))
        .map(|draw| examples.told(&draw))
}
