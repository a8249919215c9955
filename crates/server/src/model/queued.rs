//! The queue, as the engine's idea of a model: what an index embeds waits in the same line as what
//! requests ask for.
//!
//! Indexing goes in a line of its own that is served when the other one is empty, a window at a
//! time, so a search waits for one window at most.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

use aurola::Embedder;
use aurola_audio::{LogMel, MelConfig};
use aurola_model::{Input, ModelError, YesNo};
use aurola_retrieval::Embedding;

use super::queue::{Lane, Prepared, Queue};
use super::served::Served;
use crate::fault::{Fault, Kind};

thread_local! {
    /// Which line this thread's inputs go in.
    static LANE: Cell<Lane> = const { Cell::new(Lane::Now) };
    /// Texts whose vectors are at hand: those of the search this thread is about to do.
    static AT_HAND: RefCell<HashMap<String, Embedding>> = RefCell::default();
    /// Why the queue refused, since the engine's errors have no word for it.
    static REFUSED: RefCell<Option<Fault>> = const { RefCell::new(None) };
}

/// A model behind the queue.
pub(crate) struct Queued {
    queue: Queue,
    model: Arc<dyn Served>,
}

impl Queued {
    pub(crate) fn new(queue: Queue, model: Arc<dyn Served>) -> Self {
        Self { queue, model }
    }

    fn prepared(&self, input: &Input<'_>) -> Result<(Prepared, usize), ModelError> {
        Ok(match *input {
            Input::Text(text) => (Prepared::Text(text.into()), self.model.text_tokens(text)?),
            Input::Audio(mel) => {
                let tokens = self.model.audio_tokens(mel);
                (Prepared::Sound(Arc::new(mel.clone())), tokens)
            }
            Input::AudioText(mel, text) => {
                let tokens = self.model.audio_tokens(mel) + self.model.text_tokens(text)?;
                (Prepared::Both(Arc::new(mel.clone()), text.into()), tokens)
            }
        })
    }
}

/// Runs work whose inputs give way to everybody else's.
pub(crate) fn giving_way<T>(work: impl FnOnce() -> T) -> T {
    LANE.set(Lane::Later);
    let done = work();
    LANE.set(Lane::Now);
    done
}

/// Runs a search whose texts were embedded already.
pub(crate) fn with_texts<T>(texts: HashMap<String, Embedding>, search: impl FnOnce() -> T) -> T {
    AT_HAND.replace(texts);
    let done = search();
    AT_HAND.take();
    done
}

/// Why the last work on this thread was refused by the queue, if it was.
pub(crate) fn refusal() -> Option<Fault> {
    REFUSED.take()
}

fn refused(fault: Fault) -> ModelError {
    let words = fault.message().to_owned();
    if matches!(
        fault.kind(),
        Kind::Overloaded | Kind::Unavailable | Kind::Internal
    ) {
        REFUSED.replace(Some(fault));
    }
    ModelError::Input(words)
}

impl Embedder for Queued {
    fn fingerprint(&self) -> &str {
        self.model.fingerprint()
    }

    fn dim(&self) -> usize {
        self.model.dim()
    }

    fn mel_config(&self) -> &MelConfig {
        self.model.mel_config()
    }

    fn audio_tokens(&self, mel: &LogMel) -> usize {
        self.model.audio_tokens(mel)
    }

    fn embed(&self, inputs: &[Input<'_>]) -> Result<Vec<Embedding>, ModelError> {
        let at_hand = AT_HAND.with_borrow(|texts| -> Option<Vec<Embedding>> {
            (inputs.iter())
                .map(|input| match input {
                    Input::Text(text) => texts.get(*text).cloned(),
                    _ => None,
                })
                .collect()
        });
        if let Some(embeddings) = at_hand {
            return Ok(embeddings);
        }
        let prepared: Vec<(Prepared, usize)> = inputs
            .iter()
            .map(|input| self.prepared(input))
            .collect::<Result<_, _>>()?;
        let pending = self.queue.embed_in(LANE.get(), prepared).map_err(refused)?;
        (pending.into_iter())
            .map(|pending| pending.wait().map(|done| done.value).map_err(refused))
            .collect()
    }

    fn rerank(
        &self,
        query: &Input<'_>,
        candidates: &[Input<'_>],
    ) -> Result<Vec<YesNo>, ModelError> {
        let (query, tokens) = self.prepared(query)?;
        let candidates: Vec<(Prepared, usize)> = candidates
            .iter()
            .map(|input| self.prepared(input))
            .collect::<Result<_, _>>()?;
        let pending = self
            .queue
            .judge(&query, tokens, candidates)
            .map_err(refused)?;
        let mut verdicts = Vec::new();
        for pending in pending {
            verdicts.extend(pending.wait().map_err(refused)?.value);
        }
        Ok(verdicts)
    }
}
