//! Manifests: every form of annotation file, as rows.
//!
//! ```text
//! csv, tsv, json, jsonl, parquet, tar, folder ─► records ─► filter ─► sound, captions ─► ROWS
//! scenes ─────────────────────────────────────────────────────────────────────────────► ROWS
//! ```
//!
//! A row is in the manifest, or filtered out and counted, or skipped by the recipe's leave and listed, or
//! the error that ends the run. Order is the file's; in folders, that of names.

mod archive;
mod build;
mod find;
mod folder;
mod labels;
mod parquet;
mod record;
mod scenes;
mod table;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::DataError;
use super::config::{Columns, CommonConfig, FileConfig, Form, Names, SourceConfig};
use super::error::Place;
use super::row::{Audio, Row};
use build::Builder;

pub use parquet::ParquetColumn;
pub(super) use scenes::Generator;

/// The rows of a source.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The source's name and how it is drawn from.
    pub config: CommonConfig,
    /// The rows, at least one.
    pub rows: Vec<Row>,
    /// Rows left out because their sound is nowhere, by the recipe's leave.
    pub skipped: Vec<SkippedRow>,
    /// Rows that the filter left out.
    pub filtered: usize,
    /// Hard negatives that lead to a row which was left out.
    pub lost_negatives: usize,
    /// What draws the scenes of a source of scenes.
    pub(super) generator: Option<Generator>,
}

/// A row that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedRow {
    /// Where it was written.
    pub place: Place,
    /// Its name.
    pub id: String,
    /// Why.
    pub reason: String,
}

impl Manifest {
    /// Reads a source; `folder` is the recipe's, from which its paths start.
    ///
    /// # Errors
    ///
    /// The first row that cannot be used, by file, line and id; [`DataError::Empty`] where none is left.
    pub fn read(config: &SourceConfig, folder: &Path) -> Result<Self, DataError> {
        let common = &config.common;
        let builder = |columns: &Columns| Builder::new(common, columns.clone());
        let manifest = match &config.form {
            Form::Aurola(file) => {
                let mut builder = known(builder(&released_columns()), file, folder)?;
                builder.is_released = true;
                table::read(&folder.join(&file.file), builder)?
            }
            Form::Audiocaps(file) => {
                let columns = Columns {
                    id: ["youtube_id", "start_time"].into(),
                    captions: ["caption"].into(),
                    ..Columns::default()
                };
                let mut builder = known(builder(&columns), file, folder)?;
                builder.merge = true;
                table::read(&folder.join(&file.file), builder)?
            }
            Form::Clotho(file) => {
                let columns = Columns {
                    id: ["file_name"].into(),
                    captions: Names::Many((1..=5).map(|n| format!("caption_{n}")).collect()),
                    ..Columns::default()
                };
                let builder = known(builder(&columns), file, folder)?;
                table::read(&folder.join(&file.file), builder)?
            }
            Form::Table(table) => {
                let mut builder = builder(&table.columns);
                builder.look_in(&table.audio, &table.audio_name, folder)?;
                builder.label(table.labels.as_ref(), folder)?;
                builder.filter.clone_from(&table.filter);
                builder.merge = table.merge;
                table::read(&folder.join(&table.file), builder)?
            }
            Form::Folder(config) => folder::read(config, folder, common)?,
            Form::Parquet(config) => parquet::read(config, folder, common)?,
            Form::Webdataset(config) => archive::read(config, folder, common)?,
            Form::Nli(config) => table::read_pairs(&folder.join(&config.file), common)?,
            Form::Scenes(config) => scenes::rows(config, common)?,
        };
        if manifest.rows.is_empty() {
            return Err(DataError::Empty {
                name: common.name.clone(),
                filtered: manifest.filtered,
                skipped: manifest.skipped.len(),
            });
        }
        Ok(manifest)
    }

    /// The tags of row `row`.
    pub(super) fn tags(&self, row: usize) -> Cow<'_, [String]> {
        match (&self.rows[row].audio, &self.generator) {
            (Audio::Scene { seed }, Some(generator)) => Cow::Owned(generator.tags(*seed)),
            _ => Cow::Borrowed(&self.rows[row].tags),
        }
    }
}

fn known<'a>(
    mut builder: Builder<'a>,
    file: &FileConfig,
    folder: &Path,
) -> Result<Builder<'a>, DataError> {
    builder.look_in(&file.audio, &file.audio_name, folder)?;
    builder.filter.clone_from(&file.filter);
    Ok(builder)
}

fn released_columns() -> Columns {
    Columns {
        // Whichever a row has, first of these: see `Builder::is_released`.
        id: ["video_id", "image_id", "image", "id"].into(),
        captions: ["caption"].into(),
        long: Some("caption_long".into()),
        short: Some("caption_short".into()),
        tag: Some("caption_tag".into()),
        file: Some("audio_file".into()),
        tags: Some("tag_list".into()),
        hard_audio: Some("stage1_audio_hard_negative".into()),
        hard_text: Some("stage1_text_hard_negative".into()),
        ..Columns::default()
    }
}

/// The files that `paths` stand for: a folder is those in it with this extension, in order of name.
fn files_of(paths: &[PathBuf], extension: &str, folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut files = Vec::new();
    for path in paths {
        let path = folder.join(path);
        if !path.is_dir() {
            files.push(path);
            continue;
        }
        let failed = |error| DataError::file(&path, error);
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(&path).map_err(failed)? {
            let file = entry.map_err(failed)?.path();
            if file.extension().is_some_and(|e| e == extension) {
                inside.push(file);
            }
        }
        if inside.is_empty() {
            return Err(DataError::file(
                &path,
                format!("holds no .{extension} file"),
            ));
        }
        inside.sort_unstable();
        files.extend(inside);
    }
    if files.is_empty() {
        return Err(DataError::setting("files", "none is given"));
    }
    Ok(files)
}
