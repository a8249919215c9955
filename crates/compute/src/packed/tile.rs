//! One tile of the output: what it is computed from, and which form computes it.

use super::rows::{SCALES, SUMS};
use super::{LANES, TILE_ROWS, Words};
use crate::Isa;

/// What a tile's sums are added to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Base<'b> {
    Zero,
    /// The same for every row.
    Bias(&'b [f32]),
    /// What is there.
    Output,
}

/// Some rows by one panel, along one chunk.
pub(super) struct Tile<'t> {
    pub(super) words: Words,
    /// One chunk of one strip; see [`super::rows::Rows`].
    pub(super) strip: &'t [u32],
    /// One chunk of one panel: `[lines, vectors · 16]`.
    pub(super) panel: &'t [u32],
    pub(super) vectors: usize,
    /// Numbers along `k`.
    pub(super) k: usize,
    /// Rows and outputs that exist; the rest of the tile is not written.
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) base: Base<'t>,
}

impl Tile<'_> {
    /// Steps along `k`: lines of weights in forms without scales, else blocks of 128 numbers.
    pub(super) fn steps(&self) -> usize {
        if self.words.is_integer() {
            self.k.div_ceil(super::BLOCK)
        } else {
            self.words.lines(self.k)
        }
    }

    /// Computes the tile into `out`, whose rows are `ldo` apart.
    ///
    /// # Safety
    ///
    /// The machine has `isa`; `out` is valid for `rows` rows of `cols` numbers that nobody else touches.
    pub(super) unsafe fn run(&self, isa: Isa, out: *mut f32, ldo: usize) {
        // Every read of the forms is inside these, and the sums' offset below the stride.
        assert!(self.k <= self.words.chunk() && SCALES < SUMS);
        assert!(self.strip.len() >= TILE_ROWS * self.words.stride());
        assert!((1..=3).contains(&self.vectors) && (1..=TILE_ROWS).contains(&self.rows));
        assert!(self.panel.len() >= self.words.lines(self.k) * self.vectors * LANES);
        assert!(self.cols <= self.vectors * LANES && self.cols > (self.vectors - 1) * LANES);
        if let Base::Bias(bias) = self.base {
            assert!(bias.len() >= self.cols);
        }
        #[cfg(target_arch = "x86_64")]
        match isa {
            Isa::Avx512 | Isa::Avx512Bf16 | Isa::Amx if super::avx512::takes(self.words, isa) => {
                // SAFETY: the instruction set is there by the caller's promise; all reads are inside the
                // slices by the assertions above; the caller answers for `out`.
                return unsafe { super::avx512::run(self, out, ldo) };
            }
            Isa::Avx2 | Isa::Avx512 | Isa::Avx512Bf16 | Isa::Amx => {
                // SAFETY: as above; the wider sets have AVX2 and FMA too.
                return unsafe { super::avx2::run(self, out, ldo) };
            }
            Isa::Plain => {}
        }
        let _ = isa;
        // SAFETY: the caller answers for `out`.
        unsafe { super::portable::run(self, out, ldo) };
    }
}
