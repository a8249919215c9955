//! `aurola doctor`: what this machine has, and whether the program works on it.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use aurola_audio::AUDIO_EXTENSIONS;
use aurola_compute::Isa;
use aurola_model::{Input, Model};
use aurola_retrieval::Store;
use clap::Args;
use serde::Serialize;

use super::Common;
use crate::exit::{AppError, Ending, told};
use crate::interrupt::Interrupts;
use crate::listening::isolated;
use crate::model::ModelArgs;
use crate::places::StoreArgs;
use crate::present::{Format, bytes, csv_field, json, printable};
use crate::wav::wav;

/// Check this machine and the program on it; one block to paste into a report.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    store: StoreArgs,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    name: &'static str,
    works: bool,
    says: String,
}

impl Finding {
    fn of(name: &'static str, found: Result<String, String>) -> Self {
        let works = found.is_ok();
        let says = found.unwrap_or_else(|reason| reason);
        Self { name, works, says }
    }
}

/// What [`Format::Json`] writes.
#[derive(Serialize)]
struct Document<'a> {
    healthy: bool,
    findings: &'a [Finding],
}

impl Doctor {
    /// Looks at everything; ends with 1 where something is wrong.
    pub(crate) fn run(
        self,
        common: &Common,
        interrupts: &Interrupts,
        out: &mut impl Write,
    ) -> Result<Ending, AppError> {
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        let version = env!("CARGO_PKG_VERSION");
        let findings = [
            Finding::of("aurola", Ok(format!("{version} on {os} {arch}"))),
            Finding::of("processor", Ok(processor())),
            Finding::of("memory", Ok(memory_in_words())),
            Finding::of("store", self.store()),
            Finding::of("models", Ok(self.model.network().cache_in_words())),
            Finding::of("looks for", Ok(AUDIO_EXTENSIONS.join(" "))),
            Finding::of("decoding", decoding()),
            Finding::of("model", self.works(common, interrupts)),
        ];
        let healthy = findings.iter().all(|finding| finding.works);
        write(&findings, healthy, common.format(), out)?;
        Ok(if healthy {
            Ending::Done
        } else {
            Ending::Nothing
        })
    }

    fn store(&self) -> Result<String, String> {
        let path = self.store.path().map_err(|error| told(&error))?;
        let shown = path.display();
        if !path.exists() {
            return Ok(format!("{shown} (made by the first search)"));
        }
        let summary = Store::open_read_only(&path)
            .and_then(|store| store.summary())
            .map_err(|error| told(&error))?;
        let (files, size) = (summary.files, bytes(summary.disk_bytes));
        Ok(format!("{shown} ({size}, {files} files)"))
    }

    /// Seconds of all sounds of the store; none where there are none, or it cannot be read, which
    /// [`Doctor::store`] tells.
    fn library_seconds(&self) -> Option<f64> {
        let path = self.store.path().ok().filter(|path| path.exists())?;
        let store = Store::open_read_only(&path).ok()?;
        let known = store.known_below(Path::new("/"), None).ok()?;
        let samples: u64 = known.iter().filter_map(|file| file.sound.samples).sum();
        (samples > 0).then(|| aurola::seconds(samples))
    }

    fn works(&self, common: &Common, interrupts: &Interrupts) -> Result<String, String> {
        (self.model.load(common, interrupts))
            .and_then(|(model, folder)| {
                let speed = speed(&model)?;
                let spoken = crate::present::spoken;
                let hour = spoken(3600.0 / speed);
                let library = (self.library_seconds()).map_or_else(String::new, |seconds| {
                    let (long, takes) = (spoken(seconds), spoken(seconds / speed));
                    format!("; your library of {long} takes about {takes}")
                });
                let folder = match self.model.is_nano() {
                    true => format!("{}, in {},", aurola_nano::NAME, folder.display()),
                    false => folder.display().to_string(),
                };
                Ok(format!(
                    "{folder} works: {speed:.1}× real time, an hour of sound takes {hour}{library}"
                ))
            })
            .map_err(|error| told(&error))
    }
}

fn write(
    findings: &[Finding],
    healthy: bool,
    format: Format,
    out: &mut impl Write,
) -> std::io::Result<()> {
    match format {
        Format::Json => json::document(out, &Document { healthy, findings }),
        Format::Jsonl => (findings.iter()).try_for_each(|finding| json::line(out, finding)),
        Format::Csv => {
            writeln!(out, "name,works,says")?;
            findings
                .iter()
                .try_for_each(|Finding { name, works, says }| {
                    writeln!(out, "{name},{works},{}", csv_field(says))
                })
        }
        Format::Auto | Format::Human => findings.iter().try_for_each(|finding| {
            let failed = if finding.works { "" } else { "FAILED: " };
            let says = printable(&finding.says);
            writeln!(out, "{:<10} {failed}{says}", finding.name)
        }),
        Format::Quiet => Ok(()),
    }
}

fn processor() -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = rayon::current_num_threads();
    let forms: Vec<String> = Isa::available().iter().map(Isa::to_string).collect();
    format!("{cores} cores, {threads} threads, {}", forms.join(" "))
}

fn memory_in_words() -> String {
    match memory() {
        Some((total, free)) => format!("{}, {} available", bytes(total), bytes(free)),
        None => "unknown on this system".into(),
    }
}

/// A second of a tone, written, decoded in a child process and compared.
fn decoding() -> Result<String, String> {
    let started = Instant::now();
    let folder = std::env::temp_dir().join(format!("aurola-doctor-{}", std::process::id()));
    let heard = fs::create_dir_all(&folder)
        .map_err(|error| error.to_string())
        .and_then(|()| tone_comes_back(&folder.join("tone.wav")));
    // What cannot be removed lies in the system's folder for such things.
    let _ = fs::remove_dir_all(&folder);
    let took = started.elapsed().as_secs_f64() * 1e3;
    heard.map(|()| format!("works, in a process of its own ({took:.0} ms)"))
}

fn tone_comes_back(path: &Path) -> Result<(), String> {
    use aurola_audio::{IsolatedDecoder, Limits, SampleSource};
    let tone: Vec<i16> = (0..16_000)
        .map(|n| (f64::from(n) * 440.0 * std::f64::consts::TAU / 16_000.0).sin() * 16_384.0)
        .map(|sample| sample as i16)
        .collect();
    fs::write(path, wav(&tone)).map_err(|error| error.to_string())?;
    let command = match isolated() {
        Ok(aurola::Decoding::Isolated(command)) => command,
        Ok(aurola::Decoding::Here) => return Err("no command for a decoding process".into()),
        Err(error) => return Err(told(&error)),
    };
    let mut decoder = IsolatedDecoder::new(command);
    let mut clip = decoder
        .open(path, &Limits::default())
        .map_err(|error| told(&error))?;
    let mut samples = vec![0.0_f32; tone.len() + 1];
    let read = clip.read(&mut samples).map_err(|error| told(&error))?;
    let same = (samples.iter().zip(&tone))
        .all(|(heard, written)| (heard - f32::from(*written) / 32_768.0).abs() < 1e-6);
    if read == tone.len() && same {
        Ok(())
    } else {
        Err(format!(
            "a tone of {} samples came back as {read} others",
            tone.len()
        ))
    }
}

/// How long the model is measured, at least one pass.
const MEASURED: Duration = Duration::from_secs(3);

/// Ten seconds of silence with a tick, embedded again and again for [`MEASURED`]: how many seconds of
/// sound this machine hears in one.
fn speed(model: &Model) -> Result<f64, AppError> {
    let mut samples = vec![0.0_f32; 160_000];
    samples[80_000] = 0.5;
    let filters = aurola_audio::MelFilters::new(model.mel_config())?;
    let mel = aurola_audio::log_mel(&samples, &filters)?;
    model.embed(&[Input::Audio(&mel)])?; // the first pass reads the weights
    let started = Instant::now();
    let mut heard = 0.0;
    while heard == 0.0 || started.elapsed() < MEASURED {
        model.embed(&[Input::Audio(&mel)])?;
        heard += 10.0;
    }
    Ok(heard / started.elapsed().as_secs_f64().max(1e-6))
}

/// Bytes in all, and bytes that could be had.
fn memory() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse().ok()?;
        Some(kib * 1024)
    };
    Some((line("MemTotal:")?, line("MemAvailable:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_survives_the_way_through_the_decoder_here() {
        use aurola_audio::{Clip, Limits, SampleSource};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        fs::write(&path, wav(&[0, 16_384, -16_384])).unwrap();
        let mut samples = [9.0_f32; 4];
        let mut clip = Clip::open(&path, &Limits::default()).unwrap();
        assert_eq!(clip.read(&mut samples).unwrap(), 3);
        assert_eq!(samples[..3], [0.0, 0.5, -0.5]);
    }
}
