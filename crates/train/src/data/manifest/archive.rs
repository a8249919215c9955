//! WebDataset archives: uncompressed tar, the files of one sample one after the other and called alike
//! up to the first dot. Only headers and texts are read; a sound is a stretch of the archive.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use aurola_audio::is_audio_path;
use serde_json::{Map, Value};

use super::super::DataError;
use super::super::config::{Columns, CommonConfig, WebdatasetConfig};
use super::super::error::Place;
use super::super::row::Audio;
use super::build::Builder;
use super::record::Record;
use super::{Manifest, files_of};

/// Most bytes of a sample's text; more is no caption.
const MOST_TEXT: u64 = 16 << 20;

/// A sample, as far as it was read.
struct Sample {
    key: String,
    place: Place,
    fields: Map<String, Value>,
    has_json: bool,
    audio: Option<Audio>,
}

/// Reads the archives.
pub(super) fn read(
    config: &WebdatasetConfig,
    folder: &Path,
    common: &CommonConfig,
) -> Result<Manifest, DataError> {
    let mut columns = config.columns.clone().unwrap_or_else(|| Columns {
        captions: ["caption"].into(),
        ..Columns::default()
    });
    if columns.id.as_slice().is_empty() {
        columns.id = [KEY].into();
    }
    let mut builder = Builder::new(common, columns);
    builder.label(config.labels.as_ref(), folder)?;
    builder.filter.clone_from(&config.filter);
    for file in files_of(&config.files, "tar", folder)? {
        let failed = |error: std::io::Error| DataError::file(&file, error);
        let shared: Arc<Path> = file.as_path().into();
        let mut archive = tar::Archive::new(BufReader::new(File::open(&file).map_err(failed)?));
        let mut sample: Option<Sample> = None;
        for entry in archive.entries_with_seek().map_err(failed)? {
            let mut entry = entry.map_err(failed)?;
            if entry.header().entry_type().is_dir() {
                continue;
            }
            let place = Place::record(&shared, builder.records() as u64);
            let path = entry.path().map_err(failed)?;
            let name = path.to_str().map(str::to_owned);
            let name = name.ok_or_else(|| DataError::file(&file, "a name is not Unicode"))?;
            if !entry.header().entry_type().is_file() {
                return Err(DataError::row(&place, format!("`{name}` is no plain file")));
            }
            let key = key(&name);
            if sample.as_ref().is_none_or(|sample| sample.key != key)
                && let Some(whole) = sample.take()
            {
                add(whole, config, &mut builder)?;
            }
            let place = Place::record(&shared, builder.records() as u64);
            let sample = sample.get_or_insert_with(|| Sample {
                key: key.to_owned(),
                place,
                fields: Map::new(),
                has_json: false,
                audio: None,
            });
            sample.take_in(&name, &mut entry, &shared)?;
        }
        if let Some(whole) = sample {
            add(whole, config, &mut builder)?;
        }
    }
    builder.finish()
}

/// The field that a sample's key is read into.
const KEY: &str = "__key__";

/// A name up to the first dot after its folders.
fn key(name: &str) -> &str {
    let base = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = name[base..].find('.').map_or(name.len(), |dot| base + dot);
    &name[..dot]
}

impl Sample {
    fn take_in<R: Read>(
        &mut self,
        name: &str,
        entry: &mut tar::Entry<'_, R>,
        archive: &Arc<Path>,
    ) -> Result<(), DataError> {
        if is_audio_path(Path::new(name)) {
            let audio = Audio::Member {
                archive: Arc::clone(archive),
                offset: entry.raw_file_position(),
                len: entry.size(),
                name: name.to_owned(),
            };
            if self.audio.replace(audio).is_some() {
                let reason = format!("`{}` has two sounds", self.key);
                return Err(DataError::row(&self.place, reason));
            }
            return Ok(());
        }
        let is_json = name.ends_with(".json");
        if !is_json && !name.ends_with(".txt") {
            return Ok(());
        }
        if entry.size() > MOST_TEXT {
            let reason = format!("`{name}` is {} bytes of text", entry.size());
            return Err(DataError::row(&self.place, reason));
        }
        let failed = |reason: String| DataError::row(&self.place, format!("`{name}`: {reason}"));
        let mut text = String::new();
        let read = entry.read_to_string(&mut text);
        read.map_err(|error| failed(error.to_string()))?;
        if is_json {
            let fields: Map<String, Value> =
                serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
            self.fields.extend(fields);
            self.has_json = true;
        } else {
            self.fields.insert("txt".into(), Value::String(text));
        }
        Ok(())
    }
}

fn add(
    mut sample: Sample,
    config: &WebdatasetConfig,
    builder: &mut Builder<'_>,
) -> Result<(), DataError> {
    if config.columns.is_none()
        && !sample.has_json
        && let Some(text) = sample.fields.get("txt").cloned()
    {
        sample.fields.insert("caption".into(), text);
    }
    sample.fields.insert(KEY.into(), Value::String(sample.key));
    builder.add(Record {
        place: sample.place,
        number: builder.records(),
        fields: sample.fields,
        audio: sample.audio,
    })
}
