//! Gradients against central differences in `f64`, over random batches and every option.

use proptest::prelude::*;

use super::*;

/// Moves an exponent by 1e-6 / τ, up to 5e-5: small enough for its cube to be nothing, large enough for the
/// difference of two losses to keep ten digits.
const STEP: f64 = 1e-6;

fn similarities() -> impl Strategy<Value = (usize, Vec<f64>)> {
    (1usize..=7).prop_flat_map(|batch| {
        let values = prop::collection::vec(-1.0..1.0f64, batch * batch);
        (Just(batch), values)
    })
}

/// Few clusters and small sets, so that overlaps of every kind are common.
fn clusters(batch: usize) -> impl Strategy<Value = Vec<Option<ClusterSet>>> {
    let set = prop::collection::vec(0u32..4, 0..4).prop_map(ClusterSet::from_iter);
    prop::collection::vec(prop::option::weighted(0.8, set), batch)
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::AudioToText), Just(Direction::Symmetric)]
}

fn config() -> impl Strategy<Value = HybridNceConfig> {
    (
        0.05..1.0f64,
        prop_oneof![Just(1.0), 0.05..1.0f64],
        prop_oneof![Just(0.0), 0.0..1.0f64],
        prop_oneof![Just(0.0), 0.0..2.0f64],
        direction(),
        prop_oneof![Just(Form::Exact), Just(Form::Released)],
    )
        .prop_map(
            |(temperature, positive_weight, shared_tag_weight, hardness, direction, form)| {
                HybridNceConfig {
                    temperature,
                    positive_weight,
                    shared_tag_weight,
                    hardness,
                    direction,
                    form,
                }
            },
        )
}

fn overlapping() -> impl Strategy<Value = (usize, Vec<f64>, Overlap)> {
    let rule = prop_oneof![
        Just(OverlapRule::IdenticalSets),
        Just(OverlapRule::IntersectionOverUnion)
    ];
    (similarities(), rule).prop_flat_map(|((batch, values), rule)| {
        clusters(batch).prop_map(move |sets| {
            let sets: Vec<_> = sets.iter().map(Option::as_ref).collect();
            (batch, values.clone(), Overlap::between(&sets, rule))
        })
    })
}

/// Largest difference between `gradient` and the slopes of `value`, relative to the steepest.
fn off_by(values: &[f64], gradient: &[f64], value: impl Fn(&[f64]) -> f64) -> f64 {
    let mut moved = values.to_vec();
    let slopes: Vec<f64> = (0..values.len())
        .map(|at| {
            moved[at] = values[at] + STEP;
            let above = value(&moved);
            moved[at] = values[at] - STEP;
            let below = value(&moved);
            moved[at] = values[at];
            (above - below) / (2.0 * STEP)
        })
        .collect();
    let steepest = slopes.iter().fold(1.0, |most: f64, s| most.max(s.abs()));
    let differences = slopes.iter().zip(gradient).map(|(s, g)| (s - g).abs());
    differences.fold(0.0, f64::max) / steepest
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn info_nce_by_similarity(
        (batch, values) in similarities(),
        temperature in 0.02..1.0f64,
        direction in direction(),
    ) {
        let cfg = InfoNceConfig { temperature, direction };
        let of = |s: &[f64]| info_nce(&Similarities::from_f64(batch, s.to_vec()), &cfg).unwrap();
        let off = off_by(&values, &of(&values).gradient, |s| of(s).value);
        prop_assert!(off < 1e-6, "off by {off:e}");
    }

    #[test]
    fn hybrid_nce_by_similarity((batch, values, overlap) in overlapping(), cfg in config()) {
        let of = |s: &[f64]| {
            hybrid_nce(&Similarities::from_f64(batch, s.to_vec()), &overlap, &cfg).unwrap()
        };
        let off = off_by(&values, &of(&values).gradient, |s| of(s).value);
        prop_assert!(off < 1e-6, "off by {off:e}");
    }

    /// All the way from raw embeddings to the loss and back. The way there is written out once more in
    /// `f64`, since [`Pairs`] takes `f32`, which cannot hold so small a step.
    #[test]
    fn hybrid_nce_by_raw_embedding(
        (batch, values, overlap) in overlapping(),
        cfg in config(),
        seed in 0u64..1000,
    ) {
        let dim = 5;
        let noise = |i: usize| ((i as f64 + 1.0) * (seed as f64 + 0.7) * 12.9898).sin();
        let audio: Vec<f32> = (0..batch * dim).map(|i| (2.0 * noise(i)) as f32).collect();
        let text: Vec<f32> = (0..batch * dim)
            .map(|i| (noise(i + 999) + values[i % values.len()]) as f32)
            .collect();
        let pairs = Pairs::normalized(&audio, &text, dim);
        prop_assume!(pairs.is_ok());
        let pairs = pairs.unwrap();
        let loss = hybrid_nce(&pairs.similarities(), &overlap, &cfg).unwrap();
        let gradients = pairs.backward(&loss.gradient).unwrap();
        let analytic: Vec<f64> = gradients.audio.iter().chain(&gradients.text).map(|g| f64::from(*g)).collect();

        let raw: Vec<f64> = audio.iter().chain(&text).map(|v| f64::from(*v)).collect();
        let off = off_by(&raw, &analytic, |raw| {
            let unit: Vec<f64> = raw
                .chunks_exact(dim)
                .flat_map(|row| {
                    let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
                    row.iter().map(move |v| v / norm)
                })
                .collect();
            let (a, t) = unit.split_at(batch * dim);
            let s = a.chunks_exact(dim).flat_map(|a| {
                t.chunks_exact(dim).map(move |t| a.iter().zip(t).map(|(a, t)| a * t).sum())
            });
            let sim = Similarities::from_f64(batch, s.collect());
            hybrid_nce(&sim, &overlap, &cfg).unwrap().value
        });
        prop_assert!(off < 1e-5, "off by {off:e}");
    }

    #[test]
    fn cross_entropy_by_logit(
        logits in prop::collection::vec(-8.0..8.0f32, 24),
        targets in prop::collection::vec(prop::option::weighted(0.7, 0u32..6), 4),
    ) {
        prop_assume!(targets.iter().any(Option::is_some));
        let loss = cross_entropy(&logits, 6, &targets).unwrap();
        // A step that `f32` represents, and differences of values that are `f64`.
        let step = 1.0 / 1024.0;
        for (at, g) in loss.gradient.iter().enumerate() {
            let mut moved = logits.clone();
            moved[at] = logits[at] + step;
            let (up, above) = (moved[at], cross_entropy(&moved, 6, &targets).unwrap().value);
            moved[at] = logits[at] - step;
            let (down, below) = (moved[at], cross_entropy(&moved, 6, &targets).unwrap().value);
            let slope = (above - below) / f64::from(up - down);
            prop_assert!((slope - f64::from(*g)).abs() < 1e-6, "logit {at}: {slope} is not {g}");
        }
    }
}
