//! AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101), and clipping by the global norm.
//!
//! The optimizer owns one pair of running moments for each parameter and nothing else: parameters
//! and gradients are slices of whoever trains. What a run must save to go on bit for bit is
//! [`AdamW::moments`] and [`AdamW::steps`].

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// Numbers that one task handles.
const TASK: usize = 1 << 15;

/// Constants of [`AdamW`]. The learning rate is the schedule's and is given with each step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamWConfig {
    /// β₁ in `[0, 1)`, default 0.9: how slowly the mean of the gradients moves.
    pub beta1: f32,
    /// β₂ in `[0, 1)`, default 0.999: how slowly the mean of their squares moves.
    pub beta2: f32,
    /// ε > 0, default 1e-8: keeps a step finite where gradients vanish.
    pub eps: f32,
    /// In `[0, 1]`, default 0 as in the released recipe: each step first shrinks a parameter by
    /// this times the learning rate.
    pub weight_decay: f32,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
        }
    }
}

impl AdamWConfig {
    fn check(&self) -> Result<(), TrainError> {
        let settings = [
            (
                "beta1",
                self.beta1,
                (0.0..1.0).contains(&self.beta1),
                "0 or more and below 1",
            ),
            (
                "beta2",
                self.beta2,
                (0.0..1.0).contains(&self.beta2),
                "0 or more and below 1",
            ),
            (
                "eps",
                self.eps,
                self.eps > 0.0 && self.eps.is_finite(),
                "above 0",
            ),
            (
                "weight_decay",
                self.weight_decay,
                (0.0..=1.0).contains(&self.weight_decay),
                "0 to 1",
            ),
        ];
        match settings.into_iter().find(|(_, _, good, _)| !good) {
            None => Ok(()),
            Some((name, value, _, range)) => Err(TrainError::Setting {
                name,
                value: f64::from(value),
                range,
            }),
        }
    }
}

/// Running means of one parameter's gradients and of their squares.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// Of the gradients.
    pub first: Vec<f32>,
    /// Of their squares.
    pub second: Vec<f32>,
}

/// The optimizer's state.
#[derive(Debug, Clone, PartialEq)]
pub struct AdamW {
    config: AdamWConfig,
    moments: Vec<Moments>,
    steps: u64,
}

impl AdamW {
    /// For parameters of the given `lengths`, in an order that later calls keep.
    ///
    /// # Errors
    ///
    /// [`TrainError::Setting`] for a constant out of its range.
    pub fn new(config: AdamWConfig, lengths: &[usize]) -> Result<Self, TrainError> {
        config.check()?;
        let zero = |n: &usize| Moments {
            first: vec![0.0; *n],
            second: vec![0.0; *n],
        };
        Ok(Self {
            config,
            moments: lengths.iter().map(zero).collect(),
            steps: 0,
        })
    }

    /// An optimizer that goes on where one with these moments stopped after `steps` steps.
    ///
    /// # Errors
    ///
    /// [`TrainError::Setting`] for a constant out of its range.
    pub fn resume(
        config: AdamWConfig,
        moments: Vec<Moments>,
        steps: u64,
    ) -> Result<Self, TrainError> {
        config.check()?;
        Ok(Self {
            config,
            moments,
            steps,
        })
    }

    /// Running moments, parameter by parameter.
    pub fn moments(&self) -> &[Moments] {
        &self.moments
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// One step of every parameter against its gradient. With `m` and `v` the running means,
    /// corrected for having begun at zero:
    ///
    /// ```text
    /// p = p (1 − rate · decay) − rate · m̂ / (√v̂ + eps)
    /// ```
    ///
    /// # Panics
    ///
    /// Where parameters and gradients are not those the optimizer was made for.
    pub fn step(&mut self, parameters: &mut [&mut [f32]], gradients: &[&[f32]], rate: f32) {
        assert_eq!(parameters.len(), self.moments.len(), "parameters");
        assert_eq!(gradients.len(), self.moments.len(), "gradients");
        self.steps += 1;
        let AdamWConfig {
            beta1,
            beta2,
            eps,
            weight_decay,
        } = self.config;
        // In f64: at a million steps and β₂ = 0.999 the correction is still told from 1.
        let corrected = |beta: f32| 1.0 - f64::from(beta).powf(self.steps as f64);
        let step = (f64::from(rate) / corrected(beta1)) as f32;
        let root = corrected(beta2).sqrt() as f32;
        let keep = 1.0 - rate * weight_decay;
        for ((p, g), Moments { first, second }) in
            parameters.iter_mut().zip(gradients).zip(&mut self.moments)
        {
            assert!(
                p.len() == first.len() && g.len() == first.len(),
                "a parameter's length"
            );
            p.par_chunks_mut(TASK)
                .zip(g.par_chunks(TASK))
                .zip(first.par_chunks_mut(TASK))
                .zip(second.par_chunks_mut(TASK))
                .for_each(|(((p, g), m), v)| {
                    for (((p, g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
                        *m += (1.0 - beta1) * (g - *m);
                        *v = beta2 * *v + (1.0 - beta2) * g * g;
                        *p = *p * keep - step * *m / (v.sqrt() / root + eps);
                    }
                });
        }
    }
}

/// Scales all gradients together so that their joint length is at most `max_norm`, and returns the
/// length they had. Where it is not finite nothing is scaled: the caller decides what a run does
/// with a broken step.
pub fn clip(gradients: &mut [&mut [f32]], max_norm: f32) -> f32 {
    // Over fixed pieces, so that the sum does not depend on the number of threads.
    let of_piece = |piece: &[f32]| {
        piece
            .iter()
            .map(|v| f64::from(*v) * f64::from(*v))
            .sum::<f64>()
    };
    let squares: f64 = gradients
        .iter()
        .map(|g| g.par_chunks(TASK).map(of_piece).collect::<Vec<_>>())
        .map(|pieces| pieces.iter().sum::<f64>())
        .sum();
    let norm = squares.sqrt() as f32;
    if norm.is_finite() && norm > max_norm {
        let scale = max_norm / norm;
        gradients
            .iter_mut()
            .flat_map(|g| g.iter_mut())
            .for_each(|v| *v *= scale);
    }
    norm
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: AdamWConfig = AdamWConfig {
        beta1: 0.9,
        beta2: 0.98,
        eps: 1e-6,
        weight_decay: 0.01,
    };

    #[test]
    fn three_steps_as_torch_takes_them() {
        // torch.optim.AdamW in f64 (2.15), the same constants, gradients and rates.
        let mut p = [0.5, -1.25, 3.0];
        let mut optimizer = AdamW::new(CONFIG, &[3]).unwrap();
        let steps = [
            ([0.1, -2.0, 0.0], 0.1, [0.399_501, -1.148_750_05, 2.997]),
            (
                [0.3, 1.0, -1e-3],
                0.05,
                [0.353_587_547, -1.134_820_298, 3.032_479_066],
            ),
            (
                [-0.2, 0.5, 4.0],
                0.2,
                [0.301_403_998, -1.120_187_945, 2.899_892_126],
            ),
        ];
        for (gradient, rate, want) in steps {
            optimizer.step(&mut [&mut p], &[&gradient], rate);
            for (got, want) in p.iter().zip(want) {
                assert!((f64::from(*got) - want).abs() < 2e-6, "{p:?}");
            }
        }
        assert_eq!(optimizer.steps(), 3);
    }

    #[test]
    fn resumed_is_as_uninterrupted() {
        let gradient = |i: u64| [(i as f32).sin(), (i as f32 * 0.7).cos()];
        let run = |optimizer: &mut AdamW, p: &mut [f32; 2], from: u64, to: u64| {
            for i in from..to {
                optimizer.step(&mut [p], &[&gradient(i)], 1e-2);
            }
        };
        let (mut whole, mut p) = (AdamW::new(CONFIG, &[2]).unwrap(), [1.0, -1.0]);
        run(&mut whole, &mut p, 0, 20);
        let (mut half, mut q) = (AdamW::new(CONFIG, &[2]).unwrap(), [1.0, -1.0]);
        run(&mut half, &mut q, 0, 9);
        let mut rest = AdamW::resume(CONFIG, half.moments().to_vec(), half.steps()).unwrap();
        run(&mut rest, &mut q, 9, 20);
        assert_eq!((p, whole), (q, rest), "bit for bit");
    }

    #[test]
    fn clipping_scales_all_gradients_together_and_leaves_short_ones() {
        let (mut a, mut b) = ([3.0, 0.0], [4.0]);
        assert_eq!(clip(&mut [&mut a, &mut b], 10.0), 5.0);
        assert_eq!((a, b), ([3.0, 0.0], [4.0]));
        assert_eq!(clip(&mut [&mut a, &mut b], 1.0), 5.0);
        assert!((a[0] - 0.6).abs() < 1e-7 && (b[0] - 0.8).abs() < 1e-7);
        let mut broken = [f32::NAN, 2.0];
        assert!(clip(&mut [&mut broken], 1.0).is_nan());
        assert_eq!(broken[1], 2.0);
    }

    #[test]
    fn constants_out_of_range_are_named() {
        for (config, name) in [
            (
                AdamWConfig {
                    beta1: 1.0,
                    ..CONFIG
                },
                "beta1",
            ),
            (AdamWConfig { eps: 0.0, ..CONFIG }, "eps"),
            (
                AdamWConfig {
                    weight_decay: f32::NAN,
                    ..CONFIG
                },
                "weight_decay",
            ),
        ] {
            let message = AdamW::new(config, &[1]).unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
    }
}
