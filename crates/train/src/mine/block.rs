//! The nearest among some rows, while a re-ranker is trained: by the model that will make the lists it
//! re-ranks.
//!
//! ```text
//! rows, each once ─► sounds ──► MODEL ─┐
//!              └───► captions ► MODEL ─┴► cosines ─► the nearest others that can be told apart
//! ```
//!
//! [`super::mine`] does it for a whole data set at once, by a stricter rule, into a file; here nothing is
//! written, and what is made anew each time, as scenes are, can be looked through too.

use std::path::Path;
use std::sync::Arc;

use aurola_audio::{LogMel, MelFilters};
use aurola_compute::Precision;
use aurola_compute::gemm::{View, product};
use aurola_model::{Input, Model, ModelError};
use rayon::prelude::*;

use super::as_it_is;
use crate::TrainError;
use crate::data::{DataConfig, DataError, Draw, Examples, FindNearest, Manifest, Marks, Nearest};

/// Inputs that go through the model together.
const BATCH: usize = 64;

/// Looks among rows with a model.
pub(crate) struct InBlock {
    model: Model,
    manifests: Arc<[Manifest]>,
    examples: Examples,
}

impl InBlock {
    /// For the rows of `data`, which has been read as `manifests`; sounds are heard as they are, from their
    /// start.
    ///
    /// # Errors
    ///
    /// [`TrainError`] for settings that cannot be used.
    pub(crate) fn new(
        model: Model,
        data: &DataConfig,
        manifests: Arc<[Manifest]>,
        folder: &Path,
    ) -> Result<Self, TrainError> {
        let filters = MelFilters::new(model.mel_config()).map_err(|error| TrainError::Scope {
            reason: error.to_string(),
        })?;
        let examples = Examples::new(&as_it_is(data), Arc::clone(&manifests), filters, folder)?;
        Ok(Self {
            model,
            manifests,
            examples,
        })
    }

    /// `[inputs, dim]`, of length 1.
    fn embed(&self, inputs: &[Input<'_>]) -> Result<Vec<f32>, ModelError> {
        let mut values = Vec::with_capacity(inputs.len() * self.model.dim());
        for some in inputs.chunks(BATCH) {
            for vector in self.model.embed(some)? {
                values.extend_from_slice(vector.as_slice());
            }
        }
        Ok(values)
    }
}

impl FindNearest for InBlock {
    fn nearest(&self, rows: &[Draw], among: usize) -> Result<Vec<Nearest>, DataError> {
        let heard = |draw: &Draw| match self.examples.realise(draw) {
            Ok(example) => Ok((example.mel, example.text)),
            Err(DataError::Unreadable { .. }) => Ok((None, String::new())),
            Err(error) => Err(error),
        };
        let made: Vec<(Option<LogMel>, String)> =
            rows.par_iter().map(heard).collect::<Result<_, _>>()?;
        // What cannot be decoded is nobody's candidate; whether it ends the run is settled where it is
        // trained on.
        let there: Vec<usize> = (0..rows.len()).filter(|i| made[*i].0.is_some()).collect();
        let sounds = there.iter().filter_map(|i| made[*i].0.as_ref());
        let sounds: Vec<Input<'_>> = sounds.map(Input::Audio).collect();
        let texts: Vec<Input<'_>> = there.iter().map(|i| Input::Text(&made[*i].1)).collect();
        let refuse = |error: ModelError| DataError::Setting {
            setting: "negatives.nearest".into(),
            reason: error.to_string(),
        };
        let sounds = self.embed(&sounds).map_err(refuse)?;
        let texts = self.embed(&texts).map_err(refuse)?;
        let n = there.len();
        let dim = self.model.dim();
        // `[n, n]`: each sound by each caption.
        let (sounds, texts) = (View::new(&sounds, n, dim), View::new(&texts, n, dim));
        let cosines = product(sounds, texts.turned(), Precision::F32);
        let marks: Vec<Marks> = there
            .iter()
            .map(|i| Marks::of(&self.manifests[rows[*i].source], rows[*i].row))
            .collect();
        let nearest = |own: usize, cosine: &dyn Fn(usize) -> f32| -> Vec<usize> {
            let mut others: Vec<usize> = (0..n)
                .filter(|other| *other != own && marks[own].differ(&marks[*other]))
                .collect();
            // Equals in the order drawn.
            others.sort_by(|a, b| cosine(*b).total_cmp(&cosine(*a)).then(a.cmp(b)));
            others.truncate(among);
            others.iter().map(|i| rows[there[*i]].row).collect()
        };
        let found: Vec<Nearest> = (0..n)
            .into_par_iter()
            .map(|own| Nearest {
                texts: nearest(own, &|other| cosines[own * n + other]),
                sounds: nearest(own, &|other| cosines[other * n + own]),
            })
            .collect();
        let mut all = vec![Nearest::default(); rows.len()];
        for (at, nearest) in there.into_iter().zip(found) {
            all[at] = nearest;
        }
        Ok(all)
    }
}
