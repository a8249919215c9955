//! What is embedded, what is kept, and what happens when a run does not end well.

use std::fs;

use aurola::{Event, Question};
use aurola_retrieval::Embedding;

use crate::*;

#[test]
fn a_second_run_embeds_nothing_and_neither_does_one_after_renaming() {
    let world = World::of_tones(&[200, 440, 1000]);
    let model = BandEar::new();
    assert_eq!(world.library(&model).unwrap().embedded, 3);
    assert_eq!(model.clips(), 3);

    let again = world.library(&model).unwrap();
    assert_eq!((again.embedded, again.files.len()), (0, 3));
    fs::create_dir(world.sound("deep")).unwrap();
    fs::rename(world.sound("440.wav"), world.sound("deep/a.wav")).unwrap();
    fs::rename(world.sound("200.wav"), world.sound("440.wav")).unwrap();
    let renamed = world.library(&model).unwrap();
    assert_eq!((renamed.embedded, renamed.files.len()), (0, 3));
    assert_eq!(model.clips(), 3);
    assert_eq!(
        world.search(&model, &Question::words("200 Hz", 1)),
        ["440.wav"]
    );
}

#[test]
fn a_changed_file_is_embedded_again_even_if_it_looks_the_same() {
    let world = World::of_tones(&[440, 1000]);
    let model = BandEar::new();
    world.library(&model).unwrap();
    // Same size, and so soon that the file system may stamp it with the same time.
    write_wav(&world.sound("440.wav"), &tone(3000.0, 1.0));
    let changed = world.library(&model).unwrap();
    assert_eq!(changed.embedded, 1);
    assert_eq!(
        world.search(&model, &Question::words("3000 Hz", 1)),
        ["440.wav"]
    );
}

#[test]
fn other_windows_are_another_space() {
    let world = World::of_tones(&[440]);
    let model = BandEar::new();
    world.library(&model).unwrap();
    let mut options = Options::default();
    options.listening.cut = aurola::Cut::Whole;
    let store = Store::open(&world.store()).unwrap();
    let library = Engine::new(&model, store, options)
        .library(&[world.sounds()], &Cancel::default(), &mut |_| {})
        .unwrap();
    assert_eq!(library.embedded, 1);
    assert_eq!(model.clips(), 2);
}

#[test]
fn bad_files_are_told_with_the_reason_every_time_and_stop_nothing() {
    let world = World::of_tones(&[440]);
    fs::write(world.sound("empty.wav"), "").unwrap();
    fs::write(world.sound("letter.mp3"), "Dear sound, ".repeat(100)).unwrap();
    let wav = fs::read(world.sound("440.wav")).unwrap();
    fs::write(world.sound("header.wav"), &wav[..44]).unwrap();
    write_wav(&world.sound("short.wav"), &tone(440.0, 0.01));
    let model = BandEar::new();
    let first = world.library(&model).unwrap();
    assert_eq!((first.embedded, first.files.len()), (1, 1));
    let reasons = skipped(&first);
    let names: Vec<&str> = reasons.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["empty.wav", "header.wav", "letter.mp3", "short.wav"]
    );
    for (name, reason) in &reasons {
        assert!(
            !reason.is_empty() && !reason.contains(name.as_str()),
            "{name}: {reason}"
        );
    }
    assert_eq!(skipped(&world.library(&model).unwrap()), reasons);
    // A bad file that is mended is taken up.
    fs::copy(world.sound("440.wav"), world.sound("letter.mp3")).unwrap();
    assert_eq!(world.library(&model).unwrap().files.len(), 2);
}

#[test]
fn a_run_that_is_stopped_keeps_what_it_did_and_the_next_does_only_the_rest() {
    let tones: Vec<u32> = (1..=20).map(|n| n * 100).collect();
    let world = World::of_tones(&tones);
    let model = BandEar::new();
    let options = Options {
        batch_tokens: 1,
        readers: 1,
        ..Options::default()
    };
    let mut engine = Engine::new(&model, Store::open(&world.store()).unwrap(), options);
    let cancel = Cancel::default();
    let stopped = engine
        .library(&[world.sounds()], &cancel, &mut |event| {
            if let Event::Moved(progress) = event
                && progress.files_done >= 5
            {
                cancel.cancel();
            }
        })
        .unwrap();
    assert!(stopped.interrupted);
    assert!(
        (5..20).contains(&stopped.files.len()),
        "{}",
        stopped.files.len()
    );
    // The clip embedded last may not have been read to its end yet; its vector is saved all the same.
    let done = model.clips();
    assert!(
        done - stopped.files.len() <= 1,
        "{done} embedded, {} kept",
        stopped.files.len()
    );

    let rest = world.library(&model).unwrap();
    assert!(!rest.interrupted);
    assert_eq!(rest.files.len(), 20);
    assert_eq!(rest.embedded, 20 - done);
    assert_eq!(model.clips(), 20, "nothing is embedded twice");
}

#[test]
fn a_long_file_that_was_stopped_halfway_goes_on_from_there() {
    let world = World::of_tones(&[]);
    write_wav(&world.sound("long.wav"), &tone(440.0, 155.0)); // six windows
    let model = BandEar::new();
    let options = Options {
        batch_tokens: 1,
        readers: 1,
        ..Options::default()
    };
    let mut engine = Engine::new(&model, Store::open(&world.store()).unwrap(), options);
    let cancel = Cancel::default();
    let stopped = engine
        .library(&[world.sounds()], &cancel, &mut |event| {
            if let Event::Moved(_) = event {
                cancel.cancel();
            }
        })
        .unwrap();
    assert!(stopped.interrupted && stopped.files.is_empty());
    let done = model.clips();
    assert!((1..6).contains(&done), "{done}");

    let rest = world.library(&model).unwrap();
    assert_eq!(rest.files.len(), 1);
    assert_eq!(model.clips(), 6);
    assert_eq!(rest.files[0].sound.samples, Some(155 * 16_000));
}

#[test]
fn a_file_the_model_refuses_is_skipped_and_a_model_that_refuses_all_ends_the_run() {
    let world = World::of_tones(&[200, 440]);
    write_wav(&world.sound("odd.wav"), &tone(440.0, 1.23));
    let mut model = BandEar::new();
    model.refuses_frames = Some(123);
    let library = world.library(&model).unwrap();
    assert_eq!(library.files.len(), 2);
    assert_eq!(skipped(&library)[0].0, "odd.wav");

    let world = World::of_tones(&[200, 440, 1000, 3000]);
    model.refuses_frames = Some(100);
    assert!(matches!(world.library(&model), Err(EngineError::Model(_))));
}

#[test]
fn a_store_that_cannot_be_written_answers_from_what_it_has_and_names_the_rest() {
    let world = World::of_tones(&[200, 440]);
    let model = BandEar::new();
    world.library(&model).unwrap();
    write_wav(&world.sound("new.wav"), &tone(1000.0, 1.0));
    fs::rename(world.sound("200.wav"), world.sound("renamed.wav")).unwrap();
    let store = Store::open_read_only(&world.store()).unwrap();
    let mut engine = Engine::new(&model, store, Options::default());
    let library = engine
        .library(&[world.sounds()], &Cancel::default(), &mut |_| {})
        .unwrap();
    assert_eq!(library.files.len(), 2);
    assert_eq!(skipped(&library)[0].0, "new.wav");
    let hits = engine
        .search(&library, &Question::words("440 Hz", 1))
        .unwrap()
        .hits;
    assert!(hits[0].file.shown.ends_with("440.wav"));
}

#[test]
fn two_engines_at_once_end_with_the_same_library() {
    let tones: Vec<u32> = (1..=12).map(|n| n * 150).collect();
    let world = World::of_tones(&tones);
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                let model = BandEar::new();
                assert_eq!(world.library(&model).unwrap().files.len(), 12);
            });
        }
    });
    let model = BandEar::new();
    let library = world.library(&model).unwrap();
    assert_eq!(
        (library.files.len(), library.embedded, model.clips()),
        (12, 0, 0)
    );
    let summary = Store::open(&world.store()).unwrap().summary().unwrap();
    assert_eq!((summary.files, summary.spaces[0].windows), (12, 12));
}

#[test]
fn progress_counts_seconds_of_sound_and_ends_where_it_said() {
    let world = World::of_tones(&[200, 440, 1000, 3000]);
    write_wav(&world.sound("long.wav"), &tone(440.0, 61.0));
    let model = BandEar::new();
    let mut last = None;
    let mut planned = None;
    let library = world
        .engine(&model)
        .library(
            &[world.sounds()],
            &Cancel::default(),
            &mut |event| match event {
                Event::Planned { files, new } => planned = Some((files, new)),
                Event::Moved(p) => {
                    assert!(p.seconds.is_none_or(|all| all >= p.seconds_done - 1e-9));
                    last = Some((p.files_done, p.files, p.seconds_done, p.seconds));
                }
                _ => {}
            },
        )
        .unwrap();
    assert_eq!(planned, Some((5, 5)));
    assert_eq!(last, Some((5, 5, 65.0, Some(65.0))));
    assert_eq!(library.seconds, 65.0);
}

#[test]
fn the_ear_of_these_tests_tells_tones_apart() {
    let model = BandEar::new();
    let hear = |words: &str| -> Embedding { model.vector(&Input::Text(words)).unwrap() };
    let (a, b, far) = (hear("430 Hz"), hear("440 Hz"), hear("3000 Hz"));
    assert!(a.cosine(&b) > a.cosine(&far) + 0.2);
}
