//! Which captions share their tags.

use aurola_train::loss::{ClusterSet, Overlap, OverlapRule};

use super::overlap;

fn set(clusters: &[u32]) -> ClusterSet {
    clusters.iter().copied().collect()
}

#[test]
fn sets_are_sorted_and_hold_each_cluster_once() {
    assert_eq!(set(&[9, 2, 9, 4]).as_slice(), [2, 4, 9]);
    assert_eq!(set(&[9, 2, 9]), set(&[2, 9]));
}

#[test]
fn intersection_over_union_by_hand() {
    let iou = |a: &[u32], b: &[u32]| set(a).intersection_over_union(&set(b));
    assert_eq!(iou(&[1, 2, 3], &[2, 3, 4]), 0.5);
    assert_eq!(iou(&[2, 3, 4], &[1, 2, 3]), 0.5);
    assert_eq!(iou(&[5], &[1, 2, 5]), 1.0 / 3.0);
    assert_eq!(iou(&[1, 5], &[1, 5]), 1.0);
    assert_eq!(iou(&[1, 5], &[2, 6]), 0.0);
    assert_eq!(iou(&[], &[2]), 0.0);
    assert_eq!(iou(&[], &[]), 0.0);
}

#[test]
fn identical_sets_only_as_the_released_code_has_it() {
    let clusters: [Option<&[u32]>; 6] = [
        Some(&[3, 1]),
        Some(&[1, 3]),
        Some(&[1]),
        Some(&[]), // a tag caption whose tags are in no cluster
        Some(&[]),
        None, // a long or a short caption
    ];
    let released = overlap(OverlapRule::IdenticalSets, &clusters);
    let mut want = vec![0.0; 36];
    want[1] = 1.0;
    want[6] = 1.0;
    assert_eq!(released.as_slice(), want);

    let paper = overlap(OverlapRule::IntersectionOverUnion, &clusters);
    for (row, column) in [(0, 2), (2, 0), (1, 2), (2, 1)] {
        want[row * 6 + column] = 0.5;
    }
    assert_eq!(paper.as_slice(), want);
}

#[test]
fn two_rows_without_a_tag_caption_share_nothing() {
    for rule in [
        OverlapRule::IdenticalSets,
        OverlapRule::IntersectionOverUnion,
    ] {
        assert_eq!(overlap(rule, &[None, None]), Overlap::none(2));
    }
}
