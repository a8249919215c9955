//! What becomes of a draw.

use aurola_train::data::{Asked, CaptionKind, Draw, Negative, Negatives, QuerySide};
use aurola_train::loss::ClusterSet;
use tempfile::tempdir;

use super::{TABLE, run, sounds, table_of, tone, write};

#[test]
fn the_same_draw_is_the_same_example_and_another_is_not() {
    let folder = tempdir().unwrap();
    table_of(folder.path(), 4);
    let augmented = r#"
        augment.speed = { factor = [0.9, 1.1] }
        augment.mix = { probability = 0.5, snr_db = [0.0, 10.0] }
        augment.shift = { most_s = 0.5 }
        augment.tilt = { db = [-6.0, 6.0] }
        augment.low_pass = { probability = 0.5, hz = [1000.0, 7000.0] }
        augment.gain = { db = [-6.0, 6.0] }
        augment.noise = { probability = 0.5, snr_db = [10.0, 40.0] }
        augment.masks = { times = 2, most_frames = 10, bands = 2, most_bands = 20 }
    "#;
    let recipe = format!("{augmented}{TABLE}");
    let cached = format!("cache_mib = 1\n{recipe}");
    let ((sampler, plain), (_, cached)) = (
        run(folder.path(), &recipe, 4),
        run(folder.path(), &cached, 4),
    );
    let draws: Vec<Draw> = (0..6).flat_map(|step| sampler.batch(step)).collect();
    let mut mixed = 0;
    for draw in &draws {
        let example = plain.realise(draw).unwrap();
        assert_eq!(example, plain.realise(draw).unwrap());
        // Twice, so that the second comes from the cache.
        assert_eq!(example, cached.realise(draw).unwrap());
        assert_eq!(example, cached.realise(draw).unwrap());
        let other = Draw {
            variation: draw.variation ^ 1,
            ..*draw
        };
        assert_ne!(example.mel, plain.realise(&other).unwrap().mel);
        mixed += usize::from(example.text.contains(" and caption"));
        let seconds = example.mel.unwrap().n_frames() as f64 / 100.0;
        assert!((example.audio_seconds - seconds).abs() < 0.011);
    }
    assert!(
        (3..=21).contains(&mixed),
        "{mixed} of {} mixed",
        draws.len()
    );
}

#[test]
fn long_clips_are_cropped_and_short_ones_filled_only_if_asked() {
    let folder = tempdir().unwrap();
    write(folder.path(), "c/rain/long.wav", tone(3.0, 300.0));
    write(folder.path(), "c/rain/short.wav", tone(0.5, 300.0));
    let recipe =
        |more: &str| format!("{more}\n[[sources]]\nname = 'c'\nkind = 'folder'\nfolder = 'c'\n");
    let seconds = |more: &str| -> Vec<(String, f64)> {
        let (sampler, examples) = run(folder.path(), &recipe(more), 2);
        let mut seconds = Vec::new();
        for draw in sampler.batch(0) {
            let example = examples.realise(&draw).unwrap();
            seconds.push((example.id, example.audio_seconds));
        }
        seconds.sort_by(|a, b| a.0.cmp(&b.0));
        seconds
    };
    let of = |long: f64, short: f64| {
        vec![
            ("rain/long.wav".to_owned(), long),
            ("rain/short.wav".to_owned(), short),
        ]
    };
    assert_eq!(seconds(""), of(3.0, 0.5));
    assert_eq!(
        seconds("max_s = 2.0\npad_to_s = 2.0\ncrop = 'start'"),
        of(2.0, 2.0)
    );
    let (sampler, examples) = run(folder.path(), &recipe("max_s = 1.0\nlongest_s = 2.0"), 2);
    let draws = sampler.batch(0);
    let errors = draws.iter().filter_map(|draw| examples.realise(draw).err());
    let errors: Vec<String> = errors.map(|error| error.to_string()).collect();
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].contains("long.wav") && errors[0].contains("longest_s"),
        "{errors:?}"
    );
}

#[test]
fn clusters_come_with_tag_captions_or_always() {
    let folder = tempdir().unwrap();
    sounds(folder.path(), &["a.wav", "b.wav"]);
    let json = r#"[
        {"id": "a", "caption_long": "L1", "caption_short": "S1", "caption_tag": "Dog, strange noise"},
        {"id": "b", "caption_long": "L2", "caption_short": "S2", "caption_tag": "dog,rain "}
    ]"#;
    write(folder.path(), "c.json", json);
    write(
        folder.path(),
        "vocab.json",
        r#"{"dog": {"cluster_index": 3}, "rain": 5, "hum": null}"#,
    );
    let recipe = |more: &str| {
        format!(
            "{more}\n[[sources]]\nname = 'c'\nkind = 'aurola'\nfile = 'c.json'\naudio = ['sounds']\n"
        )
    };
    let clusters = |more: &str| {
        let (sampler, examples) = run(folder.path(), &recipe(more), 2);
        let draws = (0..20).flat_map(move |step| sampler.batch(step));
        draws
            .map(move |draw| examples.realise(&draw).unwrap())
            .collect::<Vec<_>>()
    };
    for example in clusters("tag_vocab = 'vocab.json'") {
        let known: &[u32] = if example.id == "a" { &[3] } else { &[3, 5] };
        let known: ClusterSet = known.iter().copied().collect();
        let expected = example.text.contains(',').then_some(known);
        assert_eq!(example.clusters, expected, "{}", example.text);
    }
    let always = clusters("clusters = 'always'");
    assert!(
        always
            .iter()
            .all(|e| e.clusters.as_ref().unwrap().as_slice().len() == 2)
    );
}

#[test]
fn a_rerank_sample_has_its_query_and_both_candidates() {
    let folder = tempdir().unwrap();
    table_of(folder.path(), 4);
    let (sampler, examples) = run(folder.path(), TABLE, 4);
    let mut sides = [0, 0];
    for draw in (0..8).flat_map(|step| sampler.rerank_batch(step, &Negatives::default()).unwrap()) {
        let example = examples.realise_rerank(&draw).unwrap();
        let Negative::Rows(negative) = &draw.negative else {
            panic!("{draw:?}")
        };
        let [negative] = &negative[..] else {
            panic!("{negative:?}")
        };
        let caption = |row: usize| format!("caption {row}");
        match example.asked {
            Asked::Captions {
                query,
                right,
                wrong,
                ..
            } => {
                assert_eq!((draw.query, query), (QuerySide::Audio, QuerySide::Audio));
                assert_eq!(
                    (right, wrong),
                    (caption(draw.positive.row), vec![caption(negative.row)])
                );
                sides[0] += 1;
            }
            Asked::Sounds {
                caption: asked,
                right,
                wrong,
            } => {
                assert_eq!(asked, caption(draw.positive.row));
                assert_ne!(right, wrong);
                let seconds = (right.n_frames() + wrong.n_frames()) as f64 / 100.0;
                assert!((example.audio_seconds - seconds).abs() < 0.03);
                sides[1] += 1;
            }
        }
    }
    assert!(sides[0] > 5 && sides[1] > 5, "{sides:?}");
}

const SCENES: &str = r#"
[[sources]]
name = "scenes"
kind = "scenes"
count = 40
seed = 100
"#;

#[test]
fn scenes_are_heard_and_told_in_ever_other_words() {
    let folder = tempdir().unwrap();
    let (sampler, examples) = run(folder.path(), SCENES, 8);
    let mut kinds = std::collections::BTreeSet::new();
    for draw in (0..5).flat_map(|step| sampler.batch(step)) {
        let example = examples.realise(&draw).unwrap();
        assert_eq!(example, examples.realise(&draw).unwrap());
        assert_eq!(example.id, format!("scene-{}", 100 + draw.row));
        assert!((3.0..=5.0).contains(&example.audio_seconds));
        assert_eq!(example.clusters.is_some(), draw.caption == CaptionKind::Tag);
        kinds.insert(draw.caption);
        let texts = (0..20).map(|variation| {
            let other = Draw { variation, ..draw };
            examples.realise(&other).unwrap().text
        });
        // A tag caption of one tag has no other wording.
        let distinct: std::collections::BTreeSet<String> = texts.collect();
        assert!(
            distinct.len() > 1 || draw.caption == CaptionKind::Tag,
            "{distinct:?}"
        );
    }
    assert_eq!(kinds.len(), 3);
    let message = super::refused(folder.path(), &format!("max_s = 4.0\n{SCENES}"));
    assert!(message.contains("`scenes`, max_s"), "{message}");
}

#[test]
fn a_scenes_wrong_caption_is_wrong_by_one_thing() {
    let folder = tempdir().unwrap();
    let (sampler, examples) = run(folder.path(), SCENES, 8);
    let (mut near, mut far) = ([0, 0], [0, 0]);
    for draw in (0..5).flat_map(|step| sampler.rerank_batch(step, &Negatives::default()).unwrap()) {
        let missed = matches!(draw.negative, Negative::NearMisses { .. });
        match (examples.realise_rerank(&draw).unwrap().asked, missed) {
            (
                Asked::Captions {
                    query,
                    right,
                    wrong,
                    ..
                },
                true,
            ) => {
                assert_ne!(right, wrong[0]);
                near[usize::from(query == QuerySide::Text)] += 1;
            }
            (Asked::Captions { right, wrong, .. }, false) => {
                assert_ne!(right, wrong[0]);
                far[0] += 1;
            }
            (Asked::Sounds { right, wrong, .. }, false) => {
                assert_ne!(right, wrong);
                far[1] += 1;
            }
            (asked, true) => panic!("{asked:?} of a near miss"),
        }
    }
    assert!(near.iter().chain(&far).all(|n| *n > 3), "{near:?} {far:?}");
}
