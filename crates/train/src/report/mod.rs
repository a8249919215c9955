//! What a run tells those who watch it: a log to read by program, curves, and a view in the terminal.
//!
//! ```text
//!                ┌─► MetricsLog ──► metrics.jsonl ──► attach ──► Dashboard
//! run ─► Record ─┼─► EventFile  ──► events.out.tfevents.… ──► TensorBoard
//!                └─► Dashboard  ──► stderr
//! run ─► RunState ──► state.json
//! ```
//!
//! Nothing here decides anything: a run without reports trains the same weights. `metrics.jsonl` is
//! the truth; the curves and the view are made from the same records.
//!
//! ```
//! use aurola_train::report::{MetricsLog, Record, RunEvent, EventRecord, read_metrics};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("metrics.jsonl");
//! let mut log = MetricsLog::create(&path)?;
//! log.append(&Record::Event(EventRecord { step: 0, event: RunEvent::Finished }))?;
//! assert_eq!(read_metrics(&path)?[0].record.step(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod attach;
mod crc32c;
mod dashboard;
mod error;
mod metrics;
mod number;
mod record;
mod state;
mod tensorboard;
mod view;

pub use attach::{Ending, attach, follow};
pub use dashboard::{Dashboard, Style};
pub use error::ReportError;
pub use metrics::{METRICS_FILE, MetricsLine, MetricsLog, MetricsTail, read_metrics};
pub use record::{EventRecord, Record, RunEvent, StepRecord, ValidationRecord};
pub use state::{RunState, STATE_FILE};
pub use tensorboard::EventFile;
pub use view::{View, sparkline};
