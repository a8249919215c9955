//! The Thinker: prompts of ids with sound between them, to states of the language model.

use aurola_audio::LogMel;
use aurola_compute::attention::Mask;

use crate::ModelError;
use crate::audio_tower::AudioTower;
use crate::config::ThinkerConfig;
use crate::language_model::{Batch, KvCache, LanguageModel, Watch};
use crate::lora::Adapter;
use crate::plan::Plan;
use crate::text::Prompt;
use crate::weights::{Checkpoint, Weights};

/// Rows that go through the language model together. More would not be faster on a CPU, and inner
/// states grow with it.
const ROWS_AT_ONCE: usize = 2048;

/// Both towers of a checkpoint, loaded.
#[derive(Debug)]
pub struct Thinker {
    config: ThinkerConfig,
    audio_tower: AudioTower,
    language_model: LanguageModel,
}

/// A prompt and the sound that fills its placeholders.
#[derive(Debug, Clone, Copy)]
pub struct Filled<'a> {
    /// Ids, with one placeholder per token of sound.
    pub prompt: &'a Prompt,
    /// The audio tower's output for them, `[tokens, hidden]`; empty where there is no sound.
    pub sound: &'a [f32],
}

impl Thinker {
    /// Loads the checkpoint's weights for the model that `config` describes.
    ///
    /// # Errors
    ///
    /// [`ModelError::Weights`] where configuration, weights and adapter contradict each other.
    pub(crate) fn load(
        config: ThinkerConfig,
        checkpoint: &Checkpoint,
        adapter: Option<&Adapter>,
        plan: Plan,
    ) -> Result<Self, ModelError> {
        let weights = Weights::thinker(checkpoint, adapter)?;
        let tied = config.tie_word_embeddings;
        let thinker = Self {
            audio_tower: AudioTower::load(&config.audio, &weights.at("audio_tower"), plan)?,
            language_model: LanguageModel::load(&config.text, tied, &weights, plan)?,
            config,
        };
        weights.refuse_unused(&["audio_tower.layers.", "model.layers."])?;
        if let Some(adapter) = adapter {
            adapter.refuse_unused()?;
        }
        Ok(thinker)
    }

    /// The configuration it was loaded with.
    pub fn config(&self) -> &ThinkerConfig {
        &self.config
    }

    /// The audio tower.
    pub fn audio_tower(&self) -> &AudioTower {
        &self.audio_tower
    }

    /// The language model.
    pub fn language_model(&self) -> &LanguageModel {
        &self.language_model
    }

    /// The tower's output for `mel`: `[tokens, hidden]`.
    ///
    /// # Errors
    ///
    /// As [`AudioTower::encode`].
    pub fn encode(&self, mel: &LogMel) -> Result<Vec<f32>, ModelError> {
        Ok(self
            .audio_tower
            .encode(&[mel])?
            .pop()
            .expect("one clip in, one out"))
    }

    /// The final state at each prompt's pooled position. `past` stands before every prompt.
    ///
    /// Prompts are computed several at a time, without padding; a state does not depend on the
    /// other prompts, bit for bit.
    ///
    /// # Errors
    ///
    /// [`ModelError::Input`] for a prompt longer than the model's context or an id without a row.
    pub fn states(
        &self,
        prompts: &[Filled<'_>],
        mask: Mask,
        past: Option<&KvCache>,
    ) -> Result<Vec<Vec<f32>>, ModelError> {
        let mut states = Vec::with_capacity(prompts.len());
        let mut rest = prompts;
        while !rest.is_empty() {
            let (group, after) = rest.split_at(how_many_fit(rest));
            rest = after;
            let lengths: Vec<usize> = group.iter().map(|p| p.prompt.pooled + 1).collect();
            let mut embeddings = Vec::new();
            let mut keep = Vec::with_capacity(group.len());
            for (filled, len) in group.iter().zip(&lengths) {
                self.append_embeddings(filled, *len, &mut embeddings)?;
                keep.push(embeddings.len() / self.language_model.hidden_size() - 1);
            }
            let batch = Batch {
                embeddings,
                lengths: &lengths,
                keep: &keep,
                past,
                mask,
            };
            let out = self.language_model.forward(batch, None, &mut |_, _| ())?;
            states.extend(
                out.chunks_exact(self.language_model.hidden_size())
                    .map(<[f32]>::to_vec),
            );
        }
        Ok(states)
    }

    /// The mean of the final states of each prompt, for descriptions that pool so.
    ///
    /// # Errors
    ///
    /// As [`Thinker::states`].
    pub fn mean_states(
        &self,
        prompts: &[Filled<'_>],
        mask: Mask,
    ) -> Result<Vec<Vec<f32>>, ModelError> {
        let hidden = self.language_model.hidden_size();
        let mut means = Vec::with_capacity(prompts.len());
        for filled in prompts {
            let len = filled.prompt.pooled + 1;
            let embeddings = self.embeddings(filled, len)?;
            let keep: Vec<usize> = (0..len).collect();
            let batch = Batch {
                embeddings,
                lengths: &[len],
                keep: &keep,
                past: None,
                mask,
            };
            let states = self.language_model.forward(batch, None, &mut |_, _| ())?;
            let mut mean = vec![0.0; hidden];
            for state in states.chunks_exact(hidden) {
                mean.iter_mut()
                    .zip(state)
                    .for_each(|(m, s)| *m += s / len as f32);
            }
            means.push(mean);
        }
        Ok(means)
    }

    /// Reads one prompt up to its pooled position, appending to `cache`; the state there.
    ///
    /// # Errors
    ///
    /// As [`Thinker::states`].
    pub fn read(&self, filled: &Filled<'_>, cache: &mut KvCache) -> Result<Vec<f32>, ModelError> {
        let len = filled.prompt.pooled + 1;
        let embeddings = self.embeddings(filled, len)?;
        self.step(embeddings, cache)
    }

    /// Reads one more token after `cache`; the state there.
    ///
    /// # Errors
    ///
    /// As [`Thinker::states`].
    pub fn read_token(&self, id: u32, cache: &mut KvCache) -> Result<Vec<f32>, ModelError> {
        let mut embedding = vec![0.0; self.language_model.hidden_size()];
        self.language_model.embed_token(id, &mut embedding)?;
        self.step(embedding, cache)
    }

    fn step(&self, embeddings: Vec<f32>, cache: &mut KvCache) -> Result<Vec<f32>, ModelError> {
        let rows = embeddings.len() / self.language_model.hidden_size();
        let batch = Batch {
            embeddings,
            lengths: &[rows],
            keep: &[rows - 1],
            past: Some(cache),
            mask: Mask::Causal,
        };
        let mut new = self.language_model.cache();
        let out = self
            .language_model
            .forward(batch, Some(&mut new), &mut |_, _| ())?;
        cache.extend(&new);
        Ok(out)
    }

    /// The states entering each layer and the final ones, at every position of the whole prompt,
    /// for comparison with recorded values: `layers + 1` times `[ids, hidden]`.
    ///
    /// # Errors
    ///
    /// As [`Thinker::states`].
    pub fn trace(&self, filled: &Filled<'_>) -> Result<Vec<Vec<f32>>, ModelError> {
        let len = filled.prompt.ids.len();
        let embeddings = self.embeddings(filled, len)?;
        let keep: Vec<usize> = (0..len).collect();
        let batch = Batch {
            embeddings,
            lengths: &[len],
            keep: &keep,
            past: None,
            mask: Mask::Causal,
        };
        let mut seen = Vec::new();
        let watch: &mut Watch<'_> = &mut |_, x| seen.push(x.to_vec());
        let out = self.language_model.forward(batch, None, watch)?;
        seen.push(out);
        Ok(seen)
    }

    /// Embeddings of the prompt's first `len` ids, sound in the place of its placeholders.
    fn embeddings(&self, filled: &Filled<'_>, len: usize) -> Result<Vec<f32>, ModelError> {
        let mut out = Vec::with_capacity(len * self.language_model.hidden_size());
        self.append_embeddings(filled, len, &mut out)?;
        Ok(out)
    }

    fn append_embeddings(
        &self,
        filled: &Filled<'_>,
        len: usize,
        out: &mut Vec<f32>,
    ) -> Result<(), ModelError> {
        let hidden = self.language_model.hidden_size();
        let sound_at = filled.prompt.audio_at.clone().unwrap_or(0..0);
        assert_eq!(
            sound_at.len() * hidden,
            filled.sound.len(),
            "one placeholder per token of sound"
        );
        for at in 0..len {
            let start = out.len();
            if sound_at.contains(&at) {
                let row = at - sound_at.start;
                out.extend_from_slice(&filled.sound[row * hidden..(row + 1) * hidden]);
            } else {
                out.resize(start + hidden, 0.0);
                self.language_model
                    .embed_token(filled.prompt.ids[at], &mut out[start..])?;
            }
        }
        Ok(())
    }
}

/// How many prompts, from the first, stay within [`ROWS_AT_ONCE`]; at least one.
fn how_many_fit(prompts: &[Filled<'_>]) -> usize {
    let mut rows = 0;
    let over = prompts.iter().position(|p| {
        rows += p.prompt.pooled + 1;
        rows > ROWS_AT_ONCE
    });
    over.unwrap_or(prompts.len()).max(1)
}
