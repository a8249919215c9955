//! The data section of a recipe: which rows, in which shares, told how, and varied how.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

use super::DataError;
use super::augment::AugmentConfig;

/// Where examples come from and what becomes of them. Paths are relative to the recipe's folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// The sources, at least one; either all give a `weight` or none.
    pub sources: Vec<SourceConfig>,
    /// Longest stretch of a clip that is listened to, in seconds, in `0.1..=300`; default 30, as
    /// released. Longer clips are cropped.
    pub max_s: f64,
    /// Which stretch of a longer clip; default a random one. The released code takes the start.
    pub crop: Crop,
    /// Shorter clips are filled with zeros at their end to this many seconds, in `0..=max_s`; default
    /// 0, none. The released training fills to 2.
    pub pad_to_s: f64,
    /// Longest clip that is decoded, in seconds, in `max_s..=86400`; default 600. Beyond it a clip is
    /// unreadable: what lies after would never be heard, and nobody would be told.
    pub longest_s: f64,
    /// Memory for decoded samples in MiB; default 0, none. Rows met first are kept until it is full.
    /// It never changes a batch.
    pub cache_mib: usize,
    /// When a caption comes with its tags' clusters; default only a tag caption, as released.
    pub clusters: ClusterRule,
    /// JSON of each tag's cluster: `tag -> number | null`, or `tag -> {"cluster_index": number | null}`
    /// as released. Tags not in it have none. Without it, each tag is a cluster of its own.
    pub tag_vocab: Option<PathBuf>,
    /// What is done to sounds; default nothing.
    pub augment: AugmentConfig,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            max_s: 30.0,
            crop: Crop::default(),
            pad_to_s: 0.0,
            longest_s: 600.0,
            cache_mib: 0,
            clusters: ClusterRule::default(),
            tag_vocab: None,
            augment: AugmentConfig::default(),
        }
    }
}

impl DataConfig {
    /// Checks what the types do not.
    ///
    /// # Errors
    ///
    /// [`DataError::Setting`] at the first setting out of its range.
    pub fn check(&self) -> Result<(), DataError> {
        within("max_s", self.max_s, 0.1, 300.0)?;
        within("pad_to_s", self.pad_to_s, 0.0, self.max_s)?;
        within("longest_s", self.longest_s, self.max_s, 86_400.0)?;
        self.augment.check()?;
        if self.sources.is_empty() {
            return Err(DataError::setting("sources", "none is given"));
        }
        let mut names = BTreeMap::new();
        for (at, source) in self.sources.iter().enumerate() {
            if let Some(first) = names.insert(&source.common.name, at) {
                let reason = format!("numbers {first} and {at} are both `{}`", source.common.name);
                return Err(DataError::setting("sources", reason));
            }
            source.check(self.max_s)?;
        }
        let weighted = self.sources.iter().filter(|s| s.common.weight.is_some());
        if ![0, self.sources.len()].contains(&weighted.count()) {
            let reason = "some sources give one and some do not; give all or none";
            return Err(DataError::setting("weight", reason));
        }
        Ok(())
    }
}

pub(super) fn within(setting: &str, value: f64, low: f64, high: f64) -> Result<(), DataError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    let reason = format!("{value} is not within {low} and {high}");
    Err(DataError::setting(setting, reason))
}

/// A range in order, within bounds.
pub(super) fn within_both(
    setting: &str,
    [from, to]: [f64; 2],
    low: f64,
    high: f64,
) -> Result<(), DataError> {
    within(setting, from, low, high)?;
    within(setting, to, from, high)
}

/// Which stretch of a clip longer than [`DataConfig::max_s`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Crop {
    /// Another one each time.
    #[default]
    Random,
    /// The first.
    Start,
}

/// When a caption comes with clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterRule {
    /// Where the tag caption was drawn.
    #[default]
    TagCaption,
    /// Wherever the row has tags. For sources of few classes, where a batch holds many of one.
    Always,
}

/// What happens to a row that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// The run ends, and says which.
    #[default]
    Error,
    /// The row is left out, counted and listed. Nothing takes its place.
    Skip,
}

/// A source: what all kinds have, and what its kind has. In a recipe both stand side by side:
///
/// ```toml
/// [[data.sources]]
/// name = "clotho"
/// kind = "clotho"
/// weight = 1.0
/// file = "clotho/train.csv"
/// audio = ["clotho/audio"]
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceConfig {
    /// What every kind has.
    #[serde(flatten)]
    pub common: CommonConfig,
    /// What its kind has.
    #[serde(flatten)]
    pub form: Form,
}

impl SourceConfig {
    fn check(&self, longest_s: f64) -> Result<(), DataError> {
        let name = &self.common.name;
        let at = |field: &str| format!("source `{name}`, {field}");
        if let Some(weight) = self.common.weight
            && !(weight > 0.0 && weight.is_finite())
        {
            let reason = format!("{weight} is not above 0");
            return Err(DataError::setting(at("weight"), reason));
        }
        for weight in self.common.captions.all() {
            within(&at("captions"), weight, 0.0, 1e6)?;
        }
        if let Form::Scenes(scenes) = &self.form {
            scenes.check(name, longest_s)?;
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for SourceConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde's `flatten` would switch off the refusal of unknown keys, which is the point.
        let mut form = toml::Table::deserialize(deserializer)?;
        let mut common = toml::Table::new();
        for key in CommonConfig::KEYS {
            common.extend(form.remove_entry(key));
        }
        let name = common.get("name").map(ToString::to_string);
        let at = |error: toml::de::Error| {
            let message = error.message();
            D::Error::custom(format!(
                "source {}: {message}",
                name.as_deref().unwrap_or("without a name")
            ))
        };
        Ok(Self {
            common: common.try_into().map_err(at)?,
            form: form.try_into().map_err(at)?,
        })
    }
}

/// What every kind of source has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommonConfig {
    /// What messages and reports call it.
    pub name: String,
    /// Its share of every batch, in proportion to the others'; default its number of rows.
    pub weight: Option<f64>,
    /// What becomes of a row whose sound is nowhere; default an error.
    #[serde(default)]
    pub missing: Policy,
    /// What becomes of a row whose sound cannot be decoded; default an error.
    #[serde(default)]
    pub unreadable: Policy,
    /// How often each kind of caption is drawn, where a row has it.
    #[serde(default)]
    pub captions: CaptionWeights,
    /// [`DataConfig::clusters`] for this source.
    pub clusters: Option<ClusterRule>,
}

impl CommonConfig {
    const KEYS: [&'static str; 6] = [
        "name",
        "weight",
        "missing",
        "unreadable",
        "captions",
        "clusters",
    ];
}

/// How often each kind of caption is drawn, in proportion, among those that a row has. Default 1 each:
/// uniform over long, short and tag caption, as released.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CaptionWeights {
    /// The long caption.
    pub long: f64,
    /// The short caption.
    pub short: f64,
    /// The tag caption.
    pub tag: f64,
    /// The plain captions together; among them each is as likely.
    pub plain: f64,
}

impl Default for CaptionWeights {
    fn default() -> Self {
        Self {
            long: 1.0,
            short: 1.0,
            tag: 1.0,
            plain: 1.0,
        }
    }
}

impl CaptionWeights {
    pub(super) fn all(&self) -> [f64; 4] {
        [self.long, self.short, self.tag, self.plain]
    }
}

/// What a source is read from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Form {
    /// AuroLA's released JSON: `video_id`, `image_id`, `image` or `id`; `caption`, or
    /// `caption_long`, `caption_short` and `caption_tag`; hard negatives by number of record. Ours, which
    /// [`crate::mine`] writes: `audio_file`, the sound's path under a folder of `audio`, and
    /// `tag_list`, tags that may hold commas.
    Aurola(FileConfig),
    /// AudioCaps' CSV, a caption a line: `youtube_id` and `start_time` make the id.
    Audiocaps(FileConfig),
    /// Clotho's CSV: `file_name`, `caption_1` to `caption_5`.
    Clotho(FileConfig),
    /// Any CSV, TSV, JSON or JSON lines, told which column is what.
    Table(TableConfig),
    /// A folder of sounds: `metadata.csv` or `metadata.jsonl` in it, or a folder for each class.
    Folder(FolderConfig),
    /// Parquet, with the sounds in it or beside it.
    Parquet(ParquetConfig),
    /// WebDataset archives: `key.flac` beside `key.json` or `key.txt`.
    Webdataset(WebdatasetConfig),
    /// Pairs of texts for the text stage: `sent0`, `sent1` and, unused as released, `hard_neg`.
    Nli(NliConfig),
    /// Generated scenes, which need no files.
    Scenes(ScenesConfig),
}

/// A file of a known layout, and where its sounds are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    /// The file.
    pub file: PathBuf,
    /// Folders in which sounds are looked for by id, in turn.
    pub audio: Vec<PathBuf>,
    /// The file's name, made of the row's id; any known extension is tried, and an extension in it need
    /// not be the file's. Default `"{id}"`; AudioCaps' copies are often `"Y{id}"`.
    #[serde(default = "by_id")]
    pub audio_name: String,
    /// Rows to take; default all.
    #[serde(default)]
    pub filter: Vec<Condition>,
}

fn by_id() -> String {
    "{id}".into()
}

/// A table of any layout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableConfig {
    /// The file: `.csv`, `.tsv`, `.json` (a list of objects) or `.jsonl`.
    pub file: PathBuf,
    /// As in [`FileConfig`].
    pub audio: Vec<PathBuf>,
    /// As in [`FileConfig`]; not used where `columns.file` is given.
    #[serde(default = "by_id")]
    pub audio_name: String,
    /// Which column is what.
    pub columns: Columns,
    /// Captions made from the column `columns.label`.
    pub labels: Option<LabelConfig>,
    /// Rows to take; default all.
    #[serde(default)]
    pub filter: Vec<Condition>,
    /// Rows with one id are captions of one clip; default an error.
    #[serde(default)]
    pub merge: bool,
}

/// Which column is what. A list of columns may be given where one may: captions are then all of them,
/// and ids are their texts joined by `_`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Columns {
    /// The row's id; default the column `file`, else the place of the row.
    pub id: Names,
    /// The sound, by its path under a folder of `audio`; default it is looked for by id.
    pub file: Option<String>,
    /// Captions of no stated granularity; a cell may be a list. Not all need have one.
    pub captions: Names,
    /// The long caption.
    pub long: Option<String>,
    /// The short caption.
    pub short: Option<String>,
    /// Comma-separated tags, as a caption.
    pub tag: Option<String>,
    /// Tags that are no caption: a list, or comma-separated.
    pub tags: Option<String>,
    /// The class, from which captions are made: see [`LabelConfig`].
    pub label: Option<String>,
    /// Rows whose sound is easily taken for this one's: ids, or numbers of records from 0.
    pub hard_audio: Option<String>,
    /// Rows whose captions are: ids, numbers of records, or captions.
    pub hard_text: Option<String>,
}

/// One name, or several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Names {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Default for Names {
    fn default() -> Self {
        Names::Many(Vec::new())
    }
}

impl Names {
    /// All of them.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Names::One(name) => std::slice::from_ref(name),
            Names::Many(names) => names,
        }
    }
}

impl<const N: usize> From<[&str; N]> for Names {
    fn from(names: [&str; N]) -> Self {
        Names::Many(names.map(str::to_owned).to_vec())
    }
}

/// How a class becomes captions: each of its phrases in each of the templates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LabelConfig {
    /// TOML (`label = ["phrase", …]`) or CSV (`label,phrase`); a class that is not in it is an error.
    /// Default: the class itself, with spaces for underscores.
    pub phrases: Option<PathBuf>,
    /// With `{phrase}` in each; default `["{phrase}"]`.
    pub templates: Vec<String>,
}

impl Default for LabelConfig {
    fn default() -> Self {
        Self {
            phrases: None,
            templates: vec!["{phrase}".into()],
        }
    }
}

/// A condition on a column's text; rows must meet all conditions. Exactly one list is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The column.
    pub column: String,
    /// It is one of these.
    #[serde(default)]
    pub is: Vec<String>,
    /// It is none of these.
    #[serde(default)]
    pub is_not: Vec<String>,
}

/// A folder of sounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FolderConfig {
    /// The folder. With `metadata.csv` or `metadata.jsonl` in it, that is the table; without, every
    /// folder in it is a class.
    pub folder: PathBuf,
    /// Which column of the metadata is what; default `file_name` and `caption`.
    pub columns: Option<Columns>,
    /// How classes become captions.
    pub labels: Option<LabelConfig>,
    /// Rows of the metadata to take; default all.
    #[serde(default)]
    pub filter: Vec<Condition>,
}

/// Parquet files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParquetConfig {
    /// The files; a folder stands for those in it that end in `.parquet`, in order of name.
    pub files: Vec<PathBuf>,
    /// The column of sounds, `struct<bytes, path>` or bytes; default `audio`. Where there is none,
    /// sounds are found under `audio_roots`.
    #[serde(default = "audio_column")]
    pub audio: String,
    /// Folders in which sounds that are not in the file are looked for.
    #[serde(default)]
    pub audio_roots: Vec<PathBuf>,
    /// Which column is what.
    pub columns: Columns,
    /// Captions made from the column `columns.label`.
    pub labels: Option<LabelConfig>,
    /// Rows to take; default all.
    #[serde(default)]
    pub filter: Vec<Condition>,
}

fn audio_column() -> String {
    "audio".into()
}

/// WebDataset archives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebdatasetConfig {
    /// The archives, uncompressed; a folder stands for those in it that end in `.tar`, in order of name.
    pub files: Vec<PathBuf>,
    /// Which field of `key.json` is what; default `caption`. A `key.txt` is a plain caption.
    pub columns: Option<Columns>,
    /// Captions made from the field `columns.label`.
    pub labels: Option<LabelConfig>,
    /// Rows to take; default all.
    #[serde(default)]
    pub filter: Vec<Condition>,
}

/// Pairs of texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NliConfig {
    /// The CSV.
    pub file: PathBuf,
}

/// Generated scenes: row `i` is drawn from `seed + i`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenesConfig {
    /// How many rows.
    pub count: usize,
    /// Of the first row; default 0. Sets whose ranges of seeds do not meet share no scene.
    #[serde(default)]
    pub seed: u64,
    /// Shortest scene in seconds, at least 0.5; default 3.
    #[serde(default = "scenes_min_s")]
    pub min_s: f32,
    /// Longest scene in seconds, from `min_s` to [`DataConfig::max_s`], since a crop would make captions
    /// false; default 5.
    #[serde(default = "scenes_max_s")]
    pub max_s: f32,
    /// Most groups of foreground events, at least 1; default 3.
    #[serde(default = "scenes_max_events")]
    pub max_events: usize,
    /// Probability of a background texture, in `[0, 1]`; default the generator's.
    pub background: Option<f32>,
    /// Probability that two groups sound at once, in `[0, 1]`; default the generator's.
    pub together: Option<f32>,
    /// Probability of an audible room, in `[0, 1]`; default the generator's.
    pub room: Option<f32>,
}

fn scenes_min_s() -> f32 {
    3.0
}

fn scenes_max_s() -> f32 {
    5.0
}

fn scenes_max_events() -> usize {
    3
}

impl ScenesConfig {
    fn check(&self, name: &str, longest_s: f64) -> Result<(), DataError> {
        let at = |field: &str| format!("source `{name}`, {field}");
        let (min_s, max_s) = (f64::from(self.min_s), f64::from(self.max_s));
        within(&at("min_s"), min_s, 0.5, longest_s)?;
        within(&at("max_s"), max_s, min_s, longest_s)?;
        for (field, chance) in [
            ("background", self.background),
            ("together", self.together),
            ("room", self.room),
        ] {
            within(&at(field), chance.map_or(0.0, f64::from), 0.0, 1.0)?;
        }
        for (field, number) in [("count", self.count), ("max_events", self.max_events)] {
            if number == 0 {
                return Err(DataError::setting(at(field), "is 0"));
            }
        }
        Ok(())
    }
}
