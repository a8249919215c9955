//! How fast the products run: GFLOP/s on every instruction set this machine has.
//!
//! `cargo run --release -p aurola-compute --example products`, on all of rayon's threads. Medians of
//! several runs; compare within one run.

use std::time::Instant;

use aurola_compute::{Dtype, Isa, Matrix, Precision, matmul_nt_on};

fn main() {
    println!("threads {}", rayon::current_num_threads());
    println!(
        "{:>18}  {:>13}  {:>6}  {:>6}  {:>8}",
        "tokens x K x N", "set", "input", "weight", "GFLOP/s"
    );
    for (m, k, n) in [
        (1, 2048, 11008),
        (32, 2048, 11008),
        (280, 2048, 11008),
        (280, 11008, 2048),
        (800, 1280, 5120),
    ] {
        let x: Vec<f32> = (0..m * k)
            .map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0)
            .collect();
        let w: Vec<f32> = (0..n * k)
            .map(|i| ((i * 53 % 89) as f32 - 44.0) / 2000.0)
            .collect();
        for (dtype, precision) in [
            (Dtype::F32, Precision::F32),
            (Dtype::Bf16, Precision::F32),
            (Dtype::F16, Precision::F32),
            (Dtype::Bf16, Precision::Bf16),
        ] {
            let w = Matrix::from_f32(&w, dtype, n, k).expect("as many numbers as the shape");
            let mut out = vec![0.0; m * n];
            for &isa in Isa::available().iter().filter(|isa| **isa != Isa::Plain) {
                let mut run = || {
                    let start = Instant::now();
                    matmul_nt_on(isa, &x, m, &w, precision, &mut out);
                    start.elapsed().as_secs_f64()
                };
                run();
                let mut times: Vec<f64> = (0..9).map(|_| run()).collect();
                times.sort_by(f64::total_cmp);
                let rate = 2.0 * (m * k * n) as f64 / times[4] / 1e9;
                println!(
                    "{:>18}  {isa:>13}  {:>6}  {dtype:>6}  {rate:>8.0}",
                    format!("{m}x{k}x{n}"),
                    format!("{precision:?}")
                );
            }
        }
    }
}
