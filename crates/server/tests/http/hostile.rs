//! Requests nobody sends in good faith: no panic, no 5xx but 503, no file and no address that is not
//! ours to give, and whoever asks properly meanwhile is answered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::*;

/// Makes a request body.
type Body<'a> = &'a dyn Fn(&mut Numbers) -> Vec<u8>;

/// A small generator of numbers, so that a failure can be run again.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }
}

fn status(answer: &[u8]) -> Option<u16> {
    let text = String::from_utf8_lossy(answer);
    text.strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
}

/// Asks properly, again and again, and gives the slowest answer.
fn while_asking(world: &World, trouble: impl FnOnce()) -> Duration {
    let over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let asking = threads.spawn(|| {
            let mut slowest = Duration::ZERO;
            while !over.load(Ordering::Relaxed) {
                let began = Instant::now();
                world.get("/health").ok();
                slowest = slowest.max(began.elapsed());
                std::thread::sleep(Duration::from_millis(5));
            }
            slowest
        });
        trouble();
        over.store(true, Ordering::Relaxed);
        asking.join().unwrap()
    })
}

/// How long an answer may take meanwhile: 200 ms on an idle machine; `AUROLA_SLACK` multiplies it
/// where others use the machine as well.
fn patience(ms: u64) -> Duration {
    let slack = std::env::var("AUROLA_SLACK")
        .ok()
        .and_then(|text| text.parse().ok());
    Duration::from_millis(ms) * slack.unwrap_or(5)
}

const POSTS: &[&str] = &[
    "/v1/embeddings",
    "/embed",
    "/similarity",
    "/tokenize",
    "/decode",
    "/rerank",
    "/v1/rerank",
    "/v2/rerank",
    "/v2/embed",
    "/score",
    "/v1/search",
    "/v1/index",
    "/v1/session",
    "/v1/export",
    "/v1/clips/0000000000000001/why",
];

fn malformed(numbers: &mut Numbers) -> Vec<u8> {
    let path = POSTS[numbers.next(POSTS.len())];
    let bodies: [Body<'_>; 16] = [
        &|_| b"{".to_vec(),
        &|_| Vec::new(),
        &|_| b"null".to_vec(),
        &|_| b"[]".to_vec(),
        &|_| b"{\"input\":1e999,\"limit\":-1}".to_vec(),
        &|_| b"{\"input\":NaN}".to_vec(),
        &|_| b"{\"query\":\"\xff\xfe\"}".to_vec(),
        &|_| "[".repeat(10_000).into_bytes(),
        &|_| {
            format!(
                "{{\"input\":{}1{}}}",
                "[".repeat(10_000),
                "]".repeat(10_000)
            )
            .into_bytes()
        },
        &|n| {
            let keys = [
                "input",
                "inputs",
                "query",
                "documents",
                "texts",
                "text_1",
                "text_2",
                "ids",
                "like",
                "not",
                "filter",
                "messages",
                "paths",
                "limit",
                "weights",
                "rerank",
            ];
            let values = [
                "null",
                "true",
                "0",
                "-1",
                "1e308",
                "18446744073709551616",
                "\"\"",
                "\"data:audio/wav;base64,AAAA\"",
                "[[]]",
                "{}",
                "[{}]",
                "[null]",
                "{\"content\":[{\"type\":\"audio_url\"}]}",
                "\"\\u0000\"",
                "[\"x\",1]",
            ];
            let members: Vec<String> = (0..3)
                .map(|_| {
                    format!(
                        "\"{}\":{}",
                        keys[n.next(keys.len())],
                        values[n.next(values.len())]
                    )
                })
                .collect();
            format!("{{{}}}", members.join(",")).into_bytes()
        },
        &|_| b"{\"messages\":[{\"role\":\"system\",\"content\":\"x\"}]}".to_vec(),
        &|_| b"{\"like\":[{\"vector\":[1e39,0]}],\"limit\":99999}".to_vec(),
        &|_| {
            b"{\"query\":\"a\",\"filter\":{\"path\":[\"\\u0000\"],\"modified\":{\"since\":\"x\"}}}"
                .to_vec()
        },
        &|_| b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x".to_vec(),
        &|_| b"{\"key\":\"".to_vec(),
        &|n| (0..n.next(200)).map(|_| n.next(256) as u8).collect(),
    ];
    let which = numbers.next(bodies.len());
    let body = bodies[which](numbers);
    let host = "Host: localhost\r\n";
    let json = "Content-Type: application/json\r\n";
    let length = body.len();
    let head = match numbers.next(14) {
        0 => format!("POST {path} HTTP/1.1\r\n{host}{json}Content-Length: {length}1\r\n\r\n"),
        1 => {
            format!("POST {path} HTTP/1.1\r\n{host}{json}Transfer-Encoding: chunked\r\n\r\nZZ\r\n")
        }
        2 => format!(
            "POST {path} HTTP/1.1\r\n{host}{json}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        ),
        3 => format!("POST {path} HTTP/1.1\r\n{json}Content-Length: {length}\r\n\r\n"),
        4 => format!(
            "POST {path} HTTP/1.1\r\nHost: evil.example\r\n{json}Content-Length: {length}\r\n\r\n"
        ),
        5 => format!("POST {path} HTTP/1.1\r\n{host}Content-Length: {length}\r\n\r\n"),
        6 => format!("GET {path} HTTP/9.9\r\n{host}\r\n"),
        7 => format!(
            "{} {path} HTTP/1.1\r\n{host}Content-Length: 0\r\n\r\n",
            "X".repeat(numbers.next(300))
        ),
        8 => format!(
            "POST {path}?{} HTTP/1.1\r\n{host}{json}Content-Length: {length}\r\n\r\n",
            "%".repeat(20)
        ),
        9 => format!("POST {path} HTTP/1.1\r\n{host}{json}Content-Length: -1\r\n\r\n"),
        10 => format!(
            "POST {path} HTTP/1.1\r\n{host}{json}Content-Length: 99999999999999999999\r\n\r\n"
        ),
        _ => format!(
            "POST {path} HTTP/1.1\r\n{host}{json}Content-Length: {length}\r\nConnection: close\r\n\r\n"
        ),
    };
    let mut bytes = head.into_bytes();
    bytes.extend(body);
    bytes
}

#[test]
fn ten_thousand_malformed_requests() {
    let world = World::of_tones(&[("a.wav", 440.0)]);
    let seed = std::time::SystemTime::now()
        .elapsed()
        .map_or(1, |t| t.subsec_nanos());
    let seed = u64::from(seed) + u64::from(std::process::id());
    println!("seed {seed}");
    let slowest = while_asking(&world, || {
        std::thread::scope(|threads| {
            for worker in 0..8_u64 {
                let world = &world;
                threads.spawn(move || {
                    let mut numbers = Numbers(seed + worker);
                    for _ in 0..1_250 {
                        let request = malformed(&mut numbers);
                        // Half of them promise more than they send; those are not waited for.
                        let answer = world.raw(&request, Duration::from_millis(20));
                        if let Some(status) = status(&answer) {
                            let shown = String::from_utf8_lossy(&request[..request.len().min(300)]);
                            assert!(status < 500 || status == 503, "{status} for {shown}");
                        }
                    }
                });
            }
        });
    });
    println!("the slowest healthy answer meanwhile took {slowest:?}");
    assert!(slowest < patience(200), "{slowest:?}");
    let metrics = String::from_utf8(world.get("/metrics").ok().bytes).unwrap();
    assert!(
        !metrics.contains("aurola_panics_total"),
        "a handler panicked"
    );
}

#[test]
fn five_hundred_ways_out_of_the_folder() {
    let world = World::of_tones(&[("a.wav", 440.0)]);
    std::fs::write(world.folder.path().join("secret.txt"), "TOP-SECRET").unwrap();
    let secret = world.folder.path().join("secret.txt");
    let id = world.id("a.wav");
    let ups = [
        "..",
        "%2e%2e",
        "%2E.",
        "..%00",
        "....",
        "%252e%252e",
        "..\\",
        "%5c..",
        "\u{ff0e}\u{ff0e}",
        "%c0%ae%c0%ae",
    ];
    let slashes = ["/", "%2f", "\\", "%5c", "//", "%c0%af"];
    let ends = [
        "secret.txt",
        "etc/passwd",
        "C:\\Windows\\win.ini",
        "%5c%5c?%5cC:%5cx",
        "\\\\host\\share",
    ];
    let mut tried = 0;
    for base in [
        "/audio/",
        "/waveform/",
        "/spectrogram/",
        "/assets/",
        "/",
        "/v1/clips/",
        "/v1/collections/",
    ] {
        for up in ups {
            for slash in slashes {
                for end in [ends[tried % ends.len()], ends[(tried + 1) % ends.len()]] {
                    let target = format!(
                        "{base}{}{end}",
                        format!("{up}{slash}").repeat(1 + tried % 6)
                    );
                    let request = format!(
                        "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                    );
                    let answer = world.raw(request.as_bytes(), Duration::from_secs(5));
                    let text = String::from_utf8_lossy(&answer);
                    assert!(
                        !text.contains("TOP-SECRET") && !text.contains("root:"),
                        "{target}: {text}"
                    );
                    let status = status(&answer);
                    assert!(
                        status.is_some_and(|status| (400..500).contains(&status)),
                        "{target}: {text}"
                    );
                    tried += 1;
                }
            }
        }
    }
    assert!(tried >= 500, "{tried}");
    // By the ways that name a file: only sounds of the index are meant by a path.
    for path in [secret.to_str().unwrap(), "/etc/passwd", "../secret.txt", ""] {
        let answer = world.post("/v1/search", json!({"like": {"path": path}}));
        assert_eq!(answer.status, 404, "{path}: {:?}", answer.json);
    }
    assert_eq!(
        world
            .send("PUT", "/v1/collections/..%2fx", Some(json!({})))
            .status,
        400
    );
    // A sound of the index that has become a link to something else since.
    #[cfg(unix)]
    {
        let sound = world.sounds().join("a.wav");
        std::fs::remove_file(&sound).unwrap();
        std::os::unix::fs::symlink(secret.canonicalize().unwrap(), &sound).unwrap();
        for path in ["/audio/", "/waveform/", "/spectrogram/"] {
            let answer = world.get(&format!("{path}{id}"));
            assert_eq!(answer.status, 403, "{path}: {:?}", answer.json);
        }
    }
}

#[test]
fn sixty_ways_to_make_the_server_fetch() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let hosts = [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:7f00:0001]",
        "[::127.0.0.1]",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "[fe80::1%25eth0]",
        "100.64.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "127.0.0.1%00.example",
        "127。0。0。1",
        "①②⑦.0.0.1",
        "user@127.0.0.1",
        "a:b@localhost",
        "example@127.0.0.1",
        "127.0.0.1#.example",
        "127.0.0.1?.example",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
    ];
    let mut forms: Vec<String> = (hosts.iter())
        .flat_map(|host| {
            [
                format!("https://{host}:{port}/a.wav"),
                format!("http://{host}:{port}/a.wav"),
            ]
        })
        .collect();
    for scheme in [
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "gopher://127.0.0.1:1/_x",
        "dict://localhost:1/",
        "https://",
        "https:///a",
        "//127.0.0.1/",
        "https://localhost:99999/",
        "HtTp://127.0.0.1/",
        "https://\u{0}127.0.0.1/",
        "jar://x",
        "unix:///run/x",
        "https:\\\\127.0.0.1\\a",
    ] {
        forms.push(scheme.to_owned());
    }
    assert!(forms.len() >= 60, "{}", forms.len());
    let settings = Settings {
        remote: Some(Vec::new()),
        ..Settings::default()
    };
    for world in [World::new(), World::with(settings, Duration::ZERO)] {
        for form in &forms {
            let answer = world.post("/v1/embeddings", json!({"input": [{"audio": form}]}));
            assert!(
                (400..500).contains(&answer.status),
                "{form}: {} {:?}",
                answer.status,
                answer.json
            );
        }
    }
    assert!(
        listener.accept().is_err(),
        "somebody was sent to this machine"
    );
}

#[test]
fn slow_clients_hold_up_nobody() {
    let settings = Settings {
        head_time: Duration::from_secs(2),
        body_time: Duration::from_secs(2),
        ..Settings::default()
    };
    let world = World::with(settings, Duration::ZERO);
    let slowest = while_asking(&world, || {
        let mut slow: Vec<TcpStream> = (0..200)
            .map(|n| {
                let mut stream = TcpStream::connect(world.address).unwrap();
                let head: &[u8] = match n % 3 {
                    0 => b"GET / HT",
                    1 => b"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
                    _ => b"",
                };
                stream.write_all(head).unwrap();
                stream
            })
            .collect();
        std::thread::sleep(Duration::from_secs(1));
        for stream in &mut slow {
            let _ = stream.write_all(b"x"); // a drop now and then
        }
        // All of them are closed in the end.
        for (n, mut stream) in slow.into_iter().enumerate() {
            stream
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            let mut answer = Vec::new();
            let read = stream.read_to_end(&mut answer);
            let is_timeout = read
                .as_ref()
                .is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
            assert!(!is_timeout, "connection {n} is still open");
        }
    });
    println!("the slowest healthy answer meanwhile took {slowest:?}");
    assert!(slowest < patience(200), "{slowest:?}");
}

#[test]
fn each_limit_holds_at_its_edge() {
    let settings = Settings {
        json_bytes: 1_000,
        body_bytes: 2_000_000,
        inputs: 3,
        ..Settings::default()
    };
    let world = World::with(settings, Duration::ZERO);
    let text = |bytes: usize| json!({"inputs": "a".repeat(bytes - 13)});
    world.post("/tokenize", text(1_000)).ok();
    assert_eq!(world.post("/tokenize", text(1_001)).status, 413);
    world
        .post("/embed", json!({"inputs": ["a", "b", "c"]}))
        .ok();
    assert_eq!(
        world
            .post("/embed", json!({"inputs": ["a", "b", "c", "d"]}))
            .status,
        422
    );
    assert_eq!(
        world.post("/v1/search", json!({"limit": 1_000})).status,
        200
    );
    assert_eq!(
        world.post("/v1/search", json!({"limit": 1_001})).status,
        400
    );
    assert_eq!(world.post("/v1/search", json!({"limit": 0})).status, 400);
    let parts = |n: usize| json!({"like": vec!["a"; n]});
    world.post("/v1/search", parts(3)).ok();
    assert_eq!(world.post("/v1/search", parts(65)).status, 400);
    let head = |bytes: usize| {
        let name = "x".repeat(bytes);
        world.raw(format!("GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-A: {name}\r\n\r\n").as_bytes(), Duration::from_secs(5))
    };
    assert_eq!(status(&head(8_000)), Some(200));
    assert_eq!(status(&head(1 << 20)), Some(431));
}
