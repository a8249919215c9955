//! Calibration: what a score means in this index.
//!
//! A cosine says little by itself: one model's matches begin at 0.3, another's random pairs lie at 0.7.
//! So phrases that have nothing to do with one another are scored against a sample of the sounds, once
//! for each state of the index, and a score is told by its place among those. Questions made of sounds
//! are compared with scores between random sounds.

use aurola_model::Input;
use aurola_retrieval::{Embedding, Snapshot, Store, distance};

use super::Index;
use crate::EngineError;

/// Steps of a distribution that are kept.
const STEPS: usize = 2_001;
/// Sounds of the sample.
const SOUNDS: usize = 512;

/// Everyday sounds of every kind: what people might ask for.
pub(super) const PHRASES: [&str; 40] = [
    "a dog barking",
    "rain on a roof",
    "a person speaking",
    "a car driving past",
    "a piano playing softly",
    "birds singing in a forest",
    "a door closing",
    "footsteps on gravel",
    "a crowd cheering",
    "an alarm beeping",
    "wind blowing",
    "a baby crying",
    "glass breaking",
    "a helicopter overhead",
    "waves on a beach",
    "a telephone ringing",
    "an electric guitar solo",
    "a cat meowing",
    "thunder in the distance",
    "a clock ticking",
    "typing on a keyboard",
    "an engine idling",
    "water dripping into a sink",
    "a church bell",
    "children playing outside",
    "a train passing",
    "a saw cutting wood",
    "someone laughing",
    "a gun firing",
    "a fire crackling",
    "drums with a steady beat",
    "a woman singing",
    "a frog croaking at night",
    "static noise from a radio",
    "a zipper being opened",
    "a metal object falling",
    "an airplane taking off",
    "a synthetic laser effect",
    "a violin playing a long note",
    "silence in a quiet room",
];

/// Scores of random pairs, as steps from the least to the greatest.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Calibration {
    /// Phrases with sounds; empty where no model was there to embed phrases.
    text: Vec<f32>,
    /// Sounds with sounds.
    sound: Vec<f32>,
}

impl Calibration {
    /// What is kept, or, where nothing is, what can be told without a model.
    pub(super) fn read(store: &Store, snapshot: &Snapshot) -> Result<Option<Self>, EngineError> {
        if let Some((_, body)) = store.calibration(snapshot.space())?
            && let Some(kept) = Self::of_bytes(&body)
        {
            return Ok(Some(kept));
        }
        if snapshot.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self::measure(snapshot, &[])?))
    }

    fn measure(snapshot: &Snapshot, phrases: &[Embedding]) -> Result<Self, EngineError> {
        let sounds = snapshot.sample(SOUNDS)?;
        let with_phrases = phrases.iter().flat_map(|phrase| {
            sounds
                .iter()
                .map(|sound| distance::dot(phrase.as_slice(), sound))
        });
        // Each with a few that lie far from it in the order of the sample.
        let apart = (1..8).map(|n| n * 61);
        let pairs = apart.flat_map(|apart| {
            let others = sounds.iter().cycle().skip(apart);
            sounds
                .iter()
                .zip(others)
                .filter(|(a, b)| a != b)
                .map(|(a, b)| distance::dot(a, b))
        });
        Ok(Self {
            text: steps(with_phrases),
            sound: steps(pairs),
        })
    }

    /// The place of `score` in `[0, 1]`.
    pub(super) fn place(&self, score: f32, by_text: bool) -> f32 {
        let steps = self.steps(by_text);
        if steps.is_empty() {
            return 0.5;
        }
        let below = steps.partition_point(|step| *step < score);
        below as f32 / steps.len() as f32
    }

    /// The middle score of random pairs.
    pub(super) fn middle(&self, by_text: bool) -> Option<f32> {
        let steps = self.steps(by_text);
        steps.get(steps.len() / 2).copied()
    }

    fn steps(&self, by_text: bool) -> &[f32] {
        if by_text && !self.text.is_empty() {
            &self.text
        } else {
            &self.sound
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = (self.text.len() as u32).to_le_bytes().to_vec();
        for step in self.text.iter().chain(&self.sound) {
            bytes.extend(step.to_le_bytes());
        }
        bytes
    }

    fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (count, rest) = bytes.split_first_chunk::<4>()?;
        let (steps, []) = rest.as_chunks::<4>() else {
            return None;
        };
        let mut text: Vec<f32> = steps.iter().map(|step| f32::from_le_bytes(*step)).collect();
        let at = u32::from_le_bytes(*count) as usize;
        let sound = (at <= text.len()).then(|| text.split_off(at))?;
        Some(Self { text, sound })
    }
}

fn steps(scores: impl Iterator<Item = f32>) -> Vec<f32> {
    let mut all: Vec<f32> = scores.collect();
    all.sort_unstable_by(f32::total_cmp);
    if all.len() <= STEPS {
        return all;
    }
    (0..STEPS)
        .map(|step| all[step * (all.len() - 1) / (STEPS - 1)])
        .collect()
}

impl Index {
    /// Measures anew where the index has grown by half since the last time, and seals where that is
    /// worth it.
    pub(super) fn settle(&self, store: &mut Store) -> Result<(), EngineError> {
        let Some(space) = store.space(&self.key)? else {
            return Ok(());
        };
        let mut phrases = None;
        if store.wants_sealing(&space)? {
            let embedded = self.phrases();
            store.seal(&space, &embedded, false)?;
            phrases = Some(embedded);
        }
        let windows = store.window_count(&space)?;
        let before = store.calibration(&space)?.map_or(0, |(windows, _)| windows);
        if windows == 0 || (before > 0 && windows < before + before / 2 && windows > before / 2) {
            return Ok(());
        }
        let phrases = match phrases {
            Some(phrases) => phrases,
            None => self.phrases(),
        };
        let snapshot = Snapshot::load(store, &space)?;
        let measured = Calibration::measure(&snapshot, &phrases)?;
        let writer = store.write()?;
        writer.calibrate(&space, windows, &measured.bytes())?;
        writer.commit()?;
        Ok(())
    }

    /// Empty where the model takes no words: then scores between sounds are all there is to compare with.
    fn phrases(&self) -> Vec<Embedding> {
        let inputs: Vec<Input<'_>> = PHRASES.iter().map(|phrase| Input::Text(phrase)).collect();
        self.model.embed(&inputs).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_the_share_of_random_scores_below_and_survives_its_bytes() {
        let calibration = Calibration {
            text: vec![0.1, 0.2, 0.3, 0.4],
            sound: vec![0.5, 0.7],
        };
        assert_eq!(calibration.place(0.35, true), 0.75);
        assert_eq!(calibration.place(0.0, true), 0.0);
        assert_eq!(calibration.place(0.6, false), 0.5);
        assert_eq!(calibration.middle(true), Some(0.3));
        let bytes = calibration.bytes();
        assert_eq!(Calibration::of_bytes(&bytes), Some(calibration));
        assert_eq!(Calibration::of_bytes(&bytes[1..]), None);
    }
}
