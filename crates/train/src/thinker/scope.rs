//! What of a model is trained, and how.

use std::collections::BTreeSet;

use aurola_model::lora::Adapter;
use fancy_regex::Regex;
use serde::{Deserialize, Serialize};

use super::parameters::Parameters;
use crate::TrainError;

/// What is trained: whole tensors by name, low-rank changes of linear layers, or both.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scope {
    /// Regular expressions for the names of tensors that are trained whole, without what a layout
    /// puts before them: `".*"` for everything, `"model\\..*"` for the language model. Anchored at both
    /// ends.
    pub tensors: Vec<String>,
    /// Low-rank changes.
    pub lora: Option<LoraConfig>,
}

/// LoRA (Hu et al. 2021, arXiv:2106.09685), with PEFT's names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoraConfig {
    /// Rank, 1 or more.
    pub r: usize,
    /// The change is scaled by `lora_alpha / r`.
    pub lora_alpha: f32,
    /// Share of a layer's inputs that the change does not see in a step, in `[0, 1)`.
    pub lora_dropout: f32,
    /// Regular expressions for the names of linear layers (`model.layers.0.self_attn.q_proj`), anchored
    /// at both ends. The default is every linear layer of both towers; the head is not one of them.
    pub target_modules: Vec<String>,
    /// Ranks of some layers that differ from `r`: pattern (for the end of a name), rank. The first
    /// that matches decides.
    pub rank_pattern: Vec<(String, usize)>,
    /// Alphas of some layers that differ from `lora_alpha`.
    pub alpha_pattern: Vec<(String, f32)>,
}

impl Default for LoraConfig {
    /// The released audio stage's: rank 128, alpha 256, dropout 0.05, every linear layer.
    fn default() -> Self {
        Self {
            r: 128,
            lora_alpha: 256.0,
            lora_dropout: 0.05,
            target_modules: vec![
                r"(audio_tower|model)\.layers\.\d+\..*".into(),
                r"audio_tower\.proj".into(),
            ],
            rank_pattern: Vec::new(),
            alpha_pattern: Vec::new(),
        }
    }
}

/// A scope with its patterns compiled, and what they have matched.
#[derive(Debug)]
pub(super) struct Started<'s> {
    tensors: Vec<(Regex, &'s str)>,
    modules: Vec<(Regex, &'s str)>,
    ranks: Vec<(Regex, usize)>,
    alphas: Vec<(Regex, f32)>,
    lora: Option<&'s LoraConfig>,
    used: BTreeSet<&'s str>,
    begun: Option<&'s Adapter>,
}

/// Rank, scale and dropout of one layer's change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Change {
    pub(super) rank: usize,
    pub(super) scale: f32,
    pub(super) dropout: f32,
}

impl Scope {
    /// Everything, whole: for small models.
    pub fn everything() -> Self {
        Self {
            tensors: vec![".*".into()],
            lora: None,
        }
    }

    pub(super) fn start(&self) -> Result<Started<'_>, TrainError> {
        let whole = |p: &'_ String| compile(p, &format!("^(?:{p})$"));
        let end = |p: &String| compile(p, &format!(r"^(?:.*\.)?(?:{p})$"));
        if let Some(lora) = &self.lora {
            let settings = [
                ("r", lora.r as f64, lora.r > 0, "1 or more"),
                (
                    "lora_dropout",
                    f64::from(lora.lora_dropout),
                    (0.0..1.0).contains(&lora.lora_dropout),
                    "0 or more and below 1",
                ),
                (
                    "lora_alpha",
                    f64::from(lora.lora_alpha),
                    lora.lora_alpha > 0.0 && lora.lora_alpha.is_finite(),
                    "above 0",
                ),
            ];
            if let Some((name, value, _, range)) =
                settings.into_iter().find(|(_, _, good, _)| !good)
            {
                return Err(TrainError::Setting { name, value, range });
            }
        }
        let lora = self.lora.as_ref();
        let tensors = self.tensors.iter().map(|p| Ok((whole(p)?, p.as_str())));
        let modules = lora
            .map_or(&[][..], |l| &l.target_modules)
            .iter()
            .map(|p| Ok((whole(p)?, p.as_str())));
        let ranks = lora
            .map_or(&[][..], |l| &l.rank_pattern)
            .iter()
            .map(|(p, r)| Ok((end(p)?, *r)));
        let alphas = lora
            .map_or(&[][..], |l| &l.alpha_pattern)
            .iter()
            .map(|(p, a)| Ok((end(p)?, *a)));
        Ok(Started {
            tensors: tensors.collect::<Result<_, TrainError>>()?,
            modules: modules.collect::<Result<_, TrainError>>()?,
            ranks: ranks.collect::<Result<_, TrainError>>()?,
            alphas: alphas.collect::<Result<_, TrainError>>()?,
            lora,
            used: BTreeSet::new(),
            begun: None,
        })
    }
}

impl<'s> Started<'s> {
    /// Layers begin as `adapter` has them.
    pub(super) fn begins_with(&mut self, adapter: &'s Adapter) {
        self.begun = Some(adapter);
    }

    /// Whether the tensor `name` is trained whole.
    pub(super) fn trains(&mut self, name: &str) -> bool {
        let found = self.tensors.iter().find(|(p, _)| matches(p, name));
        self.used.extend(found.map(|(_, text)| *text));
        found.is_some()
    }

    /// The change of the linear layer `module`, where there is one.
    pub(super) fn change(&mut self, module: &str) -> Option<Change> {
        let lora = self.lora?;
        let (_, text) = self.modules.iter().find(|(p, _)| matches(p, module))?;
        self.used.insert(text);
        let first = |list: &[(Regex, usize)]| {
            list.iter()
                .find(|(p, _)| matches(p, module))
                .map(|(_, v)| *v)
        };
        let rank = first(&self.ranks).unwrap_or(lora.r);
        let alpha = self
            .alphas
            .iter()
            .find(|(p, _)| matches(p, module))
            .map_or(lora.lora_alpha, |(_, a)| *a);
        Some(Change {
            rank,
            scale: alpha / rank as f32,
            dropout: lora.lora_dropout,
        })
    }

    /// Refuses a pattern that matched nothing, a model of which nothing is trained, and an adapter with
    /// layers that the model does not have.
    pub(super) fn finish(&self, parameters: &Parameters) -> Result<(), TrainError> {
        let patterns = self.tensors.iter().chain(&self.modules);
        if let Some((_, text)) = patterns.into_iter().find(|(_, t)| !self.used.contains(t)) {
            return Err(TrainError::Scope {
                reason: format!("the pattern {text:?} matches nothing in the model"),
            });
        }
        if parameters.count() == 0 {
            return Err(TrainError::Scope {
                reason: "nothing is trained: give `tensors` or `lora`".into(),
            });
        }
        self.begun.map_or(Ok(()), Adapter::refuse_unused)?;
        Ok(())
    }
}

fn compile(text: &str, pattern: &str) -> Result<Regex, TrainError> {
    Regex::new(pattern).map_err(|e| TrainError::Scope {
        reason: format!("the pattern {text:?}: {e}"),
    })
}

/// A pattern that gives up on a name does not match it.
fn matches(pattern: &Regex, name: &str) -> bool {
    pattern.is_match(name).unwrap_or(false)
}
