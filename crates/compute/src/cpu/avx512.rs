//! AVX-512: tiles of 8 × 3 accumulators of 16 lanes.

use std::arch::x86_64::*;

use super::Block;
use super::tiles::{tile, walk};

tile! {
    products, "avx512f,avx512bw,avx512vl", 16,
    load(load_f32), part(part_f32), zero(zero), mac(fma), sum(sum)
}

/// Computes a block.
///
/// # Safety
///
/// The machine has AVX-512 F, BW and VL; the block's reads are inside its slices; `out` is valid for its
/// rows, `ldo` apart, that nobody else touches.
pub(super) unsafe fn run(block: &Block<'_>, out: *mut f32, ldo: usize) {
    // SAFETY: passed on from the caller.
    unsafe { walk!(products, 8 x 3, 1 x 8, block, out, ldo) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn zero() -> __m512 {
    _mm512_setzero_ps()
}

#[inline]
#[target_feature(enable = "avx512f")]
fn fma(sum: __m512, a: __m512, w: __m512) -> __m512 {
    _mm512_fmadd_ps(a, w, sum)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn sum(lanes: __m512) -> f32 {
    _mm512_reduce_add_ps(lanes)
}

/// The first `n` of 16 lanes.
#[inline]
fn mask16(n: usize) -> __mmask16 {
    ((1_u32 << n) - 1) as __mmask16
}

// Each load below is `unsafe` for the pointer alone: it must be valid for as many numbers as the
// name says (16, or the `n < 16` of a part, the other lanes being zero).

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn load_f32(p: *const f32) -> __m512 {
    // SAFETY: the caller's pointer is valid for 16 numbers.
    unsafe { _mm512_loadu_ps(p) }
}

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn part_f32(p: *const f32, n: usize) -> __m512 {
    // SAFETY: masked lanes are not read; the others are the caller's `n`.
    unsafe { _mm512_maskz_loadu_ps(mask16(n), p) }
}
