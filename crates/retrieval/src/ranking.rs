//! Windows, as ranked files with the spans that answer the query.
//!
//! A file scores as its best window: one second of barking in an hour of rain is a hit for "a dog
//! barking". Equal scores are ordered by path and then by time, so the same question always gets
//! the same list.

use std::cmp::Ordering;
use std::path::PathBuf;

use crate::exact::top_k;
use crate::query::Query;
use crate::vectors::{ContentId, Span, Vectors};

/// A file that may be an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Where it is; only used to order equal scores and to say which file was meant.
    pub path: PathBuf,
    /// What it holds.
    pub content: ContentId,
}

/// A span and its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoredSpan {
    /// Which part of the sound.
    pub span: Span,
    /// See [`Query`] for the scale.
    pub score: f32,
}

/// A file found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Index into the candidates.
    pub candidate: usize,
    /// The best window; its score is the file's.
    pub best: ScoredSpan,
    /// Further good windows, best first: none overlaps a better one, and there are no more than
    /// [`OTHER_SPANS`].
    pub others: Vec<ScoredSpan>,
}

/// How many spans beside the best one a hit carries.
pub const OTHER_SPANS: usize = 4;

/// The `k` best of `candidates`, best first. Candidates without vectors are left out.
pub fn rank(vectors: &Vectors, query: &Query, candidates: &[Candidate], k: usize) -> Vec<Hit> {
    let direction = query.direction();
    let contenders = candidates.iter().enumerate().filter_map(|(index, file)| {
        let rows = vectors.rows_of(file.content)?;
        let best = rows
            .map(|row| ScoredSpan {
                span: vectors.span(row),
                score: vectors.score(row, direction),
            })
            .reduce(|best, next| if beats(&next, &best) { next } else { best })?;
        Some(Contender { best, file, index })
    });
    top_k(contenders, k)
        .into_iter()
        .map(|contender| Hit {
            candidate: contender.index,
            best: contender.best,
            others: other_spans(vectors, direction, contender.file.content, contender.best),
        })
        .collect()
}

struct Contender<'c> {
    best: ScoredSpan,
    file: &'c Candidate,
    index: usize,
}

impl Ord for Contender<'_> {
    /// Greater is better: by score, then by the earlier path, then by the earlier start.
    fn cmp(&self, other: &Self) -> Ordering {
        (self.best.score.total_cmp(&other.best.score))
            .then_with(|| other.file.path.cmp(&self.file.path))
            .then_with(|| other.best.span.cmp(&self.best.span))
            .then_with(|| other.index.cmp(&self.index))
    }
}

impl PartialOrd for Contender<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Contender<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Contender<'_> {}

fn beats(a: &ScoredSpan, b: &ScoredSpan) -> bool {
    match a.score.total_cmp(&b.score) {
        Ordering::Greater => true,
        Ordering::Less => false,
        Ordering::Equal => a.span < b.span,
    }
}

fn other_spans(
    vectors: &Vectors,
    direction: &[f32],
    content: ContentId,
    best: ScoredSpan,
) -> Vec<ScoredSpan> {
    let mut windows: Vec<ScoredSpan> = vectors
        .rows_of(content)
        .into_iter()
        .flatten()
        .map(|row| ScoredSpan {
            span: vectors.span(row),
            score: vectors.score(row, direction),
        })
        .collect();
    windows.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.span.cmp(&b.span)));
    let mut kept = vec![best];
    for window in windows {
        if kept.len() > OTHER_SPANS {
            break;
        }
        if !kept.iter().any(|k| k.span.overlaps(&window.span)) {
            kept.push(window);
        }
    }
    kept.split_off(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedding::Embedding;
    use proptest::prelude::*;

    fn unit(values: &[f32]) -> Embedding {
        Embedding::normalize(values.to_vec()).unwrap()
    }

    fn span(start: u64, end: u64) -> Span {
        Span { start, end }
    }

    fn candidate(path: &str, content: i64) -> Candidate {
        Candidate {
            path: path.into(),
            content: ContentId(content),
        }
    }

    #[test]
    fn a_file_scores_as_its_best_window_and_names_it() {
        let mut vectors = Vectors::new(2);
        vectors.insert(
            ContentId(1),
            [
                (span(0, 30), unit(&[0.0, 1.0])),
                (span(25, 55), unit(&[1.0, 0.0])),
                (span(50, 80), unit(&[0.6, 0.8])),
                (span(75, 105), unit(&[0.8, 0.6])),
            ],
        );
        vectors.insert(ContentId(2), [(span(0, 10), unit(&[0.8, 0.6]))]);
        let candidates = [
            candidate("b.wav", 2),
            candidate("a.wav", 1),
            candidate("not-embedded.wav", 9),
        ];
        let hits = rank(&vectors, &Query::like(&unit(&[1.0, 0.0])), &candidates, 10);
        assert_eq!(hits.len(), 2);
        assert_eq!((hits[0].candidate, hits[0].best.span), (1, span(25, 55)));
        assert_eq!(hits[0].best.score, 1.0);
        // 50..80 overlaps the best one; 75..105 and 0..30: the first is better, the second overlaps.
        let others: Vec<Span> = hits[0].others.iter().map(|o| o.span).collect();
        assert_eq!(others, [span(75, 105)]);
        assert_eq!(hits[1].candidate, 0);
    }

    #[test]
    fn equal_scores_are_ordered_by_path() {
        let mut vectors = Vectors::new(1);
        vectors.insert(ContentId(1), [(span(0, 1), unit(&[1.0]))]);
        let candidates = ["c", "a", "b"].map(|path| candidate(path, 1));
        let hits = rank(&vectors, &Query::like(&unit(&[1.0])), &candidates, 2);
        let order: Vec<usize> = hits.iter().map(|h| h.candidate).collect();
        assert_eq!(order, [1, 2]);
    }

    proptest! {
        /// The whole path against the plainest thing that can be written.
        #[test]
        fn agrees_with_scoring_everything_and_sorting(
            files in prop::collection::vec(prop::collection::vec([-1.0_f32..1.0, -1.0_f32..1.0, 0.5_f32..1.0], 1..4), 1..30),
            query in [-1.0_f32..1.0, -1.0_f32..1.0, 0.5_f32..1.0],
            k in 1_usize..40,
        ) {
            let query = unit(&query);
            let mut vectors = Vectors::new(3);
            let mut candidates = Vec::new();
            let mut plain = Vec::new();
            for (i, windows) in files.iter().enumerate() {
                let windows: Vec<(Span, Embedding)> = windows
                    .iter()
                    .enumerate()
                    .map(|(w, v)| (span(w as u64 * 10, w as u64 * 10 + 10), unit(v)))
                    .collect();
                let best = windows.iter().map(|(_, e)| e.cosine(&query)).fold(f32::MIN, f32::max);
                plain.push((best, i));
                candidates.push(candidate(&format!("{i:03}"), i as i64));
                vectors.insert(ContentId(i as i64), windows);
            }
            plain.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let hits = rank(&vectors, &Query::like(&query), &candidates, k);
            prop_assert_eq!(hits.len(), k.min(files.len()));
            for (hit, (score, index)) in hits.iter().zip(&plain) {
                prop_assert!((hit.best.score - score).abs() < 1e-6);
                // Scores this close may swap: the plain sum is in f64.
                let own = plain.iter().find(|(_, i)| *i == hit.candidate).unwrap().0;
                prop_assert!(hit.candidate == *index || (own - score).abs() < 1e-6);
            }
        }
    }
}
