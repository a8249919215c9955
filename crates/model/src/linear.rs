//! A linear layer: `W x + b`, and an adapter's change where there is one.

use aurola_compute::{Dtype, Matrix, Precision, matmul_nt, pointwise};

use crate::ModelError;
use crate::lora::LowRank;
use crate::weights::Weights;

/// `y = W x + b (+ scale · B A x)`, with `W [out, in]`.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Matrix,
    bias: Option<Vec<f32>>,
    low_rank: Option<LowRank>,
    precision: Precision,
}

impl Linear {
    /// Loads the layer of `outputs` and `inputs` at `weights`, with its `bias` where asked.
    pub(crate) fn load(
        weights: &Weights<'_>,
        (outputs, inputs): (usize, usize),
        bias: bool,
        precision: Precision,
    ) -> Result<Self, ModelError> {
        Self::load_shaped(weights, &[outputs, inputs], bias, precision)
    }

    /// [`Linear::load`] for a kernel of more dimensions, such as a convolution's `[out, in, taps]`.
    pub(crate) fn load_shaped(
        weights: &Weights<'_>,
        shape: &[usize],
        bias: bool,
        precision: Precision,
    ) -> Result<Self, ModelError> {
        let weight = weights.matrix("weight", shape)?;
        let bias = if bias {
            Some(weights.vector("bias", shape[0])?)
        } else {
            None
        };
        let low_rank = weights.low_rank(shape[0], weight.cols())?;
        Ok(Self::new(weight, bias, low_rank, precision))
    }

    /// A layer from its parts.
    pub(crate) fn new(
        weight: Matrix,
        bias: Option<Vec<f32>>,
        low_rank: Option<LowRank>,
        precision: Precision,
    ) -> Self {
        let low_rank = low_rank.map(|l| LowRank {
            a: ready(&l.a, precision),
            b: ready(&l.b, precision),
            scale: l.scale,
        });
        Self {
            weight: ready(&weight, precision),
            bias,
            low_rank,
            precision,
        }
    }

    /// `x [rows, in]` → `[rows, out]`.
    pub(crate) fn forward(&self, x: &[f32]) -> Vec<f32> {
        let rows = x.len() / self.weight.cols();
        let mut y = self.product(x, rows, &self.weight);
        if let Some(LowRank { a, b, scale }) = &self.low_rank {
            let inner = self.product(x, rows, a);
            let mut change = self.product(&inner, rows, b);
            change.iter_mut().for_each(|v| *v *= scale);
            pointwise::add(&mut y, &change);
        }
        if let Some(bias) = &self.bias {
            pointwise::add_bias(&mut y, bias);
        }
        y
    }

    fn product(&self, x: &[f32], rows: usize, weight: &Matrix) -> Vec<f32> {
        let mut y = vec![0.0; rows * weight.rows()];
        matmul_nt(x, rows, weight, self.precision, &mut y);
        y
    }
}

/// `weight` in a type that products of `precision` take: itself where it has one.
pub(crate) fn ready(weight: &Matrix, precision: Precision) -> Matrix {
    match precision {
        Precision::F32 => weight.clone(),
        Precision::Bf16 => weight.to_dtype(Dtype::Bf16),
    }
}
