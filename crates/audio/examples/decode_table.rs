//! Prints, as Markdown, what we make of every file of a folder beside what its manifest says that
//! ffmpeg and libsndfile make of it: the tables of `docs/decoding.md`.
//!
//! ```sh
//! cargo run -q -p aurola-audio --example decode_table -- ../shared/data/broken ../shared/data/library
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aurola_audio::{AudioError, Clip, Limits, SampleSource};

/// Seconds decoded and what was noted, or why not.
fn decode(path: &Path) -> Result<(f64, Vec<String>), AudioError> {
    let mut clip = Clip::open(path, &Limits::default())?;
    let (mut samples, mut block) = (0, vec![0.0; 65_536]);
    loop {
        match clip.read(&mut block)? {
            0 => return Ok((samples as f64 / 16_000.0, clip.notes().to_vec())),
            n => samples += n,
        }
    }
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, found)?
        } else {
            found.push(path)
        }
    }
    Ok(())
}

/// Fields of one line of CSV.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => fields.last_mut().expect("never empty").push(c),
        }
    }
    fields
}

/// The error without its path, which starts the row.
fn reason(error: &AudioError, path: &Path) -> String {
    error
        .to_string()
        .replace(&format!("{}: ", path.display()), "")
}

/// The table for a folder with a `MANIFEST.csv`: totals, then every disagreement.
fn against_manifest(dir: &Path, manifest: &str) {
    let mut counts = BTreeMap::new();
    let mut rows = Vec::new();
    for line in manifest.lines().skip(1) {
        let row = fields(line);
        let (name, status, codec, seconds, libsndfile) =
            (&row[0], &row[4], &row[6], &row[11], &row[13]);
        let theirs: f64 = seconds.parse().unwrap_or(0.0);
        let sounds = status.starts_with("decodes");
        let (verdict, text) = match decode(&dir.join(name)) {
            Ok((s, notes)) => {
                let alike = sounds && (s - theirs).abs() < 0.03;
                let text = [vec![format!("{s:.3} s")], notes].concat().join("; ");
                (
                    if alike {
                        "same length"
                    } else {
                        "other length, or only we"
                    },
                    text,
                )
            }
            Err(error) if sounds => ("only ffmpeg", reason(&error, &dir.join(name))),
            Err(_) => ("neither", String::new()),
        };
        *counts.entry(verdict).or_insert(0) += 1;
        if matches!(verdict, "only ffmpeg" | "other length, or only we") {
            let libsndfile = libsndfile.split(':').next().unwrap_or_default();
            rows.push(format!(
                "| {name} | {codec} | {status}, {theirs:.3} s | {libsndfile} | {text} |"
            ));
        }
    }
    for (verdict, count) in &counts {
        println!("- {verdict}: {count}");
    }
    println!("\n| file | codec | ffmpeg | libsndfile | ours |\n|---|---|---|---|---|");
    rows.iter().for_each(|row| println!("{row}"));
}

/// Totals for a folder without one, and every file that fails or has notes.
fn alone(dir: &Path) -> std::io::Result<()> {
    let mut found = Vec::new();
    files(dir, &mut found)?;
    found.sort();
    let (mut clips, mut seconds) = (0, 0.0);
    for path in found
        .iter()
        .filter(|path| aurola_audio::is_audio_path(path))
    {
        let name = path.strip_prefix(dir).unwrap_or(path).display();
        match decode(path) {
            Ok((s, notes)) => {
                (clips, seconds) = (clips + 1, seconds + s);
                notes.iter().for_each(|note| println!("- {name}: {note}"));
            }
            Err(error) => println!("- {name}: {}", reason(&error, path)),
        }
    }
    println!("\n{clips} files decoded, {:.1} min.", seconds / 60.0);
    Ok(())
}

fn main() -> std::io::Result<()> {
    for dir in std::env::args_os().skip(1).map(PathBuf::from) {
        println!("### `{}`\n", dir.file_name().unwrap_or_default().display());
        match std::fs::read_to_string(dir.join("MANIFEST.csv")) {
            Ok(manifest) => against_manifest(&dir, &manifest),
            Err(_) => alone(&dir)?,
        }
        println!();
    }
    Ok(())
}
