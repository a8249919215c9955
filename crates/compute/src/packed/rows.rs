//! Activations as words.

use rayon::prelude::*;

use super::quantise::to_int8;
use super::{BLOCK, CHUNK, TILE_ROWS, Words};
use crate::cpu::each_isa::each_isa;

/// Where a row's scales stand behind its words of a chunk: one for each block, as `f32`.
pub(super) const SCALES: usize = CHUNK;
/// Where the sums of its whole numbers stand, times what makes weights positive, negative, as `i32`: what
/// sums of products begin with. One for each block of weights that share a scale.
pub(super) const SUMS: usize = SCALES + 8;

impl Words {
    /// Words from one row of a chunk to the next: a constant that is no power of two, so that rows do not
    /// share cache sets.
    pub(super) const fn stride(self) -> usize {
        match self {
            Words::Nibbles => SUMS + 32 + 8,
            _ => SUMS + 8,
        }
    }
}

/// The rows of a product in words, strip by strip of [`TILE_ROWS`], each chunk by chunk, row by row.
pub(super) struct Rows<'r> {
    kept: &'r [u32],
    words: Words,
    chunks: usize,
}

impl<'r> Rows<'r> {
    /// Turns `x [m, k]` into words, in `room`, which never shrinks.
    pub(super) fn new(words: Words, x: &[f32], k: usize, room: &'r mut Vec<u32>) -> Self {
        let chunks = k.div_ceil(words.chunk());
        let piece = TILE_ROWS * words.stride();
        let len = (x.len() / k).div_ceil(TILE_ROWS) * chunks * piece;
        if room.len() < len {
            room.resize(len, 0);
        }
        room[..len]
            .par_chunks_mut(chunks * piece)
            .zip(x.par_chunks(TILE_ROWS * k))
            .for_each(|(strip, x)| {
                for (i, row) in x.chunks_exact(k).enumerate() {
                    for (numbers, piece) in row.chunks(words.chunk()).zip(strip.chunks_mut(piece)) {
                        let room = &mut piece[i * words.stride()..][..words.stride()];
                        write(words, numbers, room);
                    }
                }
            });
        Self {
            kept: &room[..len],
            words,
            chunks,
        }
    }

    /// The words of one chunk of one strip. Rows that are missing hold what was there before.
    pub(super) fn piece(&self, strip: usize, chunk: usize) -> &'r [u32] {
        let piece = TILE_ROWS * self.words.stride();
        &self.kept[(strip * self.chunks + chunk) * piece..][..piece]
    }
}

/// One row's numbers of one chunk. Where they do not fill it, zeros follow.
fn write(words: Words, numbers: &[f32], room: &mut [u32]) {
    let (row, behind) = room.split_at_mut(CHUNK);
    match words {
        Words::Single | Words::Widened => {
            for (word, v) in row.iter_mut().zip(numbers) {
                *word = v.to_bits();
            }
            row[numbers.len()..].fill(0);
        }
        Words::Pairs => {
            row[numbers.len() / 2..].fill(0);
            // SAFETY: as many halves as the words have, borrowed exclusively; any bits are a number.
            let halves = unsafe {
                std::slice::from_raw_parts_mut(row.as_mut_ptr().cast::<u16>(), 2 * CHUNK)
            };
            round(numbers, &mut halves[..numbers.len()]);
        }
        Words::Quads | Words::Nibbles => {
            row[numbers.len().div_ceil(BLOCK) * BLOCK / 4..].fill(0);
            for (b, block) in numbers.chunks(BLOCK).enumerate() {
                let words_of_block = &mut row[b * BLOCK / 4..][..BLOCK / 4];
                // SAFETY: as many bytes as the words have, borrowed exclusively; any bits are a number.
                let quants = unsafe {
                    std::slice::from_raw_parts_mut(words_of_block.as_mut_ptr().cast::<i8>(), BLOCK)
                };
                behind[b] = to_int8(block, quants).to_bits();
                let (shared, above) = match words {
                    Words::Quads => (BLOCK, 128),
                    _ => (32, 8),
                };
                for (s, quants) in quants.chunks_exact(shared).enumerate() {
                    let sum: i32 = quants.iter().map(|q| i32::from(*q)).sum();
                    behind[SUMS - SCALES + b * BLOCK / shared + s] = (-above * sum).cast_unsigned();
                }
            }
        }
    }
}

each_isa! {
    /// The bits of the nearest bf16, ties to even. A NaN stays one.
    fn round(numbers: &[f32], halves: &mut [u16]) {
        for (half, v) in halves.iter_mut().zip(numbers) {
            let bits = v.to_bits();
            let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
            let nan = bits >> 16 | 0x40;
            *half = if bits & 0x7fff_ffff > 0x7f80_0000 { nan } else { nearest } as u16;
        }
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;

    #[test]
    fn rounding_is_that_of_the_library() {
        let numbers: Vec<f32> = (0..=u32::MAX).step_by(65_521).map(f32::from_bits).collect();
        let mut halves = vec![0; numbers.len()];
        round(&numbers, &mut halves);
        for (v, half) in numbers.iter().zip(halves) {
            assert_eq!(half, bf16::from_f32(*v).to_bits(), "{v}");
        }
    }

    #[test]
    fn a_short_row_is_followed_by_zeros_whatever_was_there() {
        let mut room = vec![7; 4 * 272];
        for words in [Words::Single, Words::Pairs, Words::Quads] {
            room.fill(7);
            let rows = Rows::new(words, &[1.0, -1.0, 0.5], 3, &mut room);
            let piece = rows.piece(0, 0);
            let used = match words {
                Words::Single => 3,
                Words::Pairs => 2,
                _ => 1,
            };
            assert!(piece[..used].iter().all(|w| *w != 7), "{words:?}");
            assert!(piece[used..CHUNK].iter().all(|w| *w == 0), "{words:?}");
            if words == Words::Quads {
                assert_eq!(piece[0].to_le_bytes().map(|b| b as i8), [127, -127, 64, 0]);
                assert_eq!(piece[SUMS].cast_signed(), -128 * 64);
            }
        }
    }
}
