//! What a search holds in memory, brought up to date where something was committed.

use std::collections::HashSet;
use std::sync::Arc;

use aurola_retrieval::store::{FileId, Filter};
use aurola_retrieval::{ContentId, Snapshot, Store, StoreError};

use super::calibration::Calibration;
use super::{Index, unpoisoned};
use crate::EngineError;

/// Filters whose result is kept.
const FILTERS: usize = 16;

/// Everything that is shared by searches.
pub(super) struct Live {
    /// A connection that only watches: its change number rises when another one commits.
    watch: Store,
    change: Option<i64>,
    snapshot: Option<Arc<Snapshot>>,
    calibration: Option<Arc<Calibration>>,
    /// Results of filters, the one used last at the end.
    passing: Vec<(Filter, Arc<Passing>)>,
    /// How many files there are.
    files: Option<u64>,
}

/// What passes a filter.
#[derive(Debug)]
pub(super) struct Passing {
    pub(super) files: HashSet<FileId>,
    /// What they hold, in order.
    pub(super) contents: Vec<ContentId>,
}

/// As of one moment.
pub(super) struct Moment {
    /// None where nothing was ever embedded.
    pub(super) snapshot: Option<Arc<Snapshot>>,
    pub(super) calibration: Option<Arc<Calibration>>,
}

impl Live {
    pub(super) fn new(watch: Store) -> Self {
        Self {
            watch,
            change: None,
            snapshot: None,
            calibration: None,
            passing: Vec::new(),
            files: None,
        }
    }
}

impl Index {
    /// The vectors as of now. Sealed ones that are damaged are made again where the place can be
    /// written to, and passed over where not.
    pub(super) fn now(&self) -> Result<Moment, EngineError> {
        let mut live = unpoisoned(&self.live);
        let live = &mut *live;
        let change = live.watch.change_number()?;
        if live.change != Some(change) {
            live.passing.clear();
            live.files = None;
            live.snapshot = match (&live.snapshot, live.watch.space(&self.key)?) {
                (_, None) => None,
                (Some(snapshot), Some(space)) if *snapshot.space() == space => {
                    match snapshot.refreshed(&live.watch) {
                        Ok(Some(newer)) => Some(Arc::new(newer)),
                        Ok(None) => Some(snapshot.clone()),
                        Err(error) => Some(self.made_again(&live.watch, &space, error)?),
                    }
                }
                (_, Some(space)) => Some(match Snapshot::load(&live.watch, &space) {
                    Ok(snapshot) => Arc::new(snapshot),
                    Err(error) => self.made_again(&live.watch, &space, error)?,
                }),
            };
            live.calibration = match &live.snapshot {
                Some(snapshot) => Calibration::read(&live.watch, snapshot)?.map(Arc::new),
                None => None,
            };
            live.change = Some(change);
        }
        Ok(Moment {
            snapshot: live.snapshot.clone(),
            calibration: live.calibration.clone(),
        })
    }

    /// After damage in the sealed vectors: without them, and with new ones in their place. Damage in the
    /// catalogue itself stays an error.
    fn made_again(
        &self,
        store: &Store,
        space: &aurola_retrieval::store::Space,
        error: StoreError,
    ) -> Result<Arc<Snapshot>, EngineError> {
        if !error.is_about_sealed(&self.path) {
            return Err(error.into());
        }
        if !self.read_only {
            let mut writer = self.open_for_writing()?;
            writer.unseal(space)?;
            writer.seal(space, &[], true)?;
            return Ok(Arc::new(Snapshot::load(store, space)?));
        }
        Ok(Arc::new(Snapshot::unsealed(store, space)?))
    }

    /// Forgets what is in memory, so that the next search reads it again, and makes damaged sealed
    /// vectors anew.
    pub(super) fn after_damage(&self, error: StoreError) -> Result<(), EngineError> {
        let mut live = unpoisoned(&self.live);
        let live = &mut *live;
        let Some(space) = live.watch.space(&self.key)? else {
            return Err(error.into());
        };
        live.snapshot = Some(self.made_again(&live.watch, &space, error)?);
        Ok(())
    }

    /// How many files there are: counted once for each state of the store, which takes milliseconds.
    pub(super) fn file_count(&self) -> Result<u64, EngineError> {
        let mut live = unpoisoned(&self.live);
        if let Some(files) = live.files {
            return Ok(files);
        }
        let files = live.watch.file_count()?;
        live.files = Some(files);
        Ok(files)
    }

    /// What passes `filter`; none where everything does.
    pub(super) fn passing(
        &self,
        store: &Store,
        filter: &Filter,
    ) -> Result<Option<Arc<Passing>>, EngineError> {
        if filter.is_empty() {
            return Ok(None);
        }
        let change = {
            let mut live = unpoisoned(&self.live);
            if let Some(at) = live.passing.iter().position(|(known, _)| known == filter) {
                let kept = live.passing.remove(at);
                let passing = kept.1.clone();
                live.passing.push(kept);
                return Ok(Some(passing));
            }
            live.change
        };
        let found = store.matching(filter)?;
        let mut contents: Vec<ContentId> = found.iter().map(|(_, content)| *content).collect();
        contents.sort_unstable();
        contents.dedup();
        let files = found.into_iter().map(|(file, _)| file).collect();
        let passing = Arc::new(Passing { files, contents });
        let mut live = unpoisoned(&self.live);
        if live.change == change {
            if live.passing.len() >= FILTERS {
                live.passing.remove(0);
            }
            live.passing.push((filter.clone(), passing.clone()));
        }
        Ok(Some(passing))
    }
}
