//! What is written: true, varied, grammatical, and wrong in one thing where it is meant to be.

use std::collections::HashSet;

use aurola_scenes::{NearMissKind, Scene, SceneConfig, families};

fn scenes(n: u64) -> impl Iterator<Item = Scene> {
    let config = SceneConfig::default();
    (0..n).map(move |seed| Scene::draw(seed, &config))
}

fn assert_is_prose(text: &str) {
    assert!(text.ends_with('.') && !text.ends_with(".."), "{text}");
    assert!(text.starts_with(|c: char| c.is_uppercase()), "{text}");
    for bad in [
        "  ", " ,", " .", ",.", ",,", "*", "^", "~", "+", "|", " a a", " an an ", "\"",
    ] {
        assert!(!text.contains(bad), "{bad:?} in {text}");
    }
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| !c.is_alphanumeric() && c != '-' && c != '\'')
        .filter(|w| !w.is_empty())
        .collect();
    for pair in words.windows(2) {
        let vowel = pair[1].starts_with(['a', 'e', 'i', 'o', 'u']);
        assert!(!(pair[0] == "a" && vowel), "a {} in {text}", pair[1]);
        assert!(pair[0] != "an" || vowel, "an {} in {text}", pair[1]);
        assert!(pair[0] != pair[1], "{} twice in {text}", pair[0]);
        let article = ["a", "an", "the"];
        assert!(
            !(article.contains(&pair[0]) && article.contains(&pair[1])),
            "{pair:?} in {text}"
        );
    }
}

#[test]
fn captions_are_prose_and_tags_are_tags() {
    for scene in scenes(1_500) {
        for wording in [scene.seed(), scene.seed() + 7_000_000] {
            let captions = scene.captions(wording);
            assert_is_prose(&captions.long);
            assert_is_prose(&captions.short);
            assert_eq!(
                captions.short.matches(". ").count(),
                0,
                "{}",
                captions.short
            );
            assert!(
                captions.long.matches(". ").count() >= 1,
                "{}",
                captions.long
            );
            let mut tags: Vec<&str> = captions.tag.split(", ").collect();
            let mut expected = scene.tags();
            tags.sort_unstable();
            expected.sort_unstable();
            assert_eq!(tags, expected);
            for miss in scene.near_misses(wording) {
                assert_is_prose(&miss.caption);
            }
        }
    }
}

#[test]
fn verbs_agree_with_their_nouns() {
    for scene in scenes(1_500) {
        let captions = scene.captions(scene.seed());
        for text in [captions.long, captions.short] {
            let lower = text.to_lowercase();
            for bad in [
                "there is two",
                "there is three",
                "there are a dog",
                "there are rain",
                "barks is ",
                "bark are",
                "footsteps is ",
                "is crickets",
                "waves is ",
            ] {
                assert!(!lower.contains(bad), "{bad:?} in {text}");
            }
        }
    }
}

#[test]
fn one_scene_is_told_in_many_ways() {
    for scene in scenes(60) {
        let shorts: HashSet<String> = (0..50)
            .map(|wording| scene.captions(wording).short)
            .collect();
        let longs: HashSet<String> = (0..50)
            .map(|wording| scene.captions(wording).long)
            .collect();
        assert!(shorts.len() >= 10, "{}: {shorts:?}", scene.key());
        assert!(longs.len() >= 20, "{}: {longs:?}", scene.key());
        assert_eq!(scene.captions(3), scene.captions(3));
    }
}

#[test]
fn near_misses_are_never_captions_of_the_truth() {
    for scene in scenes(150) {
        let truths: HashSet<String> = (0..50)
            .flat_map(|wording| {
                let captions = scene.captions(wording);
                [captions.short, captions.long]
            })
            .collect();
        for wording in 0..5 {
            for miss in scene.near_misses(wording) {
                assert!(
                    !truths.contains(&miss.caption),
                    "{}: {}",
                    scene.key(),
                    miss.caption
                );
            }
        }
    }
}

/// The outline taken apart: events in order with counts, and the background.
fn taken_apart(outline: &str) -> (Vec<(String, String)>, Option<String>) {
    let (events, background) = outline
        .split_once(" / ")
        .map_or((outline, None), |(e, b)| (e, Some(b.to_owned())));
    let events = events
        .split([' ', '>', '&'])
        .filter(|part| !part.is_empty())
        .map(|part| {
            part.split_once('*')
                .map_or((part.to_owned(), String::new()), |(f, n)| {
                    (f.to_owned(), n.to_owned())
                })
        })
        .collect();
    (events, background)
}

#[test]
fn near_misses_differ_in_the_one_thing_they_name() {
    let mut seen = HashSet::new();
    for scene in scenes(400) {
        let (truth, ground) = taken_apart(&scene.outline());
        for miss in scene.near_misses(scene.seed()) {
            seen.insert(miss.kind);
            let (told, told_ground) = taken_apart(&miss.outline);
            let differing = truth.iter().zip(&told).filter(|(a, b)| a != b).count();
            let same_set = |a: &[(String, String)], b: &[(String, String)]| {
                let (mut a, mut b) = (a.to_vec(), b.to_vec());
                a.sort();
                b.sort();
                a == b
            };
            assert_eq!(truth.len(), told.len());
            let context = format!(
                "{:?}: {} became {}",
                miss.kind,
                scene.outline(),
                miss.outline
            );
            match miss.kind {
                NearMissKind::Order => {
                    assert!(
                        ground == told_ground && differing == 2 && same_set(&truth, &told),
                        "{context}"
                    );
                }
                NearMissKind::Count => {
                    assert!(ground == told_ground, "{context}");
                    let mut families = [truth.clone(), told.clone()]
                        .map(|side| side.into_iter().map(|e| e.0).collect::<Vec<_>>());
                    families.iter_mut().for_each(|side| side.sort());
                    assert!(
                        families[0] == families[1] && !same_set(&truth, &told),
                        "{context}"
                    );
                }
                NearMissKind::Event => {
                    assert_eq!(ground, told_ground, "{context}");
                    assert_eq!(
                        told.iter()
                            .filter(|event| !truth.iter().any(|t| t.0 == event.0))
                            .count(),
                        1,
                        "{context}"
                    );
                }
                NearMissKind::Background => {
                    assert!(ground != told_ground && truth == told, "{context}");
                }
                other => panic!("{other:?} is new: say here what it changes"),
            }
        }
    }
    assert_eq!(seen.len(), 4);
}

#[test]
fn the_count_that_is_said_is_the_count_that_is_heard() {
    const SAID: [(&str, usize); 8] = [
        (" twice", 2),
        (" two ", 2),
        (" three ", 3),
        (" four ", 4),
        (" five ", 5),
        (" once", 1),
        (" a single ", 1),
        (" one ", 1),
    ];
    let config = SceneConfig {
        room: 0.0,
        ..SceneConfig::default()
    };
    for family in families().iter().filter(|family| !family.is_texture()) {
        for seed in 0..10 {
            let scene = Scene::single(family.name(), seed, &config).expect("listed");
            let count = scene.timeline().len();
            for wording in 0..20 {
                let text = format!(" {}", scene.captions(wording).short.to_lowercase());
                for (word, n) in SAID {
                    assert!(
                        !text.contains(word) || n == count,
                        "{count} of {}: {text}",
                        family.name()
                    );
                }
                let vague = text.contains("several") || text.contains("a few");
                assert!(!vague || count >= 3, "{text}");
            }
        }
    }
}

#[test]
fn families_are_well_named() {
    let names: HashSet<&str> = families().iter().map(|family| family.name()).collect();
    let tags: HashSet<&str> = families().iter().map(|family| family.tag()).collect();
    assert!(names.len() >= 44, "{} families", names.len());
    assert_eq!(names.len(), families().len());
    assert_eq!(tags.len(), families().len());
    for family in families() {
        let synonyms: HashSet<String> = family.synonyms().into_iter().collect();
        assert!(synonyms.len() >= 8, "{}: {synonyms:?}", family.name());
        for synonym in synonyms {
            assert!(
                !synonym.contains(['*', '^', '~', '+', '|']) && !synonym.is_empty(),
                "{synonym}"
            );
        }
    }
    assert!(Scene::single("unicorn", 0, &SceneConfig::default()).is_none());
}

#[test]
fn equal_keys_have_interchangeable_captions() {
    // Few families and one event: keys repeat soon.
    let config = SceneConfig {
        max_events: 1,
        background: 0.0,
        ..SceneConfig::default()
    };
    let mut first: std::collections::HashMap<String, Scene> = std::collections::HashMap::new();
    let mut repeats = 0;
    for seed in 0..2_000 {
        let scene = Scene::draw(seed, &config);
        if let Some(earlier) = first.get(&scene.key()) {
            assert_eq!(earlier.captions(5), scene.captions(5), "{}", scene.key());
            repeats += 1;
        } else {
            first.insert(scene.key(), scene);
        }
    }
    assert!(repeats > 500, "{repeats} repeats");
}
