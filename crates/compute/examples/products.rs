//! How fast the products run: 10⁹ operations a second in every form on every instruction set here.
//!
//! `cargo run --release -p aurola-compute --example products [RUNS]`, on all of rayon's threads. Medians;
//! compare within one run. The last two columns are the rate in wall time and in CPU time of one thread
//! times the threads: where other work runs beside it, the second is nearer to what a quiet machine gives.

use std::time::{Duration, Instant};

use aurola_compute::packed::{Form, Packed, Start, Target, Weight, products_on};
use aurola_compute::{Dtype, Isa, Matrix};

fn main() {
    let runs = std::env::args()
        .nth(1)
        .map_or(9, |n| n.parse().expect("a number of runs"));
    let threads = rayon::current_num_threads();
    println!("threads {threads}");
    println!(
        "{:>18}  {:>13}  {:>6}  {:>8}  {:>6}  {:>6}",
        "tokens x K x N", "set", "form", "weights", "wall", "CPU"
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
        let stored = Matrix::from_f32(&w, Dtype::Bf16, n, k).expect("as many numbers as the shape");
        for form in [Form::F32, Form::Bf16, Form::Int8, Form::Int4] {
            let mut weights = vec![("packed", Weight::Packed(Packed::new(&stored, form)))];
            if matches!(form, Form::F32 | Form::Bf16) {
                weights.push(("stored", Weight::Stored(stored.clone(), form)));
            }
            let mut out = vec![0.0; m * n];
            for (what, weight) in &weights {
                for &isa in Isa::available().iter().filter(|isa| **isa != Isa::Plain) {
                    let start = Start::Zero;
                    let mut run = || {
                        let (wall, cpu) = (Instant::now(), cpu_time());
                        let out = &mut out[..];
                        products_on(isa, &x, m, &mut [Target { weight, start, out }]);
                        (wall.elapsed(), cpu_time() - cpu)
                    };
                    run();
                    let times: Vec<_> = (0..runs).map(|_| run()).collect();
                    let rate = |of: fn(&(Duration, Duration)) -> Duration, times: &[_]| {
                        let mut all: Vec<f64> = times.iter().map(|t| of(t).as_secs_f64()).collect();
                        all.sort_by(f64::total_cmp);
                        2.0 * (m * k * n) as f64 / all[runs / 2] / 1e9
                    };
                    let wall = rate(|t| t.0, &times);
                    let cpu = rate(|t| t.1, &times) * threads as f64;
                    println!(
                        "{:>18}  {isa:>13}  {form:>6}  {what:>8}  {wall:>6.0}  {cpu:>6.0}",
                        format!("{m}x{k}x{n}")
                    );
                }
            }
        }
    }
}

/// CPU time of this process; zero where the system does not tell.
fn cpu_time() -> Duration {
    // User and system time, in hundredths of a second, would be too coarse: the scheduler's own count.
    std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse().ok())
        .map(Duration::from_nanos)
        .sum()
}
