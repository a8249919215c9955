//! The files a tokenizer is made of, read and checked before anything is built from them.
//!
//! A checkpoint is a download: its `tokenizer.json` may be cut short or hostile. The tokenizers
//! crate indexes out of range where a merge makes a token that the vocabulary lacks, samples merges
//! where `dropout` is set, and leaves out bytes that have no token; so each of these is an error
//! here, with the file and the entry.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use tokenizers::models::bpe::{Merges, Vocab};
use tokenizers::{DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper};

use super::added_tokens::{
    AddedJson, NumberedJson, NumberedToken, numbered, plain_added_tokens, special_names,
};
use super::byte_level;
use crate::ModelError;

/// Ids are row numbers of an embedding table; no table has this many rows.
pub(super) const MAX_ID: u32 = 1 << 24;

/// Qwen2's split into words, as its `tokenizer.json` spells it.
const QWEN2_SPLIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Everything a [`super::Tokenizer`] is built from.
pub(crate) struct TokenizerFiles {
    pub(crate) source: PathBuf,
    pub(crate) bpe: Bpe,
    pub(crate) stages: Stages,
    /// Added tokens by file, in the order they are added.
    pub(crate) added: Vec<(PathBuf, Vec<NumberedToken>)>,
    pub(crate) digest: blake3::Hash,
    pub(crate) special_names: Vec<(String, Value)>,
}

/// The steps around the merges.
pub(crate) struct Stages {
    pub(crate) normalizer: Option<NormalizerWrapper>,
    pub(crate) pre_tokenizer: Option<PreTokenizerWrapper>,
    pub(crate) post_processor: Option<PostProcessorWrapper>,
    pub(crate) decoder: Option<DecoderWrapper>,
}

/// A byte-pair vocabulary in which every merge makes a token.
pub(crate) struct Bpe {
    pub(crate) vocab: Vocab,
    pub(crate) merges: Merges,
    pub(crate) ignore_merges: bool,
}

/// Reads the tokenizer files of the checkpoint in `dir`.
pub(crate) fn read(dir: &Path) -> Result<TokenizerFiles, ModelError> {
    let mut folder = Folder {
        dir,
        digest: blake3::Hasher::new(),
    };
    let special = folder.json("special_tokens_map.json")?;
    let config = folder.json("tokenizer_config.json")?;
    let (source, file) = match folder.bytes("tokenizer.json")? {
        Some((path, bytes)) => {
            let file = serde_json::from_slice(&bytes).map_err(|e| not_as_expected(&path, &e))?;
            (path, file)
        }
        None => {
            let (path, vocab) = folder
                .bytes("vocab.json")?
                .ok_or_else(|| no_tokenizer(dir))?;
            let (merges_path, merges) = folder
                .bytes("merges.txt")?
                .ok_or_else(|| no_tokenizer(dir))?;
            let vocab = serde_json::from_slice(&vocab).map_err(|e| not_as_expected(&path, &e))?;
            let merges = merge_lines(&merges_path, &merges)?;
            (path, qwen2_tokenizer(vocab, merges))
        }
    };

    let special_names = special_names(special.as_ref(), config.as_ref());
    let mut added = Vec::new();
    added.push((source.clone(), numbered(&source, file.added_tokens)?));
    match config {
        Some((path, mut config)) if config.get("added_tokens_decoder").is_some() => {
            let decoder: BTreeMap<u32, AddedJson> = section(
                &path,
                "added_tokens_decoder",
                config["added_tokens_decoder"].take(),
            )?;
            let list = decoder
                .into_iter()
                .map(|(id, token)| NumberedJson { id, token })
                .collect();
            added.push((path.clone(), numbered(&path, list)?));
        }
        _ => {
            if let Some((path, list)) = folder.json("added_tokens.json")? {
                added.push((
                    path.clone(),
                    plain_added_tokens(&path, list, &special_names)?,
                ));
            }
        }
    }

    Ok(TokenizerFiles {
        bpe: byte_level_bpe(&source, file.model)?,
        stages: stages(&source, file.stages)?,
        source,
        added,
        digest: folder.digest.finalize(),
        special_names,
    })
}

/// A checkpoint's folder, and a digest of what was read from it.
struct Folder<'d> {
    dir: &'d Path,
    digest: blake3::Hasher,
}

impl Folder<'_> {
    fn bytes(&mut self, name: &str) -> Result<Option<(PathBuf, Vec<u8>)>, ModelError> {
        let file = read_if_there(self.dir, name)?;
        if let Some((_, bytes)) = &file {
            self.digest
                .update(&(bytes.len() as u64).to_le_bytes())
                .update(bytes);
        }
        Ok(file)
    }

    fn json(&mut self, name: &str) -> Result<Option<(PathBuf, Value)>, ModelError> {
        let Some((path, bytes)) = self.bytes(name)? else {
            return Ok(None);
        };
        let value = parse(&path, &bytes)?;
        Ok(Some((path, value)))
    }
}

fn no_tokenizer(dir: &Path) -> ModelError {
    ModelError::MissingFile {
        dir: dir.to_owned(),
        name: "tokenizer.json, nor vocab.json with merges.txt".to_owned(),
        help: "copy the tokenizer files of the model that this checkpoint was trained from"
            .to_owned(),
    }
}

/// The file's path and content, or nothing where there is no such file.
pub(super) fn read_if_there(
    dir: &Path,
    name: &str,
) -> Result<Option<(PathBuf, Vec<u8>)>, ModelError> {
    let path = dir.join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Some((path, bytes))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(ModelError::io(&path)(e)),
    }
}

/// JSON of `path`; a file that is not JSON is an error with its line.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Value, ModelError> {
    serde_json::from_slice(bytes).map_err(|e| not_as_expected(path, &e))
}

pub(super) fn not_as_expected(path: &Path, error: &serde_json::Error) -> ModelError {
    ModelError::Json {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

/// One section of a JSON file, as what it should be.
fn section<T: DeserializeOwned>(path: &Path, key: &str, value: Value) -> Result<T, ModelError> {
    serde_json::from_value(value).map_err(|e| ModelError::Json {
        path: path.to_owned(),
        reason: format!("{key}: {e}"),
    })
}

/// `tokenizer.json`. Truncation and padding are left out: nothing here cuts or pads.
#[derive(Deserialize)]
struct TokenizerJson {
    #[serde(default)]
    added_tokens: Vec<NumberedJson>,
    #[serde(flatten)]
    stages: StagesJson,
    model: BpeJson,
}

/// The steps around the merges, as the tokenizers crate spells them.
#[derive(Default, Deserialize)]
#[serde(default)]
struct StagesJson {
    normalizer: Value,
    pre_tokenizer: Value,
    post_processor: Value,
    decoder: Value,
}

/// The tokenizer that `vocab.json` and `merges.txt` of a Qwen2 checkpoint stand for.
fn qwen2_tokenizer(vocab: Vocab, merges: Vec<Merge>) -> TokenizerJson {
    let byte_level = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false,
    });
    let split = json!({
        "type": "Split", "pattern": {"Regex": QWEN2_SPLIT}, "behavior": "Isolated", "invert": false,
    });
    TokenizerJson {
        added_tokens: Vec::new(),
        stages: StagesJson {
            normalizer: json!({"type": "NFC"}),
            pre_tokenizer: json!({"type": "Sequence", "pretokenizers": [split, byte_level]}),
            post_processor: Value::Null,
            decoder: byte_level,
        },
        model: BpeJson {
            vocab,
            merges,
            ..BpeJson::default()
        },
    }
}

/// `merges.txt`: two tokens a line, after an optional version line.
fn merge_lines(path: &Path, bytes: &[u8]) -> Result<Vec<Merge>, ModelError> {
    let text = std::str::from_utf8(bytes).map_err(|e| ModelError::Text {
        path: path.to_owned(),
        reason: format!("not UTF-8: {e}"),
    })?;
    let lines = text.lines().enumerate();
    let rules = lines.filter(|(_, l)| !l.is_empty() && !l.starts_with("#version"));
    rules
        .map(|(i, line)| {
            two_tokens(line).ok_or_else(|| ModelError::Text {
                path: path.to_owned(),
                reason: format!("line {}: {line:?} is not two tokens", i + 1),
            })
        })
        .collect()
}

/// One merge: `["a", "b"]`, or `"a b"` in older files.
struct Merge(String, String);

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not an untagged enum: that would first copy each of 151,387 merges into a buffer.
        deserializer.deserialize_any(MergeVisitor)
    }
}

struct MergeVisitor;

impl<'de> Visitor<'de> for MergeVisitor {
    type Value = Merge;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a merge of two tokens")
    }

    fn visit_str<E: serde::de::Error>(self, line: &str) -> Result<Merge, E> {
        two_tokens(line).ok_or_else(|| E::custom(format!("{line:?} is not two tokens")))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Merge, A::Error> {
        let too_short = || serde::de::Error::custom("a merge needs two tokens");
        let left = pair.next_element()?.ok_or_else(too_short)?;
        Ok(Merge(left, pair.next_element()?.ok_or_else(too_short)?))
    }
}

fn two_tokens(line: &str) -> Option<Merge> {
    let (left, right) = line.split_once(' ')?;
    (!right.contains(' ')).then(|| Merge(left.to_owned(), right.to_owned()))
}

/// The model section of `tokenizer.json`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct BpeJson {
    #[serde(rename = "type")]
    kind: Option<String>,
    dropout: Option<f64>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    ignore_merges: bool,
    vocab: Vocab,
    merges: Vec<Merge>,
}

fn byte_level_bpe(path: &Path, model: BpeJson) -> Result<Bpe, ModelError> {
    let refuse = |reason: String| ModelError::Text {
        path: path.to_owned(),
        reason,
    };
    if let Some(kind) = model.kind.filter(|kind| kind != "BPE") {
        return Err(refuse(format!(
            "a {kind} tokenizer; this program runs byte-level BPE"
        )));
    }
    if model.dropout.is_some_and(|p| p != 0.0) {
        return Err(refuse(
            "has BPE dropout, so one text has many ids; set it to null".to_owned(),
        ));
    }
    for affix in [model.continuing_subword_prefix, model.end_of_word_suffix]
        .into_iter()
        .flatten()
    {
        if !affix.is_empty() {
            return Err(refuse(format!(
                "marks words with {affix:?}; byte-level BPE does not"
            )));
        }
    }
    let vocab = model.vocab;
    let mut seen = HashSet::with_capacity(vocab.len());
    for (token, &id) in &vocab {
        if id > MAX_ID || !seen.insert(id) {
            return Err(refuse(format!(
                "{token:?} has the id {id}, which is taken or too large"
            )));
        }
    }
    for byte in 0..=255u8 {
        let letter = byte_level::char_of(byte).to_string();
        if !vocab.contains_key(&letter) {
            return Err(refuse(format!(
                "no token {letter:?} for the byte {byte:#04x}: text that holds it would vanish"
            )));
        }
    }
    let mut merges = Merges::with_capacity(model.merges.len());
    for (rank, Merge(left, right)) in model.merges.into_iter().enumerate() {
        let whole = format!("{left}{right}");
        if let Some(missing) = [&left, &right, &whole]
            .into_iter()
            .find(|t| !vocab.contains_key(*t))
        {
            return Err(refuse(format!(
                "merge {rank}: the vocabulary has no {missing:?}"
            )));
        }
        merges.push((left, right));
    }
    Ok(Bpe {
        vocab,
        merges,
        ignore_merges: model.ignore_merges,
    })
}

fn stages(path: &Path, file: StagesJson) -> Result<Stages, ModelError> {
    Ok(Stages {
        normalizer: stage(path, "normalizer", file.normalizer, &["NFC"])?,
        pre_tokenizer: stage(
            path,
            "pre_tokenizer",
            file.pre_tokenizer,
            &["Split", "ByteLevel"],
        )?,
        post_processor: stage(
            path,
            "post_processor",
            file.post_processor,
            &["ByteLevel", "TemplateProcessing"],
        )?,
        decoder: stage(path, "decoder", file.decoder, &["ByteLevel"])?,
    })
}

/// One stage, made of `known` parts or a sequence of them.
fn stage<T: DeserializeOwned>(
    path: &Path,
    name: &str,
    value: Value,
    known: &[&str],
) -> Result<Option<T>, ModelError> {
    let mut kinds = Vec::new();
    collect_kinds(&value, &mut kinds);
    kinds.retain(|kind| kind != "Sequence" && !known.contains(&kind.as_str()));
    if let Some(other) = kinds.first() {
        return Err(ModelError::Text {
            path: path.to_owned(),
            reason: format!(
                "{name}: {other} is not {}, of which byte-level BPE tokenizers are made",
                known.join(" or ")
            ),
        });
    }
    section(path, name, value)
}

/// The `type` of a stage and of the stages inside it.
fn collect_kinds(stage: &Value, kinds: &mut Vec<String>) {
    let Some(object) = stage.as_object() else {
        return;
    };
    kinds.extend(
        object
            .get("type")
            .and_then(Value::as_str)
            .map(str::to_owned),
    );
    for inner in ["normalizers", "pretokenizers", "processors", "decoders"] {
        for part in object
            .get(inner)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            collect_kinds(part, kinds);
        }
    }
}
