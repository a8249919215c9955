//! That what is learnt is learnt: no wrong sign and no lost gradient gets through here.

use crate::*;

/// Eight scenes, told in one sentence each.
const EIGHT: &str = r#"data = { max_s = 1.0, sources = [{ name = "scenes", kind = "scenes", count = 8, seed = 80, min_s = 0.5, max_s = 1.0, max_events = 1, captions = { long = 0.0, short = 1.0, tag = 0.0 } }] }"#;

fn eight(stage: &str, steps: usize) -> World {
    let tried = format!("[[validation]]\nname = \"scenes\"\nevery = 1000\n{EIGHT}");
    let how = format!(
        r#"stage = "{stage}"
model.new = {{ audio_width = 32, audio_inner = 64, width = 32, inner = 64 }}
loss.hybrid_nce.direction = "symmetric"
optimizer.beta2 = 0.98
schedule = {{ batch_size = 8, steps = {steps}, learning_rate = 5e-3, warmup = 0.05 }}
checkpoint.every = 1000"#
    );
    World::of(&edited(&[EIGHT, &tried, &how]))
}

#[test]
fn eight_scenes_are_learnt_by_heart() {
    let world = eight("contrastive", 100);
    let run = world.train("run").unwrap();
    let steps = steps(&run);
    // Chance is ln 8 = 2.08.
    assert!(steps[0].loss > 2.0, "{}", steps[0].loss);
    let last: f64 = steps[95..].iter().map(|s| s.loss).sum::<f64>() / 5.0;
    let scores = scores(&run);
    println!("{last} {scores:?}");
    assert!(last < 0.3, "{last}");
    let found = scores.iter().find(|(_, name, _)| name == "a2t_r1").unwrap();
    assert_eq!(found.2, 1.0);
}

#[test]
fn a_reranker_learns_what_to_answer() {
    let world = eight("reranker", 100);
    let run = world.train("run").unwrap();
    let steps = steps(&run);
    // Of an answer's two tokens the second is certain, so whoever guesses has ln 2 / 2 = 0.35; who knows
    // nothing of answers, the logarithm of a thousand ids.
    assert!(steps[0].loss > 5.0, "{}", steps[0].loss);
    let last: f64 = steps[90..].iter().map(|s| s.loss).sum::<f64>() / 10.0;
    println!("{last}");
    assert!(last < 0.4, "{last}");
}
