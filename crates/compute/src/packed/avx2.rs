//! Tiles on AVX2 with FMA: up to 4 rows by 16 outputs of sums in registers, or 8 by 8.

use std::arch::x86_64::*;

use super::rows::{SCALES, SUMS};
use super::tile::{Base, Tile};
use super::{LANES, Words};

/// Lanes of a register.
const HALF: usize = LANES / 2;

/// Computes `tile` into `out`.
///
/// # Safety
///
/// The machine has AVX2 and FMA; the tile's reads are inside its slices; `out` is valid for its rows of
/// numbers, `ldo` apart, that nobody else touches.
pub(super) unsafe fn run(tile: &Tile<'_>, out: *mut f32, ldo: usize) {
    // SAFETY: passed on from the caller.
    unsafe {
        match tile.words {
            Words::Quads if is_x86_feature_detected!("avxvnni") => with_vnni::quads(tile, out, ldo),
            Words::Nibbles if is_x86_feature_detected!("avxvnni") => {
                with_vnni::nibbles(tile, out, ldo);
            }
            Words::Quads => without_vnni::quads(tile, out, ldo),
            Words::Nibbles => without_vnni::nibbles(tile, out, ldo),
            Words::Single => floats::<SINGLE>(tile, out, ldo),
            Words::Widened => floats::<WIDENED>(tile, out, ldo),
            Words::Pairs => floats::<PAIRS>(tile, out, ldo),
        }
    }
}

const SINGLE: u8 = 0;
const WIDENED: u8 = 1;
const PAIRS: u8 = 2;

/// Forms without scales.
///
/// # Safety
///
/// As [`run`].
unsafe fn floats<const WORDS: u8>(tile: &Tile<'_>, out: *mut f32, ldo: usize) {
    // SAFETY: passed on from the caller.
    unsafe {
        each_part((4, LANES), tile, |rows, first, lanes| match rows {
            1 => floats_part::<1, WORDS>(tile, first, lanes, out, ldo),
            _ => floats_part::<4, WORDS>(tile, first, lanes, out, ldo),
        });
    }
}

/// # Safety
///
/// As [`run`].
#[target_feature(enable = "avx2,fma")]
unsafe fn floats_part<const R: usize, const WORDS: u8>(
    tile: &Tile<'_>,
    first: usize,
    lanes: usize,
    out: *mut f32,
    ldo: usize,
) {
    const STRIDE: usize = Words::Single.stride();
    let width = tile.vectors * LANES;
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
    // SAFETY: rows behind the last are there too, with old numbers; the strip and the panel hold all steps.
    unsafe {
        let mut a = tile.strip.as_ptr().add(first * STRIDE);
        let mut b = tile.panel.as_ptr().add(lanes);
        for _ in 0..tile.steps() {
            let line = [0, HALF].map(|half| _mm256_loadu_si256(b.add(half).cast()));
            let high = line.map(|w| high_halves(w));
            let low = line.map(|w| match WORDS {
                SINGLE => _mm256_castsi256_ps(w),
                _ => _mm256_castsi256_ps(_mm256_slli_epi32::<16>(w)),
            });
            for (i, sums) in sums.iter_mut().enumerate() {
                let a = a.add(i * STRIDE);
                let word = spread(a);
                let (now, next) = match WORDS {
                    SINGLE => (_mm256_castsi256_ps(word), None),
                    WIDENED => (
                        _mm256_castsi256_ps(word),
                        Some(_mm256_castsi256_ps(spread(a.add(1)))),
                    ),
                    _ => (
                        _mm256_castsi256_ps(_mm256_slli_epi32::<16>(word)),
                        Some(high_halves(word)),
                    ),
                };
                for half in 0..2 {
                    sums[half] = _mm256_fmadd_ps(now, low[half], sums[half]);
                    if let Some(next) = next {
                        sums[half] = _mm256_fmadd_ps(next, high[half], sums[half]);
                    }
                }
            }
            a = a.add(if WORDS == WIDENED { 2 } else { 1 });
            b = b.add(width);
        }
        store(tile, first, lanes, sums, out, ldo);
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn high_halves(words: __m256i) -> __m256 {
    _mm256_castsi256_ps(_mm256_and_si256(words, _mm256_set1_epi32(-0x1_0000)))
}

/// Defines the forms of whole numbers with a multiplication `$dot(sums, weights, a)` of four unsigned by
/// four signed bytes in each lane.
macro_rules! integers {
    ($name:ident, $features:literal, $dot:path) => {
        mod $name {
            use super::*;

            /// # Safety
            ///
            /// As [`run`], and the machine has the features.
            pub(super) unsafe fn quads(tile: &Tile<'_>, out: *mut f32, ldo: usize) {
                // SAFETY: passed on from the caller.
                unsafe {
                    each_part((8, HALF), tile, |rows, first, lanes| match rows {
                        1 => quads_part::<1>(tile, first, lanes, out, ldo),
                        2..=4 => quads_part::<4>(tile, first, lanes, out, ldo),
                        _ => quads_part::<8>(tile, first, lanes, out, ldo),
                    })
                }
            }

            /// # Safety
            ///
            /// As [`quads`].
            pub(super) unsafe fn nibbles(tile: &Tile<'_>, out: *mut f32, ldo: usize) {
                // SAFETY: passed on from the caller.
                unsafe {
                    each_part((8, HALF), tile, |rows, first, lanes| match rows {
                        1 => nibbles_part::<1>(tile, first, lanes, out, ldo),
                        2..=4 => nibbles_part::<4>(tile, first, lanes, out, ldo),
                        _ => nibbles_part::<8>(tile, first, lanes, out, ldo),
                    })
                }
            }

            /// # Safety
            ///
            /// As [`quads`].
            #[target_feature(enable = $features)]
            unsafe fn quads_part<const R: usize>(
                tile: &Tile<'_>,
                first: usize,
                lanes: usize,
                out: *mut f32,
                ldo: usize,
            ) {
                const STRIDE: usize = Words::Quads.stride();
                let width = tile.vectors * LANES;
                let mut sums = [[_mm256_setzero_ps(); 1]; R];
                // SAFETY: rows behind the last are there too, with old numbers; the strip and the panel
                // hold all blocks.
                unsafe {
                    let a = tile.strip.as_ptr().add(first * STRIDE);
                    let mut b = tile.panel.as_ptr().add(lanes);
                    for block in 0..tile.steps() {
                        let mut exact: [__m256i; R] =
                            std::array::from_fn(|i| spread(a.add(i * STRIDE + SUMS + block)));
                        for step in 0..32 {
                            let line = _mm256_loadu_si256(b.cast());
                            for (i, exact) in exact.iter_mut().enumerate() {
                                let a = spread(a.add(i * STRIDE + block * 32 + step));
                                *exact = $dot(*exact, line, a);
                            }
                            b = b.add(width);
                        }
                        let scales = _mm256_loadu_ps(b.cast());
                        b = b.add(width);
                        for i in 0..R {
                            let row = spread(a.add(i * STRIDE + SCALES + block));
                            add_scaled(&mut sums[i][0], exact[i], row, scales);
                        }
                    }
                    store(tile, first, lanes, sums, out, ldo);
                }
            }

            /// # Safety
            ///
            /// As [`quads`].
            #[target_feature(enable = $features)]
            unsafe fn nibbles_part<const R: usize>(
                tile: &Tile<'_>,
                first: usize,
                lanes: usize,
                out: *mut f32,
                ldo: usize,
            ) {
                const STRIDE: usize = Words::Nibbles.stride();
                let (width, mask) = (tile.vectors * LANES, _mm256_set1_epi8(15));
                let mut sums = [[_mm256_setzero_ps(); 1]; R];
                // SAFETY: as for `quads_part`.
                unsafe {
                    let a = tile.strip.as_ptr().add(first * STRIDE);
                    let mut b = tile.panel.as_ptr().add(lanes);
                    for two in 0..2 * tile.steps() {
                        let both = _mm256_loadu_si256(b.add(8 * width).cast());
                        for part in 2 * two..2 * two + 2 {
                            let mut exact: [__m256i; R] =
                                std::array::from_fn(|i| spread(a.add(i * STRIDE + SUMS + part)));
                            for step in 0..4 {
                                let line = _mm256_loadu_si256(b.cast());
                                let low = _mm256_and_si256(line, mask);
                                let high = _mm256_and_si256(_mm256_srli_epi32::<4>(line), mask);
                                for (i, exact) in exact.iter_mut().enumerate() {
                                    let a = a.add(i * STRIDE + part * 8 + step * 2);
                                    *exact = $dot(*exact, low, spread(a));
                                    *exact = $dot(*exact, high, spread(a.add(1)));
                                }
                                b = b.add(width);
                            }
                            let scales = _mm256_castsi256_ps(if part % 2 == 0 {
                                _mm256_slli_epi32::<16>(both)
                            } else {
                                _mm256_and_si256(both, _mm256_set1_epi32(-0x1_0000))
                            });
                            for i in 0..R {
                                let row = spread(a.add(i * STRIDE + SCALES + two / 2));
                                add_scaled(&mut sums[i][0], exact[i], row, scales);
                            }
                        }
                        b = b.add(width);
                    }
                    store(tile, first, lanes, sums, out, ldo);
                }
            }
        }
    };
}

integers!(with_vnni, "avx2,fma,avxvnni", _mm256_dpbusd_avx_epi32);
integers!(without_vnni, "avx2,fma", multiply);

/// Calls `part(how many rows, first row, first lane)` for parts of the tile of that many rows and lanes.
///
/// # Safety
///
/// As `part` asks.
unsafe fn each_part(
    (rows, lanes): (usize, usize),
    tile: &Tile<'_>,
    part: impl Fn(usize, usize, usize),
) {
    for first in (0..tile.rows).step_by(rows) {
        for lane in (0..tile.cols).step_by(lanes) {
            part((tile.rows - first).min(rows), first, lane);
        }
    }
}

/// Four unsigned by four signed bytes in each lane, added to `sums`: without the instruction, in 16 bits,
/// where pairs of products of the whole range do not fit. So the even and the odd bytes are multiplied
/// apart.
#[inline]
#[target_feature(enable = "avx2")]
fn multiply(sums: __m256i, weights: __m256i, a: __m256i) -> __m256i {
    let low = _mm256_set1_epi16(0xff);
    let even = _mm256_madd_epi16(
        _mm256_and_si256(weights, low),
        _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(a)),
    );
    let odd = _mm256_madd_epi16(_mm256_srli_epi16::<8>(weights), _mm256_srai_epi16::<8>(a));
    _mm256_add_epi32(sums, _mm256_add_epi32(even, odd))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn add_scaled(sum: &mut __m256, exact: __m256i, row: __m256i, scales: __m256) {
    let scale = _mm256_mul_ps(_mm256_castsi256_ps(row), scales);
    *sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(exact), scale, *sum);
}

/// One word in every lane.
///
/// # Safety
///
/// `word` is valid for reading.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn spread(word: *const u32) -> __m256i {
    // SAFETY: the caller's promise.
    _mm256_set1_epi32(unsafe { *word }.cast_signed())
}

/// Adds the sums of rows `first..` and outputs `lanes..` to the base and writes those that exist.
///
/// # Safety
///
/// As [`run`].
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn store<const R: usize, const H: usize>(
    tile: &Tile<'_>,
    first: usize,
    lanes: usize,
    sums: [[__m256; H]; R],
    out: *mut f32,
    ldo: usize,
) {
    for (i, sums) in sums.into_iter().enumerate() {
        // Not by shortening the loop: sums that are counted at run time would live in memory.
        if first + i >= tile.rows {
            continue;
        }
        for (h, sum) in sums.into_iter().enumerate() {
            let mut eight = [0.0; HALF];
            // SAFETY: eight numbers are written into an array of eight; `out` has those that exist.
            unsafe {
                _mm256_storeu_ps(eight.as_mut_ptr(), sum);
                for (j, sum) in (lanes + h * HALF..tile.cols).zip(eight) {
                    let o = out.add((first + i) * ldo + j);
                    *o = sum
                        + match tile.base {
                            Base::Zero => 0.0,
                            Base::Bias(bias) => bias[j],
                            Base::Output => *o,
                        };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::Rows;
    use super::super::{Form, Packed, portable};
    use super::*;
    use crate::{Dtype, Isa, Matrix};

    /// A machine with the instruction never runs the form without it.
    #[test]
    fn without_the_instruction_it_is_the_same() {
        if !Isa::Avx2.is_available() {
            return;
        }
        let (m, n, k) = (7, 41, 500);
        let wild = |i: usize| ((i * 7919 % 1009) as f32 - 504.0) / 7.0;
        let weights: Vec<f32> = (0..n * k).map(|i| wild(i + 3)).collect();
        let x: Vec<f32> = (0..m * k).map(wild).collect();
        let matrix = Matrix::from_f32(&weights, Dtype::F32, n, k).unwrap();
        for (form, words) in [(Form::Int8, Words::Quads), (Form::Int4, Words::Nibbles)] {
            let packed = Packed::new(&matrix, form);
            let mut room = Vec::new();
            let tile = Tile {
                words,
                strip: Rows::new(words, &x, k, &mut room).piece(0, 0),
                panel: packed.chunk(0, 0, k),
                vectors: 3,
                k,
                rows: m,
                cols: n,
                base: Base::Zero,
            };
            let (mut plain, mut out) = (vec![0.0; m * n], vec![0.0; m * n]);
            // SAFETY: the machine has AVX2; both outputs have the tile's rows and columns.
            unsafe {
                portable::run(&tile, plain.as_mut_ptr(), n);
                match words {
                    Words::Quads => without_vnni::quads(&tile, out.as_mut_ptr(), n),
                    _ => without_vnni::nibbles(&tile, out.as_mut_ptr(), n),
                }
            }
            assert_eq!(plain, out, "{form}");
        }
    }
}
