//! The mined file: rows in the released form, written beside its place, read back, and renamed.

use std::collections::{HashMap, HashSet};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::NamedTempFile;

use crate::TrainError;
use crate::data::{
    Audio, CaptionWeights, CommonConfig, DataError, FileConfig, Form, HardText, Manifest, Policy,
    Row, SourceConfig,
};

/// A row on its way into the file.
#[derive(Debug, Clone)]
pub(super) struct Entry<'a> {
    /// Its source, in the order of the recipe.
    pub(super) source: usize,
    /// Its row there.
    pub(super) row: usize,
    /// What stands there.
    pub(super) told: &'a Row,
    /// Its id in the file, where ids of several sources meet.
    pub(super) id: String,
    /// Its sound.
    pub(super) sound: PathBuf,
    /// The sound's path under its folder of sounds.
    pub(super) name: String,
}

/// The folders that the sources of a recipe look for sounds in, absolute, each once, in order.
pub(super) fn roots(sources: &[SourceConfig], folder: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let mut all = Vec::new();
    for source in sources {
        all.extend(roots_of(&source.form, folder)?);
    }
    let mut seen = HashSet::new();
    all.retain(|root: &PathBuf| seen.insert(root.clone()));
    Ok(all)
}

fn roots_of(form: &Form, folder: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let roots: &[PathBuf] = match form {
        Form::Aurola(file) | Form::Audiocaps(file) | Form::Clotho(file) => &file.audio,
        Form::Table(table) => &table.audio,
        Form::Parquet(parquet) => &parquet.audio_roots,
        Form::Folder(config) => std::slice::from_ref(&config.folder),
        _ => &[],
    };
    let absolute = |root: &PathBuf| {
        let root = folder.join(root);
        std::path::absolute(&root).map_err(TrainError::io(root))
    };
    roots.iter().map(absolute).collect()
}

/// The rows of all sources.
///
/// # Errors
///
/// [`DataError::Setting`], naming the source, where a row has no file of its own.
pub(super) fn entries<'a>(
    manifests: &'a [Manifest],
    sources: &[SourceConfig],
    folder: &Path,
) -> Result<Vec<Entry<'a>>, TrainError> {
    let mut owners: HashMap<&str, usize> = HashMap::new();
    for row in manifests.iter().flat_map(|manifest| &manifest.rows) {
        *owners.entry(&row.id).or_default() += 1;
    }
    let mut entries = Vec::new();
    for (source, manifest) in manifests.iter().enumerate() {
        let roots = roots_of(&sources[source].form, folder)?;
        for (row, told) in manifest.rows.iter().enumerate() {
            let refuse = |reason: String| DataError::Setting {
                setting: format!("source `{}`, `{}`", manifest.config.name, told.id),
                reason,
            };
            let path = match &told.audio {
                Audio::File(path) => path,
                other => return Err(refuse(without_file(other)).into()),
            };
            let sound = std::path::absolute(path).map_err(TrainError::io(path))?;
            let below = roots.iter().find_map(|root| sound.strip_prefix(root).ok());
            let parts = below.and_then(|p| p.iter().map(|part| part.to_str()).collect());
            let name = parts.map(|parts: Vec<&str>| parts.join("/"));
            let name = name
                .ok_or_else(|| refuse(format!("{}: its name is not Unicode", sound.display())))?;
            entries.push(Entry {
                source,
                row,
                told,
                id: match owners[told.id.as_str()] {
                    1 => told.id.clone(),
                    _ => format!("{}/{}", manifest.config.name, told.id),
                },
                sound,
                name,
            });
        }
    }
    Ok(entries)
}

fn without_file(audio: &Audio) -> String {
    match audio {
        Audio::Member { .. } | Audio::Cell { .. } => format!(
            "{}: the sound has no file of its own; unpack it into a folder first",
            audio.shown()
        ),
        Audio::Scene { .. } => {
            "a generated scene has no file, and has near misses already; render it or leave the source out"
                .into()
        }
        _ => "a pair of texts has no sound; leave the source out".into(),
    }
}

/// An empty file beside `out`, which takes its place in the end and vanishes if that never comes.
pub(super) fn beside(out: &Path) -> Result<NamedTempFile, TrainError> {
    if out
        .extension()
        .is_none_or(|e| !e.eq_ignore_ascii_case("json"))
    {
        return Err(TrainError::Io {
            path: out.to_owned(),
            source: std::io::Error::new(
                std::io::ErrorKind::InvalidInput,
                "would not be read as JSON by its name; let it end in .json",
            ),
        });
    }
    let folder = out.parent().filter(|p| !p.as_os_str().is_empty());
    temporary(folder.unwrap_or(Path::new("."))).map_err(TrainError::io(out))
}

fn temporary(folder: &Path) -> std::io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".mined-").suffix(".json");
    #[cfg(unix)]
    {
        // Temporary files are for their owner alone; this one stays, as readable as any other.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// A record of the file.
#[derive(Serialize)]
struct Record<'a> {
    id: &'a str,
    audio_file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    caption: Option<OneOrMany<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caption_long: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caption_short: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caption_tag: Option<&'a str>,
    tag_list: &'a [String],
    stage1_audio_hard_negative: &'a [usize],
    stage1_text_hard_negative: &'a [usize],
}

#[derive(Serialize)]
#[serde(untagged)]
enum OneOrMany<'a> {
    One(&'a str),
    Many(&'a [String]),
}

/// The hard negatives of each row, both ways, by their numbers.
pub(super) struct Negatives<'a> {
    pub(super) audio: &'a [Vec<usize>],
    pub(super) text: &'a [Vec<usize>],
}

/// Writes `entries` into `file`, makes sure that a source of kind `aurola` with `roots` reads them back,
/// and gives it the name `out`.
pub(super) fn write(
    mut file: NamedTempFile,
    out: &Path,
    entries: &[Entry<'_>],
    negatives: &Negatives<'_>,
    roots: &[PathBuf],
) -> Result<(), TrainError> {
    fill(&mut file, entries, negatives).map_err(TrainError::io(out))?;
    file.as_file().sync_all().map_err(TrainError::io(out))?;
    read_back(file.path(), entries, negatives, roots)?;
    file.persist(out)
        .map_err(|error| TrainError::io(out)(error.error))?;
    Ok(())
}

/// Whether `entries` would be read back, before hours are spent on them.
///
/// # Errors
///
/// [`DataError::Row`], naming the row that would not.
pub(super) fn rehearse(entries: &[Entry<'_>], roots: &[PathBuf]) -> Result<(), TrainError> {
    let folder = std::env::temp_dir();
    let none = vec![Vec::new(); entries.len()];
    let negatives = Negatives {
        audio: &none,
        text: &none,
    };
    let mut file = temporary(&folder).map_err(TrainError::io(&folder))?;
    fill(&mut file, entries, &negatives).map_err(TrainError::io(&folder))?;
    read_back(file.path(), entries, &negatives, roots)
}

fn fill(
    file: &mut NamedTempFile,
    entries: &[Entry<'_>],
    negatives: &Negatives<'_>,
) -> std::io::Result<()> {
    let mut writer = BufWriter::new(file);
    for (at, entry) in entries.iter().enumerate() {
        let captions = &entry.told.captions;
        let record = Record {
            id: &entry.id,
            audio_file: &entry.name,
            caption: match &*captions.plain {
                [] => None,
                [one] => Some(OneOrMany::One(one)),
                many => Some(OneOrMany::Many(many)),
            },
            caption_long: captions.long.as_deref(),
            caption_short: captions.short.as_deref(),
            caption_tag: captions.tag.as_deref(),
            tag_list: &entry.told.tags,
            stage1_audio_hard_negative: &negatives.audio[at],
            stage1_text_hard_negative: &negatives.text[at],
        };
        writer.write_all(if at == 0 { b"[\n" } else { b",\n" })?;
        serde_json::to_writer(&mut writer, &record)?;
    }
    writer.write_all(b"\n]\n")?;
    writer.flush()
}

/// Whether plain captions are beside the three others, where kind `aurola` does not read them, as
/// released.
pub(super) fn hides_plain(row: &Row) -> bool {
    let captions = &row.captions;
    let three = [&captions.long, &captions.short, &captions.tag];
    three.iter().all(|caption| caption.is_some()) && !captions.plain.is_empty()
}

fn read_back(
    file: &Path,
    entries: &[Entry<'_>],
    negatives: &Negatives<'_>,
    roots: &[PathBuf],
) -> Result<(), TrainError> {
    let source = SourceConfig {
        common: CommonConfig {
            name: "mined".into(),
            weight: None,
            missing: Policy::Error,
            unreadable: Policy::Error,
            captions: CaptionWeights::default(),
            clusters: None,
        },
        form: Form::Aurola(FileConfig {
            file: std::path::absolute(file).map_err(TrainError::io(file))?,
            audio: roots.to_vec(),
            audio_name: "{id}".into(),
            filter: Vec::new(),
        }),
    };
    let read = Manifest::read(&source, Path::new("."))?;
    for (at, (entry, row)) in entries.iter().zip(&read.rows).enumerate() {
        let refuse = |reason: String| {
            let place = entry.told.place.clone();
            Err(TrainError::from(DataError::Row { place, reason }))
        };
        match &row.audio {
            Audio::File(path) if *path == entry.sound => {}
            other => {
                return refuse(format!(
                    "`{}` is {} here and {} among all the recipe's folders of sounds; give one of the two another \
                     name, or mine their sources apart",
                    entry.name,
                    entry.sound.display(),
                    other.shown()
                ));
            }
        }
        let mut captions = entry.told.captions.clone();
        if hides_plain(entry.told) {
            captions.plain = [].into();
        }
        let text: Vec<HardText> = negatives.text[at]
            .iter()
            .map(|r| HardText::Row(*r))
            .collect();
        if row.id != entry.id
            || row.captions != captions
            || row.tags != entry.told.tags
            || row.hard_audio != negatives.audio[at]
            || row.hard_text != text
        {
            return refuse(format!("`{}` reads back as another row", entry.id));
        }
    }
    Ok(())
}
