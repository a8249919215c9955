//! The product of activations and weights that serving computes: where nearly all of the time goes.
//!
//! ```text
//! x [rows, k] ──► words along k, 8 rows at a time ────────┐
//!                                                         ├─► tiles of 8 × 48 ─► out [rows, n]
//! w [n, k] ─────► words along k, 48 outputs at a time ────┘
//!   stored: a chunk at a time, in each call · packed: once, in memory or in a file
//! ```
//!
//! `out[i, j] = Σ_k x[i, k] · w[j, k]`. A word of 32 bits holds the numbers of one activation or one
//! weight that are multiplied at one step: an `f32`, two bf16, four int8, or eight of 4 bits. Lanes run
//! along the outputs, so nothing is added up across lanes, and a machine multiplies whole words: the
//! same order serves AVX2, AVX-512, VNNI and plain code, so a packed file belongs to no machine.
//!
//! Weights are used straight from the memory map (each task turns a chunk of them into words in its
//! cache), or were packed before ([`Packed`]): the same words, hence the same bits. One layout serves
//! few rows and many. Few are bound by reading the weights, which stand in the order in which they are
//! read; many are bound by arithmetic, for which a tile takes 24 products from 11 loads.
//!
//! Each output is summed in an order set by `k` alone: chunks of at most `CHUNK` words, each summed
//! from zero and added to what is there. Neither threads nor neighbours change it.
//!
//! Integer forms scale blocks of 128 numbers on both sides, activations as they come: see
//! [`Form::Int8`] and [`Form::Int4`]. Their sums within a block are exact, so these two give the same
//! bits on every machine.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod fill;
mod portable;
mod quantise;
mod rows;
mod run;
mod tile;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::{Dtype, MappedFile, Matrix, MatrixError};
pub use run::{Start, Target, Weight, products, products_on};

/// Rows of one tile.
const TILE_ROWS: usize = 8;
/// Outputs of one panel: three vectors of 16 lanes.
const PANEL: usize = 48;
/// Outputs that a panel's width is rounded up to.
const LANES: usize = 16;
/// Words of activations between two visits of the output.
const CHUNK: usize = 256;
/// Numbers that share a scale in the integer forms, but for the weights of [`Form::Int4`].
const BLOCK: usize = 128;

/// In which type both sides of a product are taken. Sums are `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// Both as they are; weights of 16 bits are widened, exactly.
    F32,
    /// Both rounded to bf16.
    Bf16,
    /// Whole numbers of −127 to 127. Each 128 numbers along `k` of a row of activations, and of an
    /// output's weights, share a scale of their own: their greatest magnitude over 127.
    Int8,
    /// Weights of −8 to 7, each 32 along `k` with a scale in bf16; activations as for [`Form::Int8`].
    Int4,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Form::F32 => "f32",
            Form::Bf16 => "bf16",
            Form::Int8 => "int8",
            Form::Int4 => "int4",
        })
    }
}

/// How activations and weights stand in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Words {
    /// An `f32` on both sides.
    Single,
    /// Two bf16 weights; two activations of one `f32` each.
    Widened,
    /// Two bf16 on both sides.
    Pairs,
    /// Four int8. After each 32 words of weights stand their scales.
    Quads,
    /// Eight weights of 4 bits; activations as [`Words::Quads`]. After each 8 words of weights stand the
    /// scales of their two blocks, a bf16 each.
    Nibbles,
}

impl Words {
    /// For weights that are stored as `dtype`, or will be packed from it.
    fn choose(form: Form, dtype: Dtype) -> Self {
        match (form, dtype) {
            (Form::F32, Dtype::Bf16) => Words::Widened,
            (Form::F32, Dtype::F32 | Dtype::F16) => Words::Single,
            (Form::Bf16, _) => Words::Pairs,
            (Form::Int8, _) => Words::Quads,
            (Form::Int4, _) => Words::Nibbles,
        }
    }

    fn form(self) -> Form {
        match self {
            Words::Single | Words::Widened => Form::F32,
            Words::Pairs => Form::Bf16,
            Words::Quads => Form::Int8,
            Words::Nibbles => Form::Int4,
        }
    }

    /// Numbers along `k` of one whole chunk.
    fn chunk(self) -> usize {
        match self {
            Words::Single | Words::Widened => CHUNK,
            Words::Pairs => 2 * CHUNK,
            Words::Quads | Words::Nibbles => 4 * CHUNK,
        }
    }

    /// Lines of a panel (a word, or a scale, for each of its outputs) that `k` numbers take.
    fn lines(self, k: usize) -> usize {
        match self {
            Words::Single => k,
            Words::Widened | Words::Pairs => k.div_ceil(2),
            Words::Quads => k.div_ceil(BLOCK) * 33,
            Words::Nibbles => k.div_ceil(BLOCK) * 18,
        }
    }

    /// Whether activations take scales.
    fn is_integer(self) -> bool {
        matches!(self, Words::Quads | Words::Nibbles)
    }
}

/// A line of 16 words, as caches hold them.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([u32; LANES]);

/// Weights `[n, k]` in the order in which tiles read them, in memory of our own or in a mapped file.
#[derive(Debug, Clone)]
pub struct Packed {
    lines: Lines,
    words: Words,
    rows: usize,
    cols: usize,
}

#[derive(Debug, Clone)]
enum Lines {
    Mapped {
        file: Arc<MappedFile>,
        range: Range<usize>,
    },
    Owned(Arc<Vec<Line>>),
}

impl Packed {
    /// Packs `matrix`, all of it at once, in memory of our own.
    pub fn new(matrix: &Matrix, form: Form) -> Self {
        let words = Words::choose(form, matrix.dtype());
        let (rows, cols) = (matrix.rows(), matrix.cols());
        let depth = words.lines(cols);
        let mut lines = vec![Line([0; LANES]); rows.div_ceil(LANES) * depth];
        lines
            .par_chunks_mut((depth * PANEL / LANES).max(1))
            .enumerate()
            .for_each(|(p, panel)| {
                let width = width(rows, p);
                let outputs = p * PANEL..rows.min((p + 1) * PANEL);
                let mut rest = flat_mut(panel);
                for from in (0..cols).step_by(words.chunk()) {
                    let k = words.chunk().min(cols - from);
                    let (chunk, after) = rest.split_at_mut(words.lines(k) * width);
                    rest = after;
                    fill::fill(words, matrix, outputs.clone(), from..from + k, chunk);
                }
            });
        Self {
            lines: Lines::Owned(Arc::new(lines)),
            words,
            rows,
            cols,
        }
    }

    /// Weights that [`Packed::bytes`] once gave, in a mapped file. `stored`: the type they had before they
    /// were packed, which decides the words of [`Form::F32`].
    ///
    /// # Errors
    ///
    /// [`MatrixError`] where `range` is not inside the file, or not as long as the shape asks. It must
    /// begin at a multiple of four bytes, else the length is said to be 0.
    pub fn mapped(
        file: &Arc<MappedFile>,
        range: Range<usize>,
        (form, stored): (Form, Dtype),
        rows: usize,
        cols: usize,
    ) -> Result<Self, MatrixError> {
        let words = Words::choose(form, stored);
        let inside =
            range.start <= range.end && range.end <= file.len() && range.start.is_multiple_of(4);
        let range = if inside { range } else { 0..0 };
        let needed = Self::size((form, stored), rows, cols);
        if needed != Some(range.len()) {
            let found = range.len();
            return Err(MatrixError { needed, found });
        }
        Ok(Self {
            lines: Lines::Mapped {
                file: Arc::clone(file),
                range,
            },
            words,
            rows,
            cols,
        })
    }

    /// Bytes of packed weights of that shape; `None` where they overflow.
    pub fn size((form, stored): (Form, Dtype), rows: usize, cols: usize) -> Option<usize> {
        let words = Words::choose(form, stored);
        // A line is at most four times as long as its numbers and their scales.
        cols.checked_mul(16)?;
        let lines = words.lines(cols).checked_mul(rows.div_ceil(LANES))?;
        lines.checked_mul(size_of::<Line>())
    }

    /// Outputs.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Inputs.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The type of products.
    pub fn form(&self) -> Form {
        self.words.form()
    }

    /// All lines, to be written to a file.
    pub fn bytes(&self) -> &[u8] {
        match &self.lines {
            Lines::Mapped { file, range } => &file[range.clone()],
            Lines::Owned(lines) => {
                // SAFETY: lines have neither padding nor bytes that are not initialised.
                unsafe {
                    std::slice::from_raw_parts(lines.as_ptr().cast(), size_of_val(&lines[..]))
                }
            }
        }
    }

    /// All lines as words.
    fn flat(&self) -> &[u32] {
        let bytes = self.bytes();
        let start = bytes.as_ptr().cast::<u32>();
        assert!(
            bytes.is_empty() || start.is_aligned(),
            "checked where it was mapped"
        );
        // SAFETY: aligned by the assertion, whole words by the shape, and any bits are a word. No bytes
        // are at a place of their own.
        unsafe {
            if bytes.is_empty() {
                return &[];
            }
            std::slice::from_raw_parts(start, bytes.len() / 4)
        }
    }

    /// The words of one chunk of one panel: `[lines, width]`.
    fn chunk(&self, panel: usize, from: usize, k: usize) -> &[u32] {
        let width = width(self.rows, panel);
        let start = panel * PANEL * self.words.lines(self.cols) + self.words.lines(from) * width;
        &self.flat()[start..start + self.words.lines(k) * width]
    }

    /// The numbers that these weights stand for, `[n, k]`: what packing kept of them.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.rows * self.cols];
        for from in (0..self.cols).step_by(self.words.chunk()) {
            let k = self.words.chunk().min(self.cols - from);
            for p in 0..self.rows.div_ceil(PANEL) {
                let chunk = self.chunk(p, from, k);
                let outputs = p * PANEL..self.rows.min((p + 1) * PANEL);
                for (lane, j) in outputs.enumerate() {
                    let row = &mut out[j * self.cols + from..][..k];
                    fill::unfill(self.words, chunk, width(self.rows, p), lane, row);
                }
            }
        }
        out
    }
}

/// Outputs of panel `p` of `n`, rounded up to whole vectors.
fn width(n: usize, p: usize) -> usize {
    PANEL.min(n - p * PANEL).next_multiple_of(LANES)
}

fn flat_mut(lines: &mut [Line]) -> &mut [u32] {
    // SAFETY: a line is sixteen words without padding, borrowed exclusively.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * LANES) }
}
