//! The product of activations and weights: where nearly all of the time goes.
//!
//! `out[i, j] = Σ_k x[i, k] · w[j, k]`, rows of `x` being positions and rows of `w` outputs, as a
//! linear layer stores them. Both are read along `k`, so weights need no other layout than the
//! checkpoint's and are used straight from the memory map.
//!
//! The product is cut into tasks of `TASK_ROWS` × `TASK_COLS` outputs, shared among rayon's
//! threads, and along `k` into chunks that fit the first-level cache. Each output number is summed
//! in an order set by `k` alone, so neither the number of threads nor the neighbours change it.

use half::bf16;
use rayon::prelude::*;

use crate::cpu::{self, Block};
use crate::{Dtype, Isa, Matrix};

/// In which type the inputs of a product are taken. Sums are always `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// As they are. Weights of 16 bits are widened, exactly.
    F32,
    /// Activations are rounded to bf16 first; weights must be bf16. Half the traffic, and several
    /// times the rate on AMX; docs/results.md has figures.
    Bf16,
}

/// Positions of one task.
const TASK_ROWS: usize = 256;
/// Outputs of one task: a multiple of every tile width.
const TASK_COLS: usize = 48;
/// Bytes of one row of activations along `k` that are kept in the first-level cache.
const CHUNK_BYTES: usize = 4096;

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
/// As [`matmul_nt`], where this machine lacks `isa`, and where [`Precision::Bf16`] meets weights of
/// another type.
#[allow(unsafe_code)]
pub fn matmul_nt_on(
    isa: Isa,
    x: &[f32],
    m: usize,
    w: &Matrix,
    precision: Precision,
    out: &mut [f32],
) {
    let (n, k) = (w.rows(), w.cols());
    assert!(isa.is_available(), "{isa} is not available on this machine");
    assert_eq!(Some(x.len()), m.checked_mul(k), "activations [{m}, {k}]");
    assert_eq!(Some(out.len()), m.checked_mul(n), "outputs [{m}, {n}]");
    assert!(
        precision == Precision::F32 || w.dtype() == Dtype::Bf16,
        "bf16 products need bf16 weights, not {}",
        w.dtype()
    );
    let cols = Columns::new(out, n);
    #[allow(unused_mut)] // only some machines have a unit that takes columns
    let mut done = 0;
    #[cfg(target_arch = "x86_64")]
    if isa == Isa::Amx && precision == Precision::Bf16 && k > 0 {
        let panels = n / cpu::amx::PANEL;
        cpu::amx::matmul(x, m, w, panels, &cols);
        done = panels * cpu::amx::PANEL;
        if done == n {
            return;
        }
    }
    // Rounded once here rather than in every task.
    let rounded: Vec<bf16>;
    let input = match precision {
        Precision::F32 => cpu::Input::F32(x),
        Precision::Bf16 => {
            rounded = x.iter().map(|v| bf16::from_f32(*v)).collect();
            cpu::Input::Bf16(&rounded)
        }
    };
    let chunk = CHUNK_BYTES / input.size();
    let row_tasks = m.div_ceil(TASK_ROWS);
    let col_tasks = (n - done).div_ceil(TASK_COLS);
    // Tasks that share columns stand together, so that their weights are read from memory once.
    (0..row_tasks * col_tasks).into_par_iter().for_each(|task| {
        let (i, j) = (
            task % row_tasks * TASK_ROWS,
            done + task / row_tasks * TASK_COLS,
        );
        let (m, n) = (TASK_ROWS.min(m - i), TASK_COLS.min(n - j));
        for start in (0..k).step_by(chunk) {
            let block = Block {
                m,
                n,
                k: chunk.min(k - start),
                input: input.from(i * k + start),
                ldi: k,
                weights: &w.bytes()[(j * k + start) * w.dtype().size()..],
                ldw: k,
                dtype: w.dtype(),
                accumulate: start > 0,
            };
            // SAFETY: tasks are the cells of a grid behind the columns that are done.
            unsafe { cols.compute(isa, &block, i, j) };
        }
        if k == 0 {
            // SAFETY: as above.
            unsafe { cols.zero(i, j, m, n) };
        }
    });
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
        input: cpu::Input::F32(a),
        ldi: lda,
        weights: cpu::as_bytes(b),
        ldw: ldb,
        dtype: Dtype::F32,
        accumulate: false,
    };
    cpu::run(Isa::best(), &block, out, ldo);
}

pub(crate) use columns::Columns;

/// The output, shared among tasks that write disjoint rectangles of it.
mod columns {
    #![allow(unsafe_code)]

    use std::marker::PhantomData;

    use super::{Block, Isa, cpu};

    pub(crate) struct Columns<'o> {
        start: *mut f32,
        len: usize,
        stride: usize,
        owner: PhantomData<&'o mut [f32]>,
    }

    // SAFETY: the pointer stands for the exclusive borrow in `owner`, and whoever writes through it
    // promises to be alone in its rectangle.
    unsafe impl Sync for Columns<'_> {}

    impl<'o> Columns<'o> {
        pub(super) fn new(out: &'o mut [f32], stride: usize) -> Self {
            Self {
                start: out.as_mut_ptr(),
                len: out.len(),
                stride,
                owner: PhantomData,
            }
        }

        /// Runs `block` into the rectangle whose first row and column are `i` and `j`.
        ///
        /// # Safety
        ///
        /// Nobody else touches the rectangle meanwhile.
        pub(super) unsafe fn compute(&self, isa: Isa, block: &Block<'_>, i: usize, j: usize) {
            let last = (i + block.m - 1) * self.stride + j + block.n;
            assert!(block.m > 0 && block.n > 0 && j + block.n <= self.stride && last <= self.len);
            // SAFETY: the rectangle lies inside the output by the assertion above, and is the
            // caller's alone.
            unsafe { cpu::run_raw(isa, block, self.start.add(i * self.stride + j), self.stride) }
        }

        /// Writes a part of one row, from column `j` on.
        ///
        /// # Safety
        ///
        /// As [`Columns::compute`].
        #[cfg(target_arch = "x86_64")]
        pub(crate) unsafe fn write(&self, i: usize, j: usize, values: &[f32]) {
            let start = i * self.stride + j;
            assert!(j + values.len() <= self.stride && start + values.len() <= self.len);
            // SAFETY: inside the output by the assertion, and the caller's alone.
            unsafe {
                std::ptr::copy_nonoverlapping(values.as_ptr(), self.start.add(start), values.len());
            }
        }

        /// The empty sum, for weights without inputs.
        ///
        /// # Safety
        ///
        /// As [`Columns::compute`].
        pub(super) unsafe fn zero(&self, i: usize, j: usize, m: usize, n: usize) {
            for row in i..i + m {
                for col in j..j + n {
                    assert!(row * self.stride + col < self.len);
                    // SAFETY: inside the output by the assertion, and the caller's alone.
                    unsafe { *self.start.add(row * self.stride + col) = 0.0 };
                }
            }
        }
    }
}
