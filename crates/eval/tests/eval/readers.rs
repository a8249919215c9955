//! Readers of the benchmarks' own files: on small files of the same form, and on the real ones where they are.

use std::fs;
use std::path::{Path, PathBuf};

use aurola_eval::benchmark::{Benchmark, Kind, Task, find, known_pool};

use crate::shared;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../testdata/eval/readers")
        .join(name)
}

fn read(benchmark: Benchmark, name: &str) -> Task {
    benchmark.read(&fixture(name)).unwrap()
}

fn ids(task: &Task) -> Vec<&str> {
    task.clips.iter().map(|clip| clip.id.as_str()).collect()
}

fn broken(task: &Task) -> Vec<(usize, &str)> {
    task.broken
        .iter()
        .map(|row| (row.line, row.what.as_str()))
        .collect()
}

#[test]
fn audiocaps_is_one_pool_whoever_wrote_the_file() {
    let csv = read(Benchmark::AudioCaps, "audiocaps.csv");
    assert_eq!(ids(&csv), ["aaaaaaaaa_1", "-bbbbbbbb-2"]);
    assert_eq!(csv.texts.len(), 4);
    assert_eq!(csv.texts[3].id.as_deref(), Some("907"));
    assert_eq!(
        broken(&csv),
        [
            (5, "clip `-bbbbbbbb-2` has an empty caption"),
            (6, "start_time is `ten`, not seconds"),
            (7, "has 3 fields where the header has 4"),
        ]
    );
    assert!(
        csv.notes[0].starts_with("3 distinct captions among 4; 1 describe more than one clip"),
        "{:?}",
        csv.notes
    );
    let wavcaps = read(Benchmark::AudioCaps, "wavcaps.csv");
    assert_eq!(ids(&wavcaps), ids(&csv));
    assert_eq!(wavcaps.fingerprint(), csv.fingerprint());
    let json = read(Benchmark::AudioCaps, "audiocaps.json");
    assert_eq!(ids(&json), ids(&csv));
    assert_eq!(
        json.broken.iter().map(|row| row.line).collect::<Vec<_>>(),
        [3, 4]
    );
    for name in [
        "aaaaaaaaa_1_20",
        "Yaaaaaaaaa_1",
        "aaaaaaaaa_1_20000_30000",
        "aaaaaaaaa_1",
    ] {
        assert!(
            csv.clips[0].names.iter().any(|known| known == name),
            "{name}"
        );
    }
}

#[test]
fn names_with_dots_and_blanks_keep_them() {
    let csv = read(Benchmark::Clotho, "clotho.csv");
    assert_eq!(ids(&csv), ["Old Gate", "harbour 01.02"]);
    assert_eq!((csv.texts.len(), csv.broken.len()), (10, 0));
    assert_eq!(csv.texts[2].text, "Iron, rusty, moves.");
    assert_eq!(
        csv.notes,
        ["1 of 10 captions end without a full stop; texts are taken as they are"]
    );
    assert_eq!(
        ids(&read(Benchmark::Clotho, "clotho_wavcaps.json")),
        ids(&csv)
    );
    let acd = read(Benchmark::AutoAcd, "autoacd.json");
    assert_eq!(
        acd.clips[1].names,
        ["VGGSound/audio/ffffffffff6_000030", "ffffffffff6_000030"]
    );
    let valor = read(Benchmark::Valor, "valor.json");
    assert_eq!(
        valor.clips[0].names,
        [
            "gggggggggg7_20.000_30.000",
            "gggggggggg7_20_30",
            "gggggggggg7"
        ]
    );
    assert_eq!(
        broken(&valor),
        [(2, "clip `hhhhhhhhhh8_0.000_10.000` has an empty caption")]
    );
    assert_eq!(valor.clips.len(), 1);
}

#[test]
fn labels_count_where_they_are_heard() {
    let task = read(Benchmark::VggSounder, "vggsounder.csv");
    assert_eq!(task.kind, Kind::Labels);
    assert_eq!(ids(&task), ["iiiiiiiiii9_000000", "jjjjjjjjj10_000010"]);
    assert_eq!(task.texts_of_clips(), [vec![0, 1], vec![1]]);
    assert_eq!(
        broken(&task),
        [
            (6, "`jjjjjjjjj10_000010` has `dog barking` a second time"),
            (7, "modality is `X`, not A, V or AV")
        ]
    );
    let both = read(
        Benchmark::VggSounderMusic,
        "vggsounder+background-music.csv",
    );
    assert_eq!(both.clips.len(), 2);
    assert_eq!(
        read(Benchmark::VggSounder, "vggsounder+background-music.csv")
            .clips
            .len(),
        1
    );
    let error = Benchmark::VggSounderMusic
        .read(&fixture("vggsounder.csv"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no row has background music; this is the file without it"),
        "{error}"
    );
    let esc50 = read(Benchmark::Esc50, "esc50.csv");
    assert_eq!(
        broken(&esc50),
        [(5, "needs a file name, a fold from 1 to 5 and a category")]
    );
    let fold = esc50.fold(4).unwrap();
    assert_eq!(ids(&fold), ["4-2-A-11", "4-3-A-0"]);
    assert_eq!(fold.texts[1].text, "sea waves");
    assert!(
        fold.fold(2)
            .unwrap_err()
            .to_string()
            .contains("no clip is in fold 2")
    );
}

#[test]
fn events_are_parts_of_recordings() {
    let task = read(Benchmark::HdEpic, "hd_epic.csv");
    assert_eq!(
        ids(&task),
        [
            "P01-20240101-100000_476_2520",
            "P02-20240101-110000_3601000_3602250"
        ]
    );
    assert_eq!(task.clips[1].part, Some((3601.0, 3602.25)));
    assert_eq!(
        task.broken.iter().map(|row| row.line).collect::<Vec<_>>(),
        [3, 5]
    );
    assert_eq!(
        ids(&read(Benchmark::HdEpic, "epic_sounds.csv")),
        ["P01_11_0", "P01_11_1"]
    );
}

#[test]
fn lists_and_tables_of_ones_own() {
    let task = Benchmark::SoundDescs.read(&fixture("sounddescs")).unwrap();
    assert_eq!(ids(&task), ["07000001", "nhu05000002"]);
    assert_eq!(
        broken(&task),
        [
            (3, "clip `07000001` comes a second time"),
            (4, "clip `07000003` has no description")
        ]
    );
    let own = read(Benchmark::Own, "own_captions.csv");
    assert_eq!(
        (own.kind, own.clips.len(), own.texts.len()),
        (Kind::Captions, 2, 3)
    );
    let own = read(Benchmark::Own, "own_labels.csv");
    assert_eq!((own.kind, own.texts.len()), (Kind::Labels, 3));
    assert_eq!(own.texts_of_clips(), [vec![0, 1], vec![2]]);
}

#[test]
fn a_file_of_another_benchmark_is_refused_by_its_columns() {
    let error = Benchmark::VggSounder
        .read(&fixture("clotho.csv"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("line 1: there is no column `video_id`, but file_name, caption_1"),
        "{error}"
    );
    let error = Benchmark::AudioCaps
        .read(&fixture("clotho_wavcaps.json"))
        .unwrap();
    assert_eq!(error.clips.len(), 0);
    assert!(error.broken[0].what.contains("is no id of AudioCaps"));
}

#[test]
fn a_published_list_makes_the_pool() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.txt");
    fs::write(&list, "901\n907\n").unwrap();
    let task = read(Benchmark::AudioCaps, "audiocaps.csv")
        .listed(&list)
        .unwrap();
    assert_eq!((task.clips.len(), task.texts.len()), (2, 2));
    fs::write(&list, "Y-bbbbbbbb-2.wav\n").unwrap();
    let task = read(Benchmark::AudioCaps, "audiocaps.csv")
        .listed(&list)
        .unwrap();
    assert_eq!((ids(&task), task.texts.len()), (vec!["-bbbbbbbb-2"], 2));
    fs::write(&list, "901\n999\n").unwrap();
    let error = read(Benchmark::AudioCaps, "audiocaps.csv")
        .listed(&list)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("line 2: `999` is neither a clip nor a text of"),
        "{error}"
    );
}

#[test]
fn sounds_are_found_by_any_name_and_extension_and_missing_ones_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    put("deep/Yaaaaaaaaa_1.FLAC", b"one");
    put("notes.txt", b"no sound");
    let task = read(Benchmark::AudioCaps, "wavcaps.csv");
    let found = find(task.clone(), folder.path()).unwrap();
    assert_eq!(found.files, [folder.path().join("deep/Yaaaaaaaaa_1.FLAC")]);
    assert_eq!(found.missing, ["-bbbbbbbb-2"]);
    assert_eq!((found.task.clips.len(), found.task.texts.len()), (1, 2));
    // The same bytes twice are one sound, other bytes are a question.
    put("Yaaaaaaaaa_1.wav", b"one");
    assert!(find(task.clone(), folder.path()).is_ok());
    put("Yaaaaaaaaa_1.wav", b"two");
    let error = find(task, folder.path()).unwrap_err().to_string();
    assert!(error.contains("different sounds under one name"), "{error}");
}

/// Clips, texts, broken rows and the published pool of every real file: counts of `spec/method.md` and of the
/// files themselves.
#[test]
fn the_real_files_have_the_counts_that_are_published() {
    let Some(folder) = shared("data/annotations") else {
        return;
    };
    use Benchmark::{AudioCaps, AutoAcd, Clotho, HdEpic, Valor, VggSounder};
    let mut problems = Vec::new();
    for (benchmark, file, clips, texts, pool) in [
        (
            AudioCaps,
            "audiocaps/v1/test.csv",
            975,
            4875,
            "AudioCaps test, 975 clips",
        ),
        (
            AudioCaps,
            "audiocaps/v2/test.csv",
            975,
            4875,
            "AudioCaps test, 975 clips",
        ),
        (
            AudioCaps,
            "aurola/audiocaps/test.json",
            975,
            4875,
            "AudioCaps test, 975 clips",
        ),
        (
            AudioCaps,
            "audiocaps/wavcaps-csv/test.csv",
            957,
            4785,
            "AudioCaps test, 957 clips",
        ),
        (
            AudioCaps,
            "audiocaps/wavcaps-json/test.json",
            957,
            4785,
            "AudioCaps test, 957 clips",
        ),
        (
            AudioCaps,
            "audiocaps/v1/val.csv",
            495,
            2475,
            "AudioCaps validation",
        ),
        (
            AudioCaps,
            "audiocaps/v2/val.csv",
            495,
            2475,
            "AudioCaps validation",
        ),
        (
            AudioCaps,
            "aurola/audiocaps/val.json",
            495,
            2475,
            "AudioCaps validation",
        ),
        (
            Clotho,
            "clotho/csv/test.csv",
            1045,
            5225,
            "Clotho v2.1 evaluation",
        ),
        (
            Clotho,
            "clotho/wavcaps-json/test.json",
            1045,
            5225,
            "Clotho v2.1 evaluation",
        ),
        (
            Clotho,
            "aurola/clothov2/descs_cap_test.json",
            1045,
            5225,
            "Clotho v2.1 evaluation",
        ),
        (
            Clotho,
            "clotho/csv/val.csv",
            1045,
            5225,
            "Clotho v2.1 validation",
        ),
        (
            AutoAcd,
            "aurola/autoacd/test.json",
            997,
            997,
            "Auto-ACD test",
        ),
        (
            Valor,
            "valor32k/descs_cap_test.json",
            3491,
            3491,
            "VALOR-32K test",
        ),
        (
            VggSounder,
            "vggsounder/vggsounder.csv",
            11917,
            309,
            "VGGSounder 1.0 without",
        ),
        (
            HdEpic,
            "epic-sounds/EPIC_Sounds_validation.csv",
            8035,
            44,
            "",
        ),
    ] {
        let task = benchmark.read(&folder.join(file)).unwrap();
        let known = known_pool(&task.fingerprint()).map_or("", |pool| pool.name);
        if (task.clips.len(), task.texts.len()) != (clips, texts)
            || !known.starts_with(pool)
            || !task.broken.is_empty()
        {
            problems.push(format!(
                "{file}: {} clips, {} texts, {} broken, pool {} {known}",
                task.clips.len(),
                task.texts.len(),
                task.broken.len(),
                task.fingerprint()
            ));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    // As spec/method.md has it: 4,633 distinct captions among 4,875.
    let task = AudioCaps
        .read(&folder.join("aurola/audiocaps/test.json"))
        .unwrap();
    assert!(
        task.notes[0].starts_with("4633 distinct captions among 4875"),
        "{:?}",
        task.notes
    );
    let esc50 = Benchmark::Esc50
        .read(&folder.join("../esc50/meta/esc50_full.csv"))
        .unwrap();
    assert_eq!((esc50.clips.len(), esc50.texts.len()), (2000, 50));
    let fold = esc50.fold(4).unwrap();
    assert_eq!(
        known_pool(&fold.fingerprint()).map(|pool| pool.name),
        Some("ESC-50 fold 4"),
        "{}",
        fold.fingerprint()
    );
    let found = find(fold, &folder.join("../esc50")).unwrap();
    assert_eq!((found.files.len(), found.missing.len()), (400, 0));
    // The lists of SoundDescs hold ids alone; its descriptions are a pickle that is not here.
    let error = Benchmark::SoundDescs
        .read(&folder.join("sounddescs"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("holds neither descriptions.csv nor"),
        "{error}"
    );
    // Names of Clotho that two splits share, with other captions.
    let names = |split: &str| -> std::collections::BTreeSet<String> {
        let task = Clotho
            .read(&folder.join(format!("clotho/csv/{split}.csv")))
            .unwrap();
        task.clips.into_iter().map(|clip| clip.id).collect()
    };
    let (train, val, test) = (names("train"), names("val"), names("test"));
    let shared = test.intersection(&val).count()
        + test.intersection(&train).count()
        + train.intersection(&val).count();
    assert_eq!(shared, 3);
}
