//! Every form of the product against its definition, in double precision, over odd shapes.

use aurola_compute::{Dtype, Isa, Matrix, Precision, matmul_nt, matmul_nt_on};
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

/// `Σ x w` with the inputs as `precision` takes them, and a bound for the rounding of any order.
fn by_definition(x: &[f32], w: &[f32], precision: Precision) -> (f64, f64) {
    let take = |v: f32| match precision {
        Precision::F32 => f64::from(v),
        Precision::Bf16 => bf16::from_f32(v).to_f64(),
    };
    let terms = x.iter().zip(w).map(|(x, w)| take(*x) * f64::from(*w));
    let (sum, size) = terms.fold((0.0, 0.0), |(s, a), t| (s + t, a + t.abs()));
    (sum, size * 1e-6 + 1e-30)
}

fn check(m: usize, n: usize, k: usize, dtype: Dtype, precision: Precision, seed: u64) {
    let x = numbers(m * k, seed);
    let w = Matrix::from_f32(&numbers(n * k, seed + 1), dtype, n, k).unwrap();
    let mut row = vec![0.0; k];
    for &isa in Isa::available() {
        let mut out = vec![f32::NAN; m * n];
        matmul_nt_on(isa, &x, m, &w, precision, &mut out);
        for j in 0..n {
            w.row(j, &mut row);
            for i in 0..m {
                let (want, bound) = by_definition(&x[i * k..(i + 1) * k], &row, precision);
                let got = f64::from(out[i * n + j]);
                assert!(
                    (got - want).abs() <= bound,
                    "{isa} {dtype} {precision:?} [{m}, {k}] x [{n}, {k}] at ({i}, {j}): {got} against {want}"
                );
            }
        }
    }
}

fn kinds() -> impl Strategy<Value = (Dtype, Precision)> {
    prop_oneof![
        Just((Dtype::F32, Precision::F32)),
        Just((Dtype::Bf16, Precision::F32)),
        Just((Dtype::F16, Precision::F32)),
        Just((Dtype::Bf16, Precision::Bf16)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_form_agrees_with_the_definition(
        m in 0_usize..40, n in 0_usize..100, k in 0_usize..130, (dtype, precision) in kinds(), seed in 1_u64..1 << 40,
    ) {
        check(m, n, k, dtype, precision, seed);
    }
}

#[test]
fn products_longer_than_a_chunk_and_larger_than_a_task_agree() {
    for (dtype, precision) in [
        (Dtype::F32, Precision::F32),
        (Dtype::Bf16, Precision::F32),
        (Dtype::F16, Precision::F32),
        (Dtype::Bf16, Precision::Bf16),
    ] {
        check(3, 101, 2 * 4096 + 37, dtype, precision, 5);
        check(259, 50, 33, dtype, precision, 6);
        check(33, 64, 1055, dtype, precision, 7);
    }
}

#[test]
fn a_row_does_not_depend_on_its_neighbours_nor_on_threads() {
    let (m, n, k) = (45, 131, 1100);
    let x = numbers(m * k, 3);
    for (dtype, precision) in [(Dtype::F32, Precision::F32), (Dtype::Bf16, Precision::Bf16)] {
        let w = Matrix::from_f32(&numbers(n * k, 4), dtype, n, k).unwrap();
        let run = |threads: usize, rows: std::ops::Range<usize>| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let mut out = vec![0.0; rows.len() * n];
            let x = &x[rows.start * k..rows.end * k];
            pool.install(|| matmul_nt(x, rows.len(), &w, precision, &mut out));
            out
        };
        let together = run(1, 0..m);
        assert_eq!(together, run(3, 0..m), "bit for bit with three threads");
        for i in 0..m {
            assert_eq!(
                together[i * n..(i + 1) * n],
                run(2, i..i + 1),
                "row {i} alone"
            );
        }
    }
}

/// Attention multiplies with weights of zero behind what a query sees, and how many there are
/// depends on the queries beside it.
#[test]
fn zeros_behind_a_row_change_nothing() {
    let (m, n, k) = (9, 35, 203);
    let (x, w) = (numbers(m * k, 11), numbers(n * k, 12));
    let wider = |rows: &[f32], by: usize| -> Vec<f32> {
        let zeros = vec![0.0; by];
        rows.chunks(k)
            .flat_map(|row| [row, &zeros].concat())
            .collect()
    };
    for (dtype, precision) in [
        (Dtype::F32, Precision::F32),
        (Dtype::F16, Precision::F32),
        (Dtype::Bf16, Precision::Bf16),
    ] {
        for &isa in Isa::available() {
            let product = |by: usize| {
                let w = Matrix::from_f32(&wider(&w, by), dtype, n, k + by).unwrap();
                let mut out = vec![0.0; m * n];
                matmul_nt_on(isa, &wider(&x, by), m, &w, precision, &mut out);
                out
            };
            for by in [1, 5, 13, 40] {
                assert!(product(0) == product(by), "{isa} {dtype}, {by} zeros");
            }
        }
    }
}

#[test]
fn a_number_of_rows_that_overflows_is_refused() {
    // 2^63 rows of two numbers are no numbers, modulo 2^64.
    let w = Matrix::from_f32(&[1.0; 4], Dtype::F32, 2, 2).unwrap();
    let run = || matmul_nt(&[], 1 << 63, &w, Precision::F32, &mut []);
    let message = *std::panic::catch_unwind(run)
        .unwrap_err()
        .downcast::<String>()
        .unwrap();
    assert!(message.contains("activations"), "{message}");
}

#[test]
fn weights_at_any_address_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let values = numbers(5 * 19, 8);
    for (dtype, precision) in [
        (Dtype::F32, Precision::F32),
        (Dtype::Bf16, Precision::Bf16),
        (Dtype::F16, Precision::F32),
    ] {
        let owned = Matrix::from_f32(&values, dtype, 5, 19).unwrap();
        for shift in 0..5 {
            let path = dir.path().join(format!("{dtype}-{shift}"));
            std::fs::write(&path, [&vec![0xff; shift][..], owned.bytes()].concat()).unwrap();
            let file = std::sync::Arc::new(aurola_compute::MappedFile::open(&path).unwrap());
            let mapped =
                Matrix::mapped(&file, shift..shift + owned.bytes().len(), dtype, 5, 19).unwrap();
            let x = numbers(2 * 19, 9);
            let (mut a, mut b) = (vec![0.0; 10], vec![0.0; 10]);
            matmul_nt(&x, 2, &owned, precision, &mut a);
            matmul_nt(&x, 2, &mapped, precision, &mut b);
            assert_eq!(a, b, "{dtype} shifted by {shift}");
        }
    }
}
