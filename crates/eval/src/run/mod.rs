//! A benchmark and a model, as similarities.
//!
//! ```text
//! sounds ─► engine ─► store ─► windows ─┐
//!           content, fingerprint        ├─► similarity [texts, clips]   a clip counts as its best window
//! texts ──► model ──► JOURNAL ──────────┘
//! ```
//!
//! Whatever took long is kept before the next piece is begun: a run that is killed goes on where it was.

mod journal;
mod judge;
mod parts;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use aurola::{Cancel, Embedder, Engine, EngineError, Event, Library, Listening, Skipped};
use aurola_compute::{Dtype, Matrix, Precision, matmul_nt};
use aurola_model::{Input, ModelError};
use aurola_retrieval::store::{Content, ContentHash, SpaceKey};
use aurola_retrieval::{Embedding, EmbeddingError, Span};

pub use journal::{Journal, Key, key};
pub use judge::{Judge, judge};

use parts::Part;

use crate::benchmark::{Clip, Located, Task, Text};
use crate::error::{EvalError, Place};
use crate::similarity::Similarity;

/// Texts that are embedded, and kept, at once.
const TEXTS_AT_ONCE: usize = 32;

/// What happens on the way.
#[derive(Debug)]
#[non_exhaustive]
pub enum Step<'a> {
    /// Sounds are embedded.
    Sounds(Event<'a>),
    /// So many texts are embedded, of so many.
    Texts(usize, usize),
    /// So many seconds of parts of recordings are heard, of so many.
    Seconds(f64, f64),
    /// So many pairs are judged, of so many.
    Pairs(usize, usize),
}

/// Every text of a task with every clip that could be read.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The clips that were read and the texts about them.
    pub task: Task,
    /// For each clip, its file, what the store calls it, and its windows.
    pub sounds: Vec<Sound>,
    /// Rows texts, columns clips.
    pub similarity: Similarity,
    /// For each text and clip, in the order of the similarity, which of the clip's windows is the best.
    best_windows: Vec<u8>,
    /// Files that were found and could not be read.
    pub skipped: Vec<Skipped>,
    /// What was left out of files that were read, in words.
    pub notes: Vec<String>,
    /// Seconds of sound that were embedded now, and not taken from the store.
    pub seconds_embedded: f64,
}

/// One clip's sound.
#[derive(Debug, Clone)]
pub struct Sound {
    /// Where it is.
    pub file: PathBuf,
    /// Its bytes.
    pub hash: ContentHash,
    /// Its windows, in samples of the file.
    pub windows: Vec<Span>,
}

impl Measured {
    /// The window of `clip` that answers `text` best.
    pub fn best_window(&self, text: usize, clip: usize) -> Span {
        let best = self.best_windows[text * self.sounds.len() + clip];
        self.sounds[clip].windows[usize::from(best)]
    }
}

/// What a run needs beside the task.
pub struct Tools<'a, 'm> {
    /// Embeds sounds into its store.
    pub engine: &'a mut Engine<'m>,
    /// The model of that engine.
    pub model: &'m dyn Embedder,
    /// Under which the engine's store keeps vectors.
    pub space: &'a SpaceKey,
    /// Embeddings of texts, and of parts of recordings, by model and what they are of.
    pub texts: &'a mut Journal,
    /// Ends the run early.
    pub cancel: &'a Cancel,
}

/// Embeds what is not embedded yet. `prompts`: what is embedded for a text; several are averaged. `None` where the run
/// was cancelled; what was done is kept.
///
/// # Errors
///
/// [`EvalError`] where the store, the model or the journal fails, or no sound can be read.
pub fn measure(
    located: Located,
    prompts: &dyn Fn(&Text) -> Vec<String>,
    mut tools: Tools<'_, '_>,
    listening: &Listening,
    on_step: &mut dyn FnMut(Step<'_>),
) -> Result<Option<Measured>, EvalError> {
    let Located { task, files, .. } = located;
    let is_part =
        |(clip, file): (&Clip, &PathBuf)| clip.part.filter(|_| !is_called(file, &clip.id));
    let parts: Vec<Option<(f64, f64)>> = task.clips.iter().zip(&files).map(is_part).collect();
    let whole: Vec<PathBuf> = (files.iter().zip(&parts))
        .filter(|(_, part)| part.is_none())
        .map(|(file, _)| file.clone())
        .collect();
    let mut library = Library::default();
    if !whole.is_empty() {
        library = tools.engine.library(&whole, tools.cancel, &mut |event| {
            on_step(Step::Sounds(event))
        })?;
    }
    if library.interrupted {
        return Ok(None);
    }
    let wanted = parts.iter().enumerate().filter_map(|(clip, part)| {
        let (file, seconds) = (files[clip].clone(), (*part)?);
        Some(Part {
            clip,
            file,
            seconds,
        })
    });
    let Some((mut heard, skipped)) = parts::hear(wanted.collect(), listening, &mut tools, on_step)?
    else {
        return Ok(None);
    };
    let Tools {
        engine,
        model,
        space,
        texts,
        cancel,
    } = tools;
    library.skipped.extend(skipped);
    let contents: HashMap<&Path, Content> = (library.files.iter())
        .flat_map(|file| {
            [
                (file.shown.as_path(), file.content),
                (file.absolute.as_path(), file.content),
            ]
        })
        .collect();
    let content_of = |file: &PathBuf| {
        let absolute = || std::path::absolute(file).ok();
        let found = contents.get(file.as_path());
        found
            .or_else(|| contents.get(absolute()?.as_path()))
            .copied()
    };
    let store = engine.store();
    let space = store.space(space)?;
    let (mut sounds, mut windows, mut keep) = (Vec::new(), Vec::new(), Vec::new());
    for (clip, file) in files.into_iter().enumerate() {
        let content = content_of(&file).filter(|_| parts[clip].is_none());
        let sound = match (heard.remove(&clip), content, &space) {
            (Some(part), _, _) => {
                windows.extend(part.vectors);
                Some((part.hash, part.windows))
            }
            (None, Some(content), Some(space)) => {
                let mut spans = Vec::new();
                for (span, embedding) in store.windows(space, &content)? {
                    spans.push(span);
                    windows.extend_from_slice(embedding.as_slice());
                }
                Some((content.hash, spans))
            }
            _ => None,
        };
        keep.push(sound.is_some());
        sounds.extend(sound.map(|(hash, windows)| Sound {
            file,
            hash,
            windows,
        }));
    }
    let task = task.restricted(&keep);
    if sounds.is_empty() {
        let (what, remedy) = (
            "has no clip whose sound could be read",
            "the list of skipped files says why",
        );
        return Err(EvalError::input(
            &task.annotations,
            Place::Whole,
            what,
            remedy,
        ));
    }
    let dim = model.dim();
    let prompts: Vec<Vec<String>> = task.texts.iter().map(prompts).collect();
    if !embed_texts(&prompts, model, texts, cancel, on_step)? {
        return Ok(None);
    }
    let mut rows = Vec::with_capacity(prompts.len() * dim);
    for several in &prompts {
        rows.extend_from_slice(mean(several, model, texts)?.as_slice());
    }
    let (similarity, best_windows) = products(&rows, &windows, &sounds, dim);
    let notes = library
        .notes
        .iter()
        .map(|noted| format!("{}: {}", noted.path.display(), noted.note));
    Ok(Some(Measured {
        task,
        sounds,
        similarity,
        best_windows,
        notes: notes.collect(),
        seconds_embedded: library.seconds,
        skipped: library.skipped,
    }))
}

/// Each text with each clip: the best window's cosine, and which window it is.
fn products(texts: &[f32], windows: &[f32], sounds: &[Sound], dim: usize) -> (Similarity, Vec<u8>) {
    let (rows, columns) = (texts.len() / dim, windows.len() / dim);
    let windows = Matrix::from_f32(windows, Dtype::F32, columns, dim).expect("whole rows");
    let mut products = vec![0.0; rows * columns];
    matmul_nt(texts, rows, &windows, Precision::F32, &mut products);
    let mut values = Vec::with_capacity(rows * sounds.len());
    let mut best_windows = Vec::with_capacity(values.capacity());
    for mut row in products.chunks(columns) {
        for sound in sounds {
            let (own, rest) = row.split_at(sound.windows.len());
            row = rest;
            // The first of equals.
            let best =
                (own.iter().enumerate()).max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
            let (best, score) = best.expect("a sound in the store has a window");
            // Of a sound of two hours, a later window counts and is not the one that is shown.
            best_windows.push(u8::try_from(best).unwrap_or(u8::MAX));
            values.push(*score);
        }
    }
    let similarity = Similarity::new(rows, sounds.len(), values);
    (
        similarity.expect("products of unit vectors are finite"),
        best_windows,
    )
}

/// Whether a file's name, without its extension, is this.
fn is_called(file: &Path, name: &str) -> bool {
    file.file_stem().is_some_and(|stem| stem == name)
}

fn text_key(model: &dyn Embedder, text: &str) -> Key {
    key(&[b"text", model.fingerprint().as_bytes(), text.as_bytes()])
}

/// Embeds the texts that the journal lacks; `false` where the run was cancelled.
fn embed_texts(
    prompts: &[Vec<String>],
    model: &dyn Embedder,
    journal: &mut Journal,
    cancel: &Cancel,
    on_step: &mut dyn FnMut(Step<'_>),
) -> Result<bool, EvalError> {
    let mut new: Vec<(Key, &str)> = Vec::new();
    let mut seen = HashSet::new();
    for text in prompts.iter().flatten() {
        let key = text_key(model, text);
        if journal.get(&key).is_none() && seen.insert(key) {
            new.push((key, text));
        }
    }
    for (batch, texts) in new.chunks(TEXTS_AT_ONCE).enumerate() {
        if cancel.is_cancelled() {
            return Ok(false);
        }
        on_step(Step::Texts(batch * TEXTS_AT_ONCE, new.len()));
        let inputs: Vec<Input<'_>> = texts.iter().map(|(_, text)| Input::Text(text)).collect();
        let embedded = model.embed(&inputs).map_err(EngineError::from)?;
        let kept = texts
            .iter()
            .zip(embedded)
            .map(|((key, _), e)| (*key, e.as_slice().to_vec()));
        journal.keep(kept.collect())?;
    }
    Ok(true)
}

/// One embedding for several wordings of one text: their mean, of unit length.
fn mean(
    wordings: &[String],
    model: &dyn Embedder,
    journal: &Journal,
) -> Result<Embedding, EvalError> {
    let embedded = wordings
        .iter()
        .filter_map(|text| journal.get(&text_key(model, text)));
    let embedded: Vec<&[f32]> = embedded.collect();
    if let [one] = embedded[..] {
        return Ok(Embedding::from_unit(one.to_vec()).map_err(|error| damaged(&error))?);
    }
    let mut sum = vec![0.0; model.dim()];
    for one in embedded {
        for (sum, value) in sum.iter_mut().zip(one) {
            *sum += value;
        }
    }
    Ok(Embedding::normalize(sum).map_err(|error| damaged(&error))?)
}

fn damaged(error: &EmbeddingError) -> EngineError {
    EngineError::Model(ModelError::Input(format!(
        "the embedding of a text: {error}"
    )))
}
