//! Hard negatives for the re-ranker's stage: what the stage-2 model itself takes for right.
//!
//! ```text
//! recipe's rows ─► clips ────► MODEL ─► [rows, dim] ─┐
//!             └──► captions ─► MODEL ─► [rows, dim] ─┴► nearest others ─► RULE ─► FILE.json
//! ```
//!
//! For each row, its hard texts are the captions of other rows nearest to its clip, its hard audios the
//! clips of other rows nearest to its captions. A clip is heard from its start, for `max_s` seconds, as it
//! is. A row's captions are all that the recipe ever draws of it, and its similarity to a clip is the mean
//! over them: which of them the re-ranker is shown is drawn each time.
//!
//! The nearest of all are often right, too, only nobody wrote so. [`Rule`] says which are dropped for it,
//! and [`Tally`] how many that were.
//!
//! The search is exact: every row against every other, in memory for two vectors a row and a block of
//! similarities. Nothing depends on the size of batches or the number of threads.

mod block;
mod embed;
mod file;
mod nearest;
mod rule;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aurola_audio::MelFilters;
use aurola_model::Model;

use crate::TrainError;
use crate::data::{AugmentConfig, Crop, DataConfig, Examples, Marks, Place, SkippedExample};

pub(crate) use block::InBlock;
pub use rule::{Kin, Rule, Same, Tally, choose};

/// How to mine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MineConfig {
    /// What becomes a hard negative.
    pub rule: Rule,
    /// Clips, or captions, that go through the model together, at least 1; default 16. Less is less
    /// memory, and the same numbers.
    pub batch: usize,
}

impl Default for MineConfig {
    fn default() -> Self {
        Self {
            rule: Rule::default(),
            batch: 16,
        }
    }
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// With what.
    pub phase: Phase,
    /// Rows, or captions, that are done.
    pub done: usize,
    /// Of how many.
    pub of: usize,
    /// Seconds of sound listened to.
    pub audio_seconds: f64,
}

/// The parts of the work, in order; the first takes nearly all of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Embedding clips.
    Clips,
    /// Embedding captions.
    Captions,
    /// Looking for captions near clips.
    Texts,
    /// Looking for clips near captions.
    Audios,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Mined {
    /// Rows in the file.
    pub rows: usize,
    /// Rows left out, by the recipe's leave: their sound cannot be decoded.
    pub unreadable: Vec<SkippedExample>,
    /// Rows whose plain captions kind `aurola` does not read, since they have long, short and tag captions.
    pub hidden_plain: usize,
    /// Seconds of sound.
    pub audio_seconds: f64,
    /// The mean similarity of a clip to its own captions.
    pub own: f64,
    /// Captions as negatives.
    pub texts: Tally,
    /// Clips as negatives.
    pub audios: Tally,
    /// The folders of sounds, absolute: what a source that reads the file gives as `audio`.
    pub roots: Vec<PathBuf>,
}

/// Mines hard negatives for all rows of `data` with `model` and writes `out`, for a source of kind `aurola`.
///
/// `folder` is the recipe's, from which paths of `data` start. What `data` says of augmentation, crops and
/// cached samples is not used. Hard negatives that a source has already are replaced.
///
/// `watch` sees progress and may end it; then, and whatever the error, `out` is as it was, and the result
/// is `None`.
///
/// # Errors
///
/// - [`TrainError::Setting`] and [`TrainError::Data`] for settings and rows that cannot be used, among them
///   rows without a file of their own (scenes, pairs of texts, members of archives). All but sounds that
///   cannot be decoded are found before any is listened to.
/// - [`TrainError::Model`] for a model without embeddings, [`TrainError::Io`] where `out` cannot be written.
pub fn mine(
    data: &DataConfig,
    folder: &Path,
    model: &Model,
    out: &Path,
    config: &MineConfig,
    watch: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
) -> Result<Option<Mined>, TrainError> {
    config.rule.check()?;
    if config.batch == 0 {
        return Err(TrainError::Setting {
            name: "batch",
            value: 0.0,
            range: "1 or more",
        });
    }
    let data = as_it_is(data);
    let file = file::beside(out)?;
    let manifests = data.read(folder)?;
    let roots = file::roots(&data.sources, folder)?;
    let entries = file::entries(&manifests, &data.sources, folder)?;
    file::rehearse(&entries, &roots)?;
    let told = embed::captions(&manifests, &entries, model)?;
    let filters = MelFilters::new(model.mel_config()).map_err(|error| TrainError::Scope {
        reason: error.to_string(),
    })?;
    let examples = Examples::new(&data, Arc::clone(&manifests), filters, folder)?;

    let mut audio_seconds = 0.0;
    let mut moved = |phase, done, of, seconds: f64| {
        audio_seconds = f64::max(audio_seconds, seconds);
        watch(&Progress {
            phase,
            done,
            of,
            audio_seconds,
        })
    };
    let of = entries.len();
    let heard = embed::clips(&examples, &entries, model, config.batch, &mut |done, s| {
        moved(Phase::Clips, done, of, s)
    })?;
    let Some(heard) = heard else { return Ok(None) };
    let told: Vec<(&Place, &[&str])> = heard
        .entries
        .iter()
        .map(|at| (&entries[*at].told.place, &told[*at][..]))
        .collect();
    let entries: Vec<_> = heard
        .entries
        .iter()
        .map(|at| entries[*at].clone())
        .collect();
    let rows = entries.len();
    if rows == 0 {
        let unreadable = heard.unreadable.len();
        return Err(TrainError::Scope {
            reason: format!("none of the recipe's {unreadable} sounds can be decoded"),
        });
    }
    let captions = embed::means(&told, model, config.batch, &mut |done, of| {
        moved(Phase::Captions, done, of, 0.0)
    })?;
    let Some(captions) = captions else {
        return Ok(None);
    };

    let mut numbers = nearest::Numbers::default();
    let marks: Vec<_> = entries
        .iter()
        .map(|entry| {
            let marks = Marks::of(&manifests[entry.source], entry.row);
            let sound = entry.sound.to_string_lossy();
            numbers.row(&entry.told.id, &sound, &marks.tags, &marks.captions)
        })
        .collect();
    let kin = nearest::Rows {
        captions: &captions,
        clips: &heard.vectors,
        marks: &marks,
        same: config.rule.same,
    };
    let rule = &config.rule;
    let mut near = |phase, queries, candidates| {
        nearest::search(queries, candidates, rule, &kin, &mut |done| {
            moved(phase, done, rows, 0.0)
        })
    };
    let Some(texts) = near(Phase::Texts, &heard.vectors, &captions) else {
        return Ok(None);
    };
    let Some(audios) = near(Phase::Audios, &captions, &heard.vectors) else {
        return Ok(None);
    };
    let negatives = file::Negatives {
        audio: &audios.negatives,
        text: &texts.negatives,
    };
    file::write(file, out, &entries, &negatives, &roots)?;
    let hidden = entries.iter().filter(|entry| file::hides_plain(entry.told));
    Ok(Some(Mined {
        rows,
        hidden_plain: hidden.count(),
        unreadable: heard.unreadable,
        audio_seconds: heard.audio_seconds,
        own: texts.own,
        texts: texts.tally,
        audios: audios.tally,
        roots,
    }))
}

/// The recipe's data without what varies it.
fn as_it_is(data: &DataConfig) -> DataConfig {
    DataConfig {
        crop: Crop::Start,
        cache_mib: 0,
        tag_vocab: None,
        augment: AugmentConfig::default(),
        ..data.clone()
    }
}
