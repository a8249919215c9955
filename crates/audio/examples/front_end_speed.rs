//! Times each step of the front end on a 10 s stereo clip at 44.1 kHz, in milliseconds of one
//! thread: the best of 20 runs.

use std::time::Instant;

use aurola_audio::{Clip, Limits, MelConfig, MelFilters, Resampler, SampleSource, log_mel};

fn best<T>(name: &str, mut run: impl FnMut() -> T) -> T {
    let mut least = f64::INFINITY;
    let mut result = run();
    for _ in 0..20 {
        let start = Instant::now();
        result = run();
        least = least.min(start.elapsed().as_secs_f64());
    }
    println!("{name:12} {:7.2} ms", least * 1e3);
    result
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let noise = |n: u32| (n.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32 - 0.5;
    let native: Vec<f32> = (0..441_000).map(noise).collect();
    let samples = best("resample", || {
        let mut resampler = Resampler::new(44_100).expect("a usual rate");
        let mut out = Vec::new();
        resampler.push(&native, &mut out);
        resampler.finish(&mut out);
        out
    });
    let filters = MelFilters::new(&MelConfig::default())?;
    best("log-mel", || log_mel(&samples, &filters).expect("10 s"));
    if let Some(path) = std::env::args_os().nth(1) {
        best("decode file", || {
            let mut clip = Clip::open(path.as_ref(), &Limits::default()).expect("a sound file");
            let mut block = vec![0.0; 65_536];
            while clip.read(&mut block).expect("a sound file") > 0 {}
        });
    }
    Ok(())
}
