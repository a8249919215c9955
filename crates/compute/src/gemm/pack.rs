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
    let mut room = Vec::new();
    let each = packing.numbers();
    let start = (from * each).min(a.cols());
    let len = (steps * each).min(a.cols() - start);
    if a.is_by_row() {
        for i in 0..TILE_ROWS {
            let row = &mut strip[i * ROW_STRIDE..][..steps];
            if i < count {
                along(packing, a.run(first + i, start, len, &mut room), row);
            } else {
                row.fill(0);
            }
        }
    } else {
        let (values, stride) = a.block(start..start + len, first, count, &mut room);
        let words = &mut strip[..steps * TILE_ROWS];
        across(packing, values, stride, len, count, TILE_ROWS, words);
    }
}

/// Packs the columns of `b` from `first` on that belong to one panel, all of `k`: step by step, the
/// panel's width (a multiple of [`LANES`]) apart.
pub(super) fn pack_columns(packing: Packing, b: View<'_>, first: usize, panel: &mut [u32]) {
    let depth = packing.depth(b.rows());
    let cols = TILE_COLS.min(b.cols() - first);
    let width = cols.next_multiple_of(LANES);
    debug_assert_eq!(panel.len(), depth * width);
    let mut room = Vec::new();
    if b.is_by_row() {
        let (values, stride) = b.block(0..b.rows(), first, cols, &mut room);
        across(packing, values, stride, b.rows(), cols, width, panel);
    } else {
        let mut line = vec![0; depth];
        for j in 0..width {
            if j < cols {
                along(packing, b.run(first + j, 0, b.rows(), &mut room), &mut line);
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

each_isa! {
    fn pair_up(numbers: &[f32], words: &mut [u32]) {
        for (word, v) in words.iter_mut().zip(numbers.as_chunks::<2>().0) {
            *word = rounded(v[0]) | rounded(v[1]) << 16;
        }
    }
}

each_isa! {
    /// `lines` lines of `len` numbers, `stride` apart, that follow each other along `k`: each becomes, alone
    /// or with the next one, `width` words. Missing ones are zeros.
    fn across(
        packing: Packing,
        values: &[f32],
        stride: usize,
        lines: usize,
        len: usize,
        width: usize,
        words: &mut [u32],
    ) {
        // Lengths that the compiler knows become plain vector code.
        match (len, width) {
            (TILE_ROWS, TILE_ROWS) => across_of::<TILE_ROWS>(packing, values, stride, lines, words),
            (LANES, LANES) => across_of::<LANES>(packing, values, stride, lines, words),
            (TILE_COLS, TILE_COLS) => across_of::<TILE_COLS>(packing, values, stride, lines, words),
            _ => across_some(packing, values, stride, lines, (len, width), words),
        }
    }
}

#[inline(always)]
fn across_of<const N: usize>(
    packing: Packing,
    values: &[f32],
    stride: usize,
    lines: usize,
    words: &mut [u32],
) {
    let line = |at: usize| -> &[f32; N] { values[at * stride..].first_chunk().expect("a line") };
    for (step, words) in words.as_chunks_mut::<N>().0.iter_mut().enumerate() {
        match packing {
            Packing::Single => single(line(step), words),
            Packing::Rounded => rounded_single(line(step), words),
            Packing::Pairs if 2 * step + 1 < lines => {
                pair(line(2 * step), line(2 * step + 1), words);
            }
            Packing::Pairs => half_pair(line(2 * step), words),
        }
    }
}

#[inline(always)]
fn across_some(
    packing: Packing,
    values: &[f32],
    stride: usize,
    lines: usize,
    (len, width): (usize, usize),
    words: &mut [u32],
) {
    let line = |at: usize| &values[at * stride..][..len];
    for (step, words) in words.chunks_exact_mut(width).enumerate() {
        let (words, rest) = words.split_at_mut(len);
        rest.fill(0);
        match packing {
            Packing::Single => single(line(step), words),
            Packing::Rounded => rounded_single(line(step), words),
            Packing::Pairs if 2 * step + 1 < lines => {
                pair(line(2 * step), line(2 * step + 1), words);
            }
            Packing::Pairs => half_pair(line(2 * step), words),
        }
    }
}

#[inline(always)]
fn single(numbers: &[f32], words: &mut [u32]) {
    for (word, v) in words.iter_mut().zip(numbers) {
        *word = v.to_bits();
    }
}

#[inline(always)]
fn rounded_single(numbers: &[f32], words: &mut [u32]) {
    for (word, v) in words.iter_mut().zip(numbers) {
        *word = rounded(*v) << 16;
    }
}

#[inline(always)]
fn pair(low: &[f32], high: &[f32], words: &mut [u32]) {
    for ((word, low), high) in words.iter_mut().zip(low).zip(high) {
        *word = rounded(*low) | rounded(*high) << 16;
    }
}

/// The last number along an odd `k`, beside a zero.
#[inline(always)]
fn half_pair(low: &[f32], words: &mut [u32]) {
    for (word, v) in words.iter_mut().zip(low) {
        *word = rounded(*v);
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
