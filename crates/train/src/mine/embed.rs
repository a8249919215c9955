//! Clips and captions as vectors, a batch at a time; the next clips are decoded meanwhile.

use std::collections::HashMap;
use std::ops::ControlFlow;

use aurola_compute::{Dtype, Matrix};
use aurola_model::text::PromptInput;
use aurola_model::{Input, Model};
use aurola_retrieval::Embedding;
use rayon::prelude::*;

use super::file::Entry;
use crate::TrainError;
use crate::data::{
    CaptionKind, CaptionWeights, Captions, DataError, Draw, Example, Examples, Manifest, Place,
    Policy, Row, SkippedExample,
};

/// Of each entry, the captions that stand for it: all that the recipe ever draws. A row's similarity is
/// the mean over them.
///
/// # Errors
///
/// [`DataError::Setting`] where a row has none; [`DataError::Row`] for a caption that the model cannot
/// take.
pub(super) fn captions<'a>(
    manifests: &'a [Manifest],
    entries: &[Entry<'a>],
    model: &Model,
) -> Result<Vec<Vec<&'a str>>, TrainError> {
    let mut all = Vec::with_capacity(entries.len());
    for entry in entries {
        let config = &manifests[entry.source].config;
        let kinds = drawn(&entry.told.captions, &config.captions).into_iter();
        let told: Vec<&str> = kinds
            .filter_map(|kind| entry.told.captions.get(kind))
            .collect();
        if told.is_empty() {
            return Err(TrainError::from(DataError::Setting {
                setting: format!("source `{}`, captions", config.name),
                reason: format!("no caption of `{}` has any weight", entry.told.id),
            }));
        }
        for caption in &told {
            let prompt = model.text().embedding_prompt(PromptInput::Text(caption));
            prompt.map_err(|error| refused(&entry.told.place, &error))?;
        }
        all.push(told);
    }
    Ok(all)
}

/// The kinds of caption that are there and weigh something, short ones first.
fn drawn(captions: &Captions, weights: &CaptionWeights) -> Vec<CaptionKind> {
    let mut kinds = Vec::new();
    for (kind, weight) in [
        (CaptionKind::Short, weights.short),
        (CaptionKind::Long, weights.long),
        (CaptionKind::Tag, weights.tag),
    ] {
        if weight > 0.0 && captions.get(kind).is_some() {
            kinds.push(kind);
        }
    }
    if weights.plain > 0.0 {
        kinds.extend((0..captions.plain.len()).map(CaptionKind::Plain));
    }
    kinds
}

/// The clips that could be heard.
pub(super) struct Heard {
    /// `[heard, dim]`, of length 1.
    pub(super) vectors: Matrix,
    /// Their places among the entries, ascending.
    pub(super) entries: Vec<usize>,
    /// What could not be, by the recipe's leave.
    pub(super) unreadable: Vec<SkippedExample>,
    /// Seconds of sound.
    pub(super) audio_seconds: f64,
}

/// Embeds the clips of `entries`, `batch` at a time. `moved` sees how many are done and their seconds of
/// sound, and may end it: the result is then `None`.
pub(super) fn clips(
    examples: &Examples,
    entries: &[Entry<'_>],
    model: &Model,
    batch: usize,
    moved: &mut dyn FnMut(usize, f64) -> ControlFlow<()>,
) -> Result<Option<Heard>, TrainError> {
    let decode = |batch: &[Entry<'_>]| -> Vec<Result<Example, DataError>> {
        let batch = batch.par_iter();
        batch.map(|entry| examples.realise(&whole(entry))).collect()
    };
    let mut values = Vec::with_capacity(entries.len() * model.dim());
    let mut heard = Vec::with_capacity(entries.len());
    let mut unreadable = Vec::new();
    let mut audio_seconds = 0.0;
    let batches: Vec<&[Entry<'_>]> = entries.chunks(batch).collect();
    let mut ahead = batches.first().map_or_else(Vec::new, |first| decode(first));
    for (number, batch_of) in batches.iter().enumerate() {
        let mut clips = Vec::new();
        for (at, example) in std::mem::take(&mut ahead).into_iter().enumerate() {
            match example {
                Ok(example) => {
                    audio_seconds += example.audio_seconds;
                    heard.push(number * batch + at);
                    clips.push((example, &batch_of[at].told.place));
                }
                Err(DataError::Unreadable {
                    name, id, reason, ..
                }) if examples.unreadable(batch_of[at].source) == Policy::Skip => {
                    unreadable.push(SkippedExample {
                        source: name,
                        id,
                        reason,
                    });
                }
                Err(error) => return Err(error.into()),
            }
        }
        let inputs: Vec<(Input<'_>, &Place)> = clips
            .iter()
            .filter_map(|(example, place)| Some((Input::Audio(example.mel.as_ref()?), *place)))
            .collect();
        let (embedded, next) = rayon::join(
            || embed(model, &inputs),
            || {
                batches
                    .get(number + 1)
                    .map_or_else(Vec::new, |next| decode(next))
            },
        );
        for vector in embedded? {
            values.extend_from_slice(vector.as_slice());
        }
        ahead = next;
        if moved(number * batch + batch_of.len(), audio_seconds).is_break() {
            return Ok(None);
        }
    }
    Ok(Some(Heard {
        vectors: matrix(values, heard.len(), model.dim()),
        entries: heard,
        unreadable,
        audio_seconds,
    }))
}

/// The clip from its start, as it is.
fn whole(entry: &Entry<'_>) -> Draw {
    Draw {
        source: entry.source,
        row: entry.row,
        epoch: 0,
        // Which caption is told beside it makes no difference to the sound.
        caption: any(entry.told),
        variation: 0,
    }
}

fn any(row: &Row) -> CaptionKind {
    let there = drawn(&row.captions, &CaptionWeights::default());
    *there.first().expect("a row has a caption")
}

/// Of each row the mean of its captions' vectors, `[rows, dim]`, so that a product with a clip is the mean
/// of their cosines. The same words are embedded once. `moved` sees how many words are done of how many.
pub(super) fn means(
    told: &[(&Place, &[&str])],
    model: &Model,
    batch: usize,
    moved: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Option<Matrix>, TrainError> {
    let mut known: HashMap<&str, usize> = HashMap::new();
    let mut texts: Vec<(Input<'_>, &Place)> = Vec::new();
    let mut rows_of: Vec<Vec<usize>> = Vec::new();
    for (row, (place, captions)) in told.iter().enumerate() {
        for caption in *captions {
            let at = *known.entry(*caption).or_insert(texts.len());
            if at == texts.len() {
                texts.push((Input::Text(caption), *place));
                rows_of.push(Vec::new());
            }
            rows_of[at].push(row);
        }
    }
    let dim = model.dim();
    let mut values = vec![0.0_f32; told.len() * dim];
    for (number, of) in texts.chunks(batch).enumerate() {
        for (at, vector) in embed(model, of)?.iter().enumerate() {
            for &row in &rows_of[number * batch + at] {
                let share = told[row].1.len() as f32;
                let mean = &mut values[row * dim..(row + 1) * dim];
                for (sum, v) in mean.iter_mut().zip(vector.as_slice()) {
                    *sum += v / share;
                }
            }
        }
        if moved(number * batch + of.len(), texts.len()).is_break() {
            return Ok(None);
        }
    }
    Ok(Some(matrix(values, told.len(), dim)))
}

/// Embeds inputs; where that fails, the error names the place of the one that it fails for.
fn embed(model: &Model, inputs: &[(Input<'_>, &Place)]) -> Result<Vec<Embedding>, TrainError> {
    let together: Vec<Input<'_>> = inputs.iter().map(|(input, _)| *input).collect();
    model.embed(&together).map_err(|error| {
        let fails = |input: &&(Input<'_>, &Place)| model.embed(&[input.0]).is_err();
        match inputs.iter().find(fails) {
            Some((_, place)) => refused(place, &error),
            None => error.into(),
        }
    })
}

fn refused(place: &Place, error: &aurola_model::ModelError) -> TrainError {
    TrainError::from(DataError::Row {
        place: place.clone(),
        reason: error.to_string(),
    })
}

fn matrix(values: Vec<f32>, rows: usize, dim: usize) -> Matrix {
    let made = Matrix::from_f32(&values, Dtype::F32, rows, dim);
    made.expect("as many numbers as the shape")
}
