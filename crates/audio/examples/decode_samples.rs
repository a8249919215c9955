//! Writes a file's samples at 16 kHz, f32 little-endian, to standard output; with `--mel` its
//! log-mel spectrogram. For comparing with other programs: `tools/compare_audio.py`.

use std::io::Write;
use std::path::PathBuf;

use aurola_audio::{Clip, Limits, MelConfig, MelFilters, SampleSource, log_mel};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let path = PathBuf::from(
        arguments
            .next()
            .ok_or("usage: decode_samples FILE [--mel]")?,
    );
    let mel = arguments.next().is_some_and(|flag| flag == "--mel");
    let mut clip = Clip::open(&path, &Limits::default())?;
    let mut samples = Vec::new();
    let mut block = vec![0.0; 65_536];
    loop {
        match clip.read(&mut block)? {
            0 => break,
            n => samples.extend_from_slice(&block[..n]),
        }
    }
    eprintln!("{:?} {:?}", clip.info(), clip.notes());
    if mel {
        samples = log_mel(&samples, &MelFilters::new(&MelConfig::default())?)?
            .values()
            .to_vec();
    }
    let bytes: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    std::io::stdout().write_all(&bytes)?;
    Ok(())
}
