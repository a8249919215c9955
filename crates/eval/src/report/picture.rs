//! Small pictures and sounds that a page carries within itself.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use aurola_audio::{
    AudioError, Clip, Limits, LogMel, MelConfig, MelFilters, SAMPLE_RATE, SampleSource, log_mel,
};
use std::path::Path;

/// The longest part of a sound that is shown, in seconds.
const SHOWN_S: usize = 30;

/// A sound from sample `from` on, no further than `to`, for pictures and players.
pub(super) fn listen(path: &Path, from: u64, to: u64) -> Result<Vec<f32>, AudioError> {
    let mut clip = Clip::open(path, &Limits::default())?;
    let most = SHOWN_S * SAMPLE_RATE as usize;
    let mut skipped = vec![0.0; 1 << 16];
    let mut left = from;
    while left > 0 {
        let some = skipped
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        match clip.read(&mut skipped[..some])? {
            0 => break,
            more => left -= more as u64,
        }
    }
    let wanted = usize::try_from(to.saturating_sub(from)).unwrap_or(most);
    let mut samples = vec![0.0; most.min(wanted)];
    let mut filled = 0;
    while filled < samples.len() {
        match clip.read(&mut samples[filled..])? {
            0 => break,
            more => filled += more,
        }
    }
    samples.truncate(filled);
    Ok(samples)
}

/// A 16-bit WAV as a `data:` address.
pub(super) fn player(samples: &[f32]) -> String {
    let data = (samples.len() * 2) as u32;
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + data).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend(SAMPLE_RATE.to_le_bytes());
    wav.extend((SAMPLE_RATE * 2).to_le_bytes());
    wav.extend(b"\x02\0\x10\0data");
    wav.extend(data.to_le_bytes());
    wav.extend(
        samples
            .iter()
            .flat_map(|s| ((s * 32_767.0) as i16).to_le_bytes()),
    );
    format!("data:audio/wav;base64,{}", STANDARD.encode(wav))
}

/// Loudness over time: the peaks of `COLUMNS` pieces, mirrored, as SVG.
pub(super) fn waveform(samples: &[f32]) -> String {
    const COLUMNS: usize = 160;
    let mut path = String::new();
    for (at, piece) in samples
        .chunks(samples.len().div_ceil(COLUMNS).max(1))
        .enumerate()
    {
        let peak = piece
            .iter()
            .fold(0.0_f32, |a, s| a.max(s.abs()))
            .clamp(0.01, 1.0)
            * 19.0;
        let _ = write!(path, "M{at} {:.1}V{:.1}", 20.0 - peak, 20.0 + peak);
    }
    format!(
        "<svg class=wave viewBox='0 0 {COLUMNS} 40' preserveAspectRatio=none role=img aria-label=waveform><path d='{path}'/></svg>"
    )
}

/// The log-mel spectrogram that a model hears, low bands below, as an image.
pub(super) fn spectrogram(samples: &[f32]) -> Option<String> {
    const COLUMNS: usize = 200;
    let filters = MelFilters::new(&MelConfig::default()).ok()?;
    let mel: LogMel = log_mel(samples, &filters).ok()?;
    let (bands, frames) = (mel.n_mels(), mel.n_frames());
    let step = frames.div_ceil(COLUMNS).max(1);
    let columns = frames.div_ceil(step);
    let loudest = mel.values().iter().fold(f32::MIN, |a, v| a.max(*v));
    let mut pixels = vec![0_u8; bands * columns];
    for band in 0..bands {
        let row = &mel.values()[band * frames..(band + 1) * frames];
        for (column, piece) in row.chunks(step).enumerate() {
            let level = piece.iter().fold(f32::MIN, |a, v| a.max(*v)) - loudest;
            pixels[(bands - 1 - band) * columns + column] =
                (255.0 * (1.0 + level / 2.0)).clamp(0.0, 255.0) as u8;
        }
    }
    Some(image(columns, bands, &pixels))
}

/// A picture of `width` by `height` levels, dark to bright, as a `data:` address.
pub(super) fn image(width: usize, height: usize, levels: &[u8]) -> String {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette((0..=255_u8).flat_map(color).collect::<Vec<u8>>());
    let mut writer = encoder
        .write_header()
        .expect("a header for a picture in memory");
    writer
        .write_image_data(levels)
        .expect("one level for each pixel");
    writer.finish().expect("a Vec takes everything");
    format!("data:image/png;base64,{}", STANDARD.encode(bytes))
}

/// Dark blue over green to yellow, even to the eye (the colours of matplotlib's viridis at five places).
fn color(level: u8) -> [u8; 3] {
    const STOPS: [[f32; 3]; 5] = [
        [68.0, 1.0, 84.0],
        [59.0, 82.0, 139.0],
        [33.0, 145.0, 140.0],
        [94.0, 201.0, 98.0],
        [253.0, 231.0, 37.0],
    ];
    let at = f32::from(level) / 255.0 * 4.0;
    let below = (at as usize).min(3);
    std::array::from_fn(|c| {
        let (from, to) = (STOPS[below][c], STOPS[below + 1][c]);
        (from + (to - from) * (at - below as f32)) as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_and_a_sound_carry_themselves() {
        let picture = image(2, 1, &[0, 255]);
        let bytes = STANDARD
            .decode(picture.strip_prefix("data:image/png;base64,").unwrap())
            .unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes))
            .read_info()
            .unwrap();
        let mut pixels = [0; 2];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(pixels, [0, 255]);
        let sound = player(&[0.0, 1.0]);
        let wav = STANDARD
            .decode(sound.strip_prefix("data:audio/wav;base64,").unwrap())
            .unwrap();
        assert_eq!((wav.len(), &wav[46..]), (48, &32_767_i16.to_le_bytes()[..]));
        assert_eq!(color(0), [68, 1, 84]);
        assert_eq!(color(255), [253, 231, 37]);
    }
}
