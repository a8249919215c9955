//! AVX2 with FMA and F16C: tiles of 4 × 3 accumulators of 8 lanes.

use std::arch::x86_64::*;

use half::bf16;

use super::tiles::{tile, walk};
use super::{Block, Input};
use crate::Dtype;

tile! {
    /// `f32` by `f32`.
    f32_by_f32, "avx2,fma,f16c", 8, f32, f32,
    load(load_f32, load_f32), part(part_f32, part_f32), zero(zero), mac(fma), sum(sum)
}
tile! {
    /// `f32` by bf16 weights, widened as they are loaded.
    f32_by_bf16, "avx2,fma,f16c", 8, f32, u16,
    load(load_f32, load_bf16), part(part_f32, part_bf16), zero(zero), mac(fma), sum(sum)
}
tile! {
    /// `f32` by f16 weights, widened as they are loaded.
    f32_by_f16, "avx2,fma,f16c", 8, f32, u16,
    load(load_f32, load_f16), part(part_f32, part_f16), zero(zero), mac(fma), sum(sum)
}
tile! {
    /// bf16 by bf16, both widened.
    bf16_by_bf16, "avx2,fma,f16c", 8, u16, u16,
    load(load_bf16, load_bf16), part(part_bf16, part_bf16), zero(zero), mac(fma), sum(sum)
}

/// Computes a block.
///
/// # Safety
///
/// The machine has AVX2, FMA and F16C; the block's reads are inside its slices; `out` is as
/// [`super::run_raw`] asks.
pub(super) unsafe fn run(block: &Block<'_>, out: *mut f32, ldo: usize) {
    let w = block.weights.as_ptr();
    // SAFETY: passed on from the caller. Loads have no alignment, so the casts ask for none.
    unsafe {
        match (block.input, block.dtype) {
            (Input::F32(a), Dtype::F32) => {
                walk!(f32_by_f32, 4 x 3, 1 x 8, block, a.as_ptr(), w.cast::<f32>(), out, ldo)
            }
            (Input::F32(a), Dtype::Bf16) => {
                walk!(f32_by_bf16, 4 x 3, 1 x 8, block, a.as_ptr(), w.cast::<u16>(), out, ldo)
            }
            (Input::F32(a), Dtype::F16) => {
                walk!(f32_by_f16, 4 x 3, 1 x 8, block, a.as_ptr(), w.cast::<u16>(), out, ldo)
            }
            (Input::Bf16(a), Dtype::Bf16) => {
                walk!(bf16_by_bf16, 4 x 3, 1 x 8, block, bits(a), w.cast::<u16>(), out, ldo)
            }
            (Input::Bf16(_), Dtype::F32 | Dtype::F16) => {
                unreachable!("bf16 products have bf16 weights")
            }
        }
    }
}

/// bf16 numbers as their bits.
fn bits(x: &[bf16]) -> *const u16 {
    x.as_ptr().cast()
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

/// The same for numbers of 16 bits.
#[inline]
unsafe fn part_16(p: *const u16, n: usize) -> [u16; 8] {
    let mut lanes = [0_u16; 8];
    // SAFETY: `n < 8` numbers are read, bytewise, and written into an array of 8.
    unsafe {
        std::ptr::copy_nonoverlapping(p.cast::<u8>(), lanes.as_mut_ptr().cast::<u8>(), n * 2);
    }
    lanes
}

#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load_bf16(p: *const u16) -> __m256 {
    // SAFETY: the caller's pointer is valid for 8 numbers.
    let bits = unsafe { _mm_loadu_si128(p.cast()) };
    _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(bits)))
}

#[inline]
#[target_feature(enable = "avx2")]
unsafe fn part_bf16(p: *const u16, n: usize) -> __m256 {
    // SAFETY: passed on; the array has 8 numbers.
    unsafe { load_bf16(part_16(p, n).as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2,f16c")]
unsafe fn load_f16(p: *const u16) -> __m256 {
    // SAFETY: the caller's pointer is valid for 8 numbers.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(p.cast()) })
}

#[inline]
#[target_feature(enable = "avx2,f16c")]
unsafe fn part_f16(p: *const u16, n: usize) -> __m256 {
    // SAFETY: passed on; the array has 8 numbers.
    unsafe { load_f16(part_16(p, n).as_ptr()) }
}
