//! The one product everything ranks by.

/// Running sums kept apart, so that additions need not wait for one another: four vector registers
/// of eight. The compiler turns the inner loop into vector instructions by itself.
const LANES: usize = 32;

/// `Σ aᵢ bᵢ` in `f32`, always added in the same order: the result depends on the two vectors alone,
/// not on threads or on what is scanned beside them.
///
/// # Panics
///
/// Where the lengths differ: vectors of different spaces were mixed, which is our bug.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors of different spaces");
    let (a_lanes, a_rest) = a.as_chunks::<LANES>();
    let (b_lanes, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    for ((sum, a), b) in sums.iter_mut().zip(a_rest).zip(b_rest) {
        *sum += a * b;
    }
    // Halving instead of adding left to right: the error grows with the logarithm of the lanes.
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn three_by_hand() {
        assert_eq!(dot(&[1.0, 2.0, 3.0], &[4.0, -5.0, 6.0]), 12.0);
        assert_eq!(dot(&[], &[]), 0.0);
    }

    #[test]
    fn every_length_around_a_lane_counts_every_element() {
        for n in 0..100 {
            let ones = vec![1.0; n];
            assert_eq!(dot(&ones, &ones), n as f32, "{n} elements");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_sum_in_f64(pairs in prop::collection::vec((-1.0_f32..1.0, -1.0_f32..1.0), 0..3000)) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let plain: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            prop_assert!((f64::from(dot(&a, &b)) - plain).abs() < 1e-4);
        }
    }
}
