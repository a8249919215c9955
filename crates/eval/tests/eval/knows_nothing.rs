//! Re-rankers that know nothing gain nothing; one that knows everything does.

use aurola_eval::bootstrap::{Interval, compare, mean_interval};
use aurola_eval::metrics::Outcome;
use aurola_eval::places::outcomes;
use aurola_eval::rerank::{Verdicts, candidates, choose_weight, fused};
use aurola_eval::{Pool, Side, Similarity};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const CLIPS: usize = 120;
const CAPTIONS: usize = 3;
const DEPTH: usize = 20;
const DRAWS: u64 = 100;

/// A system that is right now and then: R@1 of about a third.
fn split(seed: u64) -> (Similarity, Pool) {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let texts = CLIPS * CAPTIONS;
    let mut noise = || {
        (0..6)
            .map(|_| dice.random_range(-0.1..0.1_f32))
            .sum::<f32>()
    };
    let values = (0..texts * CLIPS)
        .map(|cell| {
            noise()
                + if cell / CLIPS / CAPTIONS == cell % CLIPS {
                    0.3
                } else {
                    0.0
                }
        })
        .collect();
    let clips = (0..CLIPS).map(|clip| format!("clip {clip}")).collect();
    let pool = Pool::new(
        clips,
        (0..texts).map(|text| vec![text / CAPTIONS]).collect(),
    )
    .unwrap();
    (Similarity::new(texts, CLIPS, values).unwrap(), pool)
}

/// A verdict on every candidate.
fn judge(oriented: &Similarity, mut verdict: impl FnMut(usize, usize) -> f32) -> Verdicts {
    (candidates(oriented, DEPTH).into_iter().enumerate())
        .map(|(query, found)| {
            (found.into_iter())
                .map(|c| (c, verdict(query, c)))
                .collect()
        })
        .collect()
}

/// What each direction gains on a test split, in R@1, R@5, R@10, mean, mAP@10 and nDCG@10: the mean over draws, by
/// a weight chosen on another split, and how many of them gain more than their own interval allows.
fn gains(judges: impl Fn(&mut ChaCha8Rng, &Similarity, &Pool, Side) -> Verdicts) {
    for side in Side::BOTH {
        let (validation, validation_pool) = split(1);
        let (test, test_pool) = split(2);
        let (validation, test) = (validation.oriented(side), test.oriented(side));
        let before = outcomes(&test, &test_pool, side);
        let mut gained: [Vec<f64>; 7] = Default::default();
        let mut beyond = 0;
        for draw in 0..DRAWS {
            let mut dice = ChaCha8Rng::seed_from_u64(draw);
            let on_validation = judges(&mut dice, &validation, &validation_pool, side);
            let choice = choose_weight(&validation, &validation_pool, side, &on_validation);
            let on_test = judges(&mut dice, &test, &test_pool, side);
            let after = fused(&test, &test_pool, side, &on_test, choice.weight);
            let gain = compare(&before, &after).unwrap();
            for (values, gain) in gained.iter_mut().zip(&gain) {
                values.push(gain.gain);
            }
            beyond += usize::from(gain[3].interval.low > 0.0);
        }
        // The median rank (4) gains by falling; all others by rising.
        for (name, values) in gained.iter().enumerate().filter(|(name, _)| *name != 4) {
            let Interval { low, high } = mean_interval(values);
            assert!(
                low <= 0.0 && 0.0 <= high,
                "{side:?}, figure {name}: {low}..{high}"
            );
        }
        assert!(beyond <= 5, "{side:?}: {beyond} of {DRAWS} draws gain");
    }
}

#[test]
fn one_that_rolls_dice_gains_nothing() {
    gains(|dice, oriented, _, _| judge(oriented, |_, _| dice.random()));
}

/// True verdicts, given to other candidates: as many are said to be right, and no more is known.
#[test]
fn one_whose_verdicts_are_shuffled_gains_nothing() {
    gains(|dice, oriented, pool, side| {
        let mut verdicts = judge(oriented, |query, candidate| {
            f32::from(pool.right(side, query).contains(&candidate))
        });
        for judged in &mut verdicts {
            let mut said: Vec<f32> = judged.iter().map(|(_, p)| *p).collect();
            said.shuffle(dice);
            for (entry, p) in judged.iter_mut().zip(said) {
                entry.1 = p;
            }
        }
        verdicts
    });
}

/// Whatever it says, and whatever the weight: not one place changes.
#[test]
fn one_that_always_says_the_same_changes_nothing() {
    let (similarity, pool) = split(3);
    for side in Side::BOTH {
        let oriented = similarity.oriented(side);
        let before = outcomes(&oriented, &pool, side);
        for draw in 0..DRAWS {
            let mut dice = ChaCha8Rng::seed_from_u64(draw);
            let (constant, weight) = (dice.random::<f32>(), dice.random_range(0.0..1000.0));
            let verdicts = judge(&oriented, |_, _| constant);
            assert_eq!(fused(&oriented, &pool, side, &verdicts, weight), before);
        }
    }
}

/// With a weight that is forced on it, a re-ranker that rolls dice does harm: the fusion has no leak.
#[test]
fn dice_with_a_forced_weight_do_harm() {
    let (similarity, pool) = split(4);
    for side in Side::BOTH {
        let oriented = similarity.oriented(side);
        let before = outcomes(&oriented, &pool, side);
        let mut dice = ChaCha8Rng::seed_from_u64(5);
        let verdicts = judge(&oriented, |_, _| dice.random());
        let after = fused(&oriented, &pool, side, &verdicts, 1.0);
        let gain = compare(&before, &after).unwrap();
        assert!(gain[0].interval.high < 0.0, "{side:?}: {:?}", gain[0]);
    }
}

#[test]
fn an_oracle_gains_and_its_weight_is_taken() {
    for side in Side::BOTH {
        let (validation, validation_pool) = split(1);
        let (test, test_pool) = split(2);
        let (validation, test) = (validation.oriented(side), test.oriented(side));
        let knows = |oriented: &Similarity, pool: &Pool| {
            judge(oriented, |query, c| {
                f32::from(pool.right(side, query).contains(&c))
            })
        };
        let choice = choose_weight(
            &validation,
            &validation_pool,
            side,
            &knows(&validation, &validation_pool),
        );
        assert!(
            choice.weight > 0.0 && choice.gain.interval.low > 0.0,
            "{choice:?}"
        );
        let before = outcomes(&test, &test_pool, side);
        let after = fused(
            &test,
            &test_pool,
            side,
            &knows(&test, &test_pool),
            choice.weight,
        );
        let gain = compare(&before, &after).unwrap();
        assert!(
            gain[0].interval.low > 10.0 && gain[0].p < 0.01,
            "{side:?}: {:?}",
            gain[0]
        );
        // Nothing past the first candidates is found.
        let found = |all: &[Outcome]| all.iter().filter(|o| o.place as usize <= DEPTH).count();
        assert_eq!(found(&before), found(&after));
    }
}
