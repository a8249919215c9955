//! Prompts end to end, on a tokenizer and a template made by hand.

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

const SYSTEM: &str = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n";

#[test]
fn the_evaluation_prompts_by_hand() {
    let text = text_side();
    let end = "<|im_end|>\n<|im_start|>assistant\n<emb>.<|im_end|>\n<|im_start|>assistant\n";
    let clip = "<|audio_bos|><|AUDIO|><|audio_eos|>";
    for (input, user) in [
        (
            PromptInput::Text("dog"),
            "dog\nSummarize above sentence in one word: ".to_owned(),
        ),
        (
            PromptInput::Audio(3),
            format!("{clip}\nSummarize above audio in one word: "),
        ),
        (
            PromptInput::AudioText(3, "dog"),
            format!("{clip}dog\nSummarize above audio and sentence in one word: "),
        ),
    ] {
        let expected = format!("{SYSTEM}<|im_start|>user\n{user}{end}");
        assert_eq!(rendered(&text, input), expected);
    }
}

#[test]
fn the_demo_prompts_by_hand() {
    let options = TextOptions {
        preset: Some(PromptPreset::Demo),
        ..TextOptions::default()
    };
    let text = TextSide::load(checkpoint(&tokenizer_json()).path(), &options).unwrap();
    let end = "<|im_end|>\n<|im_start|>assistant\n<emb>.<|im_end|>\n";
    let clip = "<|audio_bos|><|AUDIO|><|audio_eos|>";
    for (input, user) in [
        (
            PromptInput::Text("dog"),
            "dog\nSummarize above sentence in one word:".to_owned(),
        ),
        (
            PromptInput::Audio(3),
            format!("{clip}Summarize above audio in one word:"),
        ),
    ] {
        let expected = format!("{SYSTEM}<|im_start|>user\n{user}{end}");
        assert_eq!(rendered(&text, input), expected);
    }
}

#[test]
fn a_prompt_ends_at_the_line_break_before_emb() {
    let text = text_side();
    let prompt = text.embedding_prompt(PromptInput::Text("dog")).unwrap();
    let written = text.tokenizer().decode(&prompt.ids, false).unwrap();
    assert!(
        written.ends_with("<|im_end|>\n<|im_start|>assistant\n"),
        "{written}"
    );
    assert!(!prompt.ids.contains(&EMB));
    assert_eq!(prompt.pooled, prompt.ids.len() - 1);
    assert_eq!(prompt.ids[prompt.pooled], u32::from(b'\n'));
    assert_eq!(prompt.audio_at, None);
}

#[test]
fn a_clip_takes_one_position_for_each_of_its_states() {
    let text = text_side();
    let one = text.embedding_prompt(PromptInput::Audio(1)).unwrap();
    let many = text.embedding_prompt(PromptInput::Audio(250)).unwrap();
    let at = many.audio_at.clone().unwrap();
    assert_eq!(at.len(), 250);
    assert!(many.ids[at.clone()].iter().all(|&id| id == AUDIO));
    assert_eq!(many.ids.len(), one.ids.len() + 249);
    assert_eq!(many.ids[..at.start], one.ids[..at.start]);
    assert_eq!(many.ids[at.end..], one.ids[at.start + 1..]);
    let error = text.embedding_prompt(PromptInput::Audio(0)).unwrap_err();
    assert!(error.to_string().contains("too short"), "{error}");
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

#[test]
fn whatever_the_caption_says_ids_are_the_released_ones_and_the_read_position_is_ours() {
    let text = text_side();
    for caption in ODD {
        let input = PromptInput::Text(caption);
        let released = released_ids(&text, input);
        let ours = text.embedding_prompt(input).unwrap();
        let (read, rest) = released.split_at(ours.ids.len());
        assert_eq!(ours.ids, read, "{caption:?}");
        // The last `<emb>` is the template's; the released code takes the first.
        assert_eq!(rest[0], EMB, "{caption:?}");
        assert_eq!(
            ours.pooled + 1,
            released.iter().rposition(|&id| id == EMB).unwrap()
        );
    }
}

#[test]
fn a_re_ranker_reads_emb_as_letters_unless_its_checkpoint_has_it() {
    let text = text_side();
    let prompt = text
        .rerank_prompt(Direction::AudioToText, 1, "<emb>")
        .unwrap();
    assert!(!prompt.ids.contains(&EMB));
    assert_eq!(
        text.tokenizer().encode("<emb>").unwrap(),
        [u32::from(b'<'), 260, u32::from(b'>')]
    );
}

#[test]
fn a_placeholder_in_a_caption_is_not_the_clip() {
    let text = text_side();
    for caption in ODD {
        let empty = text
            .embedding_prompt(PromptInput::AudioText(7, ""))
            .unwrap();
        let odd = text
            .embedding_prompt(PromptInput::AudioText(7, caption))
            .unwrap();
        assert_eq!(odd.audio_at, empty.audio_at, "{caption:?}");

        // The clip comes after the caption here, so the caption's own placeholder comes first.
        let before = text
            .rerank_prompt(Direction::TextToAudio, 7, caption)
            .unwrap();
        let at = before.audio_at.unwrap();
        assert_eq!(at.len(), 7);
        let expected = text
            .tokenizer()
            .encode("<|audio_eos|><|im_end|>\n<|im_start|>assistant\n");
        assert_eq!(before.ids[at.end..], expected.unwrap(), "{caption:?}");

        let after = text
            .rerank_prompt(Direction::AudioToText, 7, caption)
            .unwrap();
        let plain = text
            .rerank_prompt(Direction::AudioToText, 7, "dog")
            .unwrap();
        assert_eq!(after.audio_at, plain.audio_at, "{caption:?}");

        let alone = text.embedding_prompt(PromptInput::Text(caption)).unwrap();
        assert_eq!(alone.audio_at, None);
    }
}

#[test]
fn a_template_that_trims_a_caption_keeps_its_markers() {
    let dir = checkpoint(&tokenizer_json());
    put(
        &dir,
        "chat_template.jinja",
        &TEMPLATE.replace("part.text }}", "part.text | trim }}"),
    );
    let text = load(&dir).unwrap();
    let input = PromptInput::Text("  <emb>");
    assert!(rendered(&text, input).contains("user\n<emb>\nSumm"));
    let released = released_ids(&text, input);
    let last = released.iter().rposition(|&id| id == EMB).unwrap();
    assert_eq!(text.embedding_prompt(input).unwrap().ids, released[..last]);
}

#[test]
fn a_template_that_moves_its_words_with_the_caption_is_refused() {
    let dir = checkpoint(&tokenizer_json());
    let template =
        format!("{{% if 'dog' in messages[0].content[0].text %}}x{{% endif %}}{TEMPLATE}");
    put(&dir, "chat_template.jinja", &template);
    let text = load(&dir).unwrap();
    assert!(text.embedding_prompt(PromptInput::Text("cat")).is_ok());
    let error = text
        .embedding_prompt(PromptInput::Text("dog"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("changes its own words"), "{error}");
}

#[test]
fn rerank_prompts_by_hand() {
    let text = text_side();
    let task = "I will provide you with a query and a candidate. Please evaluate whether the candidate matches the query. If it does, respond with 'Yes'; if it doesn't, respond with 'No'.";
    let clip = "<|audio_bos|><|AUDIO|><|AUDIO|><|audio_eos|>";
    let end = "<|im_end|>\n<|im_start|>assistant\n";
    for (direction, pair) in [
        (
            Direction::AudioToText,
            format!(
                "Query:{clip}Find a caption describing the sound events in the given audio.Candidate:dog"
            ),
        ),
        (
            Direction::TextToAudio,
            format!(
                "Query:Find an audio containing the sound events in the following caption: dogCandidate:{clip}"
            ),
        ),
    ] {
        let prompt = text.rerank_prompt(direction, 2, "dog").unwrap();
        let written = text.tokenizer().decode(&prompt.ids, false).unwrap();
        assert_eq!(
            written,
            format!("{SYSTEM}<|im_start|>user\n{task}{pair}{end}")
        );
        assert_eq!(prompt.pooled, prompt.ids.len() - 1);
    }
    let id = |token| text.tokenizer().id(token).unwrap();
    assert_eq!(text.yes_no_ids().unwrap(), (id("Yes"), id("No")));
    assert_eq!(text.yes_no_ids().unwrap(), (257, 258));
}

#[test]
fn a_caption_is_asked_for_in_three_styles() {
    let text = text_side();
    for style in [CaptionStyle::Long, CaptionStyle::Short, CaptionStyle::Tags] {
        let prompt = text.caption_prompt(4, style).unwrap();
        let written = text.tokenizer().decode(&prompt.ids, true).unwrap();
        assert!(written.ends_with("assistant\n"), "{written}");
        assert_eq!(prompt.audio_at.unwrap().len(), 4);
    }
    assert_eq!(text.stop_ids(), [FIRST_SPECIAL + 2, FIRST_SPECIAL]);
}

#[test]
fn a_prompt_longer_than_the_context_is_refused_and_never_cut() {
    let dir = checkpoint(&tokenizer_json());
    let length = text_side()
        .embedding_prompt(PromptInput::Text("dog"))
        .unwrap()
        .ids
        .len();
    let with = |context| {
        let options = TextOptions {
            context: Some(context),
            ..TextOptions::default()
        };
        TextSide::load(dir.path(), &options)
            .unwrap()
            .embedding_prompt(PromptInput::Text("dog"))
    };
    assert_eq!(with(length).unwrap().ids.len(), length);
    let error = with(length - 1).unwrap_err().to_string();
    assert!(
        error.contains(&format!("{length} tokens")) && error.contains("shorten"),
        "{error}"
    );
}

#[test]
fn the_cut_of_the_released_training_is_there_for_who_asks() {
    let text = text_side();
    assert_eq!(text.tokenizer().first_tokens("Yes, No", 2).unwrap(), "Yes,");
    assert_eq!(text.tokenizer().first_tokens("Yes", 480).unwrap(), "Yes");
}

#[test]
fn decoding_holds_a_character_back_until_it_is_whole() {
    let text = text_side();
    let ids = text.tokenizer().encode("雨<|im_end|>!").unwrap();
    assert_eq!(ids.len(), 5);
    let mut stream = text.tokenizer().stream(true);
    let pieces: Vec<String> = ids.iter().map(|&id| stream.push(id).unwrap()).collect();
    assert_eq!(pieces, ["", "", "雨", "", "!"]);
    assert_eq!(stream.finish(), "");
    assert!(text.tokenizer().stream(true).push(1 << 20).is_err());
}

#[test]
fn emb_is_added_at_the_end_or_taken_as_it_is() {
    let absent = text_side();
    assert_eq!(absent.tokenizer().id("<emb>"), None);
    let alone = absent.tokenizer().tokens_with_marker("x<emb>.").unwrap();
    assert_eq!((alone[1].id, alone[1].at.clone()), (EMB, 1..6));

    let mut present = tokenizer_json();
    let own = json!({"id": EMB, "content": "<emb>", "special": false, "normalized": true});
    present["added_tokens"].as_array_mut().unwrap().push(own);
    let present = load(&checkpoint(&present)).unwrap();
    assert_eq!(present.tokenizer().id("<emb>"), Some(EMB));
    for caption in ODD {
        let input = PromptInput::Text(caption);
        let prompts = [&absent, &present].map(|t| t.embedding_prompt(input).unwrap());
        assert_eq!(prompts[0], prompts[1]);
    }
}

#[test]
fn vocab_and_merges_make_the_same_tokenizer() {
    // Qwen2's split differs from the plain byte-level one, so the whole file is built with it.
    let mut with_split = tokenizer_json();
    with_split["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "behavior": "Isolated", "invert": false, "pattern": {"Regex": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
    ]});
    let whole = load(&checkpoint(&with_split)).unwrap();

    let (vocab, merges) = vocabulary();
    let lines: String = merges
        .iter()
        .map(|pair| format!("{} {}\n", pair[0], pair[1]))
        .collect();
    let parts = tempfile::tempdir().unwrap();
    put(&parts, "vocab.json", &vocab.to_string());
    put(&parts, "merges.txt", &format!("#version: 0.2\n{lines}"));
    put(
        &parts,
        "chat_template.json",
        &json!({"chat_template": TEMPLATE}).to_string(),
    );
    let names: serde_json::Map<String, Value> = SPECIAL
        .iter()
        .zip(FIRST_SPECIAL..)
        .map(|(&c, id)| (c.to_owned(), json!(id)))
        .collect();
    put(
        &parts,
        "added_tokens.json",
        &Value::Object(names).to_string(),
    );
    put(
        &parts,
        "special_tokens_map.json",
        &json!({"additional_special_tokens": SPECIAL}).to_string(),
    );
    let parts = load(&parts).unwrap();

    for caption in ODD.iter().chain(&["Yes, No. don't\n\n x  123  "]) {
        let input = PromptInput::Text(caption);
        let prompts = [&whole, &parts].map(|t| t.embedding_prompt(input).unwrap());
        assert_eq!(prompts[0], prompts[1], "{caption:?}");
    }
    assert_eq!(
        parts
            .tokenizer()
            .decode(&[FIRST_SPECIAL, 65], true)
            .unwrap(),
        "A"
    );
}

#[test]
fn an_added_token_of_the_config_counts_even_beside_an_older_tokenizer_json() {
    let dir = checkpoint(&tokenizer_json());
    let config = |id: u32| {
        let token = json!({"content": "<emb>", "special": false, "normalized": true});
        json!({"added_tokens_decoder": {id.to_string(): token}}).to_string()
    };
    put(&dir, "tokenizer_config.json", &config(EMB));
    assert_eq!(load(&dir).unwrap().tokenizer().id("<emb>"), Some(EMB));
    put(&dir, "tokenizer_config.json", &config(EMB + 4));
    let error = load(&dir).unwrap_err().to_string();
    assert!(
        error.contains("tokenizer_config.json") && error.contains("not of one checkpoint"),
        "{error}"
    );
}

#[test]
fn a_damaged_or_foreign_tokenizer_is_an_error_with_its_entry() {
    type Damage = fn(&mut Value);
    let cases: [(Damage, &str); 9] = [
        (
            |t| t["model"]["merges"][0] = json!(["Yes", "No"]),
            "merge 0",
        ),
        (|t| t["model"]["merges"][0] = json!("Yes"), "not two tokens"),
        (|t| t["model"]["dropout"] = json!(0.1), "dropout"),
        (
            |t| t["model"]["continuing_subword_prefix"] = json!("##"),
            "##",
        ),
        (|t| t["model"]["type"] = json!("WordPiece"), "WordPiece"),
        (|t| t["model"]["vocab"]["Yes"] = json!(3), "taken"),
        (
            |t| drop(t["model"]["vocab"].as_object_mut().unwrap().remove("a")),
            "0x61",
        ),
        (
            |t| t["normalizer"] = json!({"type": "Lowercase"}),
            "Lowercase",
        ),
        (
            |t| t["added_tokens"][1]["id"] = json!(300),
            "not of one checkpoint",
        ),
    ];
    for (damage, expected) in cases {
        let mut tokenizer = tokenizer_json();
        damage(&mut tokenizer);
        let error = load(&checkpoint(&tokenizer)).unwrap_err().to_string();
        assert!(
            error.contains("tokenizer.json") && error.contains(expected),
            "{error}"
        );
    }
}

#[test]
fn a_tokenizer_cut_anywhere_is_an_error() {
    let whole = tokenizer_json().to_string();
    let dir = checkpoint(&tokenizer_json());
    for end in (0..whole.len() - 1)
        .filter(|&end| whole.is_char_boundary(end))
        .step_by(97)
    {
        put(&dir, "tokenizer.json", &whole[..end]);
        assert!(
            matches!(load(&dir), Err(ModelError::Json { .. })),
            "cut at {end}"
        );
    }
}

#[test]
fn missing_files_are_named_with_what_to_do() {
    let dir = checkpoint(&tokenizer_json());
    fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
    let error = load(&dir).unwrap_err().to_string();
    assert!(
        error.contains("no tokenizer.json") && error.contains("copy"),
        "{error}"
    );
}

#[test]
fn the_audio_token_of_the_configuration_must_be_the_tokenizers() {
    let dir = checkpoint(&tokenizer_json());
    let with = |id| {
        let options = TextOptions {
            audio_token_id: Some(id),
            ..TextOptions::default()
        };
        TextSide::load(dir.path(), &options)
    };
    assert_eq!(with(AUDIO).unwrap().audio_id(), AUDIO);
    let error = with(151_646).unwrap_err();
    assert!(matches!(&error, ModelError::Config { .. }), "{error}");
    assert!(error.to_string().contains("151646"), "{error}");
}

#[test]
fn the_fingerprint_knows_prompts_and_tokenizer_and_nothing_else() {
    let plain = text_side().fingerprint();
    assert_eq!(plain, text_side().fingerprint());

    let dir = checkpoint(&tokenizer_json());
    put(&dir, "README.md", "other words");
    assert_eq!(load(&dir).unwrap().fingerprint(), plain);
    put(
        &dir,
        "chat_template.jinja",
        &TEMPLATE.replace("helpful", "careful"),
    );
    assert_ne!(load(&dir).unwrap().fingerprint(), plain);

    let options = TextOptions {
        preset: Some(PromptPreset::Demo),
        ..TextOptions::default()
    };
    let demo = TextSide::load(checkpoint(&tokenizer_json()).path(), &options).unwrap();
    assert_ne!(demo.fingerprint(), plain);
}

#[test]
fn a_described_relative_is_read_at_its_last_token() {
    let dir = checkpoint(&tokenizer_json());
    put(&dir, "modules.json", &json!([
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.sentence_transformer.modules.pooling.Pooling"},
    ]).to_string());
    put(
        &dir,
        "1_Pooling/config.json",
        &json!({"embedding_dimension": 64, "pooling_mode": "lasttoken"}).to_string(),
    );
    put(&dir, "sentence_bert_config.json", &json!({
        "modality_config": {"message": {"method": "forward", "method_output_name": "logits", "format": "structured"}},
        "processing_kwargs": {"chat_template": {"add_generation_prompt": true}},
    }).to_string());
    put(
        &dir,
        "config_sentence_transformers.json",
        &json!({"prompts": {"query": "Find the sound.", "document": ""}}).to_string(),
    );
    let text = load(&dir).unwrap();

    // Nobody adds `<emb>` to a relative's tokenizer, so in a caption it is five characters.
    let odd = text.embedding_prompt(PromptInput::Text("<emb>")).unwrap();
    assert!(!odd.ids.contains(&EMB));
    let prompt = text.embedding_prompt(PromptInput::Text("dog")).unwrap();
    let written = text.tokenizer().decode(&prompt.ids, false).unwrap();
    assert_eq!(
        written,
        "<|im_start|>system\nFind the sound.<|im_end|>\n<|im_start|>user\ndog<|im_end|>\n<|im_start|>assistant\n"
    );
    let clip = text.embedding_prompt(PromptInput::Audio(1)).unwrap();
    let written = text.tokenizer().decode(&clip.ids, false).unwrap();
    assert_eq!(
        written,
        format!(
            "{SYSTEM}<|im_start|>user\n<|audio_bos|><|AUDIO|><|audio_eos|><|im_end|>\n<|im_start|>assistant\n"
        )
    );
}
