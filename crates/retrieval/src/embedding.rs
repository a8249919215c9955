//! The one type every vector has: unit length, checked once.
//!
//! ```text
//! language model ──► EMBEDDING ──► store ──► exact search ──► ranking
//! ```

use thiserror::Error;

/// An embedding of unit length: never empty, all finite, `‖v‖₂` within 1e-5 of 1.
///
/// [`Embedding::normalize`] and [`Embedding::from_unit`] are the only ways to make one, so a dot
/// product of two of them *is* their cosine, and nobody normalizes twice.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding(Vec<f32>);

/// Why numbers are not an embedding.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum EmbeddingError {
    /// No dimensions at all.
    #[error("an embedding has at least one dimension; got none")]
    Empty,
    /// A NaN or an infinity.
    #[error(
        "dimension {at} of {dim} is {value}; the weights or the input hold a non-finite number"
    )]
    NotFinite {
        /// Index of the first such number.
        at: usize,
        /// How many there are in all.
        dim: usize,
        /// The number.
        value: f32,
    },
    /// Too short to have a direction.
    #[error("length {norm:e} is too small to have a direction")]
    NoDirection {
        /// Euclidean length.
        norm: f64,
    },
    /// Stored numbers that are not of unit length any more.
    #[error("length {norm} is not 1 within 1e-5; the stored vector is damaged")]
    NotUnit {
        /// Euclidean length.
        norm: f64,
    },
}

impl Embedding {
    /// Scales `values` to unit length (in `f64`, rounded once).
    ///
    /// # Errors
    ///
    /// [`EmbeddingError`] where `values` is empty, holds a NaN or an infinity, or is shorter than 1e-12.
    pub fn normalize(mut values: Vec<f32>) -> Result<Self, EmbeddingError> {
        let norm = checked_norm(&values)?;
        if norm < 1e-12 {
            return Err(EmbeddingError::NoDirection { norm });
        }
        for v in &mut values {
            *v = (f64::from(*v) / norm) as f32;
        }
        Ok(Self(values))
    }

    /// Takes numbers that were an [`Embedding`] before, such as those read from a store, bit for bit.
    ///
    /// # Errors
    ///
    /// As [`Embedding::normalize`], and [`EmbeddingError::NotUnit`] where the length has changed.
    pub fn from_unit(values: Vec<f32>) -> Result<Self, EmbeddingError> {
        let norm = checked_norm(&values)?;
        if (norm - 1.0).abs() > 1e-5 {
            return Err(EmbeddingError::NotUnit { norm });
        }
        Ok(Self(values))
    }

    /// The numbers.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// How many numbers.
    pub fn dim(&self) -> usize {
        self.0.len()
    }

    /// The cosine of the angle between two embeddings of one space.
    ///
    /// # Panics
    ///
    /// Where the dimensions differ: vectors of different models were mixed, which is our bug.
    pub fn cosine(&self, other: &Self) -> f32 {
        assert_eq!(self.dim(), other.dim(), "embeddings of different spaces");
        self.0
            .iter()
            .zip(&other.0)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum::<f64>() as f32
    }
}

fn checked_norm(values: &[f32]) -> Result<f64, EmbeddingError> {
    if values.is_empty() {
        return Err(EmbeddingError::Empty);
    }
    if let Some(at) = values.iter().position(|v| !v.is_finite()) {
        return Err(EmbeddingError::NotFinite {
            at,
            dim: values.len(),
            value: values[at],
        });
    }
    Ok(values
        .iter()
        .map(|v| f64::from(*v).powi(2))
        .sum::<f64>()
        .sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_four_becomes_six_eight_tenths() {
        let e = Embedding::normalize(vec![3.0, 4.0]).unwrap();
        assert_eq!(e.as_slice(), [0.6, 0.8]);
        let other = Embedding::normalize(vec![4.0, 3.0]).unwrap();
        assert!((e.cosine(&other) - 0.96).abs() < 1e-7);
    }

    #[test]
    fn what_has_no_direction_is_refused() {
        assert_eq!(Embedding::normalize(vec![]), Err(EmbeddingError::Empty));
        assert!(matches!(
            Embedding::normalize(vec![1.0, f32::NAN]),
            Err(EmbeddingError::NotFinite { at: 1, .. })
        ));
        assert!(matches!(
            Embedding::normalize(vec![0.0; 4]),
            Err(EmbeddingError::NoDirection { .. })
        ));
        assert!(matches!(
            Embedding::from_unit(vec![1.0, 1.0]),
            Err(EmbeddingError::NotUnit { .. })
        ));
    }
}
