//! CSV, TSV, JSON and JSON lines, record by record: a file of millions of rows is never in memory twice.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Value};

use super::super::DataError;
use super::super::config::CommonConfig;
use super::super::error::Place;
use super::super::row::{Audio, Captions, HardText, Row, not_empty};
use super::Manifest;
use super::build::Builder;
use super::record::Record;

/// Reads a table by its extension.
pub(super) fn read(file: &Path, mut builder: Builder<'_>) -> Result<Manifest, DataError> {
    let extension = file.extension().map(|e| e.to_ascii_lowercase());
    match extension.as_ref().and_then(|e| e.to_str()) {
        Some("csv") => separated(file, b',', &mut builder)?,
        Some("tsv") => separated(file, b'\t', &mut builder)?,
        Some("json") => json(file, &mut builder)?,
        Some("jsonl" | "ndjson") => json_lines(file, &mut builder)?,
        _ => {
            let reason = "is no table by its name: .csv, .tsv, .json or .jsonl";
            return Err(DataError::file(file, reason));
        }
    }
    builder.finish()
}

fn open(file: &Path) -> Result<File, DataError> {
    File::open(file).map_err(|error| DataError::file(file, error))
}

fn separated(file: &Path, delimiter: u8, builder: &mut Builder<'_>) -> Result<(), DataError> {
    let shared: Arc<Path> = file.into();
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .from_reader(open(file)?);
    // The error tells its line.
    let failed = |error: csv::Error| DataError::file(file, error);
    let names = reader.headers().map_err(failed)?.clone();
    for record in reader.records() {
        let record = record.map_err(failed)?;
        let line = record.position().map_or(0, csv::Position::line);
        let cells = names.iter().zip(&record);
        let fields = cells.map(|(name, cell)| (name.trim().to_owned(), Value::from(cell)));
        builder.add(Record {
            place: Place::line(&shared, line),
            number: builder.records(),
            fields: fields.collect(),
            audio: None,
        })?;
    }
    Ok(())
}

fn json_lines(file: &Path, builder: &mut Builder<'_>) -> Result<(), DataError> {
    let shared: Arc<Path> = file.into();
    for (line, text) in (1..).zip(BufReader::new(open(file)?).lines()) {
        let text = text.map_err(|error| DataError::file(file, error))?;
        let place = Place::line(&shared, line);
        if text.trim().is_empty() {
            continue;
        }
        builder.add(Record {
            number: builder.records(),
            fields: serde_json::from_str(&text).map_err(|error| DataError::row(&place, error))?,
            place,
            audio: None,
        })?;
    }
    Ok(())
}

fn json(file: &Path, builder: &mut Builder<'_>) -> Result<(), DataError> {
    let mut stopped = None;
    let rows = Rows {
        file: file.into(),
        builder,
        stopped: &mut stopped,
    };
    let mut reader = serde_json::Deserializer::from_reader(BufReader::new(open(file)?));
    let read = rows.deserialize(&mut reader).and_then(|()| reader.end());
    match (stopped, read) {
        (Some(error), _) => Err(error),
        // Tells line and column.
        (None, Err(error)) => Err(DataError::file(file, error)),
        (None, Ok(())) => Ok(()),
    }
}

/// A list of objects, or an object that holds it as `data` (WavCaps), handed on one by one.
struct Rows<'a, 'b> {
    file: Arc<Path>,
    builder: &'a mut Builder<'b>,
    /// The error of a row, which serde would turn into words.
    stopped: &'a mut Option<DataError>,
}

impl<'de> DeserializeSeed<'de> for Rows<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of objects, or an object with such a list as `data`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(fields) = list.next_element::<Map<String, Value>>()? {
            let number = self.builder.records();
            let added = self.builder.add(Record {
                place: Place::record(&self.file, number as u64),
                number,
                fields,
                audio: None,
            });
            if let Err(error) = added {
                *self.stopped = Some(error);
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut rows = Some(self);
        while let Some(key) = map.next_key::<String>()? {
            match (key.as_str(), rows.take()) {
                ("data", Some(list)) => map.next_value_seed(list)?,
                (_, list) => {
                    map.next_value::<IgnoredAny>()?;
                    rows = list;
                }
            }
        }
        match rows {
            Some(_) => Err(A::Error::custom("an object without a list `data`")),
            None => Ok(()),
        }
    }
}

/// Reads pairs of texts: `sent0`, `sent1` and, where it is there, `hard_neg`.
pub(super) fn read_pairs(file: &Path, common: &CommonConfig) -> Result<Manifest, DataError> {
    #[derive(serde::Deserialize)]
    struct Pair {
        sent0: String,
        sent1: String,
        hard_neg: Option<String>,
    }
    let shared: Arc<Path> = file.into();
    let mut reader = csv::Reader::from_reader(open(file)?);
    let failed = |error: csv::Error| DataError::file(file, error);
    let names = reader.headers().map_err(failed)?.clone();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(failed)?;
        let place = Place::line(&shared, record.position().map_or(0, csv::Position::line));
        let pair: Pair = record.deserialize(Some(&names)).map_err(failed)?;
        let hard = pair.hard_neg.filter(|text| !text.trim().is_empty());
        rows.push(Row {
            id: rows.len().to_string(),
            audio: Audio::None,
            captions: Captions {
                plain: [not_empty(&pair.sent0, "sent0", &place)?].into(),
                ..Captions::default()
            },
            tags: Vec::new(),
            pair: Some(not_empty(&pair.sent1, "sent1", &place)?),
            hard_audio: Vec::new(),
            hard_text: hard.map(HardText::Words).into_iter().collect(),
            place,
        });
    }
    Ok(Manifest {
        config: common.clone(),
        rows,
        skipped: Vec::new(),
        filtered: 0,
        lost_negatives: 0,
        generator: None,
    })
}
