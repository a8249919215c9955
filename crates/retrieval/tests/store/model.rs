//! Random operations against a plain model of the store, with restarts.

use std::collections::BTreeMap;

use aurola_retrieval::store::{Filter, Store, Tag, TagFilter, TagSource};
use aurola_retrieval::{ContentId, Embedding, Query, Snapshot};

use crate::*;

/// How many names and how many different bytes there are: few, so that they meet.
const NAMES: u64 = 60;
const CONTENTS: u64 = 40;

/// What ought to be in the store.
#[derive(Default)]
struct Model {
    /// Content by name.
    files: BTreeMap<u64, u64>,
    /// Tag by content; only while a file holds it.
    tags: BTreeMap<u64, u64>,
    /// Whether a content is embedded, with the version of its vectors.
    embedded: BTreeMap<u64, u64>,
}

fn name(n: u64) -> PathBuf {
    format!("/sounds/{}/{n:03}.wav", n % 4).into()
}

/// Two windows of content `c` in version `v`.
fn vectors(c: u64, v: u64) -> Vec<(Span, Embedding)> {
    windows(c * 1_000 + v)
}

fn tag(value: u64) -> Tag {
    Tag {
        source: TagSource::User,
        name: "keyword".into(),
        value: format!("t{value}"),
    }
}

#[test]
fn three_thousand_random_operations_leave_what_a_plain_model_has() {
    run(3_000, fresh_seed());
}

#[test]
#[ignore = "minutes: run by hand or at night"]
fn two_hundred_thousand_random_operations() {
    run(200_000, fresh_seed());
}

fn run(operations: usize, seed: u64) {
    println!("seed {seed}");
    let mut state_of_chance = seed;
    let chance = &mut state_of_chance;
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("s.sqlite");
    let mut store = Store::open(&at).unwrap();
    // What is tested is not the disk, which `crash` kills: two hundred thousand syncs take an hour.
    store.trust_the_system().unwrap();
    let mut snapshot: Option<Snapshot> = None;
    let mut model = Model::default();
    let mut restarts = 0;
    for step in 0..operations {
        match random(chance, 1_000) {
            0..300 => {
                let (n, c) = (random(chance, NAMES), random(chance, CONTENTS));
                let version = model.embedded.get(&c).copied().unwrap_or(0);
                let writer = store.write().unwrap();
                let space = writer.space(&key()).unwrap();
                let content = writer.content(&hash(c), 7, &Sound::default()).unwrap();
                for (span, vector) in vectors(c, version) {
                    writer.window(&space, &content, span, &vector).unwrap();
                }
                writer.complete(&space, &content, 2).unwrap();
                writer
                    .file(&name(n), &state(n), CHECKED_NS, &content)
                    .unwrap();
                writer.commit().unwrap();
                model.files.insert(n, c);
                model.embedded.insert(c, version);
            }
            300..380 => {
                // Other vectors for what is known.
                let c = random(chance, CONTENTS);
                if let Some(version) = model.embedded.get_mut(&c) {
                    *version += 1;
                    let content = store.content(&hash(c), None).unwrap().unwrap().content;
                    let writer = store.write().unwrap();
                    let space = writer.space(&key()).unwrap();
                    for (span, vector) in vectors(c, *version) {
                        writer.window(&space, &content, span, &vector).unwrap();
                    }
                    writer.commit().unwrap();
                }
            }
            380..460 => {
                let c = random(chance, CONTENTS);
                if model.embedded.contains_key(&c) {
                    let value = random(chance, 5);
                    let content = store.content(&hash(c), None).unwrap().unwrap().content;
                    let writer = store.write().unwrap();
                    writer
                        .set_tags(&content, TagSource::User, &[tag(value)])
                        .unwrap();
                    writer.commit().unwrap();
                    model.tags.insert(c, value);
                }
            }
            460..520 => {
                let n = random(chance, NAMES);
                let forgotten = store.forget(&name(n)).unwrap();
                assert_eq!(
                    forgotten,
                    u64::from(model.files.remove(&n).is_some()),
                    "step {step}"
                );
                drop_unheld(&mut model);
            }
            520..530 => {
                let folder = random(chance, 4);
                store
                    .forget(Path::new(&format!("/sounds/{folder}")))
                    .unwrap();
                model.files.retain(|n, _| n % 4 != folder);
                drop_unheld(&mut model);
            }
            530..545 => {
                if let Some(space) = store.space(&key()).unwrap() {
                    store.seal(&space, &[], true).unwrap();
                }
            }
            545..550 => {
                // There and back again.
                let (here, away) = (format!("/sounds/{}", random(chance, 4)), Path::new("/away"));
                let moved = store.relink(Path::new(&here), away).unwrap();
                assert_eq!(store.relink(away, Path::new(&here)).unwrap(), moved);
            }
            550..551 => {
                drop(store);
                if random(chance, 4) == 0 {
                    let repaired = Store::repair(&at).unwrap();
                    assert_eq!(repaired.found.damaged, 0, "{:?}", repaired.found.damage);
                    std::fs::remove_file(repaired.set_aside).unwrap();
                }
                store = Store::open(&at).unwrap();
                store.trust_the_system().unwrap();
                restarts += 1;
            }
            _ => {
                let now = match (snapshot.take(), store.space(&key()).unwrap()) {
                    (_, None) => continue,
                    (Some(before), Some(_)) => before.refreshed(&store).unwrap().unwrap_or(before),
                    (None, Some(space)) => Snapshot::load(&store, &space).unwrap(),
                };
                look(&store, &now, &model, chance, step);
                snapshot = Some(now);
            }
        }
    }
    drop(store);
    let inspection = Store::inspect(&at).unwrap();
    assert_eq!(inspection.damaged, 0, "{:?}", inspection.damage);
    println!("{operations} operations, {restarts} restarts");
}

/// Contents that no file holds go with the next forgetting, tags and vectors with them.
fn drop_unheld(model: &mut Model) {
    let held: Vec<u64> = model.files.values().copied().collect();
    model.embedded.retain(|c, _| held.contains(c));
    model.tags.retain(|c, _| held.contains(c));
}

/// One question, by meaning, filter or words, answered by both.
fn look(store: &Store, snapshot: &Snapshot, model: &Model, chance: &mut u64, step: usize) {
    let id_of = |c: u64| store.content(&hash(c), None).unwrap().unwrap().content.id;
    let wanted = random(chance, 5);
    let filter = Filter {
        tags: vec![TagFilter {
            name: None,
            value: format!("T{wanted}"),
        }],
        ..Filter::default()
    };
    let mut passing: Vec<ContentId> = store
        .matching(&filter)
        .unwrap()
        .into_iter()
        .map(|(_, content)| content)
        .collect();
    passing.sort_unstable();
    passing.dedup();
    let tagged = |c: &u64| model.tags.get(c) == Some(&wanted);
    let mut held: Vec<u64> = model.files.values().copied().collect();
    held.sort_unstable();
    held.dedup();
    let mut plain: Vec<ContentId> = held
        .iter()
        .filter(|c| tagged(c))
        .map(|c| id_of(*c))
        .collect();
    plain.sort_unstable();
    assert_eq!(passing, plain, "step {step}: the filter");

    let (_, vector) = vectors(random(chance, CONTENTS), random(chance, 3)).remove(0);
    let query = Query::like(&vector);
    let among = (random(chance, 2) == 0).then_some(passing.as_slice());
    let best = snapshot.best(&query, 5, among).unwrap();
    let mut scored: Vec<(f32, ContentId)> = (model.embedded.iter())
        .filter(|(c, _)| among.is_none() || (tagged(c) && held.contains(c)))
        .map(|(c, version)| {
            let score = vectors(*c, *version)
                .iter()
                .map(|(_, own)| aurola_retrieval::distance::dot(own.as_slice(), query.direction()))
                .fold(f32::MIN, f32::max);
            (score, id_of(*c))
        })
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    scored.truncate(5);
    let found: Vec<(f32, ContentId)> = best
        .iter()
        .map(|hit| (hit.best.score, hit.content))
        .collect();
    assert_eq!(found, scored, "step {step}: by meaning");

    let n = random(chance, NAMES);
    let known = store.known_file(&name(n), Some(snapshot.space())).unwrap();
    let content = model.files.get(&n).map(|c| id_of(*c));
    assert_eq!(
        known.as_ref().map(|file| file.content.id),
        content,
        "step {step}: a file"
    );
    let named = store.by_words(&format!("{n:03}"), 1_000).unwrap();
    let is_there = known.is_some_and(|file| named.iter().any(|hit| hit.file == file.id));
    assert_eq!(is_there, content.is_some(), "step {step}: by words");
}
