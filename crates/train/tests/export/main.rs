//! What a run leaves behind: read again, it is what was trained.

mod adapters;
mod models;
mod refusals;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aurola_audio::{Clip, Limits, LogMel, MelConfig, MelFilters, log_mel, read_whole};
use aurola_model::config::ThinkerConfig;
use aurola_model::text::{PromptInput, TextOptions, TextSide};
use aurola_model::weights::{Checkpoint, Weights};
use aurola_model::{DtypeChoice, Input, LoadOptions, Model};
use aurola_train::step::{self, Item, Products, StepConfig};
use aurola_train::thinker::{LoraConfig, Parameters, Scope, Source, Thinker};
use safetensors::SafeTensors;

/// f32; bf16 with a tied head; f16 in four files; bf16 within the full model, names beginning `thinker.`.
const BASES: [&str; 4] = ["tiny", "kv1", "f16-sharded", "full-prefix"];

/// What `tools/check_peft.py` embeds where it is not told otherwise.
const TEXTS: [&str; 2] = [
    "A dog barks in the distance and then thunder rumbles",
    "siren",
];
const SOUND: &str = "bell_2s.wav";

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../testdata")
        .join(name)
}

fn base(name: &str) -> PathBuf {
    testdata("checkpoints").join(name)
}

/// A model as a run has it.
struct Trained {
    thinker: Thinker,
    parameters: Parameters,
}

impl Trained {
    /// The checkpoint as it is.
    fn load(base: &Path, scope: &Scope) -> Self {
        let config = ThinkerConfig::read(base).unwrap();
        let checkpoint = Checkpoint::open(base).unwrap();
        let source = Source::Checkpoint(Weights::thinker(&checkpoint, None).unwrap());
        let (thinker, parameters) = Thinker::new(&config, &source, scope).unwrap();
        Self {
            thinker,
            parameters,
        }
    }

    /// The checkpoint after steps that moved every number that is trained.
    fn moved(base: &Path, scope: &Scope) -> Self {
        let mut trained = Self::load(base, scope);
        for (i, values) in trained.parameters.values_mut().into_iter().enumerate() {
            let steps = numbers(values.len(), 31 + i as u64);
            values
                .iter_mut()
                .zip(steps)
                .for_each(|(v, s)| *v += 0.05 * s);
        }
        trained
    }

    /// Embeddings of the texts and the sound.
    fn embeddings(&self, base: &Path) -> Vec<Vec<f32>> {
        let config = self.thinker.config();
        let options = TextOptions {
            preset: None,
            audio_token_id: config.audio_token_id,
            context: None,
        };
        let text = TextSide::load(base, &options).unwrap();
        let mel = sound();
        let tokens = config.audio.tokens(mel.n_frames());
        let prompt = |input| text.embedding_prompt(input).unwrap();
        let mut items: Vec<Item> = TEXTS
            .iter()
            .map(|words| Item::embedding(prompt(PromptInput::Text(words)), None))
            .collect();
        items.push(Item::embedding(
            prompt(PromptInput::Audio(tokens)),
            Some(mel),
        ));
        let step = StepConfig {
            chunk: 2,
            products: Products::F32,
            recompute: false,
            memory: 1 << 30,
            dropout: 0,
        };
        let items: Vec<&Item> = items.iter().collect();
        let states = step::states(&self.thinker, &self.parameters, &items, &step).unwrap();
        let unit = |state: &[f32]| {
            let norm = state.iter().map(|v| v * v).sum::<f32>().sqrt();
            state.iter().map(|v| v / norm).collect()
        };
        states
            .chunks_exact(self.thinker.hidden_size())
            .map(unit)
            .collect()
    }
}

/// The same embeddings by the model that is served.
fn served(dir: &Path, adapter: Option<&Path>) -> Vec<Vec<f32>> {
    let options = LoadOptions {
        dtype: DtypeChoice::F32,
        adapter: adapter.map(Path::to_owned),
        ..LoadOptions::default()
    };
    let model = Model::load(dir, &options).unwrap();
    let mel = sound();
    let mut inputs = TEXTS.map(Input::Text).to_vec();
    inputs.push(Input::Audio(&mel));
    let embeddings = model.embed(&inputs).unwrap();
    embeddings.iter().map(|e| e.as_slice().to_vec()).collect()
}

/// Largest difference of two sets of embeddings.
fn apart(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    assert_eq!(a.len(), b.len());
    let (a, b) = (a.concat(), b.concat());
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(&b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

fn sound() -> LogMel {
    let mut clip = Clip::open(&testdata("sounds").join(SOUND), &Limits::default()).unwrap();
    let whole = read_whole(&mut clip, 300.0).unwrap().unwrap();
    let filters = MelFilters::new(&MelConfig::default()).unwrap();
    log_mel(&whole.window.samples, &filters).unwrap()
}

/// Low-rank changes of every layer, of two ranks.
fn lora() -> LoraConfig {
    LoraConfig {
        r: 3,
        lora_alpha: 6.0,
        rank_pattern: vec![(r"layers\.0\.self_attn\.q_proj".into(), 5)],
        alpha_pattern: vec![(r"mlp\.\w+".into(), 4.5)],
        ..LoraConfig::default()
    }
}

fn scope_of(lora: &LoraConfig) -> Scope {
    Scope {
        tensors: Vec::new(),
        lora: Some(lora.clone()),
    }
}

/// Every tensor in the folder's safetensors files: type, shape and bytes.
fn tensors(dir: &Path) -> BTreeMap<String, (safetensors::Dtype, Vec<usize>, Vec<u8>)> {
    let mut all = BTreeMap::new();
    for file in Checkpoint::open(dir).unwrap().files() {
        let bytes = std::fs::read(file).unwrap();
        for (name, view) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
            let tensor = (view.dtype(), view.shape().to_vec(), view.data().to_vec());
            assert!(all.insert(name, tensor).is_none());
        }
    }
    all
}

/// Names of what is in a folder, hidden ones too.
fn entries(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Numbers in `[-1, 1)` that look random.
fn numbers(n: usize, mut s: u64) -> Vec<f32> {
    (0..n)
        .map(|_| {
            s ^= s << 13;
            s ^= s >> 7;
            s ^= s << 17;
            (s >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}
