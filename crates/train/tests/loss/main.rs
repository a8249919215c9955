//! The losses from outside: by hand, by law, by recorded truth, and given nonsense.

mod bad_input;
mod by_hand;
mod laws;
mod overlap;
mod recorded;

use aurola_train::loss::{ClusterSet, Overlap, OverlapRule};

/// Overlap of rows with these clusters; `None` draws no tag caption.
fn overlap(rule: OverlapRule, clusters: &[Option<&[u32]>]) -> Overlap {
    let sets: Vec<Option<ClusterSet>> = clusters
        .iter()
        .map(|c| c.map(|c| c.iter().copied().collect()))
        .collect();
    let sets: Vec<_> = sets.iter().map(Option::as_ref).collect();
    Overlap::between(&sets, rule)
}

#[track_caller]
fn assert_close(got: f64, want: f64, within: f64) {
    assert!(
        (got - want).abs() <= within,
        "{got} is not {want}; off by {:e}",
        (got - want).abs()
    );
}

#[track_caller]
fn assert_all_close(got: &[f64], want: &[f64], within: f64) {
    assert_eq!(got.len(), want.len());
    for (at, (got, want)) in got.iter().zip(want).enumerate() {
        assert!(
            (got - want).abs() <= within,
            "at {at}: {got} is not {want}; off by {:e}",
            (got - want).abs()
        );
    }
}

/// Numbers between −1 and 1 that differ for every `seed`.
fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ((state >> 11) as f64 / (1u64 << 52) as f64 - 1.0) as f32
        })
        .collect()
}
