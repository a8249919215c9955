//! Long pieces of work, as they are told about.

use rusqlite::{Row, params};

use super::error::{At, Result};
use super::file_state::now_ns;
use super::{Store, Writer};

/// A piece of work that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Rises.
    pub id: i64,
    /// `add`, `update`, `migrate`, `import`.
    pub kind: String,
    /// How it stands.
    pub state: JobState,
    /// When it began, in nanoseconds since 1970.
    pub started_ns: i64,
    /// When it ended.
    pub ended_ns: Option<i64>,
    /// What it is about, such as the folders.
    pub detail: String,
    /// New files that are done.
    pub files_done: u64,
    /// New files in all.
    pub files: u64,
    /// How it ended, where there is something to say.
    pub message: Option<String>,
}

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// Under way, or cut off by a crash.
    Running,
    /// Everything was done.
    Done,
    /// It was stopped from outside; what was done is saved.
    Stopped,
    /// An error ended it.
    Failed,
}

impl JobState {
    fn of(number: i64) -> Self {
        match number {
            1 => Self::Done,
            2 => Self::Stopped,
            3 => Self::Failed,
            _ => Self::Running,
        }
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Job> {
    Ok(Job {
        id: row.get(0)?,
        kind: row.get(1)?,
        state: JobState::of(row.get(2)?),
        started_ns: row.get(3)?,
        ended_ns: row.get(4)?,
        detail: row.get(5)?,
        files_done: row.get::<_, i64>(6)? as u64,
        files: row.get::<_, i64>(7)? as u64,
        message: row.get(8)?,
    })
}

impl Store {
    /// The latest jobs, latest first.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be read.
    pub fn jobs(&self, most: usize) -> Result<Vec<Job>> {
        let sql = "SELECT id, kind, state, started_ns, ended_ns, detail, files_done, files, message
                   FROM job ORDER BY id DESC LIMIT ?1";
        let all = || -> rusqlite::Result<Vec<Job>> {
            (self.connection.prepare_cached(sql)?)
                .query_map([most as i64], read)?
                .collect()
        };
        all().at(&self.path, "read")
    }
}

impl Writer<'_> {
    /// A job begins; its number.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be written.
    pub fn begin_job(&self, kind: &str, detail: &str) -> Result<i64> {
        self.run(
            "INSERT INTO job (kind, state, started_ns, detail, files_done, files)
             VALUES (?1, 0, ?2, ?3, 0, 0)",
            params![kind, now_ns(), detail],
        )?;
        let id = self.transaction.last_insert_rowid();
        self.run("DELETE FROM job WHERE id <= ?1 - 1000", [id])?;
        Ok(id)
    }

    /// A job has ended.
    ///
    /// # Errors
    ///
    /// [`super::StoreError`] where the database cannot be written.
    pub fn end_job(
        &self,
        id: i64,
        state: JobState,
        (files_done, files): (u64, u64),
        message: Option<&str>,
    ) -> Result<()> {
        self.run(
            "UPDATE job SET state = ?2, ended_ns = ?3, files_done = ?4, files = ?5, message = ?6
             WHERE id = ?1",
            params![
                id,
                state as i64,
                now_ns(),
                files_done as i64,
                files as i64,
                message
            ],
        )?;
        Ok(())
    }
}
