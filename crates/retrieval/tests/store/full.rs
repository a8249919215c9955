//! Disks that take no more: a typed error, nothing acknowledged lost, and on with the work afterwards.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use aurola_retrieval::Snapshot;
use aurola_retrieval::store::Store;

use crate::*;

/// Set for the child alone: where it writes.
const CHILD: &str = "AUROLA_TEST_STORE_FULL";

/// This test program once more: saves and seals until the disk takes no more, and says what it did.
#[test]
fn the_child_saves_until_the_disk_is_full() {
    let Ok(at) = std::env::var(CHILD) else {
        return; // without it there is nothing to fill
    };
    let at = Path::new(&at);
    let mut out = std::io::stdout();
    let mut work = || -> Result<(), aurola_retrieval::StoreError> {
        let mut store = Store::open(at)?;
        let from = store.summary()?.files;
        for n in from.. {
            try_save(&mut store, n)?;
            writeln!(out, "saved {n}").unwrap();
            let space = store.space(&key())?.expect("just saved in it");
            store.seal(&space, &[], true)?;
        }
        Ok(())
    };
    let error = work().unwrap_err();
    println!("ended: {error}");
}

fn try_save(store: &mut Store, n: u64) -> Result<(), aurola_retrieval::StoreError> {
    let writer = store.write()?;
    let space = writer.space(&key())?;
    let content = writer.content(&hash(n), 1, &Sound::default())?;
    for (span, embedding) in windows(n) {
        writer.window(&space, &content, span, &embedding)?;
    }
    writer.complete(&space, &content, 2)?;
    writer.file(&path(n), &state(n), CHECKED_NS, &content)?;
    writer.commit()
}

fn acknowledged(child: &Output) -> u64 {
    let out = String::from_utf8_lossy(&child.stdout);
    let text = format!("{out}{}", String::from_utf8_lossy(&child.stderr));
    assert!(
        child.status.success() && out.contains("ended: "),
        "it must end with an error: {text}"
    );
    let saved = out
        .lines()
        .filter_map(|line| line.rsplit_once("saved ")?.1.parse::<u64>().ok());
    saved.max().map_or(0, |last| last + 1)
}

/// What was saved is there, and more can be saved where there is room.
fn assert_goes_on(at: &Path, acknowledged: u64) {
    let mut store = Store::open(at).unwrap();
    for n in 0..acknowledged {
        assert_saved_briefly(&store, n);
    }
    save(&mut store, 900_000);
    let (space, _) = save(&mut store, 900_001);
    store.seal(&space, &[], true).unwrap();
    let snapshot = Snapshot::load(&store, &space).unwrap();
    assert!(snapshot.len() as u64 >= (acknowledged + 2) * 2);
    assert_eq!(Store::inspect(at).unwrap().damaged, 0);
}

fn assert_saved_briefly(store: &Store, n: u64) {
    let space = store.space(&key()).unwrap().expect("the space");
    let known = store.known_file(&path(n), Some(&space)).unwrap();
    let known = known.unwrap_or_else(|| panic!("file {n} is lost"));
    assert!(known.embedded);
    assert_eq!(store.windows(&space, &known.content).unwrap(), windows(n));
}

/// Writes fail from a size of file on, at many such sizes: what a limit of the system does.
#[cfg(unix)]
#[test]
fn writes_that_fail_lose_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut ends = 0;
    // In blocks of 512 bytes: from less than the tables need to some dozen files.
    for blocks in (8..=1_200).step_by(61) {
        let at = folder.path().join(format!("limit-{blocks}.sqlite"));
        // The signal is left aside, so that the write itself fails.
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let child = Command::new("sh")
            .args(["-c", &script])
            .arg(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "full::the_child_saves_until_the_disk_is_full",
                "--nocapture",
            ])
            .env(CHILD, &at)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let saved = acknowledged(&child);
        assert_goes_on(&at, saved);
        ends += 1;
    }
    println!("{ends} limits");
}

/// A real disk of two megabytes, where this user may mount one.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
        .arg(&disk)
        .stderr(Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("not run: this user may not mount a small disk");
        return;
    }
    let at = disk.join("store.sqlite");
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "full::the_child_saves_until_the_disk_is_full",
            "--nocapture",
        ])
        .env(CHILD, &at)
        .output()
        .unwrap();
    let checked = std::panic::catch_unwind(|| {
        let saved = acknowledged(&child);
        assert!(saved > 3, "{saved} files on two megabytes");
        // Room again.
        let status = Command::new("mount")
            .args(["-o", "remount,size=64m"])
            .arg(&disk)
            .status()
            .unwrap();
        assert!(status.success());
        assert_goes_on(&at, saved);
        println!("{saved} files until it was full");
    });
    let unmounted = Command::new("umount").arg(&disk).status();
    if let Err(panic) = checked {
        std::panic::resume_unwind(panic);
    }
    assert!(unmounted.unwrap().success());
}
