//! Prompts end to end.

use super::*;

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
