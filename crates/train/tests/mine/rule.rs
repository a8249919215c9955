//! The rule, on matrices.

use aurola_train::mine::{Kin, Rule, Same, Tally, choose};
use proptest::prelude::*;

/// Pairs that are positives of each other, and that are the same thing.
#[derive(Debug, Default)]
struct Told {
    positives: Vec<(usize, usize)>,
    same: Vec<(usize, usize, Same)>,
}

impl Kin for Told {
    fn is_positive(&self, query: usize, candidate: usize) -> bool {
        self.positives.contains(&(query, candidate))
    }

    fn same(&self, query: usize, candidate: usize) -> Option<Same> {
        let mut same = self.same.iter();
        same.find(|(a, b, _)| (*a, *b) == (query, candidate))
            .map(|(.., by)| *by)
    }
}

#[test]
fn one_row_by_hand() {
    // Its own is 0.80, so the ceiling is 0.95 · 0.80 = 0.76.
    let similarities = [0.80, 0.79, 0.70, 0.75, 0.60, 0.60, 0.39, 0.40, 0.72, 0.50];
    let kin = Told {
        positives: vec![(0, 3)],
        same: vec![(0, 8, Same::Caption), (0, 2, Same::Clip)],
    };
    let rule = Rule {
        top: 3,
        ..Rule::default()
    };
    let (kept, tally) = choose(0, &similarities, &rule, &kin);
    // 1 is too near, 3 a positive, 8 and 2 the same thing; 4 and 5 are as near as each other.
    assert_eq!(kept, [4, 5, 9]);
    let expected = Tally {
        kept: 3,
        positive: 1,
        too_near: 1,
        same_caption: 1,
        same_clip: 1,
        without: 0,
        no_room: 0,
    };
    assert_eq!(tally, expected);
    // What is at the least similarity is kept; what is below it is not.
    let all = Rule { top: 9, ..rule };
    assert_eq!(choose(0, &similarities, &all, &kin).0, [4, 5, 9, 7]);
}

#[test]
fn a_row_far_from_its_own_has_no_room_for_negatives() {
    let (kept, tally) = choose(1, &[0.5, 0.3, 0.45], &Rule::default(), &Told::default());
    assert!(kept.is_empty());
    assert_eq!((tally.too_near, tally.without, tally.no_room), (2, 1, 1));
    // Nothing reaches the least similarity: none, and not for want of room.
    let (_, tally) = choose(0, &[0.9, 0.3], &Rule::default(), &Told::default());
    assert_eq!((tally.too_near, tally.without, tally.no_room), (0, 1, 0));
    assert_eq!(tally.and(tally).without, 2);
}

#[test]
fn the_ceiling_is_a_share_of_what_is_right_whatever_its_sign() {
    let rule = Rule {
        guard: 0.5,
        ..Rule::default()
    };
    assert_eq!(rule.ceiling(0.8), 0.4);
    assert_eq!(rule.ceiling(-0.2), -0.3);
    assert_eq!(rule.ceiling(0.0), 0.0);
    let open = Rule {
        guard: f32::INFINITY,
        ..rule
    };
    assert_eq!(open.ceiling(0.0), f32::INFINITY);
}

#[test]
fn numbers_out_of_range_are_named() {
    let rule = Rule::default();
    assert!(rule.check().is_ok());
    let refused = |rule: Rule| rule.check().unwrap_err().to_string();
    assert!(refused(Rule { top: 0, ..rule }).starts_with("top is 0"));
    let least = f32::NAN;
    assert!(refused(Rule { least, ..rule }).starts_with("least is NaN"));
    assert!(refused(Rule { guard: 0.0, ..rule }).starts_with("guard is 0"));
    assert!(refused(Rule { same: -1.0, ..rule }).starts_with("same is -1"));
}

proptest! {
    #[test]
    fn what_is_kept_obeys_every_part_of_the_rule(
        // Few values, so that there are ties.
        tenths in prop::collection::vec(-10_i8..=10, 1..40),
        query in any::<prop::sample::Index>(),
        positives in prop::collection::vec(0_usize..40, 0..6),
        same in prop::collection::vec(0_usize..40, 0..6),
        top in 1_usize..8,
        least in -1.0_f32..1.0,
        guard in 0.1_f32..1.5,
    ) {
        let similarities: Vec<f32> = tenths.iter().map(|t| f32::from(*t) / 10.0).collect();
        let query = query.index(similarities.len());
        let kin = Told {
            positives: positives.iter().map(|p| (query, *p)).collect(),
            same: same.iter().map(|s| (query, *s, Same::Clip)).collect(),
        };
        let rule = Rule { top, least, guard, same: 0.95 };
        let (kept, tally) = choose(query, &similarities, &rule, &kin);
        let passes = |at: &usize| {
            *at != query
                && !positives.contains(at)
                && !same.contains(at)
                && similarities[*at] >= least
                && similarities[*at] <= rule.ceiling(similarities[query])
        };
        // The plain form: all that pass, sorted, cut.
        let mut plain: Vec<usize> = (0..similarities.len()).filter(passes).collect();
        plain.sort_by(|a, b| similarities[*b].total_cmp(&similarities[*a]));
        plain.truncate(top);
        prop_assert_eq!(&kept, &plain);
        prop_assert_eq!(tally.kept, kept.len());
        prop_assert_eq!(tally.without == 1, kept.is_empty());
        let near = (0..similarities.len()).filter(|at| *at != query && similarities[*at] >= least);
        let met = tally.kept + tally.positive + tally.too_near + tally.same_clip;
        prop_assert!(met <= near.count());
    }
}
