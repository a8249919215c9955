//! `aurola mcp`: search for programs that speak the Model Context Protocol.

use std::path::PathBuf;
use std::sync::Arc;

use aurola_server::{IndexPlace, Parts, Served, serve_mcp};
use clap::Args;

use super::Common;
use super::serve::index_file;
use crate::exit::{AppError, Ending};
use crate::interrupt::Interrupts;
use crate::listening::CutArgs;
use crate::model::ModelArgs;
use crate::places::StoreArgs;

/// Search, find similar sounds and describe sounds for an assistant, over stdin and stdout.
///
/// Speaks the Model Context Protocol. An assistant is told to run `aurola mcp`; sounds are found among
/// those that `aurola index` or `aurola search` have taken in.
#[derive(Debug, Args)]
pub(crate) struct Mcp {
    /// The index: a folder, or its database [default: that of search]
    #[arg(long, value_name = "DIR", env = "AUROLA_INDEX")]
    index: Option<PathBuf>,
    #[command(flatten)]
    cut: CutArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    model: ModelArgs,
}

impl Mcp {
    /// Serves until stdin ends.
    pub(crate) fn run(self, common: &Common, interrupts: &Interrupts) -> Result<Ending, AppError> {
        let listening = self.cut.listening()?;
        let store = match &self.index {
            Some(index) => index_file(index),
            None => self.store.path()?,
        };
        let (model, _) = self.model.load(common, interrupts)?;
        let judge = self.model.load_reranker(None, common, interrupts)?;
        let model: Arc<dyn Served> = Arc::new(model);
        let judge = judge.map_or_else(|| model.clone(), |judge| Arc::new(judge) as Arc<dyn Served>);
        serve_mcp(Parts {
            model,
            judge,
            index: Some(IndexPlace {
                store,
                name: self.model.name().to_owned(),
                readers: common.readers(),
            }),
            listening,
        })?;
        Ok(Ending::Done)
    }
}
