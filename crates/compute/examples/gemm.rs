//! How fast the products of training are: `cargo run --release -p aurola-compute --example gemm`.

use std::time::Instant;

use aurola_compute::Precision;
use aurola_compute::gemm::{View, gemm};

fn main() {
    println!(
        "rate in GFLOP/s, median of 9, {} threads",
        rayon::current_num_threads()
    );
    println!("{:>24} {:>10} {:>10}", "m x k x n", "f32", "bf16");
    for (m, k, n) in [
        (3200, 192, 192),
        (3200, 192, 768),
        (3200, 768, 192),
        (2000, 256, 704),
        (2000, 1280, 5120),
        (280, 2048, 11008),
    ] {
        let x: Vec<f32> = (0..m * k).map(|i| (i % 97) as f32 / 97.0).collect();
        let w: Vec<f32> = (0..n * k).map(|i| (i % 89) as f32 / 89.0).collect();
        let dy: Vec<f32> = (0..m * n).map(|i| (i % 83) as f32 / 83.0).collect();
        let (x, w, dy) = (
            View::new(&x, m, k),
            View::new(&w, n, k),
            View::new(&dy, m, n),
        );
        for (what, a, b) in [
            ("x wT", x, w.turned()),
            ("dy w", dy, w),
            ("dyT x", dy.turned(), x),
        ] {
            let rate = |precision| {
                let mut out = vec![0.0; a.rows() * b.cols()];
                let mut seconds: Vec<f64> = (0..9)
                    .map(|_| {
                        let at = Instant::now();
                        gemm(a, b, precision, false, &mut out);
                        at.elapsed().as_secs_f64()
                    })
                    .collect();
                seconds.sort_by(f64::total_cmp);
                2.0 * (m * k * n) as f64 / seconds[4] / 1e9
            };
            let (single, pairs) = (rate(Precision::F32), rate(Precision::Bf16));
            println!(
                "{:>24} {single:>10.0} {pairs:>10.0}  {what}",
                format!("{m} x {k} x {n}")
            );
        }
    }
}
