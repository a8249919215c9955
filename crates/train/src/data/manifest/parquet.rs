//! Parquet: captions are read at once, sounds cell by cell when they are needed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::schema::types::{ColumnDescriptor, Type};
use serde_json::{Map, Value};

use super::super::DataError;
use super::super::config::{Columns, CommonConfig, Condition, ParquetConfig};
use super::super::error::Place;
use super::super::row::Audio;
use super::build::Builder;
use super::record::Record;
use super::{Manifest, files_of};

/// A column of byte strings in an open Parquet file.
pub struct ParquetColumn {
    path: PathBuf,
    leaf: usize,
    reader: SerializedFileReader<File>,
}

impl std::fmt::Debug for ParquetColumn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetColumn")
            .field("path", &self.path)
            .field("leaf", &self.leaf)
            .finish_non_exhaustive()
    }
}

impl ParquetColumn {
    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes in row `row` of the file, or why there are none. Pages before the row's are passed over
    /// and not decompressed.
    ///
    /// # Errors
    ///
    /// In words: the cell is null, the row is beyond the file, or the file is damaged.
    pub fn read(&self, row: u64) -> Result<ByteArray, String> {
        let mut before = row;
        for group in 0..self.reader.num_row_groups() {
            let failed = |error: parquet::errors::ParquetError| error.to_string();
            let rows = self.reader.metadata().row_group(group).num_rows() as u64;
            if before >= rows {
                before -= rows;
                continue;
            }
            let group = self.reader.get_row_group(group).map_err(failed)?;
            let column = group.get_column_reader(self.leaf).map_err(failed)?;
            let mut column = get_typed_column_reader::<ByteArrayType>(column);
            column.skip_records(before as usize).map_err(failed)?;
            let (mut defined, mut repeated, mut cells) = (Vec::new(), Vec::new(), Vec::new());
            let levels = (Some(&mut defined), Some(&mut repeated));
            let read = column.read_records(1, levels.0, levels.1, &mut cells);
            read.map_err(failed)?;
            return cells.pop().ok_or_else(|| "no bytes are in the cell".into());
        }
        Err("the file ends before this record".into())
    }
}

/// Reads the files.
pub(super) fn read(
    config: &ParquetConfig,
    folder: &Path,
    common: &CommonConfig,
) -> Result<Manifest, DataError> {
    let mut builder = Builder::new(common, config.columns.clone());
    if !config.audio_roots.is_empty() {
        builder.look_in(&config.audio_roots, "{id}", folder)?;
    }
    builder.label(config.labels.as_ref(), folder)?;
    builder.filter.clone_from(&config.filter);
    for file in files_of(&config.files, "parquet", folder)? {
        read_file(&file, config, &mut builder)?;
    }
    builder.finish()
}

fn read_file(
    file: &Path,
    config: &ParquetConfig,
    builder: &mut Builder<'_>,
) -> Result<(), DataError> {
    let failed = |error: parquet::errors::ParquetError| DataError::file(file, error);
    let open = || File::open(file).map_err(|error| DataError::file(file, error));
    let reader = SerializedFileReader::new(open()?).map_err(failed)?;
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let sounds = schema.columns().iter().position(|leaf| {
        let path = leaf.path().string();
        holds_bytes(leaf) && (path == config.audio || path == format!("{}.bytes", config.audio))
    });
    if sounds.is_none() && config.audio_roots.is_empty() {
        let reason = format!(
            "no bytes in a column `{}`, and no `audio_roots` to look for sounds in",
            config.audio
        );
        return Err(DataError::file(file, reason));
    }
    let column = sounds
        .map(|leaf| {
            let reader = SerializedFileReader::new(open()?).map_err(failed)?;
            let path = file.to_owned();
            Ok(Arc::new(ParquetColumn { path, leaf, reader }))
        })
        .transpose()?;

    // Only what is asked for: the column of sounds is most of the file.
    let wanted = asked_for(&config.columns, &config.filter);
    let root = schema.root_schema();
    let kept = root.get_fields().iter();
    let kept = kept.filter(|field| wanted.contains(&field.name()));
    let projection = Type::group_type_builder(root.name())
        .with_fields(kept.cloned().collect())
        .build()
        .map_err(failed)?;
    let shared: Arc<Path> = file.into();
    let rows = reader.get_row_iter(Some(projection)).map_err(failed)?;
    for (at, row) in (0..).zip(rows) {
        let row = row.map_err(failed)?;
        let fields = row.get_column_iter();
        let fields: Map<String, Value> = fields
            .map(|(name, field)| (name.clone(), value(field)))
            .collect();
        let cell = |column: &Arc<ParquetColumn>| Audio::Cell {
            column: Arc::clone(column),
            row: at,
        };
        builder.add(Record {
            place: Place::record(&shared, at),
            number: builder.records(),
            fields,
            audio: column.as_ref().map(cell),
        })?;
    }
    Ok(())
}

/// Bytes, and not text: a column of texts holds names of files.
fn holds_bytes(leaf: &ColumnDescriptor) -> bool {
    leaf.physical_type() == Physical::BYTE_ARRAY
        && leaf.converted_type() != ConvertedType::UTF8
        && leaf.logical_type_ref() != Some(&LogicalType::String)
}

fn asked_for<'a>(columns: &'a Columns, filter: &'a [Condition]) -> Vec<&'a str> {
    let lists = [&columns.id, &columns.captions].into_iter();
    let lists = lists.flat_map(|names| names.as_slice());
    let ones = [
        &columns.file,
        &columns.long,
        &columns.short,
        &columns.tag,
        &columns.tags,
        &columns.label,
        &columns.hard_audio,
        &columns.hard_text,
    ];
    let ones = ones.into_iter().flatten();
    let conditions = filter.iter().map(|condition| &condition.column);
    lists
        .chain(ones)
        .chain(conditions)
        .map(String::as_str)
        .collect()
}

/// A cell; what is neither text nor number nor a list of them reads as an object, which no column may be.
fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(truth) => Value::from(*truth),
        Field::Byte(number) => Value::from(*number),
        Field::Short(number) => Value::from(*number),
        Field::Int(number) => Value::from(*number),
        Field::Long(number) => Value::from(*number),
        Field::UByte(number) => Value::from(*number),
        Field::UShort(number) => Value::from(*number),
        Field::UInt(number) => Value::from(*number),
        Field::ULong(number) => Value::from(*number),
        Field::Float(number) => Value::from(*number),
        Field::Double(number) => Value::from(*number),
        Field::Str(text) => Value::from(text.as_str()),
        Field::Bytes(bytes) => match bytes.as_utf8() {
            Ok(text) => Value::from(text),
            Err(_) => Value::Object(Map::new()),
        },
        Field::ListInternal(list) => list.elements().iter().map(value).collect(),
        _ => Value::Object(Map::new()),
    }
}
