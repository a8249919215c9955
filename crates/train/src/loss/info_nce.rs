//! InfoNCE: the loss of the text stage, and the plain one Hybrid-NCE is tested against.

use serde::{Deserialize, Serialize};

use super::log_sum::LogSum;
use super::similarity::Line;
use super::{ContrastiveLoss, Direction, LossError, Similarities};

/// Settings of [`info_nce`]. Defaults are those of the released text stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InfoNceConfig {
    /// τ in `[0.001, 1]`, default 0.05. Similarities are divided by it.
    pub temperature: f64,
    /// Default [`Direction::AudioToText`]: in the text stage, each sentence among all its partners.
    pub direction: Direction,
}

impl Default for InfoNceConfig {
    fn default() -> Self {
        Self {
            temperature: 0.05,
            direction: Direction::AudioToText,
        }
    }
}

/// InfoNCE (van den Oord et al. 2018), averaged over anchors: cross-entropy of each pair among all
/// candidates of the batch.
///
/// ```text
/// ℓ_i = −ln( exp(s_ii / τ) / Σ_j exp(s_ij / τ) )      rows; in a symmetric loss columns too
/// ```
///
/// Every difference is taken to the pair's own similarity before the exponential, so no τ overflows and a
/// loss near 0 keeps its digits. A batch of 1 has loss 0 and gradient 0.
///
/// # Errors
///
/// [`LossError::OutOfRange`] names a setting outside its range.
pub fn info_nce(sim: &Similarities, cfg: &InfoNceConfig) -> Result<ContrastiveLoss, LossError> {
    check_temperature(cfg.temperature)?;
    let batch = sim.batch();
    let s = sim.as_slice();
    let mut lines: Vec<Line> = (0..batch).map(|i| Line::row(i, batch)).collect();
    if cfg.direction == Direction::Symmetric {
        lines.extend((0..batch).map(|j| Line::column(j, batch)));
    }
    let anchors = lines.len() as f64;

    let mut loss = ContrastiveLoss {
        value: 0.0,
        gradient: vec![0.0; s.len()],
    };
    for line in lines {
        let own = line.own();
        let exponents = std::iter::once(own).chain(line.others());
        let sum = LogSum::of(exponents.map(|k| (k, (s[k] - s[own]) / cfg.temperature)));
        loss.value += sum.value / anchors;
        for (k, share) in sum.shares {
            let pull = if k == own { share - 1.0 } else { share };
            loss.gradient[k] += pull / (anchors * cfg.temperature);
        }
    }
    Ok(loss)
}

/// τ: the one range both contrastive losses have in common.
pub(super) fn check_temperature(temperature: f64) -> Result<(), LossError> {
    check("temperature", temperature, 0.001, 1.0, "[0.001, 1]")
}

pub(super) fn check(
    name: &'static str,
    value: f64,
    least: f64,
    most: f64,
    range: &'static str,
) -> Result<(), LossError> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(LossError::OutOfRange { name, value, range })
    }
}
