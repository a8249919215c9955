//! Captions that share tags: pairs which are no negatives, and how much of a positive each is.
//!
//! ```text
//! tag caption ─► clusters of its tags ─► ClusterSet ─┐
//! long or short caption ─► None                      ├─► Overlap [batch, batch] ─► hybrid_nce
//!                                          all rows ─┘
//! ```

use serde::{Deserialize, Serialize};

use super::LossError;

/// The clusters a caption's tags fall into: sorted, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterSet(Vec<u32>);

impl FromIterator<u32> for ClusterSet {
    fn from_iter<I: IntoIterator<Item = u32>>(clusters: I) -> Self {
        let mut clusters: Vec<u32> = clusters.into_iter().collect();
        clusters.sort_unstable();
        clusters.dedup();
        Self(clusters)
    }
}

impl ClusterSet {
    /// The clusters, ascending.
    pub fn as_slice(&self) -> &[u32] {
        &self.0
    }

    /// Clusters in both over clusters in either, in `[0, 1]`; 0 where both are empty.
    pub fn intersection_over_union(&self, other: &Self) -> f32 {
        let (mut ours, mut theirs) = (self.0.as_slice(), other.0.as_slice());
        let mut shared = 0;
        while let ([a, ours_left @ ..], [b, theirs_left @ ..]) = (ours, theirs) {
            shared += usize::from(a == b);
            if a <= b {
                ours = ours_left;
            }
            if b <= a {
                theirs = theirs_left;
            }
        }
        if shared == 0 {
            return 0.0;
        }
        (shared as f64 / (self.0.len() + other.0.len() - shared) as f64) as f32
    }
}

/// When two captions' clusters count as overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverlapRule {
    /// 1 where the sets are the same and not empty, else 0. The released code, which weights by
    /// intersection over union, but only where that is 1.
    #[default]
    IdenticalSets,
    /// [`ClusterSet::intersection_over_union`], as the paper's text has it.
    IntersectionOverUnion,
}

/// How much of a positive caption `j` is to sound `i`: `[batch, batch]`, in `[0, 1]`, 0 on the diagonal
/// (a pair is its own positive anyway). Whatever is above 0 is not a negative.
#[derive(Debug, Clone, PartialEq)]
pub struct Overlap {
    batch: usize,
    values: Vec<f32>,
}

impl Overlap {
    /// Nothing shared: every other caption is a negative.
    pub fn none(batch: usize) -> Self {
        Self {
            batch,
            values: vec![0.0; batch * batch],
        }
    }

    /// By the clusters of each row's caption; `None` where its tag caption was not drawn, which
    /// overlaps with nothing.
    pub fn between(clusters: &[Option<&ClusterSet>], rule: OverlapRule) -> Self {
        let batch = clusters.len();
        let mut overlap = Self::none(batch);
        for (i, ours) in clusters.iter().enumerate() {
            for (j, theirs) in clusters.iter().enumerate().skip(i + 1) {
                let (Some(ours), Some(theirs)) = (ours, theirs) else {
                    continue;
                };
                let shared = match rule {
                    OverlapRule::IdenticalSets => {
                        f32::from(u8::from(ours == theirs && !ours.0.is_empty()))
                    }
                    OverlapRule::IntersectionOverUnion => ours.intersection_over_union(theirs),
                };
                overlap.values[i * batch + j] = shared;
                overlap.values[j * batch + i] = shared;
            }
        }
        overlap
    }

    /// Takes overlaps known from elsewhere, `[batch, batch]`, row-major.
    ///
    /// # Errors
    ///
    /// [`LossError::Shape`], or [`LossError::NotAnOverlap`] outside `[0, 1]` and above 0 on the diagonal.
    pub fn from_values(batch: usize, values: Vec<f32>) -> Result<Self, LossError> {
        if batch.checked_mul(batch) != Some(values.len()) {
            return Err(LossError::Shape {
                what: "overlap",
                rows: batch,
                columns: batch,
                got: values.len(),
            });
        }
        for (at, value) in values.iter().enumerate() {
            let (row, column) = (at / batch, at % batch);
            let most = if row == column { 0.0 } else { 1.0 };
            if !(0.0..=most).contains(value) {
                return Err(LossError::NotAnOverlap {
                    row,
                    column,
                    value: *value,
                });
            }
        }
        Ok(Self { batch, values })
    }

    /// How many pairs.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The numbers, row-major.
    pub fn as_slice(&self) -> &[f32] {
        &self.values
    }
}
