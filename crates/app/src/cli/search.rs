//! `aurola search` and `aurola similar`.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aurola::{
    Answer, EngineError, FileHit, GroupBy, Index, Library, LibraryFile, Mode, Moment, Options,
    Part, Question, Relevance, Rerank, SearchHit, SearchRequest, Skipped, Sort, What,
};
use clap::{Args, ValueEnum};

use super::Common;
use super::narrow::Narrow;
use crate::exit::{AppError, Ending};
use crate::interrupt::Interrupts;
use crate::listening::CutArgs;
use crate::model::ModelArgs;
use crate::places::StoreArgs;
use crate::present::hits::Results;
use crate::present::printable;
use crate::progress::Meter;
use crate::stdin;

/// How many skipped files are listed, unless more is asked for.
const LISTED: usize = 20;

/// How many moments beside the best one a hit is shown with.
const OTHERS: usize = 4;

/// What an interrupted run leaves, parts of long sounds included.
const STOPPED: &str = "what was embedded is saved, and the same command goes on from there";

/// Find the sounds that best match a description.
///
/// New and changed files are embedded first, and kept: the next search is instant.
#[derive(Debug, Args)]
#[command(override_usage = "aurola search <QUERY> [PATH]... [OPTIONS]\n       \
                            aurola search --like <FILE> [QUERY] [PATH]... [OPTIONS]")]
pub(crate) struct Search {
    /// What to listen for, in plain words, or - to read them from stdin; then folders and files to
    /// search [default: .]. With --like the words may be left out: a first argument that is a path, or has a / in it, is
    /// then taken as one
    #[arg(value_name = "QUERY|PATH")]
    words_and_paths: Vec<OsString>,
    /// Sounds like this one, together with the words if there are any; may be repeated. A long one
    /// counts as the mean of its windows
    #[arg(long, value_name = "FILE")]
    like: Vec<PathBuf>,
    /// Judge the N best anew: the model reads words and sound together, and the probability of
    /// its Yes is added to the score
    #[arg(long, value_name = "N", default_value_t = 0, env = "AUROLA_RERANK")]
    rerank: usize,
    /// How much the judge's probability counts beside the cosine
    #[arg(long, value_name = "X", default_value_t = 1.0, env = "AUROLA_ALPHA")]
    alpha: f32,
    /// Judge no longer than this many seconds; what is left keeps its place
    #[arg(long, value_name = "SECONDS", value_parser = seconds, env = "AUROLA_RERANK_BUDGET")]
    rerank_budget: Option<Duration>,
    /// The model that judges, where it is another than the one that finds; the model that comes along
    /// has one of its own
    #[arg(long, value_name = "DIR|NAME", env = "AUROLA_RERANKER")]
    reranker: Option<String>,
    #[command(flatten)]
    how: How,
}

/// Find the sounds that are most like one: short for search --like.
#[derive(Debug, Args)]
pub(crate) struct Similar {
    /// The sound to compare with
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Folders and files to search [default: .]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    how: How,
}

/// What `search` and `similar` share.
#[derive(Debug, Args)]
struct How {
    /// But not this, in words; may be repeated
    #[arg(long, value_name = "TEXT")]
    not: Vec<String>,
    /// How much --not counts: score = cosine to what is wanted - weight * cosine to what is not
    #[arg(long, value_name = "X", default_value_t = Question::NOT_WEIGHT, env = "AUROLA_NOT_WEIGHT")]
    not_weight: f32,
    /// How many files to show
    #[arg(
        short = 'k',
        long,
        value_name = "N",
        default_value = "10",
        value_parser = how_many,
        env = "AUROLA_LIMIT"
    )]
    limit: NonZeroUsize,
    /// Rank by meaning, by words in names and tags, or by both
    #[arg(long, value_enum, default_value_t = By::Both, env = "AUROLA_BY")]
    by: By,
    /// Leave out what is less sure: strong, likely, or a share of random matches it must be above
    #[arg(long, value_name = "strong|likely|0..1", value_parser = relevance, env = "AUROLA_MIN_RELEVANCE")]
    min_relevance: Option<f32>,
    /// Order of the list
    #[arg(long, value_enum, default_value_t = Order::Relevance, env = "AUROLA_SORT")]
    sort: Order,
    /// Show only the best of each folder, or of sounds that are alike
    #[arg(long, value_enum, env = "AUROLA_GROUP")]
    group: Option<Fold>,
    /// With --json: the score of every window, which tells why
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    narrow: Narrow,
    /// Print only paths, one per line
    #[arg(long = "paths", id = "only_paths")]
    only_paths: bool,
    /// Print only paths, each followed by a NUL byte
    #[arg(short = '0', long = "print0")]
    print0: bool,
    #[command(flatten)]
    cut: CutArgs,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    Both,
    Meaning,
    Words,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Order {
    Relevance,
    /// Newest first
    Date,
    /// Shortest first
    Duration,
    Name,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Fold {
    Folder,
    Alike,
}

/// What a sound should be like.
struct Wanted {
    text: Option<String>,
    like: Vec<PathBuf>,
    rerank: Rerank,
    reranker: Option<String>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "a number of seconds is needed".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn relevance(text: &str) -> Result<f32, String> {
    match text {
        "strong" => Ok(Relevance::STRONG),
        "likely" => Ok(Relevance::LIKELY),
        number => match number.parse() {
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
            _ => Err("strong, likely, or a number from 0 to 1 is needed".into()),
        },
    }
}

/// Clap's own words for a zero speak of types.
fn how_many(text: &str) -> Result<NonZeroUsize, String> {
    text.parse()
        .map_err(|_| "a whole number from 1 on is needed".to_owned())
}

impl Search {
    /// Searches.
    pub(crate) fn run(
        self,
        common: &Common,
        interrupts: &Interrupts,
        out: &mut impl Write,
    ) -> Result<Ending, AppError> {
        let (mut text, paths) = self.words_and_paths()?;
        if text.as_deref() == Some("-") {
            text = Some(stdin::words()?);
        }
        if let (Some(text), false) = (&text, self.like.is_empty()) {
            common.detail(|| format!("looking for {text:?} together with the sound"));
        }
        let wanted = Wanted {
            text,
            like: self.like,
            rerank: Rerank {
                first: self.rerank,
                alpha: self.alpha,
                budget: self.rerank_budget,
            },
            reranker: self.reranker,
        };
        self.how.search(wanted, &paths, common, interrupts, out)
    }

    fn words_and_paths(&self) -> Result<(Option<String>, Vec<PathBuf>), AppError> {
        let mut rest = self.words_and_paths.iter();
        let mut text = None;
        if let Some(first) = self.words_and_paths.first()
            && (self.like.is_empty() || !is_path(first))
        {
            let words = first
                .to_str()
                .map(str::trim)
                .filter(|words| !words.is_empty());
            text = Some(words.map(str::to_owned).ok_or(AppError::Usage {
                message: "the query is empty, or not Unicode".into(),
                help: "say what to listen for, as in: aurola search \"rain on a tin roof\" ~/Sounds",
            })?);
            rest.next();
        }
        if text.is_none() && self.like.is_empty() {
            return Err(AppError::Usage {
                message: "nothing to look for".into(),
                help: "aurola search \"rain on a tin roof\" ~/Sounds, or --like FILE",
            });
        }
        Ok((text, rest.map(PathBuf::from).collect()))
    }
}

/// Beside --like, where words may be missing.
fn is_path(argument: &OsString) -> bool {
    Path::new(argument).exists() || argument.as_encoded_bytes().contains(&b'/')
}

impl Similar {
    /// Searches.
    pub(crate) fn run(
        self,
        common: &Common,
        interrupts: &Interrupts,
        out: &mut impl Write,
    ) -> Result<Ending, AppError> {
        let Self { file, paths, how } = self;
        let wanted = Wanted {
            text: None,
            like: vec![file],
            rerank: Rerank::first(0),
            reranker: None,
        };
        how.search(wanted, &paths, common, interrupts, out)
    }
}

impl How {
    fn request(&self, wanted: &Wanted, paths: &[PathBuf]) -> SearchRequest {
        let like = wanted
            .like
            .iter()
            .map(|path| Part::of(What::Sound(path.clone())));
        // A path that is not there is told by the library that is made of it.
        let absolute = |path: &PathBuf| std::fs::canonicalize(path).ok();
        SearchRequest {
            wanted: wanted.text.iter().map(Part::text).chain(like).collect(),
            not: (self.not.iter())
                .map(|text| Part {
                    weight: self.not_weight,
                    ..Part::text(text)
                })
                .collect(),
            mode: match self.by {
                By::Both => Mode::Both,
                By::Meaning => Mode::Meaning,
                By::Words => Mode::Words,
            },
            filter: self
                .narrow
                .filter(paths.iter().filter_map(absolute).collect()),
            sort: match self.sort {
                Order::Relevance => Sort::Relevance,
                Order::Date => Sort::Newest,
                Order::Duration => Sort::Shortest,
                Order::Name => Sort::Path,
            },
            group_by: match self.group {
                None => GroupBy::File,
                Some(Fold::Folder) => GroupBy::Folder,
                Some(Fold::Alike) => GroupBy::Alike,
            },
            min_relevance: self.min_relevance,
            rerank: (wanted.rerank.first > 0).then_some(wanted.rerank),
            explain: true, // whose windows are also the other moments of a hit
            ..SearchRequest::browse(self.limit.get())
        }
    }

    fn search(
        self,
        wanted: Wanted,
        paths: &[PathBuf],
        common: &Common,
        interrupts: &Interrupts,
        out: &mut impl Write,
    ) -> Result<Ending, AppError> {
        let here = [PathBuf::from(".")];
        let paths = if paths.is_empty() { &here } else { paths };
        let request = self.request(&wanted, paths);
        request.check()?;
        let listening = self.cut.listening()?;
        let store_path = self.store.path()?;
        // Before the model, which takes longest: a path that is not there is told at once.
        for path in paths.iter().chain(&wanted.like) {
            std::fs::metadata(path).map_err(|source| AppError::Path {
                path: path.clone(),
                source,
            })?;
        }
        if let Some(folder) = wanted.like.iter().find(|like| like.is_dir()) {
            return Err(AppError::Usage {
                message: format!("{}: a folder cannot be searched by", folder.display()),
                help: "name one sound in it",
            });
        }
        let (model, _) = self.model.load(common, interrupts)?;
        let reranker = if wanted.rerank.first > 0 {
            let named = wanted.reranker.as_deref();
            self.model.load_reranker(named, common, interrupts)?
        } else {
            None
        };
        let started = Instant::now();
        let options = Options {
            listening,
            name: self.model.name().to_owned(),
            readers: common.readers(),
            ..Options::default()
        };
        let mut index = Index::open_beside(&store_path, Arc::new(model), options)?;
        if let Some(reranker) = reranker {
            index = index.with_reranker(Arc::new(reranker));
        }
        let embed = |paths: &[PathBuf]| {
            let mut meter = Meter::new(common);
            let library = interrupts
                .patiently(|cancel| index.library(paths, cancel, &mut |event| meter.show(&event)));
            meter.finish();
            library
        };
        // First what to compare with: who names a sound that cannot be read is told before an hour of
        // embedding, and a long one is embedded with its progress shown.
        for like in &wanted.like {
            let example = embed(std::slice::from_ref(like))?;
            if let ([], [unreadable]) = (&example.files[..], &example.skipped[..]) {
                return Err(AppError::from(EngineError::Unreadable {
                    path: like.clone(),
                    reason: unreadable.reason.clone(),
                }));
            }
            if example.interrupted {
                common.note(STOPPED);
                return Ok(Ending::Interrupted(interrupts.signal()));
            }
            for noted in &example.notes {
                common.notes_on(&noted.path, std::slice::from_ref(&noted.note));
            }
        }
        let library = embed(paths)?;
        common.detail(|| {
            let took = started.elapsed().as_secs_f64();
            let embedded = library.embedded;
            format!(
                "{} sounds known, {embedded} of them new, in {took:.3} s",
                library.files.len()
            )
        });
        if library.interrupted {
            list_skipped(common, &library.skipped);
            common.note(format!(
                "{} sounds are whole; {STOPPED}",
                library.files.len()
            ));
            return Ok(Ending::Interrupted(interrupts.signal()));
        }
        // Each costs about what its sound cost to embed: silence would look like a program that hangs.
        let judged = wanted.rerank.first.min(library.files.len());
        if judged > 0 {
            common.progress_line(&format!("judging the {judged} best anew"));
        }
        let searching = Instant::now();
        let answer = named(index.search(&request)?, &library, self.explain);
        common.detail(|| {
            let (all, last) = (started.elapsed(), searching.elapsed());
            format!(
                "searched in {:.3} s, {:.3} s in all",
                last.as_secs_f64(),
                all.as_secs_f64()
            )
        });
        for noted in &library.notes {
            common.notes_on(&noted.path, std::slice::from_ref(&noted.note));
        }
        let mut skipped = library.skipped;
        skipped.extend(answer.skipped.iter().cloned());
        let folder = match paths {
            [only] if only.is_dir() => Some(only.as_path()),
            _ => None,
        };
        let results = Results {
            answer: &answer,
            files: library.files.len(),
            skipped: &skipped,
            folder,
        };
        if self.print0 {
            results.paths(0, out)?;
        } else if self.only_paths {
            results.paths(b'\n', out)?;
        } else {
            results.write(common.format(), out)?;
        }
        out.flush()?;
        list_skipped(common, &skipped);
        if library.files.is_empty() && skipped.is_empty() {
            common.note(format!(
                "no sounds found in {}; files named by themselves are taken whatever they end in",
                listed(paths)
            ));
        }
        Ok(match (skipped.is_empty(), answer.hits.is_empty()) {
            (false, _) => Ending::Skipped,
            (true, true) => Ending::Nothing,
            (true, false) => Ending::Done,
        })
    }
}

/// The answer, with every file as the person would name it.
fn named(answer: aurola::SearchAnswer, library: &Library, explain: bool) -> Answer {
    let shown: HashMap<&Path, &Path> = (library.files.iter())
        .map(|file| (file.absolute.as_path(), file.shown.as_path()))
        .collect();
    let hit = |hit: SearchHit| {
        let best = hit.best.unwrap_or(Moment {
            start_s: 0.0,
            end_s: hit.duration_s.unwrap_or(0.0),
            score: hit.score,
        });
        // Other good windows, none overlapping a better one.
        let mut windows = hit.heat.clone();
        windows.sort_by(|a, b| {
            b.score
                .total_cmp(&a.score)
                .then(a.start_s.total_cmp(&b.start_s))
        });
        let mut kept = vec![best];
        for window in windows {
            let apart = |k: &Moment| window.end_s <= k.start_s || k.end_s <= window.start_s;
            if kept.len() <= OTHERS && kept.iter().all(apart) {
                kept.push(window);
            }
        }
        FileHit {
            score: hit.score,
            cosine: hit.cosine.unwrap_or(0.0),
            p_yes: hit.p_yes,
            others: kept.split_off(1),
            best,
            duration_s: hit.duration_s,
            relevance: hit.relevance,
            heat: if explain { hit.heat } else { Vec::new() },
            file: LibraryFile {
                shown: shown
                    .get(hit.path.as_path())
                    .map_or(hit.path.clone(), |p| p.to_path_buf()),
                absolute: hit.path,
                content: hit.content,
                sound: hit.sound,
            },
        }
    };
    Answer {
        hits: answer.hits.into_iter().map(hit).collect(),
        skipped: answer.skipped,
    }
}

/// Files that were passed over, with the reason, on stderr.
pub(crate) fn list_skipped(common: &Common, skipped: &[Skipped]) {
    if skipped.is_empty() {
        return;
    }
    let files = if skipped.len() == 1 { "file" } else { "files" };
    common.note(format!("{} {files} skipped:", skipped.len()));
    let shown = if common.is_verbose() {
        skipped.len()
    } else {
        LISTED
    };
    for Skipped { path, reason } in skipped.iter().take(shown) {
        let path = path.to_string_lossy();
        common.note(format!("  {}: {}", printable(&path), printable(reason)));
    }
    if skipped.len() > shown {
        common.note(format!(
            "  and {} more; -v lists all",
            skipped.len() - shown
        ));
    }
}

fn listed(paths: &[PathBuf]) -> String {
    let names: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    printable(&names.join(", ")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        search: Search,
    }

    fn parsed(arguments: &[&str]) -> Result<(Option<String>, Vec<PathBuf>), AppError> {
        let line = Line::parse_from(["search"].iter().chain(arguments));
        line.search.words_and_paths()
    }

    #[test]
    fn the_first_argument_is_the_query_whatever_it_looks_like() {
        let (text, paths) = parsed(&["a/b", "c", "d"]).unwrap();
        assert_eq!(text.as_deref(), Some("a/b"));
        assert_eq!(paths, [PathBuf::from("c"), PathBuf::from("d")]);
    }

    #[test]
    fn beside_a_sound_words_may_be_left_out() {
        let (text, paths) = parsed(&["--like", "x.wav", "src"]).unwrap();
        assert_eq!((text, paths), (None, vec![PathBuf::from("src")]));
        let (text, paths) = parsed(&["--like", "x.wav", "softer rain", "src"]).unwrap();
        assert_eq!(text.as_deref(), Some("softer rain"));
        assert_eq!(paths, [PathBuf::from("src")]);
        let (text, paths) = parsed(&["--like", "x.wav", "no/such/folder"]).unwrap();
        assert_eq!((text, paths), (None, vec![PathBuf::from("no/such/folder")]));
    }

    #[test]
    fn nothing_to_look_for_is_a_usage_error() {
        assert!(matches!(parsed(&[]), Err(AppError::Usage { .. })));
        assert!(matches!(parsed(&["  "]), Err(AppError::Usage { .. })));
    }
}
