//! Checkpoints that are damaged, incomplete or contradict themselves: each a message that names the
//! file and what is wrong, never a panic, and never a model that half works.

use std::fs;
use std::path::{Path, PathBuf};

use aurola_model::{Input, LoadOptions, Model};
use serde_json::{Value, json};

use crate::{copy_of, edit_config, edit_weights, load, testdata};

/// The error of loading `dir`, which must name `file` and hold `words`.
fn refused(dir: &Path, file: &str, words: &str) {
    let message = load(dir)
        .expect_err("a damaged checkpoint was loaded")
        .to_string();
    assert!(message.contains(file), "{message:?} does not name {file}");
    assert!(
        message.contains(words),
        "{message:?} does not say {words:?}"
    );
}

#[test]
fn weights_cut_anywhere_are_refused() {
    let dir = copy_of("tiny");
    let path = dir.path().join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    for i in 0..100 {
        let at = whole.len() * i / 100;
        fs::write(&path, &whole[..at]).unwrap();
        let message = load(dir.path())
            .expect_err("cut weights were loaded")
            .to_string();
        assert!(
            message.contains("model.safetensors"),
            "cut at {at}: {message}"
        );
    }
}

#[test]
fn a_header_that_lies_is_refused() {
    let dir = copy_of("tiny");
    let path = dir.path().join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    for length in [0_u64, 1, 1 << 20, 1 << 40, 1 << 63, u64::MAX] {
        let mut bytes = whole.clone();
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        fs::write(&path, &bytes).unwrap();
        refused(dir.path(), "model.safetensors", "");
    }
    let header = |tensors: Value, data: usize| {
        let text = tensors.to_string();
        let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
        bytes.extend(text.as_bytes());
        bytes.extend(vec![0; data]);
        bytes
    };
    let tensor = |shape: Value, from: u64, to: u64| json!({"dtype": "F32", "shape": shape, "data_offsets": [from, to]});
    for (tensors, data) in [
        (
            json!({"a": tensor(json!([2]), 0, 8), "b": tensor(json!([2]), 4, 12)}),
            12,
        ),
        (json!({"a": tensor(json!([2]), 0, 8)}), 16),
        (json!({"a": tensor(json!([3]), 0, 8)}), 8),
        (json!({"a": tensor(json!([1_u64 << 62, 8]), 0, 8)}), 8),
        (json!({"a": tensor(json!([2]), 8, 0)}), 8),
        (json!({"a": 3}), 0),
        (json!({}), 0),
    ] {
        fs::write(&path, header(tensors.clone(), data)).unwrap();
        refused(dir.path(), "model.safetensors", "");
    }
}

#[test]
fn a_configuration_that_contradicts_the_weights_is_refused() {
    let edits: [(&str, Value, &str); 6] = [
        ("/text_config/num_hidden_layers", json!(3), "model.layers.2"),
        ("/text_config/num_hidden_layers", json!(1), "model.layers.1"),
        ("/text_config/intermediate_size", json!(640), "gate_proj"),
        (
            "/audio_config/encoder_layers",
            json!(9),
            "audio_tower.layers",
        ),
        ("/audio_config/encoder_ffn_dim", json!(7), "fc1"),
        ("/text_config/num_key_value_heads", json!(1), "k_proj"),
    ];
    for (key, value, words) in edits {
        let dir = copy_of("tiny");
        edit_config(dir.path(), |c| {
            *c.pointer_mut(key).expect("a key of the file") = value.clone()
        });
        refused(dir.path(), "model.safetensors", words);
    }
    let dir = copy_of("tiny");
    edit_config(dir.path(), |c| c["audio_token_index"] = json!(3));
    refused(dir.path(), "config.json", "audio token");
}

#[test]
fn a_file_that_is_missing_is_named_with_what_to_do() {
    for (file, words) in [
        ("config.json", "Thinker"),
        ("model.safetensors", "download"),
        ("preprocessor_config.json", "base model"),
    ] {
        let dir = copy_of("tiny");
        fs::remove_file(dir.path().join(file)).unwrap();
        refused(dir.path(), file, words);
    }
    let dir = copy_of("tiny");
    for file in ["tokenizer.json", "vocab.json", "merges.txt"] {
        fs::remove_file(dir.path().join(file)).unwrap();
    }
    refused(dir.path(), "tokenizer.json", "");

    let dir = copy_of("f16-sharded");
    let shard = "model-00002-of-00004.safetensors";
    fs::remove_file(dir.path().join(shard)).unwrap();
    refused(dir.path(), shard, "download");

    let nowhere = testdata("tiny").join("not-here");
    refused(&nowhere, "not-here", "folder");
}

#[test]
fn an_index_that_lies_is_refused() {
    for (name, words) in [
        ("../model.safetensors", "beside"),
        ("", "beside"),
        ("config.json", "safetensors"),
    ] {
        let dir = copy_of("f16-sharded");
        let path = dir.path().join("model.safetensors.index.json");
        let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        index["weight_map"]["lm_head.weight"] = json!(name);
        fs::write(&path, index.to_string()).unwrap();
        refused(
            dir.path(),
            if name == "config.json" {
                name
            } else {
                "index.json"
            },
            words,
        );
    }
    let dir = copy_of("f16-sharded");
    let path = dir.path().join("model.safetensors.index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    index["weight_map"]["model.ghost.weight"] = json!("model-00001-of-00004.safetensors");
    fs::write(&path, index.to_string()).unwrap();
    refused(
        dir.path(),
        "model-00001-of-00004.safetensors",
        "model.ghost.weight",
    );
}

#[test]
fn files_that_are_not_what_they_should_be_are_refused() {
    for file in [
        "config.json",
        "tokenizer.json",
        "preprocessor_config.json",
        "model.safetensors",
    ] {
        for content in [
            &b""[..],
            b"{",
            b"[]",
            b"null",
            b"\xff\xfe\x00",
            b"{\"a\": {\"b\": [1, 2",
            b"42",
        ] {
            let dir = copy_of("tiny");
            fs::write(dir.path().join(file), content).unwrap();
            refused(dir.path(), file, "");
        }
    }
    // A pickle could run code.
    let dir = copy_of("tiny");
    fs::rename(
        dir.path().join("model.safetensors"),
        dir.path().join("pytorch_model.bin"),
    )
    .unwrap();
    refused(dir.path(), "model.safetensors", "pickled");
    // A directory in the place of a file.
    let dir = copy_of("tiny");
    fs::remove_file(dir.path().join("model.safetensors")).unwrap();
    fs::create_dir(dir.path().join("model.safetensors")).unwrap();
    refused(dir.path(), "model.safetensors", "");
}

#[test]
fn a_nan_in_the_weights_is_an_error_and_not_an_embedding() {
    let dir = copy_of("tiny");
    let path = dir.path().join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let (header, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    for name in [
        "model.layers.0.self_attn.q_proj.weight",
        "model.norm.weight",
        "model.layers.1.mlp.up_proj.weight",
    ] {
        let at = 8 + header + metadata.info(name).unwrap().data_offsets.0;
        let before: [u8; 4] = bytes[at..at + 4].try_into().unwrap();
        bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
        fs::write(&path, &bytes).unwrap();
        let message = load(dir.path())
            .unwrap()
            .embed(&[Input::Text("rain")])
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("not finite") && message.contains("rain"),
            "{name}: {message}"
        );
        bytes[at..at + 4].copy_from_slice(&before);
    }
}

#[test]
fn an_adapter_for_another_base_is_refused() {
    let with = |adapter: PathBuf, base: &str| {
        let options = LoadOptions {
            adapter: Some(adapter),
            ..LoadOptions::default()
        };
        Model::load(&testdata(base), &options)
    };
    assert!(with(testdata("lora"), "tiny").is_ok());
    // Another width.
    let message = with(testdata("lora"), "f16-sharded")
        .unwrap_err()
        .to_string();
    assert!(message.contains("adapter_model.safetensors"), "{message}");
    // No adapter at all.
    let message = with(testdata("kv1"), "tiny").unwrap_err().to_string();
    assert!(message.contains("adapter_config.json"), "{message}");
    let dir = copy_of("lora");
    fs::write(
        dir.path().join("adapter_config.json"),
        r#"{"r": 4, "lora_alpha": 8, "use_dora": true}"#,
    )
    .unwrap();
    let message = with(dir.path().to_owned(), "tiny").unwrap_err().to_string();
    assert!(message.contains("use_dora"), "{message}");
    // Half of a pair.
    let dir = copy_of("lora");
    edit_weights(&dir.path().join("adapter_model.safetensors"), |tensors| {
        let a = tensors
            .keys()
            .find(|n| n.ends_with("lora_A.weight"))
            .cloned();
        tensors.remove(&a.unwrap());
    });
    let message = with(dir.path().to_owned(), "tiny").unwrap_err().to_string();
    assert!(message.contains("has no lora_A"), "{message}");
    // One layer by two names.
    let dir = copy_of("lora");
    edit_weights(&dir.path().join("adapter_model.safetensors"), |tensors| {
        let twins: Vec<_> = tensors
            .iter()
            .filter(|(name, _)| name.starts_with("base_model.model.model."))
            .map(|(name, t)| {
                (
                    name.replacen(".model.model.", ".model.thinker.model.", 1),
                    t.clone(),
                )
            })
            .collect();
        assert!(!twins.is_empty());
        tensors.extend(twins);
    });
    let message = with(dir.path().to_owned(), "tiny").unwrap_err().to_string();
    assert!(message.contains("the same layer"), "{message}");
}

#[test]
fn a_text_longer_than_the_context_is_refused_and_not_cut() {
    let dir = copy_of("tiny");
    edit_config(dir.path(), |c| {
        c["text_config"]["max_position_embeddings"] = json!(100)
    });
    let model = load(dir.path()).unwrap();
    assert!(model.embed(&[Input::Text("a dog barks")]).is_ok());
    let message = model
        .embed(&[Input::Text(&"a dog barks ".repeat(100))])
        .unwrap_err()
        .to_string();
    assert!(message.contains("100"), "{message}");
}

#[test]
#[cfg(unix)]
fn a_pipe_in_the_place_of_a_file_is_an_error_and_not_a_wait() {
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        let dir = copy_of("tiny");
        let path = dir.path().join(file);
        fs::remove_file(&path).unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap();
        assert!(made.success());
        refused(dir.path(), file, "regular file");
    }
}
