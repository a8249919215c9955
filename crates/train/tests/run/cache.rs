//! However a step is cut up to fit a memory, it is the same step.

use std::io::Write;
use std::sync::{Arc, Mutex};

use aurola_audio::{LogMel, MelConfig, MelFilters, log_mel};
use aurola_model::config::ThinkerConfig;
use aurola_model::text::{PromptInput, TextOptions, TextSide};
use aurola_model::weights::{Checkpoint, Weights};
use aurola_train::loss::{HybridNceConfig, OverlapRule};
use aurola_train::report::{RunEvent, read_metrics};
use aurola_train::step::{Item, Outcome, Pair, Products, StepConfig, contrastive};
use aurola_train::thinker::{Gradients, LoraConfig, Parameters, Scope, Source, Thinker};

use crate::*;

const DIRECT: StepConfig = StepConfig {
    chunk: 16,
    products: Products::F32,
    recompute: false,
    memory: u64::MAX,
    dropout: 1,
};

struct Bench {
    thinker: Thinker,
    parameters: Parameters,
    pairs: Vec<Pair>,
}

impl Bench {
    fn new(scope: &Scope) -> Self {
        let config = ThinkerConfig::read(&tiny()).unwrap();
        let checkpoint = Checkpoint::open(&tiny()).unwrap();
        let source = Source::Checkpoint(Weights::thinker(&checkpoint, None).unwrap());
        let (thinker, parameters) = Thinker::new(&config, &source, scope).unwrap();
        let text = TextSide::load(&tiny(), &TextOptions::default()).unwrap();
        let prompt = |input: PromptInput<'_>| text.embedding_prompt(input).unwrap();
        let captions = [
            "a dog",
            "rain on tin",
            "a bell rings twice",
            "wind",
            "a dog barks",
        ];
        let pair = |(n, caption): (usize, &&str)| {
            let mel = clip(0.4 + 0.3 * n as f32, 200.0 + 170.0 * n as f32);
            let sound = prompt(PromptInput::Audio(config.audio.tokens(mel.n_frames())));
            Pair {
                audio: Item::embedding(sound, Some(mel)),
                text: Item::embedding(prompt(PromptInput::Text(caption)), None),
                clusters: [n as u32 / 3, 7].into_iter().collect(),
            }
        };
        Self {
            pairs: captions.iter().enumerate().map(pair).collect(),
            thinker,
            parameters,
        }
    }

    fn step(&self, config: StepConfig) -> Result<(Outcome, Vec<f32>), TrainError> {
        let mut gradients = Gradients::zeros(&self.parameters);
        let outcome = contrastive(
            &self.thinker,
            &self.parameters,
            &self.pairs,
            &HybridNceConfig::default(),
            OverlapRule::default(),
            &config,
            &mut Alone,
            &mut gradients,
        )?;
        Ok((outcome, gradients.as_slices().concat()))
    }
}

fn clip(seconds: f32, pitch: f32) -> LogMel {
    let tone = |n: usize| (n as f32 / 16_000.0 * pitch * std::f32::consts::TAU).sin();
    let samples: Vec<f32> = (0..(seconds * 16_000.0) as usize).map(tone).collect();
    log_mel(&samples, &MelFilters::new(&MelConfig::default()).unwrap()).unwrap()
}

#[test]
fn a_step_in_chunks_is_the_step() {
    let bench = Bench::new(&Scope::everything());
    let (whole, gradients) = bench.step(DIRECT).unwrap();
    assert!(!whole.twice);
    for chunk in [1, 2, 5] {
        // 4 MiB hold any one chunk's tape, not all of them.
        for (memory, twice) in [(u64::MAX, false), (4 << 20, true)] {
            for recompute in [false, true] {
                let config = StepConfig {
                    chunk,
                    memory,
                    recompute,
                    ..DIRECT
                };
                let (outcome, found) = bench.step(config).unwrap();
                let difference = apart(&found, &gradients);
                println!("{config:?} {outcome:?} {difference:e}");
                assert!(outcome.twice == twice || recompute);
                assert!((outcome.loss - whole.loss).abs() <= 1e-5 * whole.loss);
                assert!(difference <= 1e-5, "{difference:e}");
            }
        }
    }
}

#[test]
fn chunks_computed_twice_drop_the_same_both_times() {
    let bench = Bench::new(&Scope {
        tensors: Vec::new(),
        lora: Some(LoraConfig {
            r: 4,
            lora_dropout: 0.3,
            ..LoraConfig::default()
        }),
    });
    for chunk in [1, 2] {
        let kept = StepConfig { chunk, ..DIRECT };
        let (outcome, gradients) = bench.step(kept).unwrap();
        let twice = StepConfig {
            memory: 4 << 20,
            ..kept
        };
        let (again, found) = bench.step(twice).unwrap();
        assert!(again.twice);
        assert!((again.loss - outcome.loss).abs() <= 1e-6 * outcome.loss);
        // Another draw would be apart by a third.
        let difference = apart(&found, &gradients);
        assert!(difference <= 1e-6, "{difference:e}");
    }
}

#[test]
fn a_memory_below_one_item_is_refused_with_what_it_would_take() {
    let bench = Bench::new(&Scope::everything());
    let config = StepConfig {
        memory: 1 << 10,
        ..DIRECT
    };
    let error = bench.step(config).unwrap_err();
    assert!(matches!(error, TrainError::Memory { needed, .. } if needed > 1 << 10));
    let world = World::small(&["compute.memory_mib = 0"]);
    let refused = world.refused();
    assert!(
        refused.contains("one item needs 1 MiB for its way back and 0 MiB"),
        "{refused}"
    );
    assert!(refused.contains("compute.memory_mib"), "{refused}");
}

/// A stderr to look into.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<u8>>>);

impl Write for Told {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn halved_chunks_are_told() {
    let world = World::small(&[
        "compute.memory_mib = 1",
        "schedule.batch_size = 10",
        "schedule.steps = 2",
    ]);
    let told = Told::default();
    let mut dashboard = Dashboard::lines_to(0, told.clone());
    let run = world.at("run");
    run::train(&world.recipe(), &run, &|| false, &mut Alone, &mut dashboard).unwrap();
    let lines = read_metrics(&run.join("metrics.jsonl")).unwrap();
    let mut halved = lines.iter().filter_map(|line| match &line.record {
        Record::Event(event) => match event.event {
            RunEvent::OutOfMemory { chunk } => Some(chunk),
            _ => None,
        },
        _ => None,
    });
    let chunk = halved.next_back().expect("an event");
    assert!(chunk < 10);
    assert_eq!(steps(&run).last().unwrap().chunk, chunk);
    let told = String::from_utf8(told.0.lock().unwrap().clone()).unwrap();
    assert!(
        told.contains(&format!("from now on {chunk} pairs at once")),
        "{told}"
    );
}
