//! Scores, as the places of the right answers.
//!
//! Ties count against: a wrong answer that scores as high as a right one stands before it. So a system that
//! says the same of everything gets nothing, and no figure depends on the order in which clips are stored.

use std::cmp::Ordering;

use rayon::prelude::*;

use crate::metrics::Outcome;
use crate::pool::{Pool, Side};
use crate::similarity::Similarity;

/// The places, from 1, of the answers in `right` when all are ordered by `scores`, best first.
///
/// `right`: distinct indices into `scores`. The result ascends.
pub fn places<T: Copy + PartialOrd>(scores: &[T], right: &[usize]) -> Vec<u32> {
    let order = |a: &T, b: &T| b.partial_cmp(a).unwrap_or(Ordering::Equal);
    let mut own: Vec<T> = right.iter().map(|at| scores[*at]).collect();
    own.sort_by(order);
    let mut before = vec![0_u32; own.len()];
    // Each wrong answer stands before all right ones that it reaches.
    let mut is_right = right.to_vec();
    is_right.sort_unstable();
    let mut next_right = is_right.iter().peekable();
    for (at, score) in scores.iter().enumerate() {
        if next_right.next_if(|right| **right == at).is_some() {
            continue;
        }
        let reached = own.partition_point(|own| own > score);
        if let Some(count) = before.get_mut(reached) {
            *count += 1;
        }
    }
    let mut wrong = 0;
    (before.iter().zip(1..))
        .map(|(more, place)| {
            wrong += more;
            wrong + place
        })
        .collect()
}

/// Every query's part in the figures of one direction.
///
/// `oriented`: one row for each query of `side`, one column for each answer; see [`Similarity::oriented`].
pub fn outcomes(oriented: &Similarity, pool: &Pool, side: Side) -> Vec<Outcome> {
    (0..pool.queries(side))
        .into_par_iter()
        .map(|query| {
            let places = places(oriented.row(query), pool.right(side, query));
            Outcome::of(pool.unit(side, query), &places)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn by_hand_with_ties() {
        let scores = [0.9, 0.5, 0.5, 0.1, 0.5];
        assert_eq!(places(&scores, &[0]), [1]);
        // 1 ties with 2 and 4, which are wrong and stand before it.
        assert_eq!(places(&scores, &[1]), [4]);
        assert_eq!(places(&scores, &[1, 4]), [3, 4]);
        assert_eq!(places(&scores, &[3, 0]), [1, 5]);
        assert_eq!(places(&[0.3; 4], &[2]), [4]);
    }

    proptest! {
        /// Against the plainest definition, ties included.
        #[test]
        fn as_counting_says(scores in prop::collection::vec(0_u8..12, 1..40), right in prop::collection::btree_set(0_usize..40, 1..6)) {
            let right: Vec<usize> = right.into_iter().filter(|r| *r < scores.len()).collect();
            prop_assume!(!right.is_empty());
            let mut own: Vec<u8> = right.iter().map(|r| scores[*r]).collect();
            own.sort_unstable_by(|a, b| b.cmp(a));
            let wrong = |least: u8| (0..scores.len()).filter(|i| !right.contains(i) && scores[*i] >= least).count();
            let expected: Vec<u32> = own.iter().enumerate().map(|(i, s)| (wrong(*s) + i + 1) as u32).collect();
            prop_assert_eq!(places(&scores, &right), expected);
        }
    }
}
