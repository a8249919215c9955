//! Central differences in double precision, to test gradients against.

/// Numbers in `[-1, 1)` that look random.
pub(super) fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut s = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..n)
        .map(|_| {
            s ^= s << 13;
            s ^= s >> 7;
            s ^= s << 17;
            (s >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// Checks `got` against the gradient of `Σ dy · f(x)` with respect to `x`, `f` being the forward
/// operation's formula in double precision.
pub(super) fn check(
    name: &str,
    x: &[f32],
    dy: &[f32],
    got: &[f32],
    f: impl Fn(&[f64]) -> Vec<f64>,
) {
    assert_eq!(x.len(), got.len(), "{name}: one gradient for each number");
    let step = 1e-5;
    let objective = |x: &[f64]| -> f64 {
        let y = f(x);
        assert_eq!(y.len(), dy.len(), "{name}: outputs");
        y.iter().zip(dy).map(|(y, d)| y * f64::from(*d)).sum()
    };
    let mut moved: Vec<f64> = x.iter().map(|v| f64::from(*v)).collect();
    let largest = got.iter().fold(1e-3_f64, |a, g| a.max(f64::from(g.abs())));
    for i in 0..x.len() {
        let at = moved[i];
        moved[i] = at + step;
        let above = objective(&moved);
        moved[i] = at - step;
        let below = objective(&moved);
        moved[i] = at;
        let want = (above - below) / (2.0 * step);
        let error = (f64::from(got[i]) - want).abs();
        assert!(
            error <= 2e-5 * largest + 1e-6,
            "{name}, number {i}: {} against {want}",
            got[i]
        );
    }
}
