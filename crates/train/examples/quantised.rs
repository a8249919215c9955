//! What rounding takes from a trained model: `cargo run --release -p aurola-train --example quantised -- MODEL
//! [SCENES]`.
//!
//! Prints, as JSON lines for bf16, int8 and 4 bits against f32: how far the state after each layer is off, the
//! cosine of embeddings, how much of the ten nearest clips stays the same, and recall on generated scenes of
//! seeds that no recipe uses.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;

use aurola_audio::{LogMel, MelFilters, log_mel};
use aurola_model::text::PromptInput;
use aurola_model::thinker::Filled;
use aurola_model::{DtypeChoice, Input, LoadOptions, Model};
use aurola_retrieval::Embedding;
use aurola_scenes::{Scene, SceneConfig};
use serde_json::json;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// As in the example `figures`.
const SEEDS: u64 = 90_000_000;
/// Clips whose states are compared layer by layer.
const TRACED: usize = 8;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("give a model's folder")?;
    let count = arguments.next().map_or(Ok(300), |n| n.parse())?;
    let load = |dtype| {
        let options = LoadOptions {
            dtype,
            ..LoadOptions::default()
        };
        Model::load(Path::new(&dir), &options)
    };
    let exact = load(DtypeChoice::F32)?;
    let mut known = BTreeSet::new();
    let scenes: Vec<Scene> = (SEEDS..)
        .map(|seed| Scene::draw(seed, &SceneConfig::default()))
        .filter(|scene| known.insert(scene.key()))
        .take(count)
        .collect();
    let filters = MelFilters::new(exact.mel_config())?;
    let mels: Vec<LogMel> = scenes
        .iter()
        .map(|scene| log_mel(&scene.render(), &filters))
        .collect::<Result<_, _>>()?;
    let texts: Vec<String> = scenes
        .iter()
        .map(|scene| scene.captions(scene.seed() ^ 0x5eed).long)
        .collect();

    let reference = embed(&exact, &mels, &texts)?;
    let nearest = nearest(&reference);
    let traced = &mels[..TRACED.min(mels.len())];
    let states = trace(&exact, traced)?;
    println!(
        "{}",
        json!({"dtype": "f32", "scenes": count, "r1": recall_at_one(&reference)})
    );
    for dtype in [DtypeChoice::Bf16, DtypeChoice::Int8, DtypeChoice::Int4] {
        let model = load(dtype)?;
        let found = embed(&model, &mels, &texts)?;
        let cosines = |a: &[Embedding], b: &[Embedding]| -> Vec<f32> {
            a.iter().zip(b).map(|(a, b)| a.cosine(b)).collect()
        };
        let (audio, text) = (
            cosines(&reference.0, &found.0),
            cosines(&reference.1, &found.1),
        );
        let same: usize = nearest
            .iter()
            .zip(self::nearest(&found))
            .map(|(a, b)| a.intersection(&b).count())
            .sum();
        let mean = |x: &[f32]| x.iter().sum::<f32>() / x.len() as f32;
        let least = |x: &[f32]| x.iter().copied().fold(f32::INFINITY, f32::min);
        let errors: Vec<f64> = trace(&model, traced)?
            .iter()
            .zip(&states)
            .map(|(a, b)| (relative_error(b, a) * 1e5).round() / 1e5)
            .collect();
        println!(
            "{}",
            json!({
                "dtype": model.form().to_string(),
                "cosine_audio": {"mean": mean(&audio), "least": least(&audio)},
                "cosine_text": {"mean": mean(&text), "least": least(&text)},
                "top_10_same_percent": 100.0 * same as f64 / (10 * count) as f64,
                "r1": recall_at_one(&found),
                "tower_then_state_after_each_layer_relative_error": errors,
            })
        );
    }
    Ok(())
}

type Embedded = (Vec<Embedding>, Vec<Embedding>);

fn embed(model: &Model, mels: &[LogMel], texts: &[String]) -> Outcome<Embedded> {
    let all = |inputs: Vec<Input<'_>>| -> Outcome<Vec<Embedding>> {
        let mut all = Vec::new();
        for some in inputs.chunks(32) {
            all.extend(model.embed(some)?);
        }
        Ok(all)
    };
    let audio = all(mels.iter().map(Input::Audio).collect())?;
    Ok((audio, all(texts.iter().map(|t| Input::Text(t)).collect())?))
}

/// The clips nearest to a text, best first.
fn order(embedded: &Embedded, text: usize) -> Vec<usize> {
    let scores: Vec<f32> = embedded
        .0
        .iter()
        .map(|a| a.cosine(&embedded.1[text]))
        .collect();
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order
}

fn nearest(embedded: &Embedded) -> Vec<BTreeSet<usize>> {
    let texts = 0..embedded.1.len();
    texts
        .map(|text| order(embedded, text).into_iter().take(10).collect())
        .collect()
}

/// In percent, text to audio.
fn recall_at_one(embedded: &Embedded) -> f64 {
    let texts = embedded.1.len();
    let right = (0..texts)
        .filter(|text| order(embedded, *text)[0] == *text)
        .count();
    100.0 * right as f64 / texts as f64
}

/// The tower's output, then the states entering each layer and the final ones, of all clips together.
fn trace(model: &Model, mels: &[LogMel]) -> Outcome<Vec<Vec<f32>>> {
    let mut all: Vec<Vec<f32>> = Vec::new();
    for mel in mels {
        let sound = model.thinker().encode(mel)?;
        let prompt = model
            .text()
            .embedding_prompt(PromptInput::Audio(sound.len() / model.dim()))?;
        let states = model.thinker().trace(&Filled {
            prompt: &prompt,
            sound: &sound,
        })?;
        let layers = std::iter::once(sound).chain(states.into_iter().skip(1));
        for (at, layer) in layers.enumerate() {
            match all.get_mut(at) {
                Some(before) => before.extend(layer),
                None => all.push(layer),
            }
        }
    }
    Ok(all)
}

fn relative_error(exact: &[f32], found: &[f32]) -> f64 {
    let square = |v: f32| f64::from(v) * f64::from(v);
    let off: f64 = exact.iter().zip(found).map(|(a, b)| square(a - b)).sum();
    (off / exact.iter().map(|v| square(*v)).sum::<f64>()).sqrt()
}
