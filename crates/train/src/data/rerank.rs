//! What the re-ranker is trained on: a query, a candidate that matches and one that does not.
//!
//! What is asked about, and in which style, says nothing about the answer: direction is a fair coin, and
//! the right and the wrong caption are of one style wherever both rows have it.

use super::DataError;
use super::caption::Kinds;
use super::manifest::Manifest;
use super::random::{Purpose, Random};
use super::row::{Audio, CaptionKind, HardText};
use super::sampler::{Draw, Sampler};

/// A sample of the re-ranker stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RerankDraw {
    /// What the query is.
    pub query: QuerySide,
    /// The row that query and right candidate come from.
    pub positive: Draw,
    /// Where the wrong candidate comes from.
    pub negative: Negative,
}

/// What a query is; candidates are the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuerySide {
    /// A sound, asked for its caption.
    Audio,
    /// A caption, asked for its sound.
    Text,
}

/// A wrong candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Negative {
    /// The sound or the caption of another row.
    Row(Draw),
    /// Words given in the manifest.
    Words(String),
    /// A caption of the scene itself with one thing wrong; which, this decides. Where the query is a
    /// caption, the wrong one takes its place and the sound stays.
    NearMiss(u64),
}

impl Sampler {
    /// The samples of step `step` of the re-ranker stage: the rows of [`Sampler::batch`], each with a
    /// negative from its hard ones, a scene's near misses, or else any row that can be told from it.
    ///
    /// # Errors
    ///
    /// [`DataError::NoNegative`] where a source has no such row.
    pub fn rerank_batch(&self, step: u64) -> Result<Vec<RerankDraw>, DataError> {
        let draws = self.batch(step).into_iter().enumerate();
        draws
            .map(|(slot, draw)| self.against(draw, step, slot as u64))
            .collect()
    }

    fn against(&self, mut positive: Draw, step: u64, slot: u64) -> Result<RerankDraw, DataError> {
        let manifest = &self.manifests()[positive.source];
        let mut coin = Random::at(self.seed(), Purpose::Direction, step, slot);
        let query = match coin.happens(0.5) {
            true => QuerySide::Audio,
            false => QuerySide::Text,
        };
        let mut random = Random::at(self.seed(), Purpose::Negative, step, slot);
        let row = &manifest.rows[positive.row];
        let weights = &manifest.config.captions;
        let own = Kinds::of(manifest, positive.row);

        // Half of a scene's wrong candidates are near misses, half anything else: both are met in a list of
        // hits.
        if matches!(row.audio, Audio::Scene { .. }) && random.happens(0.5) {
            let negative = Negative::NearMiss(random.bits());
            // One sentence, as near misses are.
            positive.caption = CaptionKind::Short;
            return Ok(RerankDraw {
                query,
                positive,
                negative,
            });
        }
        let hard: Vec<Hard<'_>> = match query {
            QuerySide::Audio => row.hard_text.iter().map(Hard::from).collect(),
            QuerySide::Text => row.hard_audio.iter().map(|row| Hard::Row(*row)).collect(),
        };
        let told = |hard: &Hard<'_>| match hard {
            Hard::Row(other) => differ(manifest, positive.row, *other),
            Hard::Words(words) => !row.captions.all().any(|own| same(own, words)),
        };
        let hard: Vec<Hard<'_>> = hard.into_iter().filter(told).collect();
        let other = match hard.len() {
            0 => Hard::Row(self.any_other(manifest, positive.row, &mut random)?),
            n => hard[random.below(n as u64) as usize],
        };
        let negative = match other {
            Hard::Words(words) => {
                // Of no stated style, so beside a plain caption where the row has one.
                let plain = own.only(CaptionKind::Plain(0));
                if let Some(kind) = plain.draw(weights, &mut random) {
                    positive.caption = kind;
                }
                Negative::Words(words.into())
            }
            Hard::Row(other) => {
                let theirs = Kinds::of(manifest, other);
                let style = own.shared_with(theirs).draw(weights, &mut random);
                if query == QuerySide::Audio
                    && let Some(style) = style
                {
                    positive.caption = style;
                }
                let kinds = style.map_or(theirs, |style| theirs.only(style));
                let caption = kinds.draw(weights, &mut random);
                Negative::Row(Draw {
                    source: positive.source,
                    row: other,
                    epoch: positive.epoch,
                    caption: caption.expect("checked when the sampler was made"),
                    variation: random.bits(),
                })
            }
        };
        Ok(RerankDraw {
            query,
            positive,
            negative,
        })
    }

    /// Any row that can be told from `row`, each as likely up to where rows that cannot lie in between.
    fn any_other(
        &self,
        manifest: &Manifest,
        row: usize,
        random: &mut Random,
    ) -> Result<usize, DataError> {
        let n = manifest.rows.len();
        // A few times anywhere, which is fair; then one after the other, which ends.
        for _ in 0..32 {
            let other = random.below(n as u64) as usize;
            if other != row && differ(manifest, row, other) {
                return Ok(other);
            }
        }
        let from = random.below(n as u64) as usize;
        let mut others = (0..n).map(|at| (from + at) % n);
        let other = others.find(|other| *other != row && differ(manifest, row, *other));
        other.ok_or_else(|| DataError::NoNegative {
            name: manifest.config.name.clone(),
            id: manifest.rows[row].id.clone(),
        })
    }
}

#[derive(Clone, Copy)]
enum Hard<'a> {
    Row(usize),
    Words(&'a str),
}

impl<'a> From<&'a HardText> for Hard<'a> {
    fn from(hard: &'a HardText) -> Self {
        match hard {
            HardText::Row(row) => Hard::Row(*row),
            HardText::Words(words) => Hard::Words(words),
        }
    }
}

/// What tells a row from another, in the form in which it is compared: case and a full stop at the end
/// make no difference, and neither does the order of tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Its tags, each once, in order.
    pub(crate) tags: Vec<String>,
    /// Its captions.
    pub(crate) captions: Vec<String>,
}

impl Marks {
    /// Those of row `row`.
    pub(crate) fn of(manifest: &Manifest, row: usize) -> Self {
        let tags = manifest.tags(row);
        let mut tags: Vec<String> = tags.iter().map(|tag| tag.to_lowercase()).collect();
        tags.sort_unstable();
        tags.dedup();
        Self {
            tags,
            captions: manifest.rows[row].captions.all().map(bare).collect(),
        }
    }
}

/// Whether two rows have no caption in common, and not just the same tags: else the "wrong" candidate
/// would be right.
fn differ(manifest: &Manifest, one: usize, other: usize) -> bool {
    let (ours, theirs) = (Marks::of(manifest, one), Marks::of(manifest, other));
    if !ours.tags.is_empty() && ours.tags == theirs.tags {
        return false;
    }
    !ours
        .captions
        .iter()
        .any(|own| theirs.captions.contains(own))
}

fn same(a: &str, b: &str) -> bool {
    bare(a) == bare(b)
}

fn bare(text: &str) -> String {
    text.trim().trim_end_matches('.').to_lowercase()
}
