//! Records as rows, whatever they were read from.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::super::DataError;
use super::super::config::{Columns, CommonConfig, Condition, LabelConfig, Policy};
use super::super::row::{Audio, Captions, HardText, Row, not_empty, split_tags};
use super::find::Finder;
use super::labels::Labels;
use super::record::Record;
use super::{Manifest, SkippedRow};

/// Takes in records, in order.
pub(super) struct Builder<'a> {
    common: &'a CommonConfig,
    columns: Columns,
    finder: Option<Finder>,
    audio_name: String,
    labels: Option<Labels>,
    /// Conditions that rows must meet.
    pub(super) filter: Vec<Condition>,
    /// Rows of one id are captions of one clip.
    pub(super) merge: bool,
    /// The released form: the id is the first of its columns that is there, and of the other columns
    /// only those are asked for that are.
    pub(super) is_released: bool,
    rows: Vec<Row>,
    by_id: HashMap<String, usize>,
    /// The row of each record; `None` where it was left out.
    of_record: Vec<Option<usize>>,
    hard: Vec<Hard>,
    skipped: Vec<SkippedRow>,
    filtered: usize,
}

/// What a row says about hard negatives, until all rows are known.
struct Hard {
    row: usize,
    audio: Vec<Value>,
    text: Vec<Value>,
}

/// Where a hard negative leads.
enum Led {
    Row(usize),
    /// To itself, or to a row that was left out.
    Nowhere,
    /// It is no row's id.
    Words(String),
}

impl<'a> Builder<'a> {
    pub(super) fn new(common: &'a CommonConfig, columns: Columns) -> Self {
        Self {
            common,
            columns,
            finder: None,
            audio_name: "{id}".into(),
            labels: None,
            filter: Vec::new(),
            merge: false,
            is_released: false,
            rows: Vec::new(),
            by_id: HashMap::new(),
            of_record: Vec::new(),
            hard: Vec::new(),
            skipped: Vec::new(),
            filtered: 0,
        }
    }

    /// Looks for sounds in `roots`, by a name made of the id.
    pub(super) fn look_in(
        &mut self,
        roots: &[PathBuf],
        audio_name: &str,
        folder: &Path,
    ) -> Result<(), DataError> {
        if !audio_name.contains("{id}") {
            let reason = format!("`{audio_name}` has no {{id}} in it");
            return Err(DataError::setting("audio_name", reason));
        }
        let roots = roots.iter().map(|root| folder.join(root)).collect();
        self.finder = Some(Finder::new(roots)?);
        self.audio_name = audio_name.into();
        Ok(())
    }

    /// Makes captions of classes.
    pub(super) fn label(
        &mut self,
        config: Option<&LabelConfig>,
        folder: &Path,
    ) -> Result<(), DataError> {
        let config = match (config, &self.columns.label) {
            (Some(config), Some(_)) => config,
            (None, Some(_)) => &LabelConfig::default(),
            (Some(_), None) => {
                let reason = "given, and no column is the class: set `columns.label`";
                return Err(DataError::setting("labels", reason));
            }
            (None, None) => return Ok(()),
        };
        self.labels = Some(Labels::new(config, folder)?);
        Ok(())
    }

    /// How many records were taken in: the next one's number.
    pub(super) fn records(&self) -> usize {
        self.of_record.len()
    }

    /// Takes in the next record.
    pub(super) fn add(&mut self, record: Record) -> Result<(), DataError> {
        debug_assert_eq!(record.number, self.of_record.len());
        if !record.meets(&self.filter)? {
            self.filtered += 1;
            self.of_record.push(None);
            return Ok(());
        }
        let id = self.id(&record)?;
        let captions = self.captions(&record)?;
        if let Some(&first) = self.by_id.get(&id) {
            let row = &mut self.rows[first];
            if !self.merge {
                return Err(DataError::Duplicate {
                    place: record.place,
                    first: row.place.clone(),
                    id,
                });
            }
            merge(row, captions)?;
            self.of_record.push(Some(first));
            return Ok(());
        }
        let tags = self.tags(&record, &captions)?;
        let (audio, text) = self.hard(&record);
        let Some(sound) = self.sound(&record, &id)? else {
            self.of_record.push(None);
            return Ok(());
        };
        let row = self.rows.len();
        if !(audio.is_empty() && text.is_empty()) {
            self.hard.push(Hard { row, audio, text });
        }
        self.of_record.push(Some(row));
        self.by_id.insert(id.clone(), row);
        self.rows.push(Row {
            id,
            audio: sound,
            captions,
            tags,
            pair: None,
            hard_audio: Vec::new(),
            hard_text: Vec::new(),
            place: record.place,
        });
        Ok(())
    }

    fn id(&self, record: &Record) -> Result<String, DataError> {
        let names = self.columns.id.as_slice();
        if self.is_released {
            for name in names {
                if let Some(id) = record.text(name)? {
                    return not_empty(&id, name, &record.place);
                }
            }
            return Err(record.without(&names.join("`, `")));
        }
        if !names.is_empty() {
            let mut parts = Vec::new();
            for name in names {
                parts.push(not_empty(&record.required(name)?, name, &record.place)?);
            }
            return Ok(parts.join("_"));
        }
        match &self.columns.file {
            Some(file) => not_empty(&record.required(file)?, file, &record.place),
            None => Ok(record.number.to_string()),
        }
    }

    fn captions(&mut self, record: &Record) -> Result<Captions, DataError> {
        let place = &record.place;
        let one = |column: &Option<String>| match column {
            None => Ok(None),
            Some(name) => match record.text(name)? {
                Some(text) => not_empty(&text, name, place).map(Some),
                None if self.is_released => Ok(None),
                None => Err(record.without(name)),
            },
        };
        let long = one(&self.columns.long)?;
        let short = one(&self.columns.short)?;
        // An empty list of tags says that none were heard; the released code draws no tag caption then.
        let tag = match &self.columns.tag {
            None => None,
            Some(name) => record.text(name)?.map(|tags| split_tags(&tags).join(", ")),
        };
        let has_all = long.is_some() && short.is_some() && tag.is_some();
        let tag = tag.filter(|tags| !tags.is_empty());
        let mut plain = Vec::new();
        for name in self.columns.captions.as_slice() {
            // The released code reads `caption` only where the three others are not all there.
            if self.is_released && (has_all || !record.fields.contains_key(name)) {
                continue;
            }
            let texts = record.texts(name)?.ok_or_else(|| record.without(name))?;
            for text in texts {
                plain.push(not_empty(&text, name, place)?);
            }
        }
        let mut plain: Arc<[String]> = plain.into();
        if let (Some(labels), Some(column)) = (&mut self.labels, &self.columns.label) {
            let label = not_empty(&record.required(column)?, column, place)?;
            let made = labels.captions(&label, place)?;
            plain = match plain.is_empty() {
                true => made,
                false => plain.iter().chain(&*made).cloned().collect(),
            };
        }
        let captions = Captions {
            long,
            short,
            tag,
            plain,
        };
        if captions.is_empty() {
            return Err(DataError::row(place, "no caption"));
        }
        Ok(captions)
    }

    fn tags(&self, record: &Record, captions: &Captions) -> Result<Vec<String>, DataError> {
        if let Some(column) = &self.columns.tags {
            match (record.texts(column)?, self.is_released) {
                (Some(tags), true) => return Ok(tags),
                (None, true) => {}
                (texts, false) => {
                    let texts = texts.unwrap_or_default();
                    return Ok(texts.iter().flat_map(|text| split_tags(text)).collect());
                }
            }
        }
        if let Some(tags) = &captions.tag {
            return Ok(split_tags(tags));
        }
        match &self.columns.label {
            Some(column) => Ok(vec![record.required(column)?.trim().replace('_', " ")]),
            None => Ok(Vec::new()),
        }
    }

    /// The record's sound; `None` where it has none and the recipe allows that.
    fn sound(&mut self, record: &Record, id: &str) -> Result<Option<Audio>, DataError> {
        if let Some(audio) = &record.audio {
            return Ok(Some(audio.clone()));
        }
        let mut roots = String::from("what comes with it");
        if let Some(finder) = &mut self.finder {
            let by_id = || self.audio_name.replace("{id}", id);
            let name = match &self.columns.file {
                Some(file) if self.is_released => record.text(file)?.unwrap_or_else(by_id),
                Some(file) => record.required(file)?,
                None => by_id(),
            };
            if let Some(path) = finder.find(&name, &record.place)? {
                return Ok(Some(Audio::File(path)));
            }
            roots = finder.roots();
        }
        let missing = DataError::Missing {
            place: record.place.clone(),
            id: id.into(),
            roots: roots.clone(),
        };
        match self.common.missing {
            Policy::Error => Err(missing),
            Policy::Skip => {
                self.skipped.push(SkippedRow {
                    place: record.place.clone(),
                    id: id.into(),
                    reason: format!("no audio under {roots}"),
                });
                Ok(None)
            }
        }
    }

    fn hard(&self, record: &Record) -> (Vec<Value>, Vec<Value>) {
        let list = |column: &Option<String>| {
            let value = column.as_ref().and_then(|name| record.fields.get(name));
            match value {
                None | Some(Value::Null) => Vec::new(),
                Some(Value::Array(list)) => list.clone(),
                Some(Value::String(text)) if text.is_empty() => Vec::new(),
                Some(value) => vec![value.clone()],
            }
        };
        (
            list(&self.columns.hard_audio),
            list(&self.columns.hard_text),
        )
    }

    /// The rows, once all records are in.
    ///
    /// # Errors
    ///
    /// [`DataError::Row`] for a hard negative that names no record.
    pub(super) fn finish(mut self) -> Result<Manifest, DataError> {
        let mut lost_negatives = 0;
        let left_out = std::mem::take(&mut self.skipped);
        let skipped: HashSet<&str> = left_out.iter().map(|row| row.id.as_str()).collect();
        for hard in std::mem::take(&mut self.hard) {
            let (mut audio, mut text) = (Vec::new(), Vec::new());
            for value in &hard.audio {
                match self.led(hard.row, value, &skipped)? {
                    Led::Row(row) => audio.push(row),
                    Led::Nowhere => lost_negatives += 1,
                    Led::Words(id) => {
                        let reason = format!("the hard negative `{id}` is no row of this source");
                        return Err(DataError::row(&self.rows[hard.row].place, reason));
                    }
                }
            }
            for value in &hard.text {
                match self.led(hard.row, value, &skipped)? {
                    Led::Row(row) => text.push(HardText::Row(row)),
                    Led::Nowhere => lost_negatives += 1,
                    Led::Words(words) => text.push(HardText::Words(words)),
                }
            }
            let row = &mut self.rows[hard.row];
            row.hard_audio = audio;
            row.hard_text = text;
        }
        Ok(Manifest {
            config: self.common.clone(),
            rows: self.rows,
            skipped: left_out,
            filtered: self.filtered,
            lost_negatives,
            generator: None,
        })
    }

    fn led(&self, from: usize, value: &Value, skipped: &HashSet<&str>) -> Result<Led, DataError> {
        let place = &self.rows[from].place;
        let row = match value {
            Value::Number(number) => {
                let record = number.as_u64().and_then(|n| self.of_record.get(n as usize));
                *record.ok_or_else(|| {
                    let known = self.of_record.len();
                    let reason = format!("the hard negative {number} is none of {known} records");
                    DataError::row(place, reason)
                })?
            }
            Value::String(text) => match self.by_id.get(text) {
                Some(row) => Some(*row),
                None if skipped.contains(text.as_str()) => None,
                None => return Ok(Led::Words(not_empty(text, "hard negative", place)?)),
            },
            other => {
                let reason = format!("the hard negative {other} is neither a number nor a text");
                return Err(DataError::row(place, reason));
            }
        };
        // The released code, too, passes over a row that is named as its own negative.
        Ok(row
            .filter(|row| *row != from)
            .map_or(Led::Nowhere, Led::Row))
    }
}

/// Adds the captions of another record of one clip.
fn merge(row: &mut Row, captions: Captions) -> Result<(), DataError> {
    let told = [&captions.long, &captions.short, &captions.tag];
    if told.iter().any(|caption| caption.is_some()) {
        let reason = "rows of one clip can be merged where their captions are plain";
        return Err(DataError::row(&row.place, reason));
    }
    let both = row.captions.plain.iter().chain(&*captions.plain);
    row.captions.plain = both.cloned().collect();
    Ok(())
}
