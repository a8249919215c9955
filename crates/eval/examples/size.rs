//! What an evaluation of AudioCaps' size takes from kept embeddings: `cargo run --release -p aurola-eval --example size -- FOLDER`.
//!
//! The first run makes 975 short sounds and keeps 2,048 numbers for each of them and for 4,875 captions, by a model
//! that makes its vectors of nothing but hashes; a second run finds them and measures: intervals both ways and the
//! whole report included. Prints seconds and the most memory held, as one JSON object.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Instant;

use aurola::{Cancel, Embedder, Engine, Options};
use aurola_audio::{LogMel, MelConfig};
use aurola_eval::benchmark::{Benchmark, find};
use aurola_eval::evaluation::{self, Evaluation, ModelNote, PoolNote};
use aurola_eval::report::{self, Shown};
use aurola_eval::run::{Journal, Tools, measure};
use aurola_model::{Input, ModelError, YesNo};
use aurola_retrieval::store::SpaceKey;
use aurola_retrieval::{Embedding, Store};

const CLIPS: usize = 975;
const DIM: usize = 2_048;

/// Vectors of hashes.
struct Hashes(MelConfig);

impl Embedder for Hashes {
    fn fingerprint(&self) -> &str {
        "hashes"
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

    fn embed(&self, inputs: &[Input<'_>]) -> Result<Vec<Embedding>, ModelError> {
        let one = |input: &Input<'_>| {
            let mut hasher = blake3::Hasher::new();
            match input {
                Input::Text(text) => hasher.update(text.as_bytes()),
                Input::Audio(mel) | Input::AudioText(mel, _) => {
                    let bytes: Vec<u8> =
                        mel.values().iter().flat_map(|v| v.to_le_bytes()).collect();
                    hasher.update(&bytes)
                }
            };
            let mut bytes = vec![0; DIM];
            hasher.finalize_xof().fill(&mut bytes);
            let values = bytes
                .into_iter()
                .map(|byte| f32::from(byte) - 127.5)
                .collect();
            Embedding::normalize(values).expect("a hash has a length")
        };
        Ok(inputs.iter().map(one).collect())
    }

    fn rerank(&self, _: &Input<'_>, _: &[Input<'_>]) -> Result<Vec<YesNo>, ModelError> {
        Err(ModelError::Input("hashes judge nothing".into()))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("give a folder to work in")?;
    let folder = Path::new(&folder);
    let annotations = folder.join("captions.csv");
    if !annotations.exists() {
        fs::create_dir_all(folder.join("sounds"))?;
        let mut table = "file,caption\n".to_owned();
        for clip in 0..CLIPS {
            let samples: Vec<i16> = (0..3_200)
                .map(|n| ((n * (clip + 3)) % 5_000) as i16)
                .collect();
            fs::write(folder.join(format!("sounds/{clip}.wav")), wav(&samples))?;
            for n in 0..5 {
                writeln!(table, "{clip}.wav,caption {n} of clip {clip}")?;
            }
        }
        fs::write(&annotations, table)?;
    }
    let began = Instant::now();
    let model = Hashes(MelConfig::default());
    let space = SpaceKey {
        fingerprint: "hashes".into(),
        window: Options::default().listening.cut.to_string(),
        dim: DIM,
        model: "hashes".into(),
    };
    let store = Store::open(&folder.join("store.sqlite"))?;
    let mut engine = Engine::new(
        &model,
        store,
        Options {
            name: "hashes".into(),
            ..Options::default()
        },
    );
    let mut texts = Journal::open(&folder.join("texts.journal"), DIM)?;
    let located = find(Benchmark::Own.read(&annotations)?, &folder.join("sounds"))?;
    let tools = Tools {
        engine: &mut engine,
        model: &model,
        space: &space,
        texts: &mut texts,
        cancel: &Cancel::default(),
    };
    let measured = measure(
        located,
        &|text| vec![text.text.clone()],
        tools,
        &Options::default().listening,
        &mut |_| {},
    )?
    .ok_or("cancelled")?;
    let directions = evaluation::directions(&measured);
    let [to_audio, to_text] = directions.figures;
    let result = Evaluation {
        program: "size".into(),
        made: evaluation::now(),
        benchmark: "own".into(),
        kind: measured.task.kind,
        model: ModelNote {
            name: "hashes".into(),
            fingerprint: "hashes".into(),
            dim: DIM,
            window: space.window.clone(),
            prompt: "none".into(),
        },
        pool: evaluation::pool_note(&measured, PoolNote::default()),
        ties: evaluation::tie_rule(),
        notes: Vec::new(),
        text_to_audio: Some(to_audio),
        audio_to_text: Some(to_text),
        classes: None,
        reranked: std::collections::BTreeMap::new(),
    };
    let shown = Shown {
        cards: 8,
        pictures: true,
        players: false,
    };
    report::write(
        &folder.join("report"),
        &result,
        &directions.lines,
        &measured,
        shown,
    )?;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap_or("unknown")
        .trim()
        .to_owned();
    println!(
        "{}",
        serde_json::json!({
            "clips": measured.sounds.len(), "texts": measured.task.texts.len(), "dim": DIM,
            "embedded_now_s": measured.seconds_embedded, "seconds": began.elapsed().as_secs_f64(), "peak_memory": peak,
        })
    );
    Ok(())
}

fn wav(samples: &[i16]) -> Vec<u8> {
    let data = (samples.len() * 2) as u32;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + data).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data");
    file.extend(data.to_le_bytes());
    file.extend(samples.iter().flat_map(|s| s.to_le_bytes()));
    file
}
