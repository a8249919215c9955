//! `testdata/eval/ORIGIN.md` tells what wrote these values, from what, and when.

use std::fs;
use std::path::{Path, PathBuf};

use aurola_eval::rerank::RerankFile;
use aurola_eval::{Pool, Side, Similarity, released, score};
use serde_json::{Value, json};

use crate::shared;

/// What a case says, as files.
struct Case {
    folder: tempfile::TempDir,
    value: Value,
}

impl Case {
    fn of(value: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ids = json!({"audio": value["audio"], "text": value["text"]});
        fs::write(folder.path().join("ids.json"), ids.to_string()).unwrap();
        fs::write(
            folder.path().join("rerank.json"),
            value["rerank"].to_string(),
        )
        .unwrap();
        Self {
            folder,
            value: value.clone(),
        }
    }

    fn pool(&self) -> Pool {
        Pool::read_ids(&self.folder.path().join("ids.json")).unwrap()
    }

    fn rerank_path(&self) -> PathBuf {
        self.folder.path().join("rerank.json")
    }

    fn similarity(&self) -> Similarity {
        let rows = self.value["similarity"].as_array().unwrap();
        let values = rows.iter().flat_map(|row| row.as_array().unwrap());
        let values: Vec<f32> = values.map(|v| v.as_f64().unwrap() as f32).collect();
        Similarity::new(rows.len(), values.len() / rows.len(), values).unwrap()
    }
}

fn cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/eval/cases.json");
    let cases: Vec<Value> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    cases.iter().map(Case::of).collect()
}

#[track_caller]
fn assert_figures(found: &Value, expected: &Value, within: f64, what: &str) {
    for side in Side::BOTH.map(Side::name) {
        for (name, value) in expected[side].as_object().unwrap() {
            let (found, value) = (found[side][name].as_f64().unwrap(), value.as_f64().unwrap());
            assert!(
                (found - value).abs() <= within,
                "{what}: {side} {name}: {found}, recorded {value}"
            );
        }
    }
}

#[test]
fn exact_figures_are_those_of_full_sorts_before_and_after_re_ranking() {
    for case in cases() {
        let (similarity, pool) = (case.similarity(), case.pool());
        let plain = score::exact(&similarity, &pool, None).unwrap();
        assert_figures(
            &plain,
            &case.value["exact"],
            1e-9,
            &case.value["name"].to_string(),
        );
        let path = case.rerank_path();
        let file = RerankFile::read(&path).unwrap();
        let after = score::exact(&similarity, &pool, Some((&path, &file))).unwrap();
        assert_figures(&after, &case.value["exact_reranked"], 1e-9, "re-ranked");
        for side in Side::BOTH.map(Side::name) {
            let before = &after["rerank"][side]["before"];
            assert_eq!(before["r1"], plain[side]["r1"]);
        }
    }
}

#[test]
fn released_figures_are_reproduced_to_the_digit() {
    for case in cases() {
        let (similarity, pool) = (case.similarity(), case.pool());
        let plain = score::as_released(&similarity, &pool, None);
        assert_figures(&plain, &case.value["released"], 0.0, "released");
        if case.value["name"] != "many ties" {
            // The released code has neither; where nothing ties, its places are ours.
            for (side, name) in [("text_to_audio", "median_rank"), ("audio_to_text", "map10")] {
                let found = plain[side][name].as_f64().unwrap();
                let expected = case.value["exact"][side][name].as_f64().unwrap();
                assert!((found - expected).abs() < 1e-9, "{side} {name}");
            }
        }
        let file = RerankFile::read(&case.rerank_path()).unwrap();
        let after = score::as_released(&similarity, &pool, Some(&file));
        let first = &after["rerank"]["after_audio_to_text"];
        assert_figures(
            first,
            &case.value["released_after_a2t"],
            0.0,
            "after audio to text",
        );
        assert_figures(&after, &case.value["released_reranked"], 0.0, "after both");
    }
}

/// All cases of the recording of the released code itself, every cell of its fused matrices included.
#[test]
fn the_released_codes_own_recording_is_reproduced_to_the_digit() {
    let Some(path) = shared("golden/metrics.json") else {
        return;
    };
    let recorded: Vec<Value> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let bytes = fs::read(path.with_extension("safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let floats = |name: String| -> Vec<f32> {
        let tensor = tensors.tensor(&name).unwrap();
        let numbers = tensor.data().as_chunks::<4>().0.iter();
        numbers.map(|b| f32::from_le_bytes(*b)).collect()
    };
    for record in &recorded {
        let number = &record["case"];
        let folder = tempfile::tempdir().unwrap();
        let ids = json!({"audio": record["ids"], "text": record["ids_txt"]});
        fs::write(folder.path().join("ids.json"), ids.to_string()).unwrap();
        let mut rerank = record.clone();
        for side in ["a2t", "t2a"] {
            rerank[format!("{side}_scores")] = json!(floats(format!("{number}/{side}_scores")));
        }
        fs::write(folder.path().join("rerank.json"), rerank.to_string()).unwrap();
        let pool = Pool::read_ids(&folder.path().join("ids.json")).unwrap();
        let file = RerankFile::read(&folder.path().join("rerank.json")).unwrap();
        let clips = pool.clips().len();
        let matrix = |name: &str| {
            Similarity::new(pool.texts(), clips, floats(format!("{number}/{name}"))).unwrap()
        };
        let similarity = matrix("sim");

        let named = |metrics: &Value| {
            let side = |short: &str| {
                let of = |name: &str| metrics[format!("{short}_{name}")].clone();
                json!({"r1": of("r1"), "r5": of("r5"), "r10": of("r10"), "mean": of("ravg")})
            };
            json!({"text_to_audio": side("text2audio"), "audio_to_text": side("audio2text")})
        };
        let after = score::as_released(&similarity, &pool, Some(&file));
        assert_figures(
            &after["rerank"]["before"],
            &named(&record["metrics"]),
            0.0,
            "before",
        );
        let first = &after["rerank"]["after_audio_to_text"];
        assert_figures(
            first,
            &named(&record["metrics_after_a2t"]),
            0.0,
            "after audio to text",
        );
        assert_figures(
            &after,
            &named(&record["metrics_after_both"]),
            0.0,
            "after both",
        );

        let mut fused = similarity.clone();
        released::fuse(&mut fused, &pool, &file, Side::AudioToText);
        assert_eq!(fused, matrix("merged_a2t"), "case {number}");
        released::fuse(&mut fused, &pool, &file, Side::TextToAudio);
        assert_eq!(fused, matrix("merged_both"), "case {number}");

        let k = record["top_k_requested"].as_u64().unwrap() as usize;
        let (texts, audio) = released::top_k(&similarity, &pool, k);
        let export = &record["rerank_metadata"];
        for (entry, texts) in export["audio2text"].as_array().unwrap().iter().zip(texts) {
            assert_eq!(entry["top_text_ids"], json!(texts), "case {number}");
        }
        for (entry, audio) in export["text2audio"].as_array().unwrap().iter().zip(audio) {
            let audio: Vec<i64> = audio.iter().map(|id| id.parse().unwrap()).collect();
            assert_eq!(entry["top_audio_ids"], json!(audio), "case {number}");
        }
    }
    assert_eq!(recorded.len(), 3);
}
