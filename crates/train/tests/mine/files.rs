//! Whole files, with a model of random weights: what it finds means nothing, where it comes to stand does.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::LazyLock;

use aurola_model::{LoadOptions, Model};
use aurola_scenes::{Scene, SceneConfig};
use aurola_train::data::{Audio, DataConfig, HardText, Manifest};
use aurola_train::mine::{MineConfig, Mined, Phase, Rule, mine};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/checkpoints/tiny");
    Model::load(&dir, &LoadOptions::default()).unwrap()
});

/// Random weights put everything near everything: nothing is too easy, too near or the same thing.
const OPEN: MineConfig = MineConfig {
    rule: Rule {
        top: 3,
        least: -1.0,
        guard: f32::INFINITY,
        same: 1.0,
    },
    batch: 2,
};

const SOURCE: &str = r#"
[[sources]]
name = "scenes"
kind = "table"
file = "scenes.json"
audio = ["sounds"]
unreadable = "skip"
columns = { id = "key", file = "file", captions = "said", tags = "tags" }
"#;

fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// A scene as a WAV: 16 bits, mono, 16 kHz.
fn scene(seed: u64) -> Vec<u8> {
    let config = SceneConfig {
        min_s: 0.5,
        max_s: 1.0,
        max_events: 1,
        ..SceneConfig::default()
    };
    let samples = Scene::draw(seed, &config).render();
    let bytes = 2 * samples.len() as u32;
    let mut wav = Vec::new();
    wav.extend(b"RIFF");
    wav.extend((36 + bytes).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend([16_000_u32, 32_000].map(u32::to_le_bytes).concat());
    wav.extend(b"\x02\0\x10\0data");
    wav.extend(bytes.to_le_bytes());
    for sample in samples {
        wav.extend(((sample.clamp(-1.0, 1.0) * 32_000.0) as i16).to_le_bytes());
    }
    wav
}

/// Six scenes in two folders, of which `tap` and `drip` are said to be the same.
fn scenes() -> TempDir {
    let folder = tempdir().unwrap();
    let rows = [
        ("bell", "a/1.wav", "A bell rings.", "bell, church"),
        ("tap", "a/2.wav", "Water drips", "water"),
        ("drip", "b/1.wav", "water drips.", "tap"),
        ("dog", "b/2.wav", "A dog barks", "dog"),
        ("wind", "b/3.wav", "Wind blows", "wind"),
        ("storm", "b/4.wav", "A storm", "Wind"),
    ];
    let records: Vec<Value> = (0..)
        .zip(rows)
        .map(|(seed, (key, file, said, tags))| {
            write(folder.path(), &format!("sounds/{file}"), scene(seed));
            let said = [said.to_owned(), format!("{key} once more")];
            serde_json::json!({"key": key, "file": file, "said": said, "tags": tags})
        })
        .collect();
    let json = serde_json::to_string(&records).unwrap();
    write(folder.path(), "scenes.json", json);
    folder
}

fn config(toml: &str) -> DataConfig {
    toml::from_str(toml).unwrap()
}

fn go_on(_: &aurola_train::mine::Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[track_caller]
fn mined(folder: &Path, toml: &str, how: &MineConfig) -> Mined {
    let out = folder.join("mined.json");
    mine(&config(toml), folder, &MODEL, &out, how, &mut go_on)
        .unwrap_or_else(|error| panic!("{error}"))
        .expect("nothing stops it")
}

#[track_caller]
fn refused(folder: &Path, toml: &str) -> String {
    let out = folder.join("mined.json");
    let error = mine(&config(toml), folder, &MODEL, &out, &OPEN, &mut |_| {
        panic!("refused before any work")
    });
    assert!(!out.exists());
    error.unwrap_err().to_string()
}

/// The mined file, as a recipe's source reads it.
#[track_caller]
fn read_mined(folder: &Path, roots: &str) -> Manifest {
    let toml = format!(
        "[[sources]]\nname = \"mined\"\nkind = \"aurola\"\nfile = \"mined.json\"\naudio = {roots}"
    );
    let read = config(&toml).read(folder);
    read.unwrap_or_else(|error| panic!("{error}"))[0].clone()
}

fn negatives(mined: &Manifest, id: &str) -> Vec<String> {
    let row = mined.rows.iter().find(|row| row.id == id).unwrap();
    let texts = row.hard_text.iter().map(|hard| match hard {
        HardText::Row(row) => *row,
        HardText::Words(words) => panic!("{words}"),
    });
    let all = row.hard_audio.iter().copied().chain(texts);
    all.map(|row| mined.rows[row].id.clone()).collect()
}

#[test]
fn what_is_written_is_read_as_the_same_rows_with_hard_negatives() {
    let folder = scenes();
    let found = mined(folder.path(), SOURCE, &OPEN);
    let before = config(SOURCE).read(folder.path()).unwrap();
    let after = read_mined(folder.path(), r#"["sounds"]"#);
    assert_eq!((found.rows, after.rows.len()), (6, 6));
    for (old, new) in before[0].rows.iter().zip(&after.rows) {
        assert_eq!(old.id, new.id);
        assert_eq!(old.captions, new.captions);
        assert_eq!(old.tags, new.tags);
        let (Audio::File(old), Audio::File(there)) = (&old.audio, &new.audio) else {
            panic!("{old:?}, {new:?}")
        };
        assert_eq!(old, there);
        assert_eq!((new.hard_audio.len(), new.hard_text.len()), (3, 3));
        assert!(!negatives(&after, &new.id).contains(&new.id));
    }
    // The same caption but for case and full stop; the same tags but for case.
    for (one, other) in [("tap", "drip"), ("wind", "storm")] {
        assert!(!negatives(&after, one).contains(&other.to_owned()));
        assert!(!negatives(&after, other).contains(&one.to_owned()));
    }
    assert_eq!((found.texts.kept, found.audios.kept), (18, 18));
    assert_eq!(
        found.roots,
        [std::path::absolute(folder.path().join("sounds")).unwrap()]
    );
    assert!(found.audio_seconds > 3.0);
}

#[test]
fn neither_batches_nor_threads_change_a_byte() {
    let folder = scenes();
    let bytes = |batch: usize| {
        mined(folder.path(), SOURCE, &MineConfig { batch, ..OPEN });
        std::fs::read(folder.path().join("mined.json")).unwrap()
    };
    let first = bytes(1);
    assert!(first.starts_with(b"[\n{\"id\":\"bell\",\"audio_file\":\"a/1.wav\",\"caption\":["));
    assert_eq!(first, bytes(4));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    assert_eq!(first, pool.unwrap().install(|| bytes(16)));
}

#[test]
fn nearest_first_by_the_mean_over_captions() {
    use aurola_audio::{MelFilters, log_mel};
    use aurola_model::Input;
    let folder = scenes();
    let how = MineConfig {
        rule: Rule {
            top: 9,
            ..OPEN.rule
        },
        ..OPEN
    };
    mined(folder.path(), SOURCE, &how);
    let after = read_mined(folder.path(), r#"["sounds"]"#);
    // The plain form: each clip against each caption, one by one.
    let filters = MelFilters::new(MODEL.mel_config()).unwrap();
    let clip = |row: &aurola_train::data::Row| {
        let Audio::File(path) = &row.audio else {
            panic!()
        };
        let limits = aurola_audio::Limits::default();
        let mut clip = aurola_audio::Clip::open(path, &limits).unwrap();
        let whole = aurola_audio::read_whole(&mut clip, 60.0).unwrap().unwrap();
        let mel = log_mel(&whole.window.samples, &filters).unwrap();
        MODEL.embed(&[Input::Audio(&mel)]).unwrap().remove(0)
    };
    let similarity = |sound: usize, text: usize| {
        let sound = clip(&after.rows[sound]);
        let said = &after.rows[text].captions.plain;
        let told = said
            .iter()
            .map(|c| MODEL.embed(&[Input::Text(c)]).unwrap().remove(0));
        told.map(|text| f64::from(sound.cosine(&text))).sum::<f64>() / said.len() as f64
    };
    let row = &after.rows[3];
    assert_eq!((row.hard_audio.len(), row.hard_text.len()), (5, 5));
    // Within what f32 sums in another order may differ.
    for pair in row.hard_audio.windows(2) {
        assert!(similarity(pair[0], 3) > similarity(pair[1], 3) - 1e-5);
    }
    let texts = row.hard_text.windows(2).map(|pair| match pair {
        [HardText::Row(a), HardText::Row(b)] => (*a, *b),
        _ => panic!(),
    });
    for (a, b) in texts {
        assert!(similarity(3, a) > similarity(3, b) - 1e-5);
    }
}

#[test]
fn a_sound_that_cannot_be_decoded_is_the_sources_policy() {
    let folder = scenes();
    write(folder.path(), "sounds/a/2.wav", b"not a sound");
    let found = mined(folder.path(), SOURCE, &OPEN);
    assert_eq!(found.rows, 5);
    assert_eq!(found.unreadable.len(), 1);
    assert_eq!(found.unreadable[0].id, "tap");
    // Numbers are of what was written: the rows after it have moved up.
    let after = read_mined(folder.path(), r#"["sounds"]"#);
    let ids: Vec<&str> = after.rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["bell", "drip", "dog", "wind", "storm"]);
    assert!(!negatives(&after, "wind").contains(&"storm".to_owned()));

    std::fs::remove_file(folder.path().join("mined.json")).unwrap();
    let strict = SOURCE.replace("unreadable = \"skip\"", "");
    let out = folder.path().join("mined.json");
    let error = mine(
        &config(&strict),
        folder.path(),
        &MODEL,
        &out,
        &OPEN,
        &mut go_on,
    );
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("source `scenes`, `tap`"), "{error}");
    assert!(!out.exists());
}

#[test]
fn an_interrupt_leaves_the_old_file_and_no_half_one() {
    let folder = scenes();
    let out = folder.path().join("mined.json");
    for last in [Phase::Clips, Phase::Captions, Phase::Texts, Phase::Audios] {
        write(folder.path(), "mined.json", "old");
        let stopped = mine(
            &config(SOURCE),
            folder.path(),
            &MODEL,
            &out,
            &OPEN,
            &mut |at| match at.phase == last {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            },
        );
        assert_eq!(stopped.unwrap(), None);
        assert_eq!(std::fs::read(&out).unwrap(), b"old");
        let inside = std::fs::read_dir(folder.path()).unwrap();
        assert_eq!(inside.count(), 3, "the table, the sounds, the old file");
    }
}

#[test]
fn one_id_in_two_sources_is_one_clip() {
    let folder = scenes();
    write(folder.path(), "more/dog.wav", scene(9));
    write(folder.path(), "more/cat.wav", scene(10));
    write(
        folder.path(),
        "more.csv",
        "id,caption\ndog,Barking\ncat,Meowing\n",
    );
    let more = r#"
        [[sources]]
        name = "more"
        kind = "table"
        file = "more.csv"
        audio = ["more"]
        columns = { id = "id", captions = "caption" }
    "#;
    let how = MineConfig {
        rule: Rule {
            top: 9,
            ..OPEN.rule
        },
        ..OPEN
    };
    let found = mined(folder.path(), &format!("{SOURCE}{more}"), &how);
    assert_eq!((found.rows, found.roots.len()), (8, 2));
    let after = read_mined(folder.path(), r#"["sounds", "more"]"#);
    assert_eq!(negatives(&after, "cat").len(), 14);
    let others = negatives(&after, "scenes/dog");
    assert_eq!(others.len(), 12);
    assert!(!others.contains(&"more/dog".to_owned()));

    // A sound that another folder hides would be taken for it.
    std::fs::remove_file(folder.path().join("mined.json")).unwrap();
    write(folder.path(), "sounds/dog.wav", scene(11));
    let error = refused(folder.path(), &format!("{SOURCE}{more}"));
    assert!(error.contains("`dog.wav` is "), "{error}");
    assert!(error.contains("mine their sources apart"), "{error}");
}

#[test]
fn rows_without_a_file_are_refused_by_their_sources_name() {
    let folder = scenes();
    let generated = "[[sources]]\nname = \"made\"\nkind = \"scenes\"\ncount = 2";
    let error = refused(folder.path(), generated);
    assert!(error.starts_with("source `made`, `scene-0`: "), "{error}");
    write(folder.path(), "nli.csv", "sent0,sent1\na,b\n");
    let pairs = "[[sources]]\nname = \"pairs\"\nkind = \"nli\"\nfile = \"nli.csv\"";
    let error = refused(folder.path(), pairs);
    assert!(error.contains("a pair of texts has no sound"), "{error}");

    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in [("x.wav", scene(0)), ("x.txt", b"A sound".to_vec())] {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    write(folder.path(), "all.tar", tar.into_inner().unwrap());
    let archive = "[[sources]]\nname = \"web\"\nkind = \"webdataset\"\nfiles = [\"all.tar\"]";
    let error = refused(folder.path(), archive);
    assert!(error.contains("unpack it into a folder first"), "{error}");
}

#[test]
fn what_cannot_be_is_refused_before_any_work() {
    let folder = scenes();
    let unweighted = format!("{SOURCE}captions = {{ plain = 0.0 }}\n");
    let error = refused(folder.path(), &unweighted);
    assert!(
        error.contains("no caption of `bell` has any weight"),
        "{error}"
    );
    let go = |out: &str, how: &MineConfig| {
        let out = folder.path().join(out);
        let mined = mine(
            &config(SOURCE),
            folder.path(),
            &MODEL,
            &out,
            how,
            &mut go_on,
        );
        mined.unwrap_err().to_string()
    };
    assert!(go("mined.csv", &OPEN).contains("mined.csv"));
    assert!(go("nowhere/mined.json", &OPEN).contains("nowhere"));
    assert!(go("mined.json", &MineConfig { batch: 0, ..OPEN }).starts_with("batch is 0"));
}

#[test]
fn clips_of_one_class_are_no_negatives_and_classes_stay_whole() {
    let folder = tempdir().unwrap();
    for (seed, name) in (0..).zip(["bell, church/1", "dog/1", "dog/2"]) {
        write(folder.path(), &format!("classes/{name}.wav"), scene(seed));
    }
    let classes = "[[sources]]\nname = \"classes\"\nkind = \"folder\"\nfolder = \"classes\"";
    let found = mined(folder.path(), classes, &OPEN);
    let after = read_mined(folder.path(), r#"["classes"]"#);
    assert_eq!(after.rows[0].tags, ["bell, church"]);
    assert_eq!(after.rows[1].hard_audio, [0]);
    assert_eq!(after.rows[0].hard_audio.len(), 2);
    assert_eq!((found.audios.kept, found.audios.positive), (4, 2));
}
