//! Every form of the packed product against its definition, in double precision, over odd shapes.

use aurola_compute::gemm::{View, gemm_on};
use aurola_compute::{Dtype, Isa, Matrix, Precision};
use half::bf16;
use proptest::prelude::*;

fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut s = seed | 1;
    (0..n)
        .map(|_| {
            s ^= s << 13;
            s ^= s >> 7;
            s ^= s << 17;
            (s >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// `[rows, cols]` as it is, or laid out by columns.
fn lay(values: &[f32], rows: usize, cols: usize, by_row: bool) -> Vec<f32> {
    if by_row {
        return values.to_vec();
    }
    (0..rows * cols)
        .map(|at| values[at % rows * cols + at / rows])
        .collect()
}

fn view(values: &[f32], rows: usize, cols: usize, by_row: bool) -> View<'_> {
    if by_row {
        View::new(values, rows, cols)
    } else {
        View::new(values, cols, rows).turned()
    }
}

fn check(
    (m, n, k): (usize, usize, usize),
    (a_by_row, b_by_row): (bool, bool),
    precision: Precision,
    accumulate: bool,
    seed: u64,
) {
    let (a, b, old) = (
        numbers(m * k, seed),
        numbers(k * n, seed + 1),
        numbers(m * n, seed + 2),
    );
    let take = |v: f32| match precision {
        Precision::F32 => f64::from(v),
        Precision::Bf16 => bf16::from_f32(v).to_f64(),
    };
    let (a_laid, b_laid) = (lay(&a, m, k, a_by_row), lay(&b, k, n, b_by_row));
    for &isa in Isa::available() {
        let mut out = old.clone();
        let (a_view, b_view) = (view(&a_laid, m, k, a_by_row), view(&b_laid, k, n, b_by_row));
        gemm_on(isa, a_view, b_view, precision, accumulate, &mut out);
        for i in 0..m {
            for j in 0..n {
                let start = if accumulate {
                    f64::from(old[i * n + j])
                } else {
                    0.0
                };
                let terms = (0..k).map(|t| take(a[i * k + t]) * take(b[t * n + j]));
                let (want, size) =
                    terms.fold((start, start.abs()), |(s, z), t| (s + t, z + t.abs()));
                let got = f64::from(out[i * n + j]);
                assert!(
                    (got - want).abs() <= size * 2e-6 + 1e-30,
                    "{isa} {precision:?} [{m}, {k}] x [{k}, {n}] at ({i}, {j}): {got} against {want}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn every_orientation_agrees_with_the_definition(
        shape in (1..40_usize, 1..120_usize, 0..70_usize),
        orders in (any::<bool>(), any::<bool>()),
        bf16 in any::<bool>(),
        accumulate in any::<bool>(),
        seed in any::<u32>(),
    ) {
        let precision = if bf16 { Precision::Bf16 } else { Precision::F32 };
        check(shape, orders, precision, accumulate, u64::from(seed));
    }
}

#[test]
fn sums_longer_than_one_visit_and_outputs_of_several_tasks_agree() {
    for precision in [Precision::F32, Precision::Bf16] {
        check((5, 7, 1100), (true, false), precision, true, 1);
        check((205, 61, 33), (false, true), precision, false, 2);
    }
}

#[test]
fn stored_weights_are_read_where_they_lie() {
    let (m, n, k) = (9, 50, 31);
    let x = numbers(m * k, 1);
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F16] {
        let stored = Matrix::from_f32(&numbers(n * k, 2), dtype, n, k).unwrap();
        let wide: Vec<f32> = dtype.widen(stored.bytes()).collect();
        let product = |w: View<'_>| {
            let mut out = vec![0.0; m * n];
            gemm_on(
                Isa::best(),
                View::new(&x, m, k),
                w,
                Precision::F32,
                false,
                &mut out,
            );
            out
        };
        assert_eq!(
            product(View::of(&stored).turned()),
            product(View::new(&wide, n, k).turned())
        );
    }
}

#[test]
fn a_row_is_the_same_bits_alone_and_on_any_number_of_threads() {
    let (m, n, k) = (230, 130, 700);
    let (x, w) = (numbers(m * k, 1), numbers(k * n, 2));
    for precision in [Precision::F32, Precision::Bf16] {
        let run = |threads: usize, rows: std::ops::Range<usize>| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let mut out = vec![0.0; rows.len() * n];
            let a = View::new(&x[rows.start * k..rows.end * k], rows.len(), k);
            pool.install(|| {
                gemm_on(
                    Isa::best(),
                    a,
                    View::new(&w, k, n),
                    precision,
                    false,
                    &mut out,
                )
            });
            out
        };
        let whole = run(1, 0..m);
        assert_eq!(whole, run(3, 0..m));
        assert_eq!(whole[17 * n..18 * n], run(2, 17..18));
    }
}
