//! Every form of the packed product against its definition, in double precision, over odd shapes.

use std::ops::Range;
use std::sync::Arc;

use aurola_compute::packed::{Form, Packed, Start, Target, Weight, products_on};
use aurola_compute::{Dtype, Isa, MappedFile, Matrix};
use half::bf16;
use proptest::prelude::*;

const FORMS: [Form; 4] = [Form::F32, Form::Bf16, Form::Int8, Form::Int4];
const DTYPES: [Dtype; 3] = [Dtype::F32, Dtype::Bf16, Dtype::F16];

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

fn matrix(n: usize, k: usize, dtype: Dtype, seed: u64) -> Matrix {
    Matrix::from_f32(&numbers(n * k, seed), dtype, n, k).unwrap()
}

fn product(isa: Isa, x: &[f32], m: usize, weight: &Weight, start: Start<'_>, out: &mut [f32]) {
    products_on(isa, x, m, &mut [Target { weight, start, out }]);
}

/// One row of activations as `form` takes them.
fn taken(form: Form, row: &[f32]) -> Vec<f64> {
    match form {
        Form::F32 => row.iter().map(|v| f64::from(*v)).collect(),
        Form::Bf16 => row.iter().map(|v| bf16::from_f32(*v).to_f64()).collect(),
        Form::Int8 | Form::Int4 => row
            .chunks(128)
            .flat_map(|block| {
                let max = block.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
                let (inverse, scale) = (127.0 / max, f64::from(max / 127.0));
                block
                    .iter()
                    .map(move |v| f64::from((v * inverse).round_ties_even()) * scale)
            })
            .collect(),
    }
}

fn check(m: usize, n: usize, k: usize, dtype: Dtype, form: Form, seed: u64) {
    let x = numbers(m * k, seed);
    let packed = Packed::new(&matrix(n, k, dtype, seed + 1), form);
    let (bias, old) = (numbers(n, seed + 2), numbers(m * n, seed + 3));
    let wide = packed.to_f32();
    let weight = Weight::Packed(packed);
    let mut before: Option<Vec<f32>> = None;
    for &isa in Isa::available() {
        let (mut out, mut biased) = (old.clone(), vec![f32::NAN; m * n]);
        product(isa, &x, m, &weight, Start::Output, &mut out);
        product(isa, &x, m, &weight, Start::Bias(&bias), &mut biased);
        for i in 0..m {
            let row = taken(form, &x[i * k..(i + 1) * k]);
            for j in 0..n {
                let terms = row
                    .iter()
                    .zip(&wide[j * k..])
                    .map(|(x, w)| x * f64::from(*w));
                let (sum, size) = terms.fold((0.0, 1.0), |(s, a), t: f64| (s + t, a + t.abs()));
                for (got, base) in [(&out, old[i * n + j]), (&biased, bias[j])] {
                    let (got, want) = (f64::from(got[i * n + j]), sum + f64::from(base));
                    assert!(
                        (got - want).abs() <= size * 2e-6,
                        "{isa} {form} of {dtype} [{m}, {k}] x [{n}, {k}] at ({i}, {j}): {got} against {want}"
                    );
                }
            }
        }
        // Sums of whole numbers are exact, and their scales are applied in one order.
        if matches!(form, Form::Int8 | Form::Int4) {
            assert!(
                before.as_ref().is_none_or(|b| *b == out),
                "{isa}: other bits"
            );
            before = Some(out);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn every_form_agrees_with_the_definition(
        (m, n, k) in (0_usize..30, 0_usize..110, 0_usize..300),
        form in 0..4_usize, dtype in 0..3_usize, seed in 1_u64..1 << 40,
    ) {
        check(m, n, k, DTYPES[dtype], FORMS[form], seed);
    }
}

#[test]
fn products_longer_than_a_chunk_and_of_more_rows_than_a_turn_agree() {
    for form in FORMS {
        check(3, 101, 2 * 1024 + 37, Dtype::Bf16, form, 5);
        check(515, 20, 33, Dtype::F32, form, 6);
        check(41, 70, 1300, Dtype::F16, form, 7);
    }
}

#[test]
fn stored_weights_give_the_bits_of_packed_ones() {
    let (m, n, k) = (37, 131, 1111);
    let x = numbers(m * k, 3);
    for dtype in DTYPES {
        let stored = matrix(n, k, dtype, 4);
        for form in [Form::F32, Form::Bf16] {
            for &isa in Isa::available().iter().filter(|isa| **isa != Isa::Amx) {
                let run = |weight: &Weight| {
                    let mut out = vec![f32::NAN; m * n];
                    product(isa, &x, m, weight, Start::Zero, &mut out);
                    out
                };
                let packed = run(&Weight::Packed(Packed::new(&stored, form)));
                assert!(
                    packed == run(&Weight::Stored(stored.clone(), form)),
                    "{isa} {form} {dtype}"
                );
            }
        }
    }
}

#[test]
fn a_row_does_not_depend_on_its_neighbours_nor_on_threads_nor_on_what_shares_its_input() {
    let (m, k) = (45, 1100);
    let x = numbers(m * k, 3);
    for form in FORMS {
        let weights = [131, 16, 1]
            .map(|n| Weight::Packed(Packed::new(&matrix(n, k, Dtype::Bf16, n as u64), form)));
        let run = |threads: usize, rows: Range<usize>| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let x = &x[rows.start * k..rows.end * k];
            let mut outs = weights.each_ref().map(|w| vec![0.0; rows.len() * w.rows()]);
            let mut targets: Vec<Target<'_>> = weights
                .iter()
                .zip(&mut outs)
                .map(|(weight, out)| Target {
                    weight,
                    start: Start::Zero,
                    out,
                })
                .collect();
            pool.install(|| products_on(Isa::best(), x, rows.len(), &mut targets));
            outs
        };
        let together = run(1, 0..m);
        assert_eq!(together, run(3, 0..m), "bit for bit with three threads");
        for i in 0..m {
            let alone = run(2, i..i + 1);
            for (weight, (alone, together)) in weights.iter().zip(alone.iter().zip(&together)) {
                let n = weight.rows();
                assert_eq!(*alone, together[i * n..(i + 1) * n], "row {i} alone");
                let mut out = vec![0.0; n];
                product(
                    Isa::best(),
                    &x[i * k..(i + 1) * k],
                    1,
                    weight,
                    Start::Zero,
                    &mut out,
                );
                assert_eq!(out, *alone, "without the others");
            }
        }
    }
}

#[test]
fn layers_of_several_types_share_an_input() {
    let (m, n, k) = (5, 50, 200);
    let x = numbers(m * k, 3);
    let weights =
        FORMS.map(|form| Weight::Packed(Packed::new(&matrix(n, k, Dtype::Bf16, 9), form)));
    let mut outs = FORMS.map(|_| vec![0.0; m * n]);
    let mut targets: Vec<Target<'_>> = weights
        .iter()
        .zip(&mut outs)
        .map(|(weight, out)| Target {
            weight,
            start: Start::Zero,
            out,
        })
        .collect();
    products_on(Isa::best(), &x, m, &mut targets);
    for (weight, out) in weights.iter().zip(&outs) {
        let mut alone = vec![0.0; m * n];
        product(Isa::best(), &x, m, weight, Start::Zero, &mut alone);
        assert_eq!(*out, alone, "{}", weight.form());
    }
}

#[test]
fn what_is_written_to_a_file_is_read_back_and_another_length_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (m, n, k) = (3, 70, 333);
    let x = numbers(m * k, 3);
    for (at, form) in FORMS.into_iter().enumerate() {
        let packed = Packed::new(&matrix(n, k, Dtype::Bf16, 4), form);
        let path = dir.path().join(at.to_string());
        std::fs::write(&path, [&[0; 64], packed.bytes()].concat()).unwrap();
        let file = Arc::new(MappedFile::open(&path).unwrap());
        let len = packed.bytes().len();
        assert_eq!(Packed::size((form, Dtype::Bf16), n, k), Some(len));
        let open = |range: Range<usize>, n| Packed::mapped(&file, range, (form, Dtype::Bf16), n, k);
        let mapped = open(64..64 + len, n).unwrap();
        let run = |packed: &Packed| {
            let mut out = vec![0.0; m * n];
            product(
                Isa::best(),
                &x,
                m,
                &Weight::Packed(packed.clone()),
                Start::Zero,
                &mut out,
            );
            out
        };
        assert_eq!(run(&packed), run(&mapped), "{form}");
        assert_eq!(open(0..len, n + 16).unwrap_err().found, len);
        for bad in [2..2 + len, 64..64 + len + 64, 128..128 + len] {
            assert!(open(bad, n).is_err());
        }
        assert_eq!(open(0..len, usize::MAX).unwrap_err().needed, None);
    }
}

#[test]
fn rounding_keeps_what_it_says() {
    let stored = matrix(19, 333, Dtype::Bf16, 4);
    let exact: Vec<f32> = Dtype::Bf16.widen(stored.bytes()).collect();
    for form in [Form::F32, Form::Bf16] {
        assert_eq!(Packed::new(&stored, form).to_f32(), exact, "{form}");
    }
    for (form, share) in [(Form::Int8, 0.5 / 127.0), (Form::Int4, 0.5 / 7.0)] {
        let kept = Packed::new(&stored, form).to_f32();
        for (rows, kept) in exact.chunks(333).zip(kept.chunks(333)) {
            for (block, kept) in rows.chunks(128).zip(kept.chunks(128)) {
                let max = block.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
                // The greatest of a block in 4 bits may be cut by a little more than half a step.
                let bound = max * share * if form == Form::Int4 { 2.0 } else { 1.001 };
                for (a, b) in block.iter().zip(kept) {
                    assert!((a - b).abs() <= bound, "{form}: {a} became {b}");
                }
            }
        }
    }
}

#[test]
fn a_nan_is_not_hidden() {
    let k = 300;
    let mut x = numbers(2 * k, 1);
    x[k + 200] = f32::NAN;
    for form in FORMS {
        let weight = Weight::Packed(Packed::new(&matrix(20, k, Dtype::Bf16, 2), form));
        for &isa in Isa::available() {
            let mut out = vec![0.0; 40];
            product(isa, &x, 2, &weight, Start::Zero, &mut out);
            assert!(out[..20].iter().all(|v| v.is_finite()), "{isa} {form}");
            assert!(out[20..].iter().all(|v| v.is_nan()), "{isa} {form}");
        }
    }
}
