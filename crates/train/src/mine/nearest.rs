//! Exact search for all rows at once: clips × captions and captions × clips, a block of rows at a time.

use std::collections::HashMap;
use std::ops::ControlFlow;

use aurola_compute::{Matrix, Precision, matmul_nt};
use rayon::prelude::*;

use super::rule::{Kin, Rule, Same, Tally, choose};

/// Similarities that are in memory at a time: 64 MiB.
const BLOCK: usize = 16 << 20;

/// Hard negatives of every row, in the order of rows.
pub(super) struct Found {
    pub(super) negatives: Vec<Vec<usize>>,
    pub(super) tally: Tally,
    /// The mean similarity of a query to its own.
    pub(super) own: f64,
}

/// Chooses among all `candidates [rows, dim]` for each of `queries [rows, dim]`. Neither the size of
/// blocks nor the number of threads changes the result.
///
/// `moved` sees how many rows are done, and may end it: the result is then `None`.
pub(super) fn search(
    queries: &Matrix,
    candidates: &Matrix,
    rule: &Rule,
    kin: &impl Kin,
    moved: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Option<Found> {
    let block = (BLOCK / candidates.rows().max(1)).clamp(1, 256);
    blocked(queries, candidates, rule, kin, block, moved)
}

fn blocked(
    queries: &Matrix,
    candidates: &Matrix,
    rule: &Rule,
    kin: &impl Kin,
    block: usize,
    moved: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Option<Found> {
    let (rows, dim) = (queries.rows(), queries.cols());
    let mut found = Found {
        negatives: Vec::with_capacity(rows),
        tally: Tally::default(),
        own: 0.0,
    };
    let mut x = vec![0.0; block * dim];
    let mut similarities = vec![0.0; block * rows];
    for from in (0..rows).step_by(block) {
        let n = block.min(rows - from);
        for (at, row) in x.chunks_exact_mut(dim).take(n).enumerate() {
            queries.row(from + at, row);
        }
        let out = &mut similarities[..n * rows];
        matmul_nt(&x[..n * dim], n, candidates, Precision::F32, out);
        let chosen: Vec<(Vec<usize>, Tally)> = out
            .par_chunks_exact(rows)
            .enumerate()
            .map(|(at, row)| choose(from + at, row, rule, kin))
            .collect();
        for (at, (negatives, tally)) in chosen.into_iter().enumerate() {
            found.own += f64::from(similarities[at * rows + from + at]) / rows as f64;
            found.tally = found.tally.and(tally);
            found.negatives.push(negatives);
        }
        if moved(from + n).is_break() {
            return None;
        }
    }
    Some(found)
}

/// Rows as they are compared with each other: by what is written of them, then by their vectors.
pub(super) struct Rows<'a> {
    /// `[rows, dim]`, of any length.
    pub(super) captions: &'a Matrix,
    /// `[rows, dim]`, of length 1.
    pub(super) clips: &'a Matrix,
    pub(super) marks: &'a [Numbered],
    pub(super) same: f32,
}

/// What is written of a row, as numbers: equal where it is the same.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Numbered {
    id: usize,
    sound: usize,
    /// Of all its tags together; `None` where it has none.
    tags: Option<usize>,
    captions: Vec<usize>,
}

/// Gives texts numbers.
#[derive(Debug, Default)]
pub(super) struct Numbers(HashMap<String, usize>);

impl Numbers {
    fn of(&mut self, what: &str, text: &str) -> usize {
        let next = self.0.len();
        *self.0.entry(format!("{what}\0{text}")).or_insert(next)
    }

    /// What is written of a row. `tags` and `captions` are in the form in which they are compared.
    pub(super) fn row(
        &mut self,
        id: &str,
        sound: &str,
        tags: &[String],
        captions: &[String],
    ) -> Numbered {
        Numbered {
            id: self.of("id", id),
            sound: self.of("sound", sound),
            tags: (!tags.is_empty()).then(|| self.of("tags", &tags.join("\0"))),
            captions: captions.iter().map(|c| self.of("caption", c)).collect(),
        }
    }
}

impl Kin for Rows<'_> {
    fn is_positive(&self, query: usize, candidate: usize) -> bool {
        let (ours, theirs) = (&self.marks[query], &self.marks[candidate]);
        ours.id == theirs.id
            || ours.sound == theirs.sound
            || ours.tags.is_some() && ours.tags == theirs.tags
            || ours
                .captions
                .iter()
                .any(|own| theirs.captions.contains(own))
    }

    fn same(&self, query: usize, candidate: usize) -> Option<Same> {
        if self.same >= 1.0 {
            return None;
        }
        if cosine(self.captions, query, candidate) > self.same {
            return Some(Same::Caption);
        }
        (cosine(self.clips, query, candidate) > self.same).then_some(Same::Clip)
    }
}

/// The cosine of two rows; NaN where one has no length.
fn cosine(of: &Matrix, one: usize, other: usize) -> f32 {
    let (mut a, mut b) = (vec![0.0; of.cols()], vec![0.0; of.cols()]);
    of.row(one, &mut a);
    of.row(other, &mut b);
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
        products.sum()
    };
    (dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use aurola_compute::Dtype;

    fn matrix(rows: &[[f32; 2]]) -> Matrix {
        Matrix::from_f32(&rows.concat(), Dtype::F32, rows.len(), 2).unwrap()
    }

    fn numbered(rows: &[(&str, &str, &[&str], &[&str])]) -> Vec<Numbered> {
        let mut numbers = Numbers::default();
        let owned = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        let rows = rows.iter();
        rows.map(|(id, sound, tags, said)| numbers.row(id, sound, &owned(tags), &owned(said)))
            .collect()
    }

    #[test]
    fn what_is_written_makes_rows_each_others_positives() {
        let marks = numbered(&[
            ("a", "a.wav", &["dog"], &["a dog", "barking"]),
            ("b", "b.wav", &["dog"], &["a hound"]),
            ("c", "c.wav", &[], &["barking"]),
            ("d", "d.wav", &[], &["dog"]),
            ("a", "e.wav", &[], &["rain"]),
            ("f", "d.wav", &["wind"], &["a.wav"]),
        ]);
        let vectors = matrix(&[[1.0, 0.0]; 6]);
        let rows = Rows {
            captions: &vectors,
            clips: &vectors,
            marks: &marks,
            same: 1.0,
        };
        let right: Vec<(usize, usize)> = (0..6)
            .flat_map(|a| (a + 1..6).map(move |b| (a, b)))
            .filter(|(a, b)| rows.is_positive(*a, *b))
            .collect();
        assert_eq!(right, [(0, 1), (0, 2), (0, 4), (3, 5)]);
    }

    #[test]
    fn the_same_thing_is_known_by_its_caption_first() {
        let captions = matrix(&[[0.5, 0.0], [0.3, 0.4], [0.7, 0.0], [0.0, 0.0]]);
        let clips = matrix(&[[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]);
        let rows = Rows {
            captions: &captions,
            clips: &clips,
            marks: &[],
            same: 0.95,
        };
        assert!((cosine(&captions, 0, 1) - 0.6).abs() < 1e-6);
        assert_eq!(rows.same(0, 1), Some(Same::Clip));
        assert_eq!(rows.same(0, 2), Some(Same::Caption));
        assert_eq!(rows.same(0, 3), None);
        assert_eq!(Rows { same: 1.0, ..rows }.same(0, 2), None);
    }

    #[test]
    fn blocks_of_any_size_find_the_same() {
        let turned = |by: f32| -> Vec<[f32; 2]> {
            let angles = (0..11_u8).map(|at| f32::from(at) * by);
            angles.map(|a| [a.cos(), a.sin()]).collect()
        };
        let (queries, candidates) = (matrix(&turned(0.37)), matrix(&turned(0.41)));
        let marks: Vec<Numbered> = (0..11)
            .map(|at| Numbered {
                id: at,
                sound: at,
                ..Numbered::default()
            })
            .collect();
        let rows = Rows {
            captions: &candidates,
            clips: &queries,
            marks: &marks,
            same: 0.99,
        };
        let rule = Rule {
            top: 3,
            ..Rule::default()
        };
        let all = |block| {
            let mut done = Vec::new();
            let found = blocked(&queries, &candidates, &rule, &rows, block, &mut |rows| {
                done.push(rows);
                ControlFlow::Continue(())
            });
            assert_eq!(done.last(), Some(&11));
            found.unwrap()
        };
        let whole = all(256);
        assert!(whole.tally.kept > 0);
        for block in [1, 3, 11] {
            let found = all(block);
            assert_eq!(found.negatives, whole.negatives);
            assert_eq!((found.tally, found.own), (whole.tally, whole.own));
        }
        let stop = &mut |_| ControlFlow::Break(());
        assert!(blocked(&queries, &candidates, &rule, &rows, 3, stop).is_none());
    }
}
