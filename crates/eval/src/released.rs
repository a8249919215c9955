//! The released code's numbers, for comparison: its metric, its export, and its fusion with the leak in it.
//!
//! ```text
//! similarity ─► metric ─► top-k export ─► (re-ranker) ─► audio-to-text fusion ─► text-to-audio fusion ─► metric
//!                                                        changes true cells only   on the changed matrix
//! ```
//!
//! What it gets wrong is kept here under its names, and is nowhere else:
//!
//! - **The leak.** The audio-to-text fusion adds the re-ranker's score to a caption only where the caption belongs to
//!   the query's own clip. Every wrong candidate's score is thrown away, so a re-ranker that knows nothing raises
//!   R@1.
//! - **A number read as a column.** The query's dataset number is used as its column, which is right only where clips
//!   come in that order.
//! - **One matrix.** Text-to-audio is fused into, and read from, the matrix that audio-to-text has changed.
//! - Ties are broken by the order of rows and columns, and figures are rounded to one decimal.

use std::collections::HashMap;

use serde::Serialize;

use crate::pool::{Pool, Side};
use crate::rerank::RerankFile;
use crate::similarity::Similarity;

/// One direction, rounded as the released code rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ReleasedFigures {
    /// R@1, one decimal.
    pub r1: f64,
    /// R@5, one decimal.
    pub r5: f64,
    /// R@10, one decimal.
    pub r10: f64,
    /// Mean of the three before rounding, then one decimal.
    pub mean: f64,
}

/// The places of each query's right answers, from 1, ascending, as a stable descending sort gives them.
fn stable_places(oriented: &Similarity, pool: &Pool, side: Side) -> Vec<Vec<u32>> {
    let places = |query: usize| {
        let row = oriented.row(query);
        let place = |at: &usize| {
            let own = row[*at];
            let before =
                |(other, score): &(usize, &f32)| **score > own || (**score == own && other < at);
            row.iter().enumerate().filter(before).count() as u32 + 1
        };
        let mut places: Vec<u32> = pool.right(side, query).iter().map(place).collect();
        places.sort_unstable();
        places
    };
    (0..pool.queries(side)).map(places).collect()
}

/// Text to audio, audio to text.
pub fn places(similarity: &Similarity, pool: &Pool) -> [Vec<Vec<u32>>; 2] {
    Side::BOTH.map(|side| stable_places(&similarity.oriented(side), pool, side))
}

impl ReleasedFigures {
    /// Of the best places.
    pub fn of(places: &[Vec<u32>]) -> Self {
        let best = |k: u32| {
            places
                .iter()
                .filter(move |p| p.first().is_some_and(|best| *best <= k))
        };
        let share = |k: u32| best(k).count() as f64 / places.len().max(1) as f64;
        let (r1, r5, r10) = (share(1), share(5), share(10));
        Self {
            r1: one_decimal(r1 * 100.0),
            r5: one_decimal(r5 * 100.0),
            r10: one_decimal(r10 * 100.0),
            mean: one_decimal((r1 + r5 + r10) / 3.0 * 100.0),
        }
    }
}

/// As Python's `round(x, 1)`: the nearest decimal to the exact binary value, which is how Rust prints.
fn one_decimal(value: f64) -> f64 {
    format!("{value:.1}").parse().unwrap_or(value)
}

/// The best `k` of each query, as the released code exports them for its re-ranker: for each clip, texts as
/// `id:n` (the n-th text of that clip), and for each text, ids of clips. `k` is cut to what there is.
pub fn top_k(
    similarity: &Similarity,
    pool: &Pool,
    k: usize,
) -> (Vec<Vec<String>>, Vec<Vec<String>>) {
    let k = k.min(similarity.texts()).min(similarity.clips());
    let names = text_names(pool);
    let best = |row: &[f32]| -> Vec<usize> {
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
        order.truncate(k);
        order
    };
    let by_clip = similarity.transposed();
    let texts = (0..by_clip.texts()).map(|clip| {
        let order = best(by_clip.row(clip));
        order.into_iter().map(|text| names[text].clone()).collect()
    });
    let clips = (0..similarity.texts()).map(|text| {
        let order = best(similarity.row(text));
        order
            .into_iter()
            .map(|clip| pool.clips()[clip].clone())
            .collect()
    });
    (texts.collect(), clips.collect())
}

/// `id:n` for every text: the n-th text, from 0, of its clip.
pub(crate) fn text_names(pool: &Pool) -> Vec<String> {
    let mut counts: HashMap<usize, usize> = HashMap::new();
    (0..pool.texts())
        .map(|text| {
            let clip = pool.clips_of(text)[0];
            let count = counts.entry(clip).or_default();
            *count += 1;
            format!("{}:{}", pool.clips()[clip], *count - 1)
        })
        .collect()
}

/// The released fusion of one direction, on a matrix that is changed in place. For [`Side::AudioToText`] this is
/// the leak.
pub fn fuse(similarity: &mut Similarity, pool: &Pool, file: &RerankFile, side: Side) {
    let (texts, clips) = (similarity.texts(), similarity.clips());
    let names = text_names(pool);
    let row_of: HashMap<&str, usize> = names.iter().map(String::as_str).zip(0..).collect();
    let column_of: HashMap<&str, usize> =
        pool.clips().iter().map(String::as_str).zip(0..).collect();
    let judged = file.side(side);
    let alpha = judged.alpha as f32;
    let mut values = similarity.values().to_vec();
    for (query, candidates) in judged.queries() {
        for (candidate, score) in candidates {
            let cell = match side {
                Side::AudioToText => {
                    // The number of the query is taken for its column, and other clips' texts are passed over.
                    let column = query.parse().ok().filter(|column: &usize| *column < clips);
                    let own = column.map(|column| pool.clips()[column].as_str());
                    let of_own = candidate.rsplit_once(':').map(|(id, _)| id) == own;
                    let row = row_of.get(candidate.as_str()).filter(|_| of_own);
                    row.copied().zip(column)
                }
                Side::TextToAudio => (row_of.get(query.as_str()).copied())
                    .zip(column_of.get(candidate.as_str()).copied()),
            };
            if let Some((row, column)) = cell {
                values[row * clips + column] += alpha * score;
            }
        }
    }
    *similarity = Similarity::new(texts, clips, values)
        .expect("a finite similarity and a bounded weight of a probability are finite");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_pythons() {
        // round(0.25, 1) is 0.2, round(0.35, 1) is 0.3 and round(84.05, 1) is 84.0 in Python: none of them is
        // exact in binary but the first, which goes to even.
        assert_eq!(one_decimal(0.25), 0.2);
        assert_eq!(one_decimal(0.35), 0.3);
        assert_eq!(one_decimal(2.0 / 3.0 * 100.0), 66.7);
    }

    #[test]
    fn equals_stand_in_the_order_of_columns() {
        let similarity = Similarity::new(2, 2, vec![0.5, 0.5, 0.5, 0.5]).unwrap();
        let ids = ["a", "b"].map(String::from).to_vec();
        let pool = Pool::new(ids, vec![vec![0], vec![1]]).unwrap();
        let expected = vec![vec![1], vec![2]];
        assert_eq!(places(&similarity, &pool), [expected.clone(), expected]);
    }
}
