//! What is refused, says why, and leaves everything as it was.

use std::fs;
use std::path::Path;

use aurola_model::lora::Adapter;
use aurola_train::TrainError;
use aurola_train::export;
use aurola_train::thinker::{LoraConfig, Scope};

use super::{Trained, base, entries, lora, scope_of, tensors, testdata};

/// The message of a refusal, which left nothing in `dir`.
fn refused(dir: &Path, result: Result<(), TrainError>) -> String {
    assert!(entries(dir).is_empty(), "left {:?}", entries(dir));
    result.unwrap_err().to_string()
}

fn norm() -> Scope {
    Scope {
        tensors: vec![r"model\.norm\.weight".into()],
        lora: None,
    }
}

#[test]
fn an_adapter_is_not_merged_into_another_base() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let adapter = testdata("checkpoints/lora");
    // Layers of another shape.
    let error = refused(dir.path(), export::merge(&out, &base("kv1"), &adapter));
    assert!(
        error.contains("adapter_model.safetensors") || error.contains("lora_A"),
        "{error}"
    );

    // A layer more than the base has.
    let deep = tempfile::tempdir().unwrap();
    let from = base("f16-sharded");
    let third = LoraConfig {
        target_modules: vec![r"model\.layers\.2\..*".into()],
        ..lora()
    };
    let third = LoraConfig {
        rank_pattern: Vec::new(),
        ..third
    };
    let trained = Trained::moved(&from, &scope_of(&third));
    export::adapter(&deep.path().join("a"), &from, &third, &trained.parameters).unwrap();
    let result = export::merge(&out, &base("tiny"), &deep.path().join("a"));
    let error = refused(dir.path(), result);
    assert!(
        error.contains("model.layers.2") && error.contains("another base"),
        "{error}"
    );

    // Nor is it written as an adapter of that base.
    let result = export::adapter(&out, &base("tiny"), &third, &trained.parameters);
    let error = refused(dir.path(), result);
    assert!(
        error.contains("tiny") && error.contains("has no layer model.layers.2"),
        "{error}"
    );
}

#[test]
fn a_damaged_adapter_is_not_merged() {
    let dir = tempfile::tempdir().unwrap();
    let adapter = tempfile::tempdir().unwrap();
    let error = export::merge(&dir.path().join("out"), &base("tiny"), adapter.path());
    let error = refused(dir.path(), error);
    assert!(error.contains("adapter_config.json"), "{error}");
    assert!(Adapter::open(adapter.path()).is_err());
}

#[test]
fn a_model_is_not_written_over_another_base() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let trained = Trained::moved(&base("kv1"), &norm());
    let error = refused(
        dir.path(),
        export::model(&out, &base("tiny"), &trained.parameters, None),
    );
    assert!(
        error.contains("model.norm.weight is [64]") && error.contains("[96]"),
        "{error}"
    );
    // Low-rank factors have no place in a model's folder.
    let trained = Trained::moved(&base("tiny"), &scope_of(&lora()));
    let error = refused(
        dir.path(),
        export::model(&out, &base("tiny"), &trained.parameters, None),
    );
    assert!(error.contains("lora_"), "{error}");
}

#[test]
fn whole_tensors_have_no_place_in_an_adapter() {
    let dir = tempfile::tempdir().unwrap();
    let both = Scope {
        lora: Some(lora()),
        ..norm()
    };
    let trained = Trained::load(&base("tiny"), &both);
    let out = dir.path().join("out");
    let result = export::adapter(&out, &base("tiny"), &lora(), &trained.parameters);
    let error = refused(dir.path(), result);
    assert!(
        error.contains("model.norm.weight is trained whole"),
        "{error}"
    );
}

#[test]
fn folders_that_are_something_else_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("photos");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("heron.jpg"), "heron").unwrap();
    let trained = Trained::load(&base("tiny"), &norm());
    let changed = Trained::load(&base("tiny"), &scope_of(&lora()));
    let adapter = testdata("checkpoints/lora");
    for result in [
        export::model(&other, &base("tiny"), &trained.parameters, None),
        export::merge(&other, &base("tiny"), &adapter),
        export::adapter(&other, &base("tiny"), &lora(), &changed.parameters),
    ] {
        let error = result.unwrap_err().to_string();
        assert!(
            error.contains("photos") && error.contains("another folder"),
            "{error}"
        );
    }
    assert_eq!(entries(&other), ["heron.jpg"]);

    // The base is not written over: a run that dies could not begin again.
    let own = dir.path().join("base");
    export::model(&own, &base("tiny"), &trained.parameters, None).unwrap();
    let before = tensors(&own);
    let result = export::merge(&own, &own, &adapter);
    assert!(result.unwrap_err().to_string().contains("the base itself"));
    assert_eq!(tensors(&own), before);
    assert_eq!(entries(dir.path()), ["base", "photos"]);
}

/// An export that fails leaves the one before it.
#[test]
fn what_is_there_stays_where_its_successor_fails() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    export::merge(&out, &base("tiny"), &testdata("checkpoints/lora")).unwrap();
    let before = tensors(&out);
    export::merge(&out, &base("kv1"), &testdata("checkpoints/lora")).unwrap_err();
    assert_eq!(tensors(&out), before);
    assert_eq!(entries(dir.path()), ["out"]);
}
