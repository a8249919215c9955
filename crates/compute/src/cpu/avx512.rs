//! AVX-512: tiles of 8 × 3 accumulators of 16 lanes.

use std::arch::x86_64::*;

use half::bf16;

use super::tiles::{tile, walk};
use super::{Block, Input};
use crate::Dtype;

tile! {
    /// `f32` by `f32`.
    f32_by_f32, "avx512f,avx512bw,avx512vl", 16, f32, f32,
    load(load_f32, load_f32), part(part_f32, part_f32), zero(zero), mac(fma), sum(sum)
}
tile! {
    /// `f32` by bf16 weights, widened as they are loaded.
    f32_by_bf16, "avx512f,avx512bw,avx512vl", 16, f32, u16,
    load(load_f32, load_bf16), part(part_f32, part_bf16), zero(zero), mac(fma), sum(sum)
}
tile! {
    /// `f32` by f16 weights, widened as they are loaded.
    f32_by_f16, "avx512f,avx512bw,avx512vl", 16, f32, u16,
    load(load_f32, load_f16), part(part_f32, part_f16), zero(zero), mac(fma), sum(sum)
}
tile! {
    /// bf16 by bf16, both widened: for machines without products of bf16.
    bf16_by_bf16_widened, "avx512f,avx512bw,avx512vl", 16, u16, u16,
    load(load_bf16, load_bf16), part(part_bf16, part_bf16), zero(zero), mac(fma), sum(sum)
}
tile! {
    /// bf16 by bf16, 32 to a step.
    bf16_by_bf16, "avx512f,avx512bw,avx512vl,avx512bf16", 32, u16, u16,
    load(load_pairs, load_pairs), part(part_pairs, part_pairs), zero(zero), mac(dot_pairs), sum(sum)
}

/// Computes a block.
///
/// # Safety
///
/// The machine has AVX-512 F, BW and VL, and BF16 where `bf16_products`; the block's reads are
/// inside its slices; `out` is as [`super::run_raw`] asks.
pub(super) unsafe fn run(block: &Block<'_>, out: *mut f32, ldo: usize, bf16_products: bool) {
    let w = block.weights.as_ptr();
    // SAFETY: passed on from the caller. Loads have no alignment, so the casts ask for none.
    unsafe {
        match (block.input, block.dtype) {
            (Input::F32(a), Dtype::F32) => {
                walk!(f32_by_f32, 8 x 3, 1 x 8, block, a.as_ptr(), w.cast::<f32>(), out, ldo)
            }
            (Input::F32(a), Dtype::Bf16) => {
                walk!(f32_by_bf16, 8 x 3, 1 x 8, block, a.as_ptr(), w.cast::<u16>(), out, ldo)
            }
            (Input::F32(a), Dtype::F16) => {
                walk!(f32_by_f16, 8 x 3, 1 x 8, block, a.as_ptr(), w.cast::<u16>(), out, ldo)
            }
            (Input::Bf16(a), Dtype::Bf16) if bf16_products => {
                walk!(bf16_by_bf16, 8 x 3, 1 x 8, block, bits(a), w.cast::<u16>(), out, ldo)
            }
            (Input::Bf16(a), Dtype::Bf16) => {
                walk!(bf16_by_bf16_widened, 8 x 3, 1 x 8, block, bits(a), w.cast::<u16>(), out, ldo)
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

#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn dot_pairs(sum: __m512, a: __m512bh, w: __m512bh) -> __m512 {
    _mm512_dpbf16_ps(sum, a, w)
}

/// The first `n` of 16 lanes.
#[inline]
fn mask16(n: usize) -> __mmask16 {
    ((1_u32 << n) - 1) as __mmask16
}

// Each load below is `unsafe` for the pointer alone: it must be valid for as many numbers as the
// name says (16, 32, or the `n < 16` or `n < 32` of a part, the other lanes being zero).

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

#[inline]
#[target_feature(enable = "avx512f")]
fn widen_bf16(x: __m256i) -> __m512 {
    _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(x)))
}

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn load_bf16(p: *const u16) -> __m512 {
    // SAFETY: the caller's pointer is valid for 16 numbers.
    widen_bf16(unsafe { _mm256_loadu_si256(p.cast()) })
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn part_bf16(p: *const u16, n: usize) -> __m512 {
    // SAFETY: masked lanes are not read; the others are the caller's `n`.
    widen_bf16(unsafe { _mm256_maskz_loadu_epi16(mask16(n), p.cast()) })
}

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn load_f16(p: *const u16) -> __m512 {
    // SAFETY: the caller's pointer is valid for 16 numbers.
    _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(p.cast()) })
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn part_f16(p: *const u16, n: usize) -> __m512 {
    // SAFETY: masked lanes are not read; the others are the caller's `n`.
    _mm512_cvtph_ps(unsafe { _mm256_maskz_loadu_epi16(mask16(n), p.cast()) })
}

#[inline]
#[target_feature(enable = "avx512f")]
fn as_pairs(x: __m512i) -> __m512bh {
    // SAFETY: both are 512 bits without invalid values.
    unsafe { std::mem::transmute(x) }
}

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn load_pairs(p: *const u16) -> __m512bh {
    // SAFETY: the caller's pointer is valid for 32 numbers.
    as_pairs(unsafe { _mm512_loadu_si512(p.cast()) })
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn part_pairs(p: *const u16, n: usize) -> __m512bh {
    let mask = ((1_u64 << n) - 1) as __mmask32;
    // SAFETY: masked lanes are not read; the others are the caller's `n`.
    as_pairs(unsafe { _mm512_maskz_loadu_epi16(mask, p.cast()) })
}
