//! The child's side: decodes what it is told to, a block at a time.

use std::io::{self, Read, Write};

use super::wire::{self, BLOCK, Message, foreign, receive, send};
use crate::clip::{Clip, SampleSource};

/// Serves one program until it closes `input`. What the hidden subcommand of the program runs.
///
/// First the program says how much memory may be used; from then on an allocation beyond it ends
/// this process, which is what it is for. Panics of decoders print nothing.
///
/// # Errors
///
/// The pipe broke, or what came through it is no message of ours.
pub fn serve(mut input: impl Read, mut output: impl Write) -> io::Result<()> {
    let Some(hello) = receive(&mut input)? else {
        return Ok(());
    };
    let memory = match hello.body.split_first_chunk::<8>() {
        Some((memory, wire::VERSION)) if hello.tag == wire::HELLO => u64::from_le_bytes(*memory),
        _ => return Err(foreign()),
    };
    confine(memory)?;
    std::panic::set_hook(Box::new(|_| {}));
    send(&mut output, wire::HELLO, wire::VERSION)?;
    let mut clip = None;
    while let Some(Message { tag, body }) = receive(&mut input)? {
        match tag {
            wire::OPEN => {
                let (path, limits) = wire::read_open(&body).ok_or_else(foreign)?;
                match Clip::open(&path, &limits) {
                    Ok(opened) => {
                        send(&mut output, wire::INFO, &wire::info_body(opened.info()))?;
                        clip = Some(opened);
                    }
                    Err(error) => send(&mut output, wire::FAILED, &wire::error_body(&error))?,
                }
            }
            wire::MORE => {
                let opened = clip.as_mut().ok_or_else(foreign)?;
                let mut block = vec![0.0; BLOCK];
                match opened.read(&mut block) {
                    Ok(0) => send(&mut output, wire::END, &wire::notes_body(opened.notes()))?,
                    Ok(n) => send(&mut output, wire::SAMPLES, &wire::samples_body(&block[..n]))?,
                    Err(error) => send(&mut output, wire::FAILED, &wire::error_body(&error))?,
                }
            }
            wire::CLOSE => clip = None,
            _ => return Err(foreign()),
        }
    }
    Ok(())
}

/// Bounds this process's memory and forbids core files. 0: no bound.
#[cfg(unix)]
fn confine(memory: u64) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let set = |resource, bytes| {
        // A bound that is already stricter stays.
        let maximum = getrlimit(resource)
            .maximum
            .map_or(bytes, |now| now.min(bytes));
        setrlimit(
            resource,
            Rlimit {
                current: Some(maximum),
                maximum: Some(maximum),
            },
        )
    };
    set(Resource::Core, 0)?;
    // macOS accepts this bound only sometimes; the decoder works without it.
    if memory > 0 && set(Resource::As, memory).is_err() && cfg!(target_os = "linux") {
        return Err(io::Error::other("the memory bound was refused"));
    }
    Ok(())
}

#[cfg(not(unix))]
fn confine(_memory: u64) -> io::Result<()> {
    Ok(())
}
