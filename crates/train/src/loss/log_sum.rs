//! Sums of exponentials, kept as logarithms together with their gradients.

/// `value = ln Σ exp(x)`, or a combination of such, as a function of some cells of a matrix.
///
/// No cells: `value` is −∞.
#[derive(Debug, Clone)]
pub(super) struct LogSum {
    pub(super) value: f64,
    /// `(cell, ∂ value / ∂ x at that cell)`.
    pub(super) shares: Vec<(usize, f64)>,
}

impl LogSum {
    /// Of `(cell, exponent)`. The largest exponent is subtracted first: nothing overflows.
    pub(super) fn of(exponents: impl Iterator<Item = (usize, f64)>) -> Self {
        let mut shares: Vec<_> = exponents.collect();
        let largest = shares
            .iter()
            .fold(f64::NEG_INFINITY, |most, (_, x)| most.max(*x));
        let mut sum = 0.0;
        for (_, x) in &mut shares {
            *x = (*x - largest).exp();
            sum += *x;
        }
        for (_, share) in &mut shares {
            *share /= sum;
        }
        Self {
            value: largest + sum.ln(),
            shares,
        }
    }

    /// With the constant `exp(ln_extra)` added under the logarithm.
    pub(super) fn plus(mut self, ln_extra: f64) -> Self {
        let value = ln_add(self.value, ln_extra);
        let kept = (self.value - value).exp();
        for (_, share) in &mut self.shares {
            *share *= kept;
        }
        self.value = value;
        self
    }
}

/// `ln(exp(a) + exp(b))`. Exact where one dwarfs the other; −∞ is a term of 0.
pub(super) fn ln_add(a: f64, b: f64) -> f64 {
    let (small, large) = if a < b { (a, b) } else { (b, a) };
    if small == f64::NEG_INFINITY {
        return large;
    }
    large + (small - large).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_ones_and_a_two_are_five() {
        let sum = LogSum::of([(4, 0.0), (0, 2f64.ln()), (9, 0.0)].into_iter());
        assert!((sum.value - 4f64.ln()).abs() < 1e-15);
        assert_eq!(sum.shares[1].0, 0);
        assert!((sum.shares[1].1 - 0.5).abs() < 1e-15);
        let five = sum.plus(0.0);
        assert!((five.value - 5f64.ln()).abs() < 1e-15);
        assert!((five.shares[1].1 - 0.4).abs() < 1e-15);
    }

    #[test]
    fn far_apart_and_absent_terms() {
        assert_eq!(ln_add(-1e6, 1e6), 1e6);
        assert_eq!(
            ln_add(f64::NEG_INFINITY, f64::NEG_INFINITY),
            f64::NEG_INFINITY
        );
        let none = LogSum::of(std::iter::empty());
        assert_eq!(none.value, f64::NEG_INFINITY);
        assert_eq!(none.plus(1.5).value, 1.5);
        assert_eq!(LogSum::of([(0, 900.0)].into_iter()).value, 900.0);
    }
}
