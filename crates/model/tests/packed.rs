//! Packed files: written, read back, refused; and what is chosen for which memory.

use std::fs;
use std::path::{Path, PathBuf};

use aurola_audio::{MelFilters, log_mel};
use aurola_compute::attention::Mask;
use aurola_compute::packed::Form;
use aurola_model::quantise::{file_name, pack};
use aurola_model::text::PromptInput;
use aurola_model::thinker::Filled;
use aurola_model::{DtypeChoice, Input, LoadOptions, Model};
use aurola_retrieval::Embedding;

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../testdata/checkpoints")
        .join(name)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

fn load(dir: &Path, dtype: DtypeChoice) -> Result<Model, String> {
    load_within(dir, dtype, None)
}

fn load_within(dir: &Path, dtype: DtypeChoice, memory: Option<u64>) -> Result<Model, String> {
    let options = LoadOptions {
        dtype,
        memory,
        ..LoadOptions::default()
    };
    Model::load(dir, &options).map_err(|e| e.to_string())
}

fn embed(model: &Model) -> Vec<Embedding> {
    let samples: Vec<f32> = (0..40_000)
        .map(|i| (i as f32 * 0.05).sin() * (i as f32 / 4e4))
        .collect();
    let mel = log_mel(&samples, &MelFilters::new(model.mel_config()).unwrap()).unwrap();
    model
        .embed(&[Input::Audio(&mel), Input::Text("rain on a tin roof")])
        .unwrap()
}

#[test]
fn a_packed_file_gives_the_bits_of_the_checkpoint_it_was_made_from() {
    let dir = tempfile::tempdir().unwrap();
    for (form, choice) in [
        (Form::Bf16, DtypeChoice::Bf16),
        (Form::Int8, DtypeChoice::Int8),
        (Form::Int4, DtypeChoice::Int4),
    ] {
        for name in ["kv1", "full-prefix"] {
            let from = testdata(name);
            let out = dir.path().join(format!("{name}-{form}"));
            let (mut last, mut steps) = ((0, 0), 0);
            let path = pack(&from, form, &out, &mut |done, total| {
                (last, steps) = ((done, total), steps + 1);
            })
            .unwrap();
            assert!(steps > 10 && last.0 == last.1, "{last:?}");
            assert_eq!(path, out.join(file_name(form)));
            assert!(!out.join("model.safetensors").exists());
            let (before, after) = (load(&from, choice).unwrap(), load(&out, choice).unwrap());
            // On a machine with AMX, stored and packed bf16 are summed in another order.
            if form != Form::Bf16 || before.isa() < aurola_compute::Isa::Amx {
                assert_eq!(embed(&before), embed(&after), "{name} {form}");
            }
            assert_eq!(before.fingerprint(), after.fingerprint());
            assert_eq!(before.parameters(), after.parameters());
            assert_eq!(
                (after.form(), after.stored_dtype()),
                (form, before.stored_dtype())
            );
            // The folder is a whole model, and says of itself which type it is in.
            let auto = load(&out, DtypeChoice::Auto).unwrap();
            assert_eq!(auto.form(), form);
            assert!(
                auto.choice().contains(&file_name(form)),
                "{}",
                auto.choice()
            );
            let message = load(&out, DtypeChoice::F32).unwrap_err();
            assert!(message.contains(&form.to_string()), "{message}");
        }
    }
}

#[test]
fn quantised_embeddings_stay_close_and_are_told_apart() {
    let dir = testdata("tiny");
    let exact = load(&dir, DtypeChoice::F32).unwrap();
    let mut seen = vec![exact.fingerprint().to_owned()];
    // Random weights, 64 numbers wide: worse than a trained model fares (docs/results.md).
    for (choice, least) in [
        (DtypeChoice::Bf16, 0.9995),
        (DtypeChoice::Int8, 0.998),
        (DtypeChoice::Int4, 0.9),
    ] {
        let model = load(&dir, choice).unwrap();
        for (a, b) in embed(&exact).iter().zip(&embed(&model)) {
            println!("{choice:?}: cosine {}", a.cosine(b));
            assert!(a.cosine(b) > least, "{choice:?}: {}", a.cosine(b));
        }
        seen.push(model.fingerprint().to_owned());
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 4, "four types, four fingerprints");
}

#[test]
fn quantised_embeddings_are_the_same_bits_alone_and_on_any_number_of_threads() {
    let threads = |n| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(n)
            .build()
            .unwrap()
    };
    let texts: Vec<String> = (1..9).map(|n| "a dog barks ".repeat(n)).collect();
    let inputs: Vec<Input<'_>> = texts.iter().map(|t| Input::Text(t)).collect();
    for choice in [DtypeChoice::Int8, DtypeChoice::Int4] {
        let model = load(&testdata("tiny"), choice).unwrap();
        let together = threads(3).install(|| model.embed(&inputs)).unwrap();
        for (input, together) in inputs.iter().zip(&together) {
            let alone = threads(1).install(|| model.embed(&[*input])).unwrap();
            assert_eq!(alone[0], *together, "{choice:?} {input}");
        }
    }
}

#[test]
fn a_beginning_that_is_read_once_changes_no_bit() {
    for name in ["tiny", "kv1", "st"] {
        let model = load(&testdata(name), DtypeChoice::Auto).unwrap();
        for text in [
            "rain",
            "a dog barks at a passing train <emb> <|AUDIO|>",
            "7",
        ] {
            let prompt = model
                .text()
                .embedding_prompt(PromptInput::Text(text))
                .unwrap();
            let whole = Filled {
                prompt: &prompt,
                sound: &[],
            };
            let states = model
                .thinker()
                .states(&[whole], Mask::Causal, None)
                .unwrap();
            let expected = Embedding::normalize(states[0].clone()).unwrap();
            let found = &model.embed(&[Input::Text(text)]).unwrap()[0];
            assert_eq!(*found, expected, "{name}: {text}");
        }
    }
}

#[test]
fn kept_sounds_are_judged_as_clips_are() {
    let model = load(&testdata("tiny"), DtypeChoice::F32).unwrap();
    let filters = MelFilters::new(model.mel_config()).unwrap();
    let mels: Vec<_> = [9_000, 40_000, 17_000]
        .map(|len| {
            let samples: Vec<f32> = (0..len).map(|i| (i as f32 * 0.03).sin()).collect();
            log_mel(&samples, &filters).unwrap()
        })
        .into();
    let candidates: Vec<Input<'_>> = mels.iter().map(Input::Audio).collect();
    let at_once = model.rerank(&Input::Text("a siren"), &candidates).unwrap();
    let sounds = model.encode(&mels.iter().collect::<Vec<_>>()).unwrap();
    let kept: Vec<_> = sounds.iter().collect();
    assert_eq!(model.rerank_sounds("a siren", &kept).unwrap(), at_once);
    for (sound, score) in sounds.iter().zip(&at_once) {
        assert_eq!(model.rerank_sounds("a siren", &[sound]).unwrap(), [*score]);
    }
}

/// Replaces bytes of a file by as many others.
fn edit(path: &Path, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.windows(from.len()).position(|w| w == from.as_bytes());
    let at = at.unwrap_or_else(|| panic!("{from} in {}", path.display()));
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_packed_file_of_another_version_machine_or_checkpoint_is_refused_and_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model");
    copy(&testdata("kv1"), &model);
    let file = pack(&model, Form::Int8, &model, &mut |_, _| ()).unwrap();
    let good = fs::read(&file).unwrap();
    let fingerprint = load(&model, DtypeChoice::Int8)
        .unwrap()
        .fingerprint()
        .to_owned();
    for (from, to, says) in [
        (r#"\"version\":1"#, r#"\"version\":7"#, "version 7"),
        ("little-endian", "upside-down !", "another class of machine"),
        ("by plan 1", "by plan 9", "other rules"),
        ("aurola.packed", "aurola.pocket", "not a packed file"),
        (r#"\"stored\":\"BF16\""#, r#"\"stored\":\"BF17\""#, "header"),
    ] {
        fs::write(&file, &good).unwrap();
        edit(&file, from, to);
        let message = load(&model, DtypeChoice::Int8).unwrap_err();
        assert!(
            message.contains(says) && message.contains("quantize"),
            "{message}"
        );
        assert!(message.contains("packed-int8.safetensors"), "{message}");
    }
    for len in [0, 7, 100, good.len() / 2, good.len() - 1] {
        fs::write(&file, &good[..len]).unwrap();
        let message = load(&model, DtypeChoice::Int8).unwrap_err();
        assert!(message.contains("packed-int8.safetensors"), "{message}");
    }
    pack(&model, Form::Int8, &model, &mut |_, _| ()).unwrap();
    assert_eq!(
        load(&model, DtypeChoice::Int8).unwrap().fingerprint(),
        fingerprint
    );

    // The weights beside it are others now.
    fs::copy(
        testdata("tiny").join("model.safetensors"),
        dir.path().join("other"),
    )
    .unwrap();
    let weights = model.join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let last = bytes.len() - 40;
    bytes[last] ^= 1;
    fs::write(&weights, bytes).unwrap();
    let message = load(&model, DtypeChoice::Int8).unwrap_err();
    assert!(message.contains("another checkpoint"), "{message}");
}

#[test]
fn what_does_not_fit_is_not_loaded_and_auto_takes_what_does() {
    let dir = testdata("kv1");
    let memory = |bytes| load_within(&dir, DtypeChoice::Auto, Some(bytes));
    let roomy = memory(1 << 30).unwrap();
    assert_eq!(roomy.form(), Form::Bf16);
    assert!(
        roomy.choice().contains("that are free"),
        "{}",
        roomy.choice()
    );
    // Pages of the checkpoint can be read again; memory of our own cannot.
    let tight = memory(10).unwrap();
    assert_eq!(tight.form(), Form::Bf16);
    assert!(
        tight.choice().contains("again and again"),
        "{}",
        tight.choice()
    );
    let message = load_within(&dir, DtypeChoice::Int8, Some(10)).unwrap_err();
    assert!(
        message.contains("are free") && message.contains("int4"),
        "{message}"
    );
}

#[test]
fn f32_is_not_packed_and_nothing_is_left_where_writing_fails() {
    let dir = tempfile::tempdir().unwrap();
    assert!(pack(&testdata("kv1"), Form::F32, dir.path(), &mut |_, _| ()).is_err());
    let file = dir.path().join("a-file");
    fs::write(&file, "").unwrap();
    assert!(pack(&testdata("kv1"), Form::Int8, &file, &mut |_, _| ()).is_err());
    assert!(pack(dir.path(), Form::Int8, dir.path(), &mut |_, _| ()).is_err());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}
