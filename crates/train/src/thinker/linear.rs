//! A linear layer: `W x + b`, and a low-rank change where it is trained so.

use aurola_compute::backward::pointwise as backward;
use aurola_compute::gemm::{View, gemm, product};
use aurola_compute::pointwise;

use super::Pass;
use super::parameters::{Gradients, Id};
use super::source::{Build, Tensor, Vector};
use crate::TrainError;
use crate::random::mix;

/// Seeds the first factors of low-rank changes.
const LORA_SEED: u64 = 0x10_4a;

/// `y = W x + b (+ scale · B A drop(x))`, with `W [out, in]`.
#[derive(Debug)]
pub(super) struct Linear {
    weight: Tensor,
    bias: Option<Vector>,
    change: Option<LowRank>,
    outputs: usize,
    inputs: usize,
}

#[derive(Debug)]
struct LowRank {
    a: Id,
    b: Id,
    rank: usize,
    scale: f32,
    dropout: f32,
    /// Tells the dropout of this layer from that of others.
    salt: u64,
}

impl Linear {
    /// The layer at `at` with a weight of `shape` (`[out, in]`, or a kernel `[out, in, taps]`).
    pub(super) fn new(
        build: &mut Build<'_, '_>,
        at: &str,
        shape: &[usize],
        bias: bool,
        gain: f32,
    ) -> Result<Self, TrainError> {
        let (outputs, inputs) = (shape[0], shape[1..].iter().product());
        let deviation = gain / (inputs as f32).sqrt();
        let weight = build.matrix(&format!("{at}.weight"), shape, deviation)?;
        let bias = bias
            .then(|| build.vector(&format!("{at}.bias"), outputs, 0.0))
            .transpose()?;
        // As in PEFT, low-rank changes are for linear layers: a convolution has none.
        let change = match shape.len() {
            2 => build.change(at, (outputs, inputs), LORA_SEED)?,
            _ => None,
        };
        let change = change.map(|(a, b, change)| LowRank {
            a,
            b,
            rank: change.rank,
            scale: change.scale,
            dropout: change.dropout,
            salt: at.bytes().fold(0, |salt, byte| mix(salt, u64::from(byte))),
        });
        Ok(Self {
            weight,
            bias,
            change,
            outputs,
            inputs,
        })
    }

    fn weight<'a>(&'a self, pass: &Pass<'a>) -> View<'a> {
        match &self.weight {
            Tensor::Trained(id) => View::new(pass.parameters.get(*id), self.outputs, self.inputs),
            Tensor::Frozen(matrix) => View::of(matrix),
        }
    }

    /// `x [rows, in]` → `[rows, out]`.
    pub(super) fn forward(&self, pass: &Pass<'_>, x: &[f32]) -> Vec<f32> {
        let rows = x.len() / self.inputs;
        let view = View::new(x, rows, self.inputs);
        let mut y = product(view, self.weight(pass).turned(), pass.precision);
        if let Some(change) = &self.change {
            let dropped = change.dropped(pass, x);
            let view = View::new(dropped.as_deref().unwrap_or(x), rows, self.inputs);
            let inner = change.inner(pass, view, self.inputs);
            let b = View::new(pass.parameters.get(change.b), self.outputs, change.rank);
            let inner = View::new(&inner, rows, change.rank);
            gemm(inner, b.turned(), pass.precision, true, &mut y);
        }
        if let Some(bias) = &self.bias {
            pointwise::add_bias(&mut y, bias.values(pass));
        }
        y
    }

    /// [`Linear::backward`], returning `dx` where the layer's input has no other use.
    pub(super) fn backward_alone(
        &self,
        pass: &Pass<'_>,
        x: &[f32],
        dy: &[f32],
        gradients: &mut Gradients,
    ) -> Vec<f32> {
        let rows = x.len() / self.inputs;
        let mut dx = product(
            View::new(dy, rows, self.outputs),
            self.weight(pass),
            pass.precision,
        );
        self.backward_own(pass, x, dy, Some(&mut dx), gradients);
        dx
    }

    /// From `dy [rows, out]`: adds to the layer's gradients and to `dx [rows, in]` where that is
    /// wanted. `x` is what the forward pass took.
    pub(super) fn backward(
        &self,
        pass: &Pass<'_>,
        x: &[f32],
        dy: &[f32],
        mut dx: Option<&mut [f32]>,
        gradients: &mut Gradients,
    ) {
        let rows = x.len() / self.inputs;
        if let Some(dx) = dx.as_deref_mut() {
            let dy_view = View::new(dy, rows, self.outputs);
            gemm(dy_view, self.weight(pass), pass.precision, true, dx);
        }
        self.backward_own(pass, x, dy, dx, gradients);
    }

    /// What is left of [`Linear::backward`] once `dx` has what comes through the weight itself.
    fn backward_own(
        &self,
        pass: &Pass<'_>,
        x: &[f32],
        dy: &[f32],
        dx: Option<&mut [f32]>,
        gradients: &mut Gradients,
    ) {
        let rows = x.len() / self.inputs;
        let dy_view = View::new(dy, rows, self.outputs);
        let x_view = View::new(x, rows, self.inputs);
        if let Tensor::Trained(id) = self.weight {
            gemm(
                dy_view.turned(),
                x_view,
                pass.precision,
                true,
                gradients.of(id),
            );
        }
        if let Some(Vector::Trained(id)) = self.bias {
            backward::bias(dy, gradients.of(id));
        }
        if let Some(change) = &self.change {
            let dropped = change.dropped(pass, x);
            let x_view = View::new(dropped.as_deref().unwrap_or(x), rows, self.inputs);
            let inner = change.inner(pass, x_view, self.inputs);
            let inner = View::new(&inner, rows, change.rank);
            gemm(
                dy_view.turned(),
                inner,
                pass.precision,
                true,
                gradients.of(change.b),
            );
            let b = View::new(pass.parameters.get(change.b), self.outputs, change.rank);
            let mut dinner = vec![0.0; rows * change.rank];
            gemm(dy_view, b, pass.precision, false, &mut dinner);
            dinner.iter_mut().for_each(|d| *d *= change.scale);
            let dinner = View::new(&dinner, rows, change.rank);
            gemm(
                dinner.turned(),
                x_view,
                pass.precision,
                true,
                gradients.of(change.a),
            );
            if let Some(dx) = dx {
                let a = View::new(pass.parameters.get(change.a), change.rank, self.inputs);
                match pass.dropout.filter(|_| change.dropout > 0.0) {
                    None => gemm(dinner, a, pass.precision, true, dx),
                    Some(seed) => {
                        let mut through = vec![0.0; dx.len()];
                        gemm(dinner, a, pass.precision, false, &mut through);
                        change.drop(seed, &mut through);
                        pointwise::add(dx, &through);
                    }
                }
            }
        }
    }

    /// Whether anything here is trained.
    pub(super) fn is_trained(&self) -> bool {
        matches!(self.weight, Tensor::Trained(_))
            || matches!(self.bias, Some(Vector::Trained(_)))
            || self.change.is_some()
    }
}

impl LowRank {
    /// `scale · A x`, `[rows, rank]`.
    fn inner(&self, pass: &Pass<'_>, x: View<'_>, inputs: usize) -> Vec<f32> {
        let a = View::new(pass.parameters.get(self.a), self.rank, inputs);
        let mut inner = vec![0.0; x.rows() * self.rank];
        gemm(x, a.turned(), pass.precision, false, &mut inner);
        inner.iter_mut().for_each(|v| *v *= self.scale);
        inner
    }

    /// `x` as the change sees it in this step, where that is not `x` itself.
    fn dropped(&self, pass: &Pass<'_>, x: &[f32]) -> Option<Vec<f32>> {
        let seed = pass.dropout.filter(|_| self.dropout > 0.0)?;
        let mut x = x.to_vec();
        self.drop(seed, &mut x);
        Some(x)
    }

    /// Drops some numbers and scales the others up. Which ones depends on the seed, the layer and
    /// their place, so the way back drops the same.
    fn drop(&self, seed: u64, x: &mut [f32]) {
        let key = mix(seed, self.salt);
        let limit = (f64::from(self.dropout) * (1_u64 << 32) as f64) as u64;
        let scale = 1.0 / (1.0 - self.dropout);
        for (i, v) in x.iter_mut().enumerate() {
            let lives = mix(key, i as u64) >> 32 >= limit;
            *v = if lives { *v * scale } else { 0.0 };
        }
    }
}
