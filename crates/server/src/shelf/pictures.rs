//! Waveforms and spectrograms: made once from the sound, kept on the disk under its content.

use std::path::PathBuf;
use std::time::SystemTime;

use aurola::{FileEntry, seconds};
use aurola_audio::LogMel;
use aurola_retrieval::Span;
use image_webp::{ColorType, WebPEncoder};
use serde_json::{Value, json};

use crate::fault::{Fault, Kind};
use crate::sound::Ears;

/// Points of the finest waveform that is kept; coarser ones are made of it.
pub(crate) const FINEST: usize = 8_000;

/// The widest spectrogram.
pub(crate) const WIDEST: usize = 4_000;

/// Samples a second of what is drawn.
const RATE: u64 = 16_000;

/// Bytes of pictures that are kept; beyond it the oldest half goes.
const KEPT: u64 = 1 << 30;

/// How many are added between two looks at how much there is.
const LOOK: usize = 256;

/// Colors from silence to loud: dark violet, red, orange, pale yellow.
const RAMP: [[f32; 3]; 6] = [
    [0.0, 0.0, 4.0],
    [66.0, 10.0, 104.0],
    [147.0, 38.0, 103.0],
    [221.0, 81.0, 58.0],
    [252.0, 165.0, 10.0],
    [252.0, 255.0, 164.0],
];

/// The folder, if there is one.
pub(crate) struct Pictures {
    folder: Option<PathBuf>,
    added: std::sync::atomic::AtomicUsize,
}

/// Extremes of equal stretches of a sound.
#[derive(Debug, Clone, PartialEq)]
struct Peaks {
    samples_per_pixel: u64,
    /// Minimum and maximum, in turn, in `-128..=127`.
    data: Vec<i8>,
}

impl Pictures {
    pub(crate) fn in_folder(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            added: Default::default(),
        }
    }

    /// The waveform in at most `points` points, as audiowaveform's JSON, version 2.
    pub(crate) async fn waveform(
        &self,
        entry: &FileEntry,
        path: PathBuf,
        ears: &Ears,
        points: usize,
    ) -> Result<Value, Fault> {
        let name = format!("{}.peaks", key(entry));
        let kept = self.read(&name).await.and_then(|bytes| Peaks::read(&bytes));
        let peaks = match kept {
            Some(peaks) => peaks,
            None => {
                let length = entry.sound.samples.unwrap_or(0).max(1);
                let drawing = Drawing::new(length.div_ceil(FINEST as u64));
                let drawing = ears.samples(path, drawing, Drawing::add).await?;
                let peaks = drawing.end();
                self.keep(&name, peaks.write()).await;
                peaks
            }
        };
        let peaks = peaks.at_most(points);
        Ok(json!({
            "version": 2,
            "channels": 1,
            "sample_rate": RATE,
            "samples_per_pixel": peaks.samples_per_pixel,
            "bits": 8,
            "length": peaks.data.len() / 2,
            "data": peaks.data,
        }))
    }

    /// The spectrogram, `width` pixels for the whole sound, a row for each mel band, as WebP.
    pub(crate) async fn spectrogram(
        &self,
        entry: &FileEntry,
        path: PathBuf,
        ears: &Ears,
        width: usize,
    ) -> Result<Vec<u8>, Fault> {
        let name = format!("{}-{width}.webp", key(entry));
        if let Some(bytes) = self.read(&name).await {
            return Ok(bytes);
        }
        let length = entry.sound.samples.map_or(1.0, seconds).max(0.01);
        let canvas = Canvas::new(width, length);
        let canvas = ears.each_window(path, canvas, Canvas::add).await?;
        let bytes = tokio::task::spawn_blocking(move || canvas.encode());
        let bytes = bytes.await.unwrap_or_else(|_| Err(Fault::stopping()))?;
        self.keep(&name, bytes.clone()).await;
        Ok(bytes)
    }

    async fn read(&self, name: &str) -> Option<Vec<u8>> {
        let path = self.folder.as_ref()?.join(name);
        tokio::task::spawn_blocking(move || std::fs::read(path))
            .await
            .ok()?
            .ok()
    }

    /// Keeps it for the next time. That it cannot be kept costs time and nothing else.
    async fn keep(&self, name: &str, bytes: Vec<u8>) {
        let Some(folder) = self.folder.clone() else {
            return;
        };
        let added = self
            .added
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = folder.join(name);
        let kept = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&folder)?;
            if added.is_multiple_of(LOOK) {
                prune(&folder)?;
            }
            // Whole or not at all, whoever reads it meanwhile.
            let mut file = tempfile::NamedTempFile::new_in(&folder)?;
            std::io::Write::write_all(&mut file, &bytes)?;
            file.persist(path).map(drop).map_err(|error| error.error)
        });
        if let Ok(Err(error)) = kept.await {
            tracing::warn!(%error, "a picture could not be kept");
        }
    }
}

/// Removes the oldest half where there is too much.
fn prune(folder: &std::path::Path) -> std::io::Result<()> {
    let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_file() {
            files.push((metadata.modified()?, metadata.len(), entry.path()));
        }
    }
    let all: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    if all <= KEPT {
        return Ok(());
    }
    files.sort();
    let mut left = all;
    for (_, bytes, path) in files {
        if left <= KEPT / 2 {
            break;
        }
        std::fs::remove_file(path)?;
        left -= bytes;
    }
    Ok(())
}

/// Of the bytes, so that a moved file keeps its pictures and a changed one gets new ones.
fn key(entry: &FileEntry) -> String {
    let bytes = entry.content.hash.as_bytes();
    bytes
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Peaks in the making.
struct Drawing {
    samples_per_pixel: u64,
    data: Vec<i8>,
    /// Samples, least and greatest of the pixel that is being filled.
    filling: (u64, f32, f32),
}

const EMPTY: (u64, f32, f32) = (0, f32::MAX, f32::MIN);

impl Drawing {
    fn new(samples_per_pixel: u64) -> Self {
        Self {
            samples_per_pixel,
            data: Vec::new(),
            filling: EMPTY,
        }
    }

    fn add(&mut self, samples: &[f32]) {
        for sample in samples {
            let (count, least, greatest) = self.filling;
            self.filling = (count + 1, least.min(*sample), greatest.max(*sample));
            if count + 1 == self.samples_per_pixel {
                self.close();
            }
        }
    }

    fn close(&mut self) {
        let (_, least, greatest) = std::mem::replace(&mut self.filling, EMPTY);
        // As audiowaveform has it: 16 bits, of which the upper 8 are kept.
        let eight = |x: f32| (x * 128.0).floor().clamp(-128.0, 127.0) as i8;
        self.data.extend([eight(least), eight(greatest)]);
    }

    fn end(mut self) -> Peaks {
        if self.filling.0 > 0 {
            self.close();
        }
        Peaks {
            samples_per_pixel: self.samples_per_pixel,
            data: self.data,
        }
    }
}

impl Peaks {
    /// Neighbours joined until there are no more than `points`.
    fn at_most(self, points: usize) -> Self {
        let pixels = self.data.len() / 2;
        let join = pixels.div_ceil(points.max(1)).max(1);
        if join == 1 {
            return self;
        }
        let data = (self.data.chunks(2 * join))
            .flat_map(|chunk| {
                let least = chunk.iter().step_by(2).min().copied().unwrap_or(0);
                let greatest = chunk.iter().skip(1).step_by(2).max().copied().unwrap_or(0);
                [least, greatest]
            })
            .collect();
        Self {
            samples_per_pixel: self.samples_per_pixel * join as u64,
            data,
        }
    }

    fn write(&self) -> Vec<u8> {
        let mut bytes = self.samples_per_pixel.to_le_bytes().to_vec();
        bytes.extend(self.data.iter().map(|value| value.to_le_bytes()[0]));
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (head, data) = bytes.split_first_chunk::<8>()?;
        let samples_per_pixel = u64::from_le_bytes(*head);
        (samples_per_pixel > 0 && data.len() % 2 == 0).then(|| Self {
            samples_per_pixel,
            data: data.iter().map(|byte| i8::from_le_bytes([*byte])).collect(),
        })
    }
}

/// A spectrogram in the making: sums and counts for each pixel.
struct Canvas {
    width: usize,
    length_s: f64,
    bands: usize,
    sums: Vec<f32>,
    counts: Vec<u32>,
}

/// Frames of a spectrogram a second.
const FRAMES: f64 = 100.0;

impl Canvas {
    fn new(width: usize, length_s: f64) -> Self {
        Self {
            width,
            length_s,
            bands: 0,
            sums: Vec::new(),
            counts: vec![0; width],
        }
    }

    fn add(&mut self, span: Span, mel: LogMel) {
        if self.bands == 0 {
            self.bands = mel.n_mels();
            self.sums = vec![0.0; self.width * self.bands];
        }
        let frames = mel.n_frames();
        let begin = seconds(span.start);
        let column = |s: f64| (s / self.length_s * self.width as f64) as usize;
        for frame in 0..frames {
            let from = column(begin + frame as f64 / FRAMES);
            let to = column(begin + (frame + 1) as f64 / FRAMES).max(from + 1);
            for x in from.min(self.width)..to.min(self.width) {
                self.counts[x] += 1;
                for band in 0..self.bands.min(mel.n_mels()) {
                    self.sums[x * self.bands + band] += mel.values()[band * frames + frame];
                }
            }
        }
    }

    fn encode(&self) -> Result<Vec<u8>, Fault> {
        let (width, height) = (self.width, self.bands.max(1));
        let mut pixels = vec![0_u8; width * height * 3];
        for x in 0..width {
            for y in 0..self.bands {
                let band = self.bands - 1 - y;
                let sum = self.sums[x * self.bands + band];
                let value = match self.counts[x] {
                    0 => f32::MIN,
                    count => sum / count as f32,
                };
                let at = (y * width + x) * 3;
                pixels[at..at + 3].copy_from_slice(&color(value));
            }
        }
        let cannot = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, "a spectrogram could not be written");
            Fault::new(Kind::Internal, "the spectrogram could not be written")
        };
        let side = |n: usize| u32::try_from(n).map_err(|error| cannot(&error));
        let mut bytes = Vec::new();
        WebPEncoder::new(&mut bytes)
            .encode(&pixels, side(width)?, side(height)?, ColorType::Rgb8)
            .map_err(|error| cannot(&error))?;
        Ok(bytes)
    }
}

/// A value of a log-mel, which lie around 0 with 2 between silence and the loudest.
fn color(value: f32) -> [u8; 3] {
    let place = ((value + 0.5) / 2.0).clamp(0.0, 1.0) * (RAMP.len() - 1) as f32;
    let below = (place as usize).min(RAMP.len() - 2);
    let part = place - below as f32;
    std::array::from_fn(|i| (RAMP[below][i] * (1.0 - part) + RAMP[below + 1][i] * part) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_by_hand() {
        let mut drawing = Drawing::new(2);
        drawing.add(&[0.5, -0.5, 0.25]);
        drawing.add(&[1.0, -1.0]);
        let peaks = drawing.end();
        assert_eq!(peaks.data, [-64, 64, 32, 127, -128, -128]);
        assert_eq!(Peaks::read(&peaks.write()), Some(peaks.clone()));
        let coarse = peaks.at_most(2);
        assert_eq!(coarse.samples_per_pixel, 4);
        assert_eq!(coarse.data, [-64, 127, -128, -128]);
        assert_eq!(Peaks::read(&[0; 8]), None);
        assert_eq!(Peaks::read(&[1; 3]), None);
    }

    #[test]
    fn colors_go_from_dark_to_bright() {
        let light = |value| {
            color(value)
                .iter()
                .map(|part| u32::from(*part))
                .sum::<u32>()
        };
        let steps: Vec<u32> = [-9.0, -0.5, 0.0, 0.5, 1.0, 1.5, 9.0].map(light).to_vec();
        assert!(steps.is_sorted(), "{steps:?}");
    }
}
