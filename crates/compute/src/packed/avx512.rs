//! Tiles on AVX-512: up to 8 rows by 3 vectors of sums in registers.

use std::arch::x86_64::*;

use super::rows::{SCALES, SUMS};
use super::tile::{Base, Tile};
use super::{LANES, Words};
use crate::Isa;

/// Whether there is a form for `words` here; AVX2 has those that are missing.
pub(super) fn takes(words: Words, isa: Isa) -> bool {
    match words {
        Words::Single | Words::Widened => true,
        Words::Pairs => isa >= Isa::Avx512Bf16,
        Words::Quads | Words::Nibbles => is_x86_feature_detected!("avx512vnni"),
    }
}

/// Computes `tile` into `out`.
///
/// # Safety
///
/// [`takes`] its words on an instruction set this machine has; its reads are inside its slices; `out` is
/// valid for its rows of numbers, `ldo` apart, that nobody else touches.
pub(super) unsafe fn run(tile: &Tile<'_>, out: *mut f32, ldo: usize) {
    macro_rules! sized {
        ($form:ident) => {
            match (tile.rows, tile.vectors) {
                (1, 3) => $form::<1, 3>(tile, out, ldo),
                (2, 3) => $form::<2, 3>(tile, out, ldo),
                (3..=4, 3) => $form::<4, 3>(tile, out, ldo),
                (_, 3) => $form::<8, 3>(tile, out, ldo),
                (1..=2, 2) => $form::<2, 2>(tile, out, ldo),
                (_, 2) => $form::<8, 2>(tile, out, ldo),
                (1..=2, _) => $form::<2, 1>(tile, out, ldo),
                _ => $form::<8, 1>(tile, out, ldo),
            }
        };
    }
    // SAFETY: passed on from the caller.
    unsafe {
        match tile.words {
            Words::Single => sized!(single),
            Words::Widened => sized!(widened),
            Words::Pairs => sized!(pairs),
            Words::Quads => sized!(quads),
            Words::Nibbles => sized!(nibbles),
        }
    }
}

/// Defines a form without scales: `$mac` adds the products of one line of weights, `line [V]`, and of the
/// row whose words are at `row`, to its sums.
macro_rules! floats {
    ($name:ident, $features:literal, $words:expr, $per_step:literal, $mac:expr) => {
        /// # Safety
        ///
        /// As [`run`].
        #[target_feature(enable = $features)]
        unsafe fn $name<const R: usize, const V: usize>(
            tile: &Tile<'_>,
            out: *mut f32,
            ldo: usize,
        ) {
            const STRIDE: usize = $words.stride();
            let mut sums = [[_mm512_setzero_ps(); V]; R];
            let mut a = tile.strip.as_ptr();
            let mut b = tile.panel.as_ptr();
            for _ in 0..tile.steps() {
                // SAFETY: a line of the panel, and the words of one step of each row, are inside the
                // tile's slices.
                unsafe {
                    let line: [__m512i; V] =
                        std::array::from_fn(|v| _mm512_loadu_si512(b.add(v * LANES).cast()));
                    for (i, sums) in sums.iter_mut().enumerate() {
                        $mac(sums, a.add(i * STRIDE), line);
                    }
                    a = a.add($per_step);
                    b = b.add(V * LANES);
                }
            }
            // SAFETY: passed on from the caller.
            unsafe { store(tile, sums, out, ldo) };
        }
    };
}

floats!(
    single,
    "avx512f,avx512bw,avx512vl",
    Words::Single,
    1,
    |sums: &mut [__m512; V], row: *const u32, line: [__m512i; V]| {
        let a = spread(row);
        for (sum, w) in sums.iter_mut().zip(line) {
            *sum = _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(w), *sum);
        }
    }
);
floats!(
    widened,
    "avx512f,avx512bw,avx512vl",
    Words::Widened,
    2,
    |sums: &mut [__m512; V], row: *const u32, line: [__m512i; V]| {
        let (a, next) = (
            _mm512_castsi512_ps(spread(row)),
            _mm512_castsi512_ps(spread(row.add(1))),
        );
        for (sum, w) in sums.iter_mut().zip(line) {
            let low = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(w));
            let high = _mm512_castsi512_ps(high_halves(w));
            *sum = _mm512_fmadd_ps(next, high, _mm512_fmadd_ps(a, low, *sum));
        }
    }
);
floats!(
    pairs,
    "avx512f,avx512bw,avx512vl,avx512bf16",
    Words::Pairs,
    1,
    |sums: &mut [__m512; V], row: *const u32, line: [__m512i; V]| {
        let a = as_pairs(spread(row));
        for (sum, w) in sums.iter_mut().zip(line) {
            *sum = _mm512_dpbf16_ps(*sum, a, as_pairs(w));
        }
    }
);

/// Int8 by int8: exact sums of one block in registers, scaled and added at its end.
///
/// # Safety
///
/// As [`run`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn quads<const R: usize, const V: usize>(tile: &Tile<'_>, out: *mut f32, ldo: usize) {
    const STRIDE: usize = Words::Quads.stride();
    let mut sums = [[_mm512_setzero_ps(); V]; R];
    let a = tile.strip.as_ptr();
    let mut b = tile.panel.as_ptr();
    for block in 0..tile.steps() {
        // SAFETY: 32 lines of weights and one of scales, and each row's 32 words, scale and sum of this
        // block, are inside the tile's slices.
        unsafe {
            let mut exact: [[__m512i; V]; R] =
                std::array::from_fn(|i| [spread(a.add(i * STRIDE + SUMS + block)); V]);
            for step in 0..32 {
                let line: [__m512i; V] =
                    std::array::from_fn(|v| _mm512_loadu_si512(b.add(v * LANES).cast()));
                for (i, exact) in exact.iter_mut().enumerate() {
                    let a = spread(a.add(i * STRIDE + block * 32 + step));
                    for (sum, w) in exact.iter_mut().zip(line) {
                        *sum = _mm512_dpbusd_epi32(*sum, w, a);
                    }
                }
                b = b.add(V * LANES);
            }
            let scales: [__m512; V] =
                std::array::from_fn(|v| _mm512_loadu_ps(b.add(v * LANES).cast()));
            b = b.add(V * LANES);
            for i in 0..R {
                let row = _mm512_castsi512_ps(spread(a.add(i * STRIDE + SCALES + block)));
                add_scaled(&mut sums[i], &exact[i], row, &scales);
            }
        }
    }
    // SAFETY: passed on from the caller.
    unsafe { store(tile, sums, out, ldo) };
}

/// 4 bits by int8: as [`quads`], in blocks of 32, two of which share a line of scales.
///
/// # Safety
///
/// As [`run`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn nibbles<const R: usize, const V: usize>(tile: &Tile<'_>, out: *mut f32, ldo: usize) {
    const STRIDE: usize = Words::Nibbles.stride();
    let mask = _mm512_set1_epi8(15);
    let mut sums = [[_mm512_setzero_ps(); V]; R];
    let a = tile.strip.as_ptr();
    let mut b = tile.panel.as_ptr();
    for two in 0..2 * tile.steps() {
        // SAFETY: 8 lines of weights and one of scales, and each row's words, scale and sums of this
        // block, are inside the tile's slices.
        unsafe {
            let both: [__m512i; V] =
                std::array::from_fn(|v| _mm512_loadu_si512(b.add((8 * V + v) * LANES).cast()));
            for part in 2 * two..2 * two + 2 {
                let mut exact: [[__m512i; V]; R] =
                    std::array::from_fn(|i| [spread(a.add(i * STRIDE + SUMS + part)); V]);
                for step in 0..4 {
                    let line: [__m512i; V] =
                        std::array::from_fn(|v| _mm512_loadu_si512(b.add(v * LANES).cast()));
                    for half in 0..2 {
                        let four_bits = line.map(|w| {
                            _mm512_and_si512(
                                if half == 0 {
                                    w
                                } else {
                                    _mm512_srli_epi32::<4>(w)
                                },
                                mask,
                            )
                        });
                        for (i, exact) in exact.iter_mut().enumerate() {
                            let a = spread(a.add(i * STRIDE + part * 8 + step * 2 + half));
                            for (sum, w) in exact.iter_mut().zip(four_bits) {
                                *sum = _mm512_dpbusd_epi32(*sum, w, a);
                            }
                        }
                    }
                    b = b.add(V * LANES);
                }
                let scales = both.map(|w| {
                    let bits = if part % 2 == 0 {
                        _mm512_slli_epi32::<16>(w)
                    } else {
                        high_halves(w)
                    };
                    _mm512_castsi512_ps(bits)
                });
                for i in 0..R {
                    let row = _mm512_castsi512_ps(spread(a.add(i * STRIDE + SCALES + two / 2)));
                    add_scaled(&mut sums[i], &exact[i], row, &scales);
                }
            }
            b = b.add(V * LANES);
        }
    }
    // SAFETY: passed on from the caller.
    unsafe { store(tile, sums, out, ldo) };
}

#[inline]
#[target_feature(enable = "avx512f")]
fn add_scaled<const V: usize>(
    sums: &mut [__m512; V],
    exact: &[__m512i; V],
    row: __m512,
    scales: &[__m512; V],
) {
    for ((sum, exact), scale) in sums.iter_mut().zip(exact).zip(scales) {
        *sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(*exact), _mm512_mul_ps(row, *scale), *sum);
    }
}

/// Adds the sums to the base and writes those that exist.
///
/// # Safety
///
/// As [`run`].
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn store<const R: usize, const V: usize>(
    tile: &Tile<'_>,
    sums: [[__m512; V]; R],
    out: *mut f32,
    ldo: usize,
) {
    let last = ((1_u32 << (tile.cols - (V - 1) * LANES)) - 1) as __mmask16;
    for (i, sums) in sums.into_iter().enumerate() {
        // Not by shortening the loop: sums that are counted at run time would live in memory.
        if i >= tile.rows {
            continue;
        }
        for (v, sum) in sums.into_iter().enumerate() {
            let lanes = if v == V - 1 { last } else { !0 };
            // SAFETY: an existing row; masked lanes are neither read nor written.
            unsafe {
                let o = out.add(i * ldo + v * LANES);
                let base = match tile.base {
                    Base::Zero => _mm512_setzero_ps(),
                    Base::Bias(bias) => _mm512_maskz_loadu_ps(lanes, bias.as_ptr().add(v * LANES)),
                    Base::Output => _mm512_maskz_loadu_ps(lanes, o),
                };
                _mm512_mask_storeu_ps(o, lanes, _mm512_add_ps(base, sum));
            }
        }
    }
}

/// One word in every lane.
///
/// # Safety
///
/// `word` is valid for reading.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn spread(word: *const u32) -> __m512i {
    // SAFETY: the caller's promise.
    _mm512_set1_epi32(unsafe { *word }.cast_signed())
}

#[inline]
#[target_feature(enable = "avx512f")]
fn high_halves(words: __m512i) -> __m512i {
    _mm512_and_si512(words, _mm512_set1_epi32(0xffff_0000_u32.cast_signed()))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn as_pairs(words: __m512i) -> __m512bh {
    // SAFETY: both are 512 bits without invalid values.
    unsafe { std::mem::transmute(words) }
}
