//! Hybrid-NCE: the loss of the audio stage. Captions that share tags are no negatives, and the harder
//! a negative, the more it counts.

use serde::{Deserialize, Serialize};

use super::info_nce::{check, check_temperature};
use super::log_sum::{LogSum, ln_add};
use super::similarity::Line;
use super::{ContrastiveLoss, Direction, LossError, Overlap, Similarities};

/// ε of the released code, added to the sum that scales the hardness weights and to the denominator.
const RELEASED_EPSILON: f64 = 1e-8;

/// Weights of [`hybrid_nce`]. Defaults are those of the training script released with
/// arXiv:2602.18010; [`HybridNceConfig::info_nce`] switches every extension off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HybridNceConfig {
    /// τ in `[0.001, 1]`, default 0.05. Similarities are divided by it.
    pub temperature: f64,
    /// α in `[0, 1]`, default 1.0. Below 1, positives count less in the denominator.
    pub positive_weight: f64,
    /// λ in `[0, 1]`, default 0.2. Weight of a caption sharing our tags; 0 means only our own.
    pub shared_tag_weight: f64,
    /// β in `[0, 100]`, default 0.1. How much harder negatives outweigh easy ones; 0 treats them alike.
    pub hardness: f64,
    /// Default [`Direction::AudioToText`].
    pub direction: Direction,
    /// Default [`Form::Exact`].
    pub form: Form,
}

/// What is computed where the released code and its formula differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// The formula. A column's positives are its own.
    #[default]
    Exact,
    /// The released code, for comparison: ε = 1e-8 in two sums, which shows where similarities are near
    /// −1 or α is 0; and in [`Direction::Symmetric`] caption `i` is given the positives of row `i`, so
    /// with overlaps that loss is not the same for the transposed matrix.
    Released,
}

impl Default for HybridNceConfig {
    fn default() -> Self {
        Self {
            temperature: 0.05,
            positive_weight: 1.0,
            shared_tag_weight: 0.2,
            hardness: 0.1,
            direction: Direction::AudioToText,
            form: Form::Exact,
        }
    }
}

impl HybridNceConfig {
    /// InfoNCE at this temperature, where nothing overlaps: α = 1, λ = 0, β = 0.
    pub fn info_nce(temperature: f64) -> Self {
        Self {
            temperature,
            positive_weight: 1.0,
            shared_tag_weight: 0.0,
            hardness: 0.0,
            ..Self::default()
        }
    }

    /// Whether every setting lies in its range; [`hybrid_nce`] asks by itself.
    ///
    /// # Errors
    ///
    /// [`LossError::OutOfRange`] names the first that does not.
    pub fn check(&self) -> Result<(), LossError> {
        check_temperature(self.temperature)?;
        check("positive_weight", self.positive_weight, 0.0, 1.0, "[0, 1]")?;
        check(
            "shared_tag_weight",
            self.shared_tag_weight,
            0.0,
            1.0,
            "[0, 1]",
        )?;
        check("hardness", self.hardness, 0.0, 100.0, "[0, 100]")
    }
}

/// Hybrid-NCE (arXiv:2602.18010), averaged over anchors. Where `p_ij = exp(s_ij / τ)` and `N_i` are the
/// negatives of row `i`, all `j ≠ i` without overlap:
///
/// ```text
/// pos_i = p_ii + λ Σ_j overlap_ij p_ij
/// w_ij  = |N_i| exp(β s_ij / τ) / Σ_{k∈N_i} exp(β s_ik / τ)
/// ℓ_i   = −ln( pos_i / (α pos_i + Σ_{j∈N_i} w_ij p_ij) )
/// ```
///
/// A symmetric loss adds the same of every column. `α = 1, λ = 0, β = 0` and no overlap is
/// [`info_nce`](super::info_nce()). A pair with overlap is not a negative, even at λ = 0. The weights `w`
/// are part of the function: the gradient goes through them, as in the released code.
///
/// Sums are kept as logarithms, so τ = 0.001 overflows nothing and a loss near 0 keeps its digits. A row
/// without negatives, such as that of a batch of 1, has loss `ln α` and gradient 0.
///
/// # Errors
///
/// - [`LossError::OutOfRange`] names a setting outside its range.
/// - [`LossError::BatchesDiffer`] where `overlap` is of another batch.
/// - [`LossError::NoNegatives`] where an anchor has none and α is 0: the loss would be −∞.
pub fn hybrid_nce(
    sim: &Similarities,
    overlap: &Overlap,
    cfg: &HybridNceConfig,
) -> Result<ContrastiveLoss, LossError> {
    cfg.check()?;
    let batch = sim.batch();
    if overlap.batch() != batch {
        return Err(LossError::BatchesDiffer {
            similarities: batch,
            overlap: overlap.batch(),
        });
    }
    let terms = Terms { sim, overlap, cfg };
    let mut anchors = Vec::new();
    for pair in 0..batch {
        let (row, column) = (Line::row(pair, batch), Line::column(pair, batch));
        anchors.push((pair, row, row));
        match (cfg.direction, cfg.form) {
            (Direction::AudioToText, _) => {}
            (Direction::Symmetric, Form::Exact) => anchors.push((pair, column, column)),
            (Direction::Symmetric, Form::Released) => anchors.push((pair, row, column)),
        }
    }

    let count = anchors.len() as f64;
    let ln_alpha = cfg.positive_weight.ln();
    let mut loss = ContrastiveLoss {
        value: 0.0,
        gradient: vec![0.0; batch * batch],
    };
    for (pair, own, others) in anchors {
        let positives = terms.ln_positives(own);
        let negatives = terms.ln_negatives(others);
        // ℓ = ln(α + exp t) with t = ln(negatives / positives), and dℓ/dt = exp(t − ℓ).
        let t = negatives.value - positives.value;
        let value = ln_add(ln_alpha, t);
        if value == f64::NEG_INFINITY {
            return Err(LossError::NoNegatives { pair, batch });
        }
        let slope = (t - value).exp() / (count * cfg.temperature);
        loss.value += value / count;
        for (cell, share) in negatives.shares {
            loss.gradient[cell] += slope * share;
        }
        for (cell, share) in positives.shares {
            loss.gradient[cell] -= slope * share;
        }
    }
    Ok(loss)
}

/// The two sums of an anchor. Their shares are with respect to `z = s / τ`.
struct Terms<'a> {
    sim: &'a Similarities,
    overlap: &'a Overlap,
    cfg: &'a HybridNceConfig,
}

impl Terms<'_> {
    fn z(&self, cell: usize) -> f64 {
        self.sim.as_slice()[cell] / self.cfg.temperature
    }

    fn shared(&self, cell: usize) -> f64 {
        f64::from(self.overlap.as_slice()[cell])
    }

    /// `ln pos_i`.
    fn ln_positives(&self, line: Line) -> LogSum {
        let own = (line.own(), self.z(line.own()));
        let sharing = line.others().filter_map(|cell| {
            let weight = self.cfg.shared_tag_weight * self.shared(cell);
            (weight > 0.0).then(|| (cell, weight.ln() + self.z(cell)))
        });
        LogSum::of(std::iter::once(own).chain(sharing))
    }

    /// `ln Σ_{j∈N_i} w_ij p_ij`: the logarithm of `|N_i| Σ exp((1+β) z) / Σ exp(β z)`.
    fn ln_negatives(&self, line: Line) -> LogSum {
        let beta = self.cfg.hardness;
        let negatives: Vec<usize> = line
            .others()
            .filter(|cell| self.shared(*cell) == 0.0)
            .collect();
        let sum_of = |factor: f64| LogSum::of(negatives.iter().map(|c| (*c, factor * self.z(*c))));
        let released = self.cfg.form == Form::Released;

        let mut sum = sum_of(1.0 + beta);
        if !negatives.is_empty() {
            let mut scale = sum_of(beta);
            if released {
                scale = scale.plus(RELEASED_EPSILON.ln());
            }
            sum.value += (negatives.len() as f64).ln() - scale.value;
            for ((_, share), (_, of_scale)) in sum.shares.iter_mut().zip(scale.shares) {
                *share = (1.0 + beta) * *share - beta * of_scale;
            }
        }
        if released {
            sum = sum.plus(RELEASED_EPSILON.ln());
        }
        sum
    }
}
