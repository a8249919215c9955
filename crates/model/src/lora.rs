//! LoRA adapters (Hu et al. 2021, arXiv:2106.09685) in the PEFT layout, beside a base model.
//!
//! A linear layer `y = W x` becomes `y = W x + scale · B (A x)`. The change is kept apart from `W`,
//! which stays in its memory map: two thin products cost less than a second copy of the weights.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use aurola_compute::gemm::{View, gemm};
use aurola_compute::{Matrix, Precision, pointwise};
use fancy_regex::Regex;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

use crate::ModelError;
use crate::weights::{Checkpoint, Weights};

/// `scale · B A`: `a [rank, in]`, `b [out, rank]`.
#[derive(Debug, Clone)]
pub struct LowRank {
    /// The first factor, `[rank, in]`.
    pub a: Matrix,
    /// The second factor, `[out, rank]`.
    pub b: Matrix,
    /// What their product is multiplied by.
    pub scale: f32,
}

impl LowRank {
    /// Adds the change to `weight [out, in]`, row-major.
    ///
    /// # Panics
    ///
    /// Where `weight` is of another shape.
    pub fn add_to(&self, weight: &mut [f32]) {
        let (rows, cols) = (self.b.rows(), self.a.cols());
        let mut change = vec![0.0; rows * cols];
        gemm(
            View::of(&self.b),
            View::of(&self.a),
            Precision::F32,
            false,
            &mut change,
        );
        change.iter_mut().for_each(|v| *v *= self.scale);
        pointwise::add(weight, &change);
    }
}

/// An adapter folder: `adapter_config.json` and `adapter_model.safetensors`.
#[derive(Debug)]
pub struct Adapter {
    path: PathBuf,
    config_path: PathBuf,
    /// Module name, without PEFT's and the layout's prefixes, to the tensors' full prefix.
    modules: BTreeMap<String, String>,
    taken: Mutex<Vec<String>>,
    checkpoint: Checkpoint,
    config: AdapterConfig,
}

#[derive(Debug, Clone, Deserialize)]
struct AdapterConfig {
    peft_type: Option<String>,
    r: usize,
    lora_alpha: f32,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    lora_bias: bool,
    #[serde(default)]
    fan_in_fan_out: bool,
    bias: Option<String>,
    modules_to_save: Option<Vec<String>>,
    #[serde(default)]
    rank_pattern: Patterns<usize>,
    #[serde(default)]
    alpha_pattern: Patterns<f32>,
}

/// Values for some modules, in the file's order: the first pattern that matches decides, as in
/// PEFT. A pattern is a regular expression for the end of a module's name.
#[derive(Debug, Clone)]
struct Patterns<T>(Vec<(Regex, T)>);

impl<T> Default for Patterns<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Patterns<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // A map of serde_json keeps the order of the file (its feature `preserve_order`).
        let map = serde_json::Map::deserialize(from)?;
        map.into_iter()
            .map(|(pattern, value)| {
                let refuse = |e: &dyn std::fmt::Display| {
                    D::Error::custom(format!("pattern {pattern:?}: {e}"))
                };
                let regex = Regex::new(&format!(r"^(?:.*\.)?(?:{pattern})$"));
                Ok((
                    regex.map_err(|e| refuse(&e))?,
                    serde_json::from_value(value).map_err(|e| refuse(&e))?,
                ))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl<T: Copy> Patterns<T> {
    /// The value for `module`, or the reason why a pattern cannot be tried on it.
    fn find(&self, module: &str) -> Result<Option<T>, String> {
        for (pattern, value) in &self.0 {
            match pattern.is_match(module) {
                Ok(true) => return Ok(Some(*value)),
                Ok(false) => {}
                Err(e) => return Err(format!("pattern {:?} on {module}: {e}", pattern.as_str())),
            }
        }
        Ok(None)
    }
}

impl Adapter {
    /// Reads the adapter in `dir`.
    ///
    /// # Errors
    ///
    /// [`ModelError`] for files that are missing or damaged, and for variants of LoRA that are not
    /// implemented (DoRA, trained biases, fully saved modules).
    pub fn open(dir: &Path) -> Result<Self, ModelError> {
        let path = dir.join("adapter_config.json");
        let weights = dir.join("adapter_model.safetensors");
        for file in [&path, &weights] {
            if !file.exists() {
                return Err(ModelError::MissingFile {
                    dir: dir.to_owned(),
                    name: file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                    help: "a PEFT adapter folder holds adapter_config.json and adapter_model.safetensors".into(),
                });
            }
        }
        let text = std::fs::read_to_string(&path).map_err(ModelError::io(&path))?;
        let config: AdapterConfig = serde_json::from_str(&text).map_err(|e| ModelError::Json {
            path: path.clone(),
            reason: e.to_string(),
        })?;
        config.check().map_err(|reason| ModelError::Config {
            path: path.clone(),
            reason,
        })?;
        let checkpoint = Checkpoint::open_file(&weights)?;
        let modules = modules(&checkpoint).map_err(|reason| ModelError::Weights {
            path: weights.clone(),
            reason,
        })?;
        Ok(Self {
            path: weights,
            config_path: path,
            modules,
            taken: Mutex::default(),
            checkpoint,
            config,
        })
    }

    /// The change to the linear layer `module` of `rows` outputs and `cols` inputs, if there is one.
    ///
    /// # Errors
    ///
    /// [`ModelError`] where its factors are of another shape, or a pattern cannot be tried.
    pub fn change(
        &self,
        module: &str,
        rows: usize,
        cols: usize,
    ) -> Result<Option<LowRank>, ModelError> {
        let Some(full) = self.modules.get(module) else {
            return Ok(None);
        };
        let (rank, scale) = self
            .config
            .rank_and_scale(peft_name(full))
            .map_err(|reason| ModelError::Config {
                path: self.config_path.clone(),
                reason,
            })?;
        let at = Weights::root(&self.checkpoint).at(full);
        let low_rank = LowRank {
            a: at.matrix("lora_A.weight", &[rank, cols])?,
            b: at.matrix("lora_B.weight", &[rows, rank])?,
            scale,
        };
        self.taken
            .lock()
            .expect("no panic while held")
            .push(module.to_owned());
        Ok(Some(low_rank))
    }

    /// Refuses an adapter with modules that the base model does not have. Those of vision and
    /// talker, which are not run, are none of our business: choosing layers by name, as the
    /// released recipe does, adapts them too.
    ///
    /// # Errors
    ///
    /// [`ModelError::Weights`] naming the first module that nothing has asked for.
    pub fn refuse_unused(&self) -> Result<(), ModelError> {
        let taken = self.taken.lock().expect("no panic while held");
        let ours = |m: &&String| {
            m.starts_with("audio_tower.") || m.starts_with("model.") || *m == "lm_head"
        };
        match self
            .modules
            .keys()
            .filter(ours)
            .find(|m| !taken.contains(m))
        {
            None => Ok(()),
            Some(module) => Err(ModelError::Weights {
                path: self.path.clone(),
                reason: format!(
                    "the base model has no linear layer {module} that takes an adapter; the adapter was made for \
                     another base"
                ),
            }),
        }
    }

    pub(crate) fn digest(&self, into: &mut blake3::Hasher) {
        into.update(format!("{:?}", self.config).as_bytes());
        self.checkpoint.digest(into, |_| true);
    }
}

impl AdapterConfig {
    fn check(&self) -> Result<(), String> {
        let kind = self.peft_type.as_deref().unwrap_or("LORA");
        if kind != "LORA" {
            return Err(format!(
                "peft_type {kind:?} is not implemented; only \"LORA\""
            ));
        }
        let refused = [
            ("use_dora", self.use_dora),
            ("lora_bias", self.lora_bias),
            ("fan_in_fan_out", self.fan_in_fan_out),
            ("bias", self.bias.as_deref().is_some_and(|b| b != "none")),
            (
                "modules_to_save",
                self.modules_to_save.as_ref().is_some_and(|m| !m.is_empty()),
            ),
        ];
        if let Some((key, _)) = refused.into_iter().find(|(_, on)| *on) {
            return Err(format!("{key} is not implemented"));
        }
        if self.r == 0 || self.rank_pattern.0.iter().any(|(_, r)| *r == 0) {
            return Err("rank 0".into());
        }
        Ok(())
    }

    /// Rank and scale of `module`, which is named as PEFT names it; or what is wrong with a pattern.
    fn rank_and_scale(&self, module: &str) -> Result<(usize, f32), String> {
        let rank = self.rank_pattern.find(module)?.unwrap_or(self.r);
        let alpha = self.alpha_pattern.find(module)?.unwrap_or(self.lora_alpha);
        let divisor = if self.use_rslora {
            (rank as f32).sqrt()
        } else {
            rank as f32
        };
        Ok((rank, alpha / divisor))
    }
}

/// The modules that an adapter's tensors belong to, by our names; or what does not belong.
fn modules(checkpoint: &Checkpoint) -> Result<BTreeMap<String, String>, String> {
    let mut modules = BTreeMap::new();
    for name in checkpoint.names() {
        if let Some(full) = name.strip_suffix(".lora_A.weight") {
            let module = module_name(full).to_owned();
            if let Some(other) = modules.insert(module, full.to_owned()) {
                return Err(format!("{other} and {full} adapt the same layer"));
            }
        } else if let Some(full) = name.strip_suffix(".lora_B.weight") {
            // In order, lora_A stands before it.
            if modules.get(module_name(full)).is_none_or(|m| m != full) {
                return Err(format!("tensor {name} has no lora_A beside it"));
            }
        } else {
            return Err(format!(
                "tensor {name} is not a lora_A or lora_B of a linear layer"
            ));
        }
    }
    if modules.is_empty() {
        return Err("no lora_A tensors".into());
    }
    Ok(modules)
}

/// A tensor's module as PEFT names it, which its patterns go by.
fn peft_name(full: &str) -> &str {
    full.strip_prefix("base_model.model.").unwrap_or(full)
}

/// A tensor's module by our name: without `thinker.`, which the full layout adds.
fn module_name(full: &str) -> &str {
    let name = peft_name(full);
    name.strip_prefix("thinker.").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> AdapterConfig {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn scale_and_rank_follow_pefts_rules() {
        let plain = config(r#"{"r": 4, "lora_alpha": 8}"#);
        assert_eq!(plain.rank_and_scale("a.q_proj"), Ok((4, 2.0)));
        let patterns = config(
            r#"{"r": 4, "lora_alpha": 8, "use_rslora": true,
                "rank_pattern": {"layers.1.self_attn.q_proj": 16, "fc[12]": 2, "^thinker\\.model\\.x": 9},
                "alpha_pattern": {"k_proj": 3}}"#,
        );
        let of = |module| patterns.rank_and_scale(module).unwrap();
        assert_eq!(of("thinker.model.layers.1.self_attn.q_proj"), (16, 2.0));
        assert_eq!(of("model.layers.11.self_attn.q_proj"), (4, 4.0));
        assert_eq!(of("audio_tower.layers.0.fc2").0, 2);
        assert_eq!(of("x.k_proj"), (4, 1.5));
        assert_eq!(of("thinker.model.x").0, 9, "a pattern for the whole name");
    }

    #[test]
    fn the_first_pattern_of_the_file_that_matches_decides() {
        let broad_first = config(
            r#"{"r": 4, "lora_alpha": 8, "alpha_pattern": {"q_proj": 2, "layers.1.self_attn.q_proj": 16}}"#,
        );
        let narrow_first = config(
            r#"{"r": 4, "lora_alpha": 8, "alpha_pattern": {"layers.1.self_attn.q_proj": 16, "q_proj": 2}}"#,
        );
        let scale = |c: &AdapterConfig| {
            c.rank_and_scale("model.layers.1.self_attn.q_proj")
                .unwrap()
                .1
        };
        assert_eq!((scale(&broad_first), scale(&narrow_first)), (0.5, 4.0));
    }

    #[test]
    fn a_pattern_that_is_none_or_never_ends_is_refused_by_name() {
        let broken = r#"{"r": 4, "lora_alpha": 8, "rank_pattern": {"(": 2}}"#;
        let error = serde_json::from_str::<AdapterConfig>(broken).unwrap_err();
        assert!(error.to_string().contains("pattern \"(\""), "{error}");
        let endless =
            config(r#"{"r": 4, "lora_alpha": 8, "rank_pattern": {"(?=a)(a|aa|aaa)+\\1b": 2}}"#);
        let error = endless.rank_and_scale(&"a".repeat(200)).unwrap_err();
        assert!(error.contains("aaa"), "{error}");
    }

    #[test]
    fn variants_that_would_change_the_numbers_are_refused() {
        for text in [
            r#"{"r": 4, "lora_alpha": 8, "use_dora": true}"#,
            r#"{"r": 4, "lora_alpha": 8, "bias": "all"}"#,
            r#"{"r": 4, "lora_alpha": 8, "modules_to_save": ["lm_head"]}"#,
            r#"{"r": 0, "lora_alpha": 8}"#,
            r#"{"r": 4, "lora_alpha": 8, "peft_type": "IA3"}"#,
        ] {
            assert!(config(text).check().is_err(), "{text}");
        }
    }
}
