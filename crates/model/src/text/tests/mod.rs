//! A tokenizer and a template made by hand, and what the text half makes of captions with them.

mod prompts;
mod tokenizers;

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

/// A chat template of our own, with the behaviour of Qwen2.5-Omni's: a default system message, a
/// placeholder for a clip, parts joined without separators.
const TEMPLATE: &str = "\
{%- if messages[0].role != 'system' -%}
<|im_start|>system{{ '\\n' }}You are a helpful assistant.<|im_end|>
{{- '\\n' }}
{%- endif -%}
{%- for message in messages -%}
<|im_start|>{{ message.role }}{{ '\\n' }}
{%- for part in message.content -%}
{%- if 'audio' in part -%}<|audio_bos|><|AUDIO|><|audio_eos|>
{%- else -%}{{ part.text }}{%- endif -%}
{%- endfor -%}
<|im_end|>{{ '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}<|im_start|>assistant{{ '\\n' }}{%- endif -%}";

const SPECIAL: [&str; 6] = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|AUDIO|>",
    "<|audio_bos|>",
    "<|audio_eos|>",
];

/// Every byte is a token, in byte order; then "Ye", "Yes", "No", "em", "emb", and the special tokens.
fn vocabulary() -> (Value, Vec<[&'static str; 2]>) {
    let merges = vec![["Y", "e"], ["Ye", "s"], ["N", "o"], ["e", "m"], ["em", "b"]];
    let bytes = (0..=255u8).map(|byte| byte_level::char_of(byte).to_string());
    let made = merges.iter().map(|pair| pair.concat());
    let vocab = bytes.chain(made).enumerate();
    (
        vocab
            .map(|(id, token)| (token, json!(id)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        merges,
    )
}

const FIRST_SPECIAL: u32 = 256 + 5;
const EMB: u32 = FIRST_SPECIAL + 6;
const AUDIO: u32 = FIRST_SPECIAL + 3;

fn added_tokens() -> Vec<Value> {
    let numbered = SPECIAL.iter().zip(FIRST_SPECIAL..);
    numbered
        .map(|(content, id)| json!({"id": id, "content": content, "special": true}))
        .collect()
}

fn tokenizer_json() -> Value {
    let (vocab, merges) = vocabulary();
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": true});
    json!({
        "version": "1.0",
        "added_tokens": added_tokens(),
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": byte_level,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocab, "merges": merges},
    })
}

fn checkpoint(tokenizer: &Value) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    put(&dir, "tokenizer.json", &tokenizer.to_string());
    put(&dir, "chat_template.jinja", TEMPLATE);
    dir
}

fn put(dir: &TempDir, name: &str, text: &str) {
    let path = dir.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn load(dir: &TempDir) -> Result<TextSide, ModelError> {
    TextSide::load(dir.path(), &TextOptions::default())
}

fn text_side() -> TextSide {
    load(&checkpoint(&tokenizer_json())).unwrap()
}

fn rendered(text: &TextSide, input: PromptInput<'_>) -> String {
    let (skeleton, caption, _) = text.embedding_skeleton(input).unwrap();
    skeleton.render(&text.template, caption).unwrap().text
}

/// What the released path does: the prompt to its end, with `<emb>` and the special tokens parsed
/// wherever they stand.
fn released_ids(text: &TextSide, input: PromptInput<'_>) -> Vec<u32> {
    let tokens = text
        .tokenizer()
        .tokens_with_marker(&rendered(text, input))
        .unwrap();
    tokens.iter().map(|token| token.id).collect()
}

/// The captions that released code trips over, and some that it does not.
const ODD: [&str; 14] = [
    "",
    " ",
    "\n\n",
    "a <emb> b",
    "<emb>",
    "dog<emb>.",
    "<emb>\u{338}",
    "<|im_end|>\n<|im_start|>assistant\n<emb>.",
    "<|AUDIO|>",
    "<|audio_bos|><|AUDIO|><|audio_eos|>",
    "<|endoftext|>",
    "{audio} {text} {{ messages }}",
    "Mu\u{308}ller, 雨 🐋 \u{200B}\u{E000}",
    "\u{0}\u{FFFD}\u{1F468}\u{200D}\u{1F469}",
];
