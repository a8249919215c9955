//! Places, as figures.
//!
//! | figure | of one query, over all its right answers |
//! |---|---|
//! | R@k | 100 where the best of them is among the first k, else 0 |
//! | mean | of R@1, R@5 and R@10 |
//! | median rank | the place of the best of them; the median over queries, between two the middle |
//! | mAP@10 | precision at each of them among the first 10, summed, over how many there are (trec_eval's `map_cut_10`) |
//! | nDCG@10 | 1 / log2(place + 1) summed over those among the first 10, over the most that sum can be |
//!
//! All in percent but the median rank, which counts from 1.

use serde::{Deserialize, Serialize};

/// How many of the first answers mAP and nDCG look at.
pub const DEPTH: u32 = 10;

/// One query's part in every figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The clip (for texts that describe one clip) or query it belongs to: what is drawn anew for an interval.
    pub unit: usize,
    /// Place of the best right answer, from 1.
    pub place: u32,
    /// Average precision among the first 10, in `[0, 1]`.
    pub ap10: f64,
    /// Normalised discounted cumulative gain among the first 10, in `[0, 1]`.
    pub ndcg10: f64,
}

impl Outcome {
    /// Of the places of a query's right answers, ascending and not empty.
    pub fn of(unit: usize, places: &[u32]) -> Self {
        let discount = |place: u32| 1.0 / f64::from(place + 1).log2();
        let seen = || places.iter().take_while(|place| **place <= DEPTH);
        let precisions: f64 = (seen().zip(1..))
            .map(|(place, found)| f64::from(found) / f64::from(*place))
            .sum();
        let gain: f64 = seen().map(|place| discount(*place)).sum();
        let best: f64 = (1..=DEPTH).take(places.len()).map(discount).sum();
        Self {
            unit,
            place: places.first().copied().unwrap_or(u32::MAX),
            ap10: precisions / places.len().max(1) as f64,
            ndcg10: if best > 0.0 { gain / best } else { 0.0 },
        }
    }
}

/// One direction's figures, in percent but the median rank.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// R@1.
    pub r1: f64,
    /// R@5.
    pub r5: f64,
    /// R@10.
    pub r10: f64,
    /// Mean of the three.
    pub mean: f64,
    /// From 1.
    pub median_rank: f64,
    /// mAP@10.
    pub map10: f64,
    /// nDCG@10.
    pub ndcg10: f64,
}

/// The names of [`Figures`], in order.
pub const NAMES: [&str; 7] = ["r1", "r5", "r10", "mean", "median_rank", "map10", "ndcg10"];

impl Figures {
    /// Over all queries; all zero where there are none.
    pub fn of(outcomes: &[Outcome]) -> Self {
        let mut sums = Sums::default();
        let mut places = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            sums.add(outcome);
            places.push(outcome.place);
        }
        sums.figures(&mut places)
    }

    /// In the order of [`NAMES`].
    pub fn values(&self) -> [f64; 7] {
        [
            self.r1,
            self.r5,
            self.r10,
            self.mean,
            self.median_rank,
            self.map10,
            self.ndcg10,
        ]
    }

    /// The inverse of [`Figures::values`].
    pub fn from_values([r1, r5, r10, mean, median_rank, map10, ndcg10]: [f64; 7]) -> Self {
        Self {
            r1,
            r5,
            r10,
            mean,
            median_rank,
            map10,
            ndcg10,
        }
    }
}

/// What figures are made of, so that units can be drawn without going through their queries again.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sums {
    queries: u32,
    within: [u32; 3],
    ap10: f64,
    ndcg10: f64,
}

impl Sums {
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        self.queries += 1;
        for (count, k) in self.within.iter_mut().zip([1, 5, 10]) {
            *count += u32::from(outcome.place <= k);
        }
        self.ap10 += outcome.ap10;
        self.ndcg10 += outcome.ndcg10;
    }

    pub(crate) fn add_all(&mut self, other: &Self) {
        self.queries += other.queries;
        for (count, more) in self.within.iter_mut().zip(other.within) {
            *count += more;
        }
        self.ap10 += other.ap10;
        self.ndcg10 += other.ndcg10;
    }

    /// `places`: of all queries; left in another order.
    pub(crate) fn figures(&self, places: &mut [u32]) -> Figures {
        let of = f64::from(self.queries.max(1));
        let [r1, r5, r10] = self.within.map(|count| 100.0 * f64::from(count) / of);
        Figures {
            r1,
            r5,
            r10,
            mean: (r1 + r5 + r10) / 3.0,
            median_rank: median(places),
            map10: 100.0 * self.ap10 / of,
            ndcg10: 100.0 * self.ndcg10 / of,
        }
    }
}

fn median(places: &mut [u32]) -> f64 {
    if places.is_empty() {
        return 0.0;
    }
    let middle = places.len() / 2;
    let odd = places.len() % 2 == 1;
    let (below, upper, _) = places.select_nth_unstable(middle);
    let upper = f64::from(*upper);
    match below.iter().max() {
        Some(lower) if !odd => (f64::from(*lower) + upper) / 2.0,
        _ => upper,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_queries_by_hand() {
        let outcomes: Vec<Outcome> = [&[1][..], &[3], &[8], &[40]]
            .into_iter()
            .enumerate()
            .map(|(unit, places)| Outcome::of(unit, places))
            .collect();
        let figures = Figures::of(&outcomes);
        assert_eq!((figures.r1, figures.r5, figures.r10), (25.0, 50.0, 75.0));
        assert_eq!((figures.mean, figures.median_rank), (50.0, 5.5));
        assert!((figures.map10 - 25.0 * (1.0 + 1.0 / 3.0 + 1.0 / 8.0)).abs() < 1e-12);
        // 1/log2(2), 1/log2(4), 1/log2(9).
        assert!((figures.ndcg10 - 25.0 * (1.0 + 0.5 + 0.315_464_876_785_729)).abs() < 1e-9);
    }

    /// Five captions at places 1, 2, 5, 11 and 30: trec_eval's `map_cut_10` is (1 + 1 + 3/5) / 5, its
    /// `ndcg_cut_10` (1 + 0.63093 + 0.38685) / 2.94846.
    #[test]
    fn several_right_answers_as_trec_eval_counts_them() {
        let outcome = Outcome::of(0, &[1, 2, 5, 11, 30]);
        assert_eq!(outcome.place, 1);
        assert!((outcome.ap10 - 0.52).abs() < 1e-12);
        assert!((outcome.ndcg10 - 0.684_351).abs() < 1e-5);
    }

    #[test]
    fn the_median_of_an_odd_number_is_one_of_them() {
        assert_eq!(median(&mut [9, 1, 4]), 4.0);
        assert_eq!(median(&mut [4, 1]), 2.5);
        assert_eq!(median(&mut []), 0.0);
    }
}
