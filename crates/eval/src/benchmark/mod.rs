//! Benchmarks, from the files their authors publish.
//!
//! ```text
//! annotation file ─► rows ─► TASK: clips, texts, who is right ─► audio found by id ─► pool
//!                    broken rows keep their line numbers          missing clips are listed
//! ```

mod audio;
mod captions;
mod events;
mod json;
mod known;
mod labels;
mod table;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{EvalError, Place};
use crate::pool::{NotAPool, Pool};

pub use audio::{Located, find};
pub use known::{KnownPool, known_pool};

/// The benchmarks that have a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Benchmark {
    /// AudioCaps: the authors' CSV, AuroLA's JSON, WavCaps' CSV or JSON.
    AudioCaps,
    /// Clotho v2.1: the authors' CSV, AuroLA's JSON, WavCaps' JSON.
    Clotho,
    /// Auto-ACD: AuroLA's JSON.
    AutoAcd,
    /// VALOR-32K: the JSON of VAST and VALOR.
    Valor,
    /// VGGSounder: audible labels of clips without background music.
    VggSounder,
    /// VGGSounder: audible labels of all clips.
    VggSounderMusic,
    /// HD-EPIC sounds, and EPIC-Sounds, whose file has the same columns.
    HdEpic,
    /// SoundDescs: a list of ids, and a table of descriptions.
    SoundDescs,
    /// ESC-50.
    Esc50,
    /// A CSV of one's own: `file` and `caption`, or `file` and `label`.
    Own,
}

/// Names on the command line and in reports, with what the annotation file is.
pub const BENCHMARKS: [(&str, Benchmark, &str); 10] = [
    (
        "audiocaps",
        Benchmark::AudioCaps,
        "test.csv of cdjkim/audiocaps, AuroLA's test.json, WavCaps' test.csv or test.json",
    ),
    (
        "clotho",
        Benchmark::Clotho,
        "clotho_captions_evaluation.csv, AuroLA's descs_cap_test.json, WavCaps' files",
    ),
    ("auto-acd", Benchmark::AutoAcd, "AuroLA's autoacd/test.json"),
    (
        "valor",
        Benchmark::Valor,
        "descs_cap_test.json of VALOR-32K",
    ),
    (
        "vggsounder",
        Benchmark::VggSounder,
        "vggsounder.csv or vggsounder_0.1.6.csv",
    ),
    (
        "vggsounder+music",
        Benchmark::VggSounderMusic,
        "vggsounder+background-music.csv of either version",
    ),
    (
        "hd-epic",
        Benchmark::HdEpic,
        "HD_EPIC_Sounds.csv, or EPIC_Sounds_validation.csv",
    ),
    (
        "sounddescs",
        Benchmark::SoundDescs,
        "a folder with test_list.txt and descriptions.csv or .json",
    ),
    ("esc50", Benchmark::Esc50, "meta/esc50.csv"),
    (
        "own",
        Benchmark::Own,
        "a CSV with the columns file and caption, or file and label",
    ),
];

impl Benchmark {
    /// As in [`BENCHMARKS`].
    pub fn name(self) -> &'static str {
        let of = BENCHMARKS
            .iter()
            .find(|(_, benchmark, _)| *benchmark == self);
        of.map_or("", |(name, ..)| name)
    }

    /// Reads an annotation file.
    ///
    /// # Errors
    ///
    /// [`EvalError`] where the file is not what the benchmark's authors publish. A row that cannot be used
    /// does not end it: it is in [`Task`]'s `broken`.
    pub fn read(self, annotations: &Path) -> Result<Task, EvalError> {
        let mut task = match self {
            Self::AudioCaps | Self::Clotho | Self::AutoAcd | Self::Valor => {
                captions::read(self, annotations)?
            }
            Self::VggSounder => labels::vggsounder(annotations, false)?,
            Self::VggSounderMusic => labels::vggsounder(annotations, true)?,
            Self::HdEpic => events::read(annotations)?,
            Self::SoundDescs => captions::sounddescs(annotations)?,
            Self::Esc50 => labels::esc50(annotations)?,
            Self::Own => labels::own(annotations)?,
        };
        task.benchmark = self.name().to_owned();
        task.tell_traps();
        Ok(task)
    }
}

impl FromStr for Benchmark {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = BENCHMARKS.iter().find(|(known, ..)| *known == name);
        found.map(|(_, benchmark, _)| *benchmark).ok_or_else(|| {
            let names: Vec<&str> = BENCHMARKS.iter().map(|(name, ..)| *name).collect();
            format!(
                "no benchmark is called {name}; there are {}",
                names.join(", ")
            )
        })
    }
}

impl fmt::Display for Benchmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What texts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Sentences about one clip each.
    Captions,
    /// Names of classes, each true of many clips.
    Labels,
}

/// A clip of a benchmark.
#[derive(Debug, Clone, PartialEq)]
pub struct Clip {
    /// Its name in reports.
    pub id: String,
    /// Names its file may have, without extension, best first.
    pub names: Vec<String>,
    /// Seconds of the file that are meant, where that is not all of it.
    pub part: Option<(f64, f64)>,
    /// The fold the file puts it in, where there are folds.
    pub fold: Option<u8>,
}

impl Clip {
    /// A whole file, called by its id.
    pub(crate) fn called(id: &str) -> Self {
        Self::with_names(vec![id.to_owned()])
    }

    /// A whole file with several names, of which the first is its id.
    pub(crate) fn with_names(names: Vec<String>) -> Self {
        Self {
            id: names[0].clone(),
            names,
            part: None,
            fold: None,
        }
    }
}

/// A text and the clips it is true of.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// A name of its own, where the file has one.
    pub id: Option<String>,
    /// Caption or class name, as the file has it.
    pub text: String,
    /// Indices into the clips, ascending.
    pub clips: Vec<usize>,
}

/// A row that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokenRow {
    /// Of the file, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

/// What is to be found by what.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Name of the benchmark.
    pub benchmark: String,
    /// What texts are.
    pub kind: Kind,
    /// Distinct.
    pub clips: Vec<Clip>,
    /// In the order of the file.
    pub texts: Vec<Text>,
    /// Rows that were left out.
    pub broken: Vec<BrokenRow>,
    /// What a reader should know of the data, in words.
    pub notes: Vec<String>,
    /// The file read.
    pub annotations: PathBuf,
}

impl Task {
    pub(crate) fn empty(kind: Kind, annotations: &Path) -> Self {
        Self {
            benchmark: String::new(),
            kind,
            clips: Vec::new(),
            texts: Vec::new(),
            broken: Vec::new(),
            notes: Vec::new(),
            annotations: annotations.to_path_buf(),
        }
    }

    pub(crate) fn leave_out(&mut self, line: usize, what: impl Into<String>) {
        let what = what.into();
        self.broken.push(BrokenRow { line, what });
    }

    /// Keeps one fold.
    ///
    /// # Errors
    ///
    /// [`EvalError`] where no clip is in it.
    pub fn fold(self, fold: u8) -> Result<Self, EvalError> {
        let keep: Vec<bool> = self
            .clips
            .iter()
            .map(|clip| clip.fold == Some(fold))
            .collect();
        if !keep.contains(&true) {
            let path = self.annotations.clone();
            let what = format!("no clip is in fold {fold}");
            return Err(EvalError::input(
                &path,
                Place::Whole,
                what,
                "ESC-50 has the folds 1 to 5; other files have none",
            ));
        }
        Ok(self.restricted(&keep))
    }

    /// For each clip, its texts, ascending.
    pub fn texts_of_clips(&self) -> Vec<Vec<usize>> {
        let mut of = vec![Vec::new(); self.clips.len()];
        for (at, text) in self.texts.iter().enumerate() {
            for clip in &text.clips {
                of[*clip].push(at);
            }
        }
        of
    }

    /// A name for exactly these clips with as many texts each; see [`crate::pool::fingerprint`].
    pub fn fingerprint(&self) -> String {
        let texts = self.texts_of_clips();
        let entries = self
            .clips
            .iter()
            .zip(&texts)
            .map(|(clip, texts)| (clip.id.as_str(), texts.len()));
        crate::pool::fingerprint(entries.collect())
    }

    /// Keeps the clips whose place is in `keep`, and what is said of them. Captions of other clips go; class names stay, since
    /// each is a wrong answer for the clips that are left.
    #[must_use]
    pub fn restricted(mut self, keep: &[bool]) -> Self {
        let mut next = 0;
        let places: Vec<Option<usize>> = keep
            .iter()
            .map(|keep| {
                keep.then(|| {
                    next += 1;
                    next - 1
                })
            })
            .collect();
        let mut at = keep.iter();
        self.clips.retain(|_| at.next() == Some(&true));
        for text in &mut self.texts {
            text.clips = text.clips.iter().filter_map(|clip| places[*clip]).collect();
        }
        if self.kind == Kind::Captions {
            self.texts.retain(|text| !text.clips.is_empty());
        }
        self
    }

    /// Keeps what a list names: ids of clips, or of texts where these have ids (AudioCaps' `audiocap_id`), one a
    /// line. So a pool that others publish, such as MTEB's 883 clips and 4,411 captions, is one file.
    ///
    /// # Errors
    ///
    /// [`EvalError`] naming the line of an id that is in neither.
    pub fn listed(mut self, list: &Path) -> Result<Self, EvalError> {
        let content = std::fs::read_to_string(list).map_err(EvalError::reading(list))?;
        let (mut clips, mut texts) = (vec![false; self.clips.len()], vec![false; self.texts.len()]);
        let clip_at: std::collections::HashMap<String, usize> = (self.clips.iter().enumerate())
            .flat_map(|(at, clip)| {
                clip.names
                    .iter()
                    .chain([&clip.id])
                    .map(move |n| (n.clone(), at))
            })
            .collect();
        let text_at: std::collections::HashMap<String, usize> = (self.texts.iter().enumerate())
            .filter_map(|(at, text)| Some((text.id.clone()?, at)))
            .collect();
        let mut by_text = false;
        for (line, id) in content.lines().enumerate() {
            let id = id.trim();
            if id.is_empty() {
                continue;
            }
            if let Some(at) = clip_at.get(id).or_else(|| clip_at.get(stem(id))) {
                clips[*at] = true;
            } else if let Some(at) = text_at.get(id) {
                texts[*at] = true;
                by_text = true;
                for clip in &self.texts[*at].clips {
                    clips[*clip] = true;
                }
            } else {
                return Err(EvalError::input(
                    list,
                    Place::Line(line + 1),
                    format!(
                        "`{id}` is neither a clip nor a text of {}",
                        self.annotations.display()
                    ),
                    "one id a line, of this benchmark and split",
                ));
            }
        }
        if by_text {
            let mut at = texts.iter();
            self.texts.retain(|_| at.next() == Some(&true));
        }
        Ok(self.restricted(&clips))
    }

    /// Who is right.
    ///
    /// # Errors
    ///
    /// [`EvalError`] where two clips have one id, or one has no text.
    pub fn pool(&self) -> Result<Pool, EvalError> {
        let ids: Vec<String> = self.clips.iter().map(|clip| clip.id.clone()).collect();
        let texts = self.texts.iter().map(|text| text.clips.clone()).collect();
        Pool::new(ids, texts).map_err(|reason| {
            let (what, remedy) = match reason {
                NotAPool::Empty => (
                    "has no clip left to measure".to_owned(),
                    "is --audio the folder of its sounds?",
                ),
                NotAPool::SameId(first, second) => (
                    format!(
                        "`{}` is the id of clips {first} and {second}",
                        self.clips[second].id
                    ),
                    "give each clip an id of its own",
                ),
                NotAPool::ClipWithoutText(clip) => (
                    format!("clip `{}` has no text", self.clips[clip].id),
                    "add one or leave the clip out",
                ),
                NotAPool::TextWithoutClip(text) => (
                    format!("`{}` is about no clip", self.texts[text].text),
                    "name its clip or leave it out",
                ),
            };
            EvalError::input(&self.annotations, Place::Whole, what, remedy)
        })
    }

    /// What is known to trip people up, counted.
    fn tell_traps(&mut self) {
        if self.kind != Kind::Captions {
            return;
        }
        let mut clips_of: std::collections::HashMap<&str, Vec<usize>> =
            std::collections::HashMap::new();
        for text in &self.texts {
            clips_of.entry(&text.text).or_default().extend(&text.clips);
        }
        let distinct = clips_of.len();
        let shared = clips_of.values_mut().filter_map(|clips| {
            clips.sort_unstable();
            clips.dedup();
            (clips.len() > 1).then_some(())
        });
        let shared = shared.count();
        let unstopped = (self.texts.iter())
            .filter(|text| !text.text.trim_end().ends_with(['.', '!', '?']))
            .count();
        let all = self.texts.len();
        if distinct < all {
            self.notes.push(format!(
                "{distinct} distinct captions among {all}; {shared} describe more than one clip, and only a caption's own \
                 clip counts as right"
            ));
        }
        if unstopped > 0 {
            self.notes.push(format!(
                "{unstopped} of {all} captions end without a full stop; texts are taken as they are"
            ));
        }
    }
}

/// A file name without folder and audio extension.
pub(crate) fn stem(name: &str) -> &str {
    let base = name.rsplit(['/', '\\']).next().unwrap_or(name);
    without_extension(base)
}

/// Without the extension of a sound, where there is one: `a_20.000_30.000` keeps its end.
pub(crate) fn without_extension(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && audio::is_sound(extension) => stem,
        _ => name,
    }
}
