//! The tokenizer and the files it is made of.

use super::*;

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

/// A download may be damaged anywhere. Whatever loads must also work.
#[test]
fn a_byte_changed_anywhere_is_an_error_or_a_tokenizer_and_never_a_panic() {
    use rand::{Rng, SeedableRng};
    const TELLING: &[u8] = b"\"{}[]:,0129aN\\n. ";
    let mut rng = rand::rngs::StdRng::seed_from_u64(1);
    let whole = tokenizer_json().to_string().into_bytes();
    let dir = checkpoint(&tokenizer_json());
    let mut loaded = 0;
    for _ in 0..400 {
        let mut bytes = whole.clone();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..bytes.len());
            bytes[at] = TELLING[rng.random_range(0..TELLING.len())];
        }
        fs::write(dir.path().join("tokenizer.json"), bytes).unwrap();
        if let Ok(text) = load(&dir) {
            loaded += 1;
            for caption in ODD {
                let _ = text.embedding_prompt(PromptInput::AudioText(2, caption));
                let _ = text.rerank_prompt(Direction::TextToAudio, 2, caption);
            }
        }
    }
    assert!(
        loaded > 10,
        "only {loaded} of 400 loaded, so little was tried"
    );
}
