//! A matrix where it lies.

use std::ops::Range;

use crate::{Dtype, Matrix};

/// A matrix `[rows, cols]` in someone's memory, one of whose axes is contiguous.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    values: Values<'a>,
    rows: usize,
    cols: usize,
    /// Numbers from one line of the contiguous axis to the next.
    stride: usize,
    /// Whether rows are contiguous; else columns are.
    by_row: bool,
}

#[derive(Debug, Clone, Copy)]
enum Values<'a> {
    F32(&'a [f32]),
    Stored(&'a [u8], Dtype),
}

impl<'a> View<'a> {
    /// `values [rows, cols]`, row-major.
    ///
    /// # Panics
    ///
    /// Where they are not as many numbers.
    pub fn new(values: &'a [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(
            Some(values.len()),
            rows.checked_mul(cols),
            "[{rows}, {cols}]"
        );
        Self::strided(values, rows, cols, cols)
    }

    /// Rows of `cols` numbers that are `stride` apart: some columns of a wider matrix.
    ///
    /// # Panics
    ///
    /// Where `values` ends before the last row does.
    pub fn strided(values: &'a [f32], rows: usize, cols: usize, stride: usize) -> Self {
        assert!(cols <= stride || rows <= 1);
        assert!(rows == 0 || (rows - 1) * stride + cols <= values.len());
        Self {
            values: Values::F32(values),
            rows,
            cols,
            stride,
            by_row: true,
        }
    }

    /// Stored weights, `[out, in]`.
    pub fn of(matrix: &'a Matrix) -> Self {
        Self {
            values: Values::Stored(matrix.bytes(), matrix.dtype()),
            rows: matrix.rows(),
            cols: matrix.cols(),
            stride: matrix.cols(),
            by_row: true,
        }
    }

    /// The transpose, where it lies.
    #[must_use]
    pub fn turned(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            by_row: !self.by_row,
            ..self
        }
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    pub(super) fn is_by_row(&self) -> bool {
        self.by_row
    }

    /// `len` numbers of line `line` of the contiguous axis from `start` on; `room` holds them where
    /// they are stored in another type.
    pub(super) fn run<'r>(
        &'r self,
        line: usize,
        start: usize,
        len: usize,
        room: &'r mut Vec<f32>,
    ) -> &'r [f32] {
        let at = line * self.stride + start;
        match self.values {
            Values::F32(values) => &values[at..at + len],
            Values::Stored(bytes, dtype) => {
                room.clear();
                let size = dtype.size();
                room.extend(dtype.widen(&bytes[at * size..(at + len) * size]));
                room
            }
        }
    }

    /// Of lines `lines` of the contiguous axis the `len` numbers from `start` on, and how far apart the
    /// lines are; `room` holds them where they are stored in another type.
    pub(super) fn block<'r>(
        &'r self,
        lines: Range<usize>,
        start: usize,
        len: usize,
        room: &'r mut Vec<f32>,
    ) -> (&'r [f32], usize) {
        let at = lines.start * self.stride + start;
        match self.values {
            Values::F32(values) => (&values[at.min(values.len())..], self.stride),
            Values::Stored(bytes, dtype) => {
                let size = dtype.size();
                room.clear();
                for line in 0..lines.len() {
                    let from = (at + line * self.stride) * size;
                    room.extend(dtype.widen(&bytes[from..from + len * size]));
                }
                (room, len)
            }
        }
    }
}
