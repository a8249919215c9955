//! One block of a product, on one thread, for each instruction set.
//!
//! Every form computes each output number with one vector accumulator that runs along `k` and is
//! added up at the end, whatever the tile around it: that is what makes a row's result independent
//! of its neighbours.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
pub(crate) mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub(crate) mod each_isa;
#[cfg(target_arch = "x86_64")]
mod tiles;

use half::bf16;

use crate::{Dtype, Isa, Precision, plain};

/// Activations of a product, as [`Precision`] asks.
#[derive(Clone, Copy)]
pub(crate) enum Input<'a> {
    F32(&'a [f32]),
    Bf16(&'a [bf16]),
}

impl<'a> Input<'a> {
    /// Bytes of one number.
    pub(crate) fn size(self) -> usize {
        match self {
            Input::F32(_) => 4,
            Input::Bf16(_) => 2,
        }
    }

    /// Without the first `at` numbers.
    pub(crate) fn from(self, at: usize) -> Input<'a> {
        match self {
            Input::F32(x) => Input::F32(&x[at..]),
            Input::Bf16(x) => Input::Bf16(&x[at..]),
        }
    }

    fn len(self) -> usize {
        match self {
            Input::F32(x) => x.len(),
            Input::Bf16(x) => x.len(),
        }
    }
}

/// `out[i, j] (+)= Σ_k input[i, k] · weights[j, k]` for `m` rows, `n` columns and `k` terms.
pub(crate) struct Block<'a> {
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
    pub(crate) input: Input<'a>,
    /// Numbers from one row of `input` to the next.
    pub(crate) ldi: usize,
    /// Little-endian numbers of `dtype`, of any alignment.
    pub(crate) weights: &'a [u8],
    /// Numbers from one row of `weights` to the next.
    pub(crate) ldw: usize,
    pub(crate) dtype: Dtype,
    pub(crate) accumulate: bool,
}

impl Block<'_> {
    /// Every read of the block stays inside its slices.
    fn assert_reads(&self) {
        let input = (self.m.max(1) - 1) * self.ldi + self.k;
        let weights = ((self.n.max(1) - 1) * self.ldw + self.k) * self.dtype.size();
        assert!(input <= self.input.len() && weights <= self.weights.len());
    }
}

/// Runs a block into `out`, whose rows are `ldo` apart.
pub(crate) fn run(isa: Isa, block: &Block<'_>, out: &mut [f32], ldo: usize) {
    if block.m == 0 || block.n == 0 {
        return;
    }
    assert!((block.m - 1) * ldo + block.n <= out.len() && (block.m == 1 || block.n <= ldo));
    // SAFETY: every row written lies inside `out` by the assertion above, and `out` is borrowed
    // exclusively.
    unsafe { run_raw(isa, block, out.as_mut_ptr(), ldo) }
}

/// [`run`] into memory that is shared with other blocks.
///
/// # Safety
///
/// `out[i * ldo + j]` for `i < m`, `j < n` must be valid for reads and writes, and nobody else may
/// touch those numbers meanwhile.
pub(crate) unsafe fn run_raw(isa: Isa, block: &Block<'_>, out: *mut f32, ldo: usize) {
    assert!(isa.is_available());
    block.assert_reads();
    match isa {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the instruction set is available and all reads are inside the block's slices,
        // both asserted above; the caller answers for `out`.
        Isa::Avx2 => unsafe { avx2::run(block, out, ldo) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Isa::Avx512 => unsafe { avx512::run(block, out, ldo, false) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Isa::Avx512Bf16 | Isa::Amx => unsafe { avx512::run(block, out, ldo, true) },
        // SAFETY: as above.
        _ => unsafe { run_plain(block, out, ldo) },
    }
}

/// The plain form, row by row so that no slice reaches into another task's columns.
///
/// # Safety
///
/// As [`run_raw`].
unsafe fn run_plain(block: &Block<'_>, out: *mut f32, ldo: usize) {
    let (m, n, k) = (block.m, block.n, block.k);
    let widened: Vec<f32>;
    let (input, precision) = match block.input {
        Input::F32(x) => (x, Precision::F32),
        Input::Bf16(x) => {
            widened = x[..(m - 1) * block.ldi + k]
                .iter()
                .map(|v| v.to_f32())
                .collect();
            (&widened[..], Precision::Bf16)
        }
    };
    for i in 0..m {
        // SAFETY: row `i` has `n` numbers that are this block's alone, by the caller's promise.
        let row = unsafe { std::slice::from_raw_parts_mut(out.add(i * ldo), n) };
        plain::block(
            (1, n, k),
            (&input[i * block.ldi..], block.ldi),
            (block.weights, block.ldw, block.dtype),
            precision,
            (row, n),
            block.accumulate,
        );
    }
}

/// `f32` numbers as the bytes they are.
pub(crate) fn as_bytes(x: &[f32]) -> &[u8] {
    // SAFETY: an `f32` has no padding, every byte of it is initialised, and `u8` needs no
    // alignment.
    unsafe { std::slice::from_raw_parts(x.as_ptr().cast(), std::mem::size_of_val(x)) }
}

#[cfg(target_endian = "big")]
compile_error!("checkpoints are little-endian, and this crate reads them in place");
