//! What a checkpoint's folder says about how to use it: prompts, pooling, attention, answers.
//!
//! Relatives of AuroLA share its architecture and differ in what they are told and where they are
//! read, so this is data. The first of these decides:
//!
//! 1. `aurola.json`, ours;
//! 2. the sentence-transformers files, from `modules.json` on;
//! 3. neither: an AuroLA checkpoint, with the prompts its evaluation uses, read before `<emb>`.
//!
//! Each fact keeps the file it came from. Knows nothing of tensors or tokens.

mod aurola_json;
mod sentence_transformers;

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::ModelError;
use crate::text::{EmbeddingPrompts, PromptPreset, RerankPrompts};

/// How a checkpoint is to be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// Its own name, where it gives one.
    pub name: Option<String>,
    /// Which files decided.
    pub origin: Origin,
    /// How embeddings are made; nothing for a checkpoint that only re-ranks.
    pub embedding: Option<EmbeddingRecipe>,
    /// How pairs are re-ranked.
    pub rerank: RerankRecipe,
}

/// Which files describe the checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `aurola.json`.
    AurolaJson,
    /// `modules.json` and the files it names.
    SentenceTransformers,
    /// None: the layout AuroLA publishes.
    Aurola,
}

/// How embeddings are made.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingRecipe {
    /// What the model is told.
    pub prompts: Stated<EmbeddingPrompts>,
    /// Where its states are read.
    pub pooling: Stated<Pooling>,
    /// What a position may look at.
    pub attention: Stated<Attention>,
    /// The number of values of an embedding, where a file says it: it must be the model's width.
    pub dim: Option<Stated<usize>>,
}

/// How pairs are re-ranked.
#[derive(Debug, Clone, PartialEq)]
pub struct RerankRecipe {
    /// What the model is told.
    pub prompts: Stated<RerankPrompts>,
    /// Which two tokens are weighed against each other.
    pub answers: Answers,
}

/// A fact, and the file that states it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stated<T> {
    /// The fact.
    pub value: T,
    /// The file, or why the fact holds without one.
    pub by: String,
}

impl<T> Stated<T> {
    fn new(value: T, by: impl Into<String>) -> Self {
        Self {
            value,
            by: by.into(),
        }
    }
}

/// Where the last layer's states, after the final norm, are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The position before `<emb>`: the state that would predict it.
    BeforeEmb,
    /// The last position of the prompt.
    LastToken,
    /// The mean over all positions of the prompt.
    Mean,
}

/// What a position of the language model may look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attention {
    /// Itself and what comes before it.
    #[default]
    Causal,
    /// The whole prompt, as Omni-Embed-Nemotron does.
    Bidirectional,
}

/// The two tokens whose logits a re-ranker is read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Answers {
    /// By number.
    Ids {
        /// Matches.
        yes: u32,
        /// Does not match.
        no: u32,
    },
    /// By spelling; each must be one token.
    Words {
        /// Matches.
        yes: String,
        /// Does not match.
        no: String,
    },
}

impl Answers {
    fn aurola() -> Self {
        Self::Words {
            yes: "Yes".to_owned(),
            no: "No".to_owned(),
        }
    }
}

impl Description {
    /// Reads what the folder `dir` says. With `preset`, AuroLA's prompts and pooling are used,
    /// whatever it says.
    ///
    /// # Errors
    ///
    /// [`ModelError::Json`] for a file that is damaged or holds a key that it should not;
    /// [`ModelError::Config`] for one that asks for what this program does not do.
    pub fn read(dir: &Path, preset: Option<PromptPreset>) -> Result<Self, ModelError> {
        let mut description = match aurola_json::read(dir)? {
            Some(description) => description,
            None => match sentence_transformers::read(dir)? {
                Some(description) => description,
                None => Self::aurola(PromptPreset::default(), "no description in the folder"),
            },
        };
        if let Some(preset) = preset {
            let chosen = Self::aurola(preset, "chosen by the caller");
            description.embedding = chosen.embedding;
        }
        if let Some(recipe) = &mut description.embedding
            && let Some(attention) = stated_attention(dir)?
        {
            recipe.attention = attention;
        }
        Ok(description)
    }

    /// An AuroLA checkpoint with the prompts of `preset`.
    fn aurola(preset: PromptPreset, by: &str) -> Self {
        Self {
            name: None,
            origin: Origin::Aurola,
            embedding: Some(EmbeddingRecipe {
                prompts: Stated::new(EmbeddingPrompts::aurola(preset), by),
                pooling: Stated::new(Pooling::BeforeEmb, by),
                attention: Stated::new(Attention::Causal, "Qwen2.5-Omni"),
                dim: None,
            }),
            rerank: RerankRecipe {
                prompts: Stated::new(RerankPrompts::aurola(), by),
                answers: Answers::aurola(),
            },
        }
    }
}

impl EmbeddingRecipe {
    /// The facts that decide a vector, without who states them: for a fingerprint.
    pub(crate) fn stable(&self) -> serde_json::Value {
        serde_json::json!({ "pooling": self.pooling.value, "attention": self.attention.value })
    }
}

/// Attention by the model type in `config.json`: one relative changed the class and nothing else.
fn stated_attention(dir: &Path) -> Result<Option<Stated<Attention>>, ModelError> {
    let config = read_json(dir, "config.json")?.unwrap_or_default();
    let kind = config.get("model_type").and_then(serde_json::Value::as_str);
    Ok((kind == Some("nvomniembed")).then(|| {
        Stated::new(
            Attention::Bidirectional,
            "config.json, model_type nvomniembed",
        )
    }))
}

/// The JSON of `name` in `dir`, or nothing where there is no such file.
fn read_json(dir: &Path, name: &str) -> Result<Option<serde_json::Value>, ModelError> {
    let path = dir.join(name);
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| ModelError::Json {
                path,
                reason: e.to_string(),
            }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(ModelError::io(&path)(e)),
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AurolaJson => "aurola.json",
            Self::SentenceTransformers => "sentence-transformers files",
            Self::Aurola => "AuroLA checkpoint",
        })
    }
}

impl fmt::Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BeforeEmb => "the position before <emb>",
            Self::LastToken => "the last position",
            Self::Mean => "the mean over all positions",
        })
    }
}

impl fmt::Display for Attention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Causal => "causal",
            Self::Bidirectional => "bidirectional",
        })
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ids { yes, no } => write!(f, "the ids {yes} (yes) and {no} (no)"),
            Self::Words { yes, no } => write!(f, "{yes:?} and {no:?}"),
        }
    }
}

/// A few lines for a person: each fact with the file that states it.
impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            writeln!(f, "name       {name}")?;
        }
        writeln!(f, "described  {}", self.origin)?;
        match &self.embedding {
            None => writeln!(f, "embedding  none: this checkpoint re-ranks")?,
            Some(recipe) => {
                writeln!(
                    f,
                    "pooling    {} ({})",
                    recipe.pooling.value, recipe.pooling.by
                )?;
                writeln!(
                    f,
                    "attention  {} ({})",
                    recipe.attention.value, recipe.attention.by
                )?;
                let prompts = &recipe.prompts.value;
                for (what, prompt) in [
                    ("audio", &prompts.audio),
                    ("text", &prompts.text),
                    ("both", &prompts.audio_text),
                ] {
                    writeln!(f, "{what:<9}  {prompt} ({})", recipe.prompts.by)?;
                }
            }
        }
        let rerank = &self.rerank;
        writeln!(f, "answers    {} ({})", rerank.answers, rerank.prompts.by)
    }
}

#[cfg(test)]
mod tests;
