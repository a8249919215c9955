//! Checkpoints that are sound and not like the recorded ones: each is used as far as it goes, and
//! what it cannot do is a message.

use std::fs;

use aurola_audio::{LogMel, MelFilters, log_mel};
use aurola_compute::Dtype;
use aurola_compute::packed::Form;
use aurola_model::{CaptionStyle, Generation, Input, LoadOptions, Model};
use safetensors::tensor::Dtype as StoredDtype;
use serde_json::json;

use crate::{Stored, copy_of, edit_config, edit_weights, load, testdata};

/// A tone of one second.
fn tone(model: &Model) -> LogMel {
    let samples: Vec<f32> = (0..16_000).map(|i| (i as f32 * 0.2).sin() * 0.3).collect();
    log_mel(&samples, &MelFilters::new(model.mel_config()).unwrap()).unwrap()
}

#[test]
fn without_a_head_there_are_embeddings_and_nothing_else() {
    let dir = copy_of("tiny");
    edit_weights(&dir.path().join("model.safetensors"), |tensors| {
        tensors.remove("lm_head.weight").unwrap();
    });
    let (with, without) = (load(&testdata("tiny")).unwrap(), load(dir.path()).unwrap());
    let mel = tone(&with);
    let inputs = [Input::Audio(&mel), Input::Text("rain")];
    assert_eq!(
        with.embed(&inputs).unwrap(),
        without.embed(&inputs).unwrap()
    );
    assert_eq!(with.fingerprint(), without.fingerprint());
    let scores = without.rerank(&inputs[0], &inputs[1..]).unwrap_err();
    assert!(scores.to_string().contains("lm_head.weight"), "{scores}");
    let caption = without
        .caption(
            &mel,
            CaptionStyle::Short,
            &Generation::default(),
            &mut |_| true,
        )
        .unwrap_err();
    assert!(caption.to_string().contains("lm_head.weight"), "{caption}");
}

#[test]
fn a_head_of_few_rows_writes_what_it_has() {
    for (rows, writes) in [(300, true), (0, false)] {
        let dir = copy_of("tiny");
        edit_weights(&dir.path().join("model.safetensors"), |tensors| {
            let Stored(_, shape, data) = tensors.get_mut("lm_head.weight").unwrap();
            data.truncate(rows * shape[1] * 4);
            shape[0] = rows;
        });
        let model = load(dir.path()).unwrap();
        let options = Generation {
            max_tokens: 5,
            temperature: 1.0,
            repetition_penalty: 1.5,
            ..Generation::default()
        };
        let caption = model.caption(&tone(&model), CaptionStyle::Short, &options, &mut |_| true);
        assert_eq!(caption.is_ok(), writes, "{rows} rows: {caption:?}");
    }
}

#[test]
fn a_caption_ends_where_the_context_ends() {
    let dir = copy_of("tiny");
    edit_config(dir.path(), |c| {
        c["text_config"]["max_position_embeddings"] = json!(120)
    });
    let model = load(dir.path()).unwrap();
    let mut tokens = 0;
    // Random weights never end by themselves here: greedy and 256 tokens long without the limit.
    let caption = model
        .caption(
            &tone(&model),
            CaptionStyle::Short,
            &Generation::default(),
            &mut |_| {
                tokens += 1;
                true
            },
        )
        .unwrap();
    assert!(!caption.is_empty() && tokens < 120, "{tokens} pieces");
}

#[test]
fn an_embedding_table_without_rows_is_an_error_when_it_is_read() {
    let dir = copy_of("tiny");
    edit_weights(&dir.path().join("model.safetensors"), |tensors| {
        let Stored(_, shape, data) = tensors.get_mut("model.embed_tokens.weight").unwrap();
        shape[0] = 0;
        data.clear();
    });
    let error = load(dir.path())
        .unwrap()
        .embed(&[Input::Text("rain")])
        .unwrap_err();
    assert!(error.to_string().contains("embedding table"), "{error}");
}

#[test]
fn a_re_ranker_embeds_nothing_and_says_so() {
    let dir = copy_of("st");
    let module = |idx: usize, path: &str, kind: &str| json!({"idx": idx, "name": idx.to_string(), "path": path, "type": kind});
    let modules = json!([
        module(
            0,
            "",
            "sentence_transformers.base.modules.transformer.Transformer"
        ),
        module(
            1,
            "1_LogitScore",
            "sentence_transformers.cross_encoder.modules.logit_score.LogitScore"
        ),
    ]);
    let prompts = json!({"prompts": {"match": "Do they match?"}, "default_prompt_name": "match"});
    let score =
        json!({"true_token_id": 3, "false_token_id": 4, "module_input_name": "causal_logits"});
    for (file, value) in [
        ("modules.json", modules),
        ("config_sentence_transformers.json", prompts),
        ("1_LogitScore/config.json", score),
    ] {
        let path = dir.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, value.to_string()).unwrap();
    }
    let model = load(dir.path()).unwrap();
    assert_eq!(model.description().embedding, None);
    let error = model.embed(&[Input::Text("rain")]).unwrap_err();
    assert!(error.to_string().contains("re-ranks"), "{error}");
    assert!(model.embed(&[]).unwrap().is_empty());
}

#[test]
fn nothing_in_is_nothing_out() {
    let model = load(&testdata("tiny")).unwrap();
    assert!(model.embed(&[]).unwrap().is_empty());
    let mel = tone(&model);
    for query in [Input::Audio(&mel), Input::Text("rain")] {
        assert!(model.rerank(&query, &[]).unwrap().is_empty(), "{query}");
    }
}

#[test]
fn the_type_of_other_towers_does_not_choose_ours() {
    let dir = copy_of("full-prefix");
    edit_weights(&dir.path().join("model.safetensors"), |tensors| {
        let numbers = 1 << 20;
        let wide = Stored(StoredDtype::F32, vec![numbers], vec![0; numbers * 4]);
        tensors.insert("token2wav.code2wav_dit_model.wide".into(), wide);
    });
    let model = load(dir.path()).unwrap();
    assert_eq!(
        (model.stored_dtype(), model.form()),
        (Dtype::Bf16, Form::Bf16)
    );
    let before = load(&testdata("full-prefix")).unwrap();
    assert_eq!(model.fingerprint(), before.fingerprint());
}

/// Tensors are of the same shapes for these, and embeddings are not the same.
#[test]
fn a_configuration_that_moves_embeddings_moves_the_fingerprint() {
    let embedded = |model: &Model| {
        let mel = tone(model);
        // Long enough for several positions, and for more than one chunk of a smaller window.
        let text = "a dog barks twice, then rain falls on a tin roof";
        model
            .embed(&[Input::AudioText(&mel, text)])
            .unwrap()
            .remove(0)
    };
    let plain = load(&testdata("tiny")).unwrap();
    for (key, value) in [
        ("/text_config/rope_theta", json!(10_000.0)),
        ("/text_config/rms_norm_eps", json!(1e-2)),
        ("/audio_config/n_window", json!(20)),
        ("/audio_config/encoder_attention_heads", json!(4)),
    ] {
        let dir = copy_of("tiny");
        edit_config(dir.path(), |c| {
            *c.pointer_mut(key).expect("a key of the file") = value.clone()
        });
        let other = load(dir.path()).unwrap();
        assert_ne!(embedded(&plain), embedded(&other), "{key}");
        assert_ne!(plain.fingerprint(), other.fingerprint(), "{key}");
    }
    // What moves nothing leaves it.
    let dir = copy_of("tiny");
    edit_config(dir.path(), |c| {
        c["text_config"]["max_position_embeddings"] = json!(1000)
    });
    assert_eq!(plain.fingerprint(), load(dir.path()).unwrap().fingerprint());
}

#[test]
fn a_head_in_another_type_than_the_products_is_rounded_once() {
    let options = LoadOptions {
        dtype: aurola_model::DtypeChoice::Bf16,
        ..LoadOptions::default()
    };
    let model = Model::load(&testdata("tiny"), &options).unwrap();
    let head = || model.thinker().language_model().head(None).unwrap();
    let state = vec![0.5; model.dim()];
    assert_eq!(head().logits(&state), head().logits(&state));
    let few = model
        .thinker()
        .language_model()
        .head(Some(&[7, 3]))
        .unwrap();
    let all = head().logits(&state);
    assert_eq!(few.logits(&state), [all[7], all[3]]);
}
