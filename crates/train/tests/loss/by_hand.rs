//! Numbers that can be checked with a pencil.

use aurola_train::loss::{
    ContrastiveLoss, Direction, Form, HybridNceConfig, InfoNceConfig, Overlap, OverlapRule, Pairs,
    Similarities, Target, cross_entropy, hybrid_nce, info_nce, next_tokens,
};

use super::{assert_all_close, assert_close, overlap};

const E: f64 = std::f64::consts::E;
const LN_2: f32 = std::f32::consts::LN_2;

fn plain(temperature: f64) -> InfoNceConfig {
    InfoNceConfig {
        temperature,
        direction: Direction::AudioToText,
    }
}

#[test]
fn two_orthogonal_pairs() {
    // Every row is softmax([1, 0]) with the first entry right: ln(1 + 1/e).
    let sim = Similarities::new(2, &[1.0, 0.0, 0.0, 1.0]).unwrap();
    let loss = info_nce(&sim, &plain(1.0)).unwrap();
    assert_close(loss.value, 0.313_261_687_518_222_8, 1e-15);
    // The wrong entry has 1 / (1 + e) of the mass, and there are two rows.
    let wrong = 0.5 / (1.0 + E);
    assert_all_close(&loss.gradient, &[-wrong, wrong, wrong, -wrong], 1e-15);
}

/// p = [[1, 2, 4], [1, 1, 1], [8, 4, 2]] at τ = 1; rows 0 and 1 share half of their tags.
fn three() -> (Similarities, Overlap) {
    let logs = [0.0, 1.0, 2.0, 0.0, 0.0, 0.0, 3.0, 2.0, 1.0].map(|powers| powers * LN_2);
    let sim = Similarities::new(3, &logs).unwrap();
    let clusters: [Option<&[u32]>; 3] = [Some(&[7]), Some(&[7, 9]), None];
    let shared = overlap(OverlapRule::IntersectionOverUnion, &clusters);
    assert_eq!(
        shared.as_slice(),
        [0.0, 0.5, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0]
    );
    (sim, shared)
}

/// τ = 1, α = 1/2, λ = 1/2 and β = 1: every option at work.
fn halves(direction: Direction, form: Form) -> HybridNceConfig {
    HybridNceConfig {
        temperature: 1.0,
        positive_weight: 0.5,
        shared_tag_weight: 0.5,
        hardness: 1.0,
        direction,
        form,
    }
}

#[track_caller]
fn value(direction: Direction, form: Form) -> ContrastiveLoss {
    let (sim, shared) = three();
    hybrid_nce(&sim, &shared, &halves(direction, form)).unwrap()
}

/// `pos` over `α pos + neg` for rows 0 to 2, with pos 1 + 2/4, 1 + 1/4, 2. Row 2 has the negatives 8 and 4,
/// weighted 2 · 8/12 and 2 · 4/12: 40/3 in all. Rows 0 and 1 have one each, so its weight is 1.
fn rows() -> f64 {
    (4.75f64 / 1.5).ln() + (1.625f64 / 1.25).ln() + ((1.0 + 40.0 / 3.0) / 2.0f64).ln()
}

#[test]
fn a_row_with_overlap_and_hard_negatives() {
    let loss = value(Direction::AudioToText, Form::Exact);
    assert_close(loss.value, rows() / 3.0, 1e-7); // ln 2 is an f32 there
    // Cell (0, 2): dℓ/dz is the one negative's share of the denominator, 4 / 4.75.
    assert_close(loss.gradient[2], 4.0 / 4.75 / 3.0, 1e-7);
    // Cell (0, 1): a third of pos is the shared caption's, (1/2 · 1/2 · 2) / 1.5.
    assert_close(loss.gradient[1], -4.0 / 4.75 / 3.0 / 3.0, 1e-7);
    // Cell (2, 0): 2 · 64/80 of the exponent's pull, less 8/12 for the weights' own.
    let pull = (40.0 / 3.0) / (1.0 + 40.0 / 3.0) * (2.0 * 64.0 / 80.0 - 8.0 / 12.0);
    assert_close(loss.gradient[6], pull / 3.0, 1e-7);
}

#[test]
fn columns_have_their_own_positives_and_the_released_code_gives_them_the_rows() {
    // Columns: pos 1 + 1/4, 1 + 2/4, 2; negatives 8, 4, and [4, 1] weighted 2 · 4/5, 2 · 1/5.
    let column = |pos: f64, neg: f64| ((0.5 * pos + neg) / pos).ln();
    let own = column(1.25, 8.0) + column(1.5, 4.0) + column(2.0, 34.0 / 5.0);
    let exact = value(Direction::Symmetric, Form::Exact);
    assert_close(exact.value, (rows() + own) / 6.0, 1e-7);

    let rows_positives = column(1.5, 8.0) + column(1.25, 4.0) + column(2.0, 34.0 / 5.0);
    let released = value(Direction::Symmetric, Form::Released);
    assert_close(released.value, (rows() + rows_positives) / 6.0, 1e-7);
    assert!((exact.value - released.value).abs() > 1e-3, "the same");
}

#[test]
fn a_batch_of_one_has_nothing_to_learn() {
    let one = Similarities::new(1, &[0.3]).unwrap();
    let loss = info_nce(&one, &plain(0.05)).unwrap();
    assert_eq!((loss.value, loss.gradient), (0.0, vec![0.0]));
    let cfg = HybridNceConfig {
        positive_weight: 0.3,
        ..HybridNceConfig::default()
    };
    let loss = hybrid_nce(&one, &Overlap::none(1), &cfg).unwrap();
    assert_close(loss.value, 0.3f64.ln(), 1e-15);
    assert_eq!(loss.gradient, [0.0]);
}

#[test]
fn the_released_epsilon_is_seen_where_everything_is_unlike() {
    // p = exp(−1/0.05) = 2.06e-9 for the pair itself, no negative, and 1e-8 in the denominator.
    let one = Similarities::new(1, &[-1.0]).unwrap();
    let cfg = HybridNceConfig {
        form: Form::Released,
        ..HybridNceConfig::default()
    };
    let p = (-20.0f64).exp();
    let loss = hybrid_nce(&one, &Overlap::none(1), &cfg).unwrap();
    assert_close(loss.value, -(p / (p + 1e-8)).ln(), 1e-12);
    assert_close(loss.gradient[0], -20.0 * 1e-8 / (p + 1e-8), 1e-12);
}

#[test]
fn the_released_epsilon_makes_light_of_negatives_that_are_unlike() {
    // p = exp(−20) everywhere and β = 1: the one negative weighs p / (p + 1e-8), not 1.
    let two = Similarities::new(2, &[-1.0; 4]).unwrap();
    let cfg = HybridNceConfig {
        hardness: 1.0,
        form: Form::Released,
        ..HybridNceConfig::default()
    };
    let p = (-20.0f64).exp();
    let weighted = p * (p / (p + 1e-8));
    let loss = hybrid_nce(&two, &Overlap::none(2), &cfg).unwrap();
    assert_close(loss.value, ((p + weighted + 1e-8) / p).ln(), 1e-12);
}

#[test]
fn cosines_of_three_four_and_their_gradients() {
    let pairs = Pairs::normalized(&[3.0, 4.0], &[0.0, 2.0], 2).unwrap();
    assert_close(pairs.similarities().as_slice()[0], 0.8, 1e-15);
    let gradients = pairs.backward(&[10.0]).unwrap();
    // (t − u (u·t)) / 5 with u = (0.6, 0.8), t = (0, 1); and (u − t (t·u)) / 2.
    let audio = wide(&gradients.audio);
    assert_all_close(&audio, &[10.0 * -0.48 / 5.0, 10.0 * 0.36 / 5.0], 1e-6);
    assert_all_close(&wide(&gradients.text), &[10.0 * 0.6 / 2.0, 0.0], 1e-6);

    let free = Pairs::new(&[3.0, 4.0], &[0.0, 2.0], 2).unwrap();
    assert_eq!(free.similarities().as_slice(), [8.0]);
    let gradients = free.backward(&[10.0]).unwrap();
    assert_eq!(
        (gradients.audio, gradients.text),
        (vec![0.0, 20.0], vec![30.0, 40.0])
    );
}

#[test]
fn yes_has_three_quarters() {
    // exp(logits): 3 and 1 in one position; the other position is not asked.
    let logits = [3f32.ln(), 0.0, 5.0, -5.0];
    let loss = cross_entropy(&logits, 2, &[Some(0), None]).unwrap();
    assert_close(loss.value, (4.0f64 / 3.0).ln(), 1e-7);
    assert_all_close(&wide(&loss.gradient), &[-0.25, 0.25, 0.0, 0.0], 1e-7);
    assert_eq!(loss.weight, 1.0);

    let both = cross_entropy(&logits, 2, &[Some(0), Some(1)]).unwrap();
    let second = (1.0 + (-10.0f64).exp()).ln() + 10.0;
    assert_close(both.value, ((4.0f64 / 3.0).ln() + second) / 2.0, 1e-7);
}

#[test]
fn a_target_of_weight_three_counts_as_three() {
    let logits = [0.3, -0.2, 1.1, 0.4, 0.0, -0.7];
    let of = |token, weight| Some(Target { token, weight });
    let weighed = cross_entropy(&logits, 3, &[of(2, 3.0), of(0, 1.0)]).unwrap();
    let row = &logits[..3];
    let four = [row, row, row, &logits[3..]].concat();
    let counted = cross_entropy(&four, 3, &[Some(2), Some(2), Some(2), Some(0)]).unwrap();
    assert_close(weighed.value, counted.value, 1e-7);
    assert_eq!((weighed.weight, counted.weight), (4.0, 4.0));
    for (at, g) in weighed.gradient.iter().enumerate() {
        let (row, column) = (at / 3, at % 3);
        let rows = if row == 0 { 0..3 } else { 3..4 };
        let sum: f32 = rows.map(|r| counted.gradient[r * 3 + column]).sum();
        assert_close(f64::from(*g), f64::from(sum), 1e-6);
    }
}

#[test]
fn the_token_before_the_answer_predicts_it() {
    // <|im_start|> assistant \n Yes <|im_end|>, of which the answer is position 3.
    let targets = next_tokens(&[100, 7, 8, 42, 101], 3..4).unwrap();
    assert_eq!(targets, [None, None, Some(42), None, None]);
    let longer = next_tokens(&[100, 7, 8, 42, 101], 3..5).unwrap();
    assert_eq!(longer, [None, None, Some(42), Some(101), None]);
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}
