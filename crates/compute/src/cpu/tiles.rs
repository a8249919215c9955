//! What the x86-64 forms share: the walk over a block in tiles.

/// Defines `$name::<M, N>`: one tile of `M` rows and `N` columns, as one function for `$features`.
///
/// The tile holds `M · N` accumulators of `$lanes` lanes in registers. Per step along `k` it loads
/// `N` vectors of weights and `M` of activations; the rest of `k` is loaded with zeros behind it.
macro_rules! tile {
    ($(#[$doc:meta])* $name:ident, $features:literal, $lanes:literal, $input:ty, $weight:ty,
     load($load_a:ident, $load_w:ident), part($part_a:ident, $part_w:ident),
     zero($zero:ident), mac($mac:ident), sum($sum:ident)) => {
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// The machine has the instruction set; `a` and `w` are valid for `M` and `N` rows of `k`
        /// numbers, `out` for `M` rows of `N` numbers that nobody else touches.
        #[target_feature(enable = $features)]
        #[allow(clippy::too_many_arguments)] // three strided matrices and a length
        unsafe fn $name<const M: usize, const N: usize>(
            k: usize, a: *const $input, lda: usize, w: *const $weight, ldw: usize,
            out: *mut f32, ldo: usize, accumulate: bool,
        ) {
            let mut sums = [[$zero(); N]; M];
            let whole = k / $lanes * $lanes;
            let mut at = 0;
            while at < whole {
                // SAFETY: `at + $lanes <= k`, inside every row by the caller's promise.
                let weights: [_; N] = std::array::from_fn(|j| unsafe { $load_w(w.add(j * ldw + at)) });
                for i in 0..M {
                    // SAFETY: as above.
                    let input = unsafe { $load_a(a.add(i * lda + at)) };
                    for j in 0..N {
                        sums[i][j] = $mac(sums[i][j], input, weights[j]);
                    }
                }
                at += $lanes;
            }
            if whole < k {
                let rest = k - whole;
                for i in 0..M {
                    // SAFETY: `whole + rest == k`.
                    let input = unsafe { $part_a(a.add(i * lda + whole), rest) };
                    for j in 0..N {
                        // SAFETY: as above.
                        let weights = unsafe { $part_w(w.add(j * ldw + whole), rest) };
                        sums[i][j] = $mac(sums[i][j], input, weights);
                    }
                }
            }
            for i in 0..M {
                for j in 0..N {
                    let sum = $sum(sums[i][j]);
                    // SAFETY: inside the tile's output by the caller's promise.
                    unsafe {
                        let o = out.add(i * ldo + j);
                        *o = if accumulate { *o + sum } else { sum };
                    }
                }
            }
        }
    };
}

/// Walks over a block with `$tile`: as many `$rows` × `$cols` tiles as fit, then single rows of
/// `$wide` columns, then what is left.
macro_rules! walk {
    ($tile:ident, $rows:literal x $cols:literal, 1 x $wide:literal, $block:expr, $a:expr, $w:expr, $out:expr, $ldo:expr) => {{
        let (block, a, w, out, ldo) = ($block, $a, $w, $out, $ldo);
        let (m, n, k, acc) = (block.m, block.n, block.k, block.accumulate);
        let mut i = 0;
        while i < m {
            let a = a.add(i * block.ldi);
            let out = out.add(i * ldo);
            let mut j = 0;
            if m - i >= $rows {
                while n - j >= $cols {
                    let w = w.add(j * block.ldw);
                    $tile::<$rows, $cols>(k, a, block.ldi, w, block.ldw, out.add(j), ldo, acc);
                    j += $cols;
                }
                while j < n {
                    let w = w.add(j * block.ldw);
                    $tile::<$rows, 1>(k, a, block.ldi, w, block.ldw, out.add(j), ldo, acc);
                    j += 1;
                }
                i += $rows;
            } else {
                while n - j >= $wide {
                    let w = w.add(j * block.ldw);
                    $tile::<1, $wide>(k, a, block.ldi, w, block.ldw, out.add(j), ldo, acc);
                    j += $wide;
                }
                while j < n {
                    let w = w.add(j * block.ldw);
                    $tile::<1, 1>(k, a, block.ldi, w, block.ldw, out.add(j), ldo, acc);
                    j += 1;
                }
                i += 1;
            }
        }
    }};
}

pub(super) use {tile, walk};
