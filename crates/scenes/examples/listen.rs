//! Writes scenes for people to listen to: `NNNN.wav`, one per family, and `captions.csv`.
//!
//! ```text
//! cargo run --release -p aurola-scenes --example listen -- DIR [COUNT]
//! ```

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use aurola_scenes::{SAMPLE_RATE, Scene, SceneConfig, families};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().ok_or("usage: listen DIR [COUNT]")?);
    let count: u64 = args.next().map_or(Ok(20), |count| count.parse())?;
    fs::create_dir_all(&folder)?;
    let config = SceneConfig::default();
    let mut table = fs::File::create(folder.join("captions.csv"))?;
    writeln!(table, "file,key,short,long,tags,near_misses")?;
    for family in families() {
        let scene = Scene::single(family.name(), 1, &config).ok_or("a listed family is unknown")?;
        note(
            &mut table,
            &folder,
            &format!("family_{}.wav", family.name()),
            &scene,
        )?;
    }
    for seed in 0..count {
        note(
            &mut table,
            &folder,
            &format!("{seed:04}.wav"),
            &Scene::draw(seed, &config),
        )?;
    }
    Ok(())
}

fn note(table: &mut fs::File, folder: &Path, name: &str, scene: &Scene) -> Result<()> {
    fs::write(folder.join(name), wave(&scene.render()))?;
    let captions = scene.captions(scene.seed());
    let misses: Vec<String> = scene
        .near_misses(scene.seed())
        .iter()
        .map(|miss| format!("{:?}: {}", miss.kind, miss.caption))
        .collect();
    let fields = [
        scene.key(),
        captions.short,
        captions.long,
        captions.tag,
        misses.join(" "),
    ];
    // No caption contains a quotation mark, so quoting is all that CSV asks for.
    let quoted: Vec<String> = fields.iter().map(|field| format!("\"{field}\"")).collect();
    writeln!(table, "{name},{}", quoted.join(","))?;
    Ok(())
}

/// A mono 16-bit WAV file of `samples` in `[-1, 1]`.
fn wave(samples: &[f32]) -> Vec<u8> {
    let bytes = samples.len() as u32 * 2;
    let mut file = Vec::with_capacity(44 + bytes as usize);
    file.extend(b"RIFF");
    file.extend((36 + bytes).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend(1_u16.to_le_bytes()); // PCM
    file.extend(1_u16.to_le_bytes()); // channels
    file.extend(SAMPLE_RATE.to_le_bytes());
    file.extend((SAMPLE_RATE * 2).to_le_bytes()); // bytes per second
    file.extend(2_u16.to_le_bytes()); // bytes per frame
    file.extend(16_u16.to_le_bytes()); // bits
    file.extend(b"data");
    file.extend(bytes.to_le_bytes());
    for sample in samples {
        file.extend(((sample * 32_767.0) as i16).to_le_bytes());
    }
    file
}
