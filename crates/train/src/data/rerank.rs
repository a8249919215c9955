//! What the re-ranker is trained on: a query, a candidate that matches and one that does not.
//!
//! What is asked about, and in which style, says nothing about the answer: direction is a fair coin, and
//! the right and the wrong caption are of one style wherever both rows have it.
//!
//! A wrong candidate is worth as much as it is hard. The hard ones of a row are those that its manifest
//! names, those that a scene's generator makes, and, where [`Negatives`] has a model, those that the model
//! takes for right among the rows drawn about the same time:
//!
//! ```text
//! steps of a block ─► their rows, each once ─► FindNearest ─► of each row its nearest others
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

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
    /// Where the wrong candidates come from.
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

/// Wrong candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Negative {
    /// The sound of another row, or the captions of others.
    Rows(Vec<Draw>),
    /// Words given in the manifest.
    Words(Vec<String>),
    /// Captions of the scene itself with one thing wrong each. Where the query is a caption, a wrong one
    /// takes its place and the sound stays.
    NearMisses {
        /// Decides which.
        which: u64,
        /// At most so many: a scene has one of each kind.
        most: usize,
    },
}

/// Where wrong candidates come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NegativesConfig {
    /// Of a scene's wrong candidates, the share that are its near misses; default 0.5.
    pub near_misses: f64,
    /// Wrong captions that a sound is asked about beside its own; default 1. They share the sound, so more of
    /// them cost little. The right one counts as much as all of them. Sounds that a caption is asked about are
    /// two, whatever this is.
    pub captions: usize,
    /// Looks for hard ones among the rows drawn about the same time, by the base model; default not. The
    /// base is then in memory a second time.
    pub nearest: Option<NearestConfig>,
}

impl Default for NegativesConfig {
    fn default() -> Self {
        Self {
            near_misses: 0.5,
            captions: 1,
            nearest: None,
        }
    }
}

/// How hard candidates are looked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NearestConfig {
    /// Rows that are compared with each other; default 1024. They are drawn as ever, in whole batches.
    pub rows: usize,
    /// Times that they are trained on, each time in other words and with other negatives, before the next
    /// ones are drawn; default 2. More is less work for the model that looks.
    pub passes: u64,
    /// A wrong candidate is one of so many nearest; default 10, as many as are commonly re-ranked.
    pub among: usize,
}

impl Default for NearestConfig {
    fn default() -> Self {
        Self {
            rows: 1024,
            passes: 2,
            among: 10,
        }
    }
}

impl NegativesConfig {
    /// What is out of range, with its key.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.near_misses) {
            return Err(format!(
                "near_misses is {}; expected from 0 to 1",
                self.near_misses
            ));
        }
        if self.captions == 0 {
            return Err("captions is 0; expected 1 or more".into());
        }
        let Some(nearest) = &self.nearest else {
            return Ok(());
        };
        let least = [
            ("rows", nearest.rows as u64, 2),
            ("passes", nearest.passes, 1),
            ("among", nearest.among as u64, 1),
        ];
        match least.into_iter().find(|(_, value, least)| value < least) {
            None => Ok(()),
            Some((key, value, least)) => Err(format!(
                "nearest.{key} is {value}; expected {least} or more"
            )),
        }
    }
}

/// Looks for the rows that a model takes for each other.
pub trait FindNearest: Send + Sync {
    /// For each of `rows`, all of one source and each there once, up to `among` others: those whose captions
    /// are nearest to its sound, and those whose sounds are nearest to its caption. Rows that cannot be told
    /// apart are left out.
    ///
    /// # Errors
    ///
    /// [`DataError`] for a sound that cannot be had.
    fn nearest(&self, rows: &[Draw], among: usize) -> Result<Vec<Nearest>, DataError>;
}

/// The rows nearest to one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nearest {
    /// Rows whose captions are near its sound, the nearest first.
    pub texts: Vec<usize>,
    /// Rows whose sounds are near its caption.
    pub sounds: Vec<usize>,
}

/// The rows of a block of steps, each with its nearest.
type Block = HashMap<(usize, usize), Nearest>;

/// Where wrong candidates come from, and what looks for them.
#[derive(Default)]
pub struct Negatives {
    config: NegativesConfig,
    finder: Option<Box<dyn FindNearest>>,
    /// The newest block. Looked up or found again, it is the same.
    block: Mutex<Option<(u64, Arc<Block>)>>,
}

impl Negatives {
    /// As `config` says; `finder` looks where it wants the nearest.
    pub fn new(config: NegativesConfig, finder: Option<Box<dyn FindNearest>>) -> Self {
        Self {
            config,
            finder,
            block: Mutex::default(),
        }
    }

    fn finder(&self) -> Option<(&NearestConfig, &dyn FindNearest)> {
        Some((self.config.nearest.as_ref()?, self.finder.as_deref()?))
    }

    /// The nearest of all rows that the steps `first..first + steps` of `sampler` draw.
    fn block(
        &self,
        sampler: &Sampler,
        first: u64,
        steps: u64,
        finder: &dyn FindNearest,
        among: usize,
    ) -> Result<Arc<Block>, DataError> {
        let mut newest = self.block.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, block)) = &*newest
            && *at == first
        {
            return Ok(Arc::clone(block));
        }
        let mut by_source: Vec<Vec<Draw>> = vec![Vec::new(); sampler.manifests().len()];
        let mut block = Block::new();
        for draw in (first..first + steps).flat_map(|step| sampler.batch(step)) {
            let known = block.insert((draw.source, draw.row), Nearest::default());
            if known.is_none() {
                by_source[draw.source].push(draw);
            }
        }
        for rows in by_source.iter().filter(|rows| !rows.is_empty()) {
            let found = finder.nearest(rows, among)?;
            for (draw, nearest) in rows.iter().zip(found) {
                block.insert((draw.source, draw.row), nearest);
            }
        }
        let block = Arc::new(block);
        *newest = Some((first, Arc::clone(&block)));
        Ok(block)
    }
}

impl std::fmt::Debug for Negatives {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Negatives")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Sampler {
    /// The samples of step `step` of the re-ranker stage: the rows of [`Sampler::batch`], each with a
    /// negative from its hard ones, a scene's near misses, or else any row that can be told from it.
    ///
    /// Where the nearest are looked for, a block of batches is gone through `passes` times: step `step` then
    /// has the rows of an earlier batch, told and varied in another way.
    ///
    /// # Errors
    ///
    /// [`DataError::NoNegative`] where a source has no such row; what the finder says.
    pub fn rerank_batch(
        &self,
        step: u64,
        negatives: &Negatives,
    ) -> Result<Vec<RerankDraw>, DataError> {
        let (mut draws, block) = match negatives.finder() {
            None => (self.batch(step), None),
            Some((config, finder)) => {
                let steps = config.rows.div_ceil(self.batch_size()) as u64;
                let (number, within) = (step / (steps * config.passes), step % steps);
                let first = number * steps;
                let block = negatives.block(self, first, steps, finder, config.among)?;
                (self.batch(first + within), Some(block))
            }
        };
        if block.is_some() {
            for (slot, draw) in draws.iter_mut().enumerate() {
                self.tell_again(draw, step, slot);
            }
        }
        let against = |(slot, draw): (usize, Draw)| {
            let nearest = block
                .as_ref()
                .and_then(|block| block.get(&(draw.source, draw.row)));
            self.against(draw, step, slot as u64, &negatives.config, nearest)
        };
        draws.into_iter().enumerate().map(against).collect()
    }

    fn against(
        &self,
        mut positive: Draw,
        step: u64,
        slot: u64,
        config: &NegativesConfig,
        nearest: Option<&Nearest>,
    ) -> Result<RerankDraw, DataError> {
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

        // Near misses and others: both are met in a list of hits.
        if matches!(row.audio, Audio::Scene { .. }) && random.happens(config.near_misses) {
            let negative = Negative::NearMisses {
                which: random.bits(),
                most: config.captions,
            };
            // One sentence, as near misses are.
            positive.caption = CaptionKind::Short;
            return Ok(RerankDraw {
                query,
                positive,
                negative,
            });
        }
        let rows = |rows: &[usize]| rows.iter().map(|row| Hard::Row(*row)).collect();
        let mut hard: Vec<Hard<'_>> = match query {
            QuerySide::Audio => row.hard_text.iter().map(Hard::from).collect(),
            QuerySide::Text => rows(&row.hard_audio),
        };
        if hard.is_empty()
            && let Some(nearest) = nearest
        {
            hard = match query {
                QuerySide::Audio => rows(&nearest.texts),
                QuerySide::Text => rows(&nearest.sounds),
            };
        }
        let told = |hard: &Hard<'_>| match hard {
            Hard::Row(other) => differ(manifest, positive.row, *other),
            Hard::Words(words) => !row.captions.all().any(|own| same(own, words)),
        };
        let mut hard: Vec<Hard<'_>> = hard.into_iter().filter(told).collect();
        let wanted = match query {
            QuerySide::Audio => config.captions,
            QuerySide::Text => 1,
        };
        let first = match hard.len() {
            0 => Hard::Row(self.any_other(manifest, positive.row, &mut random)?),
            n => hard.swap_remove(random.below(n as u64) as usize),
        };
        let negative = match first {
            Hard::Words(words) => {
                // Of no stated style, so beside a plain caption where the row has one.
                let plain = own.only(CaptionKind::Plain(0));
                if let Some(kind) = plain.draw(weights, &mut random) {
                    positive.caption = kind;
                }
                let mut all = vec![words.to_owned()];
                while all.len() < wanted
                    && let Some(words) = take(&mut hard, &mut random, Hard::words)
                {
                    all.push(words.to_owned());
                }
                Negative::Words(all)
            }
            Hard::Row(first) => {
                let mut others = vec![first];
                while others.len() < wanted {
                    let next = match take(&mut hard, &mut random, Hard::row) {
                        Some(row) => row,
                        None => self.any_other(manifest, positive.row, &mut random)?,
                    };
                    // The same one twice where there are few.
                    others.push(next);
                }
                let mut shared = own;
                for other in &others {
                    shared = shared.shared_with(Kinds::of(manifest, *other));
                    if same_tags(manifest, positive.row, *other) {
                        // A list of them says the same of both.
                        shared = shared.without_tag();
                    }
                }
                let style = shared.draw(weights, &mut random);
                if query == QuerySide::Audio
                    && let Some(style) = style
                {
                    positive.caption = style;
                }
                let draw = |other: usize| {
                    let theirs = Kinds::of(manifest, other);
                    let kinds = style.map_or(theirs, |style| theirs.only(style));
                    let caption = kinds.draw(weights, &mut random);
                    Draw {
                        source: positive.source,
                        row: other,
                        epoch: positive.epoch,
                        caption: caption.expect("checked when the sampler was made"),
                        variation: random.bits(),
                    }
                };
                Negative::Rows(others.into_iter().map(draw).collect())
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

impl<'a> Hard<'a> {
    fn row(self) -> Option<usize> {
        match self {
            Self::Row(row) => Some(row),
            Self::Words(_) => None,
        }
    }

    fn words(self) -> Option<&'a str> {
        match self {
            Self::Words(words) => Some(words),
            Self::Row(_) => None,
        }
    }
}

/// Takes one of the `hard` ones out that are of a kind, each as likely.
fn take<'a, T>(
    hard: &mut Vec<Hard<'a>>,
    random: &mut Random,
    kind: impl Fn(Hard<'a>) -> Option<T>,
) -> Option<T> {
    hard.retain(|hard| kind(*hard).is_some());
    if hard.is_empty() {
        return None;
    }
    let at = random.below(hard.len() as u64) as usize;
    kind(hard.swap_remove(at))
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
    /// Those of row `row`. Of a scene all is known: its outline stands for its captions, and for its tags,
    /// which leave out order and number.
    pub(crate) fn of(manifest: &Manifest, row: usize) -> Self {
        if let (Audio::Scene { seed }, Some(generator)) =
            (&manifest.rows[row].audio, &manifest.generator)
        {
            return Self {
                tags: Vec::new(),
                captions: vec![generator.told_apart(*seed)],
            };
        }
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

fn same_tags(manifest: &Manifest, one: usize, other: usize) -> bool {
    let of = |row| {
        let mut tags = manifest.tags(row).into_owned();
        tags.sort_unstable();
        tags
    };
    of(one) == of(other)
}

fn differ(manifest: &Manifest, one: usize, other: usize) -> bool {
    Marks::of(manifest, one).differ(&Marks::of(manifest, other))
}

impl Marks {
    /// Whether two rows have no caption in common, and not just the same tags: else the "wrong" candidate
    /// would be right.
    pub(crate) fn differ(&self, other: &Self) -> bool {
        let (ours, theirs) = (self, other);
        if !ours.tags.is_empty() && ours.tags == theirs.tags {
            return false;
        }
        !ours
            .captions
            .iter()
            .any(|own| theirs.captions.contains(own))
    }
}

fn same(a: &str, b: &str) -> bool {
    bare(a) == bare(b)
}

fn bare(text: &str) -> String {
    text.trim().trim_end_matches('.').to_lowercase()
}
