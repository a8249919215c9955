//! A decoder in a child process, which hangs, aborts, overflows its stack or its memory, and takes
//! nothing with it. The child is this very file, started with an argument; so it has a `main`.

mod common;

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use aurola_audio::isolate::{Isolation, worker};
use aurola_audio::{AudioError, Clip, IsolatedDecoder, Limits, SampleSource};
use common::{drain, wav16};

fn main() {
    if std::env::args().nth(1).as_deref() == Some("child") {
        worker::serve(Trap(io::stdin().lock()), io::stdout().lock()).unwrap();
        return;
    }
    type Test = fn(&Path);
    let tests: [(&str, Test); 6] = [
        ("a_child_decodes_what_this_process_does", decodes_alike),
        ("errors_keep_their_type", errors_keep_their_type),
        (
            "a_clip_let_go_early_does_not_disturb_the_next",
            let_go_early,
        ),
        ("every_way_to_die_is_an_error_of_that_file", deaths),
        ("a_program_that_is_no_worker_is_named", no_worker),
        ("broken_files_end_in_time", corpus),
    ];
    for (name, test) in tests {
        let dir = tempfile::tempdir().unwrap();
        test(dir.path());
        println!("test {name} ... ok");
    }
}

/// Reads requests, and springs when one asks for a file of a certain name.
struct Trap<R>(R);

impl<R: Read> Read for Trap<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.0.read(buf)?;
        let asks = |name: &[u8]| buf[..n].windows(name.len()).any(|part| part == name);
        if asks(b"hang.wav") {
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        } else if asks(b"abort.wav") {
            std::process::abort();
        } else if asks(b"exit.wav") {
            std::process::exit(7);
        } else if asks(b"stack.wav") {
            println!("{}", deeper(1));
        } else if asks(b"memory.wav") {
            let hoard: Vec<Vec<u8>> = (0..1_000).map(|n| vec![n as u8; 1 << 24]).collect();
            println!("{}", hoard.len());
        }
        Ok(n)
    }
}

fn deeper(n: u64) -> u64 {
    let room = std::hint::black_box([n; 1024]);
    if std::hint::black_box(true) {
        deeper(room[7] + 1) + room[n as usize % 1024]
    } else {
        n
    }
}

fn decoder() -> IsolatedDecoder {
    let program = std::env::current_exe().unwrap().into_os_string();
    let isolation = Isolation {
        patience: Duration::from_secs(3),
        memory: 600 << 20,
    };
    IsolatedDecoder::with(vec![program, "child".into()], isolation)
}

fn sound(dir: &Path, name: &str) -> std::path::PathBuf {
    let samples: Vec<i16> = (0..100_000i32)
        .map(|n| (n * 7_919 % 60_000 - 30_000) as i16)
        .collect();
    let path = dir.join(name);
    std::fs::write(&path, wav16(22_050, &samples)).unwrap();
    path
}

fn decodes_alike(dir: &Path) {
    let path = sound(dir, "a.wav");
    let mut decoder = decoder();
    let mut here = Clip::open(&path, &Limits::default()).unwrap();
    for _ in 0..3 {
        let mut there = decoder.open(&path, &Limits::default()).unwrap();
        assert_eq!(there.info(), here.info());
        let (samples, notes) = drain(&mut there).unwrap();
        assert_eq!((samples.len(), notes.len()), (72_563, 0));
        assert_eq!(there.read(&mut [0.0]).unwrap(), 0);
    }
    let there = drain(&mut decoder.open(&path, &Limits::default()).unwrap()).unwrap();
    assert_eq!(there, drain(&mut here).unwrap());
}

fn errors_keep_their_type(dir: &Path) {
    let mut decoder = decoder();
    let gone = decoder
        .open(&dir.join("gone.wav"), &Limits::default())
        .map(drop);
    assert!(
        matches!(gone, Err(AudioError::Open { source, .. }) if source.kind() == io::ErrorKind::NotFound)
    );
    let text = dir.join("a.txt");
    std::fs::write(&text, "no sound at all\n".repeat(50)).unwrap();
    let error = decoder
        .open(&text, &Limits::default())
        .map(drop)
        .unwrap_err();
    assert!(matches!(&error, AudioError::Unrecognized { path } if *path == text));
    let short = Limits {
        max_duration_s: 1.0,
        ..Limits::default()
    };
    let path = sound(dir, "long.wav");
    let long = drain(&mut decoder.open(&path, &short).unwrap());
    assert!(matches!(long, Err(AudioError::OverLimit { .. })));
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt;
        let odd = dir.join(OsString::from_vec(b"not \xFF utf-8\n.wav".to_vec()));
        std::fs::copy(&path, &odd).unwrap();
        let (samples, _) = drain(&mut decoder.open(&odd, &Limits::default()).unwrap()).unwrap();
        assert_eq!(samples.len(), 72_563);
    }
}

fn let_go_early(dir: &Path) {
    let path = sound(dir, "a.wav");
    let mut decoder = decoder();
    for _ in 0..20 {
        let mut clip = decoder.open(&path, &Limits::default()).unwrap();
        assert_eq!(clip.read(&mut [0.0; 100]).unwrap(), 100);
    }
    let (samples, _) = drain(&mut decoder.open(&path, &Limits::default()).unwrap()).unwrap();
    assert_eq!(samples.len(), 72_563);
}

fn deaths(dir: &Path) {
    let good = sound(dir, "good.wav");
    let mut decoder = decoder();
    for name in [
        "abort.wav",
        "exit.wav",
        "stack.wav",
        "memory.wav",
        "hang.wav",
    ] {
        let path = sound(dir, name);
        let start = Instant::now();
        let error = decoder
            .open(&path, &Limits::default())
            .map(drop)
            .unwrap_err();
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{name} took {:?}",
            start.elapsed()
        );
        assert!(error.to_string().contains(name), "{error}");
        match name {
            "hang.wav" => assert!(
                matches!(error, AudioError::TimedOut { after_s: 3.0, .. }),
                "{error}"
            ),
            _ => assert!(matches!(error, AudioError::Crashed { .. }), "{error}"),
        }
        // The next file is decoded as if nothing had been.
        let (samples, _) = drain(&mut decoder.open(&good, &Limits::default()).unwrap()).unwrap();
        assert_eq!(samples.len(), 72_563);
    }
}

fn no_worker(dir: &Path) {
    let path = sound(dir, "a.wav");
    for command in [
        vec!["/no/such/program"],
        vec!["true"],
        vec!["echo", "hello, I am no decoder"],
        vec![],
    ] {
        let command: Vec<OsString> = command.into_iter().map(OsString::from).collect();
        let mut decoder = IsolatedDecoder::new(command);
        let error = decoder
            .open(&path, &Limits::default())
            .map(drop)
            .unwrap_err();
        assert!(matches!(error, AudioError::Worker { .. }), "{error}");
    }
}

/// Every file that is broken, odd or malicious, where they are there.
fn corpus(_dir: &Path) {
    let mut decoder = decoder();
    let mut seen = 0;
    for part in ["data/broken", "data/library"] {
        let Some(dir) = common::shared(part) else {
            continue;
        };
        for path in files(&dir) {
            let start = Instant::now();
            let clip = decoder.open(&path, &Limits::default());
            let result = clip.and_then(|mut clip| drain(&mut clip));
            assert!(
                start.elapsed() < Duration::from_secs(5),
                "{} takes too long",
                path.display()
            );
            match result {
                Ok((samples, _)) => assert!(samples.iter().all(|x| x.is_finite())),
                Err(error) => {
                    assert!(
                        error.to_string().contains(&*path.display().to_string()),
                        "{error}"
                    );
                    let ours = matches!(
                        error,
                        AudioError::Crashed { .. }
                            | AudioError::TimedOut { .. }
                            | AudioError::Panicked { .. }
                    );
                    assert!(!ours, "{error}");
                }
            }
            seen += 1;
        }
    }
    println!("{seen} files of other people");
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}
