//! How well a model in training finds one by the other.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use aurola_audio::MelFilters;
use aurola_model::text::{PromptInput, TextSide};

use crate::TrainError;
use crate::collective::Collective;
use crate::data::{AugmentConfig, DataError, Examples, Policy, Sampler};
use crate::recipe::ValidationConfig;
use crate::step::{Item, StepConfig, states};
use crate::thinker::{Parameters, Thinker};

/// Clips and captions that a model is tried on, the same each time.
#[derive(Debug)]
pub struct Validation {
    /// Its name in reports.
    pub name: String,
    /// Steps from one trial to the next.
    pub every: u64,
    audio: Vec<Item>,
    text: Vec<Item>,
    /// Of each clip, its caption among the distinct ones.
    right: Vec<usize>,
    /// Rows that could not be read, by the recipe's leave, and why.
    pub skipped: Vec<String>,
}

impl Validation {
    /// Reads the rows, as they are: nothing is varied, whatever the recipe's data says of that.
    ///
    /// # Errors
    ///
    /// [`TrainError::Data`] for rows that cannot be read, [`TrainError::Model`] for a caption that is too
    /// long.
    pub fn new(
        config: &ValidationConfig,
        folder: &Path,
        seed: u64,
        text: &TextSide,
        filters: &MelFilters,
        thinker: &Thinker,
    ) -> Result<Self, TrainError> {
        let mut data = config.data.clone();
        data.augment = AugmentConfig::default();
        data.crop = crate::data::Crop::Start;
        let manifests = data.read(folder)?;
        let rows: usize = manifests.iter().map(|m| m.rows.len()).sum();
        let sampler = Sampler::new(Arc::clone(&manifests), config.limit.min(rows), seed)?;
        let examples = Examples::new(&data, manifests, filters.clone(), folder)?;
        let mut validation = Self {
            name: config.name.clone(),
            every: config.every,
            audio: Vec::new(),
            text: Vec::new(),
            right: Vec::new(),
            skipped: Vec::new(),
        };
        let mut known = HashMap::new();
        for draw in sampler.batch(0) {
            let example = match examples.realise(&draw) {
                Err(error @ DataError::Unreadable { .. })
                    if examples.unreadable(draw.source) == Policy::Skip =>
                {
                    validation.skipped.push(error.to_string());
                    continue;
                }
                made => made?,
            };
            let audio = match (&example.mel, &example.other_text) {
                (Some(mel), _) => {
                    let tokens = thinker.config().audio.tokens(mel.n_frames());
                    let prompt = text.embedding_prompt(PromptInput::Audio(tokens))?;
                    Item::embedding(prompt, example.mel)
                }
                (None, Some(other)) => {
                    Item::embedding(text.embedding_prompt(PromptInput::Text(other))?, None)
                }
                (None, None) => continue,
            };
            validation.audio.push(audio);
            let at = match known.get(&example.text) {
                Some(at) => *at,
                None => {
                    let prompt = text.embedding_prompt(PromptInput::Text(&example.text))?;
                    validation.text.push(Item::embedding(prompt, None));
                    known.insert(example.text, validation.text.len() - 1);
                    validation.text.len() - 1
                }
            };
            validation.right.push(at);
        }
        Ok(validation)
    }

    /// Recall at 1, 5 and 10 both ways, each in `[0, 1]`: `t2a_r1` is the share of captions of which the
    /// nearest clip is one of theirs, `a2t_r1` that of clips of which the nearest caption is theirs. Ranks
    /// share the work, so that none waits for another's.
    ///
    /// # Errors
    ///
    /// [`TrainError`] where the model cannot take an item, [`TrainError::Diverged`] for an embedding that
    /// is no number, and a rank that is gone.
    pub fn run(
        &self,
        thinker: &Thinker,
        parameters: &Parameters,
        step: &StepConfig,
        collective: &mut dyn Collective,
    ) -> Result<BTreeMap<String, f64>, TrainError> {
        let hidden = thinker.hidden_size();
        let (rank, world) = (collective.rank(), collective.world());
        let mut embed = |items: &[Item]| -> Result<Vec<f32>, TrainError> {
            let own = rank * items.len() / world..(rank + 1) * items.len() / world;
            let own: Vec<&Item> = items[own].iter().collect();
            let mut states = collective
                .all_gather(&states(thinker, parameters, &own, step)?)?
                .concat();
            // Compared with NaN, everything would be right.
            if let Some(value) = states.iter().find(|v| !v.is_finite()) {
                return Err(TrainError::Diverged {
                    value: f64::from(*value),
                });
            }
            for state in states.chunks_exact_mut(hidden) {
                let norm = state.iter().map(|v| v * v).sum::<f32>().sqrt();
                state.iter_mut().for_each(|v| *v /= norm);
            }
            Ok(states)
        };
        let (audio, text) = (embed(&self.audio)?, embed(&self.text)?);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let scores: Vec<Vec<f32>> = audio
            .chunks_exact(hidden)
            .map(|a| text.chunks_exact(hidden).map(|t| dot(a, t)).collect())
            .collect();
        let sounds = scores
            .iter()
            .zip(&self.right)
            .map(|(row, right)| row.iter().filter(|s| **s > row[*right]).count());
        let words = (0..self.text.len()).map(|t| {
            let own = |clip: &usize| self.right[*clip] == t;
            let best = (0..scores.len())
                .filter(own)
                .map(|clip| scores[clip][t])
                .fold(f32::MIN, f32::max);
            (0..scores.len())
                .filter(|clip| !own(clip) && scores[*clip][t] > best)
                .count()
        });
        let mut found = BTreeMap::new();
        for (way, ranks) in [
            ("a2t", sounds.collect::<Vec<_>>()),
            ("t2a", words.collect()),
        ] {
            for k in [1, 5, 10] {
                let hits = ranks.iter().filter(|rank| **rank < k).count();
                found.insert(
                    format!("{way}_r{k}"),
                    hits as f64 / ranks.len().max(1) as f64,
                );
            }
        }
        Ok(found)
    }
}
