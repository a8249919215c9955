//! What is found, where in it, and in which order.

use aurola::{Cancel, EngineError, Question};
use aurola_retrieval::QueryError;

use crate::*;

#[test]
fn words_find_the_tone_they_mean() {
    let world = World::of_tones(&[200, 440, 1000, 3000, 7000]);
    let model = BandEar::new();
    for hertz in ["200", "440", "1000", "3000", "7000"] {
        let found = world.search(&model, &Question::words(format!("{hertz} Hz"), 2));
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], format!("{hertz}.wav"));
    }
}

#[test]
fn a_long_file_answers_with_the_span_that_holds_the_sound() {
    let world = World::of_tones(&[440]);
    // Two minutes of 200 Hz; from 1:05 to 1:08 there is 3 kHz instead, which two windows hear.
    let mut long = tone(200.0, 120.0);
    long[65 * 16_000..68 * 16_000].copy_from_slice(&tone(3000.0, 3.0));
    write_wav(&world.sound("long.wav"), &long);
    let model = BandEar::new();
    let mut engine = world.engine(&model);
    let library = engine
        .library(&[world.sounds()], &Cancel::default(), &mut |_| {})
        .unwrap();
    let hits = engine
        .search(&library, &Question::words("3000 Hz", 1))
        .unwrap()
        .hits;
    assert!(hits[0].file.shown.ends_with("long.wav"));
    assert_eq!(hits[0].duration_s, Some(120.0));
    let best = hits[0].best;
    assert!(best.start_s <= 65.0 && 68.0 <= best.end_s, "{best:?}");
    assert_eq!(best.end_s - best.start_s, 30.0);
    for other in &hits[0].others {
        assert!(other.end_s <= best.start_s || best.end_s <= other.start_s);
        assert!(other.score <= best.score);
    }
}

#[test]
fn a_sound_finds_itself_first_and_what_is_near_next() {
    let world = World::of_tones(&[430, 440, 3000]);
    let model = BandEar::new();
    let like = |name: &str| Question {
        text: None,
        like: vec![world.sound(name)],
        ..Question::words("", 3)
    };
    assert_eq!(
        world.search(&model, &like("440.wav")),
        ["440.wav", "430.wav", "3000.wav"]
    );
    let outside = world.folder.path().join("outside.wav");
    write_wav(&outside, &tone(2900.0, 1.0));
    let question = Question {
        like: vec![outside],
        ..like("440.wav")
    };
    assert_eq!(world.search(&model, &question)[0], "3000.wav");
}

#[test]
fn what_is_not_wanted_sinks() {
    let world = World::of_tones(&[440, 3000]);
    let mut both = tone(440.0, 2.0);
    both[16_000..].copy_from_slice(&tone(3000.0, 1.0));
    write_wav(&world.sound("both.wav"), &both);
    let model = BandEar::new();
    let mut question = Question::words("440 Hz", 3);
    assert_eq!(
        world.search(&model, &question),
        ["440.wav", "both.wav", "3000.wav"]
    );
    question.not = vec!["440 Hz".into()];
    question.text = Some("3000 Hz".into());
    assert_eq!(
        world.search(&model, &question),
        ["3000.wav", "both.wav", "440.wav"]
    );
}

#[test]
fn a_judge_reorders_only_what_it_judged_and_one_without_an_opinion_nothing() {
    let world = World::of_tones(&[400, 440, 500, 700, 3000]);
    let mut model = BandEar::new();
    let plain = Question::words("440 Hz", 5);
    let judged = Question {
        rerank: 3,
        ..plain.clone()
    };
    let order = world.search(&model, &plain);
    for verdict in [-3.0, 0.0, 3.0] {
        model.verdict = Some(verdict);
        assert_eq!(
            world.search(&model, &judged),
            order,
            "the same word for all of them"
        );
    }
    model.verdict = None;
    let mut engine = world.engine(&model);
    let library = engine
        .library(&[world.sounds()], &Cancel::default(), &mut |_| {})
        .unwrap();
    let hits = engine.search(&library, &judged).unwrap().hits;
    assert_eq!(hits.iter().filter(|hit| hit.p_yes.is_some()).count(), 3);
    for pair in hits.windows(2) {
        assert!(pair[0].score >= pair[1].score);
    }
    for hit in &hits {
        assert_eq!(hit.score, hit.cosine + hit.p_yes.unwrap_or(0.0));
    }
}

#[test]
fn another_model_may_judge_what_the_first_one_finds() {
    let world = World::of_tones(&[200, 440, 1000]);
    let (finder, mut judge) = (BandEar::new(), BandEar::new());
    judge.verdict = Some(2.0);
    let mut engine = world.engine(&finder).with_reranker(&judge);
    let library = engine
        .library(&[world.sounds()], &Cancel::default(), &mut |_| {})
        .unwrap();
    let question = Question {
        rerank: 3,
        ..Question::words("440 Hz", 3)
    };
    let certain = 1.0 / (1.0 + (-2.0_f32).exp());
    for hit in engine.search(&library, &question).unwrap().hits {
        assert!((hit.p_yes.unwrap() - certain).abs() < 1e-6, "{hit:?}");
    }
}

#[test]
fn questions_that_cannot_be_answered_say_why() {
    let world = World::of_tones(&[440]);
    let model = BandEar::new();
    let mut engine = world.engine(&model);
    let library = engine
        .library(&[world.sounds()], &Cancel::default(), &mut |_| {})
        .unwrap();
    let mut ask = |question: Question| engine.search(&library, &question).unwrap_err();
    let nothing = Question {
        text: None,
        ..Question::words("", 1)
    };
    assert!(matches!(
        ask(nothing.clone()),
        EngineError::Query(QueryError::NothingWanted)
    ));
    let judged = Question {
        like: vec![world.sound("440.wav")],
        rerank: 5,
        ..nothing.clone()
    };
    assert!(matches!(ask(judged), EngineError::NothingToJudgeBy));
    let gone = Question {
        like: vec!["gone.wav".into()],
        ..nothing.clone()
    };
    assert!(matches!(ask(gone), EngineError::NoSuchPath { .. }));
    let text = world.folder.path().join("letter.wav");
    std::fs::write(&text, "Dear sound,").unwrap();
    let unreadable = Question {
        like: vec![text.clone()],
        ..nothing
    };
    assert!(matches!(
        ask(unreadable),
        EngineError::Unreadable { path, .. } if path == text
    ));
}

#[test]
fn equal_sounds_are_listed_by_path_and_each_under_its_own_name() {
    let world = World::of_tones(&[440]);
    for name in ["c.wav", "a.wav", "b.wav"] {
        std::fs::copy(world.sound("440.wav"), world.sound(name)).unwrap();
    }
    let model = BandEar::new();
    let found = world.search(&model, &Question::words("440 Hz", 10));
    assert_eq!(found, ["440.wav", "a.wav", "b.wav", "c.wav"]);
    assert_eq!(model.clips(), 1, "four names, one sound");
}
