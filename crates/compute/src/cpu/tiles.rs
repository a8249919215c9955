//! What the x86-64 forms share: the walk over a block in tiles.

/// Defines `$name::<M, N>`: one tile of `M` rows and `N` columns, as one function for `$features`.
///
/// The tile holds `M · N` accumulators of `$lanes` lanes in registers. Per step along `k` it loads
/// `N` vectors of `b` and `M` of `a`; the rest of `k` is loaded with zeros behind it.
macro_rules! tile {
    ($name:ident, $features:literal, $lanes:literal, load($load:ident), part($part:ident),
     zero($zero:ident), mac($mac:ident), sum($sum:ident)) => {
        /// # Safety
        ///
        /// The machine has the instruction set; `a` and `b` are valid for `M` and `N` rows of `k`
        /// numbers, `out` for `M` rows of `N` numbers that nobody else touches.
        #[target_feature(enable = $features)]
        #[allow(clippy::too_many_arguments)] // three strided matrices and a length
        unsafe fn $name<const M: usize, const N: usize>(
            k: usize,
            a: *const f32,
            lda: usize,
            b: *const f32,
            ldb: usize,
            out: *mut f32,
            ldo: usize,
        ) {
            let mut sums = [[$zero(); N]; M];
            let whole = k / $lanes * $lanes;
            let mut at = 0;
            while at < whole {
                let weights: [_; N] = std::array::from_fn(|j| {
                    // SAFETY: `at + $lanes <= k`, inside every row by the caller's promise.
                    unsafe { $load(b.add(j * ldb + at)) }
                });
                for i in 0..M {
                    // SAFETY: as above.
                    let input = unsafe { $load(a.add(i * lda + at)) };
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
                    let input = unsafe { $part(a.add(i * lda + whole), rest) };
                    for j in 0..N {
                        // SAFETY: as above.
                        let weights = unsafe { $part(b.add(j * ldb + whole), rest) };
                        sums[i][j] = $mac(sums[i][j], input, weights);
                    }
                }
            }
            for i in 0..M {
                for j in 0..N {
                    let sum = $sum(sums[i][j]);
                    // SAFETY: inside the tile's output by the caller's promise.
                    unsafe { *out.add(i * ldo + j) = sum };
                }
            }
        }
    };
}

/// Walks over a block with `$tile`: as many `$rows` × `$cols` tiles as fit, then single rows of
/// `$wide` columns, then what is left.
macro_rules! walk {
    ($tile:ident, $rows:literal x $cols:literal, 1 x $wide:literal, $block:expr, $out:expr, $ldo:expr) => {{
        let (block, out, ldo) = ($block, $out, $ldo);
        let (m, n, k, ldb) = (block.m, block.n, block.k, block.ldb);
        let (a, b) = (block.a.as_ptr(), block.b.as_ptr());
        let mut i = 0;
        while i < m {
            let a = a.add(i * block.lda);
            let out = out.add(i * ldo);
            let mut j = 0;
            if m - i >= $rows {
                while n - j >= $cols {
                    let b = b.add(j * ldb);
                    $tile::<$rows, $cols>(k, a, block.lda, b, ldb, out.add(j), ldo);
                    j += $cols;
                }
                while j < n {
                    let b = b.add(j * ldb);
                    $tile::<$rows, 1>(k, a, block.lda, b, ldb, out.add(j), ldo);
                    j += 1;
                }
                i += $rows;
            } else {
                while n - j >= $wide {
                    let b = b.add(j * ldb);
                    $tile::<1, $wide>(k, a, block.lda, b, ldb, out.add(j), ldo);
                    j += $wide;
                }
                while j < n {
                    let b = b.add(j * ldb);
                    $tile::<1, 1>(k, a, block.lda, b, ldb, out.add(j), ldo);
                    j += 1;
                }
                i += 1;
            }
        }
    }};
}

pub(super) use {tile, walk};
