//! The language model: Qwen2.5's decoder over embeddings of words and sound.
//!
//! ```text
//! embeddings ─► [ RMSNorm ─► attention ─► + ─► RMSNorm ─► SwiGLU ─► + ] × layers ─► RMSNorm
//! [rows, hidden]              rotary, causal, grouped                                [kept, hidden]
//! ```
//!
//! A batch is ragged: rows of its sequences one after the other. Only the rows that are asked for
//! go through the last layer's attention output and MLP and the final norm; the output head is
//! applied by who needs it: [`crate::Model::rerank`] and [`crate::Model::generate`].

mod block;
mod cache;

use std::sync::OnceLock;

use aurola_compute::attention::{Mask, Span};
use aurola_compute::packed::Weight;
use aurola_compute::rope::Rotary;
use aurola_compute::{Matrix, norm};

use self::block::{Block, Room, Rows, select};
pub use self::cache::KvCache;
use crate::ModelError;
use crate::config::TextConfig;
use crate::linear::{Linear, ready};
use crate::plan::Plan;
use crate::weights::Weights;

/// The decoder, its embedding table and its output head.
#[derive(Debug)]
pub struct LanguageModel {
    config: TextConfig,
    embed_tokens: Matrix,
    blocks: Vec<Block>,
    norm: Vec<f32>,
    rotary: Rotary,
    /// As it is stored; `None` where the checkpoint has none.
    head: Option<Matrix>,
    /// The same in the type of products, from the first time that all of it is asked for.
    whole_head: OnceLock<Linear>,
    plan: Plan,
}

/// Sequences to be computed together, and what is wanted of them.
#[derive(Debug)]
pub struct Batch<'a> {
    /// Embeddings, `[rows, hidden]`: the sequences one after the other.
    pub embeddings: Vec<f32>,
    /// Rows of each sequence.
    pub lengths: &'a [usize],
    /// Rows (of the batch) whose final states are returned, ascending.
    pub keep: &'a [usize],
    /// What stands before every sequence.
    pub past: Option<&'a KvCache>,
    /// What a position sees: [`Mask::Causal`], but for the few relatives that were trained
    /// otherwise.
    pub mask: Mask,
}

/// Looks at the state entering each layer (`[rows, hidden]`), for tests against recorded values.
pub type Watch<'w> = dyn FnMut(usize, &[f32]) + 'w;

impl LanguageModel {
    /// Loads `model.*` and, unless the head is tied, `lm_head`, below `weights`. A checkpoint may be
    /// without a head: embeddings need none.
    pub(crate) fn load(
        config: &TextConfig,
        tied: bool,
        weights: &Weights<'_>,
        plan: Plan,
    ) -> Result<Self, ModelError> {
        let model = weights.at("model");
        let table = model.at("embed_tokens");
        // The file decides how many rows there are: tables are padded, and grow with added tokens.
        let embed_tokens = table.matrix("weight", &[table.rows("weight")?, config.hidden_size])?;
        let head = weights.at("lm_head");
        let head = if tied {
            Some(embed_tokens.clone())
        } else if head.has("weight") {
            Some(head.matrix("weight", &[head.rows("weight")?, config.hidden_size])?)
        } else {
            None
        };
        Ok(Self {
            blocks: (0..config.num_hidden_layers)
                .map(|i| Block::load(config, &model.at("layers").at(i), plan))
                .collect::<Result<_, _>>()?,
            norm: model.at("norm").vector("weight", config.hidden_size)?,
            rotary: Rotary::new(config.head_dim(), config.rope_theta),
            config: config.clone(),
            embed_tokens,
            head,
            whole_head: OnceLock::new(),
            plan,
        })
    }

    /// Rows of the embedding table: ids below this exist.
    pub fn vocabulary(&self) -> usize {
        self.embed_tokens.rows()
    }

    /// Numbers of one state.
    pub fn hidden_size(&self) -> usize {
        self.config.hidden_size
    }

    /// Writes the embedding of `id` into `out [hidden]`.
    ///
    /// # Errors
    ///
    /// [`ModelError::Input`] where the table has no such row.
    pub fn embed_token(&self, id: u32, out: &mut [f32]) -> Result<(), ModelError> {
        if id as usize >= self.vocabulary() {
            return Err(ModelError::Input(format!(
                "token {id} has no row among the {} of the embedding table; the tokenizer and the weights belong to \
                 different models",
                self.vocabulary()
            )));
        }
        self.embed_tokens.row(id as usize, out);
        Ok(())
    }

    /// The final states, after the last norm, of the rows to keep: `[kept, hidden]`. Keys and values
    /// of all rows are appended to `record`, which then serves as the past of what follows; the
    /// batch must be one sequence for that.
    ///
    /// # Errors
    ///
    /// [`ModelError::Input`] for a sequence longer than the model was made for.
    pub fn forward(
        &self,
        batch: Batch<'_>,
        mut record: Option<&mut KvCache>,
        watch: &mut Watch<'_>,
    ) -> Result<Vec<f32>, ModelError> {
        let past = batch.past.map_or(0, KvCache::len);
        let longest = past + batch.lengths.iter().copied().max().unwrap_or(0);
        if longest > self.config.max_position_embeddings {
            return Err(ModelError::Input(format!(
                "a prompt of {longest} tokens; the model was made for {} at most (25 tokens are one second)",
                self.config.max_position_embeddings
            )));
        }
        assert!(
            record.is_none() || batch.lengths.len() == 1,
            "only one sequence can be recorded"
        );
        let hidden = self.config.hidden_size;
        let rows: usize = batch.lengths.iter().sum();
        assert_eq!(batch.embeddings.len(), rows * hidden);
        let all = Rows::all(batch.lengths);
        let rotation = self
            .rotary
            .at(&all.positions.iter().map(|p| p + past).collect::<Vec<_>>());
        let kept = all.select(batch.lengths, batch.keep);
        let kept_rotation =
            self.rotary
                .at(&kept.positions.iter().map(|p| p + past).collect::<Vec<_>>());

        let mut x = batch.embeddings;
        let mut room = Room::default();
        let last = self.blocks.len() - 1;
        for (i, block) in self.blocks.iter().enumerate() {
            watch(i, &x);
            let past = batch.past.map(|c| c.layer(i));
            if i == last {
                let wanted = Some((batch.keep, &kept_rotation));
                block.heads(&x, &rotation, wanted, &mut room);
                x = select(&x, hidden, batch.keep);
                block.forward(&mut x, &kept, batch.mask, past, &mut room);
            } else {
                block.heads(&x, &rotation, None, &mut room);
                block.forward(&mut x, &all, batch.mask, past, &mut room);
            }
            if let Some(record) = record.as_deref_mut() {
                record.append(i, &room.k, &room.v);
            }
        }
        let mut out = vec![0.0; x.len()];
        norm::rms_norm(&x, &self.norm, self.config.rms_norm_eps, &mut out);
        Ok(out)
    }

    /// A cache with room for nothing yet.
    pub fn cache(&self) -> KvCache {
        KvCache::new(
            self.blocks.len(),
            self.config.num_key_value_heads * self.config.head_dim(),
        )
    }

    /// The output head, for all ids or for the few `rows` that matter.
    ///
    /// # Errors
    ///
    /// [`ModelError::Input`] where the checkpoint has no head, or none of these rows.
    pub fn head(&self, rows: Option<&[u32]>) -> Result<Head<'_>, ModelError> {
        let head = self.head.as_ref().ok_or_else(|| {
            ModelError::Input(
                "this checkpoint has no output head (lm_head.weight) and config.json does not tie it to the \
                 embedding table: it makes embeddings, and neither scores nor captions"
                    .into(),
            )
        })?;
        let last = rows.map_or(Some(0), |r| r.iter().copied().max());
        if let Some(id) = last.filter(|id| *id as usize >= head.rows()) {
            return Err(ModelError::Input(format!(
                "token {id} has no row among the {} of the output head",
                head.rows()
            )));
        }
        Ok(Head(match rows {
            None => HeadRows::All(self.whole_head.get_or_init(|| {
                // As it is stored: captions are of a few tokens, each of which reads it once.
                Linear::of(ready(head, self.plan.unquantised()))
            })),
            Some(rows) => {
                let rows: Vec<usize> = rows.iter().map(|r| *r as usize).collect();
                let form = self.plan.unquantised();
                HeadRows::Some(Linear::of(Weight::Stored(head.select_rows(&rows), form)))
            }
        }))
    }
}

/// Rows of the output head: a state to one logit per row.
#[derive(Debug)]
pub struct Head<'m>(HeadRows<'m>);

#[derive(Debug)]
enum HeadRows<'m> {
    All(&'m Linear),
    Some(Linear),
}

impl Head<'_> {
    /// `states [n, hidden]` → `[n, rows]`.
    pub fn logits(&self, states: &[f32]) -> Vec<f32> {
        match &self.0 {
            HeadRows::All(head) => head.forward(states),
            HeadRows::Some(head) => head.forward(states),
        }
    }
}

impl Rows {
    /// Every row of every sequence.
    fn all(lengths: &[usize]) -> Self {
        let mut rows = Self {
            positions: Vec::new(),
            spans: Vec::new(),
        };
        for len in lengths {
            let start = rows.positions.len();
            rows.positions.extend(0..*len);
            rows.spans.push(Span {
                queries: start..start + len,
                keys: start..start + len,
            });
        }
        rows
    }

    /// Only the rows `keep` (ascending) as queries, against the keys of all.
    fn select(&self, lengths: &[usize], keep: &[usize]) -> Self {
        let mut kept = Self {
            positions: Vec::new(),
            spans: Vec::new(),
        };
        let mut keep = keep.iter().copied().peekable();
        let mut end = 0;
        for (len, span) in lengths.iter().zip(&self.spans) {
            end += len;
            let first = kept.positions.len();
            while let Some(row) = keep.next_if(|r| *r < end) {
                kept.positions.push(self.positions[row]);
            }
            kept.spans.push(Span {
                queries: first..kept.positions.len(),
                keys: span.keys.clone(),
            });
        }
        assert!(
            keep.peek().is_none(),
            "rows to keep are ascending and inside the batch"
        );
        kept
    }
}
