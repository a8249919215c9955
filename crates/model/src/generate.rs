//! Generation: one token after the other, greedy or sampled, with a cache of what was read.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::ModelError;
use crate::language_model::Head;
use crate::thinker::{Filled, Thinker};

/// How the next token is chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// Tokens at most, at least 1; default 256.
    pub max_tokens: usize,
    /// 0 (the default) always takes the likeliest token; above, logits are divided by it and a
    /// token is drawn.
    pub temperature: f32,
    /// In `(0, 1]`, default 1: draw only from the likeliest tokens that together reach it (nucleus
    /// sampling, Holtzman et al. 2020).
    pub top_p: f32,
    /// At least 1, default 1: logits of tokens that were read or written already are divided by it
    /// where positive and multiplied where negative (Keskar et al. 2019).
    pub repetition_penalty: f32,
    /// Seed of the draws; the same seed gives the same caption.
    pub seed: u64,
}

impl Default for Generation {
    fn default() -> Self {
        Self {
            max_tokens: 256,
            temperature: 0.0,
            top_p: 1.0,
            repetition_penalty: 1.0,
            seed: 0,
        }
    }
}

impl Generation {
    fn check(&self) -> Result<(), ModelError> {
        let refuse = |what: String| Err(ModelError::Input(what));
        if self.max_tokens == 0 {
            return refuse("max_tokens is 0; ask for at least 1".into());
        }
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return refuse(format!(
                "temperature is {}; expected 0 or more",
                self.temperature
            ));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return refuse(format!(
                "top_p is {}; expected above 0 and at most 1",
                self.top_p
            ));
        }
        if !(self.repetition_penalty >= 1.0 && self.repetition_penalty.is_finite()) {
            return refuse(format!(
                "repetition_penalty is {}; expected 1 or more",
                self.repetition_penalty
            ));
        }
        Ok(())
    }
}

/// Which ids may be written, and which end it.
pub(crate) struct Vocabulary {
    /// Ids below this have a text; the head has more rows, which a model never chooses unless its
    /// weights are random.
    pub(crate) len: usize,
    /// Ids that end the writing.
    pub(crate) ends: Vec<u32>,
}

/// Writes after `filled` until an end or the limit; `on_token` sees each id as it comes and may
/// stop the writing by returning `false`. The end itself is not part of the result.
///
/// # Errors
///
/// [`ModelError::Input`] for options out of range or a prompt longer than the context.
pub(crate) fn generate(
    thinker: &Thinker,
    head: &Head<'_>,
    filled: &Filled<'_>,
    vocabulary: &Vocabulary,
    options: &Generation,
    on_token: &mut dyn FnMut(u32) -> bool,
) -> Result<Vec<u32>, ModelError> {
    options.check()?;
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let mut cache = thinker.language_model().cache();
    let mut state = thinker.read(filled, &mut cache)?;
    let mut seen = filled.prompt.ids[..=filled.prompt.pooled].to_vec();
    let read = seen.len();
    // Where the context ends, so does the writing.
    let room = thinker
        .config()
        .text
        .max_position_embeddings
        .saturating_sub(read);
    loop {
        let mut logits = head.logits(&state);
        if let Some(at) = logits.iter().position(|l| !l.is_finite()) {
            return Err(ModelError::Input(format!(
                "the logit of token {at} is not finite; the weights or the sound hold a non-finite number"
            )));
        }
        penalise(&mut logits, &seen, options.repetition_penalty);
        logits.truncate(vocabulary.len);
        let id = choose(&logits, options, &mut rng);
        if vocabulary.ends.contains(&id) {
            break;
        }
        seen.push(id);
        if !on_token(id) || seen.len() - read >= options.max_tokens.min(room) {
            break;
        }
        state = thinker.read_token(id, &mut cache)?;
    }
    Ok(seen.split_off(read))
}

fn penalise(logits: &mut [f32], seen: &[u32], penalty: f32) {
    if penalty == 1.0 {
        return;
    }
    let seen: std::collections::BTreeSet<u32> = seen.iter().copied().collect();
    for id in seen {
        // The head may have fewer rows than the embedding table.
        let Some(logit) = logits.get_mut(id as usize) else {
            continue;
        };
        *logit = if *logit > 0.0 {
            *logit / penalty
        } else {
            *logit * penalty
        };
    }
}

/// The likeliest id, the first of equals; or a draw.
fn choose(logits: &[f32], options: &Generation, rng: &mut ChaCha8Rng) -> u32 {
    let best = || {
        let mut best = 0;
        for (id, logit) in logits.iter().enumerate() {
            if *logit > logits[best] {
                best = id;
            }
        }
        best as u32
    };
    if options.temperature == 0.0 {
        return best();
    }
    let max = f64::from(logits[best() as usize]);
    let mut weights: Vec<(u32, f64)> = logits
        .iter()
        .enumerate()
        .map(|(id, l)| {
            (
                id as u32,
                ((f64::from(*l) - max) / f64::from(options.temperature)).exp(),
            )
        })
        .collect();
    weights.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let total: f64 = weights.iter().map(|w| w.1).sum();
    let mut kept = 0.0;
    let mut last = 0;
    for (i, (_, weight)) in weights.iter().enumerate() {
        kept += weight;
        last = i;
        if kept >= f64::from(options.top_p) * total {
            break;
        }
    }
    let mut draw = rng.random::<f64>() * kept;
    for (id, weight) in &weights[..last] {
        draw -= weight;
        if draw < 0.0 {
            return *id;
        }
    }
    weights[last].0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(options: &Generation) -> [usize; 3] {
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        let logits = [0.0, 2.0_f32.ln(), 5.0_f32.ln()];
        let mut counts = [0; 3];
        for _ in 0..8000 {
            counts[choose(&logits, options, &mut rng) as usize] += 1;
        }
        counts
    }

    #[test]
    fn greedy_takes_the_likeliest_and_draws_follow_the_weights() {
        assert_eq!(draws(&Generation::default()), [0, 0, 8000]);
        let sampled = draws(&Generation {
            temperature: 1.0,
            ..Generation::default()
        });
        for (count, expected) in sampled.into_iter().zip([1000_i64, 2000, 5000]) {
            assert!((count as i64 - expected).abs() < 200, "{sampled:?}");
        }
        let nucleus = draws(&Generation {
            temperature: 1.0,
            top_p: 0.8,
            ..Generation::default()
        });
        assert_eq!(nucleus[0], 0);
        assert!(
            (nucleus[2] as i64 - 8000 * 5 / 7).abs() < 200,
            "{nucleus:?}"
        );
    }

    #[test]
    fn a_penalty_pushes_what_was_seen_down_from_both_sides() {
        let mut logits = [2.0, -2.0, 1.0];
        penalise(&mut logits, &[0, 1, 1, 9], 2.0);
        assert_eq!(logits, [1.0, -4.0, 1.0]);
    }

    #[test]
    fn options_out_of_range_are_refused() {
        for bad in [
            Generation {
                max_tokens: 0,
                ..Generation::default()
            },
            Generation {
                temperature: -1.0,
                ..Generation::default()
            },
            Generation {
                top_p: 0.0,
                ..Generation::default()
            },
            Generation {
                repetition_penalty: f32::NAN,
                ..Generation::default()
            },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
