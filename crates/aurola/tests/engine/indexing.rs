//! An index as a server holds it: added to, kept up to date, searched in every way, migrated.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use aurola::{
    Edit, FileId, Filter, GroupBy, Index, JobState, Label, Mode, Part, Rerank, SearchAnswer,
    SearchRequest, Sort, TagFilter, What,
};

use crate::*;

fn open(world: &World, model: BandEar) -> Index {
    Index::open(&world.store(), Arc::new(model), Options::default()).unwrap()
}

fn added(world: &World) -> Index {
    let index = open(world, BandEar::new());
    let library = index
        .add(&[world.sounds()], &Cancel::default(), &mut |_| {})
        .unwrap();
    assert!(library.skipped.is_empty());
    index
}

fn update(index: &Index) -> Library {
    index.update(&Cancel::default(), &mut |_| {}).unwrap()
}

fn names(answer: &SearchAnswer) -> Vec<String> {
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    answer.hits.iter().map(|hit| name(&hit.path)).collect()
}

fn meaning(words: &str, limit: usize) -> SearchRequest {
    SearchRequest {
        mode: Mode::Meaning,
        ..SearchRequest::words(words, limit)
    }
}

#[test]
fn words_sounds_clips_and_vectors_ask_alike() {
    let world = World::of_tones(&[200, 440, 1000, 3000]);
    let index = added(&world);
    let by_words = index.search(&meaning("440 Hz", 2)).unwrap();
    assert_eq!(names(&by_words)[0], "440.wav");
    assert!(by_words.more && by_words.searched == 4);
    let hit = &by_words.hits[0];
    assert_eq!(hit.duration_s, Some(1.0));
    assert_eq!(hit.spans.len(), 1);
    assert_eq!(hit.score, hit.cosine.unwrap());
    let outside = world.folder.path().join("outside.wav");
    write_wav(&outside, &tone(2900.0, 1.0));
    let ask = |what: What| {
        let wanted = vec![Part::of(what)];
        let request = SearchRequest {
            wanted,
            ..SearchRequest::browse(1)
        };
        names(&index.search(&request).unwrap())
    };
    assert_eq!(ask(What::Sound(outside)), ["3000.wav"]);
    assert_eq!(index.status().unwrap().files, 4, "a question is not kept");
    assert_eq!(ask(What::Clip(hit.id)), ["440.wav"]);
    let vector = index
        .model()
        .embed(&[Input::Text("1000 Hz")])
        .unwrap()
        .remove(0);
    let longer: Vec<f32> = vector.as_slice().iter().map(|x| x * 3.0).collect();
    assert_eq!(ask(What::Vector(longer)), ["1000.wav"]);
    // A mix, and what it should not be.
    let mixed = SearchRequest {
        wanted: vec![
            Part::text("200 Hz"),
            Part {
                weight: 3.0,
                ..Part::text("3000 Hz")
            },
        ],
        not: vec![Part {
            weight: 0.9,
            ..Part::text("200 Hz")
        }],
        ..meaning("", 4)
    };
    assert_eq!(names(&index.search(&mixed).unwrap())[0], "3000.wav");
}

#[test]
fn names_and_meaning_are_fused_and_words_alone_need_no_model() {
    let world = World::of_tones(&[200, 440]);
    fs::rename(world.sound("200.wav"), world.sound("Dog_440.wav")).unwrap();
    let index = added(&world);
    // Both have 440 in their names; the one that sounds like it is first.
    let both = index.search(&SearchRequest::words("440 Hz", 5)).unwrap();
    assert_eq!(names(&both), ["440.wav", "Dog_440.wav"]);
    assert!(both.hits[0].score > both.hits[1].score && both.hits[0].score <= 1.0);
    let words = SearchRequest {
        mode: Mode::Words,
        ..SearchRequest::words("a dog somewhere", 5)
    };
    let found = index.search(&words).unwrap();
    assert_eq!(names(&found), ["Dog_440.wav"]);
    assert_eq!(found.hits[0].cosine, None);
    assert_eq!(
        index
            .search(&SearchRequest {
                mode: Mode::Words,
                ..SearchRequest::words("dog", 5)
            })
            .unwrap()
            .hits[0]
            .relevance
            .unwrap()
            .label,
        Label::Likely
    );
}

#[test]
fn filters_order_groups_and_pages() {
    let world = World::of_tones(&[]);
    for (folder, name, hertz, length) in [
        ("a", "x.wav", 440.0, 1.0),
        ("a", "y.wav", 445.0, 2.0),
        ("b", "z.wav", 3000.0, 3.0),
        ("b", "copy.wav", 440.0, 1.0),
    ] {
        fs::create_dir_all(world.sound(folder)).unwrap();
        write_wav(&world.sound(folder).join(name), &tone(hertz, length));
    }
    let index = added(&world);
    let ask = |request: SearchRequest| names(&index.search(&request).unwrap());
    assert_eq!(ask(meaning("440 Hz", 3)), ["x.wav", "copy.wav", "y.wav"]);
    let below = Filter {
        below: vec![fs::canonicalize(world.sound("b")).unwrap()],
        ..Filter::default()
    };
    let filtered = SearchRequest {
        filter: below.clone(),
        ..meaning("440 Hz", 9)
    };
    let answer = index.search(&filtered).unwrap();
    assert_eq!(
        (names(&answer), answer.searched, answer.more),
        (vec!["copy.wav".into(), "z.wav".into()], 2, false)
    );
    let long = Filter {
        duration_s: (Some(1.5), None),
        ..Filter::default()
    };
    assert_eq!(
        ask(SearchRequest {
            filter: long,
            ..meaning("440 Hz", 9)
        }),
        ["y.wav", "z.wav"]
    );
    assert_eq!(
        ask(SearchRequest {
            sort: Sort::Longest,
            ..meaning("440 Hz", 2)
        }),
        ["z.wav", "y.wav"]
    );
    assert_eq!(
        ask(SearchRequest {
            offset: 2,
            ..meaning("440 Hz", 1)
        }),
        ["y.wav"]
    );
    let folders = index
        .search(&SearchRequest {
            group_by: GroupBy::Folder,
            ..meaning("440 Hz", 9)
        })
        .unwrap();
    assert_eq!(names(&folders), ["x.wav", "copy.wav"]);
    assert_eq!([folders.hits[0].folded, folders.hits[1].folded], [1, 1]);
    let alike = index
        .search(&SearchRequest {
            group_by: GroupBy::Alike,
            ..meaning("440 Hz", 9)
        })
        .unwrap();
    assert_eq!(names(&alike)[0], "x.wav");
    assert!(alike.hits[0].folded >= 1 && !names(&alike).contains(&"copy.wav".into()));
    // Nothing asked: everything, in order of the path.
    assert_eq!(
        ask(SearchRequest::browse(9)),
        ["x.wav", "y.wav", "copy.wav", "z.wav"]
    );
    assert_eq!(
        ask(SearchRequest {
            filter: below,
            sort: Sort::Shortest,
            ..SearchRequest::browse(1)
        }),
        ["copy.wav"]
    );
}

#[test]
fn relevance_is_a_place_among_random_pairs_and_can_cut_off() {
    let tones: Vec<u32> = (1..40).map(|n| n * 180).collect();
    let world = World::of_tones(&tones);
    let index = added(&world);
    let all = index.search(&meaning("360 Hz", 39)).unwrap();
    let places: Vec<f32> = all
        .hits
        .iter()
        .map(|hit| hit.relevance.unwrap().score)
        .collect();
    assert!(
        places.windows(2).all(|pair| pair[0] >= pair[1]),
        "{places:?}"
    );
    assert!(
        places[0] > 0.9 && *places.last().unwrap() < 0.5,
        "{places:?}"
    );
    let cut = SearchRequest {
        min_relevance: Some(0.9),
        ..meaning("360 Hz", 39)
    };
    let kept = index.search(&cut).unwrap().hits.len();
    assert_eq!(kept, places.iter().filter(|place| **place >= 0.9).count());
}

#[test]
fn a_long_sound_is_explained_over_time() {
    let world = World::of_tones(&[440]);
    let mut long = tone(200.0, 120.0);
    long[65 * 16_000..68 * 16_000].copy_from_slice(&tone(3000.0, 3.0));
    write_wav(&world.sound("long.wav"), &long);
    let index = added(&world);
    let request = SearchRequest {
        explain: true,
        ..meaning("3000 Hz", 1)
    };
    let hit = index.search(&request).unwrap().hits.remove(0);
    assert!(hit.path.ends_with("long.wav"));
    let heat: Vec<f64> = hit.heat.iter().map(|moment| moment.start_s).collect();
    assert_eq!(heat, [0.0, 25.0, 50.0, 75.0, 100.0]);
    let best = hit.best.unwrap();
    assert!(best.start_s <= 65.0 && 68.0 <= best.end_s);
    assert!(hit.spans[0].start_s <= best.start_s && best.end_s <= hit.spans[0].end_s);
    assert!(
        hit.spans[0].end_s - hit.spans[0].start_s < 60.0,
        "{:?}",
        hit.spans
    );
}

#[test]
fn a_judge_has_a_weight_and_a_budget() {
    let world = World::of_tones(&[400, 440, 500, 700]);
    let mut model = BandEar::new();
    model.verdict = Some(1.0);
    let index = open(&world, model);
    index
        .add(&[world.sounds()], &Cancel::default(), &mut |_| {})
        .unwrap();
    let ask = |rerank: Rerank| {
        index
            .search(&SearchRequest {
                rerank: Some(rerank),
                ..meaning("440 Hz", 4)
            })
            .unwrap()
    };
    let halved = ask(Rerank {
        alpha: 0.5,
        ..Rerank::first(3)
    });
    for hit in &halved.hits[..3] {
        assert_eq!(hit.score, hit.cosine.unwrap() + 0.5 * hit.p_yes.unwrap());
    }
    assert_eq!(halved.hits[3].p_yes, None);
    let none = ask(Rerank {
        budget: Some(Duration::ZERO),
        ..Rerank::first(3)
    });
    assert!(none.hits.iter().all(|hit| hit.p_yes.is_none()));
    assert_eq!(
        names(&none),
        names(&index.search(&meaning("440 Hz", 4)).unwrap())
    );
}

#[test]
fn what_people_say_is_kept_with_the_sound() {
    let world = World::of_tones(&[440, 3000]);
    let index = added(&world);
    let id = index.search(&meaning("440 Hz", 1)).unwrap().hits[0].id;
    let edit = Edit {
        add_tags: vec!["Whistle".into(), "steady".into()],
        note: Some(Some("for the intro".into())),
        caption: Some(Some("an even tone".into())),
        ..Edit::default()
    };
    index.edit(id, &edit).unwrap();
    index
        .edit(
            id,
            &Edit {
                remove_tags: vec!["STEADY".into()],
                ..Edit::default()
            },
        )
        .unwrap();
    let entry = index.file(id).unwrap().unwrap();
    let tags: Vec<&str> = entry.tags.iter().map(|tag| tag.value.as_str()).collect();
    assert_eq!(tags, ["Whistle"]);
    assert_eq!(entry.note.as_deref(), Some("for the intro"));
    assert_eq!(index.tag_counts(5).unwrap()[0].value, "Whistle");
    let tagged = Filter {
        tags: vec![TagFilter {
            name: None,
            value: "whistle".into(),
        }],
        ..Filter::default()
    };
    let found = index
        .search(&SearchRequest {
            filter: tagged,
            ..meaning("3000 Hz", 5)
        })
        .unwrap();
    assert_eq!(names(&found), ["440.wav"]);
    // Renamed, it keeps them.
    fs::rename(world.sound("440.wav"), world.sound("renamed.wav")).unwrap();
    assert_eq!(update(&index).gone, 1);
    let words = SearchRequest {
        mode: Mode::Words,
        ..SearchRequest::words("even whistle intro", 5)
    };
    let found = index.search(&words).unwrap();
    assert_eq!(names(&found), ["renamed.wav"]);
    assert!(found.hits[0].by_words);
    assert!(index.file(id).unwrap().is_none());
    assert!(matches!(
        index.edit(id, &Edit::default()),
        Err(EngineError::NoSuchFile { .. })
    ));
}

#[test]
fn an_update_finds_what_is_new_changed_moved_and_gone_and_a_missing_root_loses_nothing() {
    let world = World::of_tones(&[200, 440, 1000]);
    let index = added(&world);
    fs::rename(world.sound("200.wav"), world.sound("moved.wav")).unwrap();
    fs::remove_file(world.sound("440.wav")).unwrap();
    write_wav(&world.sound("1000.wav"), &tone(1500.0, 1.0));
    write_wav(&world.sound("new.wav"), &tone(3000.0, 1.0));
    let library = update(&index);
    assert_eq!((library.embedded, library.gone), (2, 2));
    let all: BTreeSet<String> = names(&index.search(&SearchRequest::browse(9)).unwrap())
        .into_iter()
        .collect();
    assert_eq!(
        all,
        ["1000.wav", "moved.wav", "new.wav"]
            .map(String::from)
            .into()
    );
    assert_eq!(index.status().unwrap().away, 1);
    // What was deleted and comes back was never forgotten.
    write_wav(&world.sound("440.wav"), &tone(440.0, 1.0));
    assert_eq!(update(&index).embedded, 0);
    assert_eq!(
        names(&index.search(&meaning("440 Hz", 1)).unwrap()),
        ["440.wav"]
    );

    let elsewhere = world.folder.path().join("unplugged");
    fs::rename(world.sounds(), &elsewhere).unwrap();
    let without = update(&index);
    assert_eq!((without.away.len(), without.gone), (1, 0));
    let hit = index.search(&meaning("440 Hz", 1)).unwrap().hits.remove(0);
    assert!(hit.away && hit.path.ends_with("440.wav"));
    assert!(!index.status().unwrap().roots[0].present);
    fs::rename(&elsewhere, world.sounds()).unwrap();
    assert_eq!(update(&index).embedded, 0);
    let jobs = index.jobs(10).unwrap();
    assert_eq!((jobs.len(), jobs[4].kind.as_str()), (5, "add"));
    assert!(
        jobs.iter()
            .all(|job| job.state == JobState::Done && job.ended_ns.is_some())
    );
}

#[test]
fn another_model_is_refused_until_it_has_embedded_everything_itself() {
    let world = World::of_tones(&[200, 440]);
    let old = added(&world);
    let newer = || {
        let mut model = BandEar::new();
        model.fingerprint = "bands-2";
        model
    };
    let options = || Options {
        name: "newer".into(),
        ..Options::default()
    };
    let refused = Index::open(&world.store(), Arc::new(newer()), options());
    let Err(error @ EngineError::OtherModel(_)) = refused else {
        panic!("vectors of two models were mixed");
    };
    let message = error.to_string();
    assert!(
        message.contains("bands-1") && message.contains("bands-2"),
        "{message}"
    );
    assert!(message.contains("index migrate"), "{message}");
    let migrate = |drop_old| {
        let cancel = Cancel::default();
        Index::migrate(
            &world.store(),
            Arc::new(newer()),
            options(),
            drop_old,
            &cancel,
            &mut |_| {
                // Meanwhile the old one serves.
                assert_eq!(
                    names(&old.search(&meaning("440 Hz", 1)).unwrap()),
                    ["440.wav"]
                );
            },
        )
        .unwrap()
    };
    assert_eq!(migrate(false).embedded, 2);
    let new = Index::open(&world.store(), Arc::new(newer()), options()).unwrap();
    assert_eq!(
        names(&new.search(&meaning("440 Hz", 1)).unwrap()),
        ["440.wav"]
    );
    assert_eq!(migrate(true).embedded, 0);
    let summary = Store::open(&world.store()).unwrap().summary().unwrap();
    assert_eq!(summary.spaces.len(), 1);
    assert!(matches!(
        Index::open(&world.store(), Arc::new(BandEar::new()), Options::default()),
        Err(EngineError::OtherModel(_))
    ));
}

#[test]
fn many_search_while_one_adds() {
    let tones: Vec<u32> = (1..60).map(|n| 100 + n * 60).collect();
    let world = World::of_tones(&tones);
    let options = Options {
        batch_tokens: 1,
        ..Options::default()
    };
    let index = Index::open(&world.store(), Arc::new(BandEar::new()), options).unwrap();
    let done = AtomicBool::new(false);
    let searches = AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for _ in 0..3 {
            threads.spawn(|| {
                let mut seen = 0;
                while !done.load(Ordering::Relaxed) {
                    let answer = index.search(&meaning("440 Hz", 100)).unwrap();
                    assert!(answer.hits.len() >= seen, "what was found is found again");
                    seen = answer.hits.len();
                    searches.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        index
            .add(&[world.sounds()], &Cancel::default(), &mut |_| {})
            .unwrap();
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(
        index.search(&meaning("440 Hz", 100)).unwrap().hits.len(),
        59
    );
    assert!(searches.load(Ordering::Relaxed) > 3);
}

#[test]
fn sealed_vectors_that_rot_are_made_again_before_they_answer_wrongly() {
    let world = World::of_tones(&[200, 440, 1000, 3000]);
    drop(added(&world));
    let mut store = Store::open(&world.store()).unwrap();
    let space = store.serving().unwrap().unwrap();
    store.seal(&space, &[], true).unwrap();
    let sealed = world.folder.path().join("store.sqlite.vectors-1");
    let good = fs::read(&sealed).unwrap();
    for at in [9, 4096 + 100, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        fs::write(&sealed, bad).unwrap();
        let index = open(&world, BandEar::new());
        assert_eq!(
            names(&index.search(&meaning("440 Hz", 1)).unwrap()),
            ["440.wav"],
            "byte {at}"
        );
        assert_eq!(fs::read(&sealed).unwrap().len(), good.len(), "made again");
    }
    fs::remove_file(&sealed).unwrap();
    assert_eq!(
        names(
            &open(&world, BandEar::new())
                .search(&meaning("440 Hz", 1))
                .unwrap()
        ),
        ["440.wav"]
    );
}

#[test]
fn requests_that_cannot_be_meant_name_the_field() {
    let world = World::of_tones(&[440]);
    let index = added(&world);
    let field = |request: SearchRequest| match index.search(&request) {
        Err(EngineError::Request { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let words = || meaning("440 Hz", 1);
    assert_eq!(field(meaning("440 Hz", 0)), "limit");
    assert_eq!(field(meaning(" ", 1)), "query");
    assert_eq!(
        field(SearchRequest {
            min_relevance: Some(f32::NAN),
            ..words()
        }),
        "min_relevance"
    );
    assert_eq!(
        field(SearchRequest {
            rerank: Some(Rerank {
                alpha: -1.0,
                ..Rerank::first(1)
            }),
            ..words()
        }),
        "alpha"
    );
    assert_eq!(
        field(SearchRequest {
            rerank: Some(Rerank::first(9_999)),
            ..words()
        }),
        "rerank"
    );
    let vector = |numbers: Vec<f32>| SearchRequest {
        wanted: vec![Part::of(What::Vector(numbers))],
        ..words()
    };
    assert_eq!(field(vector(vec![1.0])), "vector");
    assert_eq!(field(vector(vec![0.0; 128])), "vector");
    assert_eq!(field(vector(vec![f32::NAN; 128])), "vector");
    let filter = Filter {
        below: vec!["relative".into()],
        ..Filter::default()
    };
    assert_eq!(field(SearchRequest { filter, ..words() }), "filter");
    let gone: FileId = "00000000000000ff".parse().unwrap();
    assert_eq!(gone.to_string(), "00000000000000ff");
    let clip = SearchRequest {
        wanted: vec![Part::of(What::Clip(gone))],
        ..words()
    };
    assert!(matches!(index.search(&clip), Err(EngineError::NoSuchFile { id }) if id == gone));
}
