//! Any bytes as a sound file, decoded in this process, windowed, and turned into log-mel: an error
//! or finite numbers, within the time and the memory that the limits promise.
//!
//! Decoders of others may panic; [`Clip`] turns that into an error, so only a panic that leaves it
//! is a finding. (Users are behind one more wall: decoding runs in a child process.)

#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use aurola_audio::{
    Clip, Limits, MelConfig, MelFilters, SAMPLE_RATE, WindowConfig, Windows, log_mel,
};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a temporary folder"));
static FILTERS: LazyLock<MelFilters> =
    LazyLock::new(|| MelFilters::new(&MelConfig::default()).expect("Qwen2.5-Omni's filters"));

/// Two windows of sound are enough to see a seam, and keep one input from taking seconds.
static LIMITS: LazyLock<Limits> = LazyLock::new(|| Limits {
    max_duration_s: 40.0,
    max_idle_bytes: 1 << 20,
    max_idle_packets: 10_000,
    ..Limits::default()
});

/// libFuzzer's hook ends the process at any panic, caught or not. This one lets the caught ones
/// pass; one that leaves the target still ends it.
fn let_caught_panics_pass() {
    std::panic::set_hook(Box::new(|info| eprintln!("{info}")));
}

fuzz_target!(init: let_caught_panics_pass(), |input: &[u8]| {
    let path: PathBuf = FOLDER.path().join("clip");
    fs::write(&path, input).expect("a file of the input");
    let Ok(clip) = Clip::open(&path, &LIMITS) else {
        return;
    };
    let mut end = 0;
    for window in Windows::new(clip, WindowConfig::default()) {
        let Ok(window) = window else {
            return;
        };
        assert_eq!(window.end - window.start, window.samples.len() as u64);
        assert!(window.start <= end && end < window.end, "a gap between windows");
        end = window.end;
        assert!(end <= 41 * u64::from(SAMPLE_RATE), "longer than the limit");
        if let Ok(mel) = log_mel(&window.samples, &FILTERS) {
            assert_eq!(mel.n_frames(), window.samples.len().div_ceil(160));
            assert!(mel.values().iter().all(|value| value.is_finite()));
        }
    }
});
