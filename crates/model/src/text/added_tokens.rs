//! Tokens beside the merges: special ones, added ones, and the names that templates know them by.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::tokenizer_files::{MAX_ID, not_as_expected};
use crate::ModelError;

/// An added token with the id its file gives it.
#[derive(Debug, Clone)]
pub(crate) struct NumberedToken {
    pub(crate) id: u32,
    pub(crate) token: AddedToken,
}

/// An added token as `tokenizer.json` and `tokenizer_config.json` write it.
#[derive(Deserialize)]
pub(super) struct AddedJson {
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    normalized: Option<bool>,
    #[serde(default)]
    special: bool,
}

/// The same with its id.
#[derive(Deserialize)]
pub(super) struct NumberedJson {
    pub(super) id: u32,
    #[serde(flatten)]
    pub(super) token: AddedJson,
}

/// Tokens in the order of their ids, which is the order to add them in.
pub(super) fn numbered(
    path: &Path,
    mut list: Vec<NumberedJson>,
) -> Result<Vec<NumberedToken>, ModelError> {
    list.sort_by_key(|t| t.id);
    list.into_iter()
        .map(|NumberedJson { id, token }| {
            if id > MAX_ID || token.content.is_empty() {
                let reason = format!("added token {:?} has the id {id}", token.content);
                return Err(ModelError::Text {
                    path: path.to_owned(),
                    reason,
                });
            }
            let normalized = token.normalized.unwrap_or(!token.special);
            let token = AddedToken::from(token.content, token.special)
                .single_word(token.single_word)
                .lstrip(token.lstrip)
                .rstrip(token.rstrip)
                .normalized(normalized);
            Ok(NumberedToken { id, token })
        })
        .collect()
}

/// `added_tokens.json`: names and ids alone. Which of them are special is told elsewhere.
pub(super) fn plain_added_tokens(
    path: &Path,
    list: Value,
    special_names: &[(String, Value)],
) -> Result<Vec<NumberedToken>, ModelError> {
    let ids: BTreeMap<String, u32> =
        serde_json::from_value(list).map_err(|e| not_as_expected(path, &e))?;
    let is_special = |content: &str| {
        special_names.iter().any(|(_, value)| match value {
            Value::Array(many) => many.iter().any(|one| one == content),
            one => one == content,
        })
    };
    let tokens = ids.into_iter().map(|(content, id)| NumberedJson {
        id,
        token: AddedJson {
            special: is_special(&content),
            content,
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: None,
        },
    });
    numbered(path, tokens.collect())
}

/// `eos_token`, `pad_token`, … as strings: a chat template may print them.
pub(super) fn special_names(
    map: Option<&(PathBuf, Value)>,
    config: Option<&(PathBuf, Value)>,
) -> Vec<(String, Value)> {
    let mut names = Map::new();
    for object in [config, map]
        .into_iter()
        .flatten()
        .filter_map(|(_, value)| value.as_object())
    {
        for (key, value) in object.iter().filter(|(key, _)| is_token_name(key)) {
            let text = |v: &Value| match v {
                Value::String(_) => Some(v.clone()),
                Value::Object(token) => token.get("content").filter(|c| c.is_string()).cloned(),
                _ => None,
            };
            let value = match value {
                Value::Array(many) => Some(Value::Array(many.iter().filter_map(text).collect())),
                one => text(one),
            };
            if let Some(value) = value {
                names.insert(key.clone(), value);
            }
        }
    }
    names.into_iter().collect()
}

fn is_token_name(key: &str) -> bool {
    key.ends_with("_token") && !key.starts_with("add_") || key == "additional_special_tokens"
}
