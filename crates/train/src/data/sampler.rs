//! Which rows a step sees: a pure function of seed and step.
//!
//! ```text
//! step · batch + slot ─► source, by share ─► its how manyeth draw ─► epoch, place ─► row, caption
//! ```
//!
//! Each source keeps its share of every batch to within one row. Its epochs are seeded permutations:
//! every row once, then every row once in another order. Where an epoch ends within a batch, the next
//! one's first rows are put in such an order that the batch holds no row twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::DataError;
use super::caption::Kinds;
use super::manifest::Manifest;
use super::random::{Permutation, Purpose, Random};
use super::row::CaptionKind;

/// Slots after which the pattern of sources repeats: shares are exact to 1 in 65,536, and no source has
/// less than that.
const CYCLE: usize = 1 << 16;

/// A row, told and varied in one way: all there is to know to make the same example again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// Its source, in the order of the recipe.
    pub source: usize,
    /// Its row in the manifest.
    pub row: usize,
    /// How often the source was gone through before.
    pub epoch: u64,
    /// Which of its captions.
    pub caption: CaptionKind,
    /// What its crop, its augmentations and a scene's wording are drawn from.
    pub variation: u64,
}

/// The first rows of an epoch, where they are not as shuffled.
type Head = Arc<[u64]>;

/// Draws batches.
#[derive(Debug)]
pub struct Sampler {
    manifests: Arc<[Manifest]>,
    batch_size: usize,
    seed: u64,
    /// The source of each slot of the cycle.
    cycle: Vec<u32>,
    /// Of each source, its slots in the cycle, ascending.
    slots: Vec<Vec<u32>>,
    /// The last head of each source, so that the next one need not start from the first epoch. Looked
    /// up or computed, it is the same.
    heads: Mutex<HashMap<usize, (u64, Head)>>,
}

impl Sampler {
    /// A sampler of `batch_size` rows a step. Another batch size is another order.
    ///
    /// # Errors
    ///
    /// [`DataError::Setting`] for a batch of nothing, and where the recipe gives no weight to any caption
    /// that a row has.
    pub fn new(
        manifests: Arc<[Manifest]>,
        batch_size: usize,
        seed: u64,
    ) -> Result<Self, DataError> {
        if batch_size == 0 || manifests.is_empty() {
            return Err(DataError::setting("batch_size", "batches of nothing"));
        }
        for manifest in &*manifests {
            let config = &manifest.config;
            let mut any = Random::at(seed, Purpose::Caption, 0, 0);
            let untold = |row: &usize| {
                let kinds = Kinds::of(manifest, *row);
                kinds.draw(&config.captions, &mut any).is_none()
            };
            if let Some(row) = (0..manifest.rows.len()).find(untold) {
                let setting = format!("source `{}`, captions", config.name);
                let id = &manifest.rows[row].id;
                let reason = format!("no caption of `{id}` has any weight");
                return Err(DataError::setting(setting, reason));
            }
        }
        let cycle = cycle(&quotas(&manifests));
        let mut slots = vec![Vec::new(); manifests.len()];
        for (slot, &source) in (0..).zip(&cycle) {
            slots[source as usize].push(slot);
        }
        Ok(Self {
            manifests,
            batch_size,
            seed,
            cycle,
            slots,
            heads: Mutex::default(),
        })
    }

    /// What it draws from.
    pub fn manifests(&self) -> &Arc<[Manifest]> {
        &self.manifests
    }

    /// Rows a step.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// Steps after which as many rows were drawn as there are, rounded up: one epoch where shares are by
    /// rows.
    pub fn steps_per_epoch(&self) -> u64 {
        let rows: usize = self.manifests.iter().map(|m| m.rows.len()).sum();
        rows.div_ceil(self.batch_size) as u64
    }

    /// The draws of step `step`, counted from 0.
    pub fn batch(&self, step: u64) -> Vec<Draw> {
        let first = step * self.batch_size as u64;
        let mut rows: Vec<_> = (0..self.manifests.len())
            .map(|source| self.rows(source, step).into_iter())
            .collect();
        let draw = |slot: usize| {
            let source = self.cycle[(first + slot as u64) as usize % CYCLE] as usize;
            let (epoch, row) = rows[source].next().expect("as many rows as slots");
            Draw {
                source,
                row,
                epoch,
                caption: self.caption(source, row, step, slot),
                variation: Random::at(self.seed, Purpose::Variation, step, slot as u64).bits(),
            }
        };
        (0..self.batch_size).map(draw).collect()
    }

    /// Changes the caption, the words and the variation of a draw to those of `slot` of `step`.
    pub(super) fn tell_again(&self, draw: &mut Draw, step: u64, slot: usize) {
        draw.caption = self.caption(draw.source, draw.row, step, slot);
        draw.variation = Random::at(self.seed, Purpose::Variation, step, slot as u64).bits();
    }

    fn caption(&self, source: usize, row: usize, step: u64, slot: usize) -> CaptionKind {
        let manifest = &self.manifests[source];
        let mut random = Random::at(self.seed, Purpose::Caption, step, slot as u64);
        let kind = Kinds::of(manifest, row).draw(&manifest.config.captions, &mut random);
        kind.expect("checked when the sampler was made")
    }

    /// How many draws of `source` there were before slot `slot` of the run.
    fn drawn(&self, source: usize, slot: u64) -> u64 {
        let slots = &self.slots[source];
        let (cycles, rest) = (slot / CYCLE as u64, (slot % CYCLE as u64) as u32);
        cycles * slots.len() as u64 + slots.partition_point(|s| *s < rest) as u64
    }

    /// The draws of `source` in step `step`, as its how manyeth ones.
    fn span(&self, source: usize, step: u64) -> std::ops::Range<u64> {
        let batch = self.batch_size as u64;
        self.drawn(source, step * batch)..self.drawn(source, (step + 1) * batch)
    }

    /// The step of the `draw`th draw of `source`.
    fn step_of(&self, source: usize, draw: u64) -> u64 {
        let slots = &self.slots[source];
        let (cycles, rest) = (draw / slots.len() as u64, draw % slots.len() as u64);
        let slot = cycles * CYCLE as u64 + u64::from(slots[rest as usize]);
        slot / self.batch_size as u64
    }

    /// Epoch and row of each draw of `source` in step `step`.
    fn rows(&self, source: usize, step: u64) -> Vec<(u64, usize)> {
        let n = self.len(source);
        let mut orders: Vec<(u64, Order)> = Vec::new();
        let row = |draw: u64| {
            let (epoch, place) = (draw / n, draw % n);
            if orders.last().is_none_or(|(known, _)| *known != epoch) {
                orders.push((epoch, self.order(source, epoch)));
            }
            let (_, order) = orders.last().expect("pushed if it was not there");
            (epoch, order.get(place) as usize)
        };
        self.span(source, step).map(row).collect()
    }

    fn len(&self, source: usize) -> u64 {
        self.manifests[source].rows.len() as u64
    }

    fn order(&self, source: usize, epoch: u64) -> Order {
        Order {
            head: self.head(source, epoch),
            rest: self.shuffled(source, epoch),
        }
    }

    fn shuffled(&self, source: usize, epoch: u64) -> Permutation {
        Permutation::new(self.seed, source as u64, epoch, self.len(source))
    }

    /// The batch in which `epoch` follows the one before it: how many rows it has of the old one, and
    /// how many in all. `None` where the epoch begins with a batch, or a batch holds more than all rows.
    fn seam(&self, source: usize, epoch: u64) -> Option<(u64, u64)> {
        let start = epoch * self.len(source);
        let span = self.span(source, self.step_of(source, start));
        let (old, all) = (start - span.start, span.end - span.start);
        (old > 0 && all <= self.len(source)).then_some((old, all))
    }

    /// The first rows of `epoch` where they are not as shuffled. It depends on the epoch before only
    /// where that one's head reaches into its last rows: in sources of less than two batches.
    fn head(&self, source: usize, epoch: u64) -> Head {
        let n = self.len(source);
        let known = |epoch: u64| {
            let heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
            let (at, head) = heads.get(&source)?;
            (*at == epoch).then(|| Arc::clone(head))
        };
        // Back to an epoch whose head is known, or needs no other.
        let mut first = epoch;
        let mut head: Head = loop {
            if let Some(head) = known(first) {
                break head;
            }
            let Some((old, _)) = self.seam(source, first) else {
                break Arc::from([]);
            };
            let before = self.seam(source, first - 1).map_or(0, |(_, all)| all);
            if n - old >= before {
                break self.make_head(source, first, &[]);
            }
            first -= 1;
        };
        for epoch in first + 1..=epoch {
            head = self.make_head(source, epoch, &head);
        }
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        heads.insert(source, (epoch, Arc::clone(&head)));
        head
    }

    /// The head of `epoch`, given that of the one before where it matters.
    fn make_head(&self, source: usize, epoch: u64, before: &[u64]) -> Head {
        let Some((old, all)) = self.seam(source, epoch) else {
            return Arc::from([]);
        };
        let n = self.len(source);
        let last = Order {
            head: before.into(),
            rest: self.shuffled(source, epoch - 1),
        };
        let seen: Vec<u64> = (n - old..n).map(|place| last.get(place)).collect();
        let order = self.shuffled(source, epoch);
        let mut head: Vec<u64> = (0..all).map(|place| order.get(place)).collect();
        // Of the first `all` rows at most `old` were seen, so what is seen before the batch ends finds
        // one to change places with after it.
        let (within, after) = head.split_at_mut((all - old) as usize);
        let mut after = after.iter_mut().filter(|row| !seen.contains(row));
        for row in within.iter_mut().filter(|row| seen.contains(row)) {
            std::mem::swap(row, after.next().expect("as many unseen as seen"));
        }
        head.into()
    }
}

/// The rows of an epoch, in order.
struct Order {
    head: Head,
    rest: Permutation,
}

impl Order {
    fn get(&self, place: u64) -> u64 {
        match self.head.get(place as usize) {
            Some(row) => *row,
            None => self.rest.get(place),
        }
    }
}

/// How many slots of the cycle each source has, in proportion to weights or else rows: largest
/// remainders, and one at least.
fn quotas(manifests: &[Manifest]) -> Vec<u64> {
    let weights = manifests
        .iter()
        .map(|m| m.config.weight.unwrap_or(m.rows.len() as f64));
    let weights: Vec<f64> = weights.collect();
    let total: f64 = weights.iter().sum();
    let exact: Vec<f64> = weights.iter().map(|w| w / total * CYCLE as f64).collect();
    let mut quotas: Vec<u64> = exact.iter().map(|e| (e.floor() as u64).max(1)).collect();
    let over = |quotas: &[u64], at: usize| exact[at] - quotas[at] as f64;
    let order = |quotas: &[u64], a: usize, b: usize| over(quotas, a).total_cmp(&over(quotas, b));
    loop {
        let sum: u64 = quotas.iter().sum();
        let all = 0..quotas.len();
        match sum.cmp(&(CYCLE as u64)) {
            std::cmp::Ordering::Equal => return quotas,
            std::cmp::Ordering::Less => {
                let at = all.max_by(|a, b| order(&quotas, *a, *b)).expect("a source");
                quotas[at] += 1;
            }
            std::cmp::Ordering::Greater => {
                let rich = all.filter(|at| quotas[*at] > 1);
                let at = rich
                    .min_by(|a, b| order(&quotas, *a, *b))
                    .expect("fewer sources than slots");
                quotas[at] -= 1;
            }
        }
    }
}

/// Spreads the quotas evenly over the cycle: the source that is furthest behind its share is next.
fn cycle(quotas: &[u64]) -> Vec<u32> {
    let mut behind = vec![0_i64; quotas.len()];
    let next = |_| {
        for (behind, quota) in behind.iter_mut().zip(quotas) {
            *behind += *quota as i64;
        }
        // The first of equals, so that the order of the recipe decides.
        let most = (0..quotas.len()).rev().max_by_key(|at| behind[*at]);
        let most = most.expect("a source");
        behind[most] -= CYCLE as i64;
        most as u32
    };
    (0..CYCLE).map(next).collect()
}
