//! `kill -9` at random moments: what was acknowledged is there, nothing is there twice, and the
//! store always opens.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use aurola_retrieval::store::Store;
use aurola_retrieval::{Query, Snapshot};

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
        let (space, _) = save(&mut store, n);
        // Sealing takes about as long as saving, so kills fall into either.
        store.seal(&space, &[], true).unwrap();
        // After the commit: from here on the parent counts on it.
        writeln!(out, "saved {n}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_writer_is_killed() {
    kill(20);
}

#[test]
#[ignore = "minutes: run by hand or at night"]
fn nothing_acknowledged_is_lost_in_two_hundred_kills() {
    kill(200);
}

fn kill(kills: usize) {
    let seed = fresh_seed();
    println!("seed {seed}");
    let mut state = seed;
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("store.sqlite");
    let mut acknowledged = 0_u64;
    let mut while_sealing = 0;
    for _ in 0..kills {
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
        std::thread::sleep(Duration::from_micros(random(&mut state, 60_000)));
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

        let left = |part: &str| -> usize {
            let names = std::fs::read_dir(folder.path()).unwrap();
            names
                .filter(|entry| {
                    let name = entry.as_ref().unwrap().file_name();
                    name.to_string_lossy().contains(part)
                })
                .count()
        };
        while_sealing += left(".new-");
        let mut store = Store::open(&at).unwrap();
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
        // What was sealed fits what was saved, whichever of the two was cut off.
        let snapshot = Snapshot::load(&store, &space).unwrap();
        assert_eq!(snapshot.len(), known.len() * 2);
        let last = acknowledged - 1;
        let (span, vector) = windows(last).remove(1);
        let content = store.content(&hash(last), None).unwrap().unwrap().content;
        let its = snapshot.windows(content.id, &Query::like(&vector)).unwrap();
        assert!(
            its.iter()
                .any(|w| w.span == span && (w.score - 1.0).abs() < 1e-5)
        );
        store.seal(&space, &[], true).unwrap();
        assert_eq!(left(".new-"), 0, "what was begun is swept away");
        assert_eq!(
            Snapshot::load(&store, &space).unwrap().len(),
            known.len() * 2
        );
    }
    let inspection = Store::inspect(&at).unwrap();
    assert_eq!(inspection.damaged, 0, "{:?}", inspection.damage);
    println!(
        "{acknowledged} files acknowledged over {kills} kills, {while_sealing} of them while sealing"
    );
}
