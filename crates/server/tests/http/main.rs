//! The server as its clients meet it: a real socket, real sounds, an index on the disk; the model is
//! a small one that hears how loud each band is.

mod contracts;
mod hostile;
mod library;
mod load;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aurola::{Embedder, Listening};
use aurola_audio::{LogMel, MelConfig, MelFilters, log_mel};
use aurola_model::{Input, ModelError, YesNo};
use aurola_retrieval::Embedding;
use aurola_server::{IndexPlace, Parts, Served, Server, Settings, Token};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Hears bands. Words with a number in them are a tone of so many hertz; other words are some tone.
struct BandEar {
    config: MelConfig,
    filters: MelFilters,
    /// Time a batch takes.
    slow: Duration,
}

impl BandEar {
    fn new(slow: Duration) -> Self {
        let config = MelConfig::default();
        let filters = MelFilters::new(&config).unwrap();
        Self {
            config,
            filters,
            slow,
        }
    }

    fn bands(mel: &LogMel) -> Vec<f32> {
        (mel.values().chunks(mel.n_frames()))
            .map(|band| band.iter().fold(f32::MIN, |a, b| a.max(*b)))
            .map(|level| (level + 1.5).powi(4))
            .collect()
    }

    fn words(&self, text: &str) -> Vec<f32> {
        let digits: String = text.chars().filter(char::is_ascii_digit).take(4).collect();
        let hertz: f32 = digits.parse().unwrap_or(50.0 + text.len() as f32);
        Self::bands(&log_mel(&tone(hertz, 0.1), &self.filters).unwrap())
    }

    fn vector(&self, input: &Input<'_>) -> Result<Embedding, ModelError> {
        let bands = match input {
            Input::Audio(mel) => Self::bands(mel),
            Input::Text("refused") => return Err(ModelError::Input("not that text".into())),
            Input::Text("panic") => panic!("asked to"),
            Input::Text(text) => self.words(text),
            Input::AudioText(mel, text) => (Self::bands(mel).iter())
                .zip(self.words(text))
                .map(|(a, b)| a + b)
                .collect(),
        };
        Ok(Embedding::normalize(bands).unwrap())
    }
}

impl Embedder for BandEar {
    fn fingerprint(&self) -> &str {
        "bands-1"
    }

    fn dim(&self) -> usize {
        self.config.feature_size
    }

    fn mel_config(&self) -> &MelConfig {
        &self.config
    }

    fn audio_tokens(&self, mel: &LogMel) -> usize {
        mel.n_frames() / 4
    }

    fn embed(&self, inputs: &[Input<'_>]) -> Result<Vec<Embedding>, ModelError> {
        std::thread::sleep(self.slow);
        inputs.iter().map(|input| self.vector(input)).collect()
    }

    fn rerank(
        &self,
        query: &Input<'_>,
        candidates: &[Input<'_>],
    ) -> Result<Vec<YesNo>, ModelError> {
        std::thread::sleep(self.slow);
        let query = self.vector(query)?;
        (candidates.iter())
            .map(|candidate| {
                Ok(YesNo {
                    logit_yes: 20.0 * self.vector(candidate)?.cosine(&query) - 10.0,
                    logit_no: 0.0,
                })
            })
            .collect()
    }
}

/// A token for each word.
impl Served for BandEar {
    fn tokens(&self, text: &str) -> Result<Vec<Token>, ModelError> {
        let words = text.split_whitespace().enumerate();
        Ok(words
            .map(|(id, word)| Token {
                id: id as u32,
                text: word.into(),
            })
            .collect())
    }

    fn text(&self, ids: &[u32], _: bool) -> Result<String, ModelError> {
        Ok(ids
            .iter()
            .map(|id| format!("w{id}"))
            .collect::<Vec<_>>()
            .join(" "))
    }

    fn beginning(&self, text: &str, max: usize) -> Result<String, ModelError> {
        Ok(text
            .split_whitespace()
            .take(max)
            .collect::<Vec<_>>()
            .join(" "))
    }

    fn context(&self) -> usize {
        4_096
    }

    fn dtype(&self) -> String {
        "f32".into()
    }

    fn caption(&self, _: &LogMel) -> Result<String, ModelError> {
        Ok("a tone".into())
    }
}

/// A running server, its folder of sounds, and a client for it.
struct World {
    server: Option<Server>,
    address: SocketAddr,
    folder: tempfile::TempDir,
    agent: ureq::Agent,
    key: Option<&'static str>,
}

impl World {
    fn new() -> Self {
        Self::with(Settings::default(), Duration::ZERO)
    }

    fn with(settings: Settings, slow: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sounds")).unwrap();
        let settings = Settings {
            models: vec!["bands".into(), "also-bands".into()],
            cache: Some(folder.path().join("cache")),
            ..settings
        };
        let server = Server::start(listener, settings).unwrap();
        let address = server.address();
        let model: Arc<dyn Served> = Arc::new(BandEar::new(slow));
        server
            .open(Parts {
                model: model.clone(),
                judge: model,
                listening: Listening::default(),
                index: Some(IndexPlace {
                    store: folder.path().join("library.sqlite"),
                    name: "bands".into(),
                    readers: 1,
                }),
            })
            .unwrap();
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .into();
        Self {
            server: Some(server),
            address,
            folder,
            agent,
            key: None,
        }
    }

    fn sounds(&self) -> PathBuf {
        self.folder.path().join("sounds").canonicalize().unwrap()
    }

    /// Writes tones of a second under these names and indexes them.
    fn of_tones(tones: &[(&str, f32)]) -> Self {
        let world = Self::new();
        for (name, hertz) in tones {
            write_wav(&world.sounds().join(name), &tone(*hertz, 1.0));
        }
        world.index(&world.sounds());
        world
    }

    fn index(&self, path: &Path) -> Value {
        let job = self.post("/v1/index", json!({"paths": [path.to_str().unwrap()]}));
        assert_eq!(job.status, 202, "{job:?}");
        let id = job.json["id"].as_str().unwrap().to_owned();
        for _ in 0..600 {
            let job = self.get(&format!("/v1/jobs/{id}")).json;
            if !["queued", "running"].contains(&job["state"].as_str().unwrap()) {
                return job;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("indexing does not end");
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[])
    }

    fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.agent.get(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(key) = self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        Answer::of(request.call().unwrap())
    }

    fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, Some(body))
    }

    fn send(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(self.url(path));
        if let Some(key) = self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let answer = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json");
                self.agent.run(request.body(body.to_string()).unwrap())
            }
            None if method == "PUT" => self.agent.run(request.body(String::new()).unwrap()),
            None => self.agent.run(request.body(()).unwrap()),
        };
        Answer::of(answer.unwrap())
    }

    /// The id of the sound of that name.
    fn id(&self, name: &str) -> String {
        let path = self.sounds().join(name);
        let found = self.post("/v1/search", json!({"filter": {"path": [path]}}));
        found.json["results"][0]["id"]
            .as_str()
            .unwrap_or_else(|| panic!("{found:?}"))
            .to_owned()
    }

    /// Bytes as they are, and whatever comes back until the server closes or `wait` is over.
    fn raw(&self, bytes: &[u8], wait: Duration) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(wait)).unwrap();
        stream.set_write_timeout(Some(wait)).unwrap();
        // A server that has read enough closes: that is an answer too.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let mut chunk = [0; 4_096];
        while let Ok(read @ 1..) = stream.read(&mut chunk) {
            answer.extend_from_slice(&chunk[..read]);
        }
        answer
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: ureq::http::HeaderMap,
    bytes: Vec<u8>,
    json: Value,
}

impl Answer {
    fn of(mut response: ureq::http::Response<ureq::Body>) -> Self {
        let bytes = response
            .body_mut()
            .with_config()
            .limit(1 << 30)
            .read_to_vec()
            .unwrap();
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            json: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            bytes,
        }
    }

    #[track_caller]
    fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.bytes));
        self
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// A sine at half of full scale, 16 kHz.
fn tone(hertz: f32, length_s: f32) -> Vec<f32> {
    let step = f64::from(hertz) * std::f64::consts::TAU / 16_000.0;
    (0..(length_s * 16_000.0) as u32)
        .map(|n| (0.5 * (f64::from(n) * step).sin()) as f32)
        .collect()
}

/// 16-bit mono at 16 kHz.
fn wav(samples: &[f32]) -> Vec<u8> {
    let data = samples.len() as u32 * 2;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + data).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend(16_000_u32.to_le_bytes());
    bytes.extend(32_000_u32.to_le_bytes());
    bytes.extend(b"\x02\0\x10\0data");
    bytes.extend(data.to_le_bytes());
    for sample in samples {
        bytes.extend(((sample * 32_767.0) as i16).to_le_bytes());
    }
    bytes
}

fn write_wav(path: &Path, samples: &[f32]) {
    std::fs::write(path, wav(samples)).unwrap();
}

/// A tone as a data URI.
fn uri(hertz: f32, length_s: f32) -> String {
    format!(
        "data:audio/wav;base64,{}",
        STANDARD.encode(wav(&tone(hertz, length_s)))
    )
}
