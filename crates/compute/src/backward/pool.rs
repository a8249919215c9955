//! Of average pooling.

/// Of [`crate::pool::average_pairs`] over `rows` rows: `dx [rows, cols]` from `dy [rows / 2, cols]`.
///
/// # Panics
///
/// Where `dy` has another shape.
pub fn average_pairs(dy: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    assert_eq!(dy.len(), rows / 2 * cols);
    let mut dx = vec![0.0; rows * cols];
    for (pair, dy) in dx.chunks_exact_mut(2 * cols).zip(dy.chunks_exact(cols)) {
        let (first, second) = pair.split_at_mut(cols);
        for ((a, b), d) in first.iter_mut().zip(second).zip(dy) {
            *a = 0.5 * d;
            *b = 0.5 * d;
        }
    }
    dx
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_to_both_and_nothing_to_the_dropped() {
        assert_eq!(
            average_pairs(&[2.0, 4.0], 3, 2),
            [1.0, 2.0, 1.0, 2.0, 0.0, 0.0]
        );
    }
}
