//! One tile of the output, for each instruction set.

use super::pack::Packing;
use super::{LANES, ROW_STRIDE, TILE_ROWS};
use crate::Isa;

/// What one tile is computed from.
pub(super) struct Tile<'t> {
    /// Packed rows; see [`super::pack::pack_rows`] for its two orders.
    pub(super) strip: &'t [u32],
    pub(super) by_row: bool,
    /// Packed columns: `[steps, vectors · 16]`.
    pub(super) columns: &'t [u32],
    pub(super) vectors: usize,
    pub(super) steps: usize,
    /// Rows and columns that exist; the rest of the tile is padding and is not written.
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) accumulate: bool,
}

impl Tile<'_> {
    /// Computes the tile into `out`, whose rows are `ldo` apart.
    ///
    /// # Safety
    ///
    /// The machine has `isa`; `out` is valid for `rows` rows of `cols` numbers that nobody else
    /// touches.
    pub(super) unsafe fn run(&self, isa: Isa, packing: Packing, out: *mut f32, ldo: usize) {
        let reach = if self.by_row {
            (TILE_ROWS - 1) * ROW_STRIDE + self.steps
        } else {
            self.steps * TILE_ROWS
        };
        assert!(reach <= self.strip.len() && self.rows <= TILE_ROWS);
        assert!(self.steps * self.vectors * LANES <= self.columns.len());
        assert!(self.cols <= self.vectors * LANES && self.cols > (self.vectors - 1) * LANES);
        #[cfg(target_arch = "x86_64")]
        match (isa, packing) {
            (Isa::Plain, _) => {}
            // SAFETY: the instruction set is there by the caller's promise; every read is inside
            // the slices by the assertions above; the caller answers for `out`.
            (Isa::Avx2, _) => return unsafe { avx2(self, out, ldo) },
            // SAFETY: as above; pairs are chosen only where bf16 is multiplied.
            (_, Packing::Pairs) => return unsafe { x86::pairs(self, out, ldo) },
            // SAFETY: as above.
            _ => return unsafe { x86::single(self, out, ldo) },
        }
        let _ = (isa, packing);
        // SAFETY: the caller answers for `out`.
        unsafe { portable(self, out, ldo, |a, b, sum| a * b + sum) }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(tile: &Tile<'_>, out: *mut f32, ldo: usize) {
    // SAFETY: passed on from the caller.
    unsafe { portable(tile, out, ldo, |a, b, sum| a.mul_add(b, sum)) }
}

/// Four rows by one vector at a time, in code that any compiler turns into vectors.
///
/// # Safety
///
/// As [`Tile::run`], for `out`.
#[inline(always)]
unsafe fn portable(tile: &Tile<'_>, out: *mut f32, ldo: usize, mac: impl Fn(f32, f32, f32) -> f32) {
    const ROWS: usize = 4;
    let (row_step, depth_step) = if tile.by_row {
        (ROW_STRIDE, 1)
    } else {
        (1, TILE_ROWS)
    };
    let width = tile.vectors * LANES;
    for first in (0..tile.rows).step_by(ROWS) {
        for vector in 0..tile.vectors {
            let col = vector * LANES;
            let (rows, cols) = (ROWS.min(tile.rows - first), LANES.min(tile.cols - col));
            let mut sums = [[0.0_f32; LANES]; ROWS];
            if tile.accumulate {
                for (i, sums) in sums.iter_mut().enumerate().take(rows) {
                    for (j, sum) in sums.iter_mut().enumerate().take(cols) {
                        // SAFETY: an existing row and column of the tile.
                        *sum = unsafe { *out.add((first + i) * ldo + col + j) };
                    }
                }
            }
            for step in 0..tile.steps {
                let b: &[u32; LANES] = tile.columns[step * width + col..][..LANES]
                    .try_into()
                    .expect("sixteen lanes");
                for (i, sums) in sums.iter_mut().enumerate() {
                    let a = f32::from_bits(tile.strip[(first + i) * row_step + step * depth_step]);
                    for (sum, b) in sums.iter_mut().zip(b) {
                        *sum = mac(a, f32::from_bits(*b), *sum);
                    }
                }
            }
            for (i, sums) in sums.iter().enumerate().take(rows) {
                for (j, sum) in sums.iter().enumerate().take(cols) {
                    // SAFETY: as above.
                    unsafe { *out.add((first + i) * ldo + col + j) = *sum };
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{LANES, ROW_STRIDE, TILE_ROWS, Tile};

    /// Defines `$name`, a tile on AVX-512: 8 rows by 1, 2 or 3 vectors of sums in registers.
    macro_rules! tile {
        ($name:ident, $inner:ident, $features:literal, $mac:expr) => {
            /// # Safety
            ///
            /// As [`Tile::run`], which has checked the reads.
            #[target_feature(enable = $features)]
            pub(super) unsafe fn $name(tile: &Tile<'_>, out: *mut f32, ldo: usize) {
                // SAFETY: passed on from the caller.
                unsafe {
                    match (tile.vectors, tile.by_row) {
                        (3, true) => $inner::<3, ROW_STRIDE, 1>(tile, out, ldo),
                        (3, false) => $inner::<3, 1, TILE_ROWS>(tile, out, ldo),
                        (2, true) => $inner::<2, ROW_STRIDE, 1>(tile, out, ldo),
                        (2, false) => $inner::<2, 1, TILE_ROWS>(tile, out, ldo),
                        (_, true) => $inner::<1, ROW_STRIDE, 1>(tile, out, ldo),
                        (_, false) => $inner::<1, 1, TILE_ROWS>(tile, out, ldo),
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn $inner<const V: usize, const ROW_STEP: usize, const DEPTH_STEP: usize>(
                tile: &Tile<'_>,
                out: *mut f32,
                ldo: usize,
            ) {
                let last = mask(tile.cols - (V - 1) * LANES);
                let mut sums = [[_mm512_setzero_ps(); V]; TILE_ROWS];
                if tile.accumulate {
                    for (i, sums) in sums.iter_mut().enumerate() {
                        if i < tile.rows {
                            for (v, sum) in sums.iter_mut().enumerate() {
                                let lanes = if v == V - 1 { last } else { !0 };
                                // SAFETY: an existing row; masked lanes are not read.
                                *sum = unsafe {
                                    _mm512_maskz_loadu_ps(lanes, out.add(i * ldo + v * LANES))
                                };
                            }
                        }
                    }
                }
                let mut a = tile.strip.as_ptr();
                let mut b = tile.columns.as_ptr();
                for _ in 0..tile.steps {
                    // SAFETY: `steps · V · 16` words of columns, and every row's `steps` words of
                    // the strip, are inside their slices: `Tile::run` has checked.
                    unsafe {
                        let columns: [__m512i; V] =
                            std::array::from_fn(|v| _mm512_loadu_si512(b.add(v * LANES).cast()));
                        for (i, sums) in sums.iter_mut().enumerate() {
                            let row = _mm512_set1_epi32((*a.add(i * ROW_STEP)).cast_signed());
                            for (sum, column) in sums.iter_mut().zip(columns) {
                                *sum = $mac(*sum, row, column);
                            }
                        }
                        a = a.add(DEPTH_STEP);
                        b = b.add(V * LANES);
                    }
                }
                for (i, sums) in sums.iter().enumerate() {
                    if i < tile.rows {
                        for (v, sum) in sums.iter().enumerate() {
                            let lanes = if v == V - 1 { last } else { !0 };
                            // SAFETY: an existing row; masked lanes are not written.
                            unsafe {
                                _mm512_mask_storeu_ps(out.add(i * ldo + v * LANES), lanes, *sum);
                            }
                        }
                    }
                }
            }
        };
    }

    tile!(
        single,
        single_tile,
        "avx512f,avx512bw,avx512vl",
        |sum, a, b| { _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum) }
    );
    tile!(
        pairs,
        pairs_tile,
        "avx512f,avx512bw,avx512vl,avx512bf16",
        |sum, a, b| {
            // SAFETY: the same 512 bits; no pattern of them is invalid.
            let (a, b): (__m512bh, __m512bh) = (
                std::mem::transmute::<__m512i, __m512bh>(a),
                std::mem::transmute::<__m512i, __m512bh>(b),
            );
            _mm512_dpbf16_ps(sum, a, b)
        }
    );

    /// The first `n` of 16 lanes.
    fn mask(n: usize) -> __mmask16 {
        ((1_u32 << n) - 1) as __mmask16
    }
}
