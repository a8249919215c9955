//! Losses and gradients of whole batches against PyTorch's autograd. `testdata/training/ORIGIN.md` tells
//! what wrote these numbers, from what, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aurola_audio::LogMel;
use aurola_model::config::ThinkerConfig;
use aurola_model::lora::Adapter;
use aurola_model::text::Prompt;
use aurola_model::weights::{Checkpoint, Weights};
use aurola_train::collective::Alone;
use aurola_train::loss::{ClusterSet, Direction, HybridNceConfig, OverlapRule, Target};
use aurola_train::step::{self, Item, Pair, Products, Question, StepConfig};
use aurola_train::thinker::{Gradients, Parameters, Scope, Source, Thinker};
use safetensors::SafeTensors;
use serde::Deserialize;

use super::adapter::{fixture, scope};
use super::{pass, tiny};

/// Of the loss, relative.
const LOSS_WITHIN: f64 = 1e-5;
/// Of a gradient, relative to its norm. Rounding alone moves PyTorch's own by 6e-6.
const WITHIN: f64 = 1e-4;
/// Of the states, which are of the order of 1.
const STATES_WITHIN: f64 = 2e-5;
/// Weights that no sound and no word passes through: we do not load them.
const NOT_OURS: &str = "audio_tower.audio_bos_eos_token.weight";

#[derive(Deserialize)]
struct Recorded {
    clips: Vec<serde_json::Value>,
    prompts: Prompts,
    answers: Vec<Asked>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Prompts {
    audio: Vec<Asking>,
    text: Vec<Asking>,
}

#[derive(Deserialize)]
struct Asking {
    ids: Vec<u32>,
    pooled: usize,
}

#[derive(Deserialize)]
struct Asked {
    clip: usize,
    ids: Vec<u32>,
    /// Position, and the id that follows it.
    targets: Vec<(usize, u32)>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    loss: String,
    #[serde(default)]
    config: serde_json::Value,
    overlap: Option<Vec<Vec<f32>>>,
    value_f64: f64,
    gradients: BTreeMap<String, Of>,
    without_gradient: BTreeSet<String>,
}

/// What is recorded of one gradient beside, or instead of, all its numbers.
#[derive(Deserialize)]
struct Of {
    shape: Vec<usize>,
    norm: f64,
    sum: f64,
    samples: Option<Vec<f64>>,
}

impl Case {
    fn hybrid_nce(&self) -> HybridNceConfig {
        match self.loss.as_str() {
            "hybrid_nce" => serde_json::from_value(self.config.clone()).unwrap(),
            "info_nce" => HybridNceConfig {
                direction: serde_json::from_value::<Direction>(self.config["direction"].clone())
                    .unwrap(),
                ..HybridNceConfig::info_nce(self.config["temperature"].as_f64().unwrap())
            },
            other => panic!("{other}"),
        }
    }

    /// Clusters that overlap as recorded: a row is in that of the first row it overlaps with.
    fn clusters(&self, row: usize) -> ClusterSet {
        let overlaps = self.overlap.iter().flat_map(|o| &o[row]);
        let first = overlaps.zip(0..).find(|(overlap, _)| **overlap > 0.0);
        first
            .map(|(_, other)| other.min(row as u32))
            .into_iter()
            .collect()
    }
}

/// Everything recorded, and the batches as the step takes them.
struct Truth {
    recorded: Recorded,
    bytes: Vec<u8>,
    audio_id: u32,
}

impl Truth {
    fn read() -> Self {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/training");
        let read = |name: &str| std::fs::read(dir.join(name)).unwrap();
        let config = ThinkerConfig::read(&tiny()).unwrap();
        Self {
            recorded: serde_json::from_slice(&read("gradients.json")).unwrap(),
            bytes: read("gradients.safetensors"),
            audio_id: config.audio_token_id.unwrap(),
        }
    }

    /// The tensor, where it was recorded.
    fn tensor(&self, name: &str) -> Option<Vec<f32>> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = tensors.tensor(name).ok()?;
        assert_eq!(view.dtype(), safetensors::Dtype::F32, "{name}");
        let numbers = view.data().as_chunks::<4>().0.iter();
        Some(numbers.map(|b| f32::from_le_bytes(*b)).collect())
    }

    fn mel(&self, clip: usize) -> LogMel {
        let frames = self.recorded.clips[clip]["frames"].as_u64().unwrap();
        let mel = LogMel::from_values(128, self.tensor(&format!("clip/{clip}/mel")).unwrap());
        let mel = mel.unwrap();
        assert_eq!(mel.n_frames() as u64, frames);
        mel
    }

    fn item(&self, ids: &[u32], keep: Vec<usize>, clip: Option<usize>) -> Item {
        let is_sound = |id: &u32| *id == self.audio_id;
        let audio_at = clip.map(|_| {
            let first = ids.iter().position(is_sound).unwrap();
            first..first + ids.iter().filter(|id| is_sound(id)).count()
        });
        Item {
            prompt: Prompt {
                ids: ids.to_vec(),
                audio_at,
                pooled: keep[0],
            },
            mel: clip.map(|i| Arc::new(self.mel(i))),
            keep,
        }
    }

    fn pairs(&self, case: &Case) -> Vec<Pair> {
        let prompts = &self.recorded.prompts;
        let both = prompts.audio.iter().zip(&prompts.text).enumerate();
        both.map(|(i, (audio, text))| Pair {
            audio: self.item(&audio.ids, vec![audio.pooled], Some(i)),
            text: self.item(&text.ids, vec![text.pooled], None),
            clusters: case.clusters(i),
        })
        .collect()
    }

    fn questions(&self) -> Vec<Question> {
        let asked = self.recorded.answers.iter();
        asked
            .map(|a| {
                let (keep, answers) = a
                    .targets
                    .iter()
                    .map(|(at, token)| (*at, Target::from(*token)))
                    .unzip();
                Question {
                    item: self.item(&a.ids, keep, Some(a.clip)),
                    answers,
                }
            })
            .collect()
    }
}

fn model(case: &Case) -> (Thinker, Parameters) {
    let config = ThinkerConfig::read(&tiny()).unwrap();
    let checkpoint = Checkpoint::open(&tiny()).unwrap();
    let weights = Weights::thinker(&checkpoint, None).unwrap();
    if case.name != "lora" {
        let source = Source::Checkpoint(weights);
        return Thinker::new(&config, &source, &Scope::everything()).unwrap();
    }
    let adapter = Adapter::open(&fixture()).unwrap();
    let source = Source::Adapted {
        weights,
        adapter: &adapter,
    };
    Thinker::new(&config, &source, &scope()).unwrap()
}

fn step_config(products: Products) -> StepConfig {
    StepConfig {
        chunk: 2, // so that the last one is not full
        products,
        recompute: false,
        memory: 1 << 30,
        dropout: 1,
    }
}

/// The loss and all gradients of `case`.
fn run(
    truth: &Truth,
    case: &Case,
    (thinker, parameters): &(Thinker, Parameters),
    products: Products,
) -> (f64, Gradients) {
    let config = step_config(products);
    let mut gradients = Gradients::zeros(parameters);
    let outcome = if case.loss == "cross_entropy" {
        let questions = truth.questions();
        step::answers(
            thinker,
            parameters,
            &questions,
            &config,
            &mut Alone,
            &mut gradients,
        )
    } else {
        step::contrastive(
            thinker,
            parameters,
            &truth.pairs(case),
            &case.hybrid_nce(),
            OverlapRule::IdenticalSets,
            &config,
            &mut Alone,
            &mut gradients,
        )
    };
    (outcome.unwrap().loss, gradients)
}

fn norm(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().map(|v| v * v).sum::<f64>().sqrt()
}

fn wide(values: &[f32]) -> impl Iterator<Item = f64> + Clone {
    values.iter().map(|v| f64::from(*v))
}

/// How far `got` is from what is recorded, relative to the recorded norm.
fn distance(got: &[f32], of: &Of, whole: Option<&[f32]>, what: &str) -> f64 {
    if let Some(whole) = whole {
        assert_eq!(got.len(), whole.len(), "{what}");
        return norm(wide(got).zip(wide(whole)).map(|(g, w)| g - w)) / of.norm;
    }
    let samples = of
        .samples
        .as_ref()
        .expect("samples where the tensors lack it");
    let last = samples.len().max(2) - 1;
    let at = |i: usize| f64::from(got[i * (got.len() - 1) / last]);
    let samples = samples.iter().enumerate().map(|(i, s)| (at(i) - s).abs());
    let root = (got.len() as f64).sqrt();
    samples
        .chain([
            (norm(wide(got)) - of.norm).abs(),
            // A difference of length d moves the sum by d √n at most.
            (wide(got).sum::<f64>() - of.sum).abs() / root,
        ])
        .fold(0.0, f64::max)
        / of.norm
}

fn largest_difference(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    wide(got)
        .zip(wide(want))
        .map(|(g, w)| (g - w).abs())
        .fold(0.0, f64::max)
}

/// A parameter's name as it was recorded.
fn recorded_name(case: &Case, name: &str) -> String {
    let layout = if case.name == "lora" {
        "base_model.model."
    } else {
        ""
    };
    format!("{layout}{name}")
}

#[test]
fn states_and_logits_are_those_of_pytorch() {
    let truth = Truth::read();
    for case in &truth.recorded.cases {
        let (thinker, parameters) = &model(case);
        let config = step_config(Products::F32);
        let states = |items: &[&Item]| step::states(thinker, parameters, items, &config).unwrap();
        let recorded = |key: &str| truth.tensor(&format!("{}/{key}", case.name)).unwrap();
        let off = if case.loss == "cross_entropy" {
            let questions = truth.questions();
            let states = states(&questions.iter().map(|q| &q.item).collect::<Vec<_>>());
            let logits = thinker.logits(&pass(parameters), &states).unwrap();
            largest_difference(&logits, &recorded("logits"))
        } else {
            let pairs = truth.pairs(case);
            let audio = states(&pairs.iter().map(|p| &p.audio).collect::<Vec<_>>());
            let text = states(&pairs.iter().map(|p| &p.text).collect::<Vec<_>>());
            largest_difference(&audio, &recorded("audio"))
                .max(largest_difference(&text, &recorded("text")))
        };
        println!("{}: states or logits off by {off:.1e}", case.name);
        assert!(off <= STATES_WITHIN, "{}: off by {off:e}", case.name);
    }
}

#[test]
fn losses_and_every_gradient_are_those_of_autograd() {
    let truth = Truth::read();
    let names: Vec<&str> = truth
        .recorded
        .cases
        .iter()
        .map(|c| c.name.as_str())
        .collect();
    assert_eq!(names, ["hybrid_nce", "info_nce", "answers", "lora"]);
    for case in &truth.recorded.cases {
        let model = model(case);
        let (loss, gradients) = run(&truth, case, &model, Products::F32);
        let off = (loss - case.value_f64).abs() / case.value_f64;
        assert!(
            off <= LOSS_WITHIN,
            "{}: loss {loss} is not {}",
            case.name,
            case.value_f64
        );

        let (mut worst, mut worst_name) = (0.0, String::new());
        let mut left: BTreeSet<&String> = case
            .gradients
            .keys()
            .chain(&case.without_gradient)
            .collect();
        left.retain(|name| *name != NOT_OURS);
        for (parameter, gradient) in model.1.iter().zip(gradients.as_slices()) {
            let name = recorded_name(case, &parameter.name);
            let what = format!("{}: {name}", case.name);
            assert!(left.remove(&name), "{what} is not recorded");
            let Some(of) = case.gradients.get(&name) else {
                assert!(gradient.iter().all(|g| *g == 0.0), "{what} has a gradient");
                continue;
            };
            assert_eq!(parameter.shape, of.shape, "{what}");
            let whole = truth.tensor(&format!("{}/{name}", case.name));
            let off = distance(gradient, of, whole.as_deref(), &what);
            assert!(
                off <= WITHIN,
                "{what}: off by {off:e} of its norm, {}",
                of.norm
            );
            if off > worst {
                (worst, worst_name) = (off, name);
            }
        }
        assert!(left.is_empty(), "{}: not computed: {left:?}", case.name);
        println!(
            "{}: loss off by {off:.1e}; {} gradients, the worst off by {worst:.1e}: {worst_name}",
            case.name,
            case.gradients.len()
        );
    }
}

/// Rounding the inputs of products turns gradients a little. PyTorch's autocast turns these same ones as far:
/// down to 0.9985 for whole weights, and to 0.9978 for the adapter, whose loss is steeper.
#[test]
fn gradients_of_bf16_products_point_the_same_way() {
    let truth = Truth::read();
    for case in &truth.recorded.cases {
        let model = model(case);
        let (_, exact) = run(&truth, case, &model, Products::F32);
        let (_, rounded) = run(&truth, case, &model, Products::Bf16);
        let whole = norm(exact.as_slices().into_iter().flat_map(wide));
        let least = if case.name == "lora" { 0.996 } else { 0.999 };
        let (mut worst, mut worst_name) = (1.0, "");
        for ((parameter, a), b) in model
            .1
            .iter()
            .zip(exact.as_slices())
            .zip(rounded.as_slices())
        {
            let name = &parameter.name;
            let dot: f64 = wide(a).zip(wide(b)).map(|(a, b)| a * b).sum();
            let (a, b) = (norm(wide(a)), norm(wide(b)));
            if a <= 1e-4 * whole {
                // Nothing but what rounding leaves, which has no direction.
                assert!(b <= 1e-3 * whole, "{}: {name}: {b} of {whole}", case.name);
                continue;
            }
            let cosine = dot / (a * b);
            assert!(cosine > least, "{}: {name}: cosine {cosine}", case.name);
            if cosine < worst {
                (worst, worst_name) = (cosine, name);
            }
        }
        println!(
            "{}: the lowest cosine is {worst:.5}: {worst_name}",
            case.name
        );
    }
}

/// The recorded checkpoint and adapter are where the rest of the tests take them from.
#[test]
fn recordings_are_of_the_checkpoint_and_the_adapter_here() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/training");
    let text = std::fs::read_to_string(dir.join("gradients.json")).unwrap();
    let about: serde_json::Value = serde_json::from_str(&text).unwrap();
    let at = |key: &str| -> PathBuf {
        dir.join(about[key].as_str().unwrap())
            .canonicalize()
            .unwrap()
    };
    assert_eq!(at("checkpoint"), tiny().canonicalize().unwrap());
    assert_eq!(at("adapter"), fixture().canonicalize().unwrap());
}
