//! The tables, their version, and what to do with a file of another version.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use super::PATIENCE;
use super::error::{At, Result, StoreError};

/// Marks a SQLite file as ours: `AuRo`.
pub(super) const APPLICATION_ID: i64 = 0x4175_526F;

/// The version this program writes. Version 1 had the tables up to `failure`; [`prepare`] adds the
/// others. A migration from each older one belongs there, with a small store of that version as a test.
pub(super) const VERSION: i64 = 2;

/// Seals are explained in [`super::seal`]. Times are nanoseconds since 1970.
const FIRST_TABLES: &str = "
    CREATE TABLE space (
        id          INTEGER PRIMARY KEY,
        fingerprint TEXT NOT NULL,
        window      TEXT NOT NULL,
        dim         INTEGER NOT NULL,
        model       TEXT NOT NULL,
        UNIQUE (fingerprint, window)
    ) STRICT;
    CREATE TABLE content (
        id          INTEGER PRIMARY KEY,
        hash        BLOB NOT NULL UNIQUE,
        bytes       INTEGER NOT NULL,
        container   TEXT,
        codec       TEXT,
        sample_rate INTEGER,
        channels    INTEGER,
        samples     INTEGER,
        seal        BLOB NOT NULL
    ) STRICT;
    CREATE TABLE file (
        id          INTEGER PRIMARY KEY,
        path        BLOB NOT NULL UNIQUE,
        size        INTEGER NOT NULL,
        mtime_ns    INTEGER NOT NULL,
        inode       INTEGER NOT NULL,
        device      INTEGER NOT NULL,
        checked_ns  INTEGER NOT NULL,
        content     INTEGER NOT NULL REFERENCES content (id),
        seal        BLOB NOT NULL
    ) STRICT;
    CREATE INDEX file_content ON file (content);
    CREATE TABLE window (
        id          INTEGER PRIMARY KEY,
        space       INTEGER NOT NULL REFERENCES space (id),
        content     INTEGER NOT NULL REFERENCES content (id),
        first       INTEGER NOT NULL,
        past        INTEGER NOT NULL,
        vector      BLOB NOT NULL,
        seal        BLOB NOT NULL,
        UNIQUE (space, content, first, past)
    ) STRICT;
    CREATE TABLE embedded (
        space       INTEGER NOT NULL REFERENCES space (id),
        content     INTEGER NOT NULL REFERENCES content (id),
        windows     INTEGER NOT NULL,
        seal        BLOB NOT NULL,
        PRIMARY KEY (space, content)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE failure (
        content     INTEGER PRIMARY KEY REFERENCES content (id),
        reader      TEXT NOT NULL,
        reason      TEXT NOT NULL,
        at_ns       INTEGER NOT NULL,
        seal        BLOB NOT NULL
    ) STRICT;
";

/// What version 2 adds. `gone` remembers deleted windows for sealed vectors made before, `counter`
/// hands out numbers that are never used twice, and `words` is made of the rest at any time.
const SECOND_TABLES: &str = "
    CREATE TABLE counter (
        name        TEXT PRIMARY KEY,
        value       INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    INSERT INTO counter VALUES
        ('store', random()),
        ('window', (SELECT coalesce(max(id), 0) FROM window)),
        ('file', (SELECT coalesce(max(id), 0) FROM file)),
        ('gone', 0),
        ('space', 0);
    CREATE TABLE gone (
        seq         INTEGER PRIMARY KEY AUTOINCREMENT,
        space       INTEGER NOT NULL,
        window      INTEGER NOT NULL
    ) STRICT;
    CREATE TRIGGER window_gone AFTER DELETE ON window BEGIN
        INSERT INTO gone (space, window) VALUES (old.space, old.id);
    END;
    CREATE TABLE root (
        id          INTEGER PRIMARY KEY,
        path        BLOB NOT NULL UNIQUE,
        added_ns    INTEGER NOT NULL,
        seal        BLOB NOT NULL
    ) STRICT;
    CREATE TABLE away (
        file        INTEGER PRIMARY KEY,
        since_ns    INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE tag (
        id          INTEGER PRIMARY KEY,
        content     INTEGER NOT NULL REFERENCES content (id),
        source      INTEGER NOT NULL,
        name        TEXT NOT NULL,
        value       TEXT NOT NULL,
        seal        BLOB NOT NULL,
        UNIQUE (content, source, name, value)
    ) STRICT;
    CREATE INDEX tag_value ON tag (value COLLATE NOCASE, name);
    CREATE TABLE tagged (
        content     INTEGER PRIMARY KEY REFERENCES content (id),
        reader      TEXT NOT NULL
    ) STRICT;
    CREATE TABLE note (
        content     INTEGER PRIMARY KEY REFERENCES content (id),
        note        TEXT,
        caption     TEXT,
        seal        BLOB NOT NULL
    ) STRICT;
    CREATE TABLE calibration (
        space       INTEGER PRIMARY KEY,
        windows     INTEGER NOT NULL,
        body        BLOB NOT NULL,
        seal        BLOB NOT NULL
    ) STRICT;
    CREATE TABLE job (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        kind        TEXT NOT NULL,
        state       INTEGER NOT NULL,
        started_ns  INTEGER NOT NULL,
        ended_ns    INTEGER,
        detail      TEXT NOT NULL,
        files_done  INTEGER NOT NULL,
        files       INTEGER NOT NULL,
        message     TEXT
    ) STRICT;
    CREATE VIRTUAL TABLE words USING fts5 (
        name, folder, tags, text, tokenize = 'porter unicode61 remove_diacritics 2'
    );
    CREATE TRIGGER file_gone AFTER DELETE ON file BEGIN
        DELETE FROM words WHERE rowid = old.id;
        DELETE FROM away WHERE file = old.id;
    END;
    CREATE INDEX content_samples ON content (samples);
    CREATE INDEX content_rate ON content (sample_rate, channels);
    CREATE INDEX content_container ON content (container);
    CREATE INDEX file_mtime ON file (mtime_ns);
";

/// Makes a new file ours, or checks that an old one is.
pub(super) fn prepare(connection: &Connection, path: &Path) -> Result<()> {
    // Before the first table, so that forgetting can give space back; afterwards it says nothing.
    connection
        .execute_batch("PRAGMA auto_vacuum = INCREMENTAL")
        .at(path, "open")?;
    write_ahead(connection, path)?;
    // Full: a commit is on the disk when it returns. Batches take seconds to embed; a sync is free.
    connection
        .execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cell_size_check = ON;",
        )
        .at(path, "open")?;
    if version(connection, path)? == Some(VERSION) {
        return Ok(());
    }
    // Two processes may both find an empty or an old file: whoever comes second sees the tables.
    connection
        .execute_batch("BEGIN IMMEDIATE")
        .at(path, "write")?;
    let ours =
        format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION};");
    let made = match version(connection, path) {
        Ok(None) => connection
            .execute_batch(&format!("{FIRST_TABLES} {SECOND_TABLES} {ours}"))
            .at(path, "write"),
        Ok(Some(1)) => connection
            .execute_batch(&format!("{SECOND_TABLES} {ours}"))
            .at(path, "write")
            .and_then(|()| super::words::rebuild(connection, path)),
        Ok(Some(_)) => Ok(()),
        Err(error) => Err(error),
    };
    let end = if made.is_ok() { "COMMIT" } else { "ROLLBACK" };
    connection.execute_batch(end).at(path, "write")?;
    made
}

/// Checks a file that may only be read.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<()> {
    match version(connection, path)? {
        Some(VERSION) => Ok(()),
        Some(found) => Err(StoreError::Older {
            path: path.into(),
            found,
            known: VERSION,
        }),
        None => Err(StoreError::NotAStore { path: path.into() }),
    }
}

/// The version of the tables; `None` for an empty database.
fn version(connection: &Connection, path: &Path) -> Result<Option<i64>> {
    let pragma = |name: &str| -> Result<i64> {
        connection
            .query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
            .at(path, "read")
    };
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .at(path, "read")?;
    match (application, version, tables) {
        (0, 0, 0) => Ok(None),
        (APPLICATION_ID, found @ 1..=VERSION, 1..) => Ok(Some(found)),
        (APPLICATION_ID, found, _) if found > VERSION => Err(StoreError::Newer {
            path: path.into(),
            found,
            known: VERSION,
        }),
        (APPLICATION_ID, found, tables) => Err(StoreError::damaged(
            path,
            format!("version {found} with {tables} tables and indexes was never written"),
        )),
        _ => Err(StoreError::NotAStore { path: path.into() }),
    }
}

/// Switches to write-ahead logging: readers and one writer side by side, and a commit is an append.
fn write_ahead(connection: &Connection, path: &Path) -> Result<()> {
    // The switch itself does not wait for others, whatever the busy timeout says.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let switched = connection.query_row("PRAGMA journal_mode = WAL", [], |row| {
            row.get::<_, String>(0)
        });
        match switched {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            other => return other.map(drop).at(path, "open"),
        }
    }
}
