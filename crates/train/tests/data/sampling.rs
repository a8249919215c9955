//! The laws of sampling.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aurola_train::data::{
    CaptionKind, DataError, Draw, FindNearest, Nearest, NearestConfig, Negative, Negatives,
    NegativesConfig, QuerySide, Sampler,
};
use proptest::prelude::*;
use tempfile::tempdir;

use super::{TABLE, config, run, sounds, table_of, write};

/// A sampler over sources of pairs of texts, of these numbers of rows and weights.
fn sampler(rows: &[usize], weights: Option<&[f64]>, batch: usize, seed: u64) -> Sampler {
    let folder = tempdir().unwrap();
    let mut recipe = String::new();
    for (at, rows) in rows.iter().enumerate() {
        let mut csv = String::from("sent0,sent1\n");
        (0..*rows).for_each(|row| csv.push_str(&format!("a{row},b{row}\n")));
        write(folder.path(), &format!("{at}.csv"), csv);
        recipe.push_str(&format!(
            "[[sources]]\nname = '{at}'\nkind = 'nli'\nfile = '{at}.csv'\n"
        ));
        if let Some(weights) = weights {
            recipe.push_str(&format!("weight = {:?}\n", weights[at]));
        }
    }
    let manifests = config(&recipe).read(folder.path()).unwrap();
    Sampler::new(manifests, batch, seed).unwrap()
}

fn row_of(draw: &Draw) -> (usize, usize) {
    (draw.source, draw.row)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Every row once an epoch, no row twice a batch, whatever the sizes.
    #[test]
    fn epochs_are_complete_and_batches_hold_no_row_twice(
        rows in 1_usize..40,
        batch in 1_usize..30,
        seed in 0_u64..1_000,
    ) {
        let sampler = sampler(&[rows], None, batch, seed);
        let steps = (rows * 8).div_ceil(batch) as u64;
        let mut epochs: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for step in 0..steps {
            let draws = sampler.batch(step);
            let distinct: BTreeSet<_> = draws.iter().map(row_of).collect();
            prop_assert_eq!(distinct.len(), if batch <= rows { batch } else { distinct.len() });
            for draw in draws {
                epochs.entry(draw.epoch).or_default().push(draw.row);
            }
        }
        for epoch in 0..7 {
            let mut seen = epochs[&epoch].clone();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..rows).collect::<Vec<_>>(), "epoch {}", epoch);
        }
    }

    /// The draws of a step do not depend on what was asked before.
    #[test]
    fn a_step_is_the_same_wherever_the_run_begins(
        rows in 1_usize..40,
        batch in 1_usize..30,
        step in 0_u64..60,
    ) {
        let (one, other) = (sampler(&[rows, 9], None, batch, 3), sampler(&[rows, 9], None, batch, 3));
        let mut through = Vec::new();
        for step in 0..=step {
            through = one.batch(step);
        }
        prop_assert_eq!(other.batch(step), through);
    }
}

#[test]
fn orders_differ_by_epoch_and_seed() {
    let order = |seed: u64, epoch: u64| -> Vec<usize> {
        let draws = sampler(&[30], None, 30, seed).batch(epoch);
        draws.iter().map(|draw| draw.row).collect()
    };
    assert_eq!(order(1, 0), order(1, 0));
    assert_ne!(order(1, 0), order(1, 1));
    assert_ne!(order(1, 0), order(2, 0));
}

#[test]
fn every_batch_has_each_sources_share() {
    let weights = [1.0, 2.0, 5.0];
    let sampler = sampler(&[50, 40, 30], Some(&weights), 16, 1);
    let mut total = [0; 3];
    for step in 0..500 {
        let mut counts = [0_i32; 3];
        sampler
            .batch(step)
            .iter()
            .for_each(|draw| counts[draw.source] += 1);
        for ((count, share), total) in counts.iter().zip([2, 4, 10]).zip(&mut total) {
            assert!((count - share).abs() <= 1, "step {step}: {counts:?}");
            *total += count;
        }
    }
    for (total, share) in total.iter().zip([1_000, 2_000, 5_000]) {
        assert!((total - share).abs() <= 2, "{total}, {share}");
    }
    // Without weights, by rows.
    let sampler = self::sampler(&[60, 20], None, 8, 1);
    let draws: Vec<Draw> = (0..10).flat_map(|step| sampler.batch(step)).collect();
    assert_eq!(draws.iter().filter(|draw| draw.source == 0).count(), 60);
    assert_eq!(sampler.steps_per_epoch(), 10);
}

const CAPTIONED: &str = r#"[
    {"id": "a", "caption_long": "L1", "caption_short": "S1", "caption_tag": "x, y"},
    {"id": "b", "caption_long": "L2", "caption_short": "S2", "caption_tag": ""},
    {"id": "c", "caption": ["P1", "P2", "P3"]}
]"#;

fn captioned(more: &str) -> (Arc<Sampler>, tempfile::TempDir) {
    let folder = tempdir().unwrap();
    sounds(folder.path(), &["a.wav", "b.wav", "c.wav"]);
    write(folder.path(), "c.json", CAPTIONED);
    let recipe = format!(
        "[[sources]]\nname = 'c'\nkind = 'aurola'\nfile = 'c.json'\naudio = ['sounds']\n{more}\n"
    );
    (run(folder.path(), &recipe, 3).0, folder)
}

#[test]
fn captions_are_drawn_uniformly_among_those_there_are() {
    let counts = |more: &str| {
        let (sampler, _folder) = captioned(more);
        let mut counts: BTreeMap<(usize, CaptionKind), u32> = BTreeMap::new();
        for draw in (0..3_000).flat_map(|step| sampler.batch(step)) {
            *counts.entry((draw.row, draw.caption)).or_default() += 1;
        }
        counts
    };
    let uniform = counts("");
    // Thirds of 3,000, halves of 3,000, thirds of 3,000; five standard deviations are 140.
    assert_eq!(uniform.len(), 3 + 2 + 3);
    for ((row, kind), count) in &uniform {
        let share = if *row == 1 { 1_500 } else { 1_000 };
        assert!(count.abs_diff(share) < 140, "{row}, {kind:?}: {count}");
    }
    let weighed = counts("captions = { long = 3.0, tag = 0.0 }");
    assert_eq!(weighed.get(&(0, CaptionKind::Tag)), None);
    assert!(
        weighed[&(0, CaptionKind::Long)].abs_diff(2_250) < 140,
        "{weighed:?}"
    );
}

#[test]
fn weights_that_leave_a_row_without_captions_are_refused() {
    let folder = tempdir().unwrap();
    table_of(folder.path(), 3);
    let manifests = config(&format!("{TABLE}captions = {{ plain = 0.0 }}\n"));
    let manifests = manifests.read(folder.path()).unwrap();
    let error = Sampler::new(manifests, 2, 1).unwrap_err().to_string();
    assert!(
        error.contains("`r0`") && error.contains("captions"),
        "{error}"
    );
}

#[test]
fn the_style_of_a_caption_never_tells_the_answer() {
    let (sampler, _folder) = captioned("");
    let (mut audio, mut total) = (0, 0);
    for draw in
        (0..1_000).flat_map(|step| sampler.rerank_batch(step, &Negatives::default()).unwrap())
    {
        total += 1;
        let Negative::Rows(negative) = draw.negative else {
            panic!("{draw:?}")
        };
        let [negative] = &negative[..] else {
            panic!("{negative:?}")
        };
        assert_ne!(negative.row, draw.positive.row);
        if draw.query == QuerySide::Audio {
            audio += 1;
            // Row c has no style in common with the others.
            if negative.row != 2 && draw.positive.row != 2 {
                assert_eq!(negative.caption, draw.positive.caption);
            }
        }
    }
    // A fair coin, 3,000 times; five standard deviations are 137.
    assert!(
        f64::from(audio - total / 2).abs() < 137.0,
        "{audio} of {total}"
    );
}

#[test]
fn hard_negatives_are_taken_and_right_ones_are_not() {
    let folder = tempdir().unwrap();
    sounds(folder.path(), &["a.wav", "b.wav", "c.wav", "d.wav"]);
    let json = r#"[
        {"id": "a", "caption": "A dog", "stage1_audio_hard_negative": [2], "stage1_text_hard_negative": [3, 1]},
        {"id": "b", "caption": "a dog."}, {"id": "c", "caption": "A cat"}, {"id": "d", "caption": "A cow"}
    ]"#;
    write(folder.path(), "h.json", json);
    let recipe = "[[sources]]\nname = 'h'\nkind = 'aurola'\nfile = 'h.json'\naudio = ['sounds']\n";
    let (sampler, _) = run(folder.path(), recipe, 4);
    for draw in (0..200).flat_map(|step| sampler.rerank_batch(step, &Negatives::default()).unwrap())
    {
        let Negative::Rows(negative) = draw.negative else {
            panic!("{draw:?}")
        };
        let [negative] = &negative[..] else {
            panic!("{negative:?}")
        };
        match draw.positive.row {
            // The caption of row 1 is that of row 0: it would not be wrong.
            0 => assert_eq!(
                negative.row,
                if draw.query == QuerySide::Audio { 3 } else { 2 }
            ),
            1 => assert!([2, 3].contains(&negative.row)),
            row => assert_ne!(negative.row, row),
        }
    }
}

/// Of each row the next two of the block, the second of them for captions.
struct NextOnes;

impl FindNearest for NextOnes {
    fn nearest(&self, rows: &[Draw], among: usize) -> Result<Vec<Nearest>, DataError> {
        assert_eq!(among, 3);
        let distinct: BTreeSet<usize> = rows.iter().map(|draw| draw.row).collect();
        assert_eq!(distinct.len(), rows.len(), "each row once");
        let next = |at: usize, by: usize| vec![rows[(at + by) % rows.len()].row];
        Ok((0..rows.len())
            .map(|at| Nearest {
                texts: next(at, 1),
                sounds: next(at, 2),
            })
            .collect())
    }
}

#[test]
fn the_nearest_of_a_block_are_the_wrong_candidates_pass_after_pass() {
    let folder = tempdir().unwrap();
    let recipe = "[[sources]]\nname = 's'\nkind = 'scenes'\ncount = 40\n";
    let (sampler, _) = run(folder.path(), recipe, 5);
    let config = NegativesConfig {
        near_misses: 0.0,
        captions: 3,
        nearest: Some(NearestConfig {
            rows: 10,
            passes: 3,
            among: 3,
        }),
    };
    let negatives = || Negatives::new(config.clone(), Some(Box::new(NextOnes)));
    let all = negatives();
    // Blocks of two batches, three times each.
    for block in 0..4_u64 {
        let drawn: Vec<usize> = (0..2)
            .flat_map(|step| sampler.batch(block * 2 + step))
            .map(|draw| draw.row)
            .collect();
        let mut told = BTreeSet::new();
        for pass in 0..3 {
            for within in 0..2 {
                let step = block * 6 + pass * 2 + within;
                let draws = sampler.rerank_batch(step, &all).unwrap();
                // However one gets there.
                assert_eq!(draws, sampler.rerank_batch(step, &negatives()).unwrap());
                for (slot, draw) in draws.iter().enumerate() {
                    let at = within as usize * 5 + slot;
                    assert_eq!(draw.positive.row, drawn[at]);
                    assert!(told.insert(draw.positive.variation), "told as before");
                    let by = if draw.query == QuerySide::Audio { 1 } else { 2 };
                    let Negative::Rows(wrong) = &draw.negative else {
                        panic!("{draw:?}")
                    };
                    assert_eq!(wrong[0].row, drawn[(at + by) % 10]);
                    // One is hard, the others are any, and none is of the row itself.
                    let wanted = if draw.query == QuerySide::Audio { 3 } else { 1 };
                    assert_eq!(wrong.len(), wanted);
                    assert!(wrong.iter().all(|wrong| wrong.row != drawn[at]));
                }
            }
        }
    }
}

#[test]
fn a_source_of_one_class_has_no_negatives_and_says_so() {
    let folder = tempdir().unwrap();
    for name in ["1", "2"] {
        write(
            folder.path(),
            &format!("s/rain/{name}.wav"),
            super::tone(0.2, 300.0),
        );
    }
    let recipe = "[[sources]]\nname = 's'\nkind = 'folder'\nfolder = 's'\n";
    let (sampler, _) = run(folder.path(), recipe, 2);
    let error = sampler
        .rerank_batch(0, &Negatives::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("no negative is left"), "{error}");
}
