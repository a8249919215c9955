//! `kill -9` at random moments: what was acknowledged is there, nothing is there twice, and the
//! store always opens.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aurola_retrieval::store::Store;

use crate::*;

/// Set for the child alone: where it writes, and the number of its first file.
const CHILD: &str = "AUROLA_TEST_STORE_CHILD";

/// This test program once more, as the process that is killed. Without [`CHILD`] it checks only
/// that saving works at all.
#[test]
fn the_child_saves_until_it_is_killed() {
    let Ok(work) = std::env::var(CHILD) else {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("s")).unwrap();
        save(&mut store, 0);
        return assert_saved(&store, 0);
    };
    let (first, at) = work.split_once(':').unwrap();
    let mut store = Store::open(Path::new(at)).unwrap();
    let mut out = std::io::stdout();
    for n in first.parse::<u64>().unwrap().. {
        save(&mut store, n);
        // After the commit: from here on the parent counts on it.
        writeln!(out, "saved {n}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_writer_is_killed() {
    let seed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_nanos() as u64;
    println!("seed {seed}");
    let mut random = seed;
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("store.sqlite");
    let mut acknowledged = 0_u64;
    for _ in 0..20 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "crash::the_child_saves_until_it_is_killed",
                "--nocapture",
            ])
            .env(CHILD, format!("{acknowledged}:{}", at.display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        // The first word shows that it runs; then anywhere in the next 60 ms.
        let mut line = String::new();
        while !line.contains("saved ") {
            line.clear();
            assert_ne!(
                lines.read_line(&mut line).unwrap(),
                0,
                "the child died by itself"
            );
        }
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_micros((random >> 33) % 60_000));
        child.kill().unwrap(); // SIGKILL on Unix
        child.wait().unwrap();
        let mut rest = line;
        lines.read_to_string(&mut rest).unwrap();
        // A line cut short by the kill acknowledges nothing.
        let last = rest
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .filter_map(|line| line.trim_end().rsplit_once("saved ")?.1.parse::<u64>().ok())
            .max();
        acknowledged = last.expect("at least the line that was waited for") + 1;

        let store = Store::open(&at).unwrap();
        for n in 0..acknowledged {
            assert_saved(&store, n);
        }
        let space = store.space(&key()).unwrap().unwrap();
        let known = store.known_below(below_sounds(), Some(&space)).unwrap();
        // At most the one whose commit returned without a word from the child.
        assert!(
            known.len() as u64 - acknowledged <= 1,
            "{} files",
            known.len()
        );
        assert!(known.iter().all(|k| k.embedded));
        assert_eq!(
            store.summary().unwrap().spaces[0].windows,
            known.len() as u64 * 2
        );
    }
    let inspection = Store::inspect(&at).unwrap();
    assert_eq!(inspection.damaged, 0, "{:?}", inspection.damage);
    println!("{acknowledged} files acknowledged over 20 kills");
}
