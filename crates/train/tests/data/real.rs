//! Real annotation files and clips beside the workspace, where they are: counts as published.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aurola_train::data::Manifest;
use tempfile::tempdir;

use super::{config, run, write};

/// The folder of shared data; `None`, with a word about it, where it is absent.
fn shared() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("not run: ../shared is absent");
    None
}

/// Reads an annotation file without sounds: all rows are skipped for that, so they are given empty ones.
fn annotations(folder: &Path, kind: &str, file: &str) -> Manifest {
    let file = folder.join("annotations").join(file);
    let recipe = |audio: &Path, missing: &str| {
        format!(
            "[[sources]]\nname = 'real'\nkind = '{kind}'\nmissing = '{missing}'\nfile = '{}'\naudio = ['{}']\n",
            file.display(),
            audio.display()
        )
    };
    let sounds = tempdir().unwrap();
    // Once to learn the ids, once with a file for each.
    write(sounds.path(), "none.txt", "");
    let skipped = match config(&recipe(sounds.path(), "skip")).read(sounds.path()) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("there are no sounds"),
    };
    let ids = ids(&file);
    assert!(
        skipped.contains(&format!("{} skipped", ids.skipped)),
        "{skipped}"
    );
    for id in &ids.distinct {
        let name = if id.contains('.') {
            id.clone()
        } else {
            format!("{id}.wav")
        };
        write(sounds.path(), &name, "");
    }
    config(&recipe(sounds.path(), "error"))
        .read(sounds.path())
        .unwrap()[0]
        .clone()
}

struct Ids {
    distinct: Vec<String>,
    /// Rows that are skipped where no sound is there: lines, since they cannot be merged.
    skipped: usize,
}

/// The ids of a file, read in the plainest way.
fn ids(file: &Path) -> Ids {
    let mut distinct = Vec::new();
    let mut skipped = 0;
    if file.extension().unwrap() == "json" {
        let rows: Vec<serde_json::Value> =
            serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        for row in rows {
            let id = row.get("video_id").or(row.get("id")).unwrap();
            distinct.push(id.as_str().unwrap().to_owned());
            skipped += 1;
        }
    } else {
        for row in csv::Reader::from_path(file).unwrap().records() {
            let row = row.unwrap();
            distinct.push(match row.len() {
                4 => format!("{}_{}", &row[1], &row[2]),
                _ => row[0].to_owned(),
            });
            skipped += 1;
        }
    }
    distinct.sort_unstable();
    distinct.dedup();
    Ids { distinct, skipped }
}

fn captions(manifest: &Manifest) -> usize {
    manifest
        .rows
        .iter()
        .map(|row| row.captions.all().count())
        .sum()
}

#[test]
fn real_annotation_files_have_the_published_counts() {
    let Some(folder) = shared() else { return };
    for (kind, file, rows, total) in [
        ("aurola", "aurola/audiocaps/test.json", 975, 4_875),
        ("aurola", "aurola/audiocaps/val.json", 495, 2_475),
        (
            "aurola",
            "aurola/clothov2/descs_cap_test.json",
            1_045,
            5_225,
        ),
        ("aurola", "aurola/autoacd/test.json", 997, 997),
        ("audiocaps", "audiocaps/v1/test.csv", 975, 4_875),
        ("audiocaps", "audiocaps/v1/val.csv", 495, 2_475),
        ("clotho", "clotho/csv/test.csv", 1_045, 5_225),
    ] {
        let manifest = annotations(&folder, kind, file);
        assert_eq!(
            (manifest.rows.len(), captions(&manifest)),
            (rows, total),
            "{file}"
        );
    }
}

#[test]
fn the_released_json_and_the_original_table_say_the_same_of_audiocaps() {
    let Some(folder) = shared() else { return };
    let of = |kind, file| -> BTreeMap<String, Vec<String>> {
        let manifest = annotations(&folder, kind, file);
        let rows = manifest.rows.into_iter().map(|row| {
            let mut captions = row.captions.plain.to_vec();
            captions.sort_unstable();
            (row.id, captions)
        });
        rows.collect()
    };
    let (released, original) = (
        of("aurola", "aurola/audiocaps/test.json"),
        of("audiocaps", "audiocaps/v1/test.csv"),
    );
    assert!(released.keys().eq(original.keys()));
    let same = released
        .iter()
        .filter(|(id, captions)| original[*id] == **captions);
    assert!(same.count() > 900);
}

#[test]
fn esc_10_is_read_filtered_and_heard() {
    let Some(folder) = shared() else { return };
    let recipe = r#"
        cache_mib = 64
        [[sources]]
        name = "esc10"
        kind = "table"
        clusters = "always"
        file = "esc50/meta/clips.csv"
        audio = ["esc50"]
        columns = { id = "clip_id", file = "file", label = "category" }
        labels = { templates = ["{phrase}", "the sound of {phrase}"] }
        filter = [
            { column = "fold", is_not = ["4"] },
            { column = "esc10", is = ["True"] },
            { column = "clip_licence", is = ["CC0", "CC-BY"] },
        ]
    "#;
    let (sampler, examples) = run(&folder, recipe, 8);
    let manifest = &sampler.manifests()[0];
    assert_eq!(manifest.rows.len() + manifest.filtered, 811);
    assert!(
        (200..=320).contains(&manifest.rows.len()),
        "{}",
        manifest.rows.len()
    );
    for draw in sampler.batch(0) {
        let example = examples.realise(&draw).unwrap();
        assert_eq!(example.audio_seconds, 5.0);
        assert_eq!(example.clusters.unwrap().as_slice().len(), 1);
    }
}
