//! The plain form of the small products: their definition, in safe Rust, on any machine.

/// `out[i, j] = Σ_k a[i, k] · b[j, k]`: rows `lda`, `ldb` and `ldo` apart. Sums run over eight lanes that
/// are added at the end, so the error grows with `k / 8`.
pub(crate) fn block(
    (m, n, k): (usize, usize, usize),
    (a, lda): (&[f32], usize),
    (b, ldb): (&[f32], usize),
    (out, ldo): (&mut [f32], usize),
) {
    for i in 0..m {
        for j in 0..n {
            out[i * ldo + j] = dot(&a[i * lda..][..k], &b[j * ldb..][..k]);
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
