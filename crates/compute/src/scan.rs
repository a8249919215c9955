//! Codes of many vectors against one query: the first, rough pass of a search.
//!
//! ```text
//! vectors ──► BITS (1 bit a number) or BYTES (8 bits) ──► a key for each row ──► the best few, in f32
//! ```
//!
//! Rows stand one after another. The loops are whole numbers only, so every instruction set gives the
//! same keys.

use rayon::prelude::*;

use crate::cpu::each_isa::each_isa;

/// Rows of one task.
const TASK: usize = 8_192;

/// In how many bits each row of `codes` differs from `query`: `codes` is `[out.len(), query.len()]`.
/// Fewer is nearer.
///
/// # Panics
///
/// Where the lengths do not fit.
pub fn differing_bits(codes: &[u8], query: &[u8], out: &mut [u32]) {
    assert_eq!(
        Some(codes.len()),
        query.len().checked_mul(out.len()),
        "codes of another shape"
    );
    if query.is_empty() {
        return out.fill(0);
    }
    if out.len() <= TASK {
        return bits(codes, query, out);
    }
    out.par_chunks_mut(TASK)
        .zip(codes.par_chunks(TASK * query.len()))
        .for_each(|(out, codes)| bits(codes, query, out));
}

/// `Σᵢ codes[row, i] · query[i]` of signed bytes for each row: `codes` is `[out.len(), query.len()]`.
/// Greater is nearer. Exact for up to 131,072 numbers a row.
///
/// # Panics
///
/// Where the lengths do not fit.
pub fn byte_products(codes: &[u8], query: &[i8], out: &mut [i32]) {
    assert_eq!(
        Some(codes.len()),
        query.len().checked_mul(out.len()),
        "codes of another shape"
    );
    assert!(
        query.len() <= 1 << 17,
        "a sum of so many products overflows"
    );
    if query.is_empty() {
        return out.fill(0);
    }
    let wide: Vec<i16> = query.iter().map(|q| i16::from(*q)).collect();
    if out.len() <= TASK {
        return products(codes, &wide, out);
    }
    out.par_chunks_mut(TASK)
        .zip(codes.par_chunks(TASK * query.len()))
        .for_each(|(out, codes)| products(codes, &wide, out));
}

#[allow(unsafe_code)]
fn bits(codes: &[u8], query: &[u8], out: &mut [u32]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512vpopcntdq") && is_x86_feature_detected!("avx512bw") {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,popcnt")]
        fn counted(codes: &[u8], query: &[u8], out: &mut [u32]) {
            bits_plain(codes, query, out);
        }
        // SAFETY: the machine has these instructions, as was just asked.
        return unsafe { counted(codes, query, out) };
    }
    bits_on_any(codes, query, out);
}

each_isa! {
    fn bits_on_any(codes: &[u8], query: &[u8], out: &mut [u32]) {
        bits_plain(codes, query, out);
    }
}

#[inline(always)]
fn bits_plain(codes: &[u8], query: &[u8], out: &mut [u32]) {
    let (query_words, query_rest) = query.as_chunks::<8>();
    for (row, out) in codes.chunks_exact(query.len()).zip(out) {
        let (words, rest) = row.as_chunks::<8>();
        let mut count = 0_u64;
        for (a, b) in words.iter().zip(query_words) {
            count += u64::from((u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b)).count_ones());
        }
        for (a, b) in rest.iter().zip(query_rest) {
            count += u64::from((a ^ b).count_ones());
        }
        *out = count as u32;
    }
}

each_isa! {
    fn products(codes: &[u8], query: &[i16], out: &mut [i32]) {
        for (row, out) in codes.chunks_exact(query.len()).zip(out) {
            // Two bytes multiplied fit 16 bits, and two such products 32: one instruction each.
            *out = row
                .iter()
                .zip(query)
                .map(|(a, b)| i32::from(i16::from(*a as i8)) * i32::from(*b))
                .sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn three_rows_by_hand() {
        let mut out = [0; 3];
        differing_bits(&[0b1010, 0xFF, 0], &[0b1000], &mut out);
        assert_eq!(out, [1, 7, 1]);
        let mut out = [0; 2];
        byte_products(&[1, 2, 255, 0], &[3, -4], &mut out);
        assert_eq!(out, [3 - 8, -3]);
    }

    proptest! {
        #[test]
        fn every_width_agrees_with_the_plainest_loop(
            width in 1_usize..300,
            bytes in prop::collection::vec(any::<u8>(), 0..4000),
        ) {
            let rows = bytes.len() / width;
            let (query, codes) = (vec![0x5A_u8; width], &bytes[..rows * width]);
            let mut differ = vec![0; rows];
            differing_bits(codes, &query, &mut differ);
            let signed: Vec<i8> = query.iter().map(|q| *q as i8).collect();
            let mut sums = vec![0; rows];
            byte_products(codes, &signed, &mut sums);
            for (row, bytes) in codes.chunks(width).enumerate() {
                let plain: u32 = bytes.iter().map(|b| (b ^ 0x5A).count_ones()).sum();
                prop_assert_eq!(differ[row], plain);
                let plain: i32 = bytes.iter().map(|b| i32::from(*b as i8) * 0x5A).sum();
                prop_assert_eq!(sums[row], plain);
            }
        }
    }
}
