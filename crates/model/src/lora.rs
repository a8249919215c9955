//! LoRA adapters (Hu et al. 2021, arXiv:2106.09685) in the PEFT layout, beside a base model.
//!
//! A linear layer `y = W x` becomes `y = W x + scale · B (A x)`. The change is kept apart from `W`,
//! which stays in its memory map: two thin products cost less than a second copy of the weights.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use aurola_compute::Matrix;
use fancy_regex::Regex;
use serde::Deserialize;

use crate::ModelError;
use crate::weights::{Checkpoint, Weights};

/// `scale · B A`: `a [rank, in]`, `b [out, rank]`.
#[derive(Debug, Clone)]
pub(crate) struct LowRank {
    pub(crate) a: Matrix,
    pub(crate) b: Matrix,
    pub(crate) scale: f32,
}

/// An adapter folder: `adapter_config.json` and `adapter_model.safetensors`.
#[derive(Debug)]
pub struct Adapter {
    path: PathBuf,
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
    rank_pattern: BTreeMap<String, usize>,
    #[serde(default)]
    alpha_pattern: BTreeMap<String, f32>,
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
        let mut modules = BTreeMap::new();
        for name in checkpoint.names() {
            if let Some(full) = name.strip_suffix(".lora_A.weight") {
                modules.insert(module_name(full).to_owned(), full.to_owned());
            } else if !name.ends_with(".lora_B.weight") {
                return Err(ModelError::Weights {
                    path: weights,
                    reason: format!("tensor {name} is not a lora_A or lora_B of a linear layer"),
                });
            }
        }
        if modules.is_empty() {
            return Err(ModelError::Weights {
                path: weights,
                reason: "no lora_A tensors".into(),
            });
        }
        Ok(Self {
            path: weights,
            modules,
            taken: Mutex::default(),
            checkpoint,
            config,
        })
    }

    /// The change to the linear layer `module` of `rows` outputs and `cols` inputs, if there is one.
    pub(crate) fn take(
        &self,
        module: &str,
        rows: usize,
        cols: usize,
    ) -> Result<Option<LowRank>, ModelError> {
        let Some(full) = self.modules.get(module) else {
            return Ok(None);
        };
        let rank = self.config.rank(module);
        let at = Weights::root(&self.checkpoint).at(full);
        let low_rank = LowRank {
            a: at.matrix("lora_A.weight", &[rank, cols])?,
            b: at.matrix("lora_B.weight", &[rows, rank])?,
            scale: self.config.scale(module, rank),
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
    pub(crate) fn refuse_unused(&self) -> Result<(), ModelError> {
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
        if self.r == 0 || self.rank_pattern.values().any(|r| *r == 0) {
            return Err("rank 0".into());
        }
        for pattern in self.rank_pattern.keys().chain(self.alpha_pattern.keys()) {
            pattern_regex(pattern).map_err(|e| format!("pattern {pattern:?}: {e}"))?;
        }
        Ok(())
    }

    fn rank(&self, module: &str) -> usize {
        matching(&self.rank_pattern, module).unwrap_or(self.r)
    }

    fn scale(&self, module: &str, rank: usize) -> f32 {
        let alpha = matching(&self.alpha_pattern, module).unwrap_or(self.lora_alpha);
        if self.use_rslora {
            alpha / (rank as f32).sqrt()
        } else {
            alpha / rank as f32
        }
    }
}

/// PEFT's rule: a key is a regular expression for the end of a module's name.
fn pattern_regex(pattern: &str) -> Result<Regex, Box<fancy_regex::Error>> {
    Regex::new(&format!(r"^(?:.*\.)?(?:{pattern})$")).map_err(Box::new)
}

fn matching<T: Copy>(patterns: &BTreeMap<String, T>, module: &str) -> Option<T> {
    let matches = |p: &str| pattern_regex(p).is_ok_and(|r| r.is_match(module).unwrap_or(false));
    patterns.iter().find(|(p, _)| matches(p)).map(|(_, v)| *v)
}

/// A tensor's module without `base_model.model.` (PEFT's) and `thinker.` (the full layout's).
fn module_name(full: &str) -> &str {
    let name = full.strip_prefix("base_model.model.").unwrap_or(full);
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
        assert_eq!(
            (plain.rank("a.q_proj"), plain.scale("a.q_proj", 4)),
            (4, 2.0)
        );
        let patterns = config(
            r#"{"r": 4, "lora_alpha": 8, "use_rslora": true,
                "rank_pattern": {"layers.1.self_attn.q_proj": 16, "fc[12]": 2}, "alpha_pattern": {"k_proj": 3}}"#,
        );
        assert_eq!(patterns.rank("model.layers.1.self_attn.q_proj"), 16);
        assert_eq!(patterns.rank("model.layers.11.self_attn.q_proj"), 4);
        assert_eq!(patterns.rank("audio_tower.layers.0.fc2"), 2);
        assert_eq!(patterns.scale("x.q_proj", 16), 2.0);
        assert_eq!(patterns.scale("x.k_proj", 4), 1.5);
    }

    #[test]
    fn variants_that_would_change_the_numbers_are_refused() {
        for text in [
            r#"{"r": 4, "lora_alpha": 8, "use_dora": true}"#,
            r#"{"r": 4, "lora_alpha": 8, "bias": "all"}"#,
            r#"{"r": 4, "lora_alpha": 8, "modules_to_save": ["lm_head"]}"#,
            r#"{"r": 0, "lora_alpha": 8}"#,
            r#"{"r": 4, "lora_alpha": 8, "peft_type": "IA3"}"#,
            r#"{"r": 4, "lora_alpha": 8, "rank_pattern": {"(": 2}}"#,
        ] {
            assert!(config(text).check().is_err(), "{text}");
        }
    }
}
