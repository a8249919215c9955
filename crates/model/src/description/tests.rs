//! Folders of the shapes that are published, read by hand.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::text::Conversation;

fn folder(files: &[(&str, Value)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, value) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, value.to_string()).unwrap();
    }
    dir
}

fn read(files: &[(&str, Value)]) -> Result<Description, ModelError> {
    Description::read(folder(files).path(), None)
}

fn refused(files: &[(&str, Value)], reason: &str) {
    let error = read(files).unwrap_err().to_string();
    assert!(error.contains(reason), "{error}");
}

fn module(idx: u32, path: &str, kind: &str) -> Value {
    json!({"idx": idx, "name": idx.to_string(), "path": path, "type": kind})
}

const TRANSFORMER: &str = "sentence_transformers.base.modules.transformer.Transformer";
const POOLING: &str = "sentence_transformers.sentence_transformer.modules.pooling.Pooling";
const OLD_POOLING: &str = "sentence_transformers.models.Pooling";
const NORMALIZE: &str = "sentence_transformers.base.modules.normalize.Normalize";
const LOGIT_SCORE: &str = "sentence_transformers.cross_encoder.modules.logit_score.LogitScore";

fn messages(chat_template: Value) -> Value {
    json!({
        "transformer_task": "any-to-any",
        "modality_config": {
            "text": {"method": "forward", "method_output_name": ["hidden_states", -1]},
            "message": {"method": "forward", "method_output_name": ["hidden_states", -1], "format": "structured"},
        },
        "processing_kwargs": {"chat_template": chat_template},
    })
}

fn embedder(pooling: Value) -> Vec<(&'static str, Value)> {
    vec![
        (
            "modules.json",
            json!([
                module(2, "2_Normalize", NORMALIZE),
                module(0, "", TRANSFORMER),
                module(1, "1_Pooling", POOLING),
            ]),
        ),
        ("1_Pooling/config.json", pooling),
        (
            "sentence_bert_config.json",
            messages(json!({"add_generation_prompt": true, "restore_suffix": true, "kind": "x"})),
        ),
        (
            "config_sentence_transformers.json",
            json!({
                "__version__": {"sentence_transformers": "5.4.0"},
                "prompts": {"query": "Find it.", "document": ""},
                "similarity_fn_name": "cosine",
            }),
        ),
    ]
}

#[test]
fn a_folder_that_says_nothing_is_auro_las() {
    let description = read(&[]).unwrap();
    assert_eq!(description.origin, Origin::Aurola);
    let recipe = description.embedding.unwrap();
    assert_eq!(recipe.pooling.value, Pooling::BeforeEmb);
    assert_eq!(
        recipe.prompts.value,
        EmbeddingPrompts::aurola(PromptPreset::Evaluation)
    );
    assert_eq!(description.rerank.answers, Answers::aurola());
}

#[test]
fn the_sentence_transformers_layout() {
    let description = read(&embedder(
        json!({"embedding_dimension": 64, "pooling_mode": "lasttoken", "include_prompt": true}),
    ))
    .unwrap();
    assert_eq!(description.origin, Origin::SentenceTransformers);
    let recipe = description.embedding.unwrap();
    assert_eq!(
        recipe.pooling,
        Stated::new(Pooling::LastToken, "1_Pooling/config.json")
    );
    assert_eq!(recipe.dim, Some(Stated::new(64, "1_Pooling/config.json")));

    let prompts = recipe.prompts.value;
    let mut text = Conversation::new(&[("system", "Find it."), ("user", "{text}")], true);
    text.arguments = json!({"kind": "x", "task": "query"})
        .as_object()
        .unwrap()
        .clone();
    assert_eq!(prompts.text, text);
    let mut audio = Conversation::new(&[("user", "{audio}")], true);
    audio.arguments = json!({"kind": "x", "task": "document"})
        .as_object()
        .unwrap()
        .clone();
    assert_eq!(prompts.audio, audio);
}

#[test]
fn the_old_switches_of_pooling() {
    for (switch, pooling) in [
        ("pooling_mode_lasttoken", Pooling::LastToken),
        ("pooling_mode_mean_tokens", Pooling::Mean),
    ] {
        let mut files = embedder(
            json!({"word_embedding_dimension": 8, "pooling_mode_cls_token": false, switch: true}),
        );
        files[0].1[2] = module(1, "1_Pooling", OLD_POOLING);
        let recipe = read(&files).unwrap().embedding.unwrap();
        assert_eq!(
            (recipe.pooling.value, recipe.dim.unwrap().value),
            (pooling, 8)
        );
    }
    refused(&embedder(json!({"pooling_mode": "cls"})), "pools by cls");
    refused(
        &embedder(json!({"pooling_mode": ["mean", "max"]})),
        "mean and max",
    );
}

#[test]
fn a_reranker_is_read_by_the_ids_it_names() {
    let description = read(&[
        ("modules.json", json!([module(0, "", TRANSFORMER), module(1, "1_LogitScore", LOGIT_SCORE)])),
        ("1_LogitScore/config.json", json!({"true_token_id": 9454, "false_token_id": 2753, "module_input_name": "causal_logits"})),
        ("sentence_bert_config.json", messages(json!({"add_generation_prompt": true}))),
        ("config_sentence_transformers.json", json!({"prompts": {"match": "Do they match?"}, "default_prompt_name": "match"})),
    ])
    .unwrap();
    assert_eq!(description.embedding, None);
    assert_eq!(
        description.rerank.answers,
        Answers::Ids {
            yes: 9454,
            no: 2753
        }
    );
    let turns = [
        ("system", "Do they match?"),
        ("query", "{text}"),
        ("document", "{audio}"),
    ];
    assert_eq!(
        description.rerank.prompts.value.text_to_audio,
        Conversation::new(&turns, true)
    );
    assert!(
        description.to_string().contains("re-ranks"),
        "{description}"
    );
}

#[test]
fn what_the_program_does_not_run_is_refused_by_name() {
    let pooling = || json!({"pooling_mode": "lasttoken"});
    type Files = Vec<(&'static str, Value)>;
    let with = |change: &dyn Fn(&mut Files)| {
        let mut files = embedder(pooling());
        change(&mut files);
        files
    };
    refused(
        &with(&|f| f[0].1[0] = module(2, "2_Dense", "sentence_transformers.models.Dense")),
        "models.Dense is none of",
    );
    refused(
        &with(&|f| f[0].1[1] = module(0, "", "custom_st.Transformer")),
        "custom_st.Transformer",
    );
    refused(
        &with(&|f| f[0].1[2] = module(1, "../up", POOLING)),
        "outside the folder",
    );
    refused(
        &with(&|f| f[0].1 = json!([module(0, "", TRANSFORMER)])),
        "nothing to read",
    );
    refused(
        &with(&|f| f[0].1 = json!([module(0, "1_Pooling", POOLING)])),
        "nothing to run",
    );
    refused(
        &with(&|f| f[2].1 = json!({"max_seq_length": 512})),
        "aurola.json",
    );
    refused(
        &with(&|f| f[2].1["modality_config"]["message"]["format"] = json!("flat")),
        "no place for a clip",
    );
    refused(
        &with(&|f| {
            f[2].1["modality_config"]["message"]["method_output_name"] =
                json!(["hidden_states", -2])
        }),
        "-2",
    );
    refused(
        &with(&|f| f[3].1["similarity_fn_name"] = json!("euclidean")),
        "euclidean",
    );
    refused(
        &with(&|f| f[1].1["embedding_dimension"] = json!("wide")),
        "1_Pooling/config.json",
    );
}

#[test]
fn our_own_file_comes_first_and_knows_every_key() {
    let user = |content: &str| json!({"messages": [{"role": "user", "content": content}], "generation_prompt": true});
    let prompts = json!({
        "audio": user("{audio}\nSummarize the above audio in one word:"),
        "text": user("{text}\nSummarize the above text in one word:"),
        "audio_text": user("{audio}{text}\nSummarize the above in one word:"),
    });
    let mut files = embedder(json!({"pooling_mode": "lasttoken"}));
    files.push(("aurola.json", json!({"schema": 1, "name": "LCO", "pooling": "last-token", "prompts": prompts, "answers": {"yes": 1, "no": 0}})));
    let description = read(&files).unwrap();
    assert_eq!(description.origin, Origin::AurolaJson);
    assert_eq!(description.name.as_deref(), Some("LCO"));
    assert_eq!(description.rerank.answers, Answers::Ids { yes: 1, no: 0 });
    let recipe = description.embedding.unwrap();
    assert_eq!(
        recipe.pooling,
        Stated::new(Pooling::LastToken, "aurola.json")
    );
    let asked = [("user", "{text}\nSummarize the above text in one word:")];
    assert_eq!(recipe.prompts.value.text, Conversation::new(&asked, true));

    refused(
        &[("aurola.json", json!({"schema": 1, "poolin": "mean"}))],
        "poolin",
    );
    refused(&[("aurola.json", json!({"schema": 2}))], "schema 2");
    refused(
        &[(
            "aurola.json",
            json!({"schema": 1, "preset": "demo", "prompts": prompts}),
        )],
        "both",
    );
    let mut wrong = prompts.clone();
    wrong["audio"] = user("no slot");
    refused(
        &[("aurola.json", json!({"schema": 1, "prompts": wrong}))],
        "prompts.audio has {audio} 0 times",
    );
}

#[test]
fn the_example_in_the_documentation_is_a_good_file() {
    let source = include_str!("aurola_json.rs");
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    let body: String = lines
        .skip_while(|line| line.trim() != "```json")
        .skip(1)
        .take_while(|line| line.trim() != "```")
        .collect();
    let description = read(&[("aurola.json", serde_json::from_str(&body).unwrap())]).unwrap();
    assert_eq!(
        description.embedding.unwrap().pooling.value,
        Pooling::LastToken
    );
}

#[test]
fn a_preset_asked_for_overrules_the_folder() {
    let dir = folder(&embedder(json!({"pooling_mode": "lasttoken"})));
    let description = Description::read(dir.path(), Some(PromptPreset::Demo)).unwrap();
    let recipe = description.embedding.unwrap();
    assert_eq!(
        recipe.pooling,
        Stated::new(Pooling::BeforeEmb, "chosen by the caller")
    );
    assert_eq!(
        recipe.prompts.value,
        EmbeddingPrompts::aurola(PromptPreset::Demo)
    );
}

#[test]
fn omni_embed_nemotron_looks_both_ways() {
    let mut files = embedder(json!({"pooling_mode": "mean"}));
    files.push(("config.json", json!({"model_type": "nvomniembed"})));
    let recipe = read(&files).unwrap().embedding.unwrap();
    assert_eq!(recipe.attention.value, Attention::Bidirectional);
    assert_eq!(recipe.pooling.value, Pooling::Mean);
    assert_ne!(
        recipe.stable(),
        read(&[]).unwrap().embedding.unwrap().stable()
    );
}

#[test]
fn a_description_reads_as_a_few_lines() {
    let text = read(&embedder(json!({"pooling_mode": "lasttoken"})))
        .unwrap()
        .to_string();
    assert!(
        text.contains("described  sentence-transformers files\n"),
        "{text}"
    );
    assert!(
        text.contains("pooling    the last position (1_Pooling/config.json)\n"),
        "{text}"
    );
    assert!(text.contains("text       system \"Find it.\", user \"{text}\", generation prompt (config_sentence_transformers.json)\n"), "{text}");
}
