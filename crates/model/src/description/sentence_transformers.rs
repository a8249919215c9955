//! The sentence-transformers layout, as AuroLA-Omni, LCO-Embedding-Omni, e5-omni and their like are
//! published.
//!
//! ```text
//! modules.json ──► Transformer   sentence_bert_config.json: message format, template arguments
//!                  1_Pooling     config.json: lasttoken | mean
//!                  2_Normalize   (ours always does)
//!                  1_LogitScore  config.json: ids of Yes and No, in a re-ranker
//! config_sentence_transformers.json: prompts by name, similarity
//! ```
//!
//! What sentence-transformers 5 does with them for a model that takes messages: an input is one user
//! message of typed parts, rendered by the checkpoint's own chat template; the prompt named `query`
//! (for text) or `document` (for clips) is a system message before it; a re-ranker's pair is a
//! message of the role `query` and one of the role `document`. Both spellings of the module types
//! are read, `sentence_transformers.models.…` and `sentence_transformers.base.modules.…`; what this
//! program does not run (a Dense layer, a class of the checkpoint's own) is an error.

use std::path::{Component, Path};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Answers, Attention, Description, EmbeddingRecipe, Origin, Pooling, RerankRecipe, Stated,
    read_json,
};
use crate::ModelError;
use crate::text::{Conversation, EmbeddingPrompts, RerankPrompts};

const MODULES: &str = "modules.json";
const MODEL_CONFIG: &str = "config_sentence_transformers.json";
const TRANSFORMER_CONFIG: &str = "sentence_bert_config.json";

/// Arguments of the processor that travel among the template's: none of them is for the template.
const NOT_FOR_THE_TEMPLATE: [&str; 6] = [
    "add_generation_prompt",
    "restore_suffix",
    "padding",
    "truncation",
    "max_length",
    "return_tensors",
];

#[derive(Debug, Deserialize)]
struct Module {
    idx: u32,
    #[serde(default)]
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

impl Module {
    /// The class without its package: `Pooling`.
    fn class(&self) -> &str {
        self.kind.rsplit('.').next().unwrap_or(&self.kind)
    }
}

/// `config_sentence_transformers.json`; other keys are records of versions.
#[derive(Debug, Default, Deserialize)]
struct ModelConfig {
    #[serde(default)]
    prompts: std::collections::BTreeMap<String, Option<String>>,
    default_prompt_name: Option<String>,
    similarity_fn_name: Option<String>,
}

/// `1_Pooling/config.json`, with the old switches and the new name of the mode.
#[derive(Debug, Default, Deserialize)]
struct PoolingConfig {
    #[serde(alias = "word_embedding_dimension")]
    embedding_dimension: Option<usize>,
    pooling_mode: Option<Value>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// `1_LogitScore/config.json`.
#[derive(Debug, Deserialize)]
struct LogitScoreConfig {
    true_token_id: u32,
    false_token_id: Option<u32>,
}

/// How messages are rendered.
struct Messages {
    generation_prompt: bool,
    arguments: Map<String, Value>,
}

/// The description in `dir`, or nothing where there is no `modules.json`.
pub(super) fn read(dir: &Path) -> Result<Option<Description>, ModelError> {
    let Some(modules) = read_as::<Vec<Module>>(dir, MODULES)? else {
        return Ok(None);
    };
    let refuse = |name: &str, reason: String| ModelError::Config {
        path: dir.join(name),
        reason,
    };
    let mut modules = modules;
    modules.sort_by_key(|module| module.idx);
    let model: ModelConfig = read_as(dir, MODEL_CONFIG)?.unwrap_or_default();

    let mut messages = None;
    let mut pooling = None;
    let mut answers = None;
    let mut normalized = false;
    for module in &modules {
        let ours = module.kind.starts_with("sentence_transformers.");
        let inside = Path::new(&module.path)
            .components()
            .all(|c| matches!(c, Component::Normal(_)));
        if !inside {
            return Err(refuse(
                MODULES,
                format!("{:?} is outside the folder", module.path),
            ));
        }
        let file = |name: &str| match module.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}/{name}"),
        };
        match module.class() {
            "Transformer" if ours => {
                messages = Some(read_messages(dir, &file(TRANSFORMER_CONFIG))?)
            }
            "Pooling" if ours => pooling = Some(read_pooling(dir, &file("config.json"))?),
            "Normalize" if ours => normalized = true,
            "LogitScore" if ours => answers = Some(read_answers(dir, &file("config.json"))?),
            _ => {
                let reason = format!(
                    "{} is none of the modules this program runs: Transformer, Pooling, Normalize, \
                     LogitScore",
                    module.kind
                );
                return Err(refuse(MODULES, reason));
            }
        }
    }
    let messages = messages
        .ok_or_else(|| refuse(MODULES, "has no Transformer, so nothing to run".to_owned()))?;
    let similarity = model.similarity_fn_name.as_deref().unwrap_or("cosine");
    if similarity != "cosine" && !(normalized && similarity == "dot") {
        let reason = format!(
            "ranks by {similarity} over vectors that are {}normalized; this program ranks by cosine",
            if normalized { "" } else { "not " }
        );
        return Err(refuse(MODEL_CONFIG, reason));
    }

    let mut description = Description::aurola(Default::default(), "AuroLA's own");
    description.origin = Origin::SentenceTransformers;
    description.embedding = match (pooling, &answers) {
        (Some((pooling, dim)), _) => Some(EmbeddingRecipe {
            prompts: Stated::new(embedding_prompts(&model, &messages), MODEL_CONFIG),
            pooling,
            attention: Stated::new(Attention::Causal, "Qwen2.5-Omni"),
            dim,
        }),
        (None, Some(_)) => None,
        (None, None) => {
            let reason = "has neither Pooling nor LogitScore, so nothing to read".to_owned();
            return Err(refuse(MODULES, reason));
        }
    };
    if let Some(answers) = answers {
        let prompts = Stated::new(rerank_prompts(&model, &messages), MODEL_CONFIG);
        description.rerank = RerankRecipe { prompts, answers };
    }
    Ok(Some(description))
}

fn read_as<T: for<'de> Deserialize<'de>>(dir: &Path, name: &str) -> Result<Option<T>, ModelError> {
    let Some(value) = read_json(dir, name)? else {
        return Ok(None);
    };
    serde_json::from_value(value)
        .map(Some)
        .map_err(|e| ModelError::Json {
            path: dir.join(name),
            reason: e.to_string(),
        })
}

/// How the Transformer module turns an input into a prompt.
fn read_messages(dir: &Path, name: &str) -> Result<Messages, ModelError> {
    let config = read_json(dir, name)?.unwrap_or_default();
    let refuse = |reason: String| ModelError::Config {
        path: dir.join(name),
        reason,
    };
    let Some(message) = config.pointer("/modality_config/message") else {
        let reason = "modality_config has no message, so the model takes text alone; describe its \
                      prompts for clips in aurola.json"
            .to_owned();
        return Err(refuse(reason));
    };
    if message.get("format").and_then(Value::as_str) == Some("flat") {
        return Err(refuse(
            "modality_config.message is flat: it has no place for a clip".to_owned(),
        ));
    }
    // The states after the final norm, by either name. Anything else would be another layer.
    let output = message.get("method_output_name").unwrap_or(&Value::Null);
    let layer = output
        .as_array()
        .and_then(|path| path.last())
        .and_then(Value::as_i64);
    let known = match output {
        Value::Null => true,
        Value::String(name) => {
            ["last_hidden_state", "hidden_states", "logits"].contains(&name.as_str())
        }
        _ => layer == Some(-1),
    };
    if !known {
        return Err(refuse(format!(
            "modality_config.message reads {output}; this program reads the last hidden state"
        )));
    }
    let mut arguments = config
        .pointer("/processing_kwargs/chat_template")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let generation_prompt = arguments.get("add_generation_prompt") == Some(&Value::Bool(true));
    arguments.retain(|key, _| !NOT_FOR_THE_TEMPLATE.contains(&key.as_str()));
    Ok(Messages {
        generation_prompt,
        arguments,
    })
}

type PoolingAndDim = (Stated<Pooling>, Option<Stated<usize>>);

fn read_pooling(dir: &Path, name: &str) -> Result<PoolingAndDim, ModelError> {
    let config: PoolingConfig = read_as(dir, name)?.unwrap_or_default();
    let modes: Vec<String> = match &config.pooling_mode {
        Some(Value::String(mode)) => vec![mode.clone()],
        Some(Value::Array(modes)) => modes
            .iter()
            .map(|m| m.as_str().unwrap_or("?").into())
            .collect(),
        Some(other) => vec![other.to_string()],
        None => config
            .others
            .iter()
            .filter(|(_, on)| on.as_bool() == Some(true))
            .filter_map(|(key, _)| key.strip_prefix("pooling_mode_").map(str::to_owned))
            .collect(),
    };
    let modes: Vec<&str> = modes.iter().map(String::as_str).collect();
    let pooling = match modes[..] {
        ["lasttoken"] => Pooling::LastToken,
        // Without any mode, sentence-transformers takes the mean.
        ["mean" | "mean_tokens"] | [] => Pooling::Mean,
        _ => {
            return Err(ModelError::Config {
                path: dir.join(name),
                reason: format!(
                    "pools by {}; this program does lasttoken or mean",
                    modes.join(" and ")
                ),
            });
        }
    };
    Ok((
        Stated::new(pooling, name),
        config.embedding_dimension.map(|dim| Stated::new(dim, name)),
    ))
}

fn read_answers(dir: &Path, name: &str) -> Result<Answers, ModelError> {
    let missing = |reason: &str| ModelError::Config {
        path: dir.join(name),
        reason: reason.to_owned(),
    };
    let config: LogitScoreConfig =
        read_as(dir, name)?.ok_or_else(|| missing("is missing: it gives the ids of Yes and No"))?;
    let no = config.false_token_id.ok_or_else(|| {
        missing("has no false_token_id; a probability weighs the true token against it")
    })?;
    Ok(Answers::Ids {
        yes: config.true_token_id,
        no,
    })
}

fn embedding_prompts(model: &ModelConfig, messages: &Messages) -> EmbeddingPrompts {
    let ask = |content: &str, task: &str| {
        let system = model.prompts.get(task).cloned().flatten();
        let mut conversation = conversation(system.as_deref(), &[("user", content)], messages);
        conversation
            .arguments
            .entry("task")
            .or_insert_with(|| task.into());
        conversation
    };
    EmbeddingPrompts {
        audio: ask("{audio}", "document"),
        text: ask("{text}", "query"),
        audio_text: ask("{audio}{text}", "document"),
    }
}

fn rerank_prompts(model: &ModelConfig, messages: &Messages) -> RerankPrompts {
    let name = model.default_prompt_name.as_ref();
    let system = name
        .and_then(|name| model.prompts.get(name))
        .cloned()
        .flatten();
    let ask = |query: &str, document: &str| {
        conversation(
            system.as_deref(),
            &[("query", query), ("document", document)],
            messages,
        )
    };
    RerankPrompts {
        audio_to_text: ask("{audio}", "{text}"),
        text_to_audio: ask("{text}", "{audio}"),
    }
}

fn conversation(system: Option<&str>, turns: &[(&str, &str)], messages: &Messages) -> Conversation {
    let system = system
        .filter(|words| !words.is_empty())
        .map(|words| ("system", words));
    let turns: Vec<_> = system.into_iter().chain(turns.iter().copied()).collect();
    let mut conversation = Conversation::new(&turns, messages.generation_prompt);
    conversation.arguments = messages.arguments.clone();
    conversation
}
