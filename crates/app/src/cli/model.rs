//! `aurola model`: which models there are, and what one is.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use aurola_hub::CachedModel;
use aurola_model::quantise::pack;
use aurola_model::{Form, Model};
use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::Common;
use crate::exit::{AppError, Ending};
use crate::interrupt::Interrupts;
use crate::model::{ModelArgs, NANO, NetworkArgs};
use crate::places::cache_folder;
use crate::present::{Format, bytes, json, printable};

/// Look at, fetch and remove models.
#[derive(Debug, Args)]
pub(crate) struct Models {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// What a model is: shapes, prompts, fingerprint
    Info {
        /// A folder, a name on the hub, or nano
        #[arg(value_name = "DIR|NAME")]
        name: Option<String>,
        #[command(flatten)]
        model: ModelArgs,
    },
    /// The model that comes along, and those in the cache that could be used
    Ls {
        #[command(flatten)]
        network: NetworkArgs,
    },
    /// Fetch a model, or what is missing of it
    Pull {
        /// Its name on the hub: org/name, or org/name@revision
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        network: NetworkArgs,
    },
    /// Write a model's weights once in the order in which they are used, rounded: smaller, faster, and ready
    /// as soon as the file is opened
    Quantize {
        /// A folder, a name on the hub, or nano [default: nano]
        #[arg(long = "model", value_name = "DIR|NAME", default_value = NANO, env = "AUROLA_MODEL")]
        name: String,
        /// The type of weights: int8 takes half of bf16 and little from quality, int4 a quarter and more
        #[arg(long, value_enum, default_value_t = PackedDtype::Int8)]
        dtype: PackedDtype,
        /// Folder to write, a model of its own [default: beside the weights, where `--dtype` finds it]
        #[arg(short, long, value_name = "DIR")]
        output: Option<PathBuf>,
        #[command(flatten)]
        network: NetworkArgs,
    },
    /// Remove a model from the cache, for Python's programs as well
    Rm {
        /// Its name: org/name
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        network: NetworkArgs,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PackedDtype {
    Bf16,
    Int8,
    Int4,
}

#[derive(Serialize)]
struct JsonPacked {
    #[serde(flatten)]
    file: json::JsonPath,
    bytes: u64,
    seconds: f64,
}

#[derive(Serialize)]
struct JsonModel<'a> {
    folder: json::JsonPath,
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    licence: Option<&'a str>,
    fingerprint: &'a str,
    dim: usize,
    parameters: u64,
    stored: String,
    computed: String,
    description: String,
}

#[derive(Serialize)]
struct JsonCached {
    name: String,
    commit: String,
    revisions: Vec<String>,
    bytes: u64,
    model_type: Option<String>,
    #[serde(flatten)]
    folder: json::JsonPath,
}

impl Models {
    /// Does it.
    pub(crate) fn run(
        self,
        common: &Common,
        interrupts: &Interrupts,
        out: &mut impl Write,
    ) -> Result<Ending, AppError> {
        match self.action {
            Action::Info { name, model } => {
                let named = model.or_named(name);
                let (model, folder) = named.load(common, interrupts)?;
                info(&model, &folder, named.is_nano(), common.format(), out)?;
                Ok(Ending::Done)
            }
            Action::Ls { network } => ls(&network, common, out),
            Action::Pull { name, network } => {
                let folder = network.resolve(&name, true, common, interrupts)?;
                writeln!(out, "{}", folder.display())?;
                Ok(Ending::Done)
            }
            Action::Quantize {
                name,
                dtype,
                output,
                network,
            } => {
                let folder = network.resolve(&name, false, common, interrupts)?;
                let output = output.unwrap_or_else(|| folder.clone());
                quantize(&folder, dtype, &output, common, out)
            }
            Action::Rm { name, .. } if name == NANO => Err(AppError::Usage {
                message: "nano comes with the program and cannot be removed".into(),
                help: "its unpacked copy may be deleted at any time; `aurola model ls` says where it is",
            }),
            Action::Rm { name, network } => {
                let freed = aurola_hub::remove(&name, &network.options())?;
                common.note(format!("{name} removed, {} freed", bytes(freed)));
                Ok(Ending::Done)
            }
        }
    }
}

/// Packs the weights in `folder`, with a bar on a terminal, and says where they are now.
fn quantize(
    folder: &Path,
    dtype: PackedDtype,
    output: &Path,
    common: &Common,
    out: &mut impl Write,
) -> Result<Ending, AppError> {
    let form = match dtype {
        PackedDtype::Bf16 => Form::Bf16,
        PackedDtype::Int8 => Form::Int8,
        PackedDtype::Int4 => Form::Int4,
    };
    let started = Instant::now();
    let bar = common.has_bar().then(|| {
        let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {eta} left");
        let bar = ProgressBar::new(0);
        style.map_or(bar.clone(), |style| bar.with_style(style))
    });
    let path = pack(folder, form, output, &mut |done, total| {
        if let Some(bar) = &bar {
            bar.set_length(total);
            bar.set_position(done);
        }
    })?;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let size = std::fs::metadata(&path)?.len();
    let seconds = started.elapsed().as_secs_f64();
    common.note(format!("{} written in {seconds:.1} s", bytes(size)));
    match common.format() {
        Format::Json | Format::Jsonl => {
            let file = json::JsonPath::from(path.as_path());
            let packed = JsonPacked {
                file,
                bytes: size,
                seconds,
            };
            json::document(out, &packed)?;
        }
        Format::Quiet => {}
        _ => writeln!(out, "{}", path.display())?,
    }
    Ok(Ending::Done)
}

/// What there is to say of a model, in lines a person reads. `nano`: it is the one that comes along.
fn info(
    model: &Model,
    folder: &Path,
    nano: bool,
    format: Format,
    out: &mut impl Write,
) -> std::io::Result<()> {
    let described = JsonModel {
        folder: json::JsonPath::from(folder),
        name: if nano {
            Some(aurola_nano::NAME)
        } else {
            model.description().name.as_deref()
        },
        licence: nano.then_some(aurola_nano::LICENCE),
        fingerprint: model.fingerprint(),
        dim: model.dim(),
        parameters: model.parameters(),
        stored: model.stored_dtype().to_string(),
        computed: model.form().to_string(),
        description: model.description().to_string(),
    };
    match format {
        Format::Json => json::document(out, &described),
        Format::Jsonl => json::line(out, &described),
        Format::Quiet => Ok(()),
        _ => {
            writeln!(out, "folder       {}", folder.display())?;
            if let Some(name) = described.name {
                writeln!(out, "name         {}", printable(name))?;
            }
            if let Some(licence) = described.licence {
                writeln!(out, "licence      {licence}")?;
            }
            let millions = described.parameters as f64 / 1e6;
            writeln!(
                out,
                "parameters   {millions:.1} million, stored as {}",
                described.stored
            )?;
            writeln!(
                out,
                "computed in  {} on {}",
                described.computed,
                model.isa()
            )?;
            writeln!(out, "weights      {}", model.choice())?;
            writeln!(out, "embedding    {} numbers", described.dim)?;
            writeln!(out, "fingerprint  {}", described.fingerprint)?;
            for line in described.description.lines() {
                writeln!(out, "{}", printable(line))?;
            }
            Ok(())
        }
    }
}

fn ls(network: &NetworkArgs, common: &Common, out: &mut impl Write) -> Result<Ending, AppError> {
    let options = network.options();
    let models = aurola_hub::list(&options)?;
    if models.is_empty() {
        common.note(format!("no other models in {}", options.cache.display()));
    }
    let others = models.into_iter().map(JsonCached::from);
    let cached: Vec<JsonCached> = std::iter::once(JsonCached::nano()?).chain(others).collect();
    match common.format() {
        Format::Json => json::document(out, &cached)?,
        Format::Jsonl => {
            for model in &cached {
                json::line(out, model)?;
            }
        }
        Format::Quiet => {}
        _ => {
            let width = cached
                .iter()
                .map(|model| model.name.len())
                .max()
                .unwrap_or(0);
            for model in &cached {
                let kind = match model.model_type.as_deref() {
                    _ if model.name == NANO => "comes with the program",
                    kind => kind.unwrap_or("adapter"),
                };
                let revisions = model.revisions.join(", ");
                let (name, size) = (&model.name, bytes(model.bytes));
                writeln!(out, "{name:width$}  {size:>8}  {kind}  {revisions}")?;
            }
        }
    }
    Ok(Ending::Done)
}

impl JsonCached {
    /// The model that comes along; its folder is where it is, or will be, unpacked.
    fn nano() -> Result<Self, AppError> {
        Ok(Self {
            name: NANO.into(),
            commit: aurola_nano::VERSION.into(),
            revisions: vec![format!("version {}", aurola_nano::VERSION)],
            bytes: aurola_nano::bytes(),
            model_type: Some("qwen2_5_omni_thinker".into()),
            folder: json::JsonPath::from(aurola_nano::folder(&cache_folder()?).as_path()),
        })
    }
}

impl From<CachedModel> for JsonCached {
    fn from(model: CachedModel) -> Self {
        Self {
            folder: json::JsonPath::from(model.folder.as_path()),
            name: model.id,
            commit: model.commit,
            revisions: model.revisions,
            bytes: model.bytes,
            model_type: model.model_type,
        }
    }
}
