//! Products by themselves: with stored weights, and the small ones inside attention.

use crate::cpu::{self, Block};
use crate::packed::{Form, Start, Target, Weight, products_on};
use crate::{Isa, Matrix};

/// In which type the inputs of a product are taken. Sums are always `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// As they are. Weights of 16 bits are widened, exactly.
    F32,
    /// Both sides are rounded to bf16 first. Half the traffic, and several times the rate where the
    /// machine multiplies bf16; docs/results.md has figures.
    Bf16,
}

impl From<Precision> for Form {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Form::F32,
            Precision::Bf16 => Form::Bf16,
        }
    }
}

/// `x [m, w.cols]` times the transpose of `w`, into `out [m, w.rows]`, on the best instruction set.
///
/// # Panics
///
/// Where the lengths of `x` and `out` do not fit the shapes.
pub fn matmul_nt(x: &[f32], m: usize, w: &Matrix, precision: Precision, out: &mut [f32]) {
    matmul_nt_on(Isa::best(), x, m, w, precision, out);
}

/// [`matmul_nt`] on a named instruction set, for tests and measurements.
///
/// # Panics
///
/// As [`matmul_nt`], and where this machine lacks `isa`.
pub fn matmul_nt_on(
    isa: Isa,
    x: &[f32],
    m: usize,
    w: &Matrix,
    precision: Precision,
    out: &mut [f32],
) {
    let weight = Weight::Stored(w.clone(), precision.into());
    let start = Start::Zero;
    let target = Target {
        weight: &weight,
        start,
        out,
    };
    products_on(isa, x, m, &mut [target]);
}

/// The product of `f32` slices on the calling thread, for the small products inside attention:
/// `out[i, j] = Σ_k a[i, k] · b[j, k]`, rows of `a`, `b` and `out` being `lda`, `ldb`, `ldo` apart.
pub(crate) fn serial_nt(
    (m, n, k): (usize, usize, usize),
    (a, lda): (&[f32], usize),
    (b, ldb): (&[f32], usize),
    (out, ldo): (&mut [f32], usize),
) {
    let block = Block {
        m,
        n,
        k,
        a,
        lda,
        b,
        ldb,
    };
    cpu::run(Isa::best(), &block, out, ldo);
}
