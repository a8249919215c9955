//! Attention over a ragged batch: causal and grouped for the language model, whole blocks for the
//! audio tower.

use std::ops::Range;

use rayon::prelude::*;

use crate::cpu::each_isa::each_isa;
use crate::norm::sum;
use crate::pointwise::exp;
use crate::product::serial_nt;

/// Query rows of one task.
const TASK_ROWS: usize = 16;
/// Values that are held by column at a time, 64 MiB of them: each sequence has a copy of the past.
const VALUES_AT_ONCE: usize = 1 << 24;

/// Heads of one attention layer. Head `h` of the queries reads head `h · kv_heads / heads` of the
/// keys and values (grouped-query attention, Ainslie et al. 2023).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Heads of the queries.
    pub heads: usize,
    /// Heads of the keys and values; divides `heads`.
    pub kv_heads: usize,
    /// Numbers of one head.
    pub dim: usize,
}

/// Which keys a query sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mask {
    /// All of its sequence.
    Full,
    /// Those up to its own position, and all of the past.
    Causal,
}

/// One sequence of a ragged batch: its rows among the queries, and among the keys and values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Rows of `q` and of the output.
    pub queries: Range<usize>,
    /// Rows of `k` and `v`.
    pub keys: Range<usize>,
}

/// Keys and values that stand before every sequence of the batch: `[rows, kv_heads · dim]` each.
#[derive(Debug, Clone, Copy)]
pub struct Past<'a> {
    /// Keys, already rotated.
    pub keys: &'a [f32],
    /// Values.
    pub values: &'a [f32],
}

/// `softmax(q kᵀ / √dim) v` for each head of each sequence.
///
/// `q [queries, heads · dim]`; `k` and `v [keys, kv_heads · dim]`; `positions [queries]`: the place
/// of each query among its sequence's own keys, which [`Mask::Causal`] goes by. Returns
/// `[queries, heads · dim]`.
///
/// # Panics
///
/// Where shapes contradict each other or a query stands behind its sequence's last key.
pub fn attend(
    shape: Heads,
    mask: Mask,
    past: Option<Past<'_>>,
    (q, positions): (&[f32], &[usize]),
    (k, v): (&[f32], &[f32]),
    spans: &[Span],
) -> Vec<f32> {
    attend_within(
        VALUES_AT_ONCE,
        shape,
        mask,
        past,
        (q, positions),
        (k, v),
        spans,
    )
}

/// [`attend`], holding at most `limit` values by column.
fn attend_within(
    limit: usize,
    shape: Heads,
    mask: Mask,
    past: Option<Past<'_>>,
    (q, positions): (&[f32], &[usize]),
    (k, v): (&[f32], &[f32]),
    spans: &[Span],
) -> Vec<f32> {
    let width = shape.heads * shape.dim;
    let kv_width = shape.kv_heads * shape.dim;
    assert!(shape.heads.is_multiple_of(shape.kv_heads), "{shape:?}");
    assert_eq!(q.len(), positions.len() * width);
    assert_eq!(k.len(), v.len());
    let past = past.unwrap_or(Past {
        keys: &[],
        values: &[],
    });
    assert_eq!(past.keys.len(), past.values.len());

    let mut out = vec![0.0; q.len()];
    let mut rest = &mut out[..];
    let mut next = 0;
    let mut left = spans;
    while !left.is_empty() {
        let (group, after) = left.split_at(how_many_fit(left, past.values.len(), kv_width, limit));
        left = after;
        // Values by column, so that the second product too runs along its sum.
        let values: Vec<Vec<f32>> = group
            .par_iter()
            .map(|s| {
                transpose(
                    past.values,
                    &v[s.keys.start * kv_width..s.keys.end * kv_width],
                    kv_width,
                )
            })
            .collect();
        let mut tasks = Vec::new();
        for (span, values) in group.iter().zip(&values) {
            assert_eq!(span.queries.start, next, "sequences follow one another");
            next = span.queries.end;
            let (own, after) = rest.split_at_mut(span.queries.len() * width);
            rest = after;
            for (i, out) in own.chunks_mut(TASK_ROWS * width).enumerate() {
                let first = span.queries.start + i * TASK_ROWS;
                tasks.push((span, values, first..first + out.len() / width, out));
            }
        }
        tasks.into_par_iter().for_each(|(span, values, rows, out)| {
            let task = Task {
                shape,
                past: past.keys,
                own: &k[span.keys.start * kv_width..span.keys.end * kv_width],
                values,
                q: &q[rows.start * width..rows.end * width],
            };
            let seen: Vec<usize> = match mask {
                Mask::Full => vec![span.keys.len(); rows.len()],
                Mask::Causal => positions[rows].iter().map(|p| p + 1).collect(),
            };
            task.run(&seen, out);
        });
    }
    assert!(rest.is_empty(), "every query belongs to a sequence");
    out
}

/// How many sequences, from the first, have at most `limit` values with their copies of the past;
/// at least one.
fn how_many_fit(spans: &[Span], past: usize, kv_width: usize, limit: usize) -> usize {
    let mut values = 0;
    let over = spans.iter().position(|s| {
        values += past + s.keys.len() * kv_width;
        values > limit
    });
    over.unwrap_or(spans.len()).max(1)
}

/// Some queries of one sequence.
struct Task<'a> {
    shape: Heads,
    past: &'a [f32],
    own: &'a [f32],
    /// `[kv_heads · dim, past + own]`.
    values: &'a [f32],
    q: &'a [f32],
}

impl Task<'_> {
    /// `seen`: how many of the own keys each query sees.
    fn run(&self, seen: &[usize], out: &mut [f32]) {
        let Heads {
            heads,
            kv_heads,
            dim,
        } = self.shape;
        let (width, kv_width) = (heads * dim, kv_heads * dim);
        let (rows, past) = (seen.len(), self.past.len() / kv_width);
        let own = seen.iter().copied().max().unwrap_or(0);
        assert!(
            own * kv_width <= self.own.len(),
            "a query stands behind the last key"
        );
        let all = past + self.own.len() / kv_width;
        let keys = past + own;
        let scale = 1.0 / (dim as f32).sqrt();
        let mut scores = vec![0.0; rows * keys];
        for head in 0..heads {
            let kv = head / (heads / kv_heads) * dim;
            let q = (&self.q[head * dim..], width);
            if past > 0 {
                serial_nt(
                    (rows, past, dim),
                    q,
                    (&self.past[kv..], kv_width),
                    (&mut scores, keys),
                );
            }
            if own > 0 {
                serial_nt(
                    (rows, own, dim),
                    q,
                    (&self.own[kv..], kv_width),
                    (&mut scores[past..], keys),
                );
            }
            for (row, seen) in scores.chunks_exact_mut(keys).zip(seen) {
                let (seen, hidden) = row.split_at_mut(past + seen);
                softmax(seen, scale);
                hidden.fill(0.0);
            }
            serial_nt(
                (rows, dim, keys),
                (&scores, keys),
                (&self.values[kv * all..], all),
                (&mut out[head * dim..], width),
            );
        }
    }
}

each_isa! {
    /// `x = softmax(scale · x)`, the maximum being subtracted first.
    pub(crate) fn softmax(x: &mut [f32], scale: f32) {
        let mut lanes = [f32::NEG_INFINITY; 16];
        let (chunks, rest) = x.as_chunks::<16>();
        for chunk in chunks {
            for l in 0..16 {
                lanes[l] = if chunk[l] > lanes[l] { chunk[l] } else { lanes[l] };
            }
        }
        let max = lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max);
        for v in x.iter_mut() {
            *v = exp((*v - max) * scale);
        }
        let total = 1.0 / sum(x, |v| v);
        for v in x.iter_mut() {
            *v *= total;
        }
    }
}

/// `[past + own, width]` as `[width, past + own]`.
fn transpose(past: &[f32], own: &[f32], width: usize) -> Vec<f32> {
    let rows = (past.len() + own.len()) / width;
    let mut out = vec![0.0; rows * width];
    for (i, row) in past
        .chunks_exact(width)
        .chain(own.chunks_exact(width))
        .enumerate()
    {
        for (j, v) in row.iter().enumerate() {
            out[j * rows + i] = *v;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        let mut s = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
        (0..n)
            .map(|_| {
                s = s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (s >> 8) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect()
    }

    /// The formula in double precision, one query and one head at a time.
    fn by_definition(shape: Heads, q: &[f32], k: &[f32], v: &[f32], seen: usize) -> Vec<f32> {
        let Heads {
            heads,
            kv_heads,
            dim,
        } = shape;
        let kv_width = kv_heads * dim;
        (0..heads)
            .flat_map(|h| {
                let kv = h / (heads / kv_heads) * dim;
                let score = |s: usize| -> f64 {
                    (0..dim)
                        .map(|d| f64::from(q[h * dim + d]) * f64::from(k[s * kv_width + kv + d]))
                        .sum::<f64>()
                        / (dim as f64).sqrt()
                };
                let weights: Vec<f64> = (0..seen).map(|s| score(s).exp()).collect();
                let total: f64 = weights.iter().sum();
                (0..dim).map(move |d| {
                    ((0..seen)
                        .map(|s| weights[s] * f64::from(v[s * kv_width + kv + d]))
                        .sum::<f64>()
                        / total) as f32
                })
            })
            .collect()
    }

    fn close(a: &[f32], b: &[f32]) {
        assert_eq!(a.len(), b.len());
        for (i, (a, b)) in a.iter().zip(b).enumerate() {
            assert!((a - b).abs() < 2e-6, "{i}: {a} against {b}");
        }
    }

    #[test]
    fn a_ragged_causal_batch_agrees_with_the_definition_and_with_each_sequence_alone() {
        let shape = Heads {
            heads: 6,
            kv_heads: 2,
            dim: 20,
        };
        let lens = [37, 1, 5];
        let total: usize = lens.iter().sum();
        let q = numbers(total * 120, 1);
        let (k, v) = (numbers(total * 40, 2), numbers(total * 40, 3));
        let mut spans = Vec::new();
        let mut positions = Vec::new();
        for len in lens {
            let start = positions.len();
            spans.push(Span {
                queries: start..start + len,
                keys: start..start + len,
            });
            positions.extend(0..len);
        }
        let together = attend(
            shape,
            Mask::Causal,
            None,
            (&q, &positions),
            (&k, &v),
            &spans,
        );
        for span in &spans {
            let rows = span.queries.clone();
            let (q, k, v) = (
                &q[rows.start * 120..rows.end * 120],
                &k[rows.start * 40..rows.end * 40],
                &v[rows.start * 40..rows.end * 40],
            );
            let own = [Span {
                queries: 0..rows.len(),
                keys: 0..rows.len(),
            }];
            let at: Vec<usize> = (0..rows.len()).collect();
            let alone = attend(shape, Mask::Causal, None, (q, &at), (k, v), &own);
            assert_eq!(
                alone,
                together[rows.start * 120..rows.end * 120],
                "bit for bit"
            );
            for i in at {
                let want = by_definition(shape, &q[i * 120..], k, v, i + 1);
                close(&alone[i * 120..(i + 1) * 120], &want);
            }
        }
    }

    #[test]
    fn a_past_is_as_if_it_stood_in_the_sequence() {
        let shape = Heads {
            heads: 2,
            kv_heads: 1,
            dim: 16,
        };
        let (q, k, v) = (
            numbers(20 * 32, 4),
            numbers(20 * 16, 5),
            numbers(20 * 16, 6),
        );
        let at: Vec<usize> = (0..20).collect();
        let whole = [Span {
            queries: 0..20,
            keys: 0..20,
        }];
        let at_once = attend(shape, Mask::Causal, None, (&q, &at), (&k, &v), &whole);
        let past = Past {
            keys: &k[..12 * 16],
            values: &v[..12 * 16],
        };
        let tail = [Span {
            queries: 0..8,
            keys: 0..8,
        }];
        let after = attend(
            shape,
            Mask::Causal,
            Some(past),
            (&q[12 * 32..], &at[..8]),
            (&k[12 * 16..], &v[12 * 16..]),
            &tail,
        );
        close(&after, &at_once[12 * 32..]);
    }

    #[test]
    fn sequences_behind_one_past_are_the_same_bits_together_and_one_by_one() {
        let shape = Heads {
            heads: 2,
            kv_heads: 1,
            dim: 8,
        };
        let (q, k, v) = (numbers(9 * 16, 4), numbers(9 * 8, 5), numbers(9 * 8, 6));
        let (keys, values) = (numbers(20 * 8, 7), numbers(20 * 8, 8));
        let past = Past {
            keys: &keys,
            values: &values,
        };
        let spans = [0..4, 4..5, 5..9].map(|rows| Span {
            queries: rows.clone(),
            keys: rows,
        });
        let at: Vec<usize> = spans.iter().flat_map(|s| 0..s.keys.len()).collect();
        // Each holds 20 rows of the past and its own, of 8 values each.
        let fit = |limit| how_many_fit(&spans, values.len(), 8, limit);
        assert_eq!([0, 192, 192 + 168, 1000].map(fit), [1, 1, 2, 3]);
        let run = |limit| {
            attend_within(
                limit,
                shape,
                Mask::Causal,
                Some(past),
                (&q, &at),
                (&k, &v),
                &spans,
            )
        };
        let together = run(1000);
        assert!(together == run(0) && together == run(360));
    }

    #[test]
    fn a_full_block_sees_both_ways() {
        let shape = Heads {
            heads: 2,
            kv_heads: 2,
            dim: 8,
        };
        let (q, k, v) = (numbers(7 * 16, 7), numbers(7 * 16, 8), numbers(7 * 16, 9));
        let spans = [
            Span {
                queries: 0..4,
                keys: 0..4,
            },
            Span {
                queries: 4..7,
                keys: 4..7,
            },
        ];
        let out = attend(shape, Mask::Full, None, (&q, &[0; 7]), (&k, &v), &spans);
        close(&out[..16], &by_definition(shape, &q, &k, &v, 4));
        close(
            &out[64..80],
            &by_definition(shape, &q[64..], &k[64..], &v[64..], 3),
        );
    }

    #[test]
    fn a_nan_is_not_hidden() {
        let shape = Heads {
            heads: 1,
            kv_heads: 1,
            dim: 4,
        };
        let mut q = numbers(4, 1);
        q[2] = f32::NAN;
        let span = [Span {
            queries: 0..1,
            keys: 0..1,
        }];
        let out = attend(
            shape,
            Mask::Full,
            None,
            (&q, &[0]),
            (&numbers(4, 2), &numbers(4, 3)),
            &span,
        );
        assert!(out.iter().all(|v| v.is_nan()), "{out:?}");
    }
}
