//! Which of the nearest are wrong enough to be negatives: the rule, and what it dropped.

use crate::TrainError;

/// Which candidates of a query become its hard negatives: from the nearest down, those that no part of
/// this drops, until there are [`Rule::top`]. Similarities are cosines of the stage-2 model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// How many at most, at least 1; default 10.
    pub top: usize,
    /// Candidates below this similarity are too easy; in `[-1, 1]`, default 0.4. Of the released mining
    /// only "thresh0.4" is known, from the names of its files; that it is the least similarity is our
    /// reading.
    pub least: f32,
    /// A candidate above this share of the similarity of the query to its own is too near: probably it
    /// is right, too, and nobody wrote so. Above 0, default 0.95 (TopK-PercPos of NV-Retriever,
    /// arXiv:2407.15831, Moreira et al. 2024); infinite lets all pass.
    pub guard: f32,
    /// A candidate is the same thing once more where its caption's cosine with the query's, or its
    /// clip's, is above this; above 0, default 0.95. From 1 on, none is.
    pub same: f32,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            top: 10,
            least: 0.4,
            guard: 0.95,
            same: 0.95,
        }
    }
}

impl Rule {
    /// Checks what the types do not.
    ///
    /// # Errors
    ///
    /// [`TrainError::Setting`] at the first number out of its range.
    pub fn check(&self) -> Result<(), TrainError> {
        let wrong = |name, value: f64, range| Err(TrainError::Setting { name, value, range });
        if self.top == 0 {
            return wrong("top", 0.0, "1 or more");
        }
        if !(-1.0..=1.0).contains(&self.least) {
            return wrong("least", self.least.into(), "a cosine, -1 to 1");
        }
        for (name, value) in [("guard", self.guard), ("same", self.same)] {
            if value.is_nan() || value <= 0.0 {
                return wrong(name, value.into(), "above 0");
            }
        }
        Ok(())
    }

    /// The highest similarity that a negative may have, where that of the query to its own is `own`:
    /// `own − (1 − guard) |own|`, which is `guard · own` but for an `own` below 0.
    pub fn ceiling(&self, own: f32) -> f32 {
        if self.guard == f32::INFINITY {
            return f32::INFINITY;
        }
        own - (1.0 - self.guard) * own.abs()
    }
}

/// What a candidate is to a query, beyond their similarity.
pub trait Kin: Sync {
    /// Whether it is known to be right: the same sound, caption, id or tags.
    fn is_positive(&self, query: usize, candidate: usize) -> bool;
    /// Whether the two rows are the same thing once more, and by what.
    fn same(&self, query: usize, candidate: usize) -> Option<Same>;
}

/// By what two rows are the same thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Same {
    /// Their captions say it in other words.
    Caption,
    /// Their clips sound alike.
    Clip,
}

/// What became of candidates that reach [`Rule::least`], as far down as it took to find
/// [`Rule::top`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Kept.
    pub kept: usize,
    /// Dropped: known to be right.
    pub positive: usize,
    /// Dropped: above [`Rule::ceiling`].
    pub too_near: usize,
    /// Dropped: the caption is the query's in other words.
    pub same_caption: usize,
    /// Dropped: the clip is the query's once more.
    pub same_clip: usize,
    /// Queries with no negative kept.
    pub without: usize,
    /// Of these, those whose own is so far from them that no similarity is both [`Rule::least`] and
    /// under the ceiling.
    pub no_room: usize,
}

impl Tally {
    /// The counts of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            kept: self.kept + other.kept,
            positive: self.positive + other.positive,
            too_near: self.too_near + other.too_near,
            same_caption: self.same_caption + other.same_caption,
            same_clip: self.same_clip + other.same_clip,
            without: self.without + other.without,
            no_room: self.no_room + other.no_room,
        }
    }
}

/// The hard negatives of `query`, nearest first; equally near ones by their number.
///
/// `similarities [candidates]`: of the query to each; its own is candidate `query`.
///
/// # Panics
///
/// Where there is no candidate `query`.
pub fn choose(
    query: usize,
    similarities: &[f32],
    rule: &Rule,
    kin: &impl Kin,
) -> (Vec<usize>, Tally) {
    let ceiling = rule.ceiling(similarities[query]);
    let mut near: Vec<usize> = (0..similarities.len())
        .filter(|at| *at != query && similarities[*at] >= rule.least)
        .collect();
    near.sort_unstable_by(|a, b| {
        let nearer = similarities[*b].total_cmp(&similarities[*a]);
        nearer.then(a.cmp(b))
    });
    let mut kept = Vec::new();
    let mut tally = Tally::default();
    for candidate in near {
        if kept.len() == rule.top {
            break;
        }
        if kin.is_positive(query, candidate) {
            tally.positive += 1;
        } else if similarities[candidate] > ceiling {
            tally.too_near += 1;
        } else {
            match kin.same(query, candidate) {
                Some(Same::Caption) => tally.same_caption += 1,
                Some(Same::Clip) => tally.same_clip += 1,
                None => kept.push(candidate),
            }
        }
    }
    tally.kept = kept.len();
    tally.without = usize::from(kept.is_empty());
    tally.no_room = usize::from(kept.is_empty() && ceiling < rule.least);
    (kept, tally)
}
