//! The re-ranker's loss: how surprising the right answer was.
//!
//! ```text
//! tokens ─► next_tokens ─► targets [positions] ─┐
//! language model ─► logits [positions, vocab] ──┴─► CROSS_ENTROPY ─► value, gradient of the logits
//! ```
//!
//! Training answers with the model's whole vocabulary to choose from, serving compares Yes and No only: a
//! model taught the first has learnt the second, and nothing but an answer besides.

use std::ops::Range;

use super::LossError;
use super::similarity::checked;

/// Cross-entropy over some positions, and where it would have the logits go.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLoss {
    /// Mean over the positions with a target, each by its weight. In nats.
    pub value: f64,
    /// `∂ value / ∂ logits`, `[positions, vocab]`, row-major; 0 where there is no target.
    pub gradient: Vec<f32>,
    /// The weights of all positions with a target together: the weight of this loss in a mean over several.
    pub weight: f64,
}

/// What should follow a position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// The token.
    pub token: u32,
    /// How much it counts beside others, above 0.
    pub weight: f32,
}

impl From<u32> for Target {
    /// A token that counts once.
    fn from(token: u32) -> Self {
        Self { token, weight: 1.0 }
    }
}

/// Mean cross-entropy of `targets` under the softmax of `logits`.
///
/// ```text
/// ℓ_t = ln Σ_v exp(x_tv) − x_t,target(t)      over positions t that have a target
/// value = Σ_t w_t ℓ_t / Σ_t w_t
/// ```
///
/// `logits`: `[positions, vocab]`, row-major. `targets[t]`: the token that should follow position `t`, as
/// [`next_tokens`] makes them; `None` where nothing is to be learnt, so that its row may be anything
/// finite. Positions of several prompts may follow each other.
///
/// Each row's maximum is subtracted first: logits of any size overflow nothing.
///
/// # Errors
///
/// - [`LossError::Empty`], [`LossError::Shape`], [`LossError::NotFinite`] about `logits`.
/// - [`LossError::UnknownToken`] at the first target outside the vocabulary.
/// - [`LossError::NoTargets`] where every target is `None`.
pub fn cross_entropy<T: Copy + Into<Target>>(
    logits: &[f32],
    vocab: usize,
    targets: &[Option<T>],
) -> Result<TokenLoss, LossError> {
    let targets: Vec<Option<Target>> = targets.iter().map(|t| t.map(Into::into)).collect();
    let rows = checked("logits", targets.len(), vocab, logits)?;
    let whole: f64 = targets.iter().flatten().map(|t| f64::from(t.weight)).sum();
    if targets.iter().flatten().next().is_none() {
        return Err(LossError::NoTargets {
            positions: targets.len(),
        });
    }
    let mut loss = TokenLoss {
        value: 0.0,
        gradient: vec![0.0; logits.len()],
        weight: whole,
    };
    let rows = rows
        .chunks_exact(vocab)
        .zip(loss.gradient.chunks_exact_mut(vocab));
    for (position, ((row, gradient), target)) in rows.zip(&targets).enumerate() {
        let Some(target) = *target else { continue };
        let share_of_all = f64::from(target.weight) / whole;
        let right = usize::try_from(target.token)
            .ok()
            .filter(|token| *token < vocab)
            .ok_or(LossError::UnknownToken {
                position,
                target: target.token,
                vocab,
            })?;
        let largest = row.iter().fold(f64::NEG_INFINITY, |most, x| most.max(*x));
        let sum: f64 = row.iter().map(|x| (x - largest).exp()).sum();
        loss.value += (largest - row[right] + sum.ln()) * share_of_all;
        // What the others are given, added up by themselves: `share − 1` would lose the digits of a
        // model that is nearly sure.
        let mut wrong = 0.0;
        for (token, (x, g)) in row.iter().zip(gradient.iter_mut()).enumerate() {
            if token != right {
                let share = (x - largest).exp() / sum;
                wrong += share;
                *g = (share * share_of_all) as f32;
            }
        }
        gradient[right] = (-wrong * share_of_all) as f32;
    }
    Ok(loss)
}

/// The targets of a prompt whose tokens `answer` are the assistant's: each position just before a token
/// of the answer should predict that token, and no other position is asked anything.
///
/// `ids`: all tokens. Returns one entry per token, for logits at every position; the last is `None`.
///
/// # Errors
///
/// [`LossError::AnswerOutside`] where `answer` is not within `1..ids.len()`.
pub fn next_tokens(ids: &[u32], answer: Range<usize>) -> Result<Vec<Option<u32>>, LossError> {
    let outside = || LossError::AnswerOutside {
        start: answer.start,
        end: answer.end,
        len: ids.len(),
    };
    let tokens = ids.get(answer.clone()).ok_or_else(outside)?;
    let before = answer.start.checked_sub(1).ok_or_else(outside)?;
    let mut targets = vec![None; ids.len()];
    for (target, token) in targets[before..].iter_mut().zip(tokens) {
        *target = Some(*token);
    }
    Ok(targets)
}
