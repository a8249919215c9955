//! Where a model's numbers come from at the start of a run.

use aurola_compute::{Dtype, Matrix};
use aurola_model::lora::{Adapter, LowRank};
use aurola_model::weights::Weights;

use super::parameters::{Id, Parameter, Parameters};
use super::scope::{Change, Started};
use crate::TrainError;
use crate::random::Normal;

/// A checkpoint, with or without an adapter, or numbers drawn from a seed.
pub enum Source<'w> {
    /// The Thinker's tensors, wherever the layout has them. Low-rank changes begin at zero.
    Checkpoint(Weights<'w>),
    /// The same, and low-rank changes that begin as those of an adapter. It changes the layers that the
    /// scope says, and no other, at the scope's ranks and scales.
    Adapted {
        /// The base.
        weights: Weights<'w>,
        /// What it begins with.
        adapter: &'w Adapter,
    },
    /// Normal numbers with the deviation `1/√inputs`, halved again by depth where a layer's output
    /// joins the residual stream; norms 1, biases 0. Convolutions begin centred and larger: else positions,
    /// which are the same for every clip, would be most of what the tower passes on, all embeddings would
    /// begin as one, and a contrastive loss would keep them so. The same from the same seed.
    Random(u64),
}

impl<'w> Source<'w> {
    /// The checkpoint; a random model has none.
    fn weights(&self) -> Option<&Weights<'w>> {
        match self {
            Self::Checkpoint(weights) | Self::Adapted { weights, .. } => Some(weights),
            Self::Random(_) => None,
        }
    }
}

/// A tensor of the model.
#[derive(Debug, Clone)]
pub(super) enum Tensor {
    Trained(Id),
    Frozen(Matrix),
}

/// A vector of the model.
#[derive(Debug, Clone)]
pub(super) enum Vector {
    Trained(Id),
    Frozen(Vec<f32>),
}

/// A model under construction.
pub(super) struct Build<'b, 'w> {
    pub(super) source: &'b Source<'w>,
    pub(super) scope: Started<'b>,
    pub(super) parameters: &'b mut Parameters,
}

impl Build<'_, '_> {
    /// The matrix `name` of `shape` (dimensions behind the first are flattened in use).
    pub(super) fn matrix(
        &mut self,
        name: &str,
        shape: &[usize],
        deviation: f32,
    ) -> Result<Tensor, TrainError> {
        let cols: usize = shape[1..].iter().product();
        let stored = match self.source {
            Source::Checkpoint(weights) | Source::Adapted { weights, .. } => {
                weights.matrix(name, shape).map_err(TrainError::model)?
            }
            Source::Random(seed) => {
                let mut values = draw(*seed, name, shape[0] * cols, deviation);
                if shape.len() > 2 {
                    centre(&mut values, cols);
                }
                Matrix::from_f32(&values, Dtype::F32, shape[0], cols)
                    .expect("as many numbers as the shape")
            }
        };
        Ok(if self.scope.trains(name) {
            Tensor::Trained(self.parameters.add(Parameter {
                name: name.to_owned(),
                shape: shape.to_vec(),
                values: widened(&stored),
            }))
        } else {
            Tensor::Frozen(stored)
        })
    }

    /// The vector `name`.
    pub(super) fn vector(
        &mut self,
        name: &str,
        len: usize,
        init: f32,
    ) -> Result<Vector, TrainError> {
        let values = match self.source.weights() {
            Some(weights) => weights.vector(name, len).map_err(TrainError::model)?,
            None => vec![init; len],
        };
        Ok(if self.scope.trains(name) {
            Vector::Trained(self.parameters.add(Parameter {
                name: name.to_owned(),
                shape: vec![len],
                values,
            }))
        } else {
            Vector::Frozen(values)
        })
    }

    /// The factors of the change to `module`, where it has one: the adapter's, or `A` drawn as PEFT draws
    /// it (uniform within `1/√in`) and `B` at zero, so that a run begins at the base model.
    pub(super) fn change(
        &mut self,
        module: &str,
        (outputs, inputs): (usize, usize),
        seed: u64,
    ) -> Result<Option<(Id, Id, Change)>, TrainError> {
        let change = self.scope.change(module);
        let begun = match self.source {
            Source::Adapted { adapter, .. } => {
                self.scope.begins_with(adapter);
                let stored = adapter.change(module, outputs, inputs)?;
                agree(module, change, stored.as_ref())?;
                stored
            }
            Source::Checkpoint(_) | Source::Random(_) => None,
        };
        let Some(change) = change else {
            return Ok(None);
        };
        let (a, b) = match begun {
            Some(stored) => (widened(&stored.a), widened(&stored.b)),
            None => {
                let bound = 1.0 / (inputs as f32).sqrt();
                let mut normal = Normal::new(seed, &format!("{module}.lora_A"));
                let a = (0..change.rank * inputs)
                    .map(|_| (2.0 * normal.uniform() - 1.0) * bound)
                    .collect();
                (a, vec![0.0; outputs * change.rank])
            }
        };
        let mut add = |factor: &str, shape: [usize; 2], values: Vec<f32>| {
            self.parameters.add(Parameter {
                name: format!("{module}.{factor}.weight"),
                shape: shape.to_vec(),
                values,
            })
        };
        let a = add("lora_A", [change.rank, inputs], a);
        let b = add("lora_B", [outputs, change.rank], b);
        Ok(Some((a, b, change)))
    }

    /// Whether the source has the tensor; random models have all.
    pub(super) fn has(&self, name: &str) -> bool {
        self.source.weights().is_none_or(|w| w.has(name))
    }

    /// Rows of the table `name`, which a file decides; `otherwise` for a random model.
    pub(super) fn rows(&self, name: &str, otherwise: usize) -> Result<usize, TrainError> {
        match self.source.weights() {
            Some(weights) => weights.rows(name).map_err(TrainError::model),
            None => Ok(otherwise),
        }
    }
}

/// Refuses an adapter that changes `module` where the scope does not, or otherwise than it says.
fn agree(module: &str, wanted: Option<Change>, stored: Option<&LowRank>) -> Result<(), TrainError> {
    let reason = match (wanted, stored) {
        (None, None) => return Ok(()),
        (Some(wanted), Some(stored)) => {
            let (rank, scale) = (stored.a.rows(), stored.scale);
            if rank == wanted.rank && (scale - wanted.scale).abs() <= 1e-6 * scale.abs() {
                return Ok(());
            }
            format!(
                "the adapter changes {module} at rank {rank}, scaled by {scale}; `lora` says rank {} and, as alpha over \
                 rank, {}",
                wanted.rank, wanted.scale
            )
        }
        (None, Some(_)) => format!(
            "the adapter changes {module}, and no pattern of `lora.target_modules` matches it"
        ),
        (Some(_), None) => format!(
            "`lora.target_modules` matches {module}, and the adapter to begin with does not change it"
        ),
    };
    Err(TrainError::Scope { reason })
}

fn widened(matrix: &Matrix) -> Vec<f32> {
    matrix.dtype().widen(matrix.bytes()).collect()
}

fn draw(seed: u64, name: &str, count: usize, deviation: f32) -> Vec<f32> {
    let mut normal = Normal::new(seed, name);
    (0..count).map(|_| normal.draw() * deviation).collect()
}

/// Takes from each kernel its mean, so that it answers to shapes and not to the level.
fn centre(kernels: &mut [f32], len: usize) {
    for kernel in kernels.chunks_exact_mut(len) {
        let mean = kernel.iter().sum::<f32>() / len as f32;
        kernel.iter_mut().for_each(|v| *v -= mean);
    }
}
