//! Class names as prompts: how well they sort clips, and clips them.
//!
//! What "mAP" means here is published nowhere, so both readings are given:
//!
//! | figure | average precision of |
//! |---|---|
//! | sample-wise | each clip: all class names ordered by similarity, its own are right; the mean over clips |
//! | class-wise | each class: all clips ordered, its own are right; the mean over classes that have clips |
//!
//! Over whole rankings, not their beginnings; ties count against (see [`crate::places`]).

use serde::{Deserialize, Serialize};

use crate::bootstrap::{Interval, mean_interval};
use crate::places::places;
use crate::similarity::Similarity;

/// What a class name is put into, `{}` being the name. All that are given are embedded and averaged.
pub const TEMPLATE: &str = "the sound of {}";

/// A mean in percent, and its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// In percent.
    pub value: f64,
    /// In percent.
    pub interval: Interval,
}

impl Mean {
    fn of(values: &[f64]) -> Self {
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        let Interval { low, high } = mean_interval(values);
        Self {
            value: 100.0 * mean,
            interval: Interval {
                low: 100.0 * low,
                high: 100.0 * high,
            },
        }
    }
}

/// Figures of class prompts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassFigures {
    /// Sample-wise mAP; what is drawn anew for its interval is the clip.
    pub sample_map: Mean,
    /// Class-wise mAP; what is drawn anew is the class.
    pub class_map: Mean,
    /// Clips whose best class is one of theirs.
    pub top1: Mean,
    /// Clips with one of theirs among the best five.
    pub top5: Mean,
    /// Average precision of each class, `[0, 1]`; none for one without clips.
    pub by_class: Vec<Option<f64>>,
    /// Average precision of each clip, `[0, 1]`.
    pub by_clip: Vec<f64>,
    /// Place of each clip's best own class, from 1.
    pub places: Vec<u32>,
    /// For each class, how often each class came first for its clips: the place of what came first, and how often,
    /// most often first. A clip with several classes counts for each.
    pub confusions: Vec<Vec<(usize, usize)>>,
}

/// `similarity`: rows classes, columns clips. `classes`: for each clip, its classes; none may be empty.
pub fn figures(similarity: &Similarity, classes: &[Vec<usize>]) -> ClassFigures {
    let by_clip_scores = similarity.transposed();
    let precision = |places: &[u32]| {
        let sum: f64 = (places.iter().zip(1..))
            .map(|(place, n)| f64::from(n) / f64::from(*place))
            .sum();
        sum / places.len().max(1) as f64
    };
    let mut clips_of = vec![Vec::new(); similarity.texts()];
    let (mut by_clip, mut first) = (Vec::new(), Vec::new());
    let mut confused = vec![vec![0_usize; similarity.texts()]; similarity.texts()];
    for (clip, own) in classes.iter().enumerate() {
        let row = by_clip_scores.row(clip);
        let places = places(row, own);
        by_clip.push(precision(&places));
        first.push(places.first().copied().unwrap_or(u32::MAX));
        let best = (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b]).then(b.cmp(a)));
        for class in own {
            clips_of[*class].push(clip);
            if let Some(best) = best {
                confused[*class][best] += 1;
            }
        }
    }
    let by_class: Vec<Option<f64>> = (clips_of.iter().enumerate())
        .map(|(class, clips)| {
            (!clips.is_empty()).then(|| precision(&places(similarity.row(class), clips)))
        })
        .collect();
    let within = |k: u32| -> Vec<f64> {
        first
            .iter()
            .map(|place| f64::from(u8::from(*place <= k)))
            .collect()
    };
    let scored: Vec<f64> = by_class.iter().copied().flatten().collect();
    let confusions = (confused.into_iter())
        .map(|counts| {
            let mut some: Vec<(usize, usize)> = (counts.into_iter().enumerate())
                .filter(|(_, n)| *n > 0)
                .collect();
            some.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
            some
        })
        .collect();
    ClassFigures {
        sample_map: Mean::of(&by_clip),
        class_map: Mean::of(&scored),
        top1: Mean::of(&within(1)),
        top5: Mean::of(&within(5)),
        by_class,
        by_clip,
        places: first,
        confusions,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three classes, four clips; the last clip has two classes, and class 2 has no clip of its own first.
    #[test]
    fn both_readings_by_hand() {
        let similarity = Similarity::new(
            3,
            4,
            vec![
                0.9, 0.2, 0.1, 0.8, //
                0.1, 0.8, 0.7, 0.3, //
                0.2, 0.1, 0.6, 0.4,
            ],
        )
        .unwrap();
        let figures = figures(&similarity, &[vec![0], vec![1], vec![2], vec![0, 2]]);
        // Clip 2 finds its class second; clip 3 has its two first.
        assert_eq!(figures.by_clip, [1.0, 1.0, 0.5, 1.0]);
        assert_eq!(figures.sample_map.value, 87.5);
        assert_eq!(figures.by_class, [Some(1.0), Some(1.0), Some(1.0)]);
        assert_eq!((figures.top1.value, figures.top5.value), (75.0, 100.0));
        assert_eq!(figures.confusions[2], [(0, 1), (1, 1)]);
    }
}
