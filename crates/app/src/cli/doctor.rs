//! `aurola doctor`: what this machine has, and whether the program works on it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use aurola_audio::AUDIO_EXTENSIONS;
use aurola_compute::Isa;
use aurola_hub::HubOptions;
use aurola_model::{Input, Model};
use aurola_retrieval::Store;
use clap::Args;

use super::Common;
use crate::exit::{AppError, Ending, told};
use crate::interrupt::Interrupts;
use crate::listening::isolated;
use crate::model::ModelArgs;
use crate::places::StoreArgs;
use crate::present::bytes;

/// Check this machine and the program on it; one block to paste into a report.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    store: StoreArgs,
}

impl Doctor {
    /// Looks at everything; ends with 1 where something is wrong.
    pub(crate) fn run(
        self,
        common: &Common,
        interrupts: &Interrupts,
        out: &mut impl Write,
    ) -> Result<Ending, AppError> {
        let mut healthy = true;
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        writeln!(
            out,
            "aurola     {} on {os} {arch}",
            env!("CARGO_PKG_VERSION")
        )?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = rayon::current_num_threads();
        let forms: Vec<String> = Isa::available().iter().map(Isa::to_string).collect();
        writeln!(
            out,
            "processor  {cores} cores, {threads} threads, {}",
            forms.join(" ")
        )?;
        match memory() {
            Some((total, free)) => {
                let (total, free) = (bytes(total), bytes(free));
                writeln!(out, "memory     {total}, {free} available")?;
            }
            None => writeln!(out, "memory     unknown on this system")?,
        }
        healthy &= self.store(out)?;
        let hub = HubOptions::from_env();
        let offline = hub.offline.as_ref().map(|by| format!(", offline by {by}"));
        writeln!(
            out,
            "models     {} ({}), from {}{}",
            hub.cache.display(),
            bytes(size(&hub.cache)),
            hub.endpoint,
            offline.unwrap_or_default()
        )?;
        writeln!(out, "sounds     {}", AUDIO_EXTENSIONS.join(" "))?;
        healthy &= decoding(out)?;
        if self.model.named().is_some() {
            match self.model.load(common, interrupts) {
                Ok((model, folder)) => healthy &= speed(&model, &folder, out)?,
                Err(error) => {
                    healthy = false;
                    writeln!(out, "model      FAILED: {}", told(&error))?;
                }
            }
        } else {
            writeln!(out, "model      none named; --model checks and times one")?;
        }
        Ok(if healthy {
            Ending::Done
        } else {
            Ending::Nothing
        })
    }

    fn store(&self, out: &mut impl Write) -> Result<bool, AppError> {
        let path = self.store.path()?;
        if !path.exists() {
            writeln!(
                out,
                "store      {} (made by the first search)",
                path.display()
            )?;
            return Ok(true);
        }
        match Store::open_read_only(&path).and_then(|store| store.summary()) {
            Ok(summary) => {
                let (files, size) = (summary.files, bytes(summary.disk_bytes));
                writeln!(out, "store      {} ({size}, {files} files)", path.display())?;
                Ok(true)
            }
            Err(error) => {
                writeln!(out, "store      FAILED: {}", told(&error))?;
                Ok(false)
            }
        }
    }
}

/// A second of a tone, written, decoded in a child process and compared.
fn decoding(out: &mut impl Write) -> Result<bool, AppError> {
    let started = Instant::now();
    let folder = std::env::temp_dir().join(format!("aurola-doctor-{}", std::process::id()));
    let heard = fs::create_dir_all(&folder)
        .map_err(|error| error.to_string())
        .and_then(|()| tone_comes_back(&folder.join("tone.wav")));
    // What cannot be removed lies in the system's folder for such things.
    let _ = fs::remove_dir_all(&folder);
    match heard {
        Ok(()) => {
            let took = started.elapsed().as_secs_f64() * 1e3;
            writeln!(
                out,
                "decoding   works, in a process of its own ({took:.0} ms)"
            )?;
            Ok(true)
        }
        Err(reason) => {
            writeln!(out, "decoding   FAILED: {reason}")?;
            Ok(false)
        }
    }
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

/// 16-bit mono at 16 kHz.
fn wav(samples: &[i16]) -> Vec<u8> {
    let data = (samples.len() * 2) as u32;
    let mut file = Vec::with_capacity(44 + data as usize);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(36 + data).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16_u32.to_le_bytes());
    file.extend_from_slice(&1_u16.to_le_bytes()); // PCM
    file.extend_from_slice(&1_u16.to_le_bytes()); // one channel
    file.extend_from_slice(&16_000_u32.to_le_bytes());
    file.extend_from_slice(&32_000_u32.to_le_bytes()); // bytes a second
    file.extend_from_slice(&2_u16.to_le_bytes()); // bytes a sample
    file.extend_from_slice(&16_u16.to_le_bytes()); // bits a sample
    file.extend_from_slice(b"data");
    file.extend_from_slice(&data.to_le_bytes());
    for sample in samples {
        file.extend_from_slice(&sample.to_le_bytes());
    }
    file
}

/// Ten seconds of silence with a tick, embedded: how fast this machine hears.
fn speed(model: &Model, folder: &Path, out: &mut impl Write) -> Result<bool, AppError> {
    let mut samples = vec![0.0_f32; 160_000];
    samples[80_000] = 0.5;
    let timed = aurola_audio::MelFilters::new(model.mel_config())
        .and_then(|filters| aurola_audio::log_mel(&samples, &filters))
        .map_err(AppError::from)
        .and_then(|mel| {
            model.embed(&[Input::Audio(&mel)])?; // the first pass reads the weights
            let started = Instant::now();
            model.embed(&[Input::Audio(&mel)])?;
            Ok(started.elapsed().as_secs_f64())
        });
    match timed {
        Ok(took) => {
            let speed = 10.0 / took.max(1e-6);
            let hour = crate::present::spoken(3600.0 / speed);
            writeln!(
                out,
                "model      {} works: {speed:.1}× real time, an hour of sound takes {hour}",
                folder.display()
            )?;
            Ok(true)
        }
        Err(error) => {
            writeln!(out, "model      FAILED: {}", told(&error))?;
            Ok(false)
        }
    }
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

/// Bytes of all files below a folder; links are not followed, since the cache links to itself.
fn size(folder: &Path) -> u64 {
    let mut bytes = 0;
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
                Ok(metadata) if metadata.is_file() => bytes += metadata.len(),
                _ => {}
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wav_of_two_samples_by_hand() {
        let file = wav(&[1, -1]);
        assert_eq!(file.len(), 48);
        assert_eq!(&file[..4], b"RIFF");
        assert_eq!(&file[40..], [4, 0, 0, 0, 1, 0, 255, 255]);
    }

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
