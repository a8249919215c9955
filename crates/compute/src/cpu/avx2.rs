//! AVX2 with FMA: tiles of 4 × 3 accumulators of 8 lanes.

use std::arch::x86_64::*;

use super::Block;
use super::tiles::{tile, walk};

tile! {
    products, "avx2,fma", 8,
    load(load_f32), part(part_f32), zero(zero), mac(fma), sum(sum)
}

/// Computes a block.
///
/// # Safety
///
/// The machine has AVX2 and FMA; the block's reads are inside its slices; `out` is valid for its rows,
/// `ldo` apart, that nobody else touches.
pub(super) unsafe fn run(block: &Block<'_>, out: *mut f32, ldo: usize) {
    // SAFETY: passed on from the caller.
    unsafe { walk!(products, 4 x 3, 1 x 8, block, out, ldo) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn zero() -> __m256 {
    _mm256_setzero_ps()
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn fma(sum: __m256, a: __m256, w: __m256) -> __m256 {
    _mm256_fmadd_ps(a, w, sum)
}

#[inline]
#[target_feature(enable = "avx2")]
fn sum(lanes: __m256) -> f32 {
    let four = _mm_add_ps(
        _mm256_castps256_ps128(lanes),
        _mm256_extractf128_ps::<1>(lanes),
    );
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

// Each load below is `unsafe` for the pointer alone: it must be valid for 8 numbers, or for the
// `n < 8` of a part, the other lanes being zero.

#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load_f32(p: *const f32) -> __m256 {
    // SAFETY: the caller's pointer is valid for 8 numbers.
    unsafe { _mm256_loadu_ps(p) }
}

#[inline]
#[target_feature(enable = "avx2")]
unsafe fn part_f32(p: *const f32, n: usize) -> __m256 {
    let mut lanes = [0.0_f32; 8];
    // SAFETY: `n < 8` numbers are read, bytewise, and written into an array of 8.
    unsafe {
        std::ptr::copy_nonoverlapping(p.cast::<u8>(), lanes.as_mut_ptr().cast::<u8>(), n * 4);
        _mm256_loadu_ps(lanes.as_ptr())
    }
}
