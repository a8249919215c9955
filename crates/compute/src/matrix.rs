//! Weights of a linear layer, in the type and at the place the checkpoint has them.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use half::{bf16, f16};

use crate::MappedFile;

/// The type of a stored number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// 32-bit IEEE float.
    F32,
    /// The upper half of an `f32`: 8 bits of exponent, 7 of mantissa.
    Bf16,
    /// 16-bit IEEE float: 5 bits of exponent, 10 of mantissa.
    F16,
}

impl Dtype {
    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Dtype::F32 => 4,
            Dtype::Bf16 | Dtype::F16 => 2,
        }
    }

    /// Reads little-endian numbers as `f32`, exactly. `bytes` holds a whole number of them.
    pub fn widen(self, bytes: &[u8]) -> impl Iterator<Item = f32> {
        bytes.chunks_exact(self.size()).map(move |b| match self {
            Dtype::F32 => f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            Dtype::Bf16 => bf16::from_le_bytes([b[0], b[1]]).to_f32(),
            Dtype::F16 => f16::from_le_bytes([b[0], b[1]]).to_f32(),
        })
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Dtype::F32 => "f32",
            Dtype::Bf16 => "bf16",
            Dtype::F16 => "f16",
        })
    }
}

/// A matrix `[rows, cols]`, row-major, little-endian: for a linear layer `[out, in]`, as PyTorch
/// stores it.
#[derive(Debug, Clone)]
pub struct Matrix {
    bytes: Bytes,
    dtype: Dtype,
    rows: usize,
    cols: usize,
}

#[derive(Debug, Clone)]
enum Bytes {
    Mapped {
        file: Arc<MappedFile>,
        range: Range<usize>,
    },
    Owned(Arc<Vec<u8>>),
}

/// A range of bytes that is not the matrix it is said to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatrixError {
    /// Bytes that the shape and the type ask for; `None` where that overflows.
    pub needed: Option<usize>,
    /// Bytes there are.
    pub found: usize,
}

impl fmt::Display for MatrixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.needed {
            Some(needed) => write!(
                f,
                "the shape needs {needed} bytes, there are {}",
                self.found
            ),
            None => write!(f, "the shape overflows; there are {} bytes", self.found),
        }
    }
}

impl std::error::Error for MatrixError {}

impl Matrix {
    /// A matrix that is a part of a mapped file; nothing is copied, and no alignment is needed.
    ///
    /// # Errors
    ///
    /// [`MatrixError`] where `range` is not inside the file or not exactly `rows · cols` numbers.
    pub fn mapped(
        file: &Arc<MappedFile>,
        range: Range<usize>,
        dtype: Dtype,
        rows: usize,
        cols: usize,
    ) -> Result<Self, MatrixError> {
        // No bytes are at no place: what `bytes` hands out is inside the file.
        let range = if range.start <= range.end && range.end <= file.len() {
            range
        } else {
            0..0
        };
        check(range.len(), dtype, rows, cols)?;
        Ok(Self {
            bytes: Bytes::Mapped {
                file: Arc::clone(file),
                range,
            },
            dtype,
            rows,
            cols,
        })
    }

    /// A matrix of our own, from `f32` values rounded to `dtype`.
    ///
    /// # Errors
    ///
    /// [`MatrixError`] where `values` are not exactly `rows · cols` numbers.
    pub fn from_f32(
        values: &[f32],
        dtype: Dtype,
        rows: usize,
        cols: usize,
    ) -> Result<Self, MatrixError> {
        let bytes = narrow(values.iter().copied(), dtype, values.len());
        check(bytes.len(), dtype, rows, cols)?;
        Ok(Self {
            bytes: Bytes::Owned(Arc::new(bytes)),
            dtype,
            rows,
            cols,
        })
    }

    /// Outputs of the layer.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Inputs of the layer.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The stored type.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// All numbers, little-endian.
    pub fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Mapped { file, range } => &file[range.clone()],
            Bytes::Owned(bytes) => bytes,
        }
    }

    /// Says that the numbers will not be read soon; see [`MappedFile::release`].
    pub fn release(&self) {
        if let Bytes::Mapped { file, range } = &self.bytes {
            file.release(range.clone());
        }
    }

    /// One row, widened into `out [cols]`: how an embedding table is read.
    ///
    /// # Panics
    ///
    /// Where there is no such row or `out` has another length.
    pub fn row(&self, row: usize, out: &mut [f32]) {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        assert_eq!(out.len(), self.cols);
        let len = self.cols * self.dtype.size();
        let bytes = &self.bytes()[row * len..(row + 1) * len];
        for (o, v) in out.iter_mut().zip(self.dtype.widen(bytes)) {
            *o = v;
        }
    }

    /// The rows named, in that order, as a small matrix of its own.
    ///
    /// # Panics
    ///
    /// Where there is no such row.
    pub fn select_rows(&self, rows: &[usize]) -> Self {
        let len = self.cols * self.dtype.size();
        let all = self.bytes();
        let bytes: Vec<u8> = rows
            .iter()
            .flat_map(|&r| {
                assert!(r < self.rows, "row {r} of {}", self.rows);
                &all[r * len..(r + 1) * len]
            })
            .copied()
            .collect();
        Self {
            bytes: Bytes::Owned(Arc::new(bytes)),
            dtype: self.dtype,
            rows: rows.len(),
            cols: self.cols,
        }
    }

    /// The same numbers rounded to another type, in memory of our own; itself where it has that type.
    pub fn to_dtype(&self, dtype: Dtype) -> Self {
        if dtype == self.dtype {
            return self.clone();
        }
        let values = self.dtype.widen(self.bytes());
        Self {
            bytes: Bytes::Owned(Arc::new(narrow(values, dtype, self.rows * self.cols))),
            dtype,
            rows: self.rows,
            cols: self.cols,
        }
    }
}

/// `count` values, rounded to `dtype`, as little-endian bytes.
fn narrow(values: impl Iterator<Item = f32>, dtype: Dtype, count: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count * dtype.size());
    match dtype {
        Dtype::F32 => values.for_each(|v| bytes.extend(v.to_le_bytes())),
        Dtype::Bf16 => values.for_each(|v| bytes.extend(bf16::from_f32(v).to_le_bytes())),
        Dtype::F16 => values.for_each(|v| bytes.extend(f16::from_f32(v).to_le_bytes())),
    }
    bytes
}

fn check(found: usize, dtype: Dtype, rows: usize, cols: usize) -> Result<(), MatrixError> {
    let needed = rows
        .checked_mul(cols)
        .and_then(|n| n.checked_mul(dtype.size()));
    if needed == Some(found) {
        Ok(())
    } else {
        Err(MatrixError { needed, found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_every_type_are_read_back() {
        let values = [1.0, -2.5, 0.125, 3.0, 65.0, -0.5];
        for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F16] {
            let m = Matrix::from_f32(&values, dtype, 2, 3).unwrap();
            let mut row = [0.0; 3];
            m.row(1, &mut row);
            assert_eq!(row, [3.0, 65.0, -0.5], "{dtype}");
            let picked = m.select_rows(&[1, 0]);
            picked.row(1, &mut row);
            assert_eq!(row, [1.0, -2.5, 0.125], "{dtype}");
        }
    }

    #[test]
    fn another_type_has_the_same_numbers_rounded() {
        let m = Matrix::from_f32(&[1.0, 1.001, -3.0, 0.5], Dtype::F16, 2, 2).unwrap();
        let rounded = m.to_dtype(Dtype::Bf16);
        assert_eq!((rounded.rows(), rounded.cols()), (2, 2));
        let mut row = [0.0; 2];
        rounded.row(0, &mut row);
        assert_eq!(row, [1.0, 1.0]);
        rounded.row(1, &mut row);
        assert_eq!(row, [-3.0, 0.5]);
    }

    #[test]
    fn an_empty_matrix_has_no_bytes_wherever_it_is_said_to_be() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w");
        std::fs::write(&path, [0_u8; 16]).unwrap();
        let file = Arc::new(MappedFile::open(&path).unwrap());
        for (start, end) in [(20, 20), (usize::MAX, usize::MAX), (9, 4)] {
            let empty = Matrix::mapped(&file, start..end, Dtype::F32, 0, 3).unwrap();
            assert!(empty.bytes().is_empty());
        }
    }

    #[test]
    fn a_map_shorter_than_its_shape_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w");
        std::fs::write(&path, [0_u8; 16]).unwrap();
        let file = Arc::new(MappedFile::open(&path).unwrap());
        assert!(Matrix::mapped(&file, 0..16, Dtype::F32, 2, 2).is_ok());
        assert_eq!(
            Matrix::mapped(&file, 8..24, Dtype::F32, 2, 2).unwrap_err(),
            MatrixError {
                needed: Some(16),
                found: 0
            }
        );
        assert_eq!(
            Matrix::mapped(&file, 0..16, Dtype::F32, usize::MAX, 2).unwrap_err(),
            MatrixError {
                needed: None,
                found: 16
            }
        );
    }
}
