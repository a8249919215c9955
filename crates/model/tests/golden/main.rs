//! The released Python path's recorded values, reproduced: `testdata/README.md` tells what they are.
//!
//! Runs on the project's own recordings, and on those in `shared/golden` where they are present.

mod recorded;
mod released;

use std::path::PathBuf;

use aurola_model::{
    CaptionStyle, DtypeChoice, Generation, Input, LoadOptions, Model, PromptPreset,
};
use recorded::{Close, Recording};

fn testdata() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata")
}

fn own(name: &str) -> Recording {
    let dir = testdata().join("checkpoints").join(name);
    Recording::open(&dir, &dir)
}

macro_rules! checkpoint_tests {
    (@ $name:ident, $folder:literal, [$($test:ident),*]) => {
        mod $name {
            $(#[test] fn $test() { crate::released::$test(&crate::own($folder)); })*
        }
    };
    ($tests:tt: $($name:ident: $folder:literal),*) => {
        $(checkpoint_tests!(@ $name, $folder, $tests);)*
    };
}

checkpoint_tests!([states, embeddings, rerank, captions]: tiny: "tiny", one_kv_head_tied: "kv1",
    f16_sharded: "f16-sharded", full_model_layout: "full-prefix", adapter: "lora");
// Neither scores nor captions are recorded of it.
checkpoint_tests!([states, embeddings]: sentence_transformers: "st");

#[test]
fn log_mel_is_the_released_one() {
    let recording = own("tiny");
    for (i, clip) in recording.golden.clips().iter().enumerate() {
        let Some(want) = recording.golden.tensor(&format!("audio/{i}/mel")) else {
            continue;
        };
        let mel = recording.mel(&clip.file);
        Close::absolute(1e-4).check(mel.values(), &want.values, &format!("mel of {}", clip.file));
    }
}

#[test]
fn shared_golden_values() {
    let shared = std::env::var_os("AUROLA_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let dir = shared.join("golden/ckpt-tiny");
    if !dir.is_dir() {
        println!("not run: {} is not there", dir.display());
        return;
    }
    let recording = Recording::open(&dir, &shared.join("golden/tiny"));
    released::states(&recording);
    released::embeddings(&recording);
    released::decoded_embeddings(&recording);
    released::rerank(&recording);
}

#[test]
fn alone_is_as_in_a_batch_and_one_thread_is_as_many() {
    let recording = own("tiny");
    let model = recording.model(PromptPreset::Evaluation);
    let mels: Vec<_> = recording
        .golden
        .clips()
        .iter()
        .map(|c| recording.mel(&c.file))
        .collect();
    let texts = recording.golden.texts();
    let inputs: Vec<Input<'_>> = mels
        .iter()
        .map(Input::Audio)
        .chain(texts.iter().map(|t| Input::Text(&t.text)))
        .chain([Input::AudioText(&mels[1], "bells")])
        .collect();
    let threads = |n| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(n)
            .build()
            .unwrap()
    };
    let together = threads(3).install(|| model.embed(&inputs)).unwrap();
    for (input, expected) in inputs.iter().zip(&together) {
        let alone = threads(1).install(|| model.embed(&[*input])).unwrap();
        assert_eq!(&alone[0], expected, "{input}, bit for bit");
    }

    let query = Input::Audio(&mels[0]);
    let candidates: Vec<Input<'_>> = texts.iter().map(|t| Input::Text(&t.text)).collect();
    let together = threads(2)
        .install(|| model.rerank(&query, &candidates))
        .unwrap();
    for (candidate, expected) in candidates.iter().zip(&together) {
        let alone = threads(1)
            .install(|| model.rerank(&query, &[*candidate]))
            .unwrap();
        assert_eq!(&alone[0], expected, "{candidate}, bit for bit");
    }
    let query = Input::Text(&texts[0].text);
    let candidates: Vec<Input<'_>> = mels.iter().map(Input::Audio).collect();
    let together = model.rerank(&query, &candidates).unwrap();
    for (candidate, expected) in candidates.iter().zip(&together) {
        assert_eq!(
            &model.rerank(&query, &[*candidate]).unwrap()[0],
            expected,
            "bit for bit"
        );
    }
}

#[test]
fn a_sampled_caption_has_a_text_and_a_seed_repeats_it() {
    // The checkpoint's head has more rows than the tokenizer has tokens, and random weights.
    let recording = own("tiny");
    let model = recording.model(PromptPreset::Evaluation);
    let mel = recording.mel(&recording.golden.clips()[0].file);
    let write = |seed| {
        let options = Generation {
            max_tokens: 40,
            temperature: 5.0,
            seed,
            ..Generation::default()
        };
        model
            .caption(&mel, CaptionStyle::Long, &options, &mut |_| true)
            .unwrap()
    };
    assert_eq!(write(1), write(1));
    assert_ne!(write(1), write(2));
}

#[test]
fn bf16_products_stay_close_to_f32() {
    let recording = own("tiny");
    let dir = &recording.checkpoint;
    let load = |dtype| {
        Model::load(
            dir,
            &LoadOptions {
                dtype,
                ..LoadOptions::default()
            },
        )
        .unwrap()
    };
    let (exact, rounded) = (load(DtypeChoice::F32), load(DtypeChoice::Bf16));
    assert_ne!(exact.fingerprint(), rounded.fingerprint());
    let mel = recording.mel(&recording.golden.clips()[1].file);
    for input in [Input::Audio(&mel), Input::Text("rain on a tin roof")] {
        let a = &exact.embed(&[input]).unwrap()[0];
        let b = &rounded.embed(&[input]).unwrap()[0];
        // The released path in bf16 is at 0.9998 on such checkpoints.
        assert!(a.cosine(b) > 0.9995, "{input}: {}", a.cosine(b));
        assert_ne!(a, b);
    }
}

#[test]
fn a_fingerprint_tells_prompts_adapters_and_weights_apart_and_nothing_else() {
    let fingerprint = |name: &str, options: &LoadOptions| {
        let dir = testdata().join("checkpoints").join(name);
        Model::load(&dir, options).unwrap().fingerprint().to_owned()
    };
    let plain = LoadOptions::default();
    let demo = LoadOptions {
        prompt: Some(PromptPreset::Demo),
        ..plain.clone()
    };
    let adapted = LoadOptions {
        adapter: Some(testdata().join("checkpoints/lora")),
        ..plain.clone()
    };
    let all = [
        fingerprint("tiny", &plain),
        fingerprint("tiny", &demo),
        fingerprint("tiny", &adapted),
        fingerprint("kv1", &plain),
        fingerprint("f16-sharded", &plain),
    ];
    for (i, a) in all.iter().enumerate() {
        assert!(all[..i].iter().all(|b| a != b), "{all:?}");
    }
    assert_eq!(
        all[0],
        fingerprint("tiny", &plain),
        "stays the same from load to load"
    );
}
