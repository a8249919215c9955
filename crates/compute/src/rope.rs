//! Rotary position embedding (Su et al. 2021, arXiv:2104.09864), in the half-split form of
//! GPT-NeoX and Qwen: number `i` of a head turns with number `i + dim/2`.

use rayon::prelude::*;

use crate::cpu::each_isa::each_isa;

/// Rows that one task turns.
const TASK_ROWS: usize = 32;

/// Angles `position · theta^(-2i/dim)` for one head size.
#[derive(Debug, Clone)]
pub struct Rotary {
    inverse_frequencies: Vec<f32>,
}

impl Rotary {
    /// For heads of `dim` numbers (even) and base `theta`.
    ///
    /// Powers of `theta` are rounded to `f32`, and so are their reciprocals, the frequencies, and the
    /// products of those with positions: the released path's roundings, which turn the fast numbers
    /// of late positions by up to 5e-4 against exact ones.
    ///
    /// # Panics
    ///
    /// Where `dim` is odd.
    pub fn new(dim: usize, theta: f64) -> Self {
        assert!(
            dim.is_multiple_of(2),
            "rotary heads have an even size, not {dim}"
        );
        let inverse_frequencies = (0..dim / 2)
            .map(|i| {
                let exponent = f64::from((2 * i) as f32 / dim as f32);
                1.0 / f64::from(theta as f32).powf(exponent) as f32
            })
            .collect();
        Self {
            inverse_frequencies,
        }
    }

    /// The cosines and sines at `positions`, to be shared by all layers.
    pub fn at(&self, positions: &[usize]) -> Rotation {
        let angles: Vec<f32> = positions
            .iter()
            .flat_map(|&p| self.inverse_frequencies.iter().map(move |f| f * p as f32))
            .collect();
        Rotation {
            half: self.inverse_frequencies.len(),
            cos: angles.iter().map(|a| a.cos()).collect(),
            sin: angles.iter().map(|a| a.sin()).collect(),
        }
    }
}

/// Cosines and sines of some rows: `[rows, dim/2]` each.
#[derive(Debug, Clone)]
pub struct Rotation {
    half: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Rotation {
    /// Turns every head of every row of `x [rows, heads · dim]` in place.
    ///
    /// # Panics
    ///
    /// Where `x` has another number of rows, or rows that are not whole heads.
    pub fn apply(&self, x: &mut [f32]) {
        self.turn(x, 1.0);
    }

    /// Turns them back: the inverse of [`Rotation::apply`], and its gradient.
    ///
    /// # Panics
    ///
    /// As [`Rotation::apply`].
    pub fn apply_inverse(&self, x: &mut [f32]) {
        self.turn(x, -1.0);
    }

    /// `sense`: 1 to turn, −1 to turn back.
    fn turn(&self, x: &mut [f32], sense: f32) {
        let rows = self.cos.len() / self.half;
        if rows == 0 {
            assert!(x.is_empty());
            return;
        }
        let cols = x.len() / rows;
        assert!(cols * rows == x.len() && cols.is_multiple_of(2 * self.half));
        let task = TASK_ROWS * cols;
        x.par_chunks_mut(task)
            .zip(self.cos.par_chunks(TASK_ROWS * self.half))
            .zip(self.sin.par_chunks(TASK_ROWS * self.half))
            .for_each(|((x, cos), sin)| turn_task(x, cols, cos, sin, sense));
    }
}

each_isa! {
    /// `x`: rows of `cols` numbers, with a row of `cos` and of `sin` each.
    fn turn_task(x: &mut [f32], cols: usize, cos: &[f32], sin: &[f32], sense: f32) {
        let half = cos.len() / (x.len() / cols);
        for ((row, cos), sin) in x
            .chunks_exact_mut(cols)
            .zip(cos.chunks_exact(half))
            .zip(sin.chunks_exact(half))
        {
            for head in row.chunks_exact_mut(2 * half) {
                let (low, high) = head.split_at_mut(half);
                for (((low, high), cos), sin) in low.iter_mut().zip(high).zip(cos).zip(sin) {
                    let (a, b) = (*low, *high);
                    let sin = sense * sin;
                    *low = a * cos - b * sin;
                    *high = b * cos + a * sin;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_zero_turns_nothing_and_one_turns_by_one_radian() {
        let rotary = Rotary::new(4, 10_000.0);
        let mut x = [1.0, 2.0, 3.0, 4.0, 1.0, 0.0, 0.0, 0.0];
        rotary.at(&[0, 1]).apply(&mut x);
        assert_eq!(x[..4], [1.0, 2.0, 3.0, 4.0]);
        assert!((x[4] - 1_f32.cos()).abs() < 1e-7 && (x[6] - 1_f32.sin()).abs() < 1e-7);
        assert_eq!((x[5], x[7]), (0.0, 0.0));
    }

    #[test]
    fn frequencies_are_rounded_as_the_released_path_rounds() {
        // 1e6^(2/128) is 1.240 937 76; its nearest f32 is 1.240 937 710, the reciprocal's
        // 0.805 842 221, and that of the exact reciprocal 0.805 842 161.
        let rotary = Rotary::new(128, 1e6);
        assert_eq!(rotary.inverse_frequencies[1], 0.805_842_2);
        assert_ne!(rotary.inverse_frequencies[1], 0.805_842_16);
    }

    #[test]
    fn turning_back_is_the_inverse_and_the_transpose() {
        let rotation = Rotary::new(6, 100.0).at(&[3, 9]);
        let x: Vec<f32> = (0..24).map(|i| (i * 7 % 11) as f32 - 5.0).collect();
        let y: Vec<f32> = (0..24).map(|i| (i * 5 % 13) as f32 - 6.0).collect();
        let (mut turned, mut back) = (x.clone(), y.clone());
        rotation.apply(&mut turned);
        rotation.apply_inverse(&mut back);
        // The gradient of a linear map is its transpose: ⟨R x, y⟩ = ⟨x, R⁻¹ y⟩.
        let dot = crate::plain::dot;
        assert!((dot(&turned, &y) - dot(&x, &back)).abs() < 1e-3);
        rotation.apply_inverse(&mut turned);
        assert!(turned.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-5));
    }

    #[test]
    fn scores_depend_on_the_distance_alone() {
        let rotary = Rotary::new(8, 1e6);
        let q = [0.3, -1.0, 0.5, 0.2, 0.9, 0.1, -0.4, 0.7];
        let k = [1.1, 0.4, -0.2, 0.6, -0.3, 0.8, 0.5, -0.9];
        let score = |i: usize, j: usize| {
            let (mut q, mut k) = (q, k);
            rotary.at(&[i]).apply(&mut q);
            rotary.at(&[j]).apply(&mut k);
            crate::plain::dot(&q, &k)
        };
        assert!((score(5, 2) - score(13, 10)).abs() < 1e-5);
        assert!((score(5, 2) - score(5, 3)).abs() > 1e-3);
    }
}
