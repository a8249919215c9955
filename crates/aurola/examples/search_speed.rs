//! How fast an index of many sounds answers, how much it finds and how much memory it takes.
//!
//! `search_speed build DIR ROWS` makes an index of ROWS made-up sounds of 2,048 numbers in DIR, and
//! `search_speed measure DIR` opens it in a process of its own and asks. The vectors lie as embeddings
//! do: around a thousand centres of uneven size, with a direction that all share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use aurola::{Embedder, Filter, Index, Mode, Options, Part, SearchRequest, TagFilter, What};
use aurola_audio::{LogMel, MelConfig};
use aurola_model::{Input, ModelError, YesNo};
use aurola_retrieval::store::{ContentHash, FileState, Sound, SpaceKey, Tag, TagSource};
use aurola_retrieval::{ContentId, Embedding, Query, Snapshot, Span, Store};

const DIM: usize = 2_048;
const CENTRES: u64 = 1_000;
const QUERIES: u64 = 300;

/// Takes vectors only.
struct NoModel(MelConfig);

impl Embedder for NoModel {
    fn fingerprint(&self) -> &str {
        "made up"
    }
    fn dim(&self) -> usize {
        DIM
    }
    fn mel_config(&self) -> &MelConfig {
        &self.0
    }
    fn audio_tokens(&self, _: &LogMel) -> usize {
        1
    }
    fn embed(&self, _: &[Input<'_>]) -> Result<Vec<Embedding>, ModelError> {
        Err(ModelError::Input("vectors only".into()))
    }
    fn rerank(&self, _: &Input<'_>, _: &[Input<'_>]) -> Result<Vec<YesNo>, ModelError> {
        Err(ModelError::Input("vectors only".into()))
    }
}

/// xorshift64*, and the sum of four for a bell.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn bell(&mut self) -> f32 {
        let bits = self.next();
        let part = |shift: u32| (bits >> shift & 0xFFFF) as f32 / 65_536.0 - 0.5;
        (part(0) + part(16) + part(32) + part(48)) * 1.73
    }
}

/// Sound number `n`, the same whenever it is asked for.
fn vector(n: u64, centres: &[Vec<f32>]) -> Embedding {
    let mut chance = Chance(n.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    for _ in 0..4 {
        chance.next();
    }
    // Uneven: the first centres have many, the last ones few.
    let share = (chance.next() >> 11) as f64 / (1_u64 << 53) as f64;
    let centre = &centres[1 + (share.powi(3) * CENTRES as f64) as usize];
    let values = (centres[0].iter().zip(centre))
        .map(|(shared, own)| 0.7 * shared + own + 0.6 * chance.bell())
        .collect();
    Embedding::normalize(values).expect("a bell is never all zero")
}

fn centres() -> Vec<Vec<f32>> {
    let mut chance = Chance(42);
    (0..=CENTRES)
        .map(|_| (0..DIM).map(|_| chance.bell()).collect())
        .collect()
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[1..] {
        ["build", folder, rows] => build(Path::new(folder), rows.parse().expect("a number")),
        ["measure", folder] => measure(&PathBuf::from(folder)),
        _ => eprintln!("search_speed build DIR ROWS | search_speed measure DIR"),
    }
}

fn build(folder: &Path, rows: u64) {
    let centres = centres();
    let started = Instant::now();
    let mut store = Store::open(&folder.join("library.sqlite")).expect("a store");
    store.trust_the_system().expect("a setting");
    let options = Options::default();
    let key = SpaceKey {
        fingerprint: "made up".into(),
        window: options.listening.cut.to_string(),
        dim: DIM,
        model: options.name,
    };
    for first in (0..rows).step_by(2_000) {
        let writer = store.write().expect("a transaction");
        let space = writer.space(&key).expect("a space");
        for n in first..rows.min(first + 2_000) {
            let hash = ContentHash::of(&n.to_le_bytes()[..]).expect("bytes");
            let sound = Sound {
                container: Some("wav".into()),
                sample_rate: Some(48_000),
                channels: Some(2),
                samples: Some(160_000),
                ..Sound::default()
            };
            let content = writer.content(&hash, 1, &sound).expect("a row");
            let span = Span {
                start: 0,
                end: 160_000,
            };
            writer
                .window(&space, &content, span, &vector(n, &centres))
                .expect("a row");
            writer.complete(&space, &content, 1).expect("a row");
            let state = FileState {
                size: 1,
                mtime_ns: n as i64,
                inode: n,
                device: 1,
            };
            let path = PathBuf::from(format!("/sounds/{:04}/{n:07}.wav", n / 500));
            writer
                .file(&path, &state, i64::MAX, &content)
                .expect("a row");
            if n % 100 == 0 {
                let (source, name) = (TagSource::File, "keyword".to_owned());
                let value = "rare".to_owned();
                writer
                    .add_tags(
                        &content,
                        &[Tag {
                            source,
                            name,
                            value,
                        }],
                    )
                    .expect("a row");
            }
        }
        writer.commit().expect("a commit");
    }
    println!(
        "{rows} rows saved in {:.1} s",
        started.elapsed().as_secs_f64()
    );
    let started = Instant::now();
    let space = store.space(&key).expect("a read").expect("a space");
    let sealing = store
        .seal(&space, &[], true)
        .expect("sealed")
        .expect("forced");
    println!(
        "sealed in {:.1} s: {sealing:?}",
        started.elapsed().as_secs_f64()
    );
    println!(
        "database {} MB",
        store.summary().expect("a read").disk_bytes >> 20
    );
}

fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap_or_default();
    line.split_whitespace()
        .nth(1)
        .and_then(|kb| kb.parse::<u64>().ok())
        .unwrap_or(0)
        >> 10
}

fn measure(folder: &Path) {
    let centres = centres();
    let started = Instant::now();
    let model = Arc::new(NoModel(MelConfig::default()));
    let index = Index::open(folder, model, Options::default()).expect("an index");
    let ask = |query: &Embedding, filter: Filter| SearchRequest {
        wanted: vec![Part::of(What::Vector(query.as_slice().to_vec()))],
        mode: Mode::Meaning,
        filter,
        ..SearchRequest::browse(10)
    };
    let first = vector(1 << 40, &centres);
    index
        .search(&ask(&first, Filter::default()))
        .expect("an answer");
    let opened = started.elapsed();
    println!(
        "opened, and the first answer: {:.3} s, {} MB resident",
        opened.as_secs_f64(),
        resident_mb()
    );

    let store = Store::open_read_only(&folder.join("library.sqlite")).expect("a store");
    let space = store.serving().expect("a read").expect("a space");
    let snapshot = Snapshot::load(&store, &space).expect("a snapshot");
    println!("{:?}", snapshot.sealing());
    let rare = Filter {
        tags: vec![TagFilter {
            name: None,
            value: "rare".into(),
        }],
        ..Filter::default()
    };
    let mut passing: Vec<ContentId> = store
        .matching(&rare)
        .expect("a read")
        .into_iter()
        .map(|(_, content)| content)
        .collect();
    passing.sort_unstable();
    for (name, filter, among) in [
        ("all", Filter::default(), None),
        ("1 %", rare, Some(passing.as_slice())),
    ] {
        let mut times: Vec<f64> = Vec::new();
        let mut found: Vec<Vec<ContentId>> = Vec::new();
        for n in 0..QUERIES {
            let request = ask(&vector((1 << 41) + n, &centres), filter.clone());
            let started = Instant::now();
            let answer = index.search(&request).expect("an answer");
            times.push(started.elapsed().as_secs_f64() * 1e3);
            found.push(answer.hits.iter().map(|hit| hit.content.id).collect());
        }
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        println!(
            "{name}: p50 {:.2} ms, p99 {:.2} ms, least {:.2} ms, {} MB resident",
            at(0.5),
            at(0.99),
            at(0.0),
            resident_mb()
        );
        let checked = 40;
        let right: usize = (0..checked)
            .map(|n| {
                let query = Query::like(&vector((1 << 41) + n, &centres));
                let truth = snapshot.exact(&query, 10, among).expect("an answer");
                truth
                    .iter()
                    .filter(|hit| found[n as usize].contains(&hit.content))
                    .count()
            })
            .sum();
        println!(
            "{name}: recall@10 {:.4}",
            right as f64 / (checked * 10) as f64
        );
    }
}
