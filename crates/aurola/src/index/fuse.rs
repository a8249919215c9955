//! Two lists, by meaning and by words, as one.
//!
//! Reciprocal rank fusion (Cormack et al. 2009): a file scores `Σ 1 / (60 + its rank)` over the lists
//! it is in. Ranks are used because cosines and BM25 cannot be added. Files that words cannot tell apart
//! are ranked by meaning among themselves: fifty switches by name are in the order in which they sound
//! like what was asked. Both lists count alike, so that what only one of them knows comes within the
//! first few, whichever it is.

use std::collections::HashMap;
use std::hash::Hash;

/// Of the paper: how little the difference between the first ranks counts.
const K: f32 = 60.0;

/// An entry of the list by words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Worded<T> {
    pub(super) item: T,
    pub(super) score: f32,
}

/// Both lists, best first, as items with their scores: 1 where an item is first in both.
pub(super) fn fuse<T: Copy + Eq + Hash>(meaning: &[T], words: &[Worded<T>]) -> HashMap<T, f32> {
    let rank_by_meaning: HashMap<T, usize> = meaning.iter().copied().zip(0..).collect();
    let mut words: Vec<&Worded<T>> = words.iter().collect();
    // Stable: those that meaning does not tell apart either stay as they were.
    words.sort_by(|a, b| {
        let by_meaning =
            |w: &Worded<T>| rank_by_meaning.get(&w.item).copied().unwrap_or(usize::MAX);
        (b.score.total_cmp(&a.score)).then_with(|| by_meaning(a).cmp(&by_meaning(b)))
    });
    let most = 2.0 / (K + 1.0);
    let mut fused: HashMap<T, f32> = HashMap::new();
    for list in [
        meaning.to_vec(),
        words.iter().map(|worded| worded.item).collect(),
    ] {
        for (rank, item) in list.into_iter().enumerate() {
            *fused.entry(item).or_default() += 1.0 / (K + 1.0 + rank as f32) / most;
        }
    }
    fused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_in_both_is_one_and_meaning_decides_among_equals_by_words() {
        let words =
            [("b", 2.0), ("a", 2.0), ("c", 1.0)].map(|(item, score)| Worded { item, score });
        let fused = fuse(&["a", "c", "d"], &words);
        assert!((fused["a"] - 1.0).abs() < 1e-6);
        assert!((fused["b"] - 0.5 * 61.0 / 62.0).abs() < 1e-6);
        assert!((fused["c"] - 0.5 * (61.0 / 62.0 + 61.0 / 63.0)).abs() < 1e-6);
        assert!((fused["d"] - 0.5 * 61.0 / 63.0).abs() < 1e-6);
    }
}
