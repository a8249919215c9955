//! Two lists, by meaning and by words, as one.
//!
//! Reciprocal rank fusion (Cormack et al. 2009): a file scores `Σ 1 / (60 + its rank)` over the lists
//! it is in. Ranks are used because cosines and BM25 cannot be added. Three things are told apart that
//! plain fusion mixes up. Files of equal score share a rank, so that fifty switches by name are all
//! first by words and meaning decides among them. A file that has only some of the words counts by how
//! many. And words count more than meaning the less meaning has to say: see [`Weights`].

use std::collections::HashMap;
use std::hash::Hash;

/// Of the paper: how little the difference between the first ranks counts.
const K: f32 = 60.0;

/// How much each list counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Weights {
    /// By meaning.
    pub(super) meaning: f32,
    /// By words.
    pub(super) words: f32,
}

/// An entry of the list by words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Worded<T> {
    pub(super) item: T,
    pub(super) score: f32,
}

/// Both lists, best first, as items with their scores: 1 where an item is first in both.
pub(super) fn fuse<T: Copy + Eq + Hash>(
    meaning: &[T],
    words: &[Worded<T>],
    weights: Weights,
) -> HashMap<T, f32> {
    let most = (weights.meaning + weights.words) / (K + 1.0);
    let mut fused: HashMap<T, f32> = HashMap::new();
    for (rank, item) in meaning.iter().enumerate() {
        *fused.entry(*item).or_default() += weights.meaning / (K + 1.0 + rank as f32) / most;
    }
    let mut rank = 0;
    for (at, worded) in words.iter().enumerate() {
        if at > 0 && worded.score < words[at - 1].score {
            rank = at;
        }
        *fused.entry(worded.item).or_default() += weights.words / (K + 1.0 + rank as f32) / most;
    }
    fused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_in_both_is_one_and_equals_by_words_share_a_rank() {
        let words =
            [("a", 2.0), ("b", 2.0), ("c", 1.0)].map(|(item, score)| Worded { item, score });
        let weights = Weights {
            meaning: 1.0,
            words: 1.0,
        };
        let fused = fuse(&["a", "c", "d"], &words, weights);
        assert!((fused["a"] - 1.0).abs() < 1e-6);
        assert!((fused["b"] - 0.5).abs() < 1e-6);
        assert!((fused["c"] - 0.5 * (61.0 / 62.0 + 61.0 / 63.0)).abs() < 1e-6);
        assert!((fused["d"] - 0.5 * 61.0 / 63.0).abs() < 1e-6);
    }
}
