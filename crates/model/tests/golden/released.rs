//! Our values against recorded ones.

use aurola_model::text::Prompt;
use aurola_model::thinker::Filled;
use aurola_model::{CaptionStyle, Generation, Input, Model, PromptPreset, YesNo};

use crate::recorded::{Close, Recording, Tensor};

/// Presets by their names in the recordings.
fn presets(recording: &Recording) -> Vec<(String, PromptPreset)> {
    let by_name = |name: String| {
        let preset = if name == "demo" {
            PromptPreset::Demo
        } else {
            PromptPreset::Evaluation
        };
        (name, preset)
    };
    recording
        .golden
        .preset_names()
        .into_iter()
        .map(by_name)
        .collect()
}

/// A recorded prompt, with the run of placeholders that the clip fills.
fn prompt(ids: &Tensor, model: &Model, tokens: usize) -> Prompt {
    let ids = ids.ids.clone();
    let placeholder = model.text().audio_id();
    let audio_at = (tokens > 0).then(|| {
        let start = ids
            .windows(tokens)
            .position(|w| w.iter().all(|id| *id == placeholder))
            .unwrap();
        start..start + tokens
    });
    Prompt {
        pooled: ids.len() - 1,
        ids,
        audio_at,
    }
}

/// The audio tower's output, and the states of every layer at every position.
pub(crate) fn states(recording: &Recording) {
    let golden = &recording.golden;
    let model = recording.model(PromptPreset::Evaluation);
    let thinker = model.thinker();
    let (mut towers, mut compared) = (0, 0);
    for (i, clip) in golden.clips().iter().enumerate() {
        let mel = recording.mel(&clip.file);
        assert_eq!(mel.n_frames(), clip.n_frames, "{}", clip.file);
        let sound = thinker.encode(&mel).unwrap();
        if let Some(want) = golden.tensor(&format!("audio/{i}/tower")) {
            Close::relative(1e-4).check(&sound, &want.values, &format!("tower of {}", clip.file));
            towers += 1;
        }
        for (name, _) in presets(recording) {
            let Some(full) = golden.tensor(&format!("audio/{i}/{name}/full")) else {
                continue;
            };
            let ids = golden.tensor(&format!("audio/{i}/{name}/ids")).unwrap();
            let prompt = prompt(ids, &model, model.audio_tokens(&mel));
            let filled = Filled {
                prompt: &prompt,
                sound: &sound,
            };
            layers(&model, &filled, full, &format!("{} in {name}", clip.file));
            compared += 1;
        }
    }
    for (i, item) in golden.texts().iter().enumerate() {
        for (name, _) in presets(recording) {
            let Some(full) = golden.tensor(&format!("text/{i}/{name}/full")) else {
                continue;
            };
            let ids = golden.tensor(&format!("text/{i}/{name}/ids")).unwrap();
            let prompt = prompt(ids, &model, 0);
            layers(
                &model,
                &Filled {
                    prompt: &prompt,
                    sound: &[],
                },
                full,
                &item.text,
            );
            compared += 1;
        }
    }
    // A sentence-transformers folder was recorded without every position.
    let layers = if golden.has_presets() { 2 } else { 0 };
    assert!(towers >= 3 && compared >= layers, "nothing was compared");
}

fn layers(model: &Model, filled: &Filled<'_>, full: &Tensor, what: &str) {
    let traced = model.thinker().trace(filled).unwrap();
    assert_eq!(full.shape[0], traced.len(), "{what}: layers");
    let size = full.values.len() / traced.len();
    for (layer, (got, want)) in traced
        .iter()
        .zip(full.values.chunks_exact(size))
        .enumerate()
    {
        Close::relative(1e-4).check(got, want, &format!("{what}, entering layer {layer}"));
    }
}

/// Embeddings of clips, texts and both together, in every preset.
pub(crate) fn embeddings(recording: &Recording) {
    let golden = &recording.golden;
    let mut compared = 0;
    for (name, preset) in presets(recording) {
        let model = recording.model(preset);
        // A sentence-transformers folder names its prompts by role: words ask, sounds are found.
        let role = |kind: &str| {
            golden.has_presets() || name == if kind == "text" { "query" } else { "document" }
        };
        let mut check = |input: Input<'_>, key: String| {
            // Where the released path reads inside a caption, the safe position was recorded too.
            let want = golden.tensor(&format!("{key}/safe_emb_norm"));
            let Some(want) = want.or_else(|| golden.tensor(&format!("{key}/emb_norm"))) else {
                return;
            };
            let got = &model.embed(&[input]).unwrap()[0];
            Close::absolute(2e-5).check(got.as_slice(), &want.values, &format!("{key}: {input}"));
            let dot: f64 = got
                .as_slice()
                .iter()
                .zip(&want.values)
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum();
            let norm = want
                .values
                .iter()
                .map(|v| f64::from(*v).powi(2))
                .sum::<f64>()
                .sqrt();
            assert!(dot / norm >= 0.999_999, "{key}: cosine {}", dot / norm);
            compared += 1;
        };
        for (i, clip) in golden.clips().iter().enumerate().filter(|_| role("audio")) {
            check(
                Input::Audio(&recording.mel(&clip.file)),
                format!("audio/{i}/{name}"),
            );
        }
        for (i, item) in golden.texts().iter().enumerate().filter(|_| role("text")) {
            check(Input::Text(&item.text), format!("text/{i}/{name}"));
        }
        for (i, item) in golden.audio_texts().iter().enumerate() {
            let mel = recording.mel(&item.file);
            check(
                Input::AudioText(&mel, &item.text),
                format!("audio_text/{i}/{name}"),
            );
        }
    }
    assert!(compared >= 4, "nothing was compared");
}

/// Embeddings of the files themselves, with our resampler or a lossy decoder in between.
pub(crate) fn decoded_embeddings(recording: &Recording) {
    let model = recording.model(PromptPreset::Evaluation);
    for (i, clip) in recording.golden.clips().iter().enumerate() {
        let mel = recording.decoded_mel(&clip.file);
        let got = &model.embed(&[Input::Audio(&mel)]).unwrap()[0];
        let want = &recording
            .golden
            .tensor(&format!("audio/{i}/eval/emb_norm"))
            .unwrap()
            .values;
        let cosine: f64 = got
            .as_slice()
            .iter()
            .zip(want)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum();
        println!("{}: cosine {cosine}", clip.file);
        assert!(cosine >= 0.9995, "{}: cosine {cosine}", clip.file);
    }
}

/// Logits of Yes and No.
pub(crate) fn rerank(recording: &Recording) {
    let golden = &recording.golden;
    assert!(!golden.reranks().is_empty(), "nothing was compared");
    let model = recording.model(PromptPreset::Evaluation);
    for (k, item) in golden.reranks().iter().enumerate() {
        // By name and wording, or by number.
        let file = match &item.audio {
            serde_json::Value::String(file) => file.clone(),
            number => golden.clips()[number.as_u64().unwrap() as usize]
                .file
                .clone(),
        };
        let text = match &item.text {
            serde_json::Value::String(text) => text.clone(),
            number => golden.texts()[number.as_u64().unwrap() as usize]
                .text
                .clone(),
        };
        // The released re-ranker hears the first 30 s of a clip.
        let mel = recording.mel_of_first(&file, 30.0);
        let (audio, text) = (Input::Audio(&mel), Input::Text(&text));
        let (query, candidate) = if item.direction == "audio2text" {
            (audio, text)
        } else {
            (text, audio)
        };
        let YesNo {
            logit_yes,
            logit_no,
        } = model.rerank(&query, &[candidate]).unwrap()[0];
        let want = golden.tensor(&format!("rerank/{k}/logits")).unwrap();
        Close::absolute(1e-4).check(
            &[logit_yes, logit_no],
            &want.values,
            &format!("rerank {k}: {query} and {candidate}"),
        );
    }
}

/// Greedy continuations, id by id, of the recorded prompts.
pub(crate) fn captions(recording: &Recording) {
    let golden = &recording.golden;
    assert!(!golden.captions().is_empty(), "nothing was compared");
    let model = recording.model(PromptPreset::Evaluation);
    for (k, item) in golden.captions().iter().enumerate() {
        assert!(
            item.smallest_lead > 1e-3,
            "caption {k} is decided by rounding"
        );
        let mel = recording.mel(&item.audio);
        let sound = model.thinker().encode(&mel).unwrap();
        let ids = golden.tensor(&format!("caption/{k}/ids")).unwrap();
        let prompt = prompt(ids, &model, model.audio_tokens(&mel));
        let want = &golden.tensor(&format!("caption/{k}/new_ids")).unwrap().ids;
        let options = Generation {
            max_tokens: want.len(),
            ..Generation::default()
        };
        let filled = Filled {
            prompt: &prompt,
            sound: &sound,
        };
        let got = model.generate(&filled, &options, &mut |_| true).unwrap();
        assert_eq!(&got[..], &want[..got.len()], "caption {k}");
        // The recordings hold the end itself, which ours leaves out.
        let ended =
            want.len() == got.len() + 1 && model.text().stop_ids().contains(&want[got.len()]);
        assert!(
            got.len() == want.len() || ended,
            "caption {k}: {got:?} against {want:?}"
        );

        let style = CaptionStyle::Short;
        let mut heard = String::new();
        let caption = model
            .caption(&mel, style, &options, &mut |words| {
                heard.push_str(words);
                true
            })
            .unwrap();
        assert_eq!(heard.trim(), caption);
    }
}
