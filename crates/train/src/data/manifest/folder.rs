//! A folder of sounds: with a table in it, or with a folder for each class.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aurola_audio::is_audio_path;
use serde_json::{Map, Value};

use super::super::DataError;
use super::super::config::{Columns, CommonConfig, FolderConfig};
use super::super::error::Place;
use super::super::row::Audio;
use super::build::Builder;
use super::record::Record;
use super::{Manifest, table};

/// Reads a folder.
pub(super) fn read(
    config: &FolderConfig,
    recipe: &Path,
    common: &CommonConfig,
) -> Result<Manifest, DataError> {
    let folder = recipe.join(&config.folder);
    let tables = ["metadata.csv", "metadata.jsonl"].map(|name| folder.join(name));
    if let Some(file) = tables.iter().find(|file| file.is_file()) {
        let columns = config.columns.clone().unwrap_or_else(|| Columns {
            file: Some("file_name".into()),
            captions: ["caption"].into(),
            ..Columns::default()
        });
        let mut builder = Builder::new(common, columns);
        builder.look_in(&[PathBuf::new()], "{id}", &folder)?;
        builder.label(config.labels.as_ref(), recipe)?;
        builder.filter.clone_from(&config.filter);
        return table::read(file, builder);
    }
    if config.columns.is_some() || !config.filter.is_empty() {
        let reason = "has no metadata.csv or metadata.jsonl for `columns` or `filter` to be about";
        return Err(DataError::file(&folder, reason));
    }
    let columns = Columns {
        file: Some("file_name".into()),
        label: Some("label".into()),
        ..Columns::default()
    };
    let mut builder = Builder::new(common, columns);
    builder.label(config.labels.as_ref(), recipe)?;
    for class in sorted(&folder)? {
        if is_sound(&class) {
            let reason = format!("{} is of no class: it lies in no folder", class.display());
            return Err(DataError::file(&folder, reason));
        }
        if class.is_dir() {
            sounds(&class, &class, &folder, &mut builder)?;
        }
    }
    builder.finish()
}

/// Takes in what is below `folder`, part of the class `class`.
fn sounds(
    folder: &Path,
    class: &Path,
    root: &Path,
    builder: &mut Builder<'_>,
) -> Result<(), DataError> {
    for path in sorted(folder)? {
        if path.is_dir() {
            sounds(&path, class, root, builder)?;
        } else if is_sound(&path) {
            let name = |path: &Path| {
                let below = path.strip_prefix(root).unwrap_or(path);
                let name = below.to_str().map(|name| name.replace('\\', "/"));
                name.ok_or_else(|| DataError::file(path, "its name is not Unicode"))
            };
            let fields = [("file_name", name(&path)?), ("label", name(class)?)];
            let fields = fields.map(|(key, text)| (key.to_owned(), Value::String(text)));
            let shared: Arc<Path> = path.as_path().into();
            builder.add(Record {
                place: Place::whole(&shared),
                number: builder.records(),
                fields: Map::from_iter(fields),
                audio: Some(Audio::File(path)),
            })?;
        }
    }
    Ok(())
}

fn is_sound(path: &Path) -> bool {
    is_audio_path(path) && path.is_file()
}

/// What is in a folder, by name. Names that begin with a dot are caches and the shadow files that some
/// systems leave beside each sound.
fn sorted(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let failed = |error| DataError::file(folder, error);
    let mut inside = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            inside.push(entry.path());
        }
    }
    inside.sort_unstable();
    Ok(inside)
}
