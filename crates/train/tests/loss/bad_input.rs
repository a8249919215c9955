//! Nonsense is refused, and the message says which number it was.

use aurola_train::loss::{
    Form, HybridNceConfig, InfoNceConfig, LossError, Overlap, OverlapRule, Pairs, Similarities,
    cross_entropy, hybrid_nce, info_nce, next_tokens,
};

fn message<T: std::fmt::Debug>(result: Result<T, LossError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn what_is_no_square_of_finite_numbers() {
    assert_eq!(
        message(Similarities::new(2, &[0.0; 5])),
        "similarities: 5 values are not [2, 2]"
    );
    assert!(message(Similarities::new(0, &[])).starts_with("similarities: empty"));
    assert!(
        message(Similarities::new(2, &[0.0, 1.0, f32::NAN, 0.0]))
            .starts_with("similarities: row 1, column 0 is NaN")
    );
    assert!(Similarities::new(usize::MAX, &[0.0]).is_err());
}

#[test]
fn sides_that_are_no_pairs() {
    assert_eq!(
        message(Pairs::new(&[0.0; 6], &[0.0; 9], 3)),
        "text embeddings: 9 values are not [2, 3]"
    );
    assert_eq!(
        message(Pairs::new(&[0.0; 7], &[0.0; 6], 3)),
        "audio embeddings: 7 values are not [2, 3]"
    );
    assert!(message(Pairs::new(&[], &[], 3)).starts_with("audio embeddings: empty"));
    assert!(message(Pairs::new(&[1.0], &[1.0], 0)).starts_with("audio embeddings: empty"));
    assert_eq!(
        message(Pairs::normalized(&[1.0, 0.0], &[0.0, 0.0], 2)),
        "text embeddings: row 0 has length 0e0, too small to be scaled to 1"
    );
    let pairs = Pairs::new(&[1.0; 4], &[1.0; 4], 2).unwrap();
    assert_eq!(
        message(pairs.backward(&[0.0; 3])),
        "gradient of the similarities: 3 values are not [2, 2]"
    );
}

#[test]
fn numbers_that_are_no_overlap() {
    for (values, row, column) in [
        (vec![0.0, 1.5, 0.0, 0.0], 0, 1),
        (vec![0.0, 0.0, -0.5, 0.0], 1, 0),
        (vec![0.0, f32::NAN, 0.0, 0.0], 0, 1),
        (vec![0.0, 0.0, 0.0, 1.0], 1, 1),
    ] {
        let error = Overlap::from_values(2, values).unwrap_err();
        assert!(
            matches!(error, LossError::NotAnOverlap { row: r, column: c, .. } if (r, c) == (row, column)),
            "{error}"
        );
    }
    assert!(matches!(
        Overlap::from_values(2, vec![0.0; 3]),
        Err(LossError::Shape {
            what: "overlap",
            ..
        })
    ));
    let two = Similarities::new(2, &[0.0; 4]).unwrap();
    assert_eq!(
        message(hybrid_nce(
            &two,
            &Overlap::none(3),
            &HybridNceConfig::default()
        )),
        "overlap is of 3 pairs, similarities of 2"
    );
}

#[test]
fn settings_outside_their_range() {
    let two = Similarities::new(2, &[0.0; 4]).unwrap();
    let default = HybridNceConfig::default;
    for (cfg, name) in [
        (
            HybridNceConfig {
                temperature: 0.0,
                ..default()
            },
            "temperature",
        ),
        (
            HybridNceConfig {
                temperature: f64::NAN,
                ..default()
            },
            "temperature",
        ),
        (
            HybridNceConfig {
                positive_weight: -0.1,
                ..default()
            },
            "positive_weight",
        ),
        (
            HybridNceConfig {
                shared_tag_weight: 1.1,
                ..default()
            },
            "shared_tag_weight",
        ),
        (
            HybridNceConfig {
                hardness: f64::INFINITY,
                ..default()
            },
            "hardness",
        ),
    ] {
        let error = hybrid_nce(&two, &Overlap::none(2), &cfg).unwrap_err();
        assert!(
            matches!(error, LossError::OutOfRange { name: n, .. } if n == name),
            "{error}"
        );
    }
    let hot = InfoNceConfig {
        temperature: 2.0,
        ..InfoNceConfig::default()
    };
    assert_eq!(
        message(info_nce(&two, &hot)),
        "`temperature` = 2; it lies in [0.001, 1]"
    );
}

#[test]
fn a_pair_without_negatives_at_alpha_0() {
    let one = Similarities::new(1, &[0.2]).unwrap();
    let cfg = HybridNceConfig {
        positive_weight: 0.0,
        ..HybridNceConfig::default()
    };
    assert_eq!(
        message(hybrid_nce(&one, &Overlap::none(1), &cfg)),
        "pair 0 of 1 has no negatives and `positive_weight` is 0; raise that, or the batch"
    );
    // The released ε stands in for the negatives: ln(1e-8) − 0.2 / 0.05.
    let released = HybridNceConfig {
        form: Form::Released,
        ..cfg
    };
    let loss = hybrid_nce(&one, &Overlap::none(1), &released).unwrap();
    super::assert_close(loss.value, 1e-8f64.ln() - 4.0, 1e-6);
}

#[test]
fn answers_that_nothing_predicts() {
    assert_eq!(
        message(cross_entropy(&[0.0; 6], 3, &[Some(1), Some(3)])),
        "position 1: target 3 is outside the vocabulary of 3"
    );
    assert_eq!(
        message(cross_entropy::<u32>(&[0.0; 6], 3, &[None, None])),
        "none of 2 positions has a target token"
    );
    assert_eq!(
        message(cross_entropy(&[0.0; 5], 3, &[None, Some(0)])),
        "logits: 5 values are not [2, 3]"
    );
    assert!(
        message(cross_entropy(&[0.0, f32::NEG_INFINITY], 2, &[Some(0)]))
            .starts_with("logits: row 0, column 1 is -inf")
    );
    assert!(message(cross_entropy::<u32>(&[], 3, &[])).starts_with("logits: empty"));
    assert_eq!(
        message(next_tokens(&[1, 2], 0..1)),
        "answer 0..1 is not within 1..2"
    );
    assert!(next_tokens(&[1, 2], 1..3).is_err());
    assert_eq!(
        next_tokens(&[1, 2], 1..2).unwrap(),
        [Some(2), None],
        "the last token may be the answer"
    );
}

#[test]
fn a_misspelt_setting() {
    let cfg: HybridNceConfig = serde_json::from_str(
        r#"{"temperature": 0.01, "direction": "symmetric", "form": "released"}"#,
    )
    .unwrap();
    assert_eq!((cfg.temperature, cfg.hardness), (0.01, 0.1));
    let rule: OverlapRule = serde_json::from_str(r#""intersection_over_union""#).unwrap();
    assert_eq!(rule, OverlapRule::IntersectionOverUnion);

    let error = serde_json::from_str::<HybridNceConfig>(r#"{"hardnes": 0.1}"#).unwrap_err();
    assert!(
        error.to_string().contains("unknown field `hardnes`"),
        "{error}"
    );
    let error = serde_json::from_str::<InfoNceConfig>(r#"{"direction": "both"}"#).unwrap_err();
    assert!(
        error.to_string().contains("unknown variant `both`"),
        "{error}"
    );
}
