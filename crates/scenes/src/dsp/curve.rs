//! Lines through points, for pitch and level over one event.

/// The value at `at` of the line through `points`, which ascend in their first number; level outside.
pub(crate) fn line(points: &[(f32, f32)], at: f32) -> f32 {
    let mut before = points[0];
    for &point in points {
        if at < point.0 {
            let span = point.0 - before.0;
            if span <= 0.0 {
                return point.1;
            }
            return before.1 + (point.1 - before.1) * (at - before.0) / span;
        }
        before = point;
    }
    before.1
}

/// Calls `each(i, value)` for every sample of `n`, the line through `points` over `[0, 1]` being
/// evaluated every 32 samples and joined straight between.
#[inline]
pub(crate) fn follow(n: usize, points: &[(f32, f32)], mut each: impl FnMut(usize, f32)) {
    const BLOCK: usize = 32;
    let scale = 1.0 / n.max(1) as f32;
    let mut value = line(points, 0.0);
    let mut start = 0;
    while start < n {
        let next = line(points, (start + BLOCK) as f32 * scale);
        let step = (next - value) / BLOCK as f32;
        for i in start..n.min(start + BLOCK) {
            each(i, value);
            value += step;
        }
        value = next;
        start += BLOCK;
    }
}

/// Multiplies `out` by the line through `points` over `[0, 1]`.
pub(crate) fn shape(out: &mut [f32], points: &[(f32, f32)]) {
    follow(out.len(), points, |i, level| out[i] *= level);
}

/// Straight fades of `first` and `last` samples, so that nothing starts or stops with a click.
pub(crate) fn fade(out: &mut [f32], first: usize, last: usize) {
    let half = out.len() / 2;
    let (first, last) = (first.min(half), last.min(half));
    for (i, sample) in out.iter_mut().take(first).enumerate() {
        *sample *= i as f32 / first as f32;
    }
    for (i, sample) in out.iter_mut().rev().take(last).enumerate() {
        *sample *= i as f32 / last as f32;
    }
}
