//! Who is told what: the token, redirects, proxies, mirrors, and no network at all.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use aurola_hub::{HubError, Token};

use crate::server::{FakeHub, Twist};
use crate::{World, model, served};

const FILE: &str = "model.safetensors";

#[test]
fn the_token_goes_to_the_hub_and_to_no_one_else() {
    let mut world = World::new(model());
    let elsewhere = FakeHub::start(model());
    world.options.token = Token::new("hf_secret");
    world.hub.store_large_files_at(&elsewhere.address);
    world.resolve("org/model").unwrap();
    let told = |hub: &FakeHub| {
        let mut asked = hub.asked().into_iter();
        asked
            .all(|a| a.headers.get("authorization").map(String::as_str) == Some("Bearer hf_secret"))
    };
    assert!(told(&world.hub));
    let stored = elsewhere.asked();
    assert_eq!(stored.len(), 1);
    assert!(!stored[0].headers.contains_key("authorization"));
}

#[test]
fn a_redirect_within_the_hub_keeps_the_token() {
    let mut world = World::new(model());
    world.options.token = Token::new("hf_secret");
    world.hub.store_large_files_at("");
    world.resolve("org/model").unwrap();
    let stored = world.hub.asked_for(&format!("/stored/{FILE}"));
    assert_eq!(stored[0].headers["authorization"], "Bearer hf_secret");
}

#[test]
fn a_way_back_to_the_hub_over_another_server_is_not_told_the_token() {
    let mut world = World::new(model());
    let elsewhere = FakeHub::start(model());
    world.options.token = Token::new("hf_secret");
    world.hub.store_large_files_at(&elsewhere.address);
    let back = format!("{}/stored/{FILE}", world.hub.address);
    elsewhere.twist(FILE, Twist::Status(302, vec![("Location", back)]));
    world.resolve("org/model").unwrap();
    let stored = world.hub.asked_for(&format!("/stored/{FILE}"));
    assert!(!stored[0].headers.contains_key("authorization"));
}

#[test]
fn a_signed_address_that_ran_out_is_asked_for_anew_and_never_shown() {
    let world = World::new(model());
    let elsewhere = FakeHub::start(model());
    world.hub.store_large_files_at(&elsewhere.address);
    elsewhere.twist(FILE, Twist::Status(403, vec![]));
    world.resolve("org/model").unwrap();
    assert_eq!(world.hub.asked_for(FILE).len(), 2);

    let world = World::new(model());
    world.hub.store_large_files_at(&elsewhere.address);
    for _ in 0..3 {
        elsewhere.twist(FILE, Twist::Status(403, vec![]));
    }
    let error = world.resolve("org/model").unwrap_err();
    assert!(!error.to_string().contains("s3cret"), "{error}");
    assert!(
        matches!(error, HubError::Status { status: 403, .. }),
        "{error}"
    );
}

#[test]
fn a_mirror_that_lists_names_only_is_asked_about_each_file() {
    let world = World::new(model());
    let elsewhere = FakeHub::start(model());
    world.hub.list_names_only();
    world.hub.store_large_files_at(&elsewhere.address);
    let folder = world.resolve("org/model").unwrap();
    assert!(std::fs::read(folder.join(FILE)).unwrap() == served(FILE).bytes);
    let heads = world
        .hub
        .asked()
        .iter()
        .filter(|a| a.method == "HEAD")
        .count();
    assert_eq!(heads, crate::NEEDED.len());
    assert_eq!(elsewhere.asked().len(), 1, "only for the bytes");
}

#[test]
fn a_proxy_is_gone_through_unless_the_host_is_excepted() {
    let mut world = World::new(model());
    let proxy = FakeHub::start(model());
    world.options.proxies.http = Some(proxy.address.clone());
    // The proxy leads to itself, so a hub that nobody could find is found.
    world.options.endpoint = "http://hub.invalid:8080".to_owned();
    world.resolve("org/model").unwrap();
    let tunnel = &proxy.asked()[0];
    assert_eq!(tunnel.method, "CONNECT");
    assert_eq!(tunnel.target, "hub.invalid:8080");

    let mut world = World::new(model());
    let asked = proxy.asked().len();
    world.options.proxies.http = Some(proxy.address.clone());
    world.options.proxies.none_for = Some("other.host, 127.0.0.1".to_owned());
    world.resolve("org/model").unwrap();
    assert_eq!(proxy.asked().len(), asked);
}

#[test]
fn offline_opens_no_socket() {
    let poisoned = TcpListener::bind("127.0.0.1:0").unwrap();
    poisoned.set_nonblocking(true).unwrap();
    let mut world = World::new(model());
    world.options.endpoint = format!("http://{}", poisoned.local_addr().unwrap());
    world.options.offline = Some("HF_HUB_OFFLINE".to_owned());
    let error = world.resolve("org/model").unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, HubError::Offline { .. }), "{text}");
    for part in ["org/model", "HF_HUB_OFFLINE", "aurola model pull org/model"] {
        assert!(text.contains(part), "{text}");
    }
    let nobody = poisoned.accept().unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn offline_with_a_part_of_the_model_names_what_is_missing() {
    let mut world = World::new(model());
    let folder = world.resolve("org/model").unwrap();
    std::fs::remove_file(folder.join(FILE)).unwrap();
    world.options.offline = Some("--offline".to_owned());
    let error = world.resolve("org/model").unwrap_err();
    let HubError::Offline { missing, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(missing, &[FILE]);
    assert!(
        error.to_string().ends_with("(missing: model.safetensors)"),
        "{error}"
    );
}

#[test]
fn a_hub_that_cannot_be_reached_is_given_up_at_once() {
    let mut world = World::new(model());
    world.options.endpoint = "http://127.0.0.1:9".to_owned();
    world.options.patience.first_wait = Duration::from_secs(30);
    let begun = Instant::now();
    let error = world.resolve("org/model").unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(1));
    let unreached = matches!(
        error,
        HubError::Network {
            never_reached: true,
            ..
        }
    );
    assert!(unreached, "{error}");
    assert!(error.to_string().contains("HF_ENDPOINT"), "{error}");
}
