//! How far figures can be trusted: intervals, and whether two systems differ.
//!
//! What is drawn anew is the clip, with all its captions: five captions of one clip are not five clips, and
//! drawing captions makes intervals too narrow. The pool that is ranked stays as it is: an interval says what other
//! queries of the same kind against the same pool would give.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::metrics::{Figures, Outcome, Sums};

/// How many times everything is drawn anew.
pub const DRAWS: usize = 1_000;
/// The share of draws that an interval holds.
pub const LEVEL: f64 = 0.95;
/// Draws are a function of this and their number: the same outcomes give the same interval.
const SEED: u64 = 0x0615_c11b;

/// The middle 95 % of the draws.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// 2.5 % of the draws are below.
    pub low: f64,
    /// 2.5 % are above.
    pub high: f64,
}

impl Interval {
    /// Of values in any order; they are left ascending.
    fn of(values: &mut [f64]) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = share * (values.len().max(1) - 1) as f64;
            let below = values.get(place as usize).copied().unwrap_or(0.0);
            let above = values.get(place.ceil() as usize).copied().unwrap_or(below);
            below + (above - below) * place.fract()
        };
        Self {
            low: at((1.0 - LEVEL) / 2.0),
            high: at((1.0 + LEVEL) / 2.0),
        }
    }

    /// Whether `value` is in it.
    pub fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// Outcomes by unit.
struct Units {
    sums: Vec<Sums>,
    places: Vec<Vec<u32>>,
}

impl Units {
    fn of(outcomes: &[Outcome]) -> Self {
        let count = outcomes.iter().map(|o| o.unit + 1).max().unwrap_or(0);
        let mut units = Self {
            sums: vec![Sums::default(); count],
            places: vec![Vec::new(); count],
        };
        for outcome in outcomes {
            units.sums[outcome.unit].add(outcome);
            units.places[outcome.unit].push(outcome.place);
        }
        // Units without a query, if any, say nothing.
        let empty: Vec<bool> = units.places.iter().map(Vec::is_empty).collect();
        let mut keep = empty.iter();
        units.sums.retain(|_| keep.next() == Some(&false));
        units.places.retain(|places| !places.is_empty());
        units
    }

    fn draw(&self, picks: &[usize]) -> Figures {
        let mut sums = Sums::default();
        let mut places = Vec::with_capacity(picks.len() * 5);
        for pick in picks {
            sums.add_all(&self.sums[*pick]);
            places.extend_from_slice(&self.places[*pick]);
        }
        sums.figures(&mut places)
    }
}

/// Indices below `count`, drawn with putting back; a function of `draw`.
fn picks(count: usize, draw: usize) -> Vec<usize> {
    let mut dice = ChaCha8Rng::seed_from_u64(SEED ^ (draw as u64));
    (0..count).map(|_| dice.random_range(0..count)).collect()
}

/// For each of [`crate::metrics::NAMES`], the interval of [`Figures`].
pub fn intervals(outcomes: &[Outcome]) -> [Interval; 7] {
    let units = Units::of(outcomes);
    let draws: Vec<[f64; 7]> = (0..DRAWS)
        .into_par_iter()
        .map(|draw| units.draw(&picks(units.sums.len(), draw)).values())
        .collect();
    by_name(&draws)
}

fn by_name(draws: &[[f64; 7]]) -> [Interval; 7] {
    std::array::from_fn(|name| {
        let mut values: Vec<f64> = draws.iter().map(|draw| draw[name]).collect();
        Interval::of(&mut values)
    })
}

/// The interval of the mean of `values`, each of which is a unit; for figures that are plain means.
pub fn mean_interval(values: &[f64]) -> Interval {
    let mut draws: Vec<f64> = (0..DRAWS)
        .into_par_iter()
        .map(|draw| {
            let picks = picks(values.len(), draw);
            picks.iter().map(|pick| values[*pick]).sum::<f64>() / values.len().max(1) as f64
        })
        .collect();
    Interval::of(&mut draws)
}

/// One figure of two systems on the same queries.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Second less first.
    pub gain: f64,
    /// The middle 95 % of the gain over draws of units, the same for both systems.
    pub interval: Interval,
    /// Two-sided, of a permutation test: how often exchanging the systems in a random half of the units
    /// gives a gain as large.
    pub p: f64,
}

/// For each of [`crate::metrics::NAMES`], how `second` differs from `first`; both must be of the same queries in the
/// same order. `None` where they are not.
pub fn compare(first: &[Outcome], second: &[Outcome]) -> Option<[Difference; 7]> {
    let same = |(a, b): (&Outcome, &Outcome)| a.unit == b.unit;
    if first.len() != second.len() || !first.iter().zip(second).all(same) {
        return None;
    }
    let (one, two) = (Units::of(first), Units::of(second));
    let gain = |one: Figures, two: Figures| -> [f64; 7] {
        let (one, two) = (one.values(), two.values());
        std::array::from_fn(|name| two[name] - one[name])
    };
    let observed = gain(Figures::of(first), Figures::of(second));
    let drawn: Vec<[f64; 7]> = (0..DRAWS)
        .into_par_iter()
        .map(|draw| {
            let picks = picks(one.sums.len(), draw);
            gain(one.draw(&picks), two.draw(&picks))
        })
        .collect();
    let exchanged: Vec<[f64; 7]> = (0..DRAWS)
        .into_par_iter()
        .map(|draw| {
            let mut dice = ChaCha8Rng::seed_from_u64(!SEED ^ (draw as u64));
            let (mut a, mut b) = (Sums::default(), Sums::default());
            let (mut places_a, mut places_b) = (Vec::new(), Vec::new());
            for unit in 0..one.sums.len() {
                let (mut x, mut y) = (&one, &two);
                if dice.random::<bool>() {
                    std::mem::swap(&mut x, &mut y);
                }
                a.add_all(&x.sums[unit]);
                b.add_all(&y.sums[unit]);
                places_a.extend_from_slice(&x.places[unit]);
                places_b.extend_from_slice(&y.places[unit]);
            }
            gain(a.figures(&mut places_a), b.figures(&mut places_b))
        })
        .collect();
    let intervals = by_name(&drawn);
    Some(std::array::from_fn(|name| {
        // What differs by rounding alone is as large.
        let as_large = |draw: &&[f64; 7]| draw[name].abs() >= observed[name].abs() - 1e-9;
        let count = exchanged.iter().filter(as_large).count();
        Difference {
            gain: observed[name],
            interval: intervals[name],
            p: (1 + count) as f64 / (1 + exchanged.len()) as f64,
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(places: impl IntoIterator<Item = (usize, u32)>) -> Vec<Outcome> {
        (places.into_iter())
            .map(|(unit, place)| Outcome::of(unit, &[place]))
            .collect()
    }

    /// R@1 of 400 clips, half of them right: the binomial interval is 50 ± 4.9.
    #[test]
    fn an_interval_is_as_wide_as_theory_says() {
        let r1 = intervals(&outcomes((0..400).map(|i| (i, 1 + (i as u32 % 2)))))[0];
        assert!(
            (r1.low - 45.1).abs() < 0.8 && (r1.high - 54.9).abs() < 0.8,
            "{r1:?}"
        );
        assert!(r1.holds(50.0) && !r1.holds(44.0));
    }

    /// Five captions that always agree carry no more than one.
    #[test]
    fn captions_of_one_clip_are_drawn_together() {
        let once = outcomes((0..200).map(|i| (i, 1 + (i as u32 % 2))));
        let five = outcomes((0..1000).map(|i| (i / 5, 1 + (i as u32 / 5 % 2))));
        assert_eq!(intervals(&once)[0], intervals(&five)[0]);
    }

    #[test]
    fn two_systems_that_differ_by_luck_do_not_differ() {
        let one = outcomes((0..300).map(|i| (i, 1 + (i as u32 % 2))));
        let lucky = outcomes((0..300).map(|i| (i, 1 + ((i as u32 + 1) % 2))));
        let same = compare(&one, &lucky).unwrap()[0];
        assert!(
            same.gain == 0.0 && same.interval.holds(0.0) && same.p > 0.5,
            "{same:?}"
        );
        let better = outcomes((0..300).map(|i| (i, 1 + (i as u32 % 2) * u32::from(i % 8 != 1))));
        let gain = compare(&one, &better).unwrap()[0];
        assert!(
            gain.gain > 10.0 && gain.interval.low > 0.0 && gain.p < 0.01,
            "{gain:?}"
        );
        assert!(compare(&one, &better[1..]).is_none());
    }
}
