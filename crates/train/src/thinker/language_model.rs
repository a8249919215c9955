//! The language model, with its way back. [`aurola_model::language_model`] tells what it computes.
//!
//! As when serving, the last layer's queries, MLP and the final norm are computed for the positions
//! to keep only.

use std::ops::Range;

use aurola_compute::attention::{Heads, Mask, Span};
use aurola_compute::backward::{attention, pointwise as backward};
use aurola_compute::gemm::{View, gemm};
use aurola_compute::pointwise;
use aurola_compute::rope::{Rotary, Rotation};
use aurola_model::config::TextConfig;

use super::Pass;
use super::linear::Linear;
use super::norm::RmsNorm;
use super::parameters::Gradients;
use super::source::{Build, Tensor};
use crate::TrainError;

/// Deviation of a random table's numbers: that of the released configurations.
const TABLE_DEVIATION: f32 = 0.02;

#[derive(Debug)]
pub(super) struct LanguageModel {
    config: TextConfig,
    embed_tokens: Tensor,
    vocabulary: usize,
    blocks: Vec<Block>,
    norm: RmsNorm,
    rotary: Rotary,
    head: Head,
}

#[derive(Debug)]
enum Head {
    /// The embedding table.
    Tied,
    Own(Tensor, usize),
    Missing,
}

#[derive(Debug)]
struct Block {
    input_layernorm: RmsNorm,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    post_attention_layernorm: RmsNorm,
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
    heads: Heads,
}

/// The rows of a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sequence {
    /// Rows of an earlier sequence that stand before its own: it begins as that one does.
    pub(super) shared: Range<usize>,
    /// How many rows of its own follow.
    pub(super) own: usize,
}

/// Which rows are computed and where they stand.
#[derive(Debug)]
struct Rows {
    positions: Vec<usize>,
    spans: Vec<Span>,
    rotation: Rotation,
    /// The row of each key, where sequences share some: keys are then laid out anew, sequence by sequence.
    keys: Option<Vec<usize>>,
}

#[derive(Debug)]
pub(super) struct Tape {
    all: Rows,
    kept: Rows,
    keep: Vec<usize>,
    blocks: Vec<Kept>,
    /// What the final norm took.
    last: Vec<f32>,
}

#[derive(Debug)]
enum Kept {
    Input(Vec<f32>),
    All(Box<Saved>),
}

#[derive(Debug)]
struct Saved {
    x: Vec<f32>,
    normed: Vec<f32>,
    /// The same two of the rows that are queries, where those are not all.
    queries: Option<(Vec<f32>, Vec<f32>)>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    attended: Vec<f32>,
    middle: Vec<f32>,
    middle_normed: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
}

impl LanguageModel {
    pub(super) fn new(
        config: &TextConfig,
        tied: bool,
        build: &mut Build<'_, '_>,
    ) -> Result<Self, TrainError> {
        let hidden = config.hidden_size;
        let table = "model.embed_tokens.weight";
        let vocabulary = build.rows(table, config.vocab_size)?;
        let embed_tokens = build.matrix(table, &[vocabulary, hidden], TABLE_DEVIATION)?;
        let blocks = (0..config.num_hidden_layers)
            .map(|i| Block::new(config, build, &format!("model.layers.{i}")))
            .collect::<Result<_, _>>()?;
        let norm = RmsNorm::new(build, "model.norm", hidden, config.rms_norm_eps)?;
        let name = "lm_head.weight";
        let head = if tied {
            Head::Tied
        } else if build.has(name) {
            let rows = build.rows(name, vocabulary)?;
            Head::Own(build.matrix(name, &[rows, hidden], TABLE_DEVIATION)?, rows)
        } else {
            Head::Missing
        };
        Ok(Self {
            embed_tokens,
            vocabulary,
            blocks,
            norm,
            rotary: Rotary::new(config.head_dim(), config.rope_theta),
            head,
            config: config.clone(),
        })
    }

    /// Writes the embedding of `id` into `out`, or says why there is none.
    pub(super) fn embed(&self, pass: &Pass<'_>, id: u32, out: &mut [f32]) -> Result<(), String> {
        let row = id as usize;
        if row >= self.vocabulary {
            return Err(format!(
                "token {id} has no row among the {} of the embedding table; the tokenizer and the weights belong \
                 to different models",
                self.vocabulary
            ));
        }
        match &self.embed_tokens {
            Tensor::Trained(table) => {
                let hidden = out.len();
                out.copy_from_slice(&pass.parameters.get(*table)[row * hidden..(row + 1) * hidden]);
            }
            Tensor::Frozen(matrix) => matrix.row(row, out),
        }
        Ok(())
    }

    pub(super) fn trains_embeddings(&self) -> bool {
        matches!(self.embed_tokens, Tensor::Trained(_))
    }

    /// Adds the gradients of the rows that are words to the table's.
    pub(super) fn embed_backward(
        &self,
        words: &[(u32, usize)],
        drows: &[f32],
        gradients: &mut Gradients,
    ) {
        if let Tensor::Trained(id) = self.embed_tokens {
            let hidden = self.config.hidden_size;
            let table = gradients.of(id);
            for (word, row) in words {
                let word = *word as usize * hidden;
                let drow = &drows[row * hidden..(row + 1) * hidden];
                for (d, v) in table[word..word + hidden].iter_mut().zip(drow) {
                    *d += v;
                }
            }
        }
    }

    /// The states, after the final norm, of the rows to keep.
    pub(super) fn forward(
        &self,
        pass: &Pass<'_>,
        embeddings: Vec<f32>,
        sequences: &[Sequence],
        keep: Vec<usize>,
        record: bool,
    ) -> (Vec<f32>, Option<Tape>) {
        let all = Rows::all(sequences, &self.rotary);
        let kept = all.select(&keep, &self.rotary);
        let mut blocks = Vec::new();
        let mut x = embeddings;
        let last = self.blocks.len() - 1;
        for (i, block) in self.blocks.iter().enumerate() {
            let queries = (i == last).then_some((&kept, &keep[..]));
            let (y, saved) = block.forward(pass, x, &all, queries);
            if record {
                blocks.push(if pass.recompute {
                    Kept::Input(saved.x)
                } else {
                    Kept::All(Box::new(saved))
                });
            }
            x = y;
        }
        let states = self.norm.forward(pass, &x);
        let tape = record.then_some(Tape {
            all,
            kept,
            keep,
            blocks,
            last: x,
        });
        (states, tape)
    }

    /// The gradient with respect to the embeddings, where it is `wanted`.
    pub(super) fn backward(
        &self,
        pass: &Pass<'_>,
        tape: Tape,
        dstates: &[f32],
        wanted: bool,
        gradients: &mut Gradients,
    ) -> Option<Vec<f32>> {
        let mut dx = vec![0.0; tape.last.len()];
        self.norm
            .backward(pass, &tape.last, dstates, &mut dx, gradients);
        let last = self.blocks.len() - 1;
        for ((i, block), kept) in self.blocks.iter().enumerate().zip(tape.blocks).rev() {
            let queries = (i == last).then_some((&tape.kept, &tape.keep[..]));
            let saved = match kept {
                Kept::All(saved) => *saved,
                Kept::Input(x) => block.forward(pass, x, &tape.all, queries).1,
            };
            dx = block.backward(pass, saved, dx, &tape.all, queries, gradients);
        }
        wanted.then_some(dx)
    }

    pub(super) fn vocabulary(&self) -> usize {
        match self.head {
            Head::Own(_, rows) => rows,
            Head::Tied | Head::Missing => self.vocabulary,
        }
    }

    fn head(&self) -> Result<&Tensor, TrainError> {
        match &self.head {
            Head::Tied => Ok(&self.embed_tokens),
            Head::Own(tensor, _) => Ok(tensor),
            Head::Missing => Err(TrainError::NoHead),
        }
    }

    fn table<'a>(&self, tensor: &'a Tensor, pass: &Pass<'a>) -> View<'a> {
        match tensor {
            Tensor::Trained(id) => View::new(
                pass.parameters.get(*id),
                self.vocabulary(),
                self.config.hidden_size,
            ),
            Tensor::Frozen(matrix) => View::of(matrix),
        }
    }

    pub(super) fn logits(&self, pass: &Pass<'_>, states: &[f32]) -> Result<Vec<f32>, TrainError> {
        let head = self.table(self.head()?, pass);
        let rows = states.len() / self.config.hidden_size;
        let mut logits = vec![0.0; rows * self.vocabulary()];
        let states = View::new(states, rows, self.config.hidden_size);
        gemm(states, head.turned(), pass.precision, false, &mut logits);
        Ok(logits)
    }

    pub(super) fn logits_backward(
        &self,
        pass: &Pass<'_>,
        states: &[f32],
        dlogits: &[f32],
        gradients: &mut Gradients,
    ) -> Vec<f32> {
        let head = self.head().expect("there were logits");
        let (rows, hidden) = (
            states.len() / self.config.hidden_size,
            self.config.hidden_size,
        );
        let dlogits = View::new(dlogits, rows, self.vocabulary());
        let mut dstates = vec![0.0; states.len()];
        gemm(
            dlogits,
            self.table(head, pass),
            pass.precision,
            false,
            &mut dstates,
        );
        if let Tensor::Trained(id) = head {
            let states = View::new(states, rows, hidden);
            gemm(
                dlogits.turned(),
                states,
                pass.precision,
                true,
                gradients.of(*id),
            );
        }
        dstates
    }
}

impl Block {
    fn new(config: &TextConfig, build: &mut Build<'_, '_>, at: &str) -> Result<Self, TrainError> {
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
        let joins = 1.0 / (2.0 * config.num_hidden_layers as f32).sqrt();
        let eps = config.rms_norm_eps;
        let mut linear = |name: &str, shape: [usize; 2], bias, gain| {
            Linear::new(build, &format!("{at}.{name}"), &shape, bias, gain)
        };
        let q_proj = linear("self_attn.q_proj", [q, hidden], true, 1.0)?;
        let k_proj = linear("self_attn.k_proj", [kv, hidden], true, 1.0)?;
        let v_proj = linear("self_attn.v_proj", [kv, hidden], true, 1.0)?;
        let o_proj = linear("self_attn.o_proj", [hidden, q], false, joins)?;
        let gate_proj = linear("mlp.gate_proj", [inner, hidden], false, 1.0)?;
        let up_proj = linear("mlp.up_proj", [inner, hidden], false, 1.0)?;
        let down_proj = linear("mlp.down_proj", [hidden, inner], false, joins)?;
        let mut norm = |name: &str| RmsNorm::new(build, &format!("{at}.{name}"), hidden, eps);
        Ok(Self {
            input_layernorm: norm("input_layernorm")?,
            q_proj,
            k_proj,
            v_proj,
            o_proj,
            post_attention_layernorm: norm("post_attention_layernorm")?,
            gate_proj,
            up_proj,
            down_proj,
            heads,
        })
    }

    /// `x [rows, hidden]` → the same, or the rows of `queries` only.
    fn forward(
        &self,
        pass: &Pass<'_>,
        x: Vec<f32>,
        all: &Rows,
        queries: Option<(&Rows, &[usize])>,
    ) -> (Vec<f32>, Saved) {
        let normed = self.input_layernorm.forward(pass, &x);
        let mut k = self.k_proj.forward(pass, &normed);
        all.rotation.apply(&mut k);
        let v = self.v_proj.forward(pass, &normed);
        let hidden = x.len() / all.positions.len();
        let selected =
            queries.map(|(_, keep)| (select(&x, hidden, keep), select(&normed, hidden, keep)));
        let (own_x, own_normed) = selected.as_ref().map_or((&x, &normed), |(x, n)| (x, n));
        let rows = queries.map_or(all, |(rows, _)| rows);
        let mut q = self.q_proj.forward(pass, own_normed);
        rows.rotation.apply(&mut q);
        let laid = all.lay_out(&k, &v);
        let (own_k, own_v) = laid.as_ref().map_or((&k, &v), |(k, v)| (k, v));
        let inputs = (&q[..], &rows.positions[..], &own_k[..], &own_v[..]);
        let attended = attention::forward(self.heads, Mask::Causal, inputs, &rows.spans);
        let mut middle = self.o_proj.forward(pass, &attended);
        pointwise::add(&mut middle, own_x);
        let middle_normed = self.post_attention_layernorm.forward(pass, &middle);
        let gate = self.gate_proj.forward(pass, &middle_normed);
        let up = self.up_proj.forward(pass, &middle_normed);
        let mut active = gate.clone();
        pointwise::silu_mul(&mut active, &up);
        let mut y = self.down_proj.forward(pass, &active);
        pointwise::add(&mut y, &middle);
        let saved = Saved {
            x,
            normed,
            queries: selected,
            q,
            k,
            v,
            attended,
            middle,
            middle_normed,
            gate,
            up,
        };
        (y, saved)
    }

    fn backward(
        &self,
        pass: &Pass<'_>,
        saved: Saved,
        dy: Vec<f32>,
        all: &Rows,
        queries: Option<(&Rows, &[usize])>,
        gradients: &mut Gradients,
    ) -> Vec<f32> {
        let Saved {
            x,
            normed,
            queries: selected,
            q,
            k,
            v,
            attended,
            middle,
            middle_normed,
            mut gate,
            mut up,
        } = saved;
        let mut active = gate.clone();
        pointwise::silu_mul(&mut active, &up);
        let dactive = self.down_proj.backward_alone(pass, &active, &dy, gradients);
        backward::silu_mul(&mut gate, &mut up, &dactive);
        let mut dmiddle_normed = vec![0.0; middle.len()];
        for (linear, dy) in [(&self.gate_proj, &gate), (&self.up_proj, &up)] {
            linear.backward(
                pass,
                &middle_normed,
                dy,
                Some(&mut dmiddle_normed),
                gradients,
            );
        }
        let mut dmiddle = dy;
        self.post_attention_layernorm.backward(
            pass,
            &middle,
            &dmiddle_normed,
            &mut dmiddle,
            gradients,
        );

        let dattended = self
            .o_proj
            .backward_alone(pass, &attended, &dmiddle, gradients);
        let rows = queries.map_or(all, |(rows, _)| rows);
        let laid = all.lay_out(&k, &v);
        let (own_k, own_v) = laid.as_ref().map_or((&k, &v), |(k, v)| (k, v));
        let inputs = (&q[..], &rows.positions[..], &own_k[..], &own_v[..]);
        let mut d = attention::attend(self.heads, Mask::Causal, inputs, &dattended, &rows.spans);
        d.dk = all.gather_up(d.dk);
        d.dv = all.gather_up(d.dv);
        rows.rotation.apply_inverse(&mut d.dq);
        all.rotation.apply_inverse(&mut d.dk);
        let mut dnormed = vec![0.0; x.len()];
        for (linear, dy) in [(&self.k_proj, &d.dk), (&self.v_proj, &d.dv)] {
            linear.backward(pass, &normed, dy, Some(&mut dnormed), gradients);
        }
        match (selected, queries) {
            (Some((_, own_normed)), Some((_, keep))) => {
                let hidden = x.len() / all.positions.len();
                let down = self
                    .q_proj
                    .backward_alone(pass, &own_normed, &d.dq, gradients);
                let mut dx = vec![0.0; x.len()];
                add_selected(&mut dnormed, hidden, keep, &down);
                add_selected(&mut dx, hidden, keep, &dmiddle);
                self.input_layernorm
                    .backward(pass, &x, &dnormed, &mut dx, gradients);
                dx
            }
            _ => {
                self.q_proj
                    .backward(pass, &normed, &d.dq, Some(&mut dnormed), gradients);
                self.input_layernorm
                    .backward(pass, &x, &dnormed, &mut dmiddle, gradients);
                dmiddle
            }
        }
    }
}

impl Rows {
    fn all(sequences: &[Sequence], rotary: &Rotary) -> Self {
        let mut positions = Vec::new();
        let mut keys = Vec::new();
        let mut spans = Vec::new();
        for sequence in sequences {
            let start = positions.len();
            let before = sequence.shared.len();
            positions.extend(before..before + sequence.own);
            let first = keys.len();
            keys.extend(sequence.shared.clone().chain(start..positions.len()));
            spans.push(Span {
                queries: start..positions.len(),
                keys: first..keys.len(),
            });
        }
        Self {
            rotation: rotary.at(&positions),
            keys: (keys.len() > positions.len()).then_some(keys),
            positions,
            spans,
        }
    }

    /// Only the rows `keep` as queries, against the keys of all.
    fn select(&self, keep: &[usize], rotary: &Rotary) -> Self {
        let positions: Vec<usize> = keep.iter().map(|row| self.positions[*row]).collect();
        let mut done = 0;
        let spans = self.spans.iter().map(|span| {
            let rows = keep[done..].iter();
            let own = rows.take_while(|row| **row < span.queries.end).count();
            let queries = done..done + own;
            done += own;
            Span {
                queries,
                keys: span.keys.clone(),
            }
        });
        Self {
            spans: spans.collect(),
            rotation: rotary.at(&positions),
            positions,
            keys: None,
        }
    }

    /// Keys and values in the order of the spans, where that is another than that of the rows.
    fn lay_out(&self, k: &[f32], v: &[f32]) -> Option<(Vec<f32>, Vec<f32>)> {
        let keys = self.keys.as_ref()?;
        let width = k.len() / self.positions.len();
        Some((select(k, width, keys), select(v, width, keys)))
    }

    /// The way back of [`Rows::lay_out`]: a row has what all its copies have.
    fn gather_up(&self, d: Vec<f32>) -> Vec<f32> {
        let Some(keys) = &self.keys else { return d };
        let width = d.len() / keys.len();
        let mut rows = vec![0.0; self.positions.len() * width];
        add_selected(&mut rows, width, keys, &d);
        rows
    }
}

fn select(x: &[f32], hidden: usize, keep: &[usize]) -> Vec<f32> {
    keep.iter()
        .flat_map(|row| &x[row * hidden..(row + 1) * hidden])
        .copied()
        .collect()
}

fn add_selected(to: &mut [f32], hidden: usize, keep: &[usize], rows: &[f32]) {
    for (row, values) in keep.iter().zip(rows.chunks_exact(hidden)) {
        for (to, v) in to[row * hidden..(row + 1) * hidden].iter_mut().zip(values) {
            *to += v;
        }
    }
}
