//! Weights as words.

use std::cell::RefCell;
use std::ops::Range;

use half::bf16;

use super::quantise::{to_int4, to_int8};
use super::{BLOCK, LANES, Words};
use crate::{Dtype, Isa, Matrix};

thread_local! {
    /// One output's numbers or words, kept from call to call.
    static ROOM: RefCell<(Vec<f32>, Vec<u32>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// Writes the numbers `along` of the outputs `range`, which are one panel's, as `words`: `[lines, width]`.
/// Outputs and numbers that are missing are zeros.
pub(super) fn fill(
    words: Words,
    matrix: &Matrix,
    range: Range<usize>,
    along: Range<usize>,
    panel: &mut [u32],
) {
    let (first, outputs) = (range.start, range.len());
    let width = outputs.next_multiple_of(LANES);
    assert_eq!(panel.len(), words.lines(along.len()) * width);
    let raw = matches!(
        (words, matrix.dtype()),
        (Words::Single, Dtype::F32) | (Words::Widened | Words::Pairs, Dtype::Bf16)
    );
    let mut done = (0, 0);
    if raw {
        done = turn_words(matrix, first, outputs, &along, panel, width);
    }
    let (mut numbers, mut column) = ROOM.take();
    let size = matrix.dtype().size();
    for j in 0..width {
        // What was not turned: the last outputs, and the last words of the others.
        let from = if j < done.0 { done.1 } else { 0 };
        if j >= outputs {
            for line in panel.chunks_exact_mut(width) {
                line[j] = 0;
            }
            continue;
        }
        let per_word = if words == Words::Single { 1 } else { 2 };
        let start = if words.is_integer() {
            0
        } else {
            from * per_word
        };
        if start >= along.len() {
            continue;
        }
        let at = (first + j) * matrix.cols() + along.start;
        let bytes = &matrix.bytes()[(at + start) * size..(at + along.len()) * size];
        numbers.clear();
        numbers.extend(matrix.dtype().widen(bytes));
        column.clear();
        to_words(words, &numbers, &mut column);
        for (line, word) in panel.chunks_exact_mut(width).skip(from).zip(&column) {
            line[j] = *word;
        }
    }
    ROOM.set((numbers, column));
}

/// One output's numbers as its words, scales between them.
fn to_words(words: Words, numbers: &[f32], out: &mut Vec<u32>) {
    let bits = |v: f32| u32::from(bf16::from_f32(v).to_bits());
    match words {
        Words::Single => out.extend(numbers.iter().map(|v| v.to_bits())),
        Words::Widened | Words::Pairs => {
            let (pairs, rest) = numbers.as_chunks::<2>();
            out.extend(
                pairs
                    .iter()
                    .map(|[low, high]| bits(*low) | bits(*high) << 16),
            );
            out.extend(rest.iter().map(|v| bits(*v)));
        }
        Words::Quads => {
            for block in numbers.chunks(BLOCK) {
                let mut quants = [0; BLOCK];
                let scale = to_int8(block, &mut quants);
                // Weights are the side without a sign: 128 more than they are.
                out.extend(
                    quants
                        .as_chunks::<4>()
                        .0
                        .iter()
                        .map(|quad| u32::from_le_bytes(quad.map(|q| q.cast_unsigned() ^ 0x80))),
                );
                out.push(scale.to_bits());
            }
        }
        Words::Nibbles => {
            for block in numbers.chunks(BLOCK) {
                for half in 0..BLOCK / 64 {
                    let mut scales = 0;
                    for quarter in 0..2 {
                        let from = (half * 64 + quarter * 32).min(block.len());
                        let to = (from + 32).min(block.len());
                        let mut quants = [0; 32];
                        let scale = to_int4(&block[from..to], &mut quants);
                        let above = quants.map(|q| (q + 8).cast_unsigned());
                        // The low halves of a word's bytes are four numbers, the high halves the next four.
                        for eight in above.as_chunks::<8>().0 {
                            out.push(u32::from_le_bytes(std::array::from_fn(|i| {
                                eight[i] | eight[i + 4] << 4
                            })));
                        }
                        scales |= bits(scale) << (16 * quarter);
                    }
                    out.push(scales);
                }
            }
        }
    }
}

/// The numbers of one output, from the words of its chunk: the inverse of [`fill`], but for what rounding
/// took.
pub(super) fn unfill(words: Words, chunk: &[u32], width: usize, lane: usize, out: &mut [f32]) {
    let word = |line: usize| chunk[line * width + lane];
    let half = |word: u32, high: usize| f32::from_bits(word >> (16 * high) << 16);
    let byte = |word: u32, i: usize| (word >> (8 * i)) as u8;
    for (k, out) in out.iter_mut().enumerate() {
        *out = match words {
            Words::Single => f32::from_bits(word(k)),
            Words::Widened | Words::Pairs => half(word(k / 2), k % 2),
            Words::Quads => {
                let (block, within) = (k / BLOCK * 33, k % BLOCK);
                let quant = (byte(word(block + within / 4), within % 4) ^ 0x80).cast_signed();
                f32::from(quant) * f32::from_bits(word(block + 32))
            }
            Words::Nibbles => {
                let (two, within) = (k / 64 * 9, k % 64);
                let eight = byte(word(two + within / 8), within % 4);
                let quant = (eight >> (within % 8 / 4 * 4) & 15).cast_signed() - 8;
                f32::from(quant) * half(word(two + 8), within / 32)
            }
        };
    }
}

/// Turns as many whole squares of 16 outputs by 16 stored words as there are: how many outputs, and how
/// many words of each.
fn turn_words(
    matrix: &Matrix,
    first: usize,
    outputs: usize,
    along: &Range<usize>,
    panel: &mut [u32],
    width: usize,
) -> (usize, usize) {
    #[cfg(target_arch = "x86_64")]
    if Isa::best() >= Isa::Avx512 {
        let size = matrix.dtype().size();
        let squares = (outputs / LANES, along.len() * size / 64);
        let (stride, bytes) = (matrix.cols() * size, matrix.bytes());
        for group in 0..squares.0 {
            let start = (first + group * LANES) * stride + along.start * size;
            assert!(start + (LANES - 1) * stride + squares.1 * 64 <= bytes.len());
            for square in 0..squares.1 {
                let to = square * LANES * width + group * LANES;
                assert!(to + (LANES - 1) * width + LANES <= panel.len());
                // SAFETY: the machine has AVX-512; sixteen rows of 64 bytes, and sixteen lines of as many
                // words, are inside their slices by the assertions.
                unsafe {
                    turn(
                        bytes.as_ptr().add(start + square * 64),
                        stride,
                        panel.as_mut_ptr().add(to),
                        width,
                    );
                }
            }
        }
        return (squares.0 * LANES, squares.1 * LANES);
    }
    let _ = (matrix, first, outputs, along, panel, width, Isa::Plain);
    (0, 0)
}

/// A square of 16 by 16 words, rows as columns.
///
/// # Safety
///
/// The machine has AVX-512F; `from` is valid for 16 rows of 64 bytes that are `stride` bytes apart, `to`
/// for 16 rows of 16 words that are `width` apart.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn turn(from: *const u8, stride: usize, to: *mut u32, width: usize) {
    use std::arch::x86_64::*;
    // SAFETY: the caller's promise; loads and stores ask for no alignment.
    let rows: [__m512i; 16] =
        std::array::from_fn(|i| unsafe { _mm512_loadu_si512(from.add(i * stride).cast()) });
    let mut pairs = rows;
    for i in 0..8 {
        pairs[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
        pairs[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
    }
    let mut fours = pairs;
    for i in 0..4 {
        for half in 0..2 {
            let (a, b) = (pairs[4 * i + half], pairs[4 * i + 2 + half]);
            fours[4 * i + 2 * half] = _mm512_unpacklo_epi64(a, b);
            fours[4 * i + 2 * half + 1] = _mm512_unpackhi_epi64(a, b);
        }
    }
    // Column 4 q + c of rows 4 i .. 4 i + 4 is quarter q of `fours[4 i + c]`.
    for c in 0..4 {
        let low_even = _mm512_shuffle_i32x4::<0x88>(fours[c], fours[4 + c]);
        let low_odd = _mm512_shuffle_i32x4::<0xdd>(fours[c], fours[4 + c]);
        let high_even = _mm512_shuffle_i32x4::<0x88>(fours[8 + c], fours[12 + c]);
        let high_odd = _mm512_shuffle_i32x4::<0xdd>(fours[8 + c], fours[12 + c]);
        let columns = [
            _mm512_shuffle_i32x4::<0x88>(low_even, high_even),
            _mm512_shuffle_i32x4::<0x88>(low_odd, high_odd),
            _mm512_shuffle_i32x4::<0xdd>(low_even, high_even),
            _mm512_shuffle_i32x4::<0xdd>(low_odd, high_odd),
        ];
        for (q, column) in columns.into_iter().enumerate() {
            // SAFETY: as above.
            unsafe { _mm512_storeu_si512(to.add((4 * q + c) * width).cast(), column) };
        }
    }
}
