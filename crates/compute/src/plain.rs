//! The plain form of the product: its definition, in safe Rust, on any machine.

use half::bf16;

use crate::{Dtype, Precision};

/// `out[i, j] (+)= Σ_k a[i, k] · w[j, k]` over one block.
///
/// `a`: `m` rows, `lda` apart; with [`Precision::Bf16`] each number is first rounded to bf16.
/// `w`: `n` rows of `dtype` numbers, `ldw` numbers apart. `out`: `m` rows, `ldo` apart; added to
/// where `accumulate`. Products and sums are `f32`; sums run over eight lanes that are added at the
/// end, so the error grows with `k / 8`.
#[allow(clippy::too_many_arguments)] // a block of a product has this many facts
pub(crate) fn block(
    (m, n, k): (usize, usize, usize),
    (a, lda): (&[f32], usize),
    (w, ldw, dtype): (&[u8], usize, Dtype),
    precision: Precision,
    (out, ldo): (&mut [f32], usize),
    accumulate: bool,
) {
    let size = dtype.size();
    let mut row: Vec<f32> = Vec::with_capacity(k);
    let mut input: Vec<f32> = Vec::with_capacity(k);
    for j in 0..n {
        row.clear();
        row.extend(dtype.widen(&w[j * ldw * size..][..k * size]));
        for i in 0..m {
            let a = &a[i * lda..][..k];
            let sum = match precision {
                Precision::F32 => dot(a, &row),
                Precision::Bf16 => {
                    input.clear();
                    input.extend(a.iter().map(|v| bf16::from_f32(*v).to_f32()));
                    dot(&input, &row)
                }
            };
            let o = &mut out[i * ldo + j];
            *o = if accumulate { *o + sum } else { sum };
        }
    }
}

/// `Σ a · b`, over eight lanes: term `i` is added in lane `i mod 8`, so that zeros behind the last
/// term change nothing.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 8];
    let (chunks_a, rest_a) = a.as_chunks::<8>();
    let (chunks_b, rest_b) = b.as_chunks::<8>();
    for (a, b) in chunks_a.iter().zip(chunks_b) {
        for l in 0..8 {
            lanes[l] += a[l] * b[l];
        }
    }
    for (lane, (a, b)) in lanes.iter_mut().zip(rest_a.iter().zip(rest_b)) {
        *lane += a * b;
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}
