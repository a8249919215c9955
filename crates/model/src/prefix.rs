//! The beginning that all prompts of a kind have in common, read once for all of them.
//!
//! An embedding prompt begins with words of its own before the caption or the sound comes. Their keys and
//! values are the same every time, so they are kept. A state behind them is the same bits as if they were
//! read again.

use std::sync::OnceLock;

use aurola_compute::attention::Mask;

use crate::ModelError;
use crate::language_model::KvCache;
use crate::rerank::ending;
use crate::text::{Prompt, PromptInput, TextSide};
use crate::thinker::{Filled, Thinker};

/// Beginnings of the prompts of one model.
#[derive(Debug, Default)]
pub(crate) struct Prefixes {
    text: OnceLock<Option<Prefix>>,
    audio: OnceLock<Option<Prefix>>,
}

#[derive(Debug)]
struct Prefix {
    ids: Vec<u32>,
    cache: KvCache,
}

impl Prefixes {
    /// [`Thinker::states`] of embedding prompts, in order.
    pub(crate) fn states(
        &self,
        thinker: &Thinker,
        text: &TextSide,
        prompts: &[Filled<'_>],
        mask: Mask,
    ) -> Result<Vec<Vec<f32>>, ModelError> {
        if mask != Mask::Causal {
            return thinker.states(prompts, mask, None);
        }
        let mut states = vec![Vec::new(); prompts.len()];
        for with_sound in [false, true] {
            let of_kind = |p: &&usize| prompts[**p].prompt.audio_at.is_some() == with_sound;
            let all: Vec<usize> = (0..prompts.len()).collect();
            let kind: Vec<usize> = all.iter().filter(of_kind).copied().collect();
            if kind.is_empty() {
                continue;
            }
            let prefix = self.get(thinker, text, with_sound)?;
            let fits = |at: &usize| prefix.is_some_and(|p| p.begins(prompts[*at].prompt));
            let (behind, whole): (Vec<usize>, Vec<usize>) = kind.into_iter().partition(fits);
            if let Some(prefix) = prefix {
                let endings: Vec<Prompt> = behind
                    .iter()
                    .map(|at| ending(prompts[*at].prompt, prefix.ids.len()))
                    .collect();
                let filled: Vec<Filled<'_>> = endings
                    .iter()
                    .zip(&behind)
                    .map(|(prompt, at)| Filled {
                        prompt,
                        ..prompts[*at]
                    })
                    .collect();
                let found = thinker.states(&filled, mask, Some(&prefix.cache))?;
                behind
                    .iter()
                    .zip(found)
                    .for_each(|(at, state)| states[*at] = state);
            }
            let rest: Vec<Filled<'_>> = whole.iter().map(|at| prompts[*at]).collect();
            let found = thinker.states(&rest, mask, None)?;
            whole
                .iter()
                .zip(found)
                .for_each(|(at, state)| states[*at] = state);
        }
        Ok(states)
    }

    /// The beginning of prompts with or without sound, read at its first use.
    fn get(
        &self,
        thinker: &Thinker,
        text: &TextSide,
        with_sound: bool,
    ) -> Result<Option<&Prefix>, ModelError> {
        let place = if with_sound { &self.audio } else { &self.text };
        if place.get().is_none() {
            let prefix = Prefix::read(thinker, text, with_sound)?;
            // Another thread may have been first: what it read is the same.
            let _ = place.set(prefix);
        }
        Ok(place.get().and_then(Option::as_ref))
    }
}

impl Prefix {
    /// Reads what two prompts that differ in all that may differ have in common; `None` where that is nothing.
    fn read(
        thinker: &Thinker,
        text: &TextSide,
        with_sound: bool,
    ) -> Result<Option<Self>, ModelError> {
        let probes = if with_sound {
            [PromptInput::Audio(1), PromptInput::Audio(2)]
        } else {
            [PromptInput::Text("rain"), PromptInput::Text("7 bells")]
        };
        // A checkpoint may have prompts of one kind alone.
        let [Ok(a), Ok(b)] = probes.map(|probe| text.embedding_prompt(probe)) else {
            return Ok(None);
        };
        let same = a.ids.iter().zip(&b.ids).take_while(|(a, b)| a == b).count();
        let end = a.audio_at.as_ref().map_or(same, |at| at.start.min(same));
        let end = end.min(a.pooled).min(b.pooled);
        if end == 0 {
            return Ok(None);
        }
        let prompt = Prompt {
            ids: a.ids[..end].to_vec(),
            audio_at: None,
            pooled: end - 1,
        };
        let mut cache = thinker.language_model().cache();
        let filled = Filled {
            prompt: &prompt,
            sound: &[],
        };
        thinker.read(&filled, &mut cache)?;
        Ok(Some(Self {
            ids: prompt.ids,
            cache,
        }))
    }

    /// Whether `prompt` begins with it, before its sound and before the position that is wanted.
    fn begins(&self, prompt: &Prompt) -> bool {
        let end = self.ids.len();
        prompt.pooled >= end
            && prompt.ids.starts_with(&self.ids)
            && prompt.audio_at.as_ref().is_none_or(|at| at.start >= end)
    }
}
