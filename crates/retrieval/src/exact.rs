//! Exact scan: every stored vector against the query, nothing skipped.
//!
//! At 2,048 numbers a vector, 10,000 windows are 82 MB and one pass over memory. This is also the
//! definition that any faster search is measured against.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::distance::dot;
use crate::embedding::Embedding;

/// Unit vectors of one space, one after another: `[rows, dim]`, row-major.
#[derive(Debug, Clone)]
pub struct Matrix {
    dim: usize,
    values: Vec<f32>,
}

impl Matrix {
    /// An empty matrix for vectors of `dim` numbers, with room for `rows` of them.
    pub fn with_capacity(dim: usize, rows: usize) -> Self {
        Self {
            dim,
            values: Vec::with_capacity(dim * rows),
        }
    }

    /// Appends one row.
    ///
    /// # Panics
    ///
    /// Where `row` has another dimension: vectors of different spaces were mixed, which is our bug.
    pub fn push(&mut self, row: &Embedding) {
        assert_eq!(row.dim(), self.dim, "vectors of different spaces");
        self.values.extend_from_slice(row.as_slice());
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.values.len().checked_div(self.dim).unwrap_or(0)
    }

    /// How many numbers a row has.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Row `row`, from 0.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.dim..(row + 1) * self.dim]
    }

    /// The product of `query` with row `row`.
    pub fn score(&self, row: usize, query: &[f32]) -> f32 {
        dot(self.row(row), query)
    }
}

/// The `k` greatest items, greatest first. Needs memory for `k` items, whatever is offered.
pub fn top_k<T: Ord>(items: impl IntoIterator<Item = T>, k: usize) -> Vec<T> {
    // A heap whose top is the least of the best so far: most items are refused by one comparison.
    let mut best: BinaryHeap<Reverse<T>> = BinaryHeap::new();
    for item in items {
        if best.len() < k {
            best.push(Reverse(item));
        } else if let Some(mut least) = best.peek_mut()
            && item > least.0
        {
            *least = Reverse(item);
        }
    }
    best.into_sorted_vec()
        .into_iter()
        .map(|Reverse(item)| item)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_rows_by_hand() {
        let mut matrix = Matrix::with_capacity(2, 2);
        matrix.push(&Embedding::normalize(vec![3.0, 4.0]).unwrap());
        matrix.push(&Embedding::normalize(vec![0.0, 1.0]).unwrap());
        assert_eq!(matrix.rows(), 2);
        assert_eq!(matrix.score(0, &[1.0, 0.0]), 0.6);
        assert_eq!(matrix.score(1, &[1.0, 0.0]), 0.0);
    }

    #[test]
    fn the_best_two_of_five() {
        assert_eq!(top_k([3, 1, 4, 1, 5], 2), [5, 4]);
        assert_eq!(top_k([3, 1], 5), [3, 1]);
        assert!(top_k([3, 1], 0).is_empty());
    }

    proptest! {
        #[test]
        fn the_heap_keeps_what_sorting_would(items in prop::collection::vec(0_u32..50, 0..200), k in 0_usize..60) {
            let mut sorted = items.clone();
            sorted.sort_unstable_by(|a, b| b.cmp(a));
            sorted.truncate(k);
            prop_assert_eq!(top_k(items, k), sorted);
        }
    }
}
