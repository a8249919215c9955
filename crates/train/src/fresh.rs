//! A new small model's folder: everything of a checkpoint but its weights.
//!
//! ```text
//! captions + prompts ─► byte-level BPE, the real special tokens ─┐
//! shape of the towers ─► config.json ────────────────────────────┴─► a folder that loads
//! ```
//!
//! The layout is the published one, so that every program that reads AuroLA's checkpoints reads these. Two
//! things differ in content: the vocabulary is learnt from the captions at hand, and the chat template
//! adds no system turn, which would cost a small model a fifth of its prompt.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer};

use crate::TrainError;

/// Qwen2's split of text into words (transformers 4.57.1).
const SPLIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Qwen2.5-Omni's special tokens, in the order of their ids.
const SPECIAL: [&str; 22] = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|AUDIO|>",
    "<|audio_bos|>",
    "<|audio_eos|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_bos|>",
    "<|vision_eos|>",
    "<|vision_pad|>",
    "<|IMAGE|>",
    "<|VIDEO|>",
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
];
/// AuroLA's own, which is an ordinary token.
const EMB: &str = "<emb>";

/// Words that must be one token each, and the prompts' own, which should be few: seen this often beside
/// the captions.
const PROMPT_WORDS: &str = "system\nuser\nassistant\nSummarize above audio in one word: Summarize above sentence in one word: Summarize above audio and sentence in one word: I will provide you with a query and a candidate. Please evaluate whether the candidate matches the query. If it does, respond with 'Yes'; if it doesn't, respond with 'No'.Query:Find an audio containing the sound events in the following caption: Candidate:Find a caption describing the sound events in the given audio.Candidate:";
const PROMPT_TIMES: usize = 2000;

/// One turn per message, audio between its marks.
const CHAT_TEMPLATE: &str = "{%- for message in messages -%}
  {{- '<|im_start|>' + message['role'] + '\\n' -}}
  {%- if message['content'] is string -%}
    {{- message['content'] -}}
  {%- else -%}
    {%- for part in message['content'] -%}
      {%- if part['type'] == 'audio' -%}
        {{- '<|audio_bos|><|AUDIO|><|audio_eos|>' -}}
      {%- elif 'text' in part -%}
        {{- part['text'] -}}
      {%- endif -%}
    {%- endfor -%}
  {%- endif -%}
  {{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{- '<|im_start|>assistant\\n' -}}
{%- endif -%}";

/// Shape of a new model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FreshConfig {
    /// Ids, special ones included; 1,000 to 200,000. Fewer where the captions have too few words.
    pub vocabulary: usize,
    /// Mel bands, 128 as released.
    pub mel_bands: usize,
    /// Width, layers, heads and inner width of the audio tower.
    pub audio_width: usize,
    /// Layers of the audio tower.
    pub audio_layers: usize,
    /// Heads of each.
    pub audio_heads: usize,
    /// Inner width of each layer's MLP.
    pub audio_inner: usize,
    /// Width of the language model.
    pub width: usize,
    /// Layers of the language model.
    pub layers: usize,
    /// Heads of its queries.
    pub heads: usize,
    /// Heads of its keys and values.
    pub kv_heads: usize,
    /// Inner width of each layer's MLP.
    pub inner: usize,
}

impl Default for FreshConfig {
    /// 5 million parameters.
    fn default() -> Self {
        Self {
            vocabulary: 4096,
            mel_bands: 128,
            audio_width: 192,
            audio_layers: 4,
            audio_heads: 4,
            audio_inner: 768,
            width: 256,
            layers: 4,
            heads: 4,
            kv_heads: 2,
            inner: 768,
        }
    }
}

/// Writes the folder of a new model: configuration, tokenizer, chat template, front end. The tokenizer is
/// that of the model in `like`, or learnt from `captions`. The weights are drawn by who trains it.
///
/// # Errors
///
/// [`TrainError::Io`] where a file cannot be written, [`TrainError::Setting`] for a vocabulary out of range,
/// [`TrainError::Tokenizer`] where the captions give no tokenizer.
pub fn write_folder(
    dir: &Path,
    config: &FreshConfig,
    like: Option<&Path>,
    captions: impl Iterator<Item = String> + Send,
) -> Result<(), TrainError> {
    if !(1000..=200_000).contains(&config.vocabulary) {
        return Err(TrainError::Setting {
            name: "vocabulary",
            value: config.vocabulary as f64,
            range: "1,000 to 200,000",
        });
    }
    std::fs::create_dir_all(dir).map_err(TrainError::io(dir))?;
    let tokenizer = match like {
        Some(dir) => Tokenizer::from_file(dir.join("tokenizer.json")),
        None => learn(config.vocabulary, captions),
    };
    let tokenizer = tokenizer.map_err(TrainError::tokenizer)?;
    let path = dir.join("tokenizer.json");
    let text = tokenizer.to_string(false).map_err(TrainError::tokenizer)?;
    std::fs::write(&path, text).map_err(TrainError::io(&path))?;

    let id = |token: &str| tokenizer.token_to_id(token);
    let size = tokenizer.get_vocab_size(true);
    let files = [
        ("config.json", config_json(config, size, &id)),
        ("preprocessor_config.json", preprocessor_json(config)),
        ("tokenizer_config.json", tokenizer_json(&id)),
        (
            "generation_config.json",
            json!({"eos_token_id": id("<|im_end|>"), "pad_token_id": id("<|endoftext|>")}),
        ),
    ];
    for (name, value) in files {
        let path = dir.join(name);
        let text = serde_json::to_string_pretty(&value).expect("no map with odd keys") + "\n";
        std::fs::write(&path, text).map_err(TrainError::io(&path))?;
    }
    let path = dir.join("chat_template.jinja");
    std::fs::write(&path, CHAT_TEMPLATE).map_err(TrainError::io(&path))
}

fn learn(
    vocabulary: usize,
    captions: impl Iterator<Item = String> + Send,
) -> tokenizers::Result<Tokenizer> {
    let stages = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
        ]},
        "post_processor": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": serde_json::to_value(BPE::default())?,
    });
    let mut tokenizer: Tokenizer = stages.to_string().parse()?;
    // Sorted: the trainer numbers the alphabet in the order it is given.
    let mut trainer = tokenizers::models::TrainerWrapper::from(
        BpeTrainer::builder()
            .show_progress(false)
            .vocab_size(vocabulary - SPECIAL.len() - 1)
            .min_frequency(2)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build(),
    );
    let prompts = std::iter::repeat_n(PROMPT_WORDS.to_owned(), PROMPT_TIMES);
    tokenizer.train(&mut trainer, captions.chain(prompts))?;
    let special: Vec<AddedToken> = SPECIAL.iter().map(|t| AddedToken::from(*t, true)).collect();
    tokenizer.add_special_tokens(special)?;
    tokenizer.add_tokens([AddedToken::from(EMB, false).normalized(false)])?;
    Ok(tokenizer)
}

fn config_json(config: &FreshConfig, size: usize, id: &dyn Fn(&str) -> Option<u32>) -> Value {
    json!({
        "architectures": ["Qwen2_5OmniThinkerForConditionalGeneration"],
        "model_type": "qwen2_5_omni_thinker",
        "dtype": "bfloat16",
        "audio_config": {
            "model_type": "qwen2_5_omni_audio_encoder",
            "num_mel_bins": config.mel_bands,
            "d_model": config.audio_width,
            "encoder_layers": config.audio_layers,
            "num_hidden_layers": config.audio_layers,
            "encoder_attention_heads": config.audio_heads,
            "encoder_ffn_dim": config.audio_inner,
            "n_window": 100,
            "max_source_positions": 1500,
            "output_dim": config.width,
            "activation_function": "gelu",
            "scale_embedding": false,
        },
        "text_config": {
            "model_type": "qwen2_5_omni_text",
            "vocab_size": size,
            "hidden_size": config.width,
            "intermediate_size": config.inner,
            "num_hidden_layers": config.layers,
            "num_attention_heads": config.heads,
            "num_key_value_heads": config.kv_heads,
            "hidden_act": "silu",
            "rms_norm_eps": 1e-6,
            "rope_theta": 10_000.0,
            "rope_scaling": {"type": "default", "rope_type": "default", "mrope_section": mrope(config.width / config.heads)},
            "max_position_embeddings": 8192,
            "use_sliding_window": false,
            "tie_word_embeddings": true,
        },
        "tie_word_embeddings": true,
        "audio_token_index": id("<|AUDIO|>"),
        "audio_start_token_id": id("<|audio_bos|>"),
        "audio_end_token_id": id("<|audio_eos|>"),
        "image_token_index": id("<|IMAGE|>"),
        "video_token_index": id("<|VIDEO|>"),
        "vision_start_token_id": id("<|vision_bos|>"),
        "vision_end_token_id": id("<|vision_eos|>"),
        "bos_token_id": id("<|im_start|>"),
        "eos_token_id": id("<|im_end|>"),
        "pad_token_id": id("<|endoftext|>"),
        "user_token_id": id("user"),
        "position_id_per_seconds": 25,
        "seconds_per_chunk": 2,
    })
}

/// Shares of a head for time, height and width, as published models divide theirs (16, 24, 24 of 64). Without
/// images all three are the same positions.
fn mrope(dim: usize) -> [usize; 3] {
    let side = dim / 2 * 3 / 8;
    [dim / 2 - 2 * side, side, side]
}

fn preprocessor_json(config: &FreshConfig) -> Value {
    json!({
        "feature_extractor_type": "WhisperFeatureExtractor",
        "processor_class": "Qwen2_5OmniProcessor",
        "feature_size": config.mel_bands,
        "sampling_rate": 16_000,
        "hop_length": 160,
        "n_fft": 400,
        "chunk_length": 300,
        "n_samples": 4_800_000,
        "nb_max_frames": 30_000,
        "padding_side": "right",
        "padding_value": 0.0,
        "dither": 0.0,
        "return_attention_mask": true,
    })
}

fn tokenizer_json(id: &dyn Fn(&str) -> Option<u32>) -> Value {
    let token = |content: &str, special: bool| {
        json!({"content": content, "lstrip": false, "normalized": false, "rstrip": false,
            "single_word": false, "special": special})
    };
    let mut added = Map::new();
    for (content, special) in SPECIAL.iter().map(|t| (*t, true)).chain([(EMB, false)]) {
        if let Some(id) = id(content) {
            added.insert(id.to_string(), token(content, special));
        }
    }
    json!({
        "added_tokens_decoder": added,
        "audio_bos_token": "<|audio_bos|>",
        "audio_eos_token": "<|audio_eos|>",
        "audio_token": "<|AUDIO|>",
        "eos_token": "<|im_end|>",
        "image_token": "<|IMAGE|>",
        "video_token": "<|VIDEO|>",
        "vision_bos_token": "<|vision_bos|>",
        "vision_eos_token": "<|vision_eos|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": 8192,
        "processor_class": "Qwen2_5OmniProcessor",
        "tokenizer_class": "Qwen2Tokenizer",
    })
}

#[cfg(test)]
mod tests {
    use aurola_model::config::ThinkerConfig;
    use aurola_model::text::{Direction, PromptInput, TextOptions, TextSide};

    use super::*;

    #[test]
    fn the_folder_loads_and_its_prompts_are_short() {
        let dir = tempfile::tempdir().unwrap();
        let captions = (0..200).map(|i| format!("A dog barks {i} times while heavy rain falls."));
        write_folder(dir.path(), &FreshConfig::default(), None, captions).unwrap();
        let config = ThinkerConfig::read(dir.path()).unwrap();
        assert_eq!(config.text.hidden_size, 256);
        let text = TextSide::load(
            dir.path(),
            &TextOptions {
                audio_token_id: config.audio_token_id,
                ..TextOptions::default()
            },
        )
        .unwrap();
        let (yes, no) = text.yes_no_ids().unwrap();
        assert_ne!(yes, no);
        let prompt = text
            .embedding_prompt(PromptInput::Text("A dog barks."))
            .unwrap();
        assert!(prompt.ids.len() < 24, "{} ids", prompt.ids.len());
        assert!(
            prompt
                .ids
                .iter()
                .all(|id| (*id as usize) < config.text.vocab_size)
        );
        let prompt = text
            .rerank_prompt(Direction::AudioToText, 25, "A dog barks.")
            .unwrap();
        assert!(prompt.ids.len() < 110, "{} ids", prompt.ids.len());
        let odd = "snow ☃ 12 <emb> ü";
        let ids = text.tokenizer().encode(odd).unwrap();
        assert_eq!(
            text.tokenizer().decode(&ids, false).unwrap(),
            odd,
            "every byte is spelled"
        );
    }

    #[test]
    fn the_same_captions_give_the_same_bytes() {
        let make = || {
            let dir = tempfile::tempdir().unwrap();
            let captions = ["a bell rings", "rain", "a bell rings twice"].map(str::to_owned);
            write_folder(
                dir.path(),
                &FreshConfig::default(),
                None,
                captions.into_iter(),
            )
            .unwrap();
            std::fs::read(dir.path().join("tokenizer.json")).unwrap()
        };
        assert!(make() == make());
    }
}
