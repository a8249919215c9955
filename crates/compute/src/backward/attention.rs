//! Attention as training computes it: forward without a past, by packed products, and its gradient.
//! The weights are not kept but computed again, some queries at a time.

use rayon::prelude::*;

use crate::attention::{Heads, Mask, Span, softmax};
use crate::cpu::each_isa::each_isa;
use crate::gemm::{View, gemm_serial};
use crate::norm::sum;

/// Queries whose weights are held at a time.
const BLOCK_ROWS: usize = 96;

/// Gradients with respect to the inputs of [`attend`]'s forward operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Gradients {
    /// `[queries, heads · dim]`.
    pub dq: Vec<f32>,
    /// `[keys, kv_heads · dim]`.
    pub dk: Vec<f32>,
    /// `[keys, kv_heads · dim]`.
    pub dv: Vec<f32>,
}

/// What attention reads: `q [queries, heads · dim]`, the place of each query among the keys of its
/// sequence, `k` and `v [keys, kv_heads · dim]`.
pub type Inputs<'a> = (&'a [f32], &'a [usize], &'a [f32], &'a [f32]);

/// [`crate::attention::attend`] without a past, up to the order of sums.
///
/// # Panics
///
/// As there.
pub fn forward(shape: Heads, mask: Mask, inputs: Inputs<'_>, spans: &[Span]) -> Vec<f32> {
    let width = shape.heads * shape.dim;
    let group = shape.heads / shape.kv_heads;
    let mut out = vec![0.0; inputs.0.len()];
    let parts = by_sequence_and_head(shape, mask, inputs, spans, |sequence, kv| {
        sequence.forward(kv)
    });
    let tasks = spans
        .iter()
        .flat_map(|s| (0..shape.kv_heads).map(move |kv| (s, kv)));
    for ((span, kv), part) in tasks.zip(&parts) {
        scatter(
            part,
            &mut out,
            span.queries.start,
            width,
            kv * group * shape.dim,
            group * shape.dim,
        );
    }
    out
}

/// Gradients of [`forward`]; `dy [queries, heads · dim]` is that with respect to its output.
///
/// With `P = softmax(q kᵀ / √dim)`: `dv = Pᵀ dy`, `dP = dy vᵀ`,
/// `dS = P ⊙ (dP − rowsum(P ⊙ dP))`, `dq = dS k / √dim`, `dk = dSᵀ q / √dim`.
///
/// # Panics
///
/// Where shapes contradict each other.
pub fn attend(
    shape: Heads,
    mask: Mask,
    inputs: Inputs<'_>,
    dy: &[f32],
    spans: &[Span],
) -> Gradients {
    let Heads {
        heads,
        kv_heads,
        dim,
    } = shape;
    let (width, kv_width) = (heads * dim, kv_heads * dim);
    let group = heads / kv_heads;
    let (q, _, k, v) = inputs;
    assert_eq!(q.len(), dy.len());
    let parts = by_sequence_and_head(shape, mask, inputs, spans, |sequence, kv| {
        sequence.backward(kv, &dy[sequence.span.queries.start * width..])
    });
    let mut out = Gradients {
        dq: vec![0.0; q.len()],
        dk: vec![0.0; k.len()],
        dv: vec![0.0; v.len()],
    };
    let tasks = spans
        .iter()
        .flat_map(|s| (0..kv_heads).map(move |kv| (s, kv)));
    for ((span, kv), part) in tasks.zip(&parts) {
        let (row, at) = (span.queries.start, kv * group * dim);
        scatter(&part.dq, &mut out.dq, row, width, at, group * dim);
        scatter(
            &part.dk,
            &mut out.dk,
            span.keys.start,
            kv_width,
            kv * dim,
            dim,
        );
        scatter(
            &part.dv,
            &mut out.dv,
            span.keys.start,
            kv_width,
            kv * dim,
            dim,
        );
    }
    out
}

/// Runs `task` for each sequence and each head of its keys, in that order.
fn by_sequence_and_head<T: Send>(
    shape: Heads,
    mask: Mask,
    (q, positions, k, v): Inputs<'_>,
    spans: &[Span],
    task: impl Fn(&Sequence<'_>, usize) -> T + Sync,
) -> Vec<T> {
    let (width, kv_width) = (shape.heads * shape.dim, shape.kv_heads * shape.dim);
    assert_eq!(q.len(), positions.len() * width);
    assert_eq!(k.len(), v.len());
    let tasks: Vec<(&Span, usize)> = spans
        .iter()
        .flat_map(|s| (0..shape.kv_heads).map(move |kv| (s, kv)))
        .collect();
    tasks
        .par_iter()
        .map(|&(span, kv)| {
            let keys = span.keys.start * kv_width..span.keys.end * kv_width;
            let sequence = Sequence {
                shape,
                mask,
                span,
                q: &q[span.queries.start * width..span.queries.end * width],
                positions: &positions[span.queries.clone()],
                k: &k[keys.clone()],
                v: &v[keys],
            };
            task(&sequence, kv)
        })
        .collect()
}

/// Rows of `cols` numbers, into columns `at..` of the rows of `out` from `row` on.
fn scatter(part: &[f32], out: &mut [f32], row: usize, width: usize, at: usize, cols: usize) {
    let rows = out[row * width..].chunks_exact_mut(width);
    for (part, out) in part.chunks_exact(cols).zip(rows) {
        out[at..at + cols].copy_from_slice(part);
    }
}

/// Gradients of one head of keys and values, and of the queries that read it: `[queries, group · dim]`
/// and `[keys, dim]`.
struct Part {
    dq: Vec<f32>,
    dk: Vec<f32>,
    dv: Vec<f32>,
}

/// The rows of one sequence.
struct Sequence<'a> {
    shape: Heads,
    mask: Mask,
    span: &'a Span,
    q: &'a [f32],
    positions: &'a [usize],
    k: &'a [f32],
    v: &'a [f32],
}

impl Sequence<'_> {
    fn queries(&self) -> usize {
        self.positions.len()
    }

    fn keys(&self) -> usize {
        self.span.keys.len()
    }

    /// Blocks of queries, and how many keys the last of each sees.
    fn blocks(&self) -> impl Iterator<Item = (std::ops::Range<usize>, usize)> {
        (0..self.queries()).step_by(BLOCK_ROWS).map(|start| {
            let rows = start..self.queries().min(start + BLOCK_ROWS);
            let seen = rows.clone().map(|i| self.seen(i)).max().unwrap_or(0);
            (rows, seen)
        })
    }

    /// Keys that query `i` sees.
    fn seen(&self, i: usize) -> usize {
        match self.mask {
            Mask::Full => self.keys(),
            Mask::Causal => self.positions[i] + 1,
        }
    }

    /// Rows `rows` of head `head` of `x [.., heads · dim]`.
    fn head<'x>(&self, x: &'x [f32], head: usize, rows: &std::ops::Range<usize>) -> View<'x> {
        let Heads { heads, dim, .. } = self.shape;
        let from = rows.start * heads * dim + head * dim;
        View::strided(&x[from..], rows.len(), dim, heads * dim)
    }

    /// The first `seen` rows of head `kv` of the keys or values.
    fn kv<'x>(&self, x: &'x [f32], kv: usize, seen: usize) -> View<'x> {
        let Heads { kv_heads, dim, .. } = self.shape;
        View::strided(&x[kv * dim..], seen, dim, kv_heads * dim)
    }

    /// The attention weights of some queries on the first `seen` keys, into `weights`.
    fn weights(
        &self,
        (head, kv): (usize, usize),
        rows: &std::ops::Range<usize>,
        seen: usize,
        weights: &mut [f32],
    ) {
        let scale = 1.0 / (self.shape.dim as f32).sqrt();
        let keys = self.kv(self.k, kv, seen).turned();
        gemm_serial(self.head(self.q, head, rows), keys, false, weights, seen);
        for (i, weights) in rows.clone().zip(weights.chunks_exact_mut(seen)) {
            let own = self.seen(i);
            softmax(&mut weights[..own], scale);
            weights[own..].fill(0.0);
        }
    }

    fn forward(&self, kv: usize) -> Vec<f32> {
        let Heads {
            heads,
            kv_heads,
            dim,
        } = self.shape;
        let group = heads / kv_heads;
        let mut out = vec![0.0; self.queries() * group * dim];
        let mut weights = Vec::new();
        for member in 0..group {
            for (rows, seen) in self.blocks() {
                weights.resize(rows.len() * seen, 0.0);
                self.weights((kv * group + member, kv), &rows, seen, &mut weights);
                gemm_serial(
                    View::new(&weights, rows.len(), seen),
                    self.kv(self.v, kv, seen),
                    false,
                    &mut out[rows.start * group * dim + member * dim..],
                    group * dim,
                );
            }
        }
        out
    }

    /// `dy`: from this sequence's first query on.
    fn backward(&self, kv: usize, dy: &[f32]) -> Part {
        let Heads {
            heads,
            kv_heads,
            dim,
        } = self.shape;
        let group = heads / kv_heads;
        let scale = 1.0 / (dim as f32).sqrt();
        let mut part = Part {
            dq: vec![0.0; self.queries() * group * dim],
            dk: vec![0.0; self.keys() * dim],
            dv: vec![0.0; self.keys() * dim],
        };
        let (mut weights, mut dscores) = (Vec::new(), Vec::new());
        for member in 0..group {
            let head = kv * group + member;
            for (rows, seen) in self.blocks() {
                let count = rows.len();
                weights.resize(count * seen, 0.0);
                dscores.resize(count * seen, 0.0);
                self.weights((head, kv), &rows, seen, &mut weights);
                let dy = self.head(dy, head, &rows);
                gemm_serial(
                    dy,
                    self.kv(self.v, kv, seen).turned(),
                    false,
                    &mut dscores,
                    seen,
                );
                let lines = weights
                    .chunks_exact(seen)
                    .zip(dscores.chunks_exact_mut(seen));
                for (weights, dscores) in lines {
                    scaled_difference(weights, dscores, scale);
                }
                let turned = |x| View::new(x, count, seen).turned();
                gemm_serial(turned(&weights), dy, true, &mut part.dv, dim);
                gemm_serial(
                    turned(&dscores),
                    self.head(self.q, head, &rows),
                    true,
                    &mut part.dk,
                    dim,
                );
                gemm_serial(
                    View::new(&dscores, count, seen),
                    self.kv(self.k, kv, seen),
                    false,
                    &mut part.dq[rows.start * group * dim + member * dim..],
                    group * dim,
                );
            }
        }
        part
    }
}

each_isa! {
    /// Of a row of softmax: `d = w ⊙ (d − Σ w d) · scale`.
    fn scaled_difference(weights: &[f32], d: &mut [f32], scale: f32) {
        let along = dot(weights, d);
        for (d, w) in d.iter_mut().zip(weights) {
            *d = w * (*d - along) * scale;
        }
    }
}

/// `Σ a b` over sixteen lanes.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 16];
    let (a_blocks, a_rest) = a.as_chunks::<16>();
    let (b_blocks, b_rest) = b.as_chunks::<16>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for l in 0..16 {
            lanes[l] += a[l] * b[l];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sum(&lanes, |v| v) + rest
}

#[cfg(test)]
mod tests {
    use super::super::difference::{check, numbers};
    use super::*;

    /// The formula, one query and head at a time.
    fn forward(
        shape: Heads,
        mask: Mask,
        q: &[f64],
        k: &[f64],
        v: &[f64],
        spans: &[Span],
    ) -> Vec<f64> {
        let Heads {
            heads,
            kv_heads,
            dim,
        } = shape;
        let (width, kv_width) = (heads * dim, kv_heads * dim);
        let mut out = vec![0.0; q.len()];
        for span in spans {
            for row in span.queries.clone() {
                let end = if mask == Mask::Causal {
                    row + 1
                } else {
                    span.keys.end
                };
                for h in 0..heads {
                    let kv = h / (heads / kv_heads) * dim;
                    let weights: Vec<f64> = (span.keys.start..end)
                        .map(|s| {
                            let dot: f64 = (0..dim)
                                .map(|d| q[row * width + h * dim + d] * k[s * kv_width + kv + d])
                                .sum();
                            (dot / (dim as f64).sqrt()).exp()
                        })
                        .collect();
                    let total: f64 = weights.iter().sum();
                    for d in 0..dim {
                        out[row * width + h * dim + d] = (span.keys.start..end)
                            .zip(&weights)
                            .map(|(s, w)| w / total * v[s * kv_width + kv + d])
                            .sum();
                    }
                }
            }
        }
        out
    }

    fn wide(x: &[f32]) -> Vec<f64> {
        x.iter().map(|v| f64::from(*v)).collect()
    }

    #[test]
    fn every_input_agrees_with_differences() {
        let shape = Heads {
            heads: 4,
            kv_heads: 2,
            dim: 4,
        };
        let spans = [
            Span {
                queries: 0..6,
                keys: 0..6,
            },
            Span {
                queries: 6..9,
                keys: 6..9,
            },
        ];
        let (q, k, v, dy) = (
            numbers(9 * 16, 1),
            numbers(9 * 8, 2),
            numbers(9 * 8, 3),
            numbers(9 * 16, 4),
        );
        let positions = [0, 1, 2, 3, 4, 5, 0, 1, 2];
        for mask in [Mask::Causal, Mask::Full] {
            let got = attend(shape, mask, (&q, &positions, &k, &v), &dy, &spans);
            let (q64, k64, v64) = (wide(&q), wide(&k), wide(&v));
            check("dq", &q, &dy, &got.dq, |q| {
                forward(shape, mask, q, &k64, &v64, &spans)
            });
            check("dk", &k, &dy, &got.dk, |k| {
                forward(shape, mask, &q64, k, &v64, &spans)
            });
            check("dv", &v, &dy, &got.dv, |v| {
                forward(shape, mask, &q64, &k64, v, &spans)
            });
        }
    }

    #[test]
    fn sequences_longer_than_a_block_agree_with_differences() {
        let shape = Heads {
            heads: 1,
            kv_heads: 1,
            dim: 2,
        };
        let n = BLOCK_ROWS + 9;
        let spans = [Span {
            queries: 0..n,
            keys: 0..n,
        }];
        let (q, k, v, dy) = (
            numbers(n * 2, 1),
            numbers(n * 2, 2),
            numbers(n * 2, 3),
            numbers(n * 2, 4),
        );
        let positions: Vec<usize> = (0..n).collect();
        let got = attend(shape, Mask::Causal, (&q, &positions, &k, &v), &dy, &spans);
        let (q64, k64, v64) = (wide(&q), wide(&k), wide(&v));
        check("dq", &q, &dy, &got.dq, |q| {
            forward(shape, Mask::Causal, q, &k64, &v64, &spans)
        });
        check("dk", &k, &dy, &got.dk, |k| {
            forward(shape, Mask::Causal, &q64, k, &v64, &spans)
        });
        check("dv", &v, &dy, &got.dv, |v| {
            forward(shape, Mask::Causal, &q64, &k64, v, &spans)
        });
    }
}
