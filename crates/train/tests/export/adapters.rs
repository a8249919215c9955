//! Adapters: served beside their base, merged into it, and read by Python's peft.

use std::collections::BTreeSet;
use std::path::Path;

use aurola_model::lora::Adapter;
use aurola_model::weights::{Checkpoint, Weights};
use aurola_train::export;
use aurola_train::thinker::{LoraConfig, Source, Thinker};
use fancy_regex::Regex;
use serde_json::{Value, json};

use super::{BASES, Trained, apart, base, lora, scope_of, served, tensors};

fn config(dir: &Path) -> Value {
    let text = std::fs::read_to_string(dir.join("adapter_config.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn what_is_served_beside_its_base_is_what_was_trained() {
    let dir = tempfile::tempdir().unwrap();
    for name in BASES {
        let (base, out) = (base(name), dir.path().join(name));
        let trained = Trained::moved(&base, &scope_of(&lora()));
        export::adapter(&out, &base, &lora(), &trained.parameters).unwrap();
        let want = trained.embeddings(&base);
        let off = apart(&served(&base, Some(&out)), &want);
        let moved = apart(&served(&base, None), &want);
        println!("{name}: off by {off:.1e}; the base is off by {moved:.2}");
        assert!(off <= 2e-6, "{name}: off by {off:e}");
        assert!(moved > 0.01, "{name}: the adapter changes nothing");
    }
}

#[test]
fn merged_into_its_base_it_is_the_same_model() {
    let dir = tempfile::tempdir().unwrap();
    for name in BASES {
        let (base, merged) = (base(name), dir.path().join(name));
        let adapter = dir.path().join(format!("{name}-adapter"));
        let trained = Trained::moved(&base, &scope_of(&lora()));
        export::adapter(&adapter, &base, &lora(), &trained.parameters).unwrap();
        export::merge(&merged, &base, &adapter).unwrap();
        let off = apart(&served(&merged, None), &trained.embeddings(&base));
        println!("{name}: off by {off:.1e}");
        // A base of 16 bits rounds what is added to it.
        let within = if name == "tiny" { 2e-5 } else { 0.02 };
        assert!(off <= within, "{name}: off by {off:e}");
        let (before, after) = (tensors(&base), tensors(&merged));
        assert!(before.keys().eq(after.keys()), "{name}: other tensors");
        for (tensor, old) in &before {
            let module = tensor.strip_prefix("thinker.").unwrap_or(tensor);
            let is_adapted = trained.parameters.iter().any(|p| {
                p.name.strip_suffix(".lora_A.weight") == module.strip_suffix(".weight")
                    && module.ends_with(".weight")
            });
            assert_eq!(*old != after[tensor], is_adapted, "{name}: {tensor}");
        }
    }
}

#[test]
fn a_run_goes_on_from_it_with_the_same_numbers() {
    let dir = tempfile::tempdir().unwrap();
    for name in BASES {
        let (base, out) = (base(name), dir.path().join(name));
        let trained = Trained::moved(&base, &scope_of(&lora()));
        export::adapter(&out, &base, &lora(), &trained.parameters).unwrap();
        let checkpoint = Checkpoint::open(&base).unwrap();
        let adapter = Adapter::open(&out).unwrap();
        let source = Source::Adapted {
            weights: Weights::thinker(&checkpoint, None).unwrap(),
            adapter: &adapter,
        };
        let config = trained.thinker.config();
        let (_, parameters) = Thinker::new(config, &source, &scope_of(&lora())).unwrap();
        assert_eq!(parameters, trained.parameters, "{name}");
    }
}

/// Modules that peft would adapt of the base, loaded as its Thinker alone: the full model has others.
fn matched(target: &Value, base: &Path) -> BTreeSet<String> {
    let stored = tensors(base);
    let modules = stored.keys().filter_map(|n| n.strip_suffix(".weight"));
    let names: Vec<String> = if modules.clone().any(|n| n.starts_with("thinker.")) {
        let inside = modules.filter_map(|n| n.strip_prefix("thinker."));
        inside.map(str::to_owned).collect()
    } else {
        modules.map(str::to_owned).collect()
    };
    let matches: Box<dyn Fn(&str) -> bool> = match target {
        Value::String(pattern) => {
            let whole = Regex::new(&format!("^(?:{pattern})$")).unwrap();
            Box::new(move |name| whole.is_match(name).unwrap())
        }
        Value::Array(list) => Box::new(move |name| {
            list.iter()
                .filter_map(Value::as_str)
                .any(|t| name == t || name.strip_suffix(t).is_some_and(|rest| rest.ends_with('.')))
        }),
        other => panic!("{other}"),
    };
    names.into_iter().filter(|n| matches(n)).collect()
}

#[test]
fn peft_is_told_of_the_trained_layers_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let only = |pattern: &str| LoraConfig {
        target_modules: vec![pattern.into()],
        ..LoraConfig::default()
    };
    for (number, (lora, is_pattern)) in [
        (LoraConfig::default(), true),
        (only(r".*\.(q|v)_proj"), true),
        (only(r"model\.layers\.0\..*"), false),
        (only(r"audio_tower\.proj"), true),
    ]
    .into_iter()
    .enumerate()
    {
        for name in BASES {
            let (base, out) = (base(name), dir.path().join(format!("{name}-{number}")));
            let trained = Trained::load(&base, &scope_of(&lora));
            export::adapter(&out, &base, &lora, &trained.parameters).unwrap();
            let target = config(&out)["target_modules"].clone();
            assert_eq!(target.is_string(), is_pattern, "{name}: {target}");
            let adapted: BTreeSet<String> = trained
                .parameters
                .iter()
                .filter_map(|p| p.name.strip_suffix(".lora_A.weight"))
                .map(str::to_owned)
                .collect();
            assert_eq!(matched(&target, &base), adapted, "{name}: {target}");
        }
    }
    assert_eq!(
        config(&dir.path().join("tiny-0"))["target_modules"],
        r"(audio_tower\.proj)|audio_tower\.layers\.\d+\.(fc1|fc2|self_attn\.k_proj|self_attn\.out_proj|self_attn\.q_proj|self_attn\.v_proj)|model\.layers\.\d+\.(mlp\.down_proj|mlp\.gate_proj|mlp\.up_proj|self_attn\.k_proj|self_attn\.o_proj|self_attn\.q_proj|self_attn\.v_proj)"
    );
}

#[test]
fn settings_are_written_as_the_recipe_has_them() {
    let dir = tempfile::tempdir().unwrap();
    let base = base("tiny");
    let trained = Trained::load(&base, &scope_of(&lora()));
    export::adapter(&dir.path().join("out"), &base, &lora(), &trained.parameters).unwrap();
    let config = config(&dir.path().join("out"));
    assert_eq!(config["r"], 3);
    assert_eq!(config["lora_alpha"], 6.0);
    assert_eq!(config["lora_dropout"], 0.05, "not 0.05000000074505806");
    assert_eq!(
        config["rank_pattern"],
        json!({r"layers\.0\.self_attn\.q_proj": 5})
    );
    assert_eq!(config["alpha_pattern"], json!({r"mlp\.\w+": 4.5}));
}

/// Where `AUROLA_PEFT_DIR` names a folder, leaves an adapter of every base in it, and what the trained model
/// makes of the inputs of `tools/check_peft.py`:
///
/// ```text
/// python tools/check_peft.py DIR/tiny testdata/checkpoints/tiny OUT.json
/// ```
///
/// Its `adapter` rows should be those of `DIR/tiny.json`.
#[test]
fn adapters_for_pythons_peft() {
    let Some(dir) = std::env::var_os("AUROLA_PEFT_DIR") else {
        println!("not run: AUROLA_PEFT_DIR is not set");
        return;
    };
    let some = LoraConfig {
        target_modules: vec![r"model\.layers\.0\..*".into()],
        ..lora()
    };
    let cases = BASES.map(|b| (b, b.to_owned(), lora()));
    for (name, out, lora) in cases
        .into_iter()
        .chain([("tiny", "tiny-list".into(), some)])
    {
        let (base, out) = (base(name), Path::new(&dir).join(out));
        let trained = Trained::moved(&base, &scope_of(&lora));
        export::adapter(&out, &base, &lora, &trained.parameters).unwrap();
        let text = json!(trained.embeddings(&base)).to_string();
        std::fs::write(out.with_extension("json"), text).unwrap();
    }
}
