//! What every form of table comes down to: a record of named fields and the place where it stands.

use serde_json::{Map, Value};

use super::super::DataError;
use super::super::config::Condition;
use super::super::error::Place;
use super::super::row::Audio;

/// A record.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) place: Place,
    /// Its number in its source, which hard negatives go by.
    pub(super) number: usize,
    pub(super) fields: Map<String, Value>,
    /// Its sound, where that comes with it.
    pub(super) audio: Option<Audio>,
}

impl Record {
    /// A field as a list of texts: a text is a list of one, a number is its digits, null is none.
    pub(super) fn texts(&self, column: &str) -> Result<Option<Vec<String>>, DataError> {
        let Some(value) = self.fields.get(column) else {
            return Ok(None);
        };
        let text = |value: &Value| match value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(truth) => Ok(truth.to_string()),
            _ => {
                let reason = format!("`{column}` is neither a text nor a list of texts");
                Err(DataError::row(&self.place, reason))
            }
        };
        match value {
            Value::Null => Ok(None),
            Value::Array(list) => Ok(Some(list.iter().map(text).collect::<Result<_, _>>()?)),
            value => Ok(Some(vec![text(value)?])),
        }
    }

    /// A field that holds one text, where it is there.
    pub(super) fn text(&self, column: &str) -> Result<Option<String>, DataError> {
        match self.texts(column)? {
            None => Ok(None),
            Some(mut texts) if texts.len() == 1 => Ok(texts.pop()),
            Some(texts) => {
                let reason = format!("`{column}` holds {} texts, not one", texts.len());
                Err(DataError::row(&self.place, reason))
            }
        }
    }

    /// A field that must be there.
    pub(super) fn required(&self, column: &str) -> Result<String, DataError> {
        let text = self.text(column)?;
        text.ok_or_else(|| self.without(column))
    }

    /// The error of a field that is not there, with those that are.
    pub(super) fn without(&self, column: &str) -> DataError {
        let there: Vec<&str> = self.fields.keys().map(String::as_str).collect();
        let reason = format!("no `{column}`; there are {}", there.join(", "));
        DataError::row(&self.place, reason)
    }

    /// Whether it meets all conditions.
    pub(super) fn meets(&self, conditions: &[Condition]) -> Result<bool, DataError> {
        for condition in conditions {
            let text = self.required(&condition.column)?;
            let listed = match (condition.is.is_empty(), condition.is_not.is_empty()) {
                (false, true) => condition.is.contains(&text),
                (true, false) => !condition.is_not.contains(&text),
                _ => {
                    let at = format!("filter of `{}`", condition.column);
                    return Err(DataError::setting(at, "give either `is` or `is_not`"));
                }
            };
            if !listed {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
