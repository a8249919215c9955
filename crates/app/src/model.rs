//! Choosing, fetching and loading a model.

use std::fs;
use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use aurola_hub::{HubOptions, Plan, Progress, Transfer};
use aurola_model::{DtypeChoice, LoadOptions, Model, PromptPreset};
use aurola_nano::Unpacked;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::Common;
use crate::exit::AppError;
use crate::interrupt::Interrupts;
use crate::places::cache_folder;
use crate::present::bytes;

/// Which model, and how to run it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelArgs {
    /// A folder that holds a checkpoint, a name on the Hugging Face hub such as org/name, or nano,
    /// the small model that comes with the program [default: nano]
    #[arg(long, value_name = "DIR|NAME", env = "AUROLA_MODEL")]
    model: Option<String>,
    /// A PEFT LoRA adapter to apply
    #[arg(long, value_name = "DIR", env = "AUROLA_ADAPTER")]
    adapter: Option<PathBuf>,
    /// Form of AuroLA's prompts, whatever the checkpoint says
    #[arg(long, value_enum, env = "AUROLA_PROMPT")]
    prompt: Option<Prompt>,
    /// Arithmetic: auto takes bf16 for bf16 weights, and int8 or int4 where these do not fit the memory
    #[arg(long, value_enum, default_value_t = Dtype::Auto, env = "AUROLA_DTYPE")]
    dtype: Dtype,
    #[command(flatten)]
    network: NetworkArgs,
}

/// What the model that comes along is called on the command line; a folder of that name is `./nano`.
pub(crate) const NANO: &str = "nano";

/// Whether the network may be used.
#[derive(Debug, Clone, Args)]
pub(crate) struct NetworkArgs {
    /// Use only what is on this machine
    #[arg(long, env = "AUROLA_OFFLINE", value_parser = clap::builder::FalseyValueParser::new())]
    offline: bool,
    /// Download without asking
    #[arg(short = 'y', long, env = "AUROLA_YES", value_parser = clap::builder::FalseyValueParser::new())]
    yes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Prompt {
    /// As the released evaluation and training write it
    Evaluation,
    /// As the released README writes it
    Demo,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Dtype {
    Auto,
    F32,
    Bf16,
    Int8,
    Int4,
}

impl ModelArgs {
    /// The name or folder that was given, else the model that comes along.
    pub(crate) fn name(&self) -> &str {
        self.model.as_deref().unwrap_or(NANO)
    }

    /// The form of the prompts, for reports.
    pub(crate) fn prompt_in_words(&self) -> &'static str {
        match self.prompt {
            None => "as the checkpoint describes them",
            Some(Prompt::Evaluation) => "evaluation form",
            Some(Prompt::Demo) => "demo form",
        }
    }

    /// Whether it is the model that comes along.
    pub(crate) fn is_nano(&self) -> bool {
        self.name() == NANO
    }

    /// Whether the network may be used.
    pub(crate) fn network(&self) -> &NetworkArgs {
        &self.network
    }

    /// The same, with a name given in another place, which wins.
    pub(crate) fn or_named(mut self, name: Option<String>) -> Self {
        self.model = name.or(self.model);
        self
    }

    /// The re-ranker that goes with the model: the one named here, else the model's own where it has
    /// one. It runs the same way; adapter and prompts are the first one's own.
    pub(crate) fn load_reranker(
        &self,
        named: Option<&str>,
        common: &Common,
        interrupts: &Interrupts,
    ) -> Result<Option<Model>, AppError> {
        let other = Self {
            adapter: None,
            prompt: None,
            ..self.clone()
        };
        let name = match named {
            Some(name) => name,
            None if self.is_nano() => NANO,
            None => return Ok(None),
        };
        if name != NANO {
            let folder = self.network.resolve(name, false, common, interrupts)?;
            return Ok(Some(other.load_from(&folder, common)?));
        }
        let unpacked = unpacked()?;
        let folder = match (unpacked.reranker, named) {
            (Some(folder), _) => folder,
            (None, Some(_)) => unpacked.model,
            (None, None) => return Ok(None),
        };
        Ok(Some(other.load_from(&folder, common)?))
    }

    /// Finds, fetches if need be, and loads it. Where none was named, says which it is.
    pub(crate) fn load(
        &self,
        common: &Common,
        interrupts: &Interrupts,
    ) -> Result<(Model, PathBuf), AppError> {
        let folder = (self.network).resolve(self.name(), false, common, interrupts)?;
        self.say_which(common);
        Ok((self.load_from(&folder, common)?, folder))
    }

    /// As [`ModelArgs::load`], for who only judges pairs: the re-ranker of the model that comes along,
    /// any other model itself.
    pub(crate) fn load_judge(
        &self,
        common: &Common,
        interrupts: &Interrupts,
    ) -> Result<Model, AppError> {
        if self.is_nano()
            && self.adapter.is_none()
            && let Some(reranker) = self.load_reranker(None, common, interrupts)?
        {
            self.say_which(common);
            return Ok(reranker);
        }
        Ok(self.load(common, interrupts)?.0)
    }

    fn say_which(&self, common: &Common) {
        if self.model.is_none() {
            common.note(format!(
                "using {}, the small model that comes with the program; --model DIR|NAME or \
                 AUROLA_MODEL names a better one",
                aurola_nano::NAME
            ));
        }
    }

    fn load_from(&self, folder: &Path, common: &Common) -> Result<Model, AppError> {
        let options = LoadOptions {
            dtype: match self.dtype {
                Dtype::Auto => DtypeChoice::Auto,
                Dtype::F32 => DtypeChoice::F32,
                Dtype::Bf16 => DtypeChoice::Bf16,
                Dtype::Int8 => DtypeChoice::Int8,
                Dtype::Int4 => DtypeChoice::Int4,
            },
            adapter: self.adapter.clone(),
            prompt: self.prompt.map(|preset| match preset {
                Prompt::Evaluation => PromptPreset::Evaluation,
                Prompt::Demo => PromptPreset::Demo,
            }),
            memory: None,
        };
        let started = Instant::now();
        let model = Model::load(folder, &options)?;
        common.detail(|| {
            let seconds = started.elapsed().as_secs_f64();
            format!("model loaded in {seconds:.2} s: {}", model.choice())
        });
        Ok(model)
    }
}

/// The folders of the model that comes along.
fn unpacked() -> Result<Unpacked, AppError> {
    aurola_nano::unpack(&cache_folder()?).map_err(AppError::Nano)
}

impl NetworkArgs {
    /// What the environment says of hub and cache, and these flags.
    pub(crate) fn options(&self) -> HubOptions {
        let mut options = HubOptions::from_env();
        if self.offline {
            options.offline = Some("--offline".into());
        }
        options
    }

    /// Where models are kept, how much of them there is, and where they come from.
    pub(crate) fn cache_in_words(&self) -> String {
        let hub = self.options();
        let offline = hub.offline.as_ref().map(|by| format!(", offline by {by}"));
        format!(
            "{} ({}), from {}{}",
            hub.cache.display(),
            bytes(size(&hub.cache)),
            hub.endpoint,
            offline.unwrap_or_default()
        )
    }

    /// The folder of a model, [`NANO`]'s in the cache. `sure`: it was asked for by name, so its size is
    /// told and not asked.
    pub(crate) fn resolve(
        &self,
        name: &str,
        sure: bool,
        common: &Common,
        interrupts: &Interrupts,
    ) -> Result<PathBuf, AppError> {
        if name == NANO {
            return Ok(unpacked()?.model);
        }
        let mut download = Download {
            ask: !sure && !self.yes && std::io::stdin().is_terminal() && common.has_terminal(),
            common,
            interrupts,
            bar: None,
        };
        let folder =
            interrupts.patiently(|_| aurola_hub::resolve(name, &self.options(), &mut download));
        if let Some(bar) = download.bar {
            bar.finish_and_clear();
        }
        Ok(folder?)
    }
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

/// A download on the terminal.
struct Download<'a> {
    ask: bool,
    common: &'a Common,
    interrupts: &'a Interrupts,
    bar: Option<ProgressBar>,
}

impl Progress for Download<'_> {
    fn plan(&mut self, plan: &Plan) -> ControlFlow<()> {
        let (size, folder) = (bytes(plan.missing_bytes), plan.folder.display());
        self.common.note(format!(
            "model {}: {size} to download into {folder}",
            plan.model
        ));
        if self.ask && !agreed() {
            return ControlFlow::Break(());
        }
        if self.common.has_bar() {
            let bar = ProgressBar::new(plan.total_bytes);
            let style = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} left  {msg}";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
            self.bar = Some(bar);
        }
        ControlFlow::Continue(())
    }

    fn moved(&mut self, transfer: &Transfer<'_>) -> ControlFlow<()> {
        if let Some(bar) = &self.bar {
            bar.set_position(transfer.done);
            bar.set_message(transfer.file.to_owned());
        }
        self.go_on()
    }

    fn waiting(&mut self, _: &aurola_hub::Waiting<'_>) -> ControlFlow<()> {
        self.go_on()
    }
}

impl Download<'_> {
    fn go_on(&self) -> ControlFlow<()> {
        if self.interrupts.is_cancelled() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

fn agreed() -> bool {
    anstream::eprint!("Download? [Y/n] ");
    // A question that cannot be shown or answered is answered by no.
    let mut answer = String::new();
    let heard = std::io::stderr()
        .flush()
        .and_then(|()| std::io::stdin().read_line(&mut answer));
    heard.is_ok_and(|read| read > 0)
        && matches!(
            answer.trim().to_ascii_lowercase().as_str(),
            "" | "y" | "yes"
        )
}
