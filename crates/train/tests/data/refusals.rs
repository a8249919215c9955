//! What cannot be used is refused, by file, line and id.

use std::path::Path;

use tempfile::tempdir;

use super::{TABLE, refused, sounds, table_of, tone, write};

#[track_caller]
fn assert_says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

fn table(folder: &Path, csv: &str) -> String {
    write(folder, "table.csv", csv);
    refused(folder, TABLE)
}

#[test]
fn bad_lines_are_told_by_number() {
    let folder = tempdir().unwrap();
    sounds(folder.path(), &["a.wav", "b.wav", "c.wav", "c.mp3"]);
    let refused = |csv: &str| table(folder.path(), csv);
    let message = refused("id,caption\na,A\nb,B\na,C\n");
    assert_says(
        &message,
        &["table.csv:4", "`a`", "table.csv:2", "merge = true"],
    );
    let message = refused("id,caption\na,A\nb, \n");
    assert_says(&message, &["table.csv:3", "`caption` is empty"]);
    let message = refused("id,caption\na,A\n,B\n");
    assert_says(&message, &["table.csv:3", "`id` is empty"]);
    let message = refused("id,caption\na,A\nb,B,too many\n");
    assert_says(&message, &["table.csv", "line: 3"]);
    let message = refused("id,caption\na,A\nnowhere,B\n");
    assert_says(
        &message,
        &["table.csv:3", "`nowhere`", "sounds", "missing = \"skip\""],
    );
    let message = refused("id,words\na,A\n");
    assert_says(
        &message,
        &["table.csv:2", "no `caption`; there are id, words"],
    );
    let message = refused("id,caption\nc,C\n");
    assert_says(&message, &["table.csv:2", "both c.mp3 and c.wav"]);
    let message = refused("id,caption\n../sounds/a,A\n");
    assert_says(&message, &["table.csv:2", "leads out of"]);
    let message = refused("id,caption\n");
    assert_says(&message, &["`table`", "no rows are left"]);
}

#[test]
fn bad_records_are_told_by_number() {
    let folder = tempdir().unwrap();
    sounds(folder.path(), &["a.wav", "b.wav"]);
    let recipe = "[[sources]]\nname = 'j'\nkind = 'aurola'\nfile = 'j.json'\naudio = ['sounds']\n";
    let refused = |json: &str| {
        write(folder.path(), "j.json", json);
        refused(folder.path(), recipe)
    };
    let message = refused(r#"[{"id": "a", "caption": "A"}, {"id": "b"}]"#);
    assert_says(&message, &["j.json, record 1", "no caption"]);
    let message = refused(r#"[{"id": "a", "caption": ["A", ""]}]"#);
    assert_says(&message, &["j.json, record 0", "`caption` is empty"]);
    let message = refused(r#"[{"caption": "A"}]"#);
    assert_says(
        &message,
        &[
            "j.json, record 0",
            "no `video_id`, `image_id`, `image`, `id`",
        ],
    );
    let message = refused("[{\"id\": \"a\", \"caption\": \"A\"},\n 7]");
    assert_says(&message, &["j.json", "line 2"]);
    let message = refused(r#"[{"id": "a", "caption": {"en": "A"}}]"#);
    assert_says(&message, &["j.json, record 0", "neither a text nor a list"]);
    let message = refused(r#"[{"id": "a", "caption": "A", "stage1_audio_hard_negative": [9]}]"#);
    assert_says(&message, &["j.json, record 0", "9 is none of 1 records"]);
    let message = refused(r#"[{"id": "a", "caption": "A", "stage1_audio_hard_negative": ["x"]}]"#);
    assert_says(&message, &["j.json, record 0", "`x` is no row"]);
}

#[test]
fn folders_archives_and_classes_that_do_not_fit_are_refused() {
    let folder = tempdir().unwrap();
    write(folder.path(), "classes/loose.wav", tone(0.2, 300.0));
    write(folder.path(), "classes/rain/1.wav", tone(0.2, 300.0));
    let recipe = "[[sources]]\nname = 'c'\nkind = 'folder'\nfolder = 'classes'\n";
    assert_says(&refused(folder.path(), recipe), &["loose.wav", "no class"]);
    std::fs::remove_file(folder.path().join("classes/loose.wav")).unwrap();
    write(folder.path(), "phrases.toml", "snow = ['snow']\n");
    let recipe = format!("{recipe}labels = {{ phrases = 'phrases.toml' }}\n");
    assert_says(
        &refused(folder.path(), &recipe),
        &["1.wav", "`rain` has no phrases"],
    );
    write(folder.path(), "damaged.tar", vec![7; 2_000]);
    let recipe = "[[sources]]\nname = 'w'\nkind = 'webdataset'\nfiles = ['damaged.tar']\n";
    assert_says(&refused(folder.path(), recipe), &["damaged.tar"]);
    write(folder.path(), "damaged.parquet", vec![7; 2_000]);
    let recipe =
        "[[sources]]\nname = 'p'\nkind = 'parquet'\nfiles = ['damaged.parquet']\ncolumns = {}\n";
    assert_says(&refused(folder.path(), recipe), &["damaged.parquet"]);
}

#[test]
fn settings_that_cannot_be_are_refused_by_name() {
    let folder = tempdir().unwrap();
    table_of(folder.path(), 3);
    let refused =
        |above: &str, below: &str| refused(folder.path(), &format!("{above}{TABLE}{below}"));
    assert_says(&refused("max_s = 400.0", ""), &["max_s", "400"]);
    assert_says(&refused("pad_to_s = 31.0", ""), &["pad_to_s", "31"]);
    assert_says(
        &refused("", "weight = 0.0"),
        &["`table`, weight", "above 0"],
    );
    let twice = refused("", TABLE);
    assert_says(&twice, &["both", "`table`"]);
    let one = TABLE.replace("\"table\"\nkind", "\"other\"\nweight = 1.0\nkind");
    assert_says(&refused("", &one), &["weight", "all or none"]);
    assert_says(
        &refused("augment.gain.db = [3.0, -3.0]", ""),
        &["gain.db", "-3"],
    );
    assert_says(
        &refused("", "filter = [{ column = 'id' }]"),
        &["filter of `id`", "`is` or `is_not`"],
    );
    assert_says(&refused("", "audio_name = 'x'"), &["audio_name", "{id}"]);
}
