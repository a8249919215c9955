//! What holds for every batch.

use aurola_train::loss::{
    ClusterSet, ContrastiveLoss, Direction, Form, HybridNceConfig, InfoNceConfig, Overlap,
    OverlapRule, Pairs, Similarities, cross_entropy, hybrid_nce, info_nce,
};
use proptest::prelude::*;

use super::{assert_all_close, assert_close, noise};

const BATCH: usize = 6;
const DIRECTIONS: [Direction; 2] = [Direction::AudioToText, Direction::Symmetric];
const FORMS: [Form; 2] = [Form::Exact, Form::Released];

fn similarities(values: &[f32]) -> Similarities {
    Similarities::new(BATCH, values).unwrap()
}

fn matrix() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(-1.0..1.0f32, BATCH * BATCH)
}

fn clusters() -> impl Strategy<Value = Vec<Option<ClusterSet>>> {
    let set = prop::collection::vec(0u32..3, 0..3).prop_map(ClusterSet::from_iter);
    prop::collection::vec(prop::option::of(set), BATCH)
}

fn shared(clusters: &[Option<ClusterSet>]) -> Overlap {
    let sets: Vec<_> = clusters.iter().map(Option::as_ref).collect();
    Overlap::between(&sets, OverlapRule::IntersectionOverUnion)
}

fn transposed(values: &[f32]) -> Vec<f32> {
    (0..BATCH * BATCH)
        .map(|k| values[k % BATCH * BATCH + k / BATCH])
        .collect()
}

/// Both forms and directions at an odd setting of everything.
fn all_options() -> Vec<HybridNceConfig> {
    DIRECTIONS
        .into_iter()
        .flat_map(|direction| FORMS.map(|form| (direction, form)))
        .map(|(direction, form)| HybridNceConfig {
            temperature: 0.1,
            positive_weight: 0.7,
            shared_tag_weight: 0.4,
            hardness: 0.3,
            direction,
            form,
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn hybrid_nce_without_its_extensions_is_info_nce(s in matrix(), temperature in 0.005..1.0f64) {
        for direction in DIRECTIONS {
            let plain = InfoNceConfig { temperature, direction };
            let cfg = HybridNceConfig { direction, ..HybridNceConfig::info_nce(temperature) };
            let want = info_nce(&similarities(&s), &plain).unwrap();
            let got = hybrid_nce(&similarities(&s), &Overlap::none(BATCH), &cfg).unwrap();
            assert_close(got.value, want.value, 1e-12 * want.value.max(1.0));
            assert_all_close(&got.gradient, &want.gradient, 1e-12 / temperature);
        }
    }

    #[test]
    fn info_nce_of_a_row_does_not_change_when_all_of_it_moves(
        s in matrix(), row in 0..BATCH, by in -8i8..8,
    ) {
        // Halves of small powers of two and sums that an f32 holds whole.
        let s: Vec<f32> = s.iter().map(|v| (v * 1024.0).round() / 1024.0).collect();
        let mut moved = s.clone();
        moved[row * BATCH..(row + 1) * BATCH].iter_mut().for_each(|v| *v += f32::from(by));
        let cfg = InfoNceConfig::default();
        let (before, after) =
            (info_nce(&similarities(&s), &cfg).unwrap(), info_nce(&similarities(&moved), &cfg).unwrap());
        assert_close(after.value, before.value, 1e-12);
        assert_all_close(&after.gradient, &before.gradient, 1e-11);
    }

    #[test]
    fn the_gradient_of_a_row_adds_up_to_nothing(s in matrix(), clusters in clusters()) {
        // A constant added to a row multiplies every p by the same factor, weights included.
        let overlap = shared(&clusters);
        let cfg = HybridNceConfig::default();
        let loss = hybrid_nce(&similarities(&s), &overlap, &cfg).unwrap();
        for row in loss.gradient.chunks_exact(BATCH) {
            assert_close(row.iter().sum(), 0.0, 1e-12);
        }
    }

    #[test]
    fn pairs_in_another_order_have_gradients_in_that_order(
        s in matrix(),
        clusters in clusters(),
        order in Just((0..BATCH).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let reordered: Vec<f32> = order
            .iter()
            .flat_map(|i| order.iter().map(|j| s[i * BATCH + j]).collect::<Vec<_>>())
            .collect();
        let reordered_clusters: Vec<_> = order.iter().map(|i| clusters[*i].clone()).collect();
        for cfg in all_options() {
            let loss = hybrid_nce(&similarities(&s), &shared(&clusters), &cfg).unwrap();
            let other =
                hybrid_nce(&similarities(&reordered), &shared(&reordered_clusters), &cfg).unwrap();
            assert_close(other.value, loss.value, 1e-12);
            for (i, from_i) in order.iter().enumerate() {
                for (j, from_j) in order.iter().enumerate() {
                    let want = loss.gradient[from_i * BATCH + from_j];
                    assert_close(other.gradient[i * BATCH + j], want, 1e-12);
                }
            }
        }
    }

    #[test]
    fn a_symmetric_loss_knows_no_sides(s in matrix(), clusters in clusters()) {
        let overlap = shared(&clusters);
        let cfg = HybridNceConfig { direction: Direction::Symmetric, ..HybridNceConfig::default() };
        let loss = hybrid_nce(&similarities(&s), &overlap, &cfg).unwrap();
        let turned = hybrid_nce(&similarities(&transposed(&s)), &overlap, &cfg).unwrap();
        assert_close(turned.value, loss.value, 1e-12);

        // It is the mean of the one direction and of the one direction seen from the other side.
        let one = HybridNceConfig::default();
        let rows = hybrid_nce(&similarities(&s), &overlap, &one).unwrap().value;
        let columns = hybrid_nce(&similarities(&transposed(&s)), &overlap, &one).unwrap().value;
        assert_close(loss.value, (rows + columns) / 2.0, 1e-12);
    }

    #[test]
    fn a_pair_with_overlap_is_not_a_negative(s in matrix(), by in 0.0..1.0f32) {
        // λ = 0: caption 1 is neither negative nor positive to sound 0, so its similarity is nothing to it.
        let mut overlap = vec![0.0; BATCH * BATCH];
        overlap[1] = 0.25;
        let overlap = Overlap::from_values(BATCH, overlap).unwrap();
        let cfg = HybridNceConfig { shared_tag_weight: 0.0, ..HybridNceConfig::default() };
        let mut moved = s.clone();
        moved[1] += by;
        let before = hybrid_nce(&similarities(&s), &overlap, &cfg).unwrap();
        let after = hybrid_nce(&similarities(&moved), &overlap, &cfg).unwrap();
        prop_assert_eq!(before.gradient[1], 0.0);
        prop_assert_eq!(before.value, after.value);
    }

    #[test]
    fn a_gradient_through_the_length_is_at_right_angles_to_it(
        audio in prop::collection::vec(-2.0..2.0f32, 4 * 5),
        text in prop::collection::vec(-2.0..2.0f32, 4 * 5),
    ) {
        let pairs = Pairs::normalized(&audio, &text, 5);
        prop_assume!(pairs.is_ok());
        let pairs = pairs.unwrap();
        let loss = info_nce(&pairs.similarities(), &InfoNceConfig::default()).unwrap();
        let gradients = pairs.backward(&loss.gradient).unwrap();
        for (values, gradient) in [(&audio, &gradients.audio), (&text, &gradients.text)] {
            for (v, g) in values.chunks_exact(5).zip(gradient.chunks_exact(5)) {
                let dot = |a: &[f32], b: &[f32]| -> f64 {
                    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
                };
                let size = dot(v, v).sqrt() * dot(g, g).sqrt();
                prop_assert!(dot(v, g).abs() <= 1e-6 * size.max(1e-6), "{} of {size}", dot(v, g));
            }
        }
    }

    #[test]
    fn chunks_weighted_by_their_targets_are_the_whole(
        logits in prop::collection::vec(-30.0..30.0f32, 6 * 4),
        targets in prop::collection::vec(prop::option::of(0u32..4), 6),
        cut in 1usize..6,
    ) {
        prop_assume!(targets[..cut].iter().any(Option::is_some));
        prop_assume!(targets[cut..].iter().any(Option::is_some));
        let whole = cross_entropy(&logits, 4, &targets).unwrap();
        let first = cross_entropy(&logits[..cut * 4], 4, &targets[..cut]).unwrap();
        let second = cross_entropy(&logits[cut * 4..], 4, &targets[cut..]).unwrap();
        let weight = |part: f64| part / whole.weight;
        let sum = first.value * weight(first.weight) + second.value * weight(second.weight);
        assert_close(sum, whole.value, 1e-12 * whole.value.max(1.0));
        for row in whole.gradient.chunks_exact(4) {
            prop_assert!(row.iter().sum::<f32>().abs() < 1e-6);
        }
    }
}

fn finite(loss: &ContrastiveLoss, cfg: &HybridNceConfig) {
    assert!(loss.value.is_finite(), "{} at {cfg:?}", loss.value);
    assert!(loss.gradient.iter().all(|g| g.is_finite()), "at {cfg:?}");
}

#[test]
fn no_temperature_overflows() {
    // exp(1 / 0.005) is 7e86, and exp(1 / 0.001) is beyond f64 once hardness doubles it.
    let mut s = noise(BATCH * BATCH, 11);
    s[0] = -1.0;
    s[1] = 1.0;
    let clusters = [
        Some(&[1u32][..]),
        Some(&[1, 2]),
        None,
        Some(&[1]),
        None,
        Some(&[]),
    ];
    let overlap = super::overlap(OverlapRule::IntersectionOverUnion, &clusters);
    for temperature in [0.05, 0.005, 0.001] {
        for cfg in all_options() {
            let cfg = HybridNceConfig {
                temperature,
                hardness: 1.0,
                ..cfg
            };
            finite(
                &hybrid_nce(&similarities(&s), &overlap, &cfg).unwrap(),
                &cfg,
            );
        }
    }

    // One pair against one far nearer stranger: (1 − (−1)) / τ, plus what rounds away.
    let far = Similarities::new(2, &[-1.0, 1.0, 1.0, -1.0]).unwrap();
    let cfg = InfoNceConfig {
        temperature: 0.005,
        direction: Direction::Symmetric,
    };
    assert_eq!(info_nce(&far, &cfg).unwrap().value, 400.0);
}

#[test]
fn a_loss_near_nothing_keeps_its_digits() {
    // ln(1 + exp(−2/0.05)) is 4.2e-18, far below what 1 + x could hold.
    let near = Similarities::new(2, &[1.0, -1.0, -1.0, 1.0]).unwrap();
    let cfg = HybridNceConfig::info_nce(0.05);
    let loss = hybrid_nce(&near, &Overlap::none(2), &cfg).unwrap();
    let want = (-40f64).exp();
    assert_close(loss.value, want, want * 1e-12);
    assert_close(loss.gradient[1], want / 0.05 / 2.0, want * 1e-10);
}
