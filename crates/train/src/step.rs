//! One step: a batch, as a loss and the gradient of every parameter.
//!
//! ```text
//! items ─► chunks ─► forward ─► states ─► gathered from all ranks ─► loss ─► gradient of the states
//!                       │ tapes, kept where memory allows                          │
//!                       └────────────── else forward once more ─► backward ◄───────┘
//! ```
//!
//! A contrastive loss needs the whole batch at once, a model's memory only a chunk of it. So states are
//! computed chunk by chunk, the loss over all of them, and then each chunk's way back (GradCache,
//! Gao et al. 2021, arXiv:2101.06983). Where all chunks' tapes fit the memory they are kept; where they do
//! not, each chunk is computed a second time. Both give the same numbers.

use std::sync::{Arc, Mutex, PoisonError};

use aurola_audio::LogMel;
use aurola_compute::Precision;
use aurola_model::text::Prompt;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::collective::Collective;
use crate::loss::{
    ClusterSet, HybridNceConfig, LossError, Overlap, OverlapRule, Pairs, Target, cross_entropy,
    hybrid_nce,
};
use crate::random::mix;
use crate::thinker::{Gradients, Parameters, Pass, Sample, Tape, Thinker};

/// Chunks that are worked on side by side where their gradients are small.
const LANES: usize = 4;
/// Most trained numbers for which that is so: 256 MiB of gradients for each lane.
const LANE_PARAMETERS: usize = 1 << 26;

/// What the model reads, and where its states are wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Ids, with room for the clip.
    pub prompt: Prompt,
    /// The clip, where there is one. Items of a chunk that share it are heard once.
    pub mel: Option<Arc<LogMel>>,
    /// Positions, ascending.
    pub keep: Vec<usize>,
}

impl Item {
    /// An item whose embedding is wanted: the state at the prompt's pooled position.
    pub fn embedding(prompt: Prompt, mel: Option<LogMel>) -> Self {
        Self {
            keep: vec![prompt.pooled],
            prompt,
            mel: mel.map(Arc::new),
        }
    }

    fn sample(&self) -> Sample<'_> {
        Sample {
            prompt: &self.prompt,
            mel: self.mel.as_deref(),
            keep: &self.keep,
        }
    }
}

/// Two items that belong together, and the tag clusters of their caption.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// The sound; in the text stage the first sentence.
    pub audio: Item,
    /// The caption; in the text stage the second sentence.
    pub text: Item,
    /// Clusters of the caption's tags; empty where none count.
    pub clusters: ClusterSet,
}

/// A question and its answer: what the re-ranker learns.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The prompt with the answer's tokens behind it; wanted are the states before each of them.
    pub item: Item,
    /// What should follow each wanted state.
    pub answers: Vec<Target>,
}

/// In which type products take their inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Products {
    /// As they are.
    #[default]
    F32,
    /// Rounded to bf16. Parameters, sums and everything else stay `f32`.
    Bf16,
}

impl From<Products> for Precision {
    fn from(products: Products) -> Self {
        match products {
            Products::F32 => Precision::F32,
            Products::Bf16 => Precision::Bf16,
        }
    }
}

/// How a step is computed; none of it changes what is computed, but for roundings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepConfig {
    /// Items that go through the model together.
    pub chunk: usize,
    /// The type of products.
    pub products: Products,
    /// Whether layers are computed again on the way back.
    pub recompute: bool,
    /// Bytes that tapes may take.
    pub memory: u64,
    /// Seeds this step's dropout.
    pub dropout: u64,
}

/// What a step found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// The loss, over all ranks.
    pub loss: f64,
    /// Items that went through the model together, after any halving.
    pub chunk: usize,
    /// Whether every chunk was computed twice.
    pub twice: bool,
}

/// The contrastive step: adds the gradient of Hybrid-NCE over the pairs of all ranks to `gradients`, this
/// rank's share of it. Summed over ranks, shares are the gradient of the whole.
///
/// # Errors
///
/// [`TrainError`] for a pair the model cannot take, a batch without a loss, a rank that is gone, and where
/// not even one item fits the memory.
#[allow(clippy::too_many_arguments)] // a model and its numbers, a batch, a loss, and how
pub fn contrastive(
    thinker: &Thinker,
    parameters: &Parameters,
    pairs: &[Pair],
    loss: &HybridNceConfig,
    rule: OverlapRule,
    config: &StepConfig,
    collective: &mut dyn Collective,
    gradients: &mut Gradients,
) -> Result<Outcome, TrainError> {
    let items: Vec<&Item> = pairs
        .iter()
        .map(|p| &p.audio)
        .chain(pairs.iter().map(|p| &p.text))
        .collect();
    // Sounds and captions differ in length: a chunk holds one kind.
    let mut runner = Runner::new(thinker, parameters, config, &items, pairs.len())?;
    let states = runner.forward()?;

    let hidden = thinker.hidden_size();
    let (audio, text) = states.split_at(pairs.len() * hidden);
    let gathered = |own: &[f32],
                    collective: &mut dyn Collective|
     -> Result<Vec<Vec<f32>>, TrainError> { Ok(collective.all_gather(own)?) };
    let all_audio = gathered(audio, collective)?;
    let all_text = gathered(text, collective)?;
    let before: usize = all_audio[..collective.rank()].iter().map(Vec::len).sum();
    let all_pairs =
        Pairs::normalized(&all_audio.concat(), &all_text.concat(), hidden).map_err(diverged)?;
    let clusters = gather_clusters(pairs, collective)?;
    let sets: Vec<Option<&ClusterSet>> = clusters
        .iter()
        .map(|c| Some(c).filter(|c| !c.as_slice().is_empty()))
        .collect();
    let overlap = Overlap::between(&sets, rule);
    let found = hybrid_nce(&all_pairs.similarities(), &overlap, loss).map_err(diverged)?;
    if !found.value.is_finite() {
        return Err(TrainError::Diverged { value: found.value });
    }
    let d = all_pairs.backward(&found.gradient)?;
    let own = before..before + audio.len();
    let mut dstates = d.audio[own.clone()].to_vec();
    dstates.extend_from_slice(&d.text[own]);
    runner.backward(&dstates, gradients)?;
    Ok(runner.outcome(found.value))
}

/// The re-ranker's step: adds the gradient of the mean cross-entropy of all answers, by their weights, over
/// all ranks, to `gradients`: this rank's share.
///
/// # Errors
///
/// As [`contrastive`], and [`TrainError::NoHead`].
pub fn answers(
    thinker: &Thinker,
    parameters: &Parameters,
    questions: &[Question],
    config: &StepConfig,
    collective: &mut dyn Collective,
    gradients: &mut Gradients,
) -> Result<Outcome, TrainError> {
    let weights = questions.iter().flat_map(|q| &q.answers).map(|a| a.weight);
    let mut total = [weights.sum()];
    collective.all_reduce_sum(&mut total)?;
    let total = f64::from(total[0]);
    let items: Vec<&Item> = questions.iter().map(|q| &q.item).collect();
    let runner = Runner::new(thinker, parameters, config, &items, items.len())?;
    // Each answer's loss is its own, so a chunk goes there and back before the next one begins.
    let value = runner.by_lanes(gradients, |range, gradients| {
        let pass = runner.pass(range.start);
        let (states, tape) = runner.run(range.clone(), true)?;
        let targets: Vec<Option<Target>> = questions[range]
            .iter()
            .flat_map(|q| q.answers.iter().map(|a| Some(*a)))
            .collect();
        let logits = thinker.logits(&pass, &states)?;
        let mut loss = match cross_entropy(&logits, thinker.vocabulary(), &targets) {
            Ok(loss) => loss,
            // All ranks are to hear of it, not this one alone.
            Err(LossError::NotFinite { .. }) => return Ok(f64::NAN),
            Err(error) => return Err(error.into()),
        };
        let share = loss.weight / total;
        loss.gradient.iter_mut().for_each(|g| *g *= share as f32);
        let dstates = thinker.logits_backward(&pass, &states, &loss.gradient, gradients);
        if let Some(tape) = tape {
            thinker.backward(&pass, tape, &dstates, gradients);
        }
        Ok(loss.value * share)
    })?;
    let mut sum = [value as f32];
    collective.all_reduce_sum(&mut sum)?;
    if !sum[0].is_finite() {
        return Err(TrainError::Diverged {
            value: f64::from(sum[0]),
        });
    }
    Ok(Outcome {
        twice: false,
        ..runner.outcome(f64::from(sum[0]))
    })
}

fn diverged(error: LossError) -> TrainError {
    match error {
        LossError::NotFinite { value, .. } => TrainError::Diverged {
            value: f64::from(value),
        },
        error => error.into(),
    }
}

/// States of items without a way back: for validation and mining. `[Σ keep, hidden]`.
///
/// # Errors
///
/// As [`contrastive`].
pub fn states(
    thinker: &Thinker,
    parameters: &Parameters,
    items: &[&Item],
    config: &StepConfig,
) -> Result<Vec<f32>, TrainError> {
    let pass = Pass {
        parameters,
        precision: config.products.into(),
        recompute: true,
        dropout: None,
    };
    let mut states = Vec::new();
    for chunk in items.chunks(config.chunk.max(1)) {
        let samples: Vec<Sample<'_>> = chunk.iter().map(|i| i.sample()).collect();
        states.extend(thinker.forward(&pass, &samples, false)?.0);
    }
    Ok(states)
}

/// Items in chunks, there and back.
struct Runner<'r> {
    thinker: &'r Thinker,
    parameters: &'r Parameters,
    config: StepConfig,
    items: &'r [&'r Item],
    /// Chunks do not reach across multiples of this.
    side: usize,
    chunk: usize,
    keep_tapes: bool,
    tapes: Vec<Mutex<Option<Tape>>>,
}

impl<'r> Runner<'r> {
    fn new(
        thinker: &'r Thinker,
        parameters: &'r Parameters,
        config: &StepConfig,
        items: &'r [&'r Item],
        side: usize,
    ) -> Result<Self, TrainError> {
        let bytes: Vec<u64> = items
            .iter()
            .map(|i| thinker.tape_bytes(&i.sample(), config.recompute))
            .collect();
        let mut runner = Self {
            thinker,
            parameters,
            config: *config,
            items,
            side: side.max(1),
            chunk: config.chunk.max(1),
            keep_tapes: bytes.iter().sum::<u64>() <= config.memory,
            tapes: Vec::new(),
        };
        let needed = |runner: &Self| {
            let of = |range: std::ops::Range<usize>| bytes[range].iter().sum::<u64>();
            runner.chunks().map(of).max().unwrap_or(0)
        };
        while !runner.keep_tapes && needed(&runner) > config.memory {
            if runner.chunk == 1 {
                return Err(TrainError::Memory {
                    needed: needed(&runner),
                    allowed: config.memory,
                });
            }
            runner.chunk /= 2;
        }
        Ok(runner)
    }

    fn chunks(&self) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        let (len, side, chunk) = (self.items.len(), self.side, self.chunk);
        (0..len).step_by(side).flat_map(move |from| {
            let to = len.min(from + side);
            (from..to)
                .step_by(chunk)
                .map(move |start| start..to.min(start + chunk))
        })
    }

    /// Dropout is seeded by step and chunk, so that the second time is as the first.
    fn pass(&self, first: usize) -> Pass<'r> {
        Pass {
            parameters: self.parameters,
            precision: self.config.products.into(),
            recompute: self.config.recompute,
            dropout: Some(mix(self.config.dropout, first as u64)),
        }
    }

    fn run(
        &self,
        range: std::ops::Range<usize>,
        record: bool,
    ) -> Result<(Vec<f32>, Option<Tape>), TrainError> {
        let samples: Vec<Sample<'_>> = self.items[range.clone()]
            .iter()
            .map(|i| i.sample())
            .collect();
        let found = self
            .thinker
            .forward(&self.pass(range.start), &samples, record);
        found.map_err(|e| match e {
            TrainError::Sample { index, reason } => TrainError::Sample {
                index: range.start + index,
                reason,
            },
            other => other,
        })
    }

    fn forward(&mut self) -> Result<Vec<f32>, TrainError> {
        let ranges: Vec<_> = self.chunks().collect();
        let run = |range: &std::ops::Range<usize>| self.run(range.clone(), self.keep_tapes);
        let done: Vec<_> = if self.lanes() > 1 {
            ranges.par_iter().map(run).collect::<Result<_, _>>()?
        } else {
            ranges.iter().map(run).collect::<Result<_, _>>()?
        };
        let mut states = Vec::new();
        for (own, tape) in done {
            states.extend(own);
            self.tapes.extend(tape.map(|tape| Mutex::new(Some(tape))));
        }
        Ok(states)
    }

    fn backward(&mut self, dstates: &[f32], gradients: &mut Gradients) -> Result<(), TrainError> {
        let hidden = self.thinker.hidden_size();
        let tapes = std::mem::take(&mut self.tapes);
        let ranges: Vec<_> = self.chunks().collect();
        // Where each item's states begin.
        let mut starts = vec![0];
        for item in self.items {
            starts.push(starts[starts.len() - 1] + item.keep.len() * hidden);
        }
        self.by_lanes(gradients, |range, gradients| {
            let kept = ranges
                .binary_search_by_key(&range.start, |r| r.start)
                .ok()
                .and_then(|at| tapes.get(at))
                .and_then(|tape| tape.lock().unwrap_or_else(PoisonError::into_inner).take());
            let tape = match kept {
                Some(tape) => tape,
                None => self.run(range.clone(), true)?.1.expect("recorded"),
            };
            let own = &dstates[starts[range.start]..starts[range.end]];
            self.thinker
                .backward(&self.pass(range.start), tape, own, gradients);
            Ok(0.0)
        })?;
        Ok(())
    }

    /// How many chunks are worked on side by side, each lane with gradients of its own: several where those
    /// are small beside the memory, whatever the number of threads, so that sums do not depend on it.
    fn lanes(&self) -> usize {
        let small = self.parameters.count() <= LANE_PARAMETERS;
        if small && self.keep_tapes { LANES } else { 1 }
    }

    /// Runs `work` for every chunk and adds up what it returns; gradients of lanes are added in order.
    fn by_lanes(
        &self,
        gradients: &mut Gradients,
        work: impl Fn(std::ops::Range<usize>, &mut Gradients) -> Result<f64, TrainError> + Sync,
    ) -> Result<f64, TrainError> {
        let lanes = self.lanes();
        if lanes == 1 {
            return self.chunks().map(|range| work(range, gradients)).sum();
        }
        let lane = |first: usize| {
            let mut own = Gradients::zeros(self.parameters);
            let ranges = self.chunks().skip(first).step_by(lanes);
            let value: f64 = ranges
                .map(|range| work(range, &mut own))
                .sum::<Result<_, _>>()?;
            Ok((value, own))
        };
        let done: Vec<(f64, Gradients)> = (0..lanes)
            .into_par_iter()
            .map(lane)
            .collect::<Result<_, TrainError>>()?;
        let mut value = 0.0;
        for (own_value, own) in &done {
            value += own_value;
            gradients.add(own);
        }
        Ok(value)
    }

    fn outcome(&self, loss: f64) -> Outcome {
        Outcome {
            loss,
            chunk: self.chunk,
            twice: !self.keep_tapes,
        }
    }
}

/// Clusters of the captions of all ranks, in the order of their states.
fn gather_clusters(
    pairs: &[Pair],
    collective: &mut dyn Collective,
) -> Result<Vec<ClusterSet>, TrainError> {
    let mut bytes = Vec::new();
    for pair in pairs {
        let clusters = pair.clusters.as_slice();
        bytes.extend((clusters.len() as u32).to_le_bytes());
        clusters.iter().for_each(|c| bytes.extend(c.to_le_bytes()));
    }
    let mut all = Vec::new();
    for part in collective.all_gather_bytes(&bytes)? {
        let mut words = part
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| u32::from_le_bytes(*b));
        while let Some(len) = words.next() {
            all.push(words.by_ref().take(len as usize).collect());
        }
    }
    Ok(all)
}
