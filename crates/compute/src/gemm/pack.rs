//! Both sides of a product, in the order in which tiles read them.
//!
//! A packed number is a word of 32 bits: one `f32`, or two bf16 that stand one after the other
//! along `k`, the first in the low half. Rows and columns that are missing are zeros.

use super::view::View;
use super::{LANES, ROW_STRIDE, TILE_COLS, TILE_ROWS};
use crate::cpu::each_isa::each_isa;
use crate::{Isa, Precision};

/// What a packed word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// An `f32`.
    Single,
    /// An `f32` that was rounded to bf16, for machines that do not multiply bf16.
    Rounded,
    /// Two bf16.
    Pairs,
}

impl Packing {
    pub(super) fn choose(isa: Isa, precision: Precision) -> Self {
        match precision {
            Precision::F32 => Packing::Single,
            Precision::Bf16 if isa >= Isa::Avx512Bf16 => Packing::Pairs,
            Precision::Bf16 => Packing::Rounded,
        }
    }

    /// Words along `k`.
    pub(super) fn depth(self, k: usize) -> usize {
        match self {
            Packing::Single | Packing::Rounded => k,
            Packing::Pairs => k.div_ceil(2),
        }
    }

    /// Numbers in a word.
    fn numbers(self) -> usize {
        match self {
            Packing::Single | Packing::Rounded => 1,
            Packing::Pairs => 2,
        }
    }
}

/// Packs `count <= TILE_ROWS` rows of `a` from `first` on, words `from..from + steps` along `k`: row by
/// row, [`ROW_STRIDE`] apart, where `a` is contiguous along rows; else step by step.
pub(super) fn pack_rows(
    packing: Packing,
    a: View<'_>,
    first: usize,
    count: usize,
    from: usize,
    steps: usize,
    strip: &mut [u32],
) {
    let mut room = (Vec::new(), Vec::new());
    let each = packing.numbers();
    if a.is_by_row() {
        let start = from * each;
        let len = (steps * each).min(a.cols() - start.min(a.cols()));
        for i in 0..TILE_ROWS {
            let row = &mut strip[i * ROW_STRIDE..][..steps];
            if i < count {
                along(packing, a.run(first + i, start, len, &mut room.0), row);
            } else {
                row.fill(0);
            }
        }
    } else {
        for (step, words) in strip[..steps * TILE_ROWS]
            .chunks_exact_mut(TILE_ROWS)
            .enumerate()
        {
            across(
                packing,
                a,
                a.cols(),
                (from + step) * each,
                first..first + count,
                &mut room,
                words,
            );
        }
    }
}

/// Packs the columns of `b` from `first` on that belong to one panel, all of `k`: step by step, the
/// panel's width (a multiple of [`LANES`]) apart.
pub(super) fn pack_columns(packing: Packing, b: View<'_>, first: usize, panel: &mut [u32]) {
    let depth = packing.depth(b.rows());
    let cols = TILE_COLS.min(b.cols() - first);
    let width = cols.next_multiple_of(LANES);
    debug_assert_eq!(panel.len(), depth * width);
    let mut room = (Vec::new(), Vec::new());
    if b.is_by_row() {
        for (step, words) in panel.chunks_exact_mut(width).enumerate() {
            let at = step * packing.numbers();
            across(
                packing,
                b,
                b.rows(),
                at,
                first..first + cols,
                &mut room,
                words,
            );
        }
    } else {
        let mut line = vec![0; depth];
        for j in 0..width {
            if j < cols {
                along(
                    packing,
                    b.run(first + j, 0, b.rows(), &mut room.0),
                    &mut line,
                );
            } else {
                line.fill(0);
            }
            for (words, word) in panel.chunks_exact_mut(width).zip(&line) {
                words[j] = *word;
            }
        }
    }
}

/// Numbers that are contiguous along `k`, as words; missing ones are zeros.
fn along(packing: Packing, numbers: &[f32], words: &mut [u32]) {
    match packing {
        Packing::Single => {
            words[numbers.len()..].fill(0);
            for (word, v) in words.iter_mut().zip(numbers) {
                *word = v.to_bits();
            }
        }
        Packing::Rounded => {
            words[numbers.len()..].fill(0);
            for (word, v) in words.iter_mut().zip(numbers) {
                *word = rounded(*v) << 16;
            }
        }
        Packing::Pairs => {
            let whole = numbers.len() / 2;
            pair_up(&numbers[..2 * whole], &mut words[..whole]);
            if let Some(last) = numbers.get(2 * whole) {
                words[whole] = rounded(*last);
                words[whole + 1..].fill(0);
            } else {
                words[whole..].fill(0);
            }
        }
    }
}

/// The numbers `lines` at the place `at` along `k` (and the one after it), as words.
fn across(
    packing: Packing,
    view: View<'_>,
    k: usize,
    at: usize,
    lines: std::ops::Range<usize>,
    room: &mut (Vec<f32>, Vec<f32>),
    words: &mut [u32],
) {
    let (start, len) = (lines.start, lines.len());
    words[len..].fill(0);
    let words = &mut words[..len];
    let low = view.run(at, start, len, &mut room.0);
    match packing {
        Packing::Single => {
            for (word, v) in words.iter_mut().zip(low) {
                *word = v.to_bits();
            }
        }
        Packing::Rounded => {
            for (word, v) in words.iter_mut().zip(low) {
                *word = rounded(*v) << 16;
            }
        }
        Packing::Pairs if at + 1 < k => {
            interleave(low, view.run(at + 1, start, len, &mut room.1), words);
        }
        Packing::Pairs => {
            for (word, v) in words.iter_mut().zip(low) {
                *word = rounded(*v);
            }
        }
    }
}

each_isa! {
    fn pair_up(numbers: &[f32], words: &mut [u32]) {
        for (word, v) in words.iter_mut().zip(numbers.as_chunks::<2>().0) {
            *word = rounded(v[0]) | rounded(v[1]) << 16;
        }
    }
}

each_isa! {
    fn interleave(low: &[f32], high: &[f32], words: &mut [u32]) {
        for ((word, low), high) in words.iter_mut().zip(low).zip(high) {
            *word = rounded(*low) | rounded(*high) << 16;
        }
    }
}

/// The bits of the nearest bf16, ties to even, in the low half. A NaN stays one.
#[inline(always)]
fn rounded(v: f32) -> u32 {
    let bits = v.to_bits();
    let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    if bits & 0x7fff_ffff > 0x7f80_0000 {
        bits >> 16 | 0x40
    } else {
        nearest
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;

    #[test]
    fn rounding_is_that_of_the_library() {
        for bits in (0..=u32::MAX).step_by(65_521) {
            let v = f32::from_bits(bits);
            assert_eq!(rounded(v) as u16, bf16::from_f32(v).to_bits(), "{v}");
        }
    }
}
