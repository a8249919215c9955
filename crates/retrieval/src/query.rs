//! What is looked for: sounds and words together, and what it should not be.

use thiserror::Error;

use crate::embedding::{Embedding, EmbeddingError};

/// A search in one space, as the single vector that every window is multiplied with.
///
/// With wanted parts `pᵢ` of weight `wᵢ > 0` and unwanted parts `nⱼ` of weight `vⱼ > 0`, all of unit
/// length, a window `x` scores
///
/// ```text
/// score(x) = cos(x, Σᵢ wᵢ pᵢ) − Σⱼ vⱼ cos(x, nⱼ)
/// ```
///
/// after Rocchio (1971), except that the wanted parts are brought back to unit length first: with
/// one wanted part and none unwanted the score is exactly their cosine, two equal parts score like
/// one, and adding words does not change how strongly an unwanted part counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    direction: Vec<f32>,
}

/// Why parts do not make a query.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum QueryError {
    /// Nothing is wanted.
    #[error("nothing to look for: say what you want before what you do not want")]
    NothingWanted,
    /// A weight that is no weight.
    #[error("weight {weight} of a query's part is not a number above 0")]
    Weight {
        /// What was given.
        weight: f32,
    },
    /// Parts of different models.
    #[error("parts of {first} and {other} dimensions: they come from different models")]
    Dimensions {
        /// Of the first wanted part.
        first: usize,
        /// Of another.
        other: usize,
    },
    /// The wanted parts point in opposite directions and leave nothing.
    #[error("the wanted parts cancel each other")]
    Cancelled(#[source] EmbeddingError),
}

impl Query {
    /// Everything near one embedding.
    pub fn like(part: &Embedding) -> Self {
        Self {
            direction: part.as_slice().to_vec(),
        }
    }

    /// Parts with their weights; see [`Query`] for what they make together.
    ///
    /// # Errors
    ///
    /// [`QueryError`] where nothing is wanted, a weight is not above 0, dimensions differ, or the
    /// wanted parts cancel.
    pub fn new(
        wanted: &[(Embedding, f32)],
        unwanted: &[(Embedding, f32)],
    ) -> Result<Self, QueryError> {
        let (first, _) = wanted.first().ok_or(QueryError::NothingWanted)?;
        for (part, weight) in wanted.iter().chain(unwanted) {
            if !(weight.is_finite() && *weight > 0.0) {
                return Err(QueryError::Weight { weight: *weight });
            }
            if part.dim() != first.dim() {
                return Err(QueryError::Dimensions {
                    first: first.dim(),
                    other: part.dim(),
                });
            }
        }
        if let ([(part, _)], []) = (wanted, unwanted) {
            return Ok(Self::like(part)); // bit for bit, whatever its weight
        }
        let mut direction = Embedding::normalize(weighted_sum(wanted, first.dim()))
            .map_err(QueryError::Cancelled)?
            .as_slice()
            .to_vec();
        for (value, minus) in direction
            .iter_mut()
            .zip(weighted_sum(unwanted, first.dim()))
        {
            *value -= minus;
        }
        Ok(Self { direction })
    }

    /// The vector to multiply windows with. Of unit length only where nothing is unwanted.
    pub fn direction(&self) -> &[f32] {
        &self.direction
    }
}

fn weighted_sum(parts: &[(Embedding, f32)], dim: usize) -> Vec<f32> {
    let mut sum = vec![0.0_f32; dim];
    for (part, weight) in parts {
        for (sum, value) in sum.iter_mut().zip(part.as_slice()) {
            *sum += weight * value;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::dot;

    fn unit(values: &[f32]) -> Embedding {
        Embedding::normalize(values.to_vec()).unwrap()
    }

    #[test]
    fn dog_without_rain_by_hand() {
        let (dog, rain) = (unit(&[1.0, 0.0]), unit(&[0.0, 1.0]));
        let query = Query::new(&[(dog, 1.0)], &[(rain, 0.5)]).unwrap();
        // A clip of both, (0.6, 0.8): 0.6 − 0.5 · 0.8.
        assert!((dot(query.direction(), &[0.6, 0.8]) - 0.2).abs() < 1e-7);
        assert_eq!(dot(query.direction(), &[1.0, 0.0]), 1.0);
    }

    #[test]
    fn one_part_twice_is_that_part() {
        let dog = unit(&[0.6, 0.8]);
        let twice = Query::new(&[(dog.clone(), 2.0), (dog.clone(), 2.0)], &[]).unwrap();
        for (a, b) in twice.direction().iter().zip(dog.as_slice()) {
            assert!((a - b).abs() < 1e-7);
        }
        let once = Query::new(&[(dog.clone(), 3.0)], &[]).unwrap();
        assert_eq!(once.direction(), dog.as_slice());
    }

    #[test]
    fn what_makes_no_query_says_why() {
        let (east, west, deep) = (unit(&[1.0, 0.0]), unit(&[-1.0, 0.0]), unit(&[1.0; 3]));
        assert_eq!(
            Query::new(&[], &[(east.clone(), 1.0)]),
            Err(QueryError::NothingWanted)
        );
        assert!(matches!(
            Query::new(&[(east.clone(), f32::NAN)], &[]),
            Err(QueryError::Weight { .. })
        ));
        assert_eq!(
            Query::new(&[(east.clone(), 1.0)], &[(deep, 1.0)]),
            Err(QueryError::Dimensions { first: 2, other: 3 })
        );
        assert!(matches!(
            Query::new(&[(east, 1.0), (west, 1.0)], &[]),
            Err(QueryError::Cancelled(_))
        ));
    }
}
