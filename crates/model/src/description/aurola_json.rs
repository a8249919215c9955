//! `aurola.json`: a checkpoint described in our own words, where no other file does it.
//!
//! ```json
//! {
//!   "schema": 1,
//!   "name": "LCO-Embedding-Omni-3B",
//!   "pooling": "last-token",
//!   "prompts": {
//!     "audio": {
//!       "messages": [{"role": "user", "content": "{audio}\nSummarize the above audio in one word:"}],
//!       "generation_prompt": true
//!     },
//!     "text": {
//!       "messages": [{"role": "user", "content": "{text}\nSummarize the above text in one word:"}],
//!       "generation_prompt": true
//!     },
//!     "audio_text": {
//!       "messages": [{"role": "user", "content": "{audio}{text}\nSummarize the above in one word:"}],
//!       "generation_prompt": true
//!     }
//!   }
//! }
//! ```
//!
//! Every key but `schema` may be left out and is then AuroLA's; a key that is not in
//! [`AurolaJson`] is an error. `preset` names AuroLA's prompts in place of spelling `prompts` out.

use std::path::Path;

use serde::Deserialize;

use super::{Answers, Attention, Description, Origin, Pooling, Stated, read_json};
use crate::ModelError;
use crate::text::{EmbeddingPrompts, PromptPreset, RerankPrompts};

/// Name of the file.
const FILE: &str = "aurola.json";

/// Version of the layout below.
const SCHEMA: u32 = 1;

/// What `aurola.json` may hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AurolaJson {
    /// 1.
    schema: u32,
    /// What the checkpoint is called.
    name: Option<String>,
    /// `evaluation` (the default) or `demo`: AuroLA's embedding prompts.
    preset: Option<PromptPreset>,
    /// Embedding prompts, in place of `preset`.
    prompts: Option<EmbeddingPrompts>,
    /// `before-emb` (the default), `last-token` or `mean`.
    pooling: Option<Pooling>,
    /// `causal` (the default) or `bidirectional`.
    attention: Option<Attention>,
    /// Re-rank prompts.
    rerank: Option<RerankPrompts>,
    /// `{"yes": "Yes", "no": "No"}` (the default), or two token ids.
    answers: Option<Answers>,
}

/// The description in `dir`, or nothing where there is no `aurola.json`.
pub(super) fn read(dir: &Path) -> Result<Option<Description>, ModelError> {
    let Some(value) = read_json(dir, FILE)? else {
        return Ok(None);
    };
    let refuse = |reason: String| ModelError::Json {
        path: dir.join(FILE),
        reason,
    };
    let file: AurolaJson = serde_json::from_value(value).map_err(|e| refuse(e.to_string()))?;
    if file.schema != SCHEMA {
        let found = file.schema;
        return Err(refuse(format!(
            "schema {found}; this program reads schema {SCHEMA}"
        )));
    }
    if file.preset.is_some() && file.prompts.is_some() {
        return Err(refuse(
            "has both preset and prompts; keep one of them".to_owned(),
        ));
    }

    let mut description = Description::aurola(file.preset.unwrap_or_default(), FILE);
    description.origin = Origin::AurolaJson;
    description.name = file.name;
    if let Some(recipe) = &mut description.embedding {
        if let Some(prompts) = file.prompts {
            for (key, prompt, audio, text) in [
                ("audio", &prompts.audio, true, false),
                ("text", &prompts.text, false, true),
                ("audio_text", &prompts.audio_text, true, true),
            ] {
                let check = prompt.expect_slots(audio, text);
                check.map_err(|e| refuse(format!("prompts.{key} {e}")))?;
            }
            recipe.prompts = Stated::new(prompts, FILE);
        }
        if let Some(pooling) = file.pooling {
            recipe.pooling = Stated::new(pooling, FILE);
        }
        if let Some(attention) = file.attention {
            recipe.attention = Stated::new(attention, FILE);
        }
    }
    if let Some(prompts) = file.rerank {
        for (key, prompt) in [
            ("audio_to_text", &prompts.audio_to_text),
            ("text_to_audio", &prompts.text_to_audio),
        ] {
            let check = prompt.expect_slots(true, true);
            check.map_err(|e| refuse(format!("rerank.{key} {e}")))?;
        }
        description.rerank.prompts = Stated::new(prompts, FILE);
    }
    if let Some(answers) = file.answers {
        description.rerank.answers = answers;
    }
    Ok(Some(description))
}
