//! Prompts against what the released path recorded: rendered strings and ids, every one of them.
//!
//! `testdata/README.md` tells what wrote the recordings. Where the material the project was built
//! from stands beside it, its recordings are read too: the real vocabulary among them.

use std::path::{Path, PathBuf};
use std::process::Command;

use safetensors::SafeTensors;
use serde_json::Value;

use super::*;

/// A checkpoint's folder, and a folder with `golden.json` and `golden.safetensors` about it.
struct Recording {
    golden: Value,
    tensors: Vec<u8>,
    checkpoint: PathBuf,
}

impl Recording {
    fn read(golden: &Path, checkpoint: &Path) -> Self {
        let json = std::fs::read(golden.join("golden.json")).unwrap();
        Self {
            golden: serde_json::from_slice(&json).unwrap(),
            tensors: std::fs::read(golden.join("golden.safetensors")).unwrap(),
            checkpoint: checkpoint.to_owned(),
        }
    }

    fn ids(&self, name: &str) -> Vec<u32> {
        let tensors = SafeTensors::deserialize(&self.tensors).unwrap();
        let bytes = tensors.tensor(name).unwrap().data().to_vec();
        let words = bytes
            .chunks_exact(4)
            .map(|w| i32::from_le_bytes(w.try_into().unwrap()));
        words.map(|id| u32::try_from(id).unwrap()).collect()
    }

    fn items(&self, kind: &str) -> impl Iterator<Item = (usize, &Value)> {
        self.golden[kind]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
    }

    fn text_side(&self, preset: Option<PromptPreset>) -> TextSide {
        let options = TextOptions {
            preset,
            ..TextOptions::default()
        };
        TextSide::load(&self.checkpoint, &options).unwrap()
    }

    /// How many states the tower makes of the recorded clip called `file`.
    fn n_audio(&self, file: &Value) -> usize {
        let (_, clip) = self
            .items("audio")
            .find(|(_, clip)| clip["file"] == *file)
            .unwrap();
        clip["n_audio_tokens"].as_u64().unwrap() as usize
    }

    /// Checks every embedding prompt of one preset; how many there were.
    fn check_embeddings(&self, text: &TextSide, preset: &str) -> usize {
        let mut checked = 0;
        for kind in ["audio", "text", "audio_text"] {
            for (i, item) in self
                .items(kind)
                .filter(|(_, item)| item.get(preset).is_some())
            {
                let n = || self.n_audio(&item["file"]);
                let caption = item["text"].as_str().unwrap_or_default();
                let input = match kind {
                    "audio" => PromptInput::Audio(n()),
                    "text" => PromptInput::Text(caption),
                    _ => PromptInput::AudioText(n(), caption),
                };
                let (skeleton, ..) = text.embedding_skeleton(input).unwrap();
                let rendered = skeleton.render(&text.template, caption).unwrap();
                assert_eq!(
                    rendered.text,
                    item[format!("rendered_{preset}")],
                    "{kind} {i} {preset}"
                );

                let ids = self.ids(&format!("{kind}/{i}/{preset}/ids"));
                let prompt = text.embedding_prompt(input).unwrap();
                assert_eq!(prompt.ids, ids[..=prompt.pooled], "{kind} {i} {preset}");
                let at = &item[preset];
                let pooled = at.get("safe_pooled").or_else(|| at.get("pooled"));
                // The older recordings have `emb_pos` alone, and no caption with `<emb>`.
                let pooled = pooled.map_or_else(
                    || at["emb_pos"].as_u64().unwrap() - 1,
                    |p| p.as_u64().unwrap(),
                );
                assert_eq!(prompt.pooled as u64, pooled, "{kind} {i} {preset}");
                checked += 1;
            }
        }
        checked
    }

    /// Checks every re-rank prompt; how many there were.
    fn check_rerank(&self, text: &TextSide) -> usize {
        for (k, pair) in self.items("rerank") {
            let direction = match pair["direction"].as_str().unwrap() {
                "audio2text" => Direction::AudioToText,
                _ => Direction::TextToAudio,
            };
            let caption = pair["text"].as_str().unwrap();
            let skeleton = text.rerank_skeleton(direction).unwrap();
            let rendered = skeleton.render(&text.template, caption).unwrap();
            assert_eq!(rendered.text, pair["rendered"], "pair {k}");

            let ids = self.ids(&format!("rerank/{k}/ids"));
            let n_audio = ids.iter().filter(|&&id| id == text.audio_id()).count()
                - caption.matches(AUDIO_PLACEHOLDER).count();
            let prompt = text.rerank_prompt(direction, n_audio, caption).unwrap();
            assert_eq!(prompt.ids, ids, "pair {k}");
        }
        if let Some(yes) = self.golden["yes_id"].as_u64() {
            let no = self.golden["no_id"].as_u64().unwrap();
            assert_eq!(text.yes_no_ids().unwrap(), (yes as u32, no as u32));
        }
        self.items("rerank").count()
    }

    fn check_aurola(&self) -> usize {
        let evaluation = self.text_side(Some(PromptPreset::Evaluation));
        let demo = self.text_side(Some(PromptPreset::Demo));
        self.check_embeddings(&evaluation, "eval")
            + self.check_embeddings(&demo, "demo")
            + self.check_rerank(&evaluation)
    }
}

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/checkpoints")
}

/// A folder of the material beside the project, or nothing, with a note, where it is not there.
fn shared(path: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("AUROLA_SHARED").map_or_else(beside, PathBuf::from);
    let path = shared.join(path);
    if !path.exists() {
        println!("not run: {} is not there", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn every_recorded_prompt_of_the_fixtures() {
    for name in ["tiny", "kv1", "f16-sharded", "full-prefix"] {
        let folder = testdata().join(name);
        let checked = Recording::read(&folder, &folder).check_aurola();
        assert!(checked >= 20, "{name}: {checked}");
    }
}

#[test]
fn every_recorded_prompt_of_the_described_relative() {
    let folder = testdata().join("st");
    let recording = Recording::read(&folder, &folder);
    let text = recording.text_side(None);
    // By default a text asks and a clip answers; the other way round is recorded too, and is not ours.
    for (kind, preset) in [("text", "query"), ("audio", "document")] {
        for (i, item) in recording.items(kind) {
            let input = match item["text"].as_str() {
                Some(caption) => PromptInput::Text(caption),
                None => PromptInput::Audio(recording.n_audio(&item["file"])),
            };
            let prompt = text.embedding_prompt(input).unwrap();
            assert_eq!(
                prompt.ids,
                recording.ids(&format!("{kind}/{i}/{preset}/ids"))
            );
            assert_eq!(
                prompt.pooled as u64,
                item[preset]["pooled"].as_u64().unwrap()
            );
        }
    }
}

#[test]
fn recorded_captions_decode_alike() {
    let folder = testdata().join("tiny");
    let recording = Recording::read(&folder, &folder);
    let text = recording.text_side(None);
    for (k, caption) in recording.items("caption") {
        let ids = recording.ids(&format!("caption/{k}/new_ids"));
        assert_eq!(
            text.tokenizer().decode(&ids, true).unwrap(),
            caption["text"],
            "caption {k}"
        );
    }
}

#[test]
fn the_prompts_recorded_with_the_reference_checkpoint() {
    let Some(golden) = shared("golden/tiny") else {
        return;
    };
    let checkpoint = golden.join("../ckpt-tiny");
    assert_eq!(
        Recording::read(&golden, &checkpoint).check_aurola(),
        12 + 12 + 8
    );
}

#[test]
fn the_prompts_recorded_with_the_real_vocabulary() {
    let Some(golden) = shared("golden/tiny-fullvocab") else {
        return;
    };
    let unpacked = tempfile::tempdir().unwrap();
    let archive = golden.join("../qwen2.5-omni-tokenizer.tar.gz");
    let tar = Command::new("tar")
        .arg("xzf")
        .arg(&archive)
        .arg("-C")
        .arg(unpacked.path())
        .status();
    if !tar.is_ok_and(|status| status.success()) {
        println!("not run: no tar to unpack {}", archive.display());
        return;
    }
    let recording = Recording::read(&golden, unpacked.path());
    assert_eq!(recording.check_aurola(), 9 + 9 + 6);
    let text = recording.text_side(None);
    assert_eq!(text.yes_no_ids().unwrap(), (9454, 2753));
    assert_eq!(text.audio_id(), 151_646);
    assert_eq!(
        text.tokenizer().tokens_with_marker("<emb>").unwrap()[0].id,
        151_665
    );

    // The same from vocab.json and merges.txt, where tokenizer.json is missing.
    std::fs::remove_file(unpacked.path().join("tokenizer.json")).unwrap();
    assert_eq!(recording.check_aurola(), 9 + 9 + 6);
    std::fs::remove_file(unpacked.path().join("tokenizer_config.json")).unwrap();
    assert_eq!(recording.check_aurola(), 9 + 9 + 6);
}
