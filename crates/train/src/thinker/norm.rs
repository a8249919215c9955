//! The two normalisations, with gradients of their weights.

use aurola_compute::backward::norm as backward;
use aurola_compute::norm as forward;

use super::Pass;
use super::parameters::Gradients;
use super::source::{Build, Vector};
use crate::TrainError;

/// ε of every LayerNorm, as in the tower that is served.
const LAYER_NORM_EPS: f32 = 1e-5;

impl Vector {
    pub(super) fn values<'a>(&'a self, pass: &Pass<'a>) -> &'a [f32] {
        match self {
            Vector::Trained(id) => pass.parameters.get(*id),
            Vector::Frozen(values) => values,
        }
    }
}

/// RMSNorm, as the language model has it.
#[derive(Debug)]
pub(super) struct RmsNorm {
    weight: Vector,
    eps: f32,
}

impl RmsNorm {
    pub(super) fn new(
        build: &mut Build<'_, '_>,
        at: &str,
        len: usize,
        eps: f32,
    ) -> Result<Self, TrainError> {
        Ok(Self {
            weight: build.vector(&format!("{at}.weight"), len, 1.0)?,
            eps,
        })
    }

    pub(super) fn forward(&self, pass: &Pass<'_>, x: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; x.len()];
        forward::rms_norm(x, self.weight.values(pass), self.eps, &mut out);
        out
    }

    /// Adds to `dx`.
    pub(super) fn backward(
        &self,
        pass: &Pass<'_>,
        x: &[f32],
        dy: &[f32],
        dx: &mut [f32],
        gradients: &mut Gradients,
    ) {
        let dweight = match self.weight {
            Vector::Trained(id) => Some(gradients.of(id)),
            Vector::Frozen(_) => None,
        };
        backward::rms_norm(x, self.weight.values(pass), self.eps, dy, dx, dweight);
    }
}

/// LayerNorm, as the audio tower has it.
#[derive(Debug)]
pub(super) struct LayerNorm {
    weight: Vector,
    bias: Vector,
}

impl LayerNorm {
    pub(super) fn new(build: &mut Build<'_, '_>, at: &str, len: usize) -> Result<Self, TrainError> {
        Ok(Self {
            weight: build.vector(&format!("{at}.weight"), len, 1.0)?,
            bias: build.vector(&format!("{at}.bias"), len, 0.0)?,
        })
    }

    pub(super) fn forward(&self, pass: &Pass<'_>, x: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; x.len()];
        let (weight, bias) = (self.weight.values(pass), self.bias.values(pass));
        forward::layer_norm(x, weight, bias, LAYER_NORM_EPS, &mut out);
        out
    }

    /// Adds to `dx`.
    pub(super) fn backward(
        &self,
        pass: &Pass<'_>,
        x: &[f32],
        dy: &[f32],
        dx: &mut [f32],
        gradients: &mut Gradients,
    ) {
        let weight = self.weight.values(pass);
        match (&self.weight, &self.bias) {
            (Vector::Trained(w), Vector::Trained(b)) => {
                let both = gradients.both(*w, *b);
                backward::layer_norm(x, weight, LAYER_NORM_EPS, dy, dx, Some(both));
            }
            (Vector::Frozen(_), Vector::Frozen(_)) => {
                backward::layer_norm(x, weight, LAYER_NORM_EPS, dy, dx, None);
            }
            // One of the two: both are computed, and one is dropped.
            (w, b) => {
                let (mut dw, mut db) = (vec![0.0; weight.len()], vec![0.0; weight.len()]);
                backward::layer_norm(x, weight, LAYER_NORM_EPS, dy, dx, Some((&mut dw, &mut db)));
                for (vector, sum) in [(w, dw), (b, db)] {
                    if let Vector::Trained(id) = vector {
                        aurola_compute::pointwise::add(gradients.of(*id), &sum);
                    }
                }
            }
        }
    }
}
