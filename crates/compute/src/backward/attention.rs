//! Of attention: the weights are computed again, row by row of a block of queries.

use rayon::prelude::*;

use super::transpose;
use crate::attention::{Heads, Mask, Span, softmax};
use crate::product::serial_nt;

/// Queries whose weights are held at a time.
const BLOCK_ROWS: usize = 64;

/// Gradients with respect to the inputs of [`crate::attention::attend`].
#[derive(Debug, Clone, PartialEq)]
pub struct Gradients {
    /// `[rows, heads · dim]`.
    pub dq: Vec<f32>,
    /// `[rows, kv_heads · dim]`.
    pub dk: Vec<f32>,
    /// `[rows, kv_heads · dim]`.
    pub dv: Vec<f32>,
}

/// Of [`crate::attention::attend`] without a past, every row being a query and a key of its
/// sequence. `dy` is the gradient with respect to its output.
///
/// With `P = softmax(q kᵀ / √dim)`: `dv = Pᵀ dy`, `dP = dy vᵀ`,
/// `dS = P ⊙ (dP − rowsum(P ⊙ dP))`, `dq = dS k / √dim`, `dk = dSᵀ q / √dim`.
///
/// # Panics
///
/// Where shapes contradict each other, or a span's queries are not its keys.
pub fn attend(
    shape: Heads,
    mask: Mask,
    (q, k, v): (&[f32], &[f32], &[f32]),
    dy: &[f32],
    spans: &[Span],
) -> Gradients {
    let Heads {
        heads,
        kv_heads,
        dim,
    } = shape;
    let (width, kv_width) = (heads * dim, kv_heads * dim);
    let rows = q.len() / width;
    assert!(q.len() == dy.len() && q.len() == rows * width);
    assert!(k.len() == v.len() && k.len() == rows * kv_width);
    assert!(
        spans
            .iter()
            .all(|s| s.queries == s.keys && s.keys.end <= rows)
    );
    let group = heads / kv_heads;

    let tasks: Vec<(&Span, usize)> = spans
        .iter()
        .flat_map(|s| (0..kv_heads).map(move |kv| (s, kv)))
        .collect();
    let parts: Vec<Part> = tasks
        .par_iter()
        .map(|(span, kv)| {
            let at = |x: &'_ [f32], width: usize| -> std::ops::Range<usize> {
                debug_assert_eq!(x.len() % width, 0);
                span.keys.start * width..span.keys.end * width
            };
            let sequence = Sequence {
                q: &q[at(q, width)],
                k: &k[at(k, kv_width)],
                v: &v[at(v, kv_width)],
                dy: &dy[at(dy, width)],
                rows: span.keys.len(),
            };
            sequence.backward(shape, mask, *kv)
        })
        .collect();

    let mut out = Gradients {
        dq: vec![0.0; q.len()],
        dk: vec![0.0; k.len()],
        dv: vec![0.0; v.len()],
    };
    for ((span, kv), part) in tasks.iter().zip(&parts) {
        for (i, row) in span.keys.clone().enumerate() {
            let q_at = row * width + kv * group * dim;
            out.dq[q_at..q_at + group * dim]
                .copy_from_slice(&part.dq[i * group * dim..][..group * dim]);
            let kv_at = row * kv_width + kv * dim;
            out.dk[kv_at..kv_at + dim].copy_from_slice(&part.dk[i * dim..][..dim]);
            out.dv[kv_at..kv_at + dim].copy_from_slice(&part.dv[i * dim..][..dim]);
        }
    }
    out
}

/// Gradients of one head of keys and values, and of the queries that read it: `[rows, group · dim]`
/// and `[rows, dim]`.
struct Part {
    dq: Vec<f32>,
    dk: Vec<f32>,
    dv: Vec<f32>,
}

/// The rows of one sequence.
struct Sequence<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    dy: &'a [f32],
    rows: usize,
}

impl Sequence<'_> {
    fn backward(&self, shape: Heads, mask: Mask, kv: usize) -> Part {
        let Heads {
            heads,
            kv_heads,
            dim,
        } = shape;
        let (width, kv_width, group) = (heads * dim, kv_heads * dim, heads / kv_heads);
        let n = self.rows;
        let scale = 1.0 / (dim as f32).sqrt();
        let mut part = Part {
            dq: vec![0.0; n * group * dim],
            dk: vec![0.0; n * dim],
            dv: vec![0.0; n * dim],
        };
        let keys_by_column = transpose(&self.k[kv * dim..], n, dim, kv_width);
        let mut product = vec![0.0; n * dim];
        for member in 0..group {
            let head = (kv * group + member) * dim;
            for start in (0..n).step_by(BLOCK_ROWS) {
                let rows = BLOCK_ROWS.min(n - start);
                let seen = match mask {
                    Mask::Full => n,
                    Mask::Causal => start + rows,
                };
                let q = &self.q[start * width + head..];
                let dy = &self.dy[start * width + head..];
                let mut weights = vec![0.0; rows * seen];
                let keys = (&self.k[kv * dim..], kv_width);
                serial_nt((rows, seen, dim), (q, width), keys, (&mut weights, seen));
                let mut dscores = vec![0.0; rows * seen];
                let values = (&self.v[kv * dim..], kv_width);
                serial_nt((rows, seen, dim), (dy, width), values, (&mut dscores, seen));
                for i in 0..rows {
                    let own = match mask {
                        Mask::Full => n,
                        Mask::Causal => start + i + 1,
                    };
                    let weights = &mut weights[i * seen..(i + 1) * seen];
                    let dscores = &mut dscores[i * seen..(i + 1) * seen];
                    softmax(&mut weights[..own], scale);
                    weights[own..].fill(0.0);
                    let along: f32 = weights.iter().zip(&*dscores).map(|(w, d)| w * d).sum();
                    for (d, w) in dscores.iter_mut().zip(&*weights) {
                        *d = w * (*d - along) * scale;
                    }
                }
                let dq = &mut part.dq[start * group * dim + member * dim..];
                serial_nt(
                    (rows, dim, seen),
                    (&dscores, seen),
                    (&keys_by_column, n),
                    (dq, group * dim),
                );
                let turned = |x: &[f32]| transpose(x, rows, seen, seen);
                for (weights, other, sum) in [
                    (
                        turned(&weights),
                        transpose(dy, rows, dim, width),
                        &mut part.dv,
                    ),
                    (
                        turned(&dscores),
                        transpose(q, rows, dim, width),
                        &mut part.dk,
                    ),
                ] {
                    let product = &mut product[..seen * dim];
                    serial_nt(
                        (seen, dim, rows),
                        (&weights, rows),
                        (&other, rows),
                        (product, dim),
                    );
                    crate::pointwise::add(&mut sum[..seen * dim], product);
                }
            }
        }
        part
    }
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
        for mask in [Mask::Causal, Mask::Full] {
            let got = attend(shape, mask, (&q, &k, &v), &dy, &spans);
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
        let got = attend(shape, Mask::Causal, (&q, &k, &v), &dy, &spans);
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
