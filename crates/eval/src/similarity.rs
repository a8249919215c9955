//! A matrix of similarities, from memory or from a file another program wrote.
//!
//! ```text
//! .npy, .safetensors ─► SIMILARITY ─► places ─► figures
//!                       rows texts, columns clips, all finite
//! ```

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};

use crate::error::{EvalError, Place};
use crate::pool::Side;

/// Similarities `[texts, clips]`, row-major, every one of them finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Similarity {
    texts: usize,
    clips: usize,
    values: Vec<f32>,
}

/// Values that are not a [`Similarity`].
#[derive(Debug, Clone, PartialEq)]
pub enum NotSimilarity {
    /// Not as many values as rows times columns.
    Shape,
    /// A NaN or an infinity, at this row and column.
    NotFinite(usize, usize, f32),
}

impl Similarity {
    /// Rows are texts, columns clips.
    ///
    /// # Errors
    ///
    /// [`NotSimilarity`] for another number of values, or the first that is not finite.
    pub fn new(texts: usize, clips: usize, values: Vec<f32>) -> Result<Self, NotSimilarity> {
        if texts.checked_mul(clips) != Some(values.len()) {
            return Err(NotSimilarity::Shape);
        }
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(NotSimilarity::NotFinite(at / clips, at % clips, values[at])),
            None => Ok(Self {
                texts,
                clips,
                values,
            }),
        }
    }

    /// Reads `.safetensors`, tensor `similarity`, or `.npy` by its content. What was rounded is in the notes.
    ///
    /// # Errors
    ///
    /// [`EvalError`] naming the file, the place and what would help: another format or type, not two
    /// dimensions, an empty matrix, a NaN or an infinity.
    pub fn read(path: &Path) -> Result<(Self, Vec<String>), EvalError> {
        let bytes = fs::read(path).map_err(EvalError::reading(path))?;
        let named = path.extension().is_some_and(|e| e == "safetensors");
        let raw = if bytes.starts_with(NPY_MAGIC) {
            npy(path, &bytes)?
        } else if named {
            tensor(path, &bytes)?
        } else {
            return Err(EvalError::input(
                path,
                Place::Whole,
                "is neither .npy nor .safetensors",
                "numpy.save(path, similarity) or safetensors.numpy.save_file({'similarity': similarity}, path) \
                 writes one",
            ));
        };
        let mut notes = Vec::new();
        if raw.rounded {
            notes.push("similarities were f64 and are rounded to f32".to_owned());
        }
        match Self::new(raw.rows, raw.columns, raw.values) {
            Ok(similarity) => Ok((similarity, notes)),
            Err(NotSimilarity::NotFinite(row, column, value)) => Err(EvalError::input(
                path,
                Place::Cell(row, column),
                format!("is {value}"),
                "a similarity is a finite number; the embedding of that text or clip is damaged, make it again",
            )),
            Err(NotSimilarity::Shape) => Err(EvalError::input(
                path,
                Place::Whole,
                format!("does not hold {} x {} values", raw.rows, raw.columns),
                "the file is cut short: copy or write it again",
            )),
        }
    }

    /// How many rows.
    pub fn texts(&self) -> usize {
        self.texts
    }

    /// How many columns.
    pub fn clips(&self) -> usize {
        self.clips
    }

    /// All values, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// One text with every clip.
    pub fn row(&self, text: usize) -> &[f32] {
        &self.values[text * self.clips..(text + 1) * self.clips]
    }

    /// One row for each query of `side`: as it is, or [`Similarity::transposed`].
    pub fn oriented(&self, side: Side) -> Cow<'_, Self> {
        match side {
            Side::TextToAudio => Cow::Borrowed(self),
            Side::AudioToText => Cow::Owned(self.transposed()),
        }
    }

    /// The same with rows and columns exchanged: `[clips, texts]`.
    #[must_use]
    pub fn transposed(&self) -> Self {
        // In blocks, so that both sides stay in the cache.
        const BLOCK: usize = 32;
        let (rows, columns) = (self.texts, self.clips);
        let mut values = vec![0.0; self.values.len()];
        for row in (0..rows).step_by(BLOCK) {
            for column in (0..columns).step_by(BLOCK) {
                for r in row..(row + BLOCK).min(rows) {
                    for c in column..(column + BLOCK).min(columns) {
                        values[c * rows + r] = self.values[r * columns + c];
                    }
                }
            }
        }
        Self {
            texts: columns,
            clips: rows,
            values,
        }
    }
}

/// A matrix as the file has it.
struct Raw {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
    rounded: bool,
}

fn two_dimensions(path: &Path, shape: &[usize]) -> Result<(usize, usize), EvalError> {
    match shape {
        [rows, columns] if *rows > 0 && *columns > 0 => Ok((*rows, *columns)),
        _ => Err(EvalError::input(
            path,
            Place::Whole,
            format!("has shape {shape:?}"),
            "a similarity matrix has one row for each text and one column for each clip",
        )),
    }
}

fn wrong_type(path: &Path, found: &str) -> EvalError {
    EvalError::input(
        path,
        Place::Whole,
        format!("holds {found}"),
        "similarities are f32, f16, bf16 or f64: similarity.astype('float32') before saving",
    )
}

fn tensor(path: &Path, bytes: &[u8]) -> Result<Raw, EvalError> {
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| {
        EvalError::input(
            path,
            Place::Whole,
            format!("is not safetensors ({error})"),
            "write it again with safetensors.numpy.save_file",
        )
    })?;
    let tensor = tensors.tensor("similarity").map_err(|_| {
        let mut names = tensors.names();
        names.sort_unstable();
        names.truncate(8);
        EvalError::input(
            path,
            Place::Member("similarity".into()),
            format!("is not there; there is {}", names.join(", ")),
            "save the matrix under that key",
        )
    })?;
    let (rows, columns) = two_dimensions(path, tensor.shape())?;
    let data = tensor.data();
    let values = match tensor.dtype() {
        Dtype::F32 => floats(data, |b| f32::from_le_bytes(*b)),
        Dtype::F64 => floats(data, |b| f64::from_le_bytes(*b) as f32),
        Dtype::F16 => floats(data, |b| f16::from_le_bytes(*b).to_f32()),
        Dtype::BF16 => floats(data, |b| bf16::from_le_bytes(*b).to_f32()),
        other => return Err(wrong_type(path, &format!("{other:?}"))),
    };
    let rounded = tensor.dtype() == Dtype::F64;
    Ok(Raw {
        rows,
        columns,
        values,
        rounded,
    })
}

fn floats<const N: usize>(bytes: &[u8], number: impl Fn(&[u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<N>().0.iter().map(number).collect()
}

const NPY_MAGIC: &[u8] = b"\x93NUMPY";

/// The format of `numpy.lib.format`, versions 1 to 3: magic, version, length, a Python dictionary, data.
fn npy(path: &Path, bytes: &[u8]) -> Result<Raw, EvalError> {
    let damaged = |what: &str| {
        EvalError::input(
            path,
            Place::Whole,
            format!("is a damaged .npy file: {what}"),
            "write it again with numpy.save",
        )
    };
    let start = if bytes.get(6) == Some(&1) { 10 } else { 12 };
    let length = match bytes.get(8..start) {
        Some([a, b]) => usize::from(u16::from_le_bytes([*a, *b])),
        Some([a, b, c, d]) => u32::from_le_bytes([*a, *b, *c, *d]) as usize,
        _ => return Err(damaged("its header is cut off")),
    };
    let (header, data) = (bytes.get(start..).unwrap_or_default())
        .split_at_checked(length)
        .ok_or_else(|| damaged("its header is cut off"))?;
    let header = std::str::from_utf8(header).map_err(|_| damaged("its header is not text"))?;
    let member = |name: &str| {
        let (_, rest) = header.split_once(&format!("'{name}'"))?;
        Some(rest.trim_start().strip_prefix(':')?.trim_start())
    };
    let descr = member("descr").ok_or_else(|| damaged("it does not say its type"))?;
    // A structured type is a list, which no plain name matches.
    let descr = descr
        .strip_prefix('\'')
        .and_then(|rest| rest.split('\'').next())
        .unwrap_or("a structured type");
    let by_columns = match member("fortran_order") {
        Some(said) if said.starts_with("False") => false,
        Some(said) if said.starts_with("True") => true,
        _ => return Err(damaged("it does not say its order")),
    };
    let shape: Option<Vec<usize>> = member("shape").and_then(|said| {
        let (inside, _) = said.strip_prefix('(')?.split_once(')')?;
        let sizes = inside.split(',').map(str::trim).filter(|s| !s.is_empty());
        sizes.map(|size| size.parse().ok()).collect()
    });
    let shape = shape.ok_or_else(|| damaged("it does not say its shape"))?;
    let (rows, columns) = two_dimensions(path, &shape)?;
    let (values, width) = match descr {
        "<f4" => (floats(data, |b| f32::from_le_bytes(*b)), 4),
        "<f8" => (floats(data, |b| f64::from_le_bytes(*b) as f32), 8),
        "<f2" => (floats(data, |b| f16::from_le_bytes(*b).to_f32()), 2),
        other => return Err(wrong_type(path, &format!("`{other}`"))),
    };
    if (rows.checked_mul(columns)).and_then(|n| n.checked_mul(width)) != Some(data.len()) {
        return Err(damaged(&format!(
            "{} bytes of data for {rows} x {columns} values",
            data.len()
        )));
    }
    let mut raw = Raw {
        rows,
        columns,
        values,
        rounded: descr == "<f8",
    };
    if by_columns {
        raw.values = (0..rows)
            .flat_map(|row| (0..columns).map(move |column| column * rows + row))
            .map(|at| raw.values[at])
            .collect();
    }
    Ok(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy_bytes(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
        let fortran = if fortran { "True" } else { "False" };
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        let mut bytes = NPY_MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.bytes());
        bytes.extend(data);
        bytes
    }

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    fn read(name: &str, content: &[u8]) -> Result<(Similarity, Vec<String>), EvalError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        Similarity::read(&path)
    }

    #[test]
    fn two_by_three_in_either_order_of_npy() {
        let rows = npy_bytes(
            "<f4",
            false,
            "(2, 3)",
            &bytes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        );
        let columns = npy_bytes(
            "<f4",
            true,
            "(2, 3)",
            &bytes(&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]),
        );
        let (rows, notes) = read("a.npy", &rows).unwrap();
        assert!(notes.is_empty());
        assert_eq!(rows, read("a.npy", &columns).unwrap().0);
        assert_eq!(rows.row(1), [4.0, 5.0, 6.0]);
        assert_eq!(rows.transposed().row(2), [3.0, 6.0]);
    }

    #[test]
    fn what_is_no_matrix_of_numbers_is_refused_by_name_place_and_remedy() {
        let nan = npy_bytes("<f4", false, "(2, 2)", &bytes(&[1.0, 2.0, 3.0, f32::NAN]));
        let cases: [(&str, Vec<u8>, &str); 7] = [
            ("a.npy", nan, "row 1, column 1: is NaN"),
            (
                "a.npy",
                npy_bytes("<i8", false, "(1, 1)", &[0; 8]),
                "holds `<i8`",
            ),
            (
                "a.npy",
                npy_bytes("<f4", false, "(4,)", &[0; 16]),
                "shape [4]",
            ),
            (
                "a.npy",
                npy_bytes("<f4", false, "(2, 2)", &[0; 12]),
                "12 bytes of data",
            ),
            ("a.npy", NPY_MAGIC.to_vec(), "header is cut off"),
            ("a.safetensors", vec![1; 20], "is not safetensors"),
            ("a.csv", b"1,2".to_vec(), "neither .npy nor .safetensors"),
        ];
        for (name, content, expected) in cases {
            let error = read(name, &content).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("; "), "{error}");
        }
    }

    #[test]
    fn doubles_are_taken_and_the_rounding_is_told() {
        let data: Vec<u8> = [0.5_f64, 0.25]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        let (read, notes) = read("a.npy", &npy_bytes("<f8", false, "(1, 2)", &data)).unwrap();
        assert_eq!(read.row(0), [0.5, 0.25]);
        assert_eq!(notes.len(), 1);
    }
}
