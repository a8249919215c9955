//! Training and serving compute the same.

use aurola_model::{LoadOptions, Model};
use aurola_train::thinker::Scope;

use super::{Batch, inputs, load, pass, tiny};

#[test]
fn states_are_those_of_the_model_that_is_served() {
    let (thinker, parameters) = load(&Scope::everything());
    let batch = Batch::small();
    let (states, tape) = thinker
        .forward(&pass(&parameters), &batch.samples(), false)
        .unwrap();
    assert!(tape.is_none());
    let served = Model::load(&tiny(), &LoadOptions::default()).unwrap();
    let embeddings = served.embed(&inputs(&batch)).unwrap();
    for (state, embedding) in states.chunks_exact(thinker.hidden_size()).zip(&embeddings) {
        let norm = state.iter().map(|v| v * v).sum::<f32>().sqrt();
        for (a, b) in state.iter().zip(embedding.as_slice()) {
            assert!((a / norm - b).abs() < 2e-6, "{} against {b}", a / norm);
        }
    }
}

#[test]
fn what_is_frozen_computes_the_same_from_its_map() {
    let batch = Batch::small();
    let whole = load(&Scope::everything());
    let part = load(&Scope {
        tensors: vec![r"model\.norm\.weight".into()],
        lora: None,
    });
    let run = |(thinker, parameters): &(_, _)| {
        let thinker: &aurola_train::thinker::Thinker = thinker;
        thinker
            .forward(&pass(parameters), &batch.samples(), false)
            .unwrap()
            .0
    };
    assert_eq!(run(&whole), run(&part));
}
