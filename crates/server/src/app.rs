//! What every handler has at hand.

use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::watch;

use crate::fault::Fault;
use crate::metrics::Metrics;
use crate::model::{Queue, Served};
use crate::settings::Settings;
use crate::shelf::Shelf;
use crate::sound::{Ears, Remote};
use crate::web::body::Budget;
use crate::web::guard::Sessions;

/// Shared by all handlers.
#[derive(Clone)]
pub(crate) struct App(pub(crate) Arc<Shared>);

/// Behind [`App`].
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    /// Whether only this machine can call.
    pub(crate) is_loopback: bool,
    pub(crate) sessions: Sessions,
    pub(crate) budget: Budget,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) model: Arc<dyn Served>,
    pub(crate) queue: Queue,
    pub(crate) ears: Ears,
    /// The same, unless the judge hears differently.
    pub(crate) judge_ears: Ears,
    pub(crate) remote: Option<Arc<Remote>>,
    /// Where it serves an index.
    pub(crate) shelf: Option<Shelf>,
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    /// The index, where there is one.
    pub(crate) fn shelf(&self) -> Result<&Shelf, Fault> {
        let none = || Fault::not_found("this server has no index");
        self.shelf.as_ref().ok_or_else(none)
    }

    /// Whether the server takes nothing more.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }
}
