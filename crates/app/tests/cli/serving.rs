//! `serve` and `mcp` as other programs meet them: real processes, real sockets and pipes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout};
use std::time::Instant;

use serde_json::json;

use crate::*;

/// A server in a process of its own, ended when the test does.
struct Serving {
    child: Child,
    address: String,
}

impl Serving {
    fn start(world: &World, arguments: &[&str]) -> Self {
        let mut all = vec!["serve", "--port", "0", "--quiet"];
        all.extend(arguments);
        let mut child = world.aurola(&all).env("AUROLA_MODEL", checkpoint()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://");
        let address = address.unwrap_or_else(|| panic!("{line:?}")).to_owned();
        let serving = Self { child, address };
        let until = Instant::now() + Duration::from_secs(120);
        while serving.get("/health").0 != 200 {
            assert!(Instant::now() < until, "it never gets ready");
            std::thread::sleep(Duration::from_millis(50));
        }
        serving
    }

    fn get(&self, path: &str) -> (u16, Vec<u8>) {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
    }

    fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let body = body.to_string();
        let length = body.len();
        let (status, bytes) = self.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    fn send(&self, request: &str) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&answer[..end]);
        (head[9..12].parse().unwrap(), answer[end + 4..].to_vec())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

#[test]
fn a_server_gives_the_vectors_of_embed_and_finds_hears_and_stops() {
    let world = World::of_tones(&[300, 900]);
    let mut serving = Serving::start(&world, &[]);
    let (status, answer) = serving.post("/v1/embeddings", json!({"input": "a dog barks"}));
    assert_eq!(status, 200, "{answer}");
    let by_command = world.run(&["embed", "--text", "a dog barks"]).ends_with(0);
    let by_command = numbers(&by_command.lines()[0]["embedding"]);
    assert_eq!(numbers(&answer["data"][0]["embedding"]), by_command);

    let folder = world.sounds().canonicalize().unwrap();
    let (status, job) = serving.post("/v1/index", json!({"paths": [folder]}));
    assert_eq!(status, 202, "{job}");
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        let (_, bytes) = serving.get("/v1/jobs/j1");
        let job: Value = serde_json::from_slice(&bytes).unwrap();
        match job["state"].as_str().unwrap() {
            "done" => break,
            "queued" | "running" => assert!(Instant::now() < until, "{job}"),
            _ => panic!("{job}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let (status, found) = serving.post("/v1/search", json!({"query": "a low hum", "limit": 5}));
    assert_eq!(status, 200, "{found}");
    assert_eq!(found["results"].as_array().unwrap().len(), 2, "{found}");
    let place = found["results"][0]["preview_url"].as_str().unwrap();
    let (status, bytes) = serving.get(place);
    let name = found["results"][0]["name"].as_str().unwrap();
    assert_eq!((status, bytes), (200, std::fs::read(world.sound(name)).unwrap()));

    let pid = rustix::process::Pid::from_child(&serving.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(serving.child.wait().unwrap().code(), Some(0));
    assert!(TcpStream::connect(&serving.address).is_err());
}

#[test]
fn other_addresses_need_a_key_and_a_taken_port_is_told() {
    let world = World::of_tones(&[]);
    let open = world.run(&["serve", "--host", "0.0.0.0", "--port", "0"]).ends_with(2);
    assert!(open.err.contains("--api-key"), "{}", open.err);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let busy = world.run(&["serve", "--port", &port]).ends_with(2);
    assert!(busy.err.contains(&port) && busy.err.contains("--port 0"), "{}", busy.err);
    let serving = Serving::start(&world, &["--host", "0.0.0.0", "--api-key", "secret"]);
    let port = serving.address.rsplit(':').next().unwrap().to_owned();
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    let ask = "GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(ask.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(!answer.contains("secret"));
}

/// An assistant that speaks the protocol with a process.
struct Assistant {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    asked: u64,
}

impl Assistant {
    fn tell(&mut self, message: &Value) {
        writeln!(self.input, "{message}").unwrap();
        self.input.flush().unwrap();
    }

    fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        self.tell(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": parameters}));
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "it ended");
            let message: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
            if message["id"] == json!(id) {
                return message;
            }
        }
    }

    fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.ask("tools/call", json!({"name": tool, "arguments": arguments}))["result"].clone()
    }
}

#[test]
fn an_assistant_searches_over_the_protocol() {
    let world = World::of_tones(&[300, 900]);
    let sounds = world.sounds();
    world.run(&["search", "a tone", sounds.to_str().unwrap()]);
    let mut child = world
        .aurola(&["mcp", "--quiet"])
        .env("AUROLA_MODEL", checkpoint())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut assistant = Assistant {
        input: child.stdin.take().unwrap(),
        output: BufReader::new(child.stdout.take().unwrap()),
        child,
        asked: 0,
    };
    let hello = assistant.ask(
        "initialize",
        json!({"protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"}}),
    );
    assert!(hello["result"]["capabilities"]["tools"].is_object(), "{hello}");
    assistant.tell(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    let tools = assistant.ask("tools/list", json!({}));
    let mut names: Vec<&str> = (tools["result"]["tools"].as_array().unwrap().iter())
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["describe", "search", "similar"]);
    let found = assistant.call("search", json!({"query": "a low hum"}));
    let results = found["structuredContent"]["results"].as_array().unwrap().clone();
    assert_eq!(results.len(), 2, "{found}");
    let id = results[0]["id"].as_str().unwrap();
    let similar = assistant.call("similar", json!({ "sound": id }));
    let others = similar["structuredContent"]["results"].as_array().unwrap();
    assert_eq!(others.len(), 1, "{similar}");
    assert_ne!(others[0]["id"].as_str().unwrap(), id);
    let described = assistant.call("describe", json!({"sound": results[0]["path"]}));
    assert_eq!(described["structuredContent"]["duration"], 1.0, "{described}");
    for wrong in [json!({"sound": "/etc/passwd"}), json!({"sound": "nothing"})] {
        let refused = assistant.call("describe", wrong);
        assert_eq!(refused["isError"], true, "{refused}");
    }
    drop(assistant.input);
    assert_eq!(assistant.child.wait().unwrap().code(), Some(0));
}

#[test]
fn shells_and_man_are_told_of_every_command() {
    let world = World::of_tones(&[]);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = world.run(&["completions", shell]).ends_with(0);
        for command in ["search", "serve", "mcp", "completions"] {
            assert!(script.out().contains(command), "{shell}: no {command}");
        }
    }
    let page = world.run(&["man"]).ends_with(0);
    assert!(page.out().contains(".TH aurola 1") && page.out().contains("serve"), "{}", page.out());
    let folder = world.folder.path().join("man");
    world.run(&["man", "--output", folder.to_str().unwrap()]).ends_with(0);
    for page in ["aurola.1", "aurola-serve.1", "aurola-search.1", "aurola-mcp.1"] {
        assert!(folder.join(page).is_file(), "{page}");
    }
}
