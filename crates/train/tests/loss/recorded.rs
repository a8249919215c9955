//! Values and gradients against PyTorch's, found there by autograd: ours in `testdata/losses`, and the
//! released code's beside the workspace, where they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aurola_train::loss::{
    ContrastiveLoss, Direction, Form, HybridNceConfig, InfoNceConfig, OverlapRule, Pairs,
    cross_entropy, hybrid_nce, info_nce,
};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{assert_close, overlap};

/// Relative to the number itself. One far below the largest of its kind is a difference of larger ones,
/// and compared with what rounding leaves of it: [`LOST`] of the largest. What is nothing by the formula
/// is [`NOTHING`] at most where autograd has to find it by cancellation.
const WITHIN: f64 = 1e-5;
const LOST: f64 = 1e-7;
const NOTHING: f64 = 1e-14;

struct Tensors(BTreeMap<String, Vec<f64>>);

impl Tensors {
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let read = |view: safetensors::tensor::TensorView<'_>| match view.dtype() {
            Dtype::F32 => floats(view.data(), |b: [u8; 4]| f64::from(f32::from_le_bytes(b))),
            Dtype::F64 => floats(view.data(), f64::from_le_bytes),
            other => panic!("{other:?}"),
        };
        let named = tensors.tensors().into_iter();
        Self(named.map(|(name, view)| (name, read(view))).collect())
    }

    #[track_caller]
    fn get(&self, name: &str) -> &[f64] {
        self.0.get(name).unwrap_or_else(|| panic!("no {name}"))
    }

    /// What was an `f32` to begin with.
    #[track_caller]
    fn inputs(&self, name: &str) -> Vec<f32> {
        self.get(name).iter().map(|v| *v as f32).collect()
    }
}

fn floats<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    bytes
        .chunks_exact(N)
        .map(|b| read(b.try_into().unwrap()))
        .collect()
}

fn json<T: DeserializeOwned>(path: &Path) -> T {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn assert_gradient<T: Copy + Into<f64>>(got: &[T], want: &[f64], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    let largest = want.iter().fold(0.0, |most: f64, w| most.max(w.abs()));
    for (at, (got, want)) in got.iter().zip(want).enumerate() {
        let (got, off) = ((*got).into(), ((*got).into() - want).abs());
        assert!(
            off <= (WITHIN * want.abs()).max(LOST * largest).max(NOTHING),
            "{what}, at {at}: {got:e} is not {want:e}; off by {off:e} where {largest:e} is the largest"
        );
    }
}

fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/losses")
}

#[derive(Deserialize)]
struct Recorded {
    pairs: Vec<Case>,
    answers: Answers,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    loss: String,
    config: serde_json::Value,
    dim: usize,
    normalized: bool,
    clusters: Vec<Option<Vec<u32>>>,
    rule: OverlapRule,
    value: f64,
}

#[derive(Deserialize)]
struct Answers {
    vocab: usize,
    targets: Vec<Option<u32>>,
    value: f64,
}

#[test]
fn values_and_gradients_are_those_of_autograd() {
    let recorded: Recorded = json(&own().join("losses.json"));
    let tensors = Tensors::read(&own().join("losses.safetensors"));
    assert_eq!(recorded.pairs.len(), 16);
    for case in recorded.pairs {
        let name = &case.name;
        let get = |key: &str| tensors.get(&format!("{name}/{key}"));
        let audio = tensors.inputs(&format!("{name}/audio"));
        let text = tensors.inputs(&format!("{name}/text"));
        let pairs = if case.normalized {
            Pairs::normalized(&audio, &text, case.dim).unwrap()
        } else {
            Pairs::new(&audio, &text, case.dim).unwrap()
        };
        let sim = pairs.similarities();
        let loss: ContrastiveLoss = match case.loss.as_str() {
            "info_nce" => {
                let cfg: InfoNceConfig = serde_json::from_value(case.config).unwrap();
                info_nce(&sim, &cfg).unwrap()
            }
            "hybrid_nce" => {
                let cfg: HybridNceConfig = serde_json::from_value(case.config).unwrap();
                let clusters: Vec<_> = case.clusters.iter().map(Option::as_deref).collect();
                let shared = overlap(case.rule, &clusters);
                assert_gradient(
                    shared.as_slice(),
                    get("overlap"),
                    &format!("{name}: overlap"),
                );
                hybrid_nce(&sim, &shared, &cfg).unwrap()
            }
            other => panic!("{other}"),
        };
        assert_close(loss.value, case.value, WITHIN * case.value.abs());
        let at = |key| format!("{name}: gradient of {key}");
        assert_gradient(
            &loss.gradient,
            get("gradient_similarities"),
            &at("similarities"),
        );
        let gradients = pairs.backward(&loss.gradient).unwrap();
        assert_gradient(&gradients.audio, get("gradient_audio"), &at("audio"));
        assert_gradient(&gradients.text, get("gradient_text"), &at("text"));
    }
}

#[test]
fn answers_are_those_of_torch() {
    let Answers {
        vocab,
        targets,
        value,
    } = json::<Recorded>(&own().join("losses.json")).answers;
    let tensors = Tensors::read(&own().join("losses.safetensors"));
    let loss = cross_entropy(&tensors.inputs("answers/logits"), vocab, &targets).unwrap();
    assert_close(loss.value, value, WITHIN * value);
    assert_gradient(&loss.gradient, tensors.get("answers/gradient"), "answers");
}

/// A setting of the released function, under its own names.
#[derive(Deserialize)]
struct Released {
    case: usize,
    #[serde(rename = "B")]
    batch: usize,
    #[serde(rename = "D")]
    dim: usize,
    alpha: f64,
    beta: f64,
    #[serde(rename = "lambda_")]
    lambda: f64,
    temperature: f64,
    bidirectional: bool,
    estimator: String,
    loss_f64: f64,
}

impl Released {
    fn config(&self, form: Form) -> HybridNceConfig {
        HybridNceConfig {
            temperature: self.temperature,
            positive_weight: self.alpha,
            shared_tag_weight: self.lambda,
            // The "plain" estimator weights no negative.
            hardness: if self.estimator == "hard" {
                self.beta
            } else {
                0.0
            },
            direction: if self.bidirectional {
                Direction::Symmetric
            } else {
                Direction::AudioToText
            },
            form,
        }
    }
}

#[test]
fn shared_golden_values() {
    let shared = std::env::var_os("AUROLA_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let recorded = shared.join("golden/hybrid_nce.json");
    if !recorded.is_file() {
        println!("not run: {} is not there", recorded.display());
        return;
    }
    let cases: Vec<Released> = json(&recorded);
    let tensors = Tensors::read(&recorded.with_extension("safetensors"));
    assert!(!cases.is_empty());
    for case in cases {
        let name = case.case;
        let audio = tensors.inputs(&format!("{name}/audio"));
        let text = tensors.inputs(&format!("{name}/text"));
        let pairs = Pairs::new(&audio, &text, case.dim).unwrap();

        // A table of 0 and 1, [batch, clusters], says which clusters a caption's tags fall into.
        let mask = tensors.0.get(&format!("{name}/positive_mask"));
        let clusters: Vec<Option<Vec<u32>>> = match mask {
            None => vec![None; case.batch],
            Some(mask) => mask
                .chunks_exact(mask.len() / case.batch)
                .map(|row| Some((0..).zip(row).filter(|c| *c.1 > 0.0).map(|c| c.0).collect()))
                .collect(),
        };
        let clusters: Vec<_> = clusters.iter().map(Option::as_deref).collect();
        let shared = overlap(OverlapRule::IdenticalSets, &clusters);

        // The formula without its ε agrees as well, wherever the two are the same function.
        let forms: &[Form] = if case.bidirectional {
            &[Form::Released]
        } else {
            &[Form::Released, Form::Exact]
        };
        for form in forms {
            let loss = hybrid_nce(&pairs.similarities(), &shared, &case.config(*form)).unwrap();
            assert_close(loss.value, case.loss_f64, WITHIN * case.loss_f64.abs());
            let gradients = pairs.backward(&loss.gradient).unwrap();
            for (got, side) in [(gradients.audio, "audio"), (gradients.text, "text")] {
                let want = tensors.get(&format!("{name}/float64/grad_{side}"));
                assert_gradient(&got, want, &format!("case {name}, {form:?}, {side}"));
            }
        }
    }
}
