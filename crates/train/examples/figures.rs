//! What a small model can do, in figures: `cargo run --release -p aurola-train --example figures -- MODEL
//! [--reranker DIR] [--esc50 DIR] [--library DIR] [--scenes N]`.
//!
//! Prints, as JSON lines: recall on generated scenes of seeds that no recipe uses, before and after
//! re-ranking with a weight chosen on other scenes; accuracy on ESC-50's fold 4 by class captions; and recall
//! of a library's demo queries.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use aurola_audio::{Clip, Limits, LogMel, MelFilters, log_mel, read_whole};
use aurola_model::{Input, LoadOptions, Model};
use aurola_retrieval::Embedding;
use aurola_scenes::{Scene, SceneConfig};
use rayon::prelude::*;
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Seeds of scenes that are reported, and of those the re-ranker's weight is chosen on. Recipes use others.
const TEST_SEEDS: u64 = 90_000_000;
const CHOICE_SEEDS: u64 = 80_000_000;
/// Weights that are tried.
const WEIGHTS: [f32; 11] = [0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 2.0];
/// Candidates that are re-ranked.
const TOP: usize = 10;
/// Longest part of a file that is heard, in seconds.
const HEARD_S: f64 = 30.0;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let mut positional = Vec::new();
    let mut named = BTreeMap::new();
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix("--") {
            Some(name) => {
                let value = arguments.next().ok_or(format!("--{name} takes a value"))?;
                named.insert(name.to_owned(), value);
            }
            None => positional.push(argument),
        }
    }
    let [model] = &positional[..] else {
        return Err("give one model's folder".into());
    };
    let load = |dir: &str| Model::load(Path::new(dir), &LoadOptions::default());
    let judge = Judge {
        model: load(model)?,
        reranker: named.get("reranker").map(|dir| load(dir)).transpose()?,
    };
    let count = named.get("scenes").map_or(Ok(1000), |n| n.parse())?;
    println!("{}", judge.scenes(count)?);
    if let Some(dir) = named.get("esc50") {
        println!("{}", judge.esc50(Path::new(dir))?);
    }
    if let Some(dir) = named.get("library") {
        println!("{}", judge.library(Path::new(dir))?);
    }
    Ok(())
}

struct Judge {
    model: Model,
    reranker: Option<Model>,
}

impl Judge {
    /// Distinct scenes, each found by a caption of its own.
    fn scenes(&self, count: usize) -> Outcome<Value> {
        let test = self.scene_set(TEST_SEEDS, count)?;
        let mut report =
            json!({"what": "generated scenes", "scenes": count, "first_seed": TEST_SEEDS});
        for (kind, texts) in [("short", &test.short), ("long", &test.long)] {
            let scores = self.similarities(&test.mels, texts)?;
            report[kind] = json!({
                "text_to_audio": recall(&ranks(&transposed(&scores))),
                "audio_to_text": recall(&ranks(&scores)),
            });
        }
        let Some(reranker) = &self.reranker else {
            return Ok(report);
        };
        let choice = self.scene_set(CHOICE_SEEDS, count / 4)?;
        for kind in ["short", "long"] {
            let (before, judged) = self.judged(reranker, &choice, kind)?;
            let at_one = |weight: f32| {
                let fused = fuse(&before, &judged, weight);
                recall(&ranks(&fused))["r1"].as_f64().unwrap_or(0.0)
            };
            let weight = WEIGHTS
                .into_iter()
                .max_by(|a, b| at_one(*a).total_cmp(&at_one(*b)))
                .unwrap_or(0.0);
            let (before, judged) = self.judged(reranker, &test, kind)?;
            report[kind]["reranked_text_to_audio"] = json!({
                "candidates": TOP, "weight": weight,
                "weight_chosen_on": {"first_seed": CHOICE_SEEDS, "scenes": count / 4},
                "before": recall(&ranks(&before)),
                "after": recall(&ranks(&fuse(&before, &judged, weight))),
            });
        }
        Ok(report)
    }

    fn scene_set(&self, first: u64, count: usize) -> Outcome<Set> {
        let mut known = BTreeSet::new();
        let scenes: Vec<Scene> = (first..)
            .map(|seed| Scene::draw(seed, &SceneConfig::default()))
            .filter(|scene| known.insert(scene.key()))
            .take(count)
            .collect();
        let filters = MelFilters::new(self.model.mel_config())?;
        let mels: Result<Vec<LogMel>, _> = scenes
            .par_iter()
            .map(|scene| log_mel(&scene.render(), &filters))
            .collect();
        let told: Vec<_> = scenes
            .iter()
            .map(|scene| scene.captions(scene.seed() ^ 0x5eed))
            .collect();
        Ok(Set {
            mels: mels?,
            short: told.iter().map(|c| c.short.clone()).collect(),
            long: told.into_iter().map(|c| c.long).collect(),
        })
    }

    /// Similarities, rows texts and columns clips, and the re-ranker's word on the best of each row.
    fn judged(&self, reranker: &Model, set: &Set, kind: &str) -> Outcome<(Vec<Vec<f32>>, Judged)> {
        let texts = if kind == "short" {
            &set.short
        } else {
            &set.long
        };
        let scores = transposed(&self.similarities(&set.mels, texts)?);
        let mut judged = Vec::new();
        for (row, text) in scores.iter().zip(texts) {
            let mut order: Vec<usize> = (0..row.len()).collect();
            order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
            order.truncate(TOP);
            let candidates: Vec<Input<'_>> =
                order.iter().map(|i| Input::Audio(&set.mels[*i])).collect();
            let answers = reranker.rerank(&Input::Text(text), &candidates)?;
            judged.push(
                order
                    .into_iter()
                    .zip(answers.iter().map(|a| a.p_yes()))
                    .collect(),
            );
        }
        Ok((scores, judged))
    }

    /// Rows clips, columns texts.
    fn similarities(&self, mels: &[LogMel], texts: &[String]) -> Outcome<Vec<Vec<f32>>> {
        let embed = |inputs: Vec<Input<'_>>| -> Outcome<Vec<Embedding>> {
            let mut all = Vec::new();
            for some in inputs.chunks(32) {
                all.extend(self.model.embed(some)?);
            }
            Ok(all)
        };
        let audio = embed(mels.iter().map(Input::Audio).collect())?;
        let text = embed(texts.iter().map(|t| Input::Text(t)).collect())?;
        let dot = |a: &Embedding, b: &Embedding| -> f32 {
            a.as_slice()
                .iter()
                .zip(b.as_slice())
                .map(|(a, b)| a * b)
                .sum()
        };
        Ok(audio
            .iter()
            .map(|a| text.iter().map(|t| dot(a, t)).collect())
            .collect())
    }

    /// Fold 4 by class captions: the ten classes of ESC-10 among ten, the other forty among forty, all
    /// among fifty.
    fn esc50(&self, dir: &Path) -> Outcome<Value> {
        let table = fs::read_to_string(dir.join("meta/clips.csv"))?;
        let mut rows = csv::Reader::from_reader(table.as_bytes());
        let mut clips = Vec::new();
        for row in rows.deserialize() {
            let row: BTreeMap<String, String> = row?;
            if row["fold"] == "4" {
                clips.push((
                    self.hear(&dir.join(&row["file"]))?,
                    row["category"].clone(),
                    row["esc10"] == "True",
                ));
            }
        }
        let mut report = json!({"what": "ESC-50 fold 4, class captions", "clips": clips.len()});
        for (name, wanted) in [
            ("esc10", Some(true)),
            ("the other 40", Some(false)),
            ("all 50", None),
        ] {
            let some: Vec<_> = clips
                .iter()
                .filter(|c| wanted.is_none_or(|w| c.2 == w))
                .collect();
            let classes: BTreeSet<&str> = some.iter().map(|c| c.1.as_str()).collect();
            let captions: Vec<String> = classes.iter().map(|c| class_caption(c)).collect();
            let mels: Vec<LogMel> = some.iter().map(|c| c.0.clone()).collect();
            let scores = self.similarities(&mels, &captions)?;
            let mut right = 0;
            for (row, clip) in scores.iter().zip(&some) {
                let best = (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b]));
                right +=
                    usize::from(best.and_then(|b| classes.iter().nth(b)) == Some(&clip.1.as_str()));
            }
            report[name] = json!({
                "classes": classes.len(), "clips": some.len(),
                "top1": 100.0 * right as f64 / some.len() as f64,
            });
        }
        Ok(report)
    }

    /// Demo queries: how many have a right file among the first ten, and what chance would give.
    fn library(&self, dir: &Path) -> Outcome<Value> {
        let table = fs::read_to_string(dir.join("captions.csv"))?;
        let mut paths: BTreeSet<PathBuf> = BTreeSet::new();
        for row in csv::Reader::from_reader(table.as_bytes()).deserialize() {
            let row: BTreeMap<String, String> = row?;
            paths.insert(row["path"].clone().into());
        }
        let queries: Vec<Value> = fs::read_to_string(dir.join("demo_queries.jsonl"))?
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()?;
        let (mut mels, mut names, mut unread) = (Vec::new(), Vec::new(), 0);
        for path in paths {
            match self.hear(&dir.join(&path)) {
                Ok(mel) => {
                    mels.push(mel);
                    names.push(path.to_string_lossy().into_owned());
                }
                Err(_) => unread += 1,
            }
        }
        let texts: Vec<String> = queries
            .iter()
            .map(|q| q["text"].as_str().unwrap_or_default().to_owned())
            .collect();
        let scores = transposed(&self.similarities(&mels, &texts)?);
        let (mut found, mut chance, mut asked) = (0, 0.0, 0);
        let mut hits = Vec::new();
        for (row, query) in scores.iter().zip(&queries) {
            let right: BTreeSet<&str> = query["relevant"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let count = names.iter().filter(|n| right.contains(n.as_str())).count();
            if count == 0 {
                continue;
            }
            asked += 1;
            // None of ten drawn without putting back.
            let none: f64 = (0..10)
                .map(|i| (names.len() - count - i) as f64 / (names.len() - i) as f64)
                .product();
            chance += 1.0 - none;
            let mut order: Vec<usize> = (0..row.len()).collect();
            order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
            let hit = order[..10]
                .iter()
                .any(|i| right.contains(names[*i].as_str()));
            found += usize::from(hit);
            if hit {
                hits.push(query["text"].clone());
            }
        }
        Ok(json!({
            "what": "library demo queries", "files": names.len(), "unreadable": unread, "queries": asked,
            "r10": 100.0 * f64::from(found as u32) / f64::from(asked), "chance": 100.0 * chance / f64::from(asked),
            "found": hits,
        }))
    }

    fn hear(&self, path: &Path) -> Outcome<LogMel> {
        let mut clip = Clip::open(path, &Limits::default())?;
        let whole = read_whole(&mut clip, HEARD_S)?.ok_or("empty")?;
        let filters = MelFilters::new(self.model.mel_config())?;
        Ok(log_mel(&whole.window.samples, &filters)?)
    }
}

struct Set {
    mels: Vec<LogMel>,
    short: Vec<String>,
    long: Vec<String>,
}

/// For each text: clip and probability of Yes, of the best few.
type Judged = Vec<Vec<(usize, f32)>>;

fn fuse(scores: &[Vec<f32>], judged: &Judged, weight: f32) -> Vec<Vec<f32>> {
    let mut fused = scores.to_vec();
    for (row, judged) in fused.iter_mut().zip(judged) {
        for (clip, p_yes) in judged {
            row[*clip] += weight * p_yes;
        }
    }
    fused
}

/// The place of each row's own column, from 0; ties count against it.
fn ranks(scores: &[Vec<f32>]) -> Vec<usize> {
    scores
        .iter()
        .enumerate()
        .map(|(own, row)| {
            (0..row.len())
                .filter(|i| *i != own && row[*i] >= row[own])
                .count()
        })
        .collect()
}

fn recall(ranks: &[usize]) -> Value {
    let within =
        |k: usize| 100.0 * ranks.iter().filter(|r| **r < k).count() as f64 / ranks.len() as f64;
    json!({"r1": within(1), "r5": within(5), "r10": within(10)})
}

fn transposed(rows: &[Vec<f32>]) -> Vec<Vec<f32>> {
    (0..rows.first().map_or(0, Vec::len))
        .map(|j| rows.iter().map(|row| row[j]).collect())
        .collect()
}

/// As in `recipes/esc10_plain.toml` for the ten, by name for the others.
fn class_caption(class: &str) -> String {
    match class {
        "dog" => "a dog barking".into(),
        "rain" => "rain falling".into(),
        "sea_waves" => "sea waves".into(),
        "crying_baby" => "a baby crying".into(),
        "clock_tick" => "a clock ticking".into(),
        "sneezing" => "a person sneezing".into(),
        "helicopter" => "a helicopter".into(),
        "chainsaw" => "a chainsaw".into(),
        "rooster" => "a rooster crowing".into(),
        "crackling_fire" => "a crackling fire".into(),
        other => format!("the sound of {}", other.replace('_', " ")),
    }
}
