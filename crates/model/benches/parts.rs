//! What the time goes into, piece by piece: products in every type, log-mel, attention, the scan of a store.
//!
//! `cargo bench -p aurola-model --bench parts [FILTER]`, on all of rayon's threads. Shapes are the 3B model's.

#![allow(missing_docs)] // criterion writes functions of its own

use std::hint::black_box;
use std::time::Duration;

use aurola_audio::{MelConfig, MelFilters, log_mel};
use aurola_compute::attention::{Heads, Mask, Span, attend};
use aurola_compute::packed::{Form, Packed, Start, Target, Weight, products};
use aurola_compute::{Dtype, Matrix};
use aurola_retrieval::Embedding;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn numbers(n: usize) -> Vec<f32> {
    (0..n)
        .map(|i| ((i * 7919 % 2003) as f32 - 1001.0) / 1001.0)
        .collect()
}

fn kernels(c: &mut Criterion) {
    let mut group = c.benchmark_group("products");
    for (m, k, n) in [
        (1, 2048, 11008),
        (36, 2048, 11008),
        (280, 2048, 11008),
        (280, 11008, 2048),
        (500, 1280, 5120),
    ] {
        let (x, mut out) = (numbers(m * k), vec![0.0; m * n]);
        let stored = Matrix::from_f32(&numbers(n * k), Dtype::Bf16, n, k).expect("as many numbers");
        let packed = |form| Weight::Packed(Packed::new(&stored, form));
        let all = [
            ("f32 stored", Weight::Stored(stored.clone(), Form::F32)),
            ("bf16 stored", Weight::Stored(stored.clone(), Form::Bf16)),
            ("bf16", packed(Form::Bf16)),
            ("int8", packed(Form::Int8)),
            ("int4", packed(Form::Int4)),
        ];
        group.throughput(Throughput::Elements(2 * (m * k * n) as u64));
        for (name, weight) in &all {
            group.bench_function(BenchmarkId::new(*name, format!("{m}x{k}x{n}")), |b| {
                b.iter(|| {
                    let (start, out) = (Start::Zero, &mut out[..]);
                    products(&x, m, &mut [Target { weight, start, out }]);
                });
            });
        }
    }
    group.finish();
}

fn mel(c: &mut Criterion) {
    let filters = MelFilters::new(&MelConfig::default()).expect("the released front end");
    let samples = numbers(160_000);
    c.bench_function("log-mel of 10 s", |b| {
        b.iter(|| log_mel(black_box(&samples), &filters))
    });
}

fn attention(c: &mut Criterion) {
    let shape = Heads {
        heads: 16,
        kv_heads: 2,
        dim: 128,
    };
    let rows = 289;
    let (q, k) = (numbers(rows * 2048), numbers(rows * 256));
    let positions: Vec<usize> = (0..rows).collect();
    let spans = [Span {
        queries: 0..rows,
        keys: 0..rows,
    }];
    c.bench_function("attention of 289 tokens", |b| {
        b.iter(|| {
            attend(
                shape,
                Mask::Causal,
                None,
                (&q, &positions),
                (&k, &k),
                &spans,
            )
        });
    });
}

/// Exact search: the score of every vector.
fn scan(c: &mut Criterion) {
    let (rows, dim) = (100_000, 256);
    let mut vectors = aurola_retrieval::Matrix::with_capacity(dim, rows);
    for row in numbers(rows * dim).chunks_exact(dim) {
        vectors.push(&Embedding::normalize(row.to_vec()).expect("finite and not zero"));
    }
    let query = numbers(dim);
    c.bench_function("scan of 100,000 vectors of 256", |b| {
        b.iter(|| {
            (0..rows)
                .map(|row| vectors.score(row, &query))
                .fold(f32::MIN, f32::max)
        });
    });
}

criterion_group! {
    name = parts;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(3));
    targets = kernels, mel, attention, scan
}
criterion_main!(parts);
