//! The model as the engine needs it: a small trait, so that everything around the model is tested
//! without one.

use aurola_audio::{LogMel, MelConfig};
use aurola_model::{Input, Model, ModelError, YesNo};
use aurola_retrieval::Embedding;

/// Makes vectors of sounds and words, and judges pairs of them.
pub trait Embedder: Sync {
    /// Everything that decides a vector, except the window: vectors of equal fingerprints compare.
    fn fingerprint(&self) -> &str;

    /// Numbers in a vector.
    fn dim(&self) -> usize;

    /// How sounds become spectrograms.
    fn mel_config(&self) -> &MelConfig;

    /// Tokens a clip becomes; what batches are measured by.
    fn audio_tokens(&self, mel: &LogMel) -> usize;

    /// One vector for each input, in order; each as if it were alone.
    ///
    /// # Errors
    ///
    /// [`ModelError`] for an input the model cannot take.
    fn embed(&self, inputs: &[Input<'_>]) -> Result<Vec<Embedding>, ModelError>;

    /// One judgement for each candidate, in order: does it match the query?
    ///
    /// # Errors
    ///
    /// [`ModelError`] for an input the model cannot take.
    fn rerank(&self, query: &Input<'_>, candidates: &[Input<'_>])
    -> Result<Vec<YesNo>, ModelError>;
}

impl Embedder for Model {
    fn fingerprint(&self) -> &str {
        Self::fingerprint(self)
    }

    fn dim(&self) -> usize {
        Self::dim(self)
    }

    fn mel_config(&self) -> &MelConfig {
        Self::mel_config(self)
    }

    fn audio_tokens(&self, mel: &LogMel) -> usize {
        Self::audio_tokens(self, mel)
    }

    fn embed(&self, inputs: &[Input<'_>]) -> Result<Vec<Embedding>, ModelError> {
        Self::embed(self, inputs)
    }

    fn rerank(
        &self,
        query: &Input<'_>,
        candidates: &[Input<'_>],
    ) -> Result<Vec<YesNo>, ModelError> {
        Self::rerank(self, query, candidates)
    }
}
