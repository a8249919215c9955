//! Every form of manifest, by hand.

use std::sync::Arc;

use aurola_train::data::{Audio, CaptionKind, HardText};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use tempfile::tempdir;

use super::{config, file_name, read_one, run, sounds, tone, write};

#[test]
fn auroras_json_with_all_its_fields() {
    let folder = tempdir().unwrap();
    sounds(folder.path(), &["a.flac", "b.wav", "c.mp3"]);
    let json = r#"[
        {"video_id": "a", "caption": "unused", "caption_long": "A dog barks twice.",
         "caption_short": "A dog.", "caption_tag": "dog, bark,",
         "stage1_audio_hard_negative": [0, 1], "stage1_text_hard_negative": [2, 1]},
        {"id": "b.flac", "caption": ["Rain.", "It rains"]},
        {"image": "c", "caption_long": "Wind.", "caption_short": "Wind", "caption_tag": ""}
    ]"#;
    write(folder.path(), "train.json", json);
    let manifest = read_one(
        folder.path(),
        r#"
        [[sources]]
        name = "audioverse"
        kind = "aurola"
        file = "train.json"
        audio = ["sounds"]
        "#,
    );
    let [a, b, c] = manifest.rows.as_slice() else {
        panic!("{:?}", manifest.rows)
    };
    assert_eq!(
        a.captions.get(CaptionKind::Long),
        Some("A dog barks twice.")
    );
    assert_eq!(a.captions.get(CaptionKind::Tag), Some("dog, bark"));
    // `caption` is not read where the three are there, as released.
    assert!(a.captions.plain.is_empty());
    assert_eq!(a.tags, ["dog", "bark"]);
    // Its own number among its negatives is passed over.
    assert_eq!(a.hard_audio, [1]);
    assert_eq!(a.hard_text, [HardText::Row(2), HardText::Row(1)]);
    assert_eq!(*b.captions.plain, ["Rain.", "It rains"]);
    // Any extension will do, in the id and on the disk.
    assert_eq!(
        (b.id.as_str(), file_name(&b.audio)),
        ("b.flac", "b.wav".into())
    );
    assert_eq!(
        (c.captions.tag.as_deref(), c.captions.short.as_deref()),
        (None, Some("Wind"))
    );
    assert_eq!(manifest.lost_negatives, 1);
}

#[test]
fn audiocaps_lines_of_one_clip_are_its_captions() {
    let folder = tempdir().unwrap();
    sounds(folder.path(), &["Yx-y_30.wav", "Yz_0.wav"]);
    let csv = "audiocap_id,youtube_id,start_time,caption\n1,x-y,30,One\n2,z,0,Two\n3,x-y,30,\"Three, four\"\n";
    write(folder.path(), "val.csv", csv);
    let manifest = read_one(
        folder.path(),
        r#"
        [[sources]]
        name = "audiocaps"
        kind = "audiocaps"
        file = "val.csv"
        audio = ["sounds"]
        audio_name = "Y{id}"
        "#,
    );
    assert_eq!(manifest.rows.len(), 2);
    assert_eq!(manifest.rows[0].id, "x-y_30");
    assert_eq!(*manifest.rows[0].captions.plain, ["One", "Three, four"]);
    assert_eq!(
        manifest.rows[1]
            .place
            .to_string()
            .rsplit_once(':')
            .unwrap()
            .1,
        "3"
    );
}

#[test]
fn clotho_has_five_captions_a_line() {
    let folder = tempdir().unwrap();
    sounds(folder.path(), &["Radio Garble.wav"]);
    let csv =
        "file_name,caption_1,caption_2,caption_3,caption_4,caption_5\nRadio Garble.wav,a,b,c,d,e\n";
    write(folder.path(), "clotho.csv", csv);
    let manifest = read_one(
        folder.path(),
        r#"
        [[sources]]
        name = "clotho"
        kind = "clotho"
        file = "clotho.csv"
        audio = ["sounds"]
        "#,
    );
    assert_eq!(*manifest.rows[0].captions.plain, ["a", "b", "c", "d", "e"]);
}

#[test]
fn a_table_of_classes_is_filtered_and_told_in_phrases() {
    let folder = tempdir().unwrap();
    sounds(folder.path(), &["a.ogg", "b.ogg", "c.ogg", "d.ogg"]);
    let csv = "clip\tfile\tfold\tcategory\tlicence\n\
        1\ta.ogg\t1\tchirping_birds\tCC0\n2\tb.ogg\t4\train\tCC0\n\
        3\tc.ogg\t2\train\tCC-BY-NC\n4\td.ogg\t3\train\tCC-BY\n";
    write(folder.path(), "clips.tsv", csv);
    write(
        folder.path(),
        "phrases.csv",
        "label,phrase\nrain,rain falling\nrain,a shower\nchirping_birds,birds\n",
    );
    let recipe = |labels: &str| {
        format!(
            r#"
            [[sources]]
            name = "esc"
            kind = "table"
            file = "clips.tsv"
            audio = ["sounds"]
            columns = {{ id = "clip", file = "file", label = "category" }}
            filter = [
                {{ column = "fold", is_not = ["4"] }},
                {{ column = "licence", is = ["CC0", "CC-BY"] }},
            ]
            {labels}
            "#
        )
    };
    let phrased = r#"labels = { phrases = "phrases.csv", templates = ["{phrase}", "the sound of {phrase}"] }"#;
    let manifest = read_one(folder.path(), &recipe(phrased));
    let ids: Vec<&str> = manifest.rows.iter().map(|r| r.id.as_str()).collect();
    assert_eq!((ids, manifest.filtered), (vec!["1", "4"], 2));
    assert_eq!(
        *manifest.rows[0].captions.plain,
        ["birds", "the sound of birds"]
    );
    assert_eq!(manifest.rows[1].captions.plain.len(), 4);
    assert_eq!(manifest.rows[0].tags, ["chirping birds"]);
    let manifest = read_one(folder.path(), &recipe(""));
    assert_eq!(*manifest.rows[0].captions.plain, ["chirping birds"]);
}

#[test]
fn json_lines_and_wavcaps_json_are_tables() {
    let folder = tempdir().unwrap();
    sounds(folder.path(), &["7.wav", "8.wav"]);
    let rows = [
        r#"{"id": 7, "caption": "A", "tags": ["x", "y"]}"#,
        r#"{"id": 8, "caption": "B", "tags": "z"}"#,
    ];
    write(folder.path(), "rows.jsonl", rows.join("\n\n"));
    write(
        folder.path(),
        "rows.json",
        format!(
            r#"{{"num_captions_per_audio": 1, "data": [{}]}}"#,
            rows.join(",")
        ),
    );
    for file in ["rows.jsonl", "rows.json"] {
        let manifest = read_one(
            folder.path(),
            &format!(
                r#"
                [[sources]]
                name = "rows"
                kind = "table"
                file = "{file}"
                audio = ["sounds"]
                columns = {{ id = "id", captions = ["caption"], tags = "tags" }}
                "#
            ),
        );
        assert_eq!(manifest.rows[0].tags, ["x", "y"], "{file}");
        assert_eq!(file_name(&manifest.rows[1].audio), "8.wav", "{file}");
    }
}

#[test]
fn a_folder_has_a_table_in_it_or_a_folder_for_each_class() {
    let folder = tempdir().unwrap();
    for name in [
        "dog_bark/2.wav",
        "dog_bark/deep/1.wav",
        "rain/1.wav",
        "rain/.1.wav",
        "rain/notes.txt",
    ] {
        write(folder.path(), &format!("classes/{name}"), tone(0.2, 300.0));
    }
    write(
        folder.path(),
        "phrases.toml",
        "dog_bark = ['a dog barks', 'barking']\nrain = ['rain']\n",
    );
    let recipe = r#"
        [[sources]]
        name = "classes"
        kind = "folder"
        folder = "classes"
        labels = { phrases = "phrases.toml" }
    "#;
    let manifest = read_one(folder.path(), recipe);
    let ids: Vec<&str> = manifest.rows.iter().map(|r| r.id.as_str()).collect();
    assert_eq!(ids, ["dog_bark/2.wav", "dog_bark/deep/1.wav", "rain/1.wav"]);
    assert_eq!(*manifest.rows[1].captions.plain, ["a dog barks", "barking"]);
    assert!(Arc::ptr_eq(
        &manifest.rows[0].captions.plain,
        &manifest.rows[1].captions.plain
    ));

    write(
        folder.path(),
        "told/metadata.csv",
        "file_name,caption\nx/1.wav,One\n",
    );
    write(folder.path(), "told/x/1.wav", tone(0.2, 300.0));
    let recipe = "[[sources]]\nname = 'told'\nkind = 'folder'\nfolder = 'told'\n";
    let manifest = read_one(folder.path(), recipe);
    assert_eq!(manifest.rows[0].id, "x/1.wav");
    assert_eq!(*manifest.rows[0].captions.plain, ["One"]);
}

/// A Parquet file as `datasets` writes it, in two row groups; sounds are 0.5 s, 0.6 s, … long.
fn parquet_file(rows: usize) -> Vec<u8> {
    let schema = "message schema {
        OPTIONAL GROUP audio { OPTIONAL BYTE_ARRAY bytes; OPTIONAL BYTE_ARRAY path (UTF8); }
        OPTIONAL BYTE_ARRAY text (UTF8);
        OPTIONAL INT64 fold;
    }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut bytes = Vec::new();
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, properties).unwrap();
    for group in [0..rows / 2, rows / 2..rows] {
        let mut columns = writer.next_row_group().unwrap();
        let texts = |make: &dyn Fn(usize) -> Vec<u8>| -> Vec<ByteArray> {
            group
                .clone()
                .map(|row| ByteArray::from(make(row)))
                .collect()
        };
        let cells = [
            (2, texts(&|row| tone(0.5 + 0.1 * row as f32, 300.0))),
            (2, texts(&|row| format!("{row}.wav").into())),
            (1, texts(&|row| format!("caption {row}").into())),
        ];
        for (level, values) in cells {
            let mut column = columns.next_column().unwrap().unwrap();
            let levels = vec![level; values.len()];
            let typed = column.typed::<ByteArrayType>();
            typed.write_batch(&values, Some(&levels), None).unwrap();
            column.close().unwrap();
        }
        let mut column = columns.next_column().unwrap().unwrap();
        let folds: Vec<i64> = group.clone().map(|row| row as i64 % 3).collect();
        let typed = column.typed::<parquet::data_type::Int64Type>();
        typed
            .write_batch(&folds, Some(&vec![1; folds.len()]), None)
            .unwrap();
        column.close().unwrap();
        columns.close().unwrap();
    }
    writer.close().unwrap();
    bytes
}

#[test]
fn parquet_holds_its_sounds_and_gives_each_row_its_own() {
    let folder = tempdir().unwrap();
    write(folder.path(), "shards/0.parquet", parquet_file(7));
    write(folder.path(), "shards/1.parquet", parquet_file(2));
    let recipe = r#"
        [[sources]]
        name = "hub"
        kind = "parquet"
        files = ["shards"]
        columns = { captions = "text" }
        filter = [{ column = "fold", is_not = ["2"] }]
    "#;
    let manifest = read_one(folder.path(), recipe);
    let ids: Vec<&str> = manifest.rows.iter().map(|r| r.id.as_str()).collect();
    assert_eq!(ids, ["0", "1", "3", "4", "6", "7", "8"]);
    let (sampler, examples) = run(folder.path(), recipe, 7);
    for draw in sampler.batch(0) {
        let example = examples.realise(&draw).unwrap();
        let row: usize = example
            .text
            .strip_prefix("caption ")
            .unwrap()
            .parse()
            .unwrap();
        assert!(
            (example.audio_seconds - 0.5 - 0.1 * row as f64).abs() < 1e-3,
            "{row}"
        );
    }
}

fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

#[test]
fn a_webdataset_archive_is_read_in_place() {
    let folder = tempdir().unwrap();
    let (one, two) = (tone(0.5, 300.0), tone(0.7, 300.0));
    let long = format!("{}/2", "folder".repeat(30));
    let shard = archive(&[
        ("a/1.wav", &one),
        ("a/1.json", br#"{"caption": ["One", "Uno"]}"#),
        (&format!("{long}.txt"), b"Two\n"),
        (&format!("{long}.wav"), &two),
        (&format!("{long}.cls"), b"7"),
    ]);
    write(folder.path(), "shards/000.tar", shard);
    let recipe = r#"
        [[sources]]
        name = "shards"
        kind = "webdataset"
        files = ["shards/000.tar"]
    "#;
    let manifest = read_one(folder.path(), recipe);
    assert_eq!(
        (manifest.rows[0].id.as_str(), &manifest.rows[1].id),
        ("a/1", &long)
    );
    assert_eq!(*manifest.rows[0].captions.plain, ["One", "Uno"]);
    assert_eq!(*manifest.rows[1].captions.plain, ["Two"]);
    assert!(matches!(manifest.rows[1].audio, Audio::Member { .. }));
    let (sampler, examples) = run(folder.path(), recipe, 2);
    for draw in sampler.batch(0) {
        let example = examples.realise(&draw).unwrap();
        let seconds = if example.text == "Two" { 0.7 } else { 0.5 };
        assert!(
            (example.audio_seconds - seconds).abs() < 1e-3,
            "{}",
            example.text
        );
    }
}

#[test]
fn pairs_of_texts_need_no_sound() {
    let folder = tempdir().unwrap();
    write(
        folder.path(),
        "nli.csv",
        "sent0,sent1,hard_neg\nA dog.,An animal.,A cat.\nRain,Water,\n",
    );
    let recipe = "[[sources]]\nname = 'nli'\nkind = 'nli'\nfile = 'nli.csv'\n";
    let manifest = read_one(folder.path(), recipe);
    assert_eq!(
        manifest.rows[0].hard_text,
        [HardText::Words("A cat.".into())]
    );
    assert!(manifest.rows[1].hard_text.is_empty());
    let (sampler, examples) = run(folder.path(), recipe, 2);
    for draw in sampler.batch(0) {
        let example = examples.realise(&draw).unwrap();
        assert!(example.mel.is_none());
        let other = if example.text == "Rain" {
            "Water"
        } else {
            "An animal."
        };
        assert_eq!(example.other_text.as_deref(), Some(other));
    }
}

#[test]
fn missing_sounds_are_skipped_only_by_leave_and_listed() {
    let folder = tempdir().unwrap();
    sounds(folder.path(), &["a.wav", "c.wav"]);
    let json = r#"[{"id": "a", "caption": "A", "stage1_audio_hard_negative": [1, 2]},
        {"id": "b", "caption": "B"}, {"id": "c", "caption": "C"}]"#;
    write(folder.path(), "rows.json", json);
    let recipe = r#"
        [[sources]]
        name = "rows"
        kind = "aurola"
        missing = "skip"
        file = "rows.json"
        audio = ["sounds"]
    "#;
    let manifest = read_one(folder.path(), recipe);
    assert_eq!(manifest.skipped.len(), 1);
    assert_eq!(manifest.skipped[0].id, "b");
    assert!(
        manifest.skipped[0]
            .place
            .to_string()
            .ends_with("rows.json, record 1")
    );
    // Record 2 is row 1 now, and record 1 is nowhere.
    assert_eq!(
        (
            manifest.rows[0].hard_audio.as_slice(),
            manifest.lost_negatives
        ),
        ([1].as_slice(), 1)
    );
    assert!(config(recipe).check().is_ok());
}
