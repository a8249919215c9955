//! Times a checkpoint from spectrogram or text to result: `tools/bench/bench.py` sets it beside the released
//! Python path.
//!
//! ```text
//! cargo run --release -p aurola-model --example bench -- CHECKPOINT --dtype bf16|int8|int4|f32
//!     [--sound FILE] [--runs N] [--pairs N]
//!     [--tasks query,mel,clip,captions,mixed,captions_for_clip,clips_for_query,lengths]
//! ```
//!
//! Prints one JSON object per line: first the load, then each task with the medians of its runs in wall and
//! CPU seconds and the peak memory of the process so far, as `tools/bench_python.py` does.

use std::path::Path;
use std::time::{Duration, Instant};

use aurola_audio::{Clip, Limits, LogMel, MelFilters, log_mel, read_whole};
use aurola_model::{DtypeChoice, Input, LoadOptions, Model};
use serde_json::{Value, json};

const QUERY: &str = "A vehicle driving as a man and woman are talking and laughing";
const SECONDS: [f64; 8] = [2.0, 4.0, 6.0, 10.0, 12.0, 16.0, 24.0, 30.0];

struct Options {
    checkpoint: String,
    dtype: DtypeChoice,
    sound: String,
    runs: usize,
    pairs: usize,
    tasks: Vec<String>,
}

fn main() {
    let options = options();
    let (wall, cpu) = (Instant::now(), cpu_time());
    let load = LoadOptions {
        dtype: options.dtype,
        ..LoadOptions::default()
    };
    let model =
        Model::load(Path::new(&options.checkpoint), &load).unwrap_or_else(|e| fail(&e.to_string()));
    say(json!({
        "task": "load", "wall_s": wall.elapsed().as_secs_f64(), "cpu_s": (cpu_time() - cpu).as_secs_f64(),
        "dtype": model.form().to_string(), "choice": model.choice(), "isa": model.isa().to_string(),
        "threads": std::thread::available_parallelism().map_or(1, usize::from),
    }));

    let filters = MelFilters::new(model.mel_config()).expect("the model has checked its front end");
    let read = |path: &str| -> Vec<f32> {
        let mut clip = Clip::open(Path::new(path), &Limits::default())
            .unwrap_or_else(|e| fail(&e.to_string()));
        match read_whole(&mut clip, 300.0) {
            Ok(Some(whole)) => whole.window.samples,
            Ok(None) => fail(&format!("{path} holds no samples")),
            Err(e) => fail(&e.to_string()),
        }
    };
    let samples = read(&options.sound);
    let mel = |seconds: f64| -> LogMel {
        let len = (seconds * 16_000.0) as usize;
        let long: Vec<f32> = samples.iter().copied().cycle().take(len).collect();
        log_mel(&long, &filters).unwrap_or_else(|e| fail(&e.to_string()))
    };
    let captions = captions(options.pairs.max(16));
    let sentences: Vec<Input<'_>> = captions.iter().map(|c| Input::Text(c)).collect();
    let ten = mel(10.0);
    for task in &options.tasks {
        let check = |result: Result<(), aurola_model::ModelError>| {
            result.unwrap_or_else(|e| fail(&e.to_string()))
        };
        let measured = match task.as_str() {
            "query" => measure(options.runs, || {
                check(model.embed(&[Input::Text(QUERY)]).map(drop))
            }),
            "mel" => measure(options.runs, || {
                drop(log_mel(&read(&options.sound), &filters))
            }),
            // From the file on, as the released path is measured.
            "clip" => measure(options.runs, || {
                let mel = log_mel(&read(&options.sound), &filters);
                let mel = mel.unwrap_or_else(|e| fail(&e.to_string()));
                check(model.embed(&[Input::Audio(&mel)]).map(drop));
            }),
            "captions" => measure(options.runs, || {
                check(model.embed(&sentences[..16]).map(drop))
            }),
            "mixed" => {
                let mels: Vec<LogMel> = SECONDS.iter().map(|s| mel(*s)).collect();
                let clips: Vec<Input<'_>> = mels.iter().map(Input::Audio).collect();
                measure(options.runs, || check(model.embed(&clips).map(drop)))
            }
            "captions_for_clip" => measure(options.runs, || {
                let candidates = &sentences[..options.pairs];
                check(model.rerank(&Input::Audio(&ten), candidates).map(drop));
            }),
            "clips_for_query" => {
                let sounds = model
                    .encode(&vec![&ten; options.pairs])
                    .unwrap_or_else(|e| fail(&e.to_string()));
                let kept: Vec<_> = sounds.iter().collect();
                measure(options.runs, || {
                    check(model.rerank_sounds(QUERY, &kept).map(drop))
                })
            }
            "lengths" => {
                for seconds in [1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0] {
                    let mel = mel(seconds);
                    let runs = if seconds > 60.0 { 1 } else { options.runs };
                    let mut about =
                        measure(runs, || check(model.embed(&[Input::Audio(&mel)]).map(drop)));
                    about["task"] = json!("length");
                    about["seconds"] = json!(seconds);
                    say(about);
                }
                continue;
            }
            other => fail(&format!("no task {other}")),
        };
        let mut about = measured;
        about["task"] = json!(task);
        say(about);
    }
}

/// `n` captions of 5 to 40 words.
fn captions(n: usize) -> Vec<String> {
    let words = "a dog barks while rain falls on the tin roof of an old house and somewhere far away a train \
                 passes with its horn blowing twice before birds begin to sing in the trees beside the road";
    let words: Vec<&str> = words.split_whitespace().collect();
    (0..n)
        .map(|i| {
            let len = 5 + i * 11 % 36;
            (0..len)
                .map(|w| words[(i * 7 + w) % words.len()])
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}

fn measure(runs: usize, mut task: impl FnMut()) -> Value {
    // The first run faults pages of the weights in.
    task();
    let (mut wall, mut cpu): (Vec<f64>, Vec<f64>) = (0..runs)
        .map(|_| {
            let (wall, cpu) = (Instant::now(), cpu_time());
            task();
            (
                wall.elapsed().as_secs_f64(),
                (cpu_time() - cpu).as_secs_f64(),
            )
        })
        .unzip();
    wall.sort_by(f64::total_cmp);
    cpu.sort_by(f64::total_cmp);
    json!({"wall_s": wall[runs / 2], "cpu_s": cpu[runs / 2], "runs": runs})
}

/// CPU time of this process, from the scheduler's own count; zero where the system does not tell.
fn cpu_time() -> Duration {
    std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse().ok())
        .map(Duration::from_nanos)
        .sum()
}

fn say(mut about: Value) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (key, name) in [("VmHWM:", "peak_gib"), ("RssAnon:", "own_gib")] {
        let line = status.lines().find_map(|l| l.strip_prefix(key));
        let kib: Option<f64> = line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok());
        about[name] = json!(kib.map(|kib| (kib / 1048.576).round() / 1000.0));
    }
    println!("{about}");
}

fn options() -> Options {
    let mut words = std::env::args().skip(1);
    let sound = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../testdata/sounds/siren_10s.flac"
    );
    let mut options = Options {
        checkpoint: words
            .next()
            .unwrap_or_else(|| fail("name a checkpoint's folder")),
        dtype: DtypeChoice::Auto,
        sound: sound.into(),
        runs: 5,
        pairs: 50,
        tasks: [
            "query",
            "mel",
            "clip",
            "captions",
            "mixed",
            "captions_for_clip",
            "clips_for_query",
        ]
        .map(String::from)
        .into(),
    };
    while let Some(flag) = words.next() {
        let value = words
            .next()
            .unwrap_or_else(|| fail(&format!("{flag} needs a value")));
        let number = || {
            value
                .parse()
                .unwrap_or_else(|_| fail(&format!("{flag}: {value} is no number")))
        };
        match flag.as_str() {
            "--dtype" => {
                options.dtype = match value.as_str() {
                    "f32" => DtypeChoice::F32,
                    "bf16" => DtypeChoice::Bf16,
                    "int8" => DtypeChoice::Int8,
                    "int4" => DtypeChoice::Int4,
                    _ => DtypeChoice::Auto,
                }
            }
            "--sound" => options.sound = value,
            "--runs" => options.runs = number(),
            "--pairs" => options.pairs = number(),
            "--tasks" => options.tasks = value.split(',').map(String::from).collect(),
            _ => fail(&format!("no option {flag}")),
        }
    }
    options
}

fn fail(message: &str) -> ! {
    eprintln!("error: {message}");
    std::process::exit(2)
}
