//! Whole models: the base's folder with what was trained in it.

use aurola_compute::{Dtype, Matrix};
use aurola_train::export;
use aurola_train::thinker::Scope;

use super::{BASES, Trained, apart, base, entries, served, tensors};

/// Some of each tower, the table, and the last norm.
fn some() -> Scope {
    Scope {
        tensors: vec![
            r"audio_tower\.conv1\.(weight|bias)".into(),
            r"audio_tower\.layers\.0\..*".into(),
            r"model\.embed_tokens\.weight".into(),
            r"model\.layers\.1\.mlp\..*".into(),
            r"model\.norm\.weight".into(),
        ],
        lora: None,
    }
}

fn rounded(values: &[f32], dtype: Dtype) -> Vec<f32> {
    let matrix = Matrix::from_f32(values, dtype, 1, values.len()).unwrap();
    dtype.widen(matrix.bytes()).collect()
}

#[test]
fn read_again_it_has_what_was_trained_and_the_rest_of_its_base() {
    let dir = tempfile::tempdir().unwrap();
    for (name, dtype) in BASES
        .into_iter()
        .zip([Dtype::F32, Dtype::Bf16, Dtype::F16, Dtype::Bf16])
    {
        let (base, out) = (base(name), dir.path().join(name));
        let trained = Trained::moved(&base, &some());
        export::model(&out, &base, &trained.parameters, None).unwrap();

        let again = Trained::load(&out, &some());
        for (new, was) in again.parameters.iter().zip(trained.parameters.iter()) {
            assert_eq!((&new.name, &new.shape), (&was.name, &was.shape));
            assert_eq!(
                new.values,
                rounded(&was.values, dtype),
                "{name}: {}",
                new.name
            );
        }

        let (before, after) = (tensors(&base), tensors(&out));
        assert!(before.keys().eq(after.keys()), "{name}: other tensors");
        for (tensor, old) in &before {
            let own = tensor.strip_prefix("thinker.").unwrap_or(tensor);
            let was_trained = trained.parameters.iter().any(|p| p.name == own);
            let new = &after[tensor];
            assert_eq!((old.0, &old.1), (new.0, &new.1), "{name}: {tensor}");
            assert_eq!(old.2 != new.2, was_trained, "{name}: {tensor}");
        }
        let mut expected = entries(&base);
        expected.retain(|file| file != "golden.safetensors");
        assert_eq!(entries(&out), expected, "{name}: other files");
    }
}

#[test]
fn it_is_served_as_it_was_trained() {
    let dir = tempfile::tempdir().unwrap();
    let (base, out) = (base("tiny"), dir.path().join("out"));
    let trained = Trained::moved(&base, &some());
    export::model(&out, &base, &trained.parameters, None).unwrap();
    let off = apart(&served(&out, None), &trained.embeddings(&base));
    assert!(off <= 2e-6, "off by {off:e}");
}

#[test]
fn written_again_it_replaces_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let (base, out) = (base("kv1"), dir.path().join("out"));
    let first = Trained::load(&base, &some());
    export::model(&out, &base, &first.parameters, None).unwrap();
    std::fs::write(out.join("stale"), "").unwrap();
    let second = Trained::moved(&base, &some());
    export::model(&out, &base, &second.parameters, None).unwrap();
    assert!(!out.join("stale").exists());
    assert_ne!(tensors(&out), tensors(&base));
    assert_eq!(entries(dir.path()), ["out"], "nothing is left beside it");
}
