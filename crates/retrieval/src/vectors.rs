//! The windows of many sounds in memory: what a search scans.

use std::collections::HashMap;
use std::ops::Range;

use crate::embedding::Embedding;
use crate::exact::Matrix;

/// A part of a sound, in samples at the rate the model hears: `start..end`, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// First sample.
    pub start: u64,
    /// One past the last sample.
    pub end: u64,
}

impl Span {
    /// Whether two spans share a sample.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

/// The bytes of one sound, wherever they lie: two files of equal bytes are one content. Valid for
/// the store that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId(pub(crate) i64);

/// The vectors of one space for a set of contents, windows of one content side by side.
#[derive(Debug, Clone)]
pub struct Vectors {
    matrix: Matrix,
    spans: Vec<Span>,
    rows: HashMap<ContentId, Range<usize>>,
}

impl Vectors {
    /// None yet, of `dim` numbers each.
    pub fn new(dim: usize) -> Self {
        Self {
            matrix: Matrix::with_capacity(dim, 0),
            spans: Vec::new(),
            rows: HashMap::new(),
        }
    }

    /// Adds all windows of one content. What was there of that content is no longer found.
    ///
    /// # Panics
    ///
    /// Where a vector has another dimension than the others: spaces were mixed, which is our bug.
    pub fn insert(
        &mut self,
        content: ContentId,
        windows: impl IntoIterator<Item = (Span, Embedding)>,
    ) {
        let first = self.spans.len();
        for (span, embedding) in windows {
            self.matrix.push(&embedding);
            self.spans.push(span);
        }
        self.rows.insert(content, first..self.spans.len());
    }

    /// How many windows.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The rows of one content, if it is here.
    pub fn rows_of(&self, content: ContentId) -> Option<Range<usize>> {
        self.rows.get(&content).cloned()
    }

    /// Which part of its sound row `row` is.
    pub fn span(&self, row: usize) -> Span {
        self.spans[row]
    }

    /// The product of row `row` with `query`.
    pub fn score(&self, row: usize, query: &[f32]) -> f32 {
        self.matrix.score(row, query)
    }
}
