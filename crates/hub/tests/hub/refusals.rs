//! What a hub may say no with, and what it may say that no hub should.

use std::time::{Duration, Instant};

use aurola_hub::{HubError, Token};

use crate::server::{COMMIT, Twist};
use crate::{World, large, model, small};

const LISTING: &str = "/revision/main";

fn code(code: &str) -> Vec<(&'static str, String)> {
    vec![("X-Error-Code", code.to_owned())]
}

/// The error that a listing with this status leads to, and how often the hub was asked.
fn refused(status: u16, headers: Vec<(&'static str, String)>, token: bool) -> (HubError, usize) {
    let mut world = World::new(model());
    world.options.token = Token::new("hf_secret").filter(|_| token);
    for _ in 0..9 {
        world
            .hub
            .twist(LISTING, Twist::Status(status, headers.clone()));
    }
    let error = world.resolve("org/model").unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&world.hub.address), "no address in: {text}");
    assert!(
        !text.contains("hf_secret") && !text.contains("huggingface.co"),
        "{text}"
    );
    assert!(!world.folder().exists());
    (error, world.hub.asked().len())
}

#[test]
fn a_model_that_is_not_there_or_hidden_says_both_ways_out() {
    for (status, headers, token) in [
        (404, code("RepoNotFound"), true),
        (404, vec![], false),
        (401, code("RepoNotFound"), false),
        (401, vec![], false),
    ] {
        let (error, asked) = refused(status, headers, token);
        assert!(matches!(error, HubError::NotFound { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains("no such folder") && text.contains("/org/model"),
            "{text}"
        );
        assert_eq!(asked, 1);
    }
}

#[test]
fn a_gated_model_names_the_page_where_its_terms_are() {
    for status in [401, 403] {
        let (error, asked) = refused(status, code("GatedRepo"), true);
        let HubError::Gated { page, .. } = &error else {
            panic!("{error}");
        };
        assert!(page.ends_with("/org/model"), "{page}");
        assert_eq!(asked, 1);
    }
}

#[test]
fn a_token_that_is_not_good_is_named_as_the_reason() {
    let message = "Invalid credentials in Authorization header";
    for status in [401, 403] {
        let (error, _) = refused(status, vec![("X-Error-Message", message.to_owned())], true);
        assert!(matches!(error, HubError::Unauthorized { .. }), "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn a_revision_that_is_not_there_is_named() {
    let (error, _) = refused(404, code("RevisionNotFound"), false);
    assert!(matches!(error, HubError::NoSuchRevision { .. }), "{error}");
    assert!(error.to_string().contains("`main`"), "{error}");
}

#[test]
fn a_hub_in_trouble_is_asked_again_and_in_the_end_reported() {
    for status in [408, 429, 500, 502, 503, 504] {
        let (error, asked) = refused(status, vec![], false);
        let HubError::Status { status: said, .. } = error else {
            panic!("{error}");
        };
        assert_eq!((said, asked), (status, 3));
    }
    let (error, asked) = refused(400, vec![], false);
    assert!(
        matches!(error, HubError::Status { status: 400, .. }),
        "{error}"
    );
    assert_eq!(
        asked, 1,
        "our mistake, not the hub's: asking again would not help"
    );
}

#[test]
fn a_hub_that_recovers_is_none_the_worse() {
    let world = World::new(model());
    world.hub.twist(LISTING, Twist::Status(503, vec![]));
    let soon = vec![("Retry-After", "1".to_owned())];
    world
        .hub
        .twist("model.safetensors", Twist::Status(429, soon));
    let begun = Instant::now();
    world.resolve("org/model").unwrap();
    assert!(
        begun.elapsed() >= Duration::from_secs(1),
        "it asked for a second"
    );
}

#[test]
fn a_hub_that_asks_for_an_hour_is_reported_at_once() {
    let (error, asked) = refused(429, vec![("Retry-After", "3600".to_owned())], false);
    assert!(
        matches!(error, HubError::Status { status: 429, .. }),
        "{error}"
    );
    assert_eq!(asked, 1);
}

#[test]
fn pickled_weights_are_refused_by_name() {
    let world = World::new(vec![
        small("config.json", "{}"),
        large("pytorch_model.bin", 1000),
    ]);
    let error = world.resolve("org/model").unwrap_err();
    assert!(matches!(error, HubError::NotAModel { .. }), "{error}");
    assert!(error.to_string().contains("pytorch_model.bin"), "{error}");
    assert_eq!(world.hub.asked().len(), 1);
}

#[test]
fn a_download_the_disk_has_no_room_for_is_refused_before_it_begins() {
    let world = World::new(vec![]);
    let (hash, size) = ("a".repeat(64), 1_u64 << 60);
    world.hub.list(&format!(
        r#"{{"sha":"{COMMIT}","siblings":[
            {{"rfilename":"config.json","size":2,"blobId":"{}"}},
            {{"rfilename":"model.safetensors","lfs":{{"sha256":"{hash}","size":{size}}}}}]}}"#,
        "b".repeat(40)
    ));
    let error = world.resolve("org/model").unwrap_err();
    let HubError::DiskFull { needed, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(needed, size + 2);
    assert_eq!(world.hub.asked().len(), 1);
}

#[test]
fn a_listing_cannot_write_outside_the_snapshot() {
    let mut files = model();
    for path in [
        "../../../evil.json",
        "/tmp/evil.json",
        "..",
        ".aurola/evil.json",
    ] {
        files.push(small(path, "evil"));
    }
    let world = World::new(files);
    world.resolve("org/model").unwrap();
    assert!(world.tree().iter().all(|path| !path.contains("evil")));

    for listing in [
        r#"{"sha":"../../../x","siblings":[{"rfilename":"config.json"}]}"#.to_owned(),
        r#"{"sha":"","siblings":[]}"#.to_owned(),
        "<html>sign in to the hotel's network</html>".to_owned(),
        "{}".to_owned(),
        String::new(),
        format!(
            r#"{{"sha":"{COMMIT}","siblings":[{{"rfilename":"config.json","size":1,"blobId":"{0}"}},
            {{"rfilename":"config.json","size":1,"blobId":"{0}"}},
            {{"rfilename":"a.safetensors","size":1,"blobId":"{0}"}}]}}"#,
            "a".repeat(40)
        ),
    ] {
        let world = World::new(vec![]);
        world.hub.list(&listing);
        let error = world.resolve("org/model").unwrap_err();
        assert!(
            matches!(error, HubError::Protocol { .. }),
            "{listing}: {error}"
        );
    }
}

#[test]
fn a_loop_of_redirects_ends() {
    let world = World::new(model());
    for _ in 0..20 {
        let here = vec![("Location", "/api/models/org/model/revision/main".to_owned())];
        world.hub.twist(LISTING, Twist::Status(302, here));
    }
    let error = world.resolve("org/model").unwrap_err();
    assert!(matches!(error, HubError::Protocol { .. }), "{error}");
}

#[test]
fn what_is_neither_folder_nor_name_is_told_both() {
    let world = World::new(model());
    for path in ["/no/such/folder", "./model", "~/model", "a/b/c", "models/"] {
        let error = world.resolve(path).unwrap_err();
        assert!(
            matches!(error, HubError::NoSuchFolder { .. }),
            "{path}: {error}"
        );
    }
    for name in ["bert", "org/mo del", ""] {
        let error = world.resolve(name).unwrap_err();
        assert!(
            matches!(error, HubError::NoSuchName { .. }),
            "{name}: {error}"
        );
        let text = error.to_string();
        assert!(
            text.contains("no such folder") && text.contains("org/name"),
            "{text}"
        );
    }
    assert!(world.hub.asked().is_empty());
}

#[test]
fn settings_that_cannot_work_are_named() {
    let mut world = World::new(model());
    world.options.endpoint = "not an address".to_owned();
    assert_setting(&world, "HF_ENDPOINT");

    let mut world = World::new(model());
    world.options.proxies.https = Some("gopher://x".to_owned());
    assert_setting(&world, "HTTPS_PROXY");

    let mut world = World::new(model());
    let empty = world.cache.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    world.options.certificates = Some(empty);
    assert_setting(&world, "SSL_CERT_FILE");
}

fn assert_setting(world: &World, name: &str) {
    let error = world.resolve("org/model").unwrap_err();
    let HubError::Setting { setting, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(*setting, name);
}
