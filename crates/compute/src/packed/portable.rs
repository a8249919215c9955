//! Tiles in plain code: the definition. A row at a time, sixteen outputs at a time.

use super::rows::{SCALES, SUMS};
use super::tile::{Base, Tile};
use super::{LANES, Words};

/// Computes `tile` into `out`.
///
/// # Safety
///
/// `out` is valid for the tile's rows of numbers, `ldo` apart, that nobody else touches.
pub(super) unsafe fn run(tile: &Tile<'_>, out: *mut f32, ldo: usize) {
    // SAFETY: passed on from the caller.
    unsafe {
        match tile.words {
            Words::Quads | Words::Nibbles => integers(tile, out, ldo),
            _ => floats(tile, out, ldo),
        }
    }
}

/// One product added to a sum. Where there is no instruction for both, it is rounded first.
#[inline(always)]
fn mac(a: f32, b: f32, sum: f32) -> f32 {
    if cfg!(target_arch = "aarch64") {
        a.mul_add(b, sum)
    } else {
        a * b + sum
    }
}

/// Forms without scales; four rows at a time, in code that any compiler turns into vectors.
///
/// # Safety
///
/// As [`run`].
unsafe fn floats(tile: &Tile<'_>, out: *mut f32, ldo: usize) {
    const ROWS: usize = 4;
    let (stride, width) = (tile.words.stride(), tile.vectors * LANES);
    let low = |word: u32| f32::from_bits(word << 16);
    let high = |word: u32| f32::from_bits(word & 0xffff_0000);
    for first in (0..tile.rows).step_by(ROWS) {
        for vector in 0..tile.vectors {
            let mut sums = [[0.0_f32; LANES]; ROWS];
            for step in 0..tile.steps() {
                let line = line(&tile.panel[step * width + vector * LANES..]);
                for (i, sums) in sums.iter_mut().enumerate() {
                    let row = &tile.strip[(first + i) * stride..];
                    match tile.words {
                        Words::Single => {
                            let a = f32::from_bits(row[step]);
                            for (sum, w) in sums.iter_mut().zip(line) {
                                *sum = mac(a, f32::from_bits(*w), *sum);
                            }
                        }
                        Words::Widened => {
                            let a = [row[2 * step], row[2 * step + 1]].map(f32::from_bits);
                            for (sum, w) in sums.iter_mut().zip(line) {
                                *sum = mac(a[1], high(*w), mac(a[0], low(*w), *sum));
                            }
                        }
                        _ => {
                            let a = [low(row[step]), high(row[step])];
                            for (sum, w) in sums.iter_mut().zip(line) {
                                *sum = mac(a[1], high(*w), mac(a[0], low(*w), *sum));
                            }
                        }
                    }
                }
            }
            for (i, sums) in sums.iter().enumerate().take(tile.rows - first) {
                // SAFETY: an existing row of the tile; the caller answers for `out`.
                unsafe { store(tile, first + i, vector, sums, out, ldo) };
            }
        }
    }
}

/// Forms of whole numbers: exact within a block, one fused multiply and add for each block.
///
/// # Safety
///
/// As [`run`].
unsafe fn integers(tile: &Tile<'_>, out: *mut f32, ldo: usize) {
    let (stride, width) = (tile.words.stride(), tile.vectors * LANES);
    for i in 0..tile.rows {
        let row = &tile.strip[i * stride..][..stride];
        for vector in 0..tile.vectors {
            let line = |at: usize| line(&tile.panel[at * width + vector * LANES..]);
            let mut sums = [0.0; LANES];
            for block in 0..tile.steps() {
                let scale = f32::from_bits(row[SCALES + block]);
                if tile.words == Words::Quads {
                    let mut exact = [row[SUMS + block].cast_signed(); LANES];
                    for step in 0..32 {
                        add_quads(&mut exact, row[block * 32 + step], line(block * 33 + step));
                    }
                    let scales = line(block * 33 + 32).map(f32::from_bits);
                    add_scaled(&mut sums, exact, scale, scales);
                    continue;
                }
                for quarter in 0..4 {
                    let part = block * 4 + quarter;
                    let two = block * 18 + quarter / 2 * 9;
                    let mut exact = [row[SUMS + part].cast_signed(); LANES];
                    for step in 0..4 {
                        let weights = line(two + quarter % 2 * 4 + step);
                        for half in 0..2 {
                            let a = row[part * 8 + step * 2 + half];
                            add_nibbles(&mut exact, a, weights, half);
                        }
                    }
                    let shift = 16 * (quarter % 2);
                    let scales = line(two + 8).map(|w| f32::from_bits(w >> shift << 16));
                    add_scaled(&mut sums, exact, scale, scales);
                }
            }
            // SAFETY: an existing row of the tile; the caller answers for `out`.
            unsafe { store(tile, i, vector, &sums, out, ldo) };
        }
    }
}

fn add_quads(exact: &mut [i32; LANES], a: u32, weights: &[u32; LANES]) {
    let a = a.to_le_bytes().map(|a| i32::from(a.cast_signed()));
    for (sum, w) in exact.iter_mut().zip(weights) {
        let w = w.to_le_bytes();
        *sum += (0..4).map(|b| a[b] * i32::from(w[b])).sum::<i32>();
    }
}

fn add_nibbles(exact: &mut [i32; LANES], a: u32, weights: &[u32; LANES], half: usize) {
    let four_bits = weights.map(|w| w >> (4 * half) & 0x0f0f_0f0f);
    add_quads(exact, a, &four_bits);
}

fn add_scaled(sums: &mut [f32; LANES], exact: [i32; LANES], row: f32, scales: [f32; LANES]) {
    for l in 0..LANES {
        sums[l] = (exact[l] as f32).mul_add(row * scales[l], sums[l]);
    }
}

fn line(words: &[u32]) -> &[u32; LANES] {
    words.first_chunk().expect("a line of the panel")
}

/// Adds sixteen sums to the base and writes those that exist.
///
/// # Safety
///
/// Row `i` of `out` exists and is the caller's alone.
#[inline(always)]
unsafe fn store(
    tile: &Tile<'_>,
    i: usize,
    vector: usize,
    sums: &[f32; LANES],
    out: *mut f32,
    ldo: usize,
) {
    for (j, sum) in (vector * LANES..tile.cols).zip(sums) {
        // SAFETY: an existing number of an existing row.
        unsafe {
            let o = out.add(i * ldo + j);
            *o = sum
                + match tile.base {
                    Base::Zero => 0.0,
                    Base::Bias(bias) => bias[j],
                    Base::Output => *o,
                };
        }
    }
}
