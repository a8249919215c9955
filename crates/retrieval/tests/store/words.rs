//! Names, tags, captions and filters.

use aurola_retrieval::store::{FileId, Filter, Note, Store, Tag, TagFilter, TagSource};

use crate::*;

/// A file of this name with these keywords; `n` makes its bytes.
fn save_named(store: &mut Store, n: u64, name: &str, keywords: &[&str], sound: &Sound) -> FileId {
    let at = Path::new("/sounds").join(name);
    let writer = store.write().unwrap();
    let content = writer.content(&hash(n), 7, sound).unwrap();
    writer.file(&at, &state(n), CHECKED_NS, &content).unwrap();
    let tags: Vec<Tag> = (keywords.iter())
        .map(|value| Tag {
            source: TagSource::File,
            name: "keyword".into(),
            value: (*value).into(),
        })
        .collect();
    writer.set_tags(&content, TagSource::File, &tags).unwrap();
    writer.commit().unwrap();
    store.known_file(&at, None).unwrap().unwrap().id
}

fn found(store: &Store, words: &str) -> Vec<FileId> {
    store
        .by_words(words, 10)
        .unwrap()
        .iter()
        .map(|hit| hit.file)
        .collect()
}

#[test]
fn a_sound_is_found_by_name_folder_tag_caption_and_note() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("s")).unwrap();
    let plain = Sound::default();
    let roof = save_named(&mut store, 1, "RAINMetl_Shed Roof.wav", &[], &plain);
    let seven = save_named(&mut store, 2, "digits/7_george_3.wav", &["spoken"], &plain);
    let click = save_named(&mut store, 3, "ui/mouseclick1.wav", &[], &plain);
    assert_eq!(found(&store, "rain on a roof"), [roof]);
    assert_eq!(found(&store, "roofs"), [roof], "stemmed");
    assert_eq!(found(&store, "a person saying seven"), [seven]);
    assert_eq!(found(&store, "mouse click"), [click]);
    assert_eq!(found(&store, "digit"), [seven], "by its folder, stemmed");
    assert_eq!(found(&store, "geor"), [seven], "a word half typed");
    assert_eq!(found(&store, "spoken"), [seven]);
    assert!(found(&store, "violin").is_empty());
    for odd in ["\"", "a AND", "NEAR(", "*", "-", "col:x", "\u{0}"] {
        found(&store, odd);
    }
    let hit = store.by_words("shed door", 1).unwrap()[0];
    assert!(!hit.all && store.by_words("shed roof", 1).unwrap()[0].all);

    let content = store.known_id(click, None).unwrap().unwrap().content;
    let note = Note {
        note: Some("too loud".into()),
        caption: Some("a button is pressed".into()),
    };
    let writer = store.write().unwrap();
    writer.set_note(&content, &note).unwrap();
    writer.commit().unwrap();
    assert_eq!(store.note(&content).unwrap(), note);
    assert_eq!(found(&store, "button pressed"), [click]);
    assert_eq!(found(&store, "loud"), [click]);
    // What is forgotten is found no more, and its number never stands for another.
    store.forget(Path::new("/sounds/ui")).unwrap();
    assert!(found(&store, "button").is_empty());
    let next = save_named(&mut store, 4, "ui/mouseclick1.wav", &[], &plain);
    assert_ne!(next, click);
    assert_eq!(Store::inspect(store.path()).unwrap().damaged, 0);
}

#[test]
fn filters_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("s")).unwrap();
    let sound = |container: &str, seconds: u64, rate: u32, channels: u32| Sound {
        container: Some(container.into()),
        codec: None,
        sample_rate: Some(rate),
        channels: Some(channels),
        samples: Some(seconds * 16_000),
    };
    let a = save_named(
        &mut store,
        1,
        "a/one.wav",
        &["Rain", "wet"],
        &sound("wav", 2, 48_000, 2),
    );
    let b = save_named(
        &mut store,
        2,
        "a/two.MP3",
        &["rain"],
        &sound("mp3", 10, 44_100, 2),
    );
    let c = save_named(
        &mut store,
        3,
        "b/one.m4a",
        &[],
        &sound("isomp4", 60, 48_000, 1),
    );
    let pass = |filter: Filter| -> Vec<FileId> {
        filter.check().unwrap();
        let mut ids: Vec<FileId> = store
            .matching(&filter)
            .unwrap()
            .into_iter()
            .map(|(file, _)| file)
            .collect();
        ids.sort();
        ids
    };
    let all = Filter::default;
    assert_eq!(pass(all()), [a, b, c]);
    assert_eq!(
        pass(Filter {
            below: vec!["/sounds/a".into()],
            ..all()
        }),
        [a, b]
    );
    assert_eq!(
        pass(Filter {
            below: vec!["/sounds/b/one.m4a".into()],
            ..all()
        }),
        [c]
    );
    assert_eq!(
        pass(Filter {
            path_has: Some("ONE".into()),
            ..all()
        }),
        [a, c]
    );
    assert_eq!(
        pass(Filter {
            formats: vec!["mp3".into(), ".m4a".into()],
            ..all()
        }),
        [b, c]
    );
    assert_eq!(
        pass(Filter {
            duration_s: (Some(2.0), Some(10.0)),
            ..all()
        }),
        [a, b]
    );
    assert_eq!(
        pass(Filter {
            sample_rate: (Some(48_000), None),
            ..all()
        }),
        [a, c]
    );
    assert_eq!(
        pass(Filter {
            channels: (None, Some(1)),
            ..all()
        }),
        [c]
    );
    assert_eq!(
        pass(Filter {
            modified_ns: (Some(1_002), None),
            ..all()
        }),
        [b, c]
    );
    assert_eq!(
        pass(Filter {
            ids: Some(vec![c, a]),
            ..all()
        }),
        [a, c]
    );
    assert!(
        pass(Filter {
            ids: Some(vec![]),
            ..all()
        })
        .is_empty()
    );
    let tag = |name: Option<&str>, value: &str| TagFilter {
        name: name.map(Into::into),
        value: value.into(),
    };
    assert_eq!(
        pass(Filter {
            tags: vec![tag(None, "RAIN")],
            ..all()
        }),
        [a, b]
    );
    assert_eq!(
        pass(Filter {
            tags: vec![tag(Some("Keyword"), "rain"), tag(None, "wet")],
            ..all()
        }),
        [a]
    );
    assert!(
        pass(Filter {
            tags: vec![tag(Some("artist"), "rain")],
            ..all()
        })
        .is_empty()
    );
    let odd = Filter {
        below: vec!["a".into()],
        ..all()
    };
    assert!(odd.check().is_err());
    let odd = Filter {
        duration_s: (Some(f64::NAN), None),
        ..all()
    };
    assert!(odd.check().is_err());
}

#[test]
fn another_store_is_taken_over_and_a_moved_folder_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Store::open(&folder.path().join("first.sqlite")).unwrap();
    for n in 0..5 {
        save(&mut first, n);
    }
    let copy = folder.path().join("copy.sqlite");
    first.export(&copy).unwrap();
    assert!(first.export(&copy).is_err(), "nothing is overwritten");

    let mut second = Store::open(&folder.path().join("second.sqlite")).unwrap();
    save(&mut second, 3);
    let moved = Some((Path::new("/sounds"), Path::new("/elsewhere")));
    let imported = second.import(&copy, moved).unwrap();
    assert_eq!(
        (imported.files, imported.contents, imported.windows),
        (5, 4, 8)
    );
    assert_eq!(second.import(&copy, moved).unwrap(), Default::default());
    let space = second.space(&key()).unwrap().unwrap();
    let below = second
        .known_below(Path::new("/elsewhere"), Some(&space))
        .unwrap();
    assert!(below.len() == 5 && below.iter().all(|file| file.embedded));

    assert_eq!(
        second
            .relink(Path::new("/elsewhere"), Path::new("/here"))
            .unwrap(),
        5
    );
    let here = second
        .known_below(Path::new("/here"), Some(&space))
        .unwrap();
    assert!(here.len() == 5 && here.iter().all(|file| file.embedded));
    assert!(
        second
            .known_below(Path::new("/elsewhere"), None)
            .unwrap()
            .is_empty()
    );
    assert_eq!(Store::inspect(second.path()).unwrap().damaged, 0);
}
