//! Of `y = x wᵀ`.

use super::transpose;
use crate::{Dtype, Matrix, Precision, matmul_nt};

/// With respect to `x`: `dx = dy w`, `[m, w.cols]`, for `dy [m, w.rows]`.
///
/// # Panics
///
/// Where `dy` has another shape, or [`Precision::Bf16`] meets weights of another type.
pub fn input(dy: &[f32], m: usize, w: &Matrix, precision: Precision) -> Vec<f32> {
    let (n, k) = (w.rows(), w.cols());
    let values: Vec<f32> = w.dtype().widen(w.bytes()).collect();
    let turned = matrix(&transpose(&values, n, k, k), k, n, precision);
    let mut dx = vec![0.0; m * k];
    matmul_nt(dy, m, &turned, precision, &mut dx);
    dx
}

/// With respect to `w`: `dw = dyᵀ x`, `[n, k]`, for `dy [m, n]` and `x [m, k]`.
///
/// # Panics
///
/// Where `dy` or `x` have other shapes.
pub fn weight(
    dy: &[f32],
    x: &[f32],
    (m, n, k): (usize, usize, usize),
    precision: Precision,
) -> Vec<f32> {
    assert_eq!(
        (dy.len(), x.len()),
        (m * n, m * k),
        "dy [{m}, {n}] and x [{m}, {k}]"
    );
    let inputs = matrix(&transpose(x, m, k, k), k, m, precision);
    let mut dw = vec![0.0; n * k];
    matmul_nt(&transpose(dy, m, n, n), n, &inputs, precision, &mut dw);
    dw
}

fn matrix(values: &[f32], rows: usize, cols: usize, precision: Precision) -> Matrix {
    let dtype = match precision {
        Precision::F32 => Dtype::F32,
        Precision::Bf16 => Dtype::Bf16,
    };
    Matrix::from_f32(values, dtype, rows, cols).expect("as many numbers as the shape")
}

#[cfg(test)]
mod tests {
    use super::super::difference::{check, numbers};
    use super::*;

    fn forward(x: &[f64], w: &[f64], (m, n, k): (usize, usize, usize)) -> Vec<f64> {
        (0..m * n)
            .map(|o| (0..k).map(|t| x[o / n * k + t] * w[o % n * k + t]).sum())
            .collect()
    }

    fn wide(x: &[f32]) -> Vec<f64> {
        x.iter().map(|v| f64::from(*v)).collect()
    }

    #[test]
    fn both_sides_agree_with_differences() {
        let shape @ (m, n, k) = (5, 19, 35);
        let (x, w, dy) = (numbers(m * k, 1), numbers(n * k, 2), numbers(m * n, 3));
        let matrix = Matrix::from_f32(&w, Dtype::F32, n, k).unwrap();
        let dx = input(&dy, m, &matrix, Precision::F32);
        check("dx", &x, &dy, &dx, |x| forward(x, &wide(&w), shape));
        let dw = weight(&dy, &x, shape, Precision::F32);
        check("dw", &w, &dy, &dw, |w| forward(&wide(&x), w, shape));
    }

    #[test]
    fn bf16_stays_close_to_f32() {
        let shape @ (m, n, k) = (40, 64, 96);
        let (x, w, dy) = (numbers(m * k, 1), numbers(n * k, 2), numbers(m * n, 3));
        let of = |dtype| Matrix::from_f32(&w, dtype, n, k).unwrap();
        let exact = input(&dy, m, &of(Dtype::F32), Precision::F32);
        let rounded = input(&dy, m, &of(Dtype::Bf16), Precision::Bf16);
        let worst = exact
            .iter()
            .zip(&rounded)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(worst > 0.0 && worst < 0.1, "{worst}");
        let exact = weight(&dy, &x, shape, Precision::F32);
        let rounded = weight(&dy, &x, shape, Precision::Bf16);
        let worst = exact
            .iter()
            .zip(&rounded)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(worst > 0.0 && worst < 0.1, "{worst}");
    }
}
