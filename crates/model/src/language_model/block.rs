//! One layer of the decoder.

use aurola_compute::attention::{Heads, Mask, Past, Span, attend};
use aurola_compute::rope::Rotation;
use aurola_compute::{Precision, norm, pointwise};

use crate::ModelError;
use crate::config::TextConfig;
use crate::linear::Linear;
use crate::weights::Weights;

/// Rows that go through the MLP together: its inner states are the largest of all.
const MLP_ROWS: usize = 512;

/// Which rows are computed, where each stands in its sequence, and which keys belong to it.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) positions: Vec<usize>,
    pub(super) spans: Vec<Span>,
}

/// Attention and gated MLP, each on the normalised input and added to it.
#[derive(Debug)]
pub(super) struct Block {
    input_layernorm: Vec<f32>,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    post_attention_layernorm: Vec<f32>,
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
    heads: Heads,
    eps: f32,
}

impl Block {
    pub(super) fn load(
        config: &TextConfig,
        weights: &Weights<'_>,
        precision: Precision,
    ) -> Result<Self, ModelError> {
        let (hidden, inner, dim) = (
            config.hidden_size,
            config.intermediate_size,
            config.head_dim(),
        );
        let heads = Heads {
            heads: config.num_attention_heads,
            kv_heads: config.num_key_value_heads,
            dim,
        };
        let (q, kv) = (heads.heads * dim, heads.kv_heads * dim);
        let (attention, mlp) = (weights.at("self_attn"), weights.at("mlp"));
        let linear = |at: Weights<'_>, shape, bias| Linear::load(&at, shape, bias, precision);
        Ok(Self {
            input_layernorm: weights.at("input_layernorm").vector("weight", hidden)?,
            q_proj: linear(attention.at("q_proj"), (q, hidden), true)?,
            k_proj: linear(attention.at("k_proj"), (kv, hidden), true)?,
            v_proj: linear(attention.at("v_proj"), (kv, hidden), true)?,
            o_proj: linear(attention.at("o_proj"), (hidden, q), false)?,
            post_attention_layernorm: weights
                .at("post_attention_layernorm")
                .vector("weight", hidden)?,
            gate_proj: linear(mlp.at("gate_proj"), (inner, hidden), false)?,
            up_proj: linear(mlp.at("up_proj"), (inner, hidden), false)?,
            down_proj: linear(mlp.at("down_proj"), (hidden, inner), false)?,
            heads,
            eps: config.rms_norm_eps,
        })
    }

    /// Keys (rotated) and values of all rows: `[rows, kv_heads · dim]` each.
    pub(super) fn keys_and_values(&self, x: &[f32], rotation: &Rotation) -> (Vec<f32>, Vec<f32>) {
        let normed = self.norm(x, &self.input_layernorm);
        let mut k = self.k_proj.forward(&normed);
        rotation.apply(&mut k);
        (k, self.v_proj.forward(&normed))
    }

    /// `x`: the rows to compute, `[rows, hidden]`; `rotation` is theirs. The keys and values are
    /// those of all rows.
    pub(super) fn forward(
        &self,
        mut x: Vec<f32>,
        rows: &Rows,
        rotation: &Rotation,
        mask: Mask,
        past: Option<Past<'_>>,
        (k, v): (&[f32], &[f32]),
    ) -> Vec<f32> {
        // In a scope, so that a long prompt's queries are gone when the MLP needs room.
        let attended = {
            let mut q = self.q_proj.forward(&self.norm(&x, &self.input_layernorm));
            rotation.apply(&mut q);
            attend(
                self.heads,
                mask,
                past,
                (&q, &rows.positions),
                (k, v),
                &rows.spans,
            )
        };
        pointwise::add(&mut x, &self.o_proj.forward(&attended));
        drop(attended);

        for x in x.chunks_mut(MLP_ROWS * self.post_attention_layernorm.len()) {
            let normed = self.norm(x, &self.post_attention_layernorm);
            let mut gate = self.gate_proj.forward(&normed);
            pointwise::silu_mul(&mut gate, &self.up_proj.forward(&normed));
            pointwise::add(x, &self.down_proj.forward(&gate));
        }
        x
    }

    fn norm(&self, x: &[f32], weight: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; x.len()];
        norm::rms_norm(x, weight, self.eps, &mut out);
        out
    }
}
