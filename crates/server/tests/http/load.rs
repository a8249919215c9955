//! Many clients at once: how long they wait, and what those are told who are too many.
//!
//! `AUROLA_LOAD_S` is how long it lasts; the form of the specification is 60, on an idle machine.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::*;

fn seconds() -> u64 {
    std::env::var("AUROLA_LOAD_S")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(3)
}

/// Whether the bars of an idle machine hold here.
fn is_measured() -> bool {
    std::env::var_os("AUROLA_LOAD_S").is_some()
}

#[test]
fn sixty_four_clients_search() {
    let tones: Vec<(String, f32)> = (0..40)
        .map(|n| (format!("{n}.wav"), 100.0 + 90.0 * n as f32))
        .collect();
    let tones: Vec<(&str, f32)> = tones
        .iter()
        .map(|(name, hertz)| (name.as_str(), *hertz))
        .collect();
    let world = World::of_tones(&tones);
    let until = Instant::now() + Duration::from_secs(seconds());
    let mut times: Vec<Duration> = std::thread::scope(|threads| {
        let clients: Vec<_> = (0..64)
            .map(|client| {
                let world = &world;
                threads.spawn(move || {
                    let mut times = Vec::new();
                    while Instant::now() < until {
                        let began = Instant::now();
                        let hertz = 100 + 10 * client;
                        world
                            .post(
                                "/v1/search",
                                json!({"query": format!("{hertz} Hz"), "limit": 5}),
                            )
                            .ok();
                        times.push(began.elapsed());
                        // A person, or a program with something else to do: 10 requests a second.
                        std::thread::sleep(
                            Duration::from_millis(100).saturating_sub(began.elapsed()),
                        );
                    }
                    times
                })
            })
            .collect();
        clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect()
    });
    times.sort();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    println!(
        "{} searches: p50 {:?}, p99 {:?}, slowest {:?}",
        times.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    if is_measured() {
        assert!(at(0.99) <= Duration::from_millis(50), "p99 {:?}", at(0.99));
    }
}

#[test]
fn too_many_are_told_at_once_and_it_recovers() {
    // A model of 20 ms a batch and a line of 8: four times what it can take come at once.
    let settings = Settings {
        requests: 8,
        ..Settings::default()
    };
    let world = World::with(settings, Duration::from_millis(20));
    let (answered, turned_away) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let slowest = std::sync::Mutex::new(Duration::ZERO);
    let until = Instant::now() + Duration::from_secs(seconds());
    std::thread::scope(|threads| {
        for _ in 0..32 {
            threads.spawn(|| {
                while Instant::now() < until {
                    let began = Instant::now();
                    let answer = world.post("/v1/embeddings", json!({"input": "440 Hz"}));
                    match answer.status {
                        200 => answered.fetch_add(1, Ordering::Relaxed),
                        429 => {
                            assert_eq!(answer.header("retry-after"), "1");
                            assert_eq!(answer.json["error"]["type"], "rate_limit_error");
                            let mut slowest = slowest.lock().unwrap();
                            *slowest = slowest.max(began.elapsed());
                            turned_away.fetch_add(1, Ordering::Relaxed)
                        }
                        status => panic!("{status}: {:?}", answer.json),
                    };
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
        }
    });
    let began = Instant::now();
    world
        .post("/v1/embeddings", json!({"input": "440 Hz"}))
        .ok();
    let recovered = began.elapsed();
    let slowest = *slowest.lock().unwrap();
    println!(
        "{} answered, {} told to come again within {slowest:?}, recovered in {recovered:?}",
        answered.load(Ordering::Relaxed),
        turned_away.load(Ordering::Relaxed)
    );
    assert!(answered.load(Ordering::Relaxed) > 0 && turned_away.load(Ordering::Relaxed) > 0);
    assert!(recovered < Duration::from_secs(5));
    if is_measured() {
        assert!(slowest <= Duration::from_millis(100), "{slowest:?}");
    }
}

#[test]
fn a_stop_answers_what_was_taken() {
    let mut world = World::with(Settings::default(), Duration::from_millis(300));
    let address = world.address;
    let url = world.url("/v1/embeddings");
    let agent = world.agent.clone();
    let asking = std::thread::spawn(move || {
        let body = json!({"input": "440 Hz"}).to_string();
        let request = agent.post(url).header("content-type", "application/json");
        Answer::of(request.send(body).unwrap())
    });
    std::thread::sleep(Duration::from_millis(100));
    world.server.take().unwrap().stop();
    assert_eq!(asking.join().unwrap().status, 200);
    assert!(TcpStream::connect(address).is_err(), "it still listens");
}

#[test]
fn before_there_is_a_model_only_life_is_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::start(listener, Settings::default()).unwrap();
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let get = |path: &str| {
        Answer::of(
            agent
                .get(format!("http://{}{path}", server.address()))
                .call()
                .unwrap(),
        )
        .status
    };
    assert_eq!(get("/livez"), 200);
    for path in ["/health", "/readyz", "/v1/models", "/"] {
        assert_eq!(get(path), 503, "{path}");
    }
    server.stop();
}
