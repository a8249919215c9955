//! One layer of the decoder.

use aurola_compute::attention::{Heads, Mask, Past, Span, attend};
use aurola_compute::rope::Rotation;
use aurola_compute::{norm, pointwise};

use crate::ModelError;
use crate::config::TextConfig;
use crate::linear::{Linear, together};
use crate::plan::Plan;
use crate::weights::Weights;

/// Rows that go through the MLP together: its inner states are the largest of all.
const MLP_ROWS: usize = 512;

/// Which rows are computed, where each stands in its sequence, and which keys belong to it.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) positions: Vec<usize>,
    pub(super) spans: Vec<Span>,
}

/// Memory that all layers of a pass share: the normalised input, and the products of it.
#[derive(Debug, Default)]
pub(super) struct Room {
    normed: Vec<f32>,
    q: Vec<f32>,
    /// `[rows, kv_heads · dim]`, rotated.
    pub(super) k: Vec<f32>,
    /// `[rows, kv_heads · dim]`.
    pub(super) v: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
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
        plan: Plan,
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
        let linear = |at: Weights<'_>, shape, bias| Linear::load(&at, shape, bias, plan);
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

    /// Keys (rotated) and values of all rows of `x [rows, hidden]`, and queries (rotated) of the rows that are
    /// wanted, all of them where `kept` is `None`: into `room`.
    pub(super) fn heads(
        &self,
        x: &[f32],
        rotation: &Rotation,
        kept: Option<(&[usize], &Rotation)>,
        room: &mut Room,
    ) {
        let Room {
            normed, q, k, v, ..
        } = room;
        self.norm(x, &self.input_layernorm, normed);
        match kept {
            None => {
                together(
                    normed,
                    [
                        (&self.q_proj, &mut *q),
                        (&self.k_proj, &mut *k),
                        (&self.v_proj, &mut *v),
                    ],
                );
                rotation.apply(q);
            }
            Some((rows, rotation)) => {
                together(normed, [(&self.k_proj, &mut *k), (&self.v_proj, &mut *v)]);
                together(
                    &select(normed, self.input_layernorm.len(), rows),
                    [(&self.q_proj, &mut *q)],
                );
                rotation.apply(q);
            }
        }
        rotation.apply(k);
    }

    /// Attention and MLP for the rows `x [rows, hidden]`, in place, from the queries, keys and values in
    /// `room`.
    pub(super) fn forward(
        &self,
        x: &mut [f32],
        rows: &Rows,
        mask: Mask,
        past: Option<Past<'_>>,
        room: &mut Room,
    ) {
        let Room {
            normed,
            q,
            k,
            v,
            gate,
            up,
        } = room;
        let attended = attend(
            self.heads,
            mask,
            past,
            (q, &rows.positions),
            (k, v),
            &rows.spans,
        );
        self.o_proj.add_to(&attended, x);
        drop(attended);

        for x in x.chunks_mut(MLP_ROWS * self.post_attention_layernorm.len()) {
            self.norm(x, &self.post_attention_layernorm, normed);
            together(
                normed,
                [(&self.gate_proj, &mut *gate), (&self.up_proj, &mut *up)],
            );
            pointwise::silu_mul(gate, up);
            self.down_proj.add_to(gate, x);
        }
    }

    fn norm(&self, x: &[f32], weight: &[f32], out: &mut Vec<f32>) {
        out.resize(x.len(), 0.0);
        norm::rms_norm(x, weight, self.eps, out);
    }
}

/// The rows named of `x [.., width]`.
pub(super) fn select(x: &[f32], width: usize, rows: &[usize]) -> Vec<f32> {
    rows.iter()
        .flat_map(|r| &x[r * width..(r + 1) * width])
        .copied()
        .collect()
}
