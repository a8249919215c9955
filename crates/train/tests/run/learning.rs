//! That what is learnt is learnt: no wrong sign and no lost gradient gets through here.

use aurola_model::{LoadOptions, Model};

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

/// The wrong candidates are the model's own mistakes, the prompts the recipe's, and captions are foretold.
#[test]
fn a_reranker_is_trained_on_what_its_base_confuses_and_asked_in_its_own_words() {
    let world = World::small(&["schedule.steps = 2"]);
    let base = world.train("base").unwrap().join("model");
    let mut recipe: toml::Table = toml::from_str(SMALL).unwrap();
    let base_of = base.to_str().unwrap().to_owned();
    recipe.insert("model".into(), toml::toml! { base = base_of }.into());
    let edit = r#"
        stage = "reranker"
        loss = { caption_weight = 0.5 }
        negatives = { near_misses = 0.0, nearest = { rows = 12, passes = 2, among = 3 } }
        [model]
        train.tensors = ["model\\..*"]
        [model.rerank]
        audio_to_text = { messages = [{ role = "user", content = "{audio}says {text}" }], generation_prompt = true }
        text_to_audio = { messages = [{ role = "user", content = "{audio}says {text}" }], generation_prompt = true }
    "#;
    merge(&mut recipe, toml::from_str(edit).unwrap());
    world.write("recipe.toml", &recipe.to_string());
    let run = world.train("run").unwrap();
    let whole = steps(&run);
    assert!(whole.last().unwrap().loss < whole[0].loss);

    // In between a block, between its passes: bit for bit as without a stop.
    let stopped = world.at("stopped");
    train_until(&world.recipe(), &stopped, 3).unwrap();
    train(&world.recipe(), &stopped).unwrap();
    assert_eq!(saved(&run), saved(&stopped));

    let model = Model::load(&run.join("model"), &LoadOptions::default()).unwrap();
    let prompts = &model.text().description().rerank.prompts;
    assert_eq!(prompts.by, "aurola.json");
    assert_eq!(
        prompts.value.audio_to_text.messages[0].content,
        "{audio}says {text}"
    );
    // What it says of embeddings is as it was.
    assert_eq!(
        model
            .text()
            .description()
            .embedding
            .as_ref()
            .map(|e| e.pooling.value),
        Model::load(&base, &LoadOptions::default())
            .unwrap()
            .text()
            .description()
            .embedding
            .as_ref()
            .map(|e| e.pooling.value)
    );
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
