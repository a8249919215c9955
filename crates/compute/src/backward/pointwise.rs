//! Of what is done to each number alone.

use rayon::prelude::*;

use crate::cpu::each_isa::each_isa;
use crate::pointwise::{erf, exp};

/// Numbers that one task handles.
const TASK: usize = 1 << 14;

/// Rows that are summed together, before sums are.
const BLOCK_ROWS: usize = 256;

/// Of a bias: the sum of `dy`'s rows, added to `dbias`.
///
/// # Panics
///
/// Where `dy` is not whole rows.
pub fn bias(dy: &[f32], dbias: &mut [f32]) {
    assert!(
        dy.len().is_multiple_of(dbias.len()),
        "{} is not rows of {}",
        dy.len(),
        dbias.len()
    );
    let cols = dbias.len();
    let sums: Vec<Vec<f32>> = dy
        .par_chunks(BLOCK_ROWS * cols)
        .map(|rows| {
            let mut sum = vec![0.0; cols];
            for row in rows.chunks_exact(cols) {
                crate::pointwise::add_task(&mut sum, row);
            }
            sum
        })
        .collect();
    for sum in &sums {
        crate::pointwise::add_task(dbias, sum);
    }
}

/// Of [`crate::pointwise::silu_mul`]: `gate` and `up` (its inputs) become their own gradients.
///
/// # Panics
///
/// Where lengths differ.
pub fn silu_mul(gate: &mut [f32], up: &mut [f32], dy: &[f32]) {
    assert!(gate.len() == up.len() && gate.len() == dy.len());
    gate.par_chunks_mut(TASK)
        .zip(up.par_chunks_mut(TASK))
        .zip(dy.par_chunks(TASK))
        .for_each(|((gate, up), dy)| silu_mul_task(gate, up, dy));
}

each_isa! {
    fn silu_mul_task(gate: &mut [f32], up: &mut [f32], dy: &[f32]) {
        for ((g, u), d) in gate.iter_mut().zip(up.iter_mut()).zip(dy) {
            let sigmoid = 1.0 / (1.0 + exp(-*g));
            let dgate = d * *u * sigmoid * (1.0 + *g * (1.0 - sigmoid));
            *u = d * *g * sigmoid;
            *g = dgate;
        }
    }
}

/// Of [`crate::pointwise::gelu`]: `dy` becomes `dx = dy ⊙ (Φ(x) + x φ(x))`.
///
/// # Panics
///
/// Where lengths differ.
pub fn gelu(x: &[f32], dy: &mut [f32]) {
    assert_eq!(x.len(), dy.len());
    dy.par_chunks_mut(TASK)
        .zip(x.par_chunks(TASK))
        .for_each(|(dy, x)| gelu_task(x, dy));
}

each_isa! {
    fn gelu_task(x: &[f32], dy: &mut [f32]) {
        // 1 / √(2π)
        const DENSITY: f32 = 0.398_942_3;
        for (x, d) in x.iter().zip(dy) {
            let below = 0.5 * (1.0 + erf(*x * std::f32::consts::FRAC_1_SQRT_2));
            *d *= below + *x * DENSITY * exp(-0.5 * *x * *x);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::difference::{check, numbers};
    use super::*;

    fn wide(x: &[f32]) -> Vec<f64> {
        x.iter().map(|v| f64::from(*v) * 4.0).collect()
    }

    #[test]
    fn silu_mul_agrees_with_differences() {
        let forward = |g: &[f64], u: &[f64]| -> Vec<f64> {
            g.iter()
                .zip(u)
                .map(|(g, u)| g / (1.0 + (-g).exp()) * u)
                .collect()
        };
        let n = 50;
        let gate: Vec<f32> = numbers(n, 1).iter().map(|v| v * 4.0).collect();
        let (up, dy) = (numbers(n, 2), numbers(n, 3));
        let up64: Vec<f64> = up.iter().map(|v| f64::from(*v)).collect();
        let gate64: Vec<f64> = gate.iter().map(|v| f64::from(*v)).collect();
        let (mut dgate, mut dup) = (gate.clone(), up.clone());
        silu_mul(&mut dgate, &mut dup, &dy);
        check("gate", &gate, &dy, &dgate, |g| forward(g, &up64));
        check("up", &up, &dy, &dup, |u| forward(&gate64, u));
    }

    #[test]
    fn gelu_agrees_with_differences() {
        let x: Vec<f32> = wide(&numbers(60, 1)).iter().map(|v| *v as f32).collect();
        let dy = numbers(60, 2);
        let mut dx = dy.clone();
        gelu(&x, &mut dx);
        check("x", &x, &dy, &dx, |x| {
            x.iter()
                .map(|x| 0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2)))
                .collect()
        });
    }

    #[test]
    fn a_bias_gathers_its_rows() {
        let mut dbias = [1.0, 0.0];
        bias(&[1.0, 2.0, 3.0, 4.0], &mut dbias);
        assert_eq!(dbias, [5.0, 6.0]);
    }
}
