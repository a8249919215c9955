//! Data: annotation files and sounds, as the batches of a run.
//!
//! ```text
//! recipe ─► MANIFESTS ─► SAMPLER ─► draws ─► EXAMPLES ─► LOADER ─► batches, in order
//!           rows         (seed, step)        log-mel, caption
//! ```
//!
//! Everything random is a pure function of seed, step and slot. No generator's state is kept: a run's
//! position in its data is the number of its step, and the same recipe and files give the same batches
//! wherever the run begins and however many threads work on it.
//!
//! - [`DataConfig`]: the recipe's section; misspelt keys are errors.
//! - [`Manifest`]: AuroLA's JSON, AudioCaps, Clotho, tables, folders, Parquet, WebDataset, NLI, scenes.
//! - [`Sampler`]: which rows a step sees.
//! - [`Examples`]: what is heard and said of them.
//! - [`Loader`]: batches made ahead.
//!
//! Knows of no model but its mel filters.

mod augment;
mod cache;
mod caption;
mod clusters;
mod config;
mod decode;
mod error;
mod examples;
mod loader;
mod manifest;
mod random;
mod rerank;
mod row;
mod sampler;

use std::path::Path;
use std::sync::Arc;

pub use augment::{
    AugmentConfig, GainConfig, LowPassConfig, MasksConfig, MixConfig, NoiseConfig, ShiftConfig,
    SpeedConfig, TiltConfig,
};
pub use clusters::Clusters;
pub use config::{
    CaptionWeights, ClusterRule, Columns, CommonConfig, Condition, Crop, DataConfig, FileConfig,
    FolderConfig, Form, LabelConfig, Names, NliConfig, ParquetConfig, Policy, ScenesConfig,
    SourceConfig, TableConfig, WebdatasetConfig,
};
pub use error::{At, DataError, Place};
pub use examples::{Asked, Example, Examples, RerankExample};
pub use loader::{Batch, Loader, LoaderConfig, SkippedExample};
pub use manifest::{Manifest, ParquetColumn, SkippedRow};
pub(crate) use rerank::Marks;
pub use rerank::{
    FindNearest, Nearest, NearestConfig, Negative, Negatives, NegativesConfig, QuerySide,
    RerankDraw,
};
pub use row::{Audio, CaptionKind, Captions, HardText, Row};
pub use sampler::{Draw, Sampler};

impl DataConfig {
    /// Reads all sources; `folder` is the recipe's, from which their paths start.
    ///
    /// # Errors
    ///
    /// A setting out of its range, or the first row that cannot be used, by file, line and id.
    pub fn read(&self, folder: &Path) -> Result<Arc<[Manifest]>, DataError> {
        self.check()?;
        let sources = self.sources.iter();
        sources
            .map(|source| Manifest::read(source, folder))
            .collect()
    }
}
