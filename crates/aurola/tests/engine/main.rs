//! The engine as a whole, with real files and a real store, around a model small enough to see
//! through: it hears how loud each mel band is, and the words `440 Hz` mean that tone.

mod indexing;
mod keeping;
mod searching;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use aurola::{Cancel, Embedder, Engine, EngineError, Library, Options, Question};
use aurola_audio::{LogMel, MelConfig, MelFilters, log_mel};
use aurola_model::{Input, ModelError, YesNo};
use aurola_retrieval::{Embedding, Store};

/// Loudness by band, and how often it was asked.
struct BandEar {
    config: MelConfig,
    filters: MelFilters,
    /// Clips embedded so far.
    clips: AtomicUsize,
    /// Clips of this many frames are refused, as a model refuses what it cannot take.
    refuses_frames: Option<usize>,
    /// What the judge says instead of what it hears.
    verdict: Option<f32>,
    /// What its vectors are kept under.
    fingerprint: &'static str,
}

impl BandEar {
    fn new() -> Self {
        let config = MelConfig::default();
        Self {
            filters: MelFilters::new(&config).unwrap(),
            config,
            clips: AtomicUsize::new(0),
            refuses_frames: None,
            verdict: None,
            fingerprint: "bands-1",
        }
    }

    fn clips(&self) -> usize {
        self.clips.load(Ordering::Relaxed)
    }

    fn bands(mel: &LogMel) -> Embedding {
        let loud = mel
            .values()
            .chunks(mel.n_frames())
            .map(|band| band.iter().fold(f32::MIN, |a, b| a.max(*b)));
        let bands: Vec<f32> = loud.map(|level| (level + 1.5).powi(4)).collect();
        Embedding::normalize(bands).unwrap()
    }

    fn vector(&self, input: &Input<'_>) -> Result<Embedding, ModelError> {
        match input {
            Input::Audio(mel) if self.refuses_frames == Some(mel.n_frames()) => {
                Err(ModelError::Input("a clip of the wrong length".into()))
            }
            Input::Audio(mel) => Ok(Self::bands(mel)),
            Input::Text(words) => {
                let hertz = words
                    .trim_end_matches(" Hz")
                    .parse()
                    .map_err(|_| ModelError::Input("words like `440 Hz`".into()))?;
                Ok(Self::bands(
                    &log_mel(&tone(hertz, 1.0), &self.filters).unwrap(),
                ))
            }
            Input::AudioText(..) => Err(ModelError::Input("not both at once".into())),
        }
    }
}

impl Embedder for BandEar {
    fn fingerprint(&self) -> &str {
        self.fingerprint
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
        let vectors = inputs
            .iter()
            .map(|i| self.vector(i))
            .collect::<Result<Vec<_>, _>>()?;
        let clips = inputs
            .iter()
            .filter(|i| matches!(i, Input::Audio(_)))
            .count();
        self.clips.fetch_add(clips, Ordering::Relaxed);
        Ok(vectors)
    }

    fn rerank(
        &self,
        query: &Input<'_>,
        candidates: &[Input<'_>],
    ) -> Result<Vec<YesNo>, ModelError> {
        let query = self.vector(query)?;
        candidates
            .iter()
            .map(|candidate| {
                let cosine = self.vector(candidate)?.cosine(&query);
                let logit_yes = self.verdict.unwrap_or(20.0 * cosine - 10.0);
                Ok(YesNo {
                    logit_yes,
                    logit_no: 0.0,
                })
            })
            .collect()
    }
}

/// A sine at half of full scale, 16 kHz.
fn tone(hertz: f32, length_s: f32) -> Vec<f32> {
    let step = f64::from(hertz) * std::f64::consts::TAU / 16_000.0;
    (0..(length_s * 16_000.0) as u32)
        .map(|n| (0.5 * (f64::from(n) * step).sin()) as f32)
        .collect()
}

/// Writes 16-bit mono at 16 kHz.
fn write_wav(path: &Path, samples: &[f32]) {
    let data = samples.len() as u32 * 2;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + data).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend([1, 0, 1, 0]); // PCM, one channel
    file.extend(16_000_u32.to_le_bytes());
    file.extend(32_000_u32.to_le_bytes());
    file.extend([2, 0, 16, 0]); // bytes and bits of a sample
    file.extend(b"data");
    file.extend(data.to_le_bytes());
    for sample in samples {
        file.extend(((sample * 32_767.0) as i16).to_le_bytes());
    }
    std::fs::write(path, file).unwrap();
    // An hour ago: bytes hashed within a clock step of their change are hashed again next time.
    let written = std::fs::File::options().write(true).open(path).unwrap();
    written
        .set_modified(SystemTime::now() - Duration::from_secs(3600))
        .unwrap();
}

/// A folder of sounds and a store beside it.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    /// `<hertz>.wav` for each, a second long.
    fn of_tones(tones: &[u32]) -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(world.sounds()).unwrap();
        for hertz in tones {
            write_wav(
                &world.sound(&format!("{hertz}.wav")),
                &tone(*hertz as f32, 1.0),
            );
        }
        world
    }

    fn sounds(&self) -> PathBuf {
        self.folder.path().join("sounds")
    }

    fn sound(&self, name: &str) -> PathBuf {
        self.sounds().join(name)
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store.sqlite")
    }

    fn engine<'m>(&self, model: &'m BandEar) -> Engine<'m> {
        Engine::new(
            model,
            Store::open(&self.store()).unwrap(),
            Options::default(),
        )
    }

    fn library(&self, model: &BandEar) -> Result<Library, EngineError> {
        self.engine(model)
            .library(&[self.sounds()], &Cancel::default(), &mut |_| {})
    }

    /// File names, best first.
    fn search(&self, model: &BandEar, question: &Question) -> Vec<String> {
        let mut engine = self.engine(model);
        let library = engine
            .library(&[self.sounds()], &Cancel::default(), &mut |_| {})
            .unwrap();
        let answer = engine.search(&library, question).unwrap();
        assert!(answer.skipped.is_empty());
        answer
            .hits
            .iter()
            .map(|hit| {
                hit.file
                    .shown
                    .file_name()
                    .unwrap()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect()
    }
}

/// Names of what was passed over, and the reasons.
fn skipped(library: &Library) -> Vec<(String, String)> {
    let mut skipped: Vec<_> = library
        .skipped
        .iter()
        .map(|s| {
            let name = s.path.file_name().unwrap().to_string_lossy().into_owned();
            (name, s.reason.clone())
        })
        .collect();
    skipped.sort();
    skipped
}
