//! Results in the layout of mteb's cache: `results/MODEL/REVISION/TASK.json`, shares instead of percent.

use serde_json::{Value, json};

use crate::benchmark::Kind;
use crate::evaluation::{Direction, Evaluation};

/// Paths below the folder, and what goes into them. Captions only: mteb has no task for class prompts both ways.
pub(super) fn files(evaluation: &Evaluation) -> Vec<(String, Value)> {
    if evaluation.kind == Kind::Labels {
        return Vec::new();
    }
    let model = evaluation.model.name.replace('/', "__");
    let revision: String = evaluation
        .model
        .fingerprint
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(16)
        .collect();
    let both = [
        ("T2ARetrieval", &evaluation.text_to_audio),
        ("A2TRetrieval", &evaluation.audio_to_text),
    ];
    let one = |(suffix, direction): (&str, &Option<Direction>)| {
        let direction = direction.as_ref()?;
        let name = match evaluation.benchmark.as_str() {
            "audiocaps" => "AudioCaps",
            "clotho" => "Clotho",
            other => other,
        };
        let task = format!("{name}{suffix}");
        Some((
            format!("results/{model}/{revision}/{task}.json"),
            result(evaluation, &task, direction),
        ))
    };
    both.into_iter().filter_map(one).collect()
}

fn result(evaluation: &Evaluation, task: &str, direction: &Direction) -> Value {
    let figures = &direction.figures;
    let share = |percent: f64| percent / 100.0;
    json!({
        "dataset_revision": evaluation.pool.fingerprint,
        "task_name": task,
        "mteb_version": null,
        "made_by": evaluation.program,
        "pool": {
            "clips": evaluation.pool.clips, "texts": evaluation.pool.texts, "known": evaluation.pool.known,
        },
        "scores": {"test": [{
            "hf_subset": "default",
            "languages": ["eng-Latn"],
            "main_score": share(figures.r5),
            "hit_rate_at_1": share(figures.r1),
            "hit_rate_at_5": share(figures.r5),
            "hit_rate_at_10": share(figures.r10),
            "cv_recall_at_1": share(figures.r1),
            "cv_recall_at_5": share(figures.r5),
            "cv_recall_at_10": share(figures.r10),
            "recall_at_1": direction.recall[0],
            "recall_at_5": direction.recall[1],
            "recall_at_10": direction.recall[2],
            "map_at_10": share(figures.map10),
            "ndcg_at_10": share(figures.ndcg10),
            "mrr_at_10": direction.mrr10,
        }]},
        "evaluation_time": null,
        "kg_co2_emissions": null,
    })
}
