//! One small product of `f32` on one thread, for each instruction set.
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

use crate::{Isa, plain};

/// `out[i, j] = Σ_k a[i, k] · b[j, k]` for `m` rows, `n` columns and `k` terms.
pub(crate) struct Block<'a> {
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
    pub(crate) a: &'a [f32],
    /// Numbers from one row of `a` to the next.
    pub(crate) lda: usize,
    pub(crate) b: &'a [f32],
    /// Numbers from one row of `b` to the next.
    pub(crate) ldb: usize,
}

/// Runs a block into `out`, whose rows are `ldo` apart.
pub(crate) fn run(isa: Isa, block: &Block<'_>, out: &mut [f32], ldo: usize) {
    let (m, n, k) = (block.m, block.n, block.k);
    if m == 0 || n == 0 {
        return;
    }
    assert!(isa.is_available());
    assert!((m - 1) * ldo + n <= out.len() && (m == 1 || n <= ldo));
    assert!((m - 1) * block.lda + k <= block.a.len() && (n - 1) * block.ldb + k <= block.b.len());
    match isa {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the instruction set is available, all reads are inside the block's slices and all
        // writes inside `out`, which is borrowed exclusively: all asserted above.
        Isa::Avx2 => unsafe { avx2::run(block, out.as_mut_ptr(), ldo) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Isa::Avx512 | Isa::Avx512Bf16 | Isa::Amx => unsafe {
            avx512::run(block, out.as_mut_ptr(), ldo);
        },
        _ => plain::block(
            (m, n, k),
            (block.a, block.lda),
            (block.b, block.ldb),
            (out, ldo),
        ),
    }
}

#[cfg(target_endian = "big")]
compile_error!("checkpoints are little-endian, and this crate reads them in place");
