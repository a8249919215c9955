//! Codes: each vector in one bit or one byte a number, and what a query makes of them.
//!
//! Bits say on which side of the mean each number lies. Bytes are the numbers themselves, scaled so that
//! the greatest of a row is 127. A key is what a row is ordered by: lower is nearer.

use std::ops::Range;

use aurola_compute::scan;

/// One way to encode.
#[derive(Debug, Clone)]
pub(super) enum Code {
    /// The mean of all vectors, from which the signs are taken.
    Bits { mean: Vec<f32> },
    /// What one step is worth in each row.
    Bytes { dim: usize, steps: Vec<f32> },
}

/// A query, encoded.
pub(super) enum Asked {
    Bits(Vec<u8>),
    Bytes(Vec<i8>),
}

/// Bytes of the codes of `rows` vectors with what stands before them; `None` where they cannot be.
pub(super) fn bytes(code: u8, dim: usize, rows: usize) -> Option<usize> {
    match code {
        0 => rows.checked_mul(dim.div_ceil(8))?.checked_add(dim * 4),
        _ => rows.checked_mul(dim.checked_add(4)?),
    }
}

impl Code {
    /// From the front of the codes in a file; their length was checked.
    pub(super) fn read(code: u8, dim: usize, rows: usize, bytes: &[u8]) -> Self {
        let floats = |n: usize| -> Vec<f32> {
            let (fours, _) = bytes[..n * 4].as_chunks::<4>();
            fours.iter().map(|four| f32::from_le_bytes(*four)).collect()
        };
        match code {
            0 => Self::Bits { mean: floats(dim) },
            _ => Self::Bytes {
                dim,
                steps: floats(rows),
            },
        }
    }

    pub(super) fn number(&self) -> u8 {
        match self {
            Self::Bits { .. } => 0,
            Self::Bytes { .. } => 1,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Bits { .. } => "1 bit",
            Self::Bytes { .. } => "8 bits",
        }
    }

    /// Numbers before the codes.
    pub(super) fn front(&self) -> &[f32] {
        match self {
            Self::Bits { mean } => mean,
            Self::Bytes { steps, .. } => steps,
        }
    }

    /// Bytes before the codes.
    pub(super) fn preface(&self) -> usize {
        self.front().len() * 4
    }

    /// Bytes of a row.
    pub(super) fn width(&self) -> usize {
        match self {
            Self::Bits { mean } => mean.len().div_ceil(8),
            Self::Bytes { dim, .. } => *dim,
        }
    }

    /// How far a key is shifted to become the number of its bucket in [`lowest`].
    pub(super) fn shift(&self) -> u32 {
        match self {
            Self::Bits { .. } => 0,
            Self::Bytes { .. } => 16,
        }
    }

    /// Appends the code of one vector.
    pub(super) fn encode(&mut self, vector: &[f32], codes: &mut Vec<u8>) {
        match self {
            Self::Bits { mean } => sides(vector, mean, codes),
            Self::Bytes { steps, .. } => {
                let (step, numbers) = quantized(vector);
                steps.push(step);
                codes.extend(numbers.iter().map(|n| *n as u8));
            }
        }
    }

    /// Encodes a query.
    pub(super) fn ask(&self, query: &[f32]) -> Asked {
        match self {
            Self::Bits { mean } => {
                // An unwanted part changes the length; the mean belongs to vectors of length 1.
                let length = query
                    .iter()
                    .map(|x| x * x)
                    .sum::<f32>()
                    .sqrt()
                    .max(f32::MIN_POSITIVE);
                let unit: Vec<f32> = query.iter().map(|x| x / length).collect();
                let mut bits = Vec::new();
                sides(&unit, mean, &mut bits);
                Asked::Bits(bits)
            }
            Self::Bytes { .. } => Asked::Bytes(quantized(query).1),
        }
    }

    /// The keys of rows `rows`, whose codes are the first ones of `codes`.
    pub(super) fn keys(&self, asked: &Asked, codes: &[u8], rows: Range<usize>) -> Vec<u32> {
        let numbers: Vec<u32> = match self {
            Self::Bits { .. } => Vec::new(),
            Self::Bytes { .. } => (rows.start as u32..rows.end as u32).collect(),
        };
        let width = self.width();
        self.scan(asked, &codes[..rows.len() * width], rows.len(), &numbers)
    }

    /// The keys of `rows`, whose codes stand one after another in `codes`.
    pub(super) fn keys_of(&self, asked: &Asked, codes: &[u8], rows: &[u32]) -> Vec<u32> {
        self.scan(asked, codes, rows.len(), rows)
    }

    fn scan(&self, asked: &Asked, codes: &[u8], count: usize, rows: &[u32]) -> Vec<u32> {
        match (self, asked) {
            (_, Asked::Bits(bits)) => {
                let mut keys = vec![0; count];
                scan::differing_bits(codes, bits, &mut keys);
                keys
            }
            (Self::Bytes { steps, .. }, Asked::Bytes(query)) => {
                let mut sums = vec![0; count];
                scan::byte_products(codes, query, &mut sums);
                (sums.iter().zip(rows))
                    .map(|(sum, row)| descending(*sum as f32 * steps[*row as usize]))
                    .collect()
            }
            (Self::Bits { .. }, Asked::Bytes(_)) => {
                unreachable!("a query is asked of its own code")
            }
        }
    }
}

/// On which side of `mean` each number lies, eight to a byte.
fn sides(vector: &[f32], mean: &[f32], codes: &mut Vec<u8>) {
    for (numbers, means) in vector.chunks(8).zip(mean.chunks(8)) {
        let mut byte = 0;
        for (bit, (number, mean)) in numbers.iter().zip(means).enumerate() {
            byte |= u8::from(number > mean) << bit;
        }
        codes.push(byte);
    }
}

/// What a step is worth, and how many each number has.
fn quantized(vector: &[f32]) -> (f32, Vec<i8>) {
    let greatest = vector.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
    let step = (greatest / 127.0).max(f32::MIN_POSITIVE);
    (
        step,
        vector.iter().map(|x| (x / step).round() as i8).collect(),
    )
}

/// A key that falls as `value` rises.
fn descending(value: f32) -> u32 {
    let bits = value.to_bits();
    let ascending = if bits >> 31 == 1 {
        !bits
    } else {
        bits | 1 << 31
    };
    !ascending
}

/// Places of the `depth` lowest keys, and of those as low as the last of them by `key >> shift`; in
/// order of place.
pub(super) fn lowest(keys: &[u32], depth: usize, shift: u32) -> Vec<u32> {
    let last = keys.iter().copied().max().unwrap_or(0) >> shift;
    let mut counts = vec![0_u32; last as usize + 1];
    for key in keys {
        counts[(key >> shift) as usize] += 1;
    }
    let mut sum = 0;
    let limit = counts.iter().position(|count| {
        sum += *count as usize;
        sum >= depth
    });
    let limit = limit.unwrap_or(last as usize) as u32;
    let mut places = Vec::with_capacity(sum);
    places.extend(
        (keys.iter().zip(0..))
            .filter(|(key, _)| *key >> shift <= limit)
            .map(|(_, place)| place),
    );
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bits_and_bytes_by_hand() {
        let mut bits = Code::Bits { mean: vec![0.1; 3] };
        let mut codes = Vec::new();
        bits.encode(&[0.6, 0.0, 0.8], &mut codes);
        assert_eq!(codes, [0b101]);
        let mut bytes = Code::Bytes {
            dim: 2,
            steps: Vec::new(),
        };
        codes.clear();
        bytes.encode(&[1.0, -0.5], &mut codes);
        assert_eq!(codes, [127, (-64_i8) as u8]);
        assert_eq!(bytes.front(), [1.0 / 127.0]);
    }

    proptest! {
        #[test]
        fn the_lowest_are_what_sorting_would_put_first(
            keys in prop::collection::vec(0_u32..300, 0..200),
            depth in 1_usize..50,
        ) {
            let found = lowest(&keys, depth, 0);
            let mut sorted = keys.clone();
            sorted.sort_unstable();
            let limit = sorted.get(depth - 1).or(sorted.last()).copied();
            let plain: Vec<u32> = (0..keys.len() as u32)
                .filter(|at| Some(keys[*at as usize]) <= limit)
                .collect();
            prop_assert_eq!(found, plain);
        }

        #[test]
        fn a_key_falls_as_its_value_rises(a in -10.0_f32..10.0, b in -10.0_f32..10.0) {
            prop_assert_eq!(a < b, descending(a) > descending(b));
        }
    }
}
