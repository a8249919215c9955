//! A linear layer: `W x + b`, and an adapter's change where there is one.

use aurola_compute::packed::{Form, Packed, Start, Target, Weight, products};
use aurola_compute::{Dtype, Matrix};

use crate::ModelError;
use crate::plan::Plan;
use crate::weights::Weights;

/// `y = W x + b (+ B (scale · A x))`, with `W [out, in]`.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Weight,
    bias: Option<Vec<f32>>,
    low_rank: Option<Change>,
}

/// An adapter's change: `A [rank, in]`, `B [out, rank]`.
#[derive(Debug)]
struct Change {
    a: Weight,
    b: Weight,
    scale: f32,
}

impl Linear {
    /// Loads the layer of `outputs` and `inputs` at `weights`, with its `bias` where asked.
    pub(crate) fn load(
        weights: &Weights<'_>,
        (outputs, inputs): (usize, usize),
        bias: bool,
        plan: Plan,
    ) -> Result<Self, ModelError> {
        Self::load_shaped(weights, &[outputs, inputs], bias, plan)
    }

    /// [`Linear::load`] for a kernel of more dimensions, such as a convolution's `[out, in, taps]`.
    pub(crate) fn load_shaped(
        weights: &Weights<'_>,
        shape: &[usize],
        bias: bool,
        plan: Plan,
    ) -> Result<Self, ModelError> {
        let weight = weights.weight("weight", shape, plan)?;
        let bias = if bias {
            Some(weights.vector("bias", shape[0])?)
        } else {
            None
        };
        // An adapter is thin and was trained to the point: it is not quantised.
        let form = plan.unquantised();
        let low_rank = weights
            .low_rank(shape[0], weight.cols())?
            .map(|change| Change {
                a: ready(&change.a, form),
                b: ready(&change.b, form),
                scale: change.scale,
            });
        Ok(Self {
            weight,
            bias,
            low_rank,
        })
    }

    /// A layer of weights alone.
    pub(crate) fn of(weight: Weight) -> Self {
        Self {
            weight,
            bias: None,
            low_rank: None,
        }
    }

    /// `x [rows, in]` → `[rows, out]`.
    pub(crate) fn forward(&self, x: &[f32]) -> Vec<f32> {
        let mut y = Vec::new();
        together(x, [(self, &mut y)]);
        y
    }

    /// `y [rows, out]` plus the layer's output for `x [rows, in]`.
    pub(crate) fn add_to(&self, x: &[f32], y: &mut [f32]) {
        let rows = x.len() / self.weight.cols();
        products(x, rows, &mut [self.target(Start::Output, y)]);
        self.change(x, rows, y);
        if let Some(bias) = &self.bias {
            aurola_compute::pointwise::add_bias(y, bias);
        }
    }

    fn target<'a>(&'a self, start: Start<'a>, out: &'a mut [f32]) -> Target<'a> {
        Target {
            weight: &self.weight,
            start,
            out,
        }
    }

    /// Adds the adapter's change, where there is one.
    fn change(&self, x: &[f32], rows: usize, y: &mut [f32]) {
        let Some(Change { a, b, scale }) = &self.low_rank else {
            return;
        };
        let mut inner = vec![0.0; rows * a.rows()];
        let first = Target {
            weight: a,
            start: Start::Zero,
            out: &mut inner,
        };
        products(x, rows, &mut [first]);
        inner.iter_mut().for_each(|v| *v *= scale);
        let second = Target {
            weight: b,
            start: Start::Output,
            out: y,
        };
        products(&inner, rows, &mut [second]);
    }
}

/// Layers that share their input `x [rows, in]`, as one piece of work: `[rows, out]` each, into memory that
/// is kept from call to call.
pub(crate) fn together<const N: usize>(x: &[f32], layers: [(&Linear, &mut Vec<f32>); N]) {
    let mut layers = layers;
    let mut targets = Vec::with_capacity(N);
    let cols = layers.first().map_or(1, |(layer, _)| layer.weight.cols());
    let rows = x.len() / cols;
    for (layer, y) in &mut layers {
        y.resize(rows * layer.weight.rows(), 0.0);
        let start = layer.bias.as_deref().map_or(Start::Zero, Start::Bias);
        targets.push(layer.target(start, y));
    }
    products(x, rows, &mut targets);
    for (layer, y) in &mut layers {
        layer.change(x, rows, y);
    }
}

/// `matrix` for products of `form`: as it lies in its map where it has a type for it, else packed, and its
/// pages given back.
pub(crate) fn ready(matrix: &Matrix, form: Form) -> Weight {
    if is_in_place(matrix.dtype(), form) {
        return Weight::Stored(matrix.clone(), form);
    }
    let packed = Packed::new(matrix, form);
    matrix.release();
    Weight::Packed(packed)
}

/// Whether products of `form` read weights that are stored as `dtype` where they lie.
pub(crate) fn is_in_place(dtype: Dtype, form: Form) -> bool {
    match form {
        Form::F32 => true,
        Form::Bf16 => dtype == Dtype::Bf16,
        Form::Int8 | Form::Int4 => false,
    }
}
