//! What a model looks like in the cache, and when the network is left alone.

use std::fs;
use std::ops::ControlFlow;

use aurola_hub::{HubError, Plan, Progress, Silent, cached, list, remove, resolve};

use crate::server::COMMIT;
use crate::{NEEDED, WEIGHTS, World, large, model, served, small, witness};

#[test]
fn a_model_lies_in_the_cache_as_python_would_lay_it() {
    let world = World::new(model());
    let mut told = witness();
    let folder = resolve("org/model", &world.options, &mut told).unwrap();
    assert_eq!(folder, world.folder().join("snapshots").join(COMMIT));
    let mut expected: Vec<String> = NEEDED
        .iter()
        .map(|path| format!("blobs/{}", served(path).hash()))
        .chain(
            NEEDED
                .iter()
                .map(|path| format!("snapshots/{COMMIT}/{path}")),
        )
        .chain([format!(".aurola/{COMMIT}"), "refs/main".to_owned()])
        .collect();
    expected.sort();
    assert_eq!(world.tree(), expected);
    for path in NEEDED {
        assert_eq!(fs::read(folder.join(path)).unwrap(), served(path).bytes);
        let link = fs::read_link(folder.join(path)).unwrap();
        let up = if path.contains('/') {
            "../../../"
        } else {
            "../../"
        };
        let target = format!("{up}blobs/{}", served(path).hash());
        assert_eq!(link.to_str().unwrap(), target);
    }
    let reference = fs::read_to_string(world.folder().join("refs/main")).unwrap();
    assert_eq!(reference, COMMIT, "without a line break");
}

#[test]
fn the_size_is_known_before_and_the_bytes_are_counted_up_to_it() {
    let world = World::new(model());
    let mut told = witness();
    resolve("org/model", &world.options, &mut told).unwrap();
    let total: u64 = NEEDED.iter().map(|p| served(p).bytes.len() as u64).sum();
    let [plan] = &told.plans[..] else {
        panic!("asked {} times", told.plans.len());
    };
    assert_eq!((plan.total_bytes, plan.missing_bytes), (total, total));
    assert_eq!(plan.commit, COMMIT);
    let listed: Vec<_> = plan
        .files
        .iter()
        .map(|f| (f.path.as_str(), f.here))
        .collect();
    assert_eq!(listed, NEEDED.map(|path| (path, false)));
    assert!(told.done.is_sorted());
    assert_eq!(told.done.last(), Some(&total));
}

#[test]
fn nothing_is_fetched_where_the_plan_is_declined() {
    struct Decline;
    impl Progress for Decline {
        fn plan(&mut self, _: &Plan) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    let world = World::new(model());
    let error = resolve("org/model", &world.options, &mut Decline).unwrap_err();
    assert!(matches!(error, HubError::Stopped { .. }), "{error}");
    assert_eq!(world.hub.asked().len(), 1, "the listing alone");
    assert!(world.tree().is_empty());
}

#[test]
fn a_whole_model_is_found_again_without_the_network() {
    let mut world = World::new(model());
    let folder = world.resolve("org/model").unwrap();
    let asked = world.hub.asked().len();
    assert_eq!(world.resolve("org/model").unwrap(), folder);
    assert_eq!(
        world.resolve(&format!("org/model@{COMMIT}")).unwrap(),
        folder
    );
    assert_eq!(cached("org/model", &world.options), Some(folder.clone()));
    world.options.offline = Some("HF_HUB_OFFLINE".to_owned());
    world.options.refresh = true;
    assert_eq!(world.resolve("org/model").unwrap(), folder);
    assert_eq!(world.hub.asked().len(), asked);
}

#[test]
fn a_branch_that_moves_is_followed_on_request_and_fetches_what_changed() {
    const NEXT: &str = "fedcba9876543210fedcba9876543210fedcba98";
    let mut world = World::new(model());
    let old = world.resolve("org/model").unwrap();
    let mut files = model();
    files[4] = small("config.json", r#"{"model_type": "other"}"#);
    world.hub.publish(NEXT, files);
    assert_eq!(world.resolve("org/model").unwrap(), old);

    world.options.refresh = true;
    let new = world.resolve("org/model").unwrap();
    assert!(new.ends_with(NEXT));
    assert_eq!(world.hub.asked_for("model.safetensors").len(), 1);
    assert_eq!(world.hub.asked_for("config.json").len(), 3);
    world.options.refresh = false;
    assert_eq!(world.resolve("org/model").unwrap(), new);
    assert_eq!(world.resolve(&format!("org/model@{COMMIT}")).unwrap(), old);
}

#[test]
fn a_revision_with_slashes_is_asked_for_and_remembered() {
    let world = World::new(model());
    world.resolve("org/model@refs/pr/3").unwrap();
    let listing = &world.hub.asked()[0].target;
    assert_eq!(
        listing,
        "/api/models/org/model/revision/refs%2Fpr%2F3?blobs=true"
    );
    let reference = world.folder().join("refs/refs/pr/3");
    assert_eq!(fs::read_to_string(reference).unwrap(), COMMIT);
    assert_eq!(
        cached("org/model", &world.options),
        None,
        "main was not asked for"
    );
    assert!(cached("org/model@refs/pr/3", &world.options).is_some());
}

#[test]
fn a_folder_wins_over_a_name() {
    // Relative to this crate, `tests/hub` is a folder, and could be a name.
    let world = World::new(model());
    assert_eq!(
        world.resolve("tests/hub").unwrap().to_str(),
        Some("tests/hub")
    );
    assert!(world.hub.asked().is_empty());
    let file = world.resolve("tests/hub/main.rs").unwrap_err();
    assert!(matches!(file, HubError::NotAFolder { .. }), "{file}");
}

/// What Python leaves behind when a program asked for a few of the files only.
fn half_by_python(world: &World, paths: &[&str]) {
    let snapshot = world.folder().join("snapshots").join(COMMIT);
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(world.folder().join("refs")).unwrap();
    fs::create_dir_all(world.folder().join("blobs")).unwrap();
    fs::write(world.folder().join("refs/main"), COMMIT).unwrap();
    for path in paths {
        let file = served(path);
        let blob = world.folder().join("blobs").join(file.hash());
        fs::write(&blob, &file.bytes).unwrap();
        std::os::unix::fs::symlink(blob, snapshot.join(path)).unwrap();
    }
}

const LOADABLE: [&str; 3] = ["config.json", "model.safetensors", "tokenizer.json"];

#[test]
fn what_python_fetched_is_completed_with_what_only_we_use() {
    let world = World::new(model());
    half_by_python(&world, &LOADABLE);
    let mut told = witness();
    let folder = resolve("org/model", &world.options, &mut told).unwrap();
    assert!(folder.join("1_Pooling/config.json").is_file());
    assert!(folder.join("chat_template.jinja").is_file());
    assert!(world.hub.asked_for("model.safetensors").is_empty());
    let small = told.plans[0].missing_bytes;
    assert!(small < 100, "{small} bytes");
    let asked = world.hub.asked().len();
    world.resolve("org/model").unwrap();
    assert_eq!(world.hub.asked().len(), asked);
}

#[test]
fn what_python_fetched_is_used_as_it_is_where_there_is_no_network() {
    let mut world = World::new(model());
    half_by_python(&world, &LOADABLE);
    world.options.offline = Some("TRANSFORMERS_OFFLINE".to_owned());
    assert!(world.resolve("org/model").is_ok());
    world.options.offline = None;
    // Port 9 discards; nobody listens there.
    world.options.endpoint = "http://127.0.0.1:9".to_owned();
    assert!(world.resolve("org/model").is_ok());
    world.options.refresh = true;
    let error = world.resolve("org/model").unwrap_err();
    assert!(matches!(error, HubError::Network { .. }), "{error}");
}

#[test]
fn the_shelf_shows_what_can_be_loaded_and_gives_it_back() {
    let world = World::new(model());
    assert_eq!(list(&world.options).unwrap(), []);
    let folder = world.resolve("org/model").unwrap();
    fs::create_dir_all(
        world
            .cache
            .path()
            .join("models--org--half/snapshots")
            .join(COMMIT),
    )
    .unwrap();
    fs::create_dir_all(world.cache.path().join("datasets--org--sounds")).unwrap();
    let models = list(&world.options).unwrap();
    let [model] = &models[..] else {
        panic!("{models:?}");
    };
    assert_eq!(
        (model.id.as_str(), model.commit.as_str()),
        ("org/model", COMMIT)
    );
    assert_eq!(model.revisions, ["main"]);
    assert_eq!(model.model_type.as_deref(), Some("qwen2_5_omni_thinker"));
    let total: u64 = NEEDED.iter().map(|p| served(p).bytes.len() as u64).sum();
    assert_eq!((&model.folder, model.bytes), (&folder, total));

    assert!(remove("org/model", &world.options).unwrap() >= total);
    assert!(!world.folder().exists());
    assert_eq!(list(&world.options).unwrap(), []);
    let gone = remove("org/model", &world.options).unwrap_err();
    assert!(matches!(gone, HubError::NotCached { .. }), "{gone}");
    for bad in ["..", "../..", "org/model@main", "org"] {
        let error = remove(bad, &world.options).unwrap_err();
        assert!(
            matches!(error, HubError::NoSuchName { .. }),
            "{bad}: {error}"
        );
    }
}

#[test]
fn a_file_that_another_one_equals_is_fetched_once() {
    let mut files = model();
    files.push(large("model-copy.safetensors", WEIGHTS));
    let world = World::new(files);
    let folder = resolve("org/model", &world.options, &mut Silent).unwrap();
    assert!(folder.join("model-copy.safetensors").is_file());
    let fetched = world.hub.asked_for(".safetensors").len();
    assert_eq!(fetched, 1);
}
