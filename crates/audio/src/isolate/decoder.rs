//! The program's side: a child, replaced when it dies.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use super::wire::{self, Message, foreign, receive, send};
use crate::SAMPLE_RATE;
use crate::clip::{ClipInfo, SampleSource};
use crate::error::AudioError;
use crate::limits::Limits;

/// What a decoding process may take.
#[derive(Debug, Clone, PartialEq)]
pub struct Isolation {
    /// How long a block of 2 s may take to come; default 5 s.
    pub patience: Duration,
    /// Bytes of address space of the child; default 1 GiB, 0: no bound. Linux enforces it.
    pub memory: u64,
}

impl Default for Isolation {
    fn default() -> Self {
        Isolation {
            patience: Duration::from_secs(5),
            memory: 1 << 30,
        }
    }
}

/// Time for the child to start; it does nothing but say hello.
const START: Duration = Duration::from_secs(20);

/// Decodes files in a child process, one after another.
#[derive(Debug)]
pub struct IsolatedDecoder {
    command: Vec<OsString>,
    isolation: Isolation,
    running: Option<Running>,
}

/// A child that has said hello.
#[derive(Debug)]
struct Running {
    child: Child,
    input: ChildStdin,
    output: Receiver<io::Result<Message>>,
    /// Messages asked for and not yet received.
    owed: usize,
}

impl IsolatedDecoder {
    /// A decoder that runs `command` (a program and its arguments), which must call
    /// [`worker::serve`](super::worker::serve) on its standard input and output. Nothing is started
    /// yet.
    pub fn new(command: Vec<OsString>) -> Self {
        IsolatedDecoder::with(command, Isolation::default())
    }

    /// The same, with other bounds.
    pub fn with(command: Vec<OsString>, isolation: Isolation) -> Self {
        IsolatedDecoder {
            command,
            isolation,
            running: None,
        }
    }

    /// Opens a file in the child, which is started where none runs.
    ///
    /// # Errors
    ///
    /// Those of [`Clip::open`](crate::Clip::open), and [`AudioError::TimedOut`],
    /// [`AudioError::Crashed`] or [`AudioError::Worker`].
    pub fn open(&mut self, path: &Path, limits: &Limits) -> Result<IsolatedClip<'_>, AudioError> {
        let mut clip = IsolatedClip {
            decoder: self,
            path: path.to_owned(),
            info: ClipInfo {
                container: String::new(),
                codec: String::new(),
                sample_rate: 0,
                channels: 0,
                duration_s: None,
            },
            ready: Vec::new(),
            taken: 0,
            received: 0,
            notes: Vec::new(),
            ended: false,
        };
        let reply = clip.ask(wire::OPEN, &wire::open_body(path, limits))?;
        clip.info = match reply.tag {
            wire::INFO => wire::read_info(&reply.body).ok_or_else(|| clip.strange())?,
            _ => return Err(clip.failed(&reply)),
        };
        clip.request()?;
        Ok(clip)
    }

    fn error(&self, source: io::Error) -> AudioError {
        AudioError::Worker {
            command: self.command.first().cloned().unwrap_or_default(),
            source,
        }
    }

    /// The running child; starts one where there is none.
    fn running(&mut self) -> Result<&mut Running, AudioError> {
        if self.running.is_none() {
            let running = Running::start(&self.command, &self.isolation);
            self.running = Some(running.map_err(|source| self.error(source))?);
        }
        Ok(self.running.as_mut().expect("just started"))
    }
}

impl Drop for IsolatedDecoder {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }
}

impl Running {
    fn start(command: &[OsString], isolation: &Isolation) -> io::Result<Self> {
        let (program, arguments) = command.split_first().ok_or_else(foreign)?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (Some(input), Some(mut output)) = (input, output) else {
            return Err(foreign());
        };
        // A thread reads, since a pipe alone cannot be waited for with a deadline. It ends with the
        // pipe.
        let (sender, receiver) = sync_channel(2);
        thread::Builder::new()
            .name("decode-replies".into())
            .spawn(move || {
                while let Some(message) = receive(&mut output).transpose() {
                    let broken = message.is_err();
                    if sender.send(message).is_err() || broken {
                        break;
                    }
                }
            })?;
        let mut running = Running {
            child,
            input,
            output: receiver,
            owed: 0,
        };
        let mut hello = isolation.memory.to_le_bytes().to_vec();
        hello.extend_from_slice(wire::VERSION);
        let greeting = send(&mut running.input, wire::HELLO, &hello).map_err(|_| foreign());
        let reply = greeting.and_then(|()| match running.output.recv_timeout(START) {
            Ok(Ok(Message {
                tag: wire::HELLO,
                body,
            })) if body == wire::VERSION => Ok(()),
            _ => Err(foreign()),
        });
        match reply {
            Ok(()) => Ok(running),
            Err(error) => {
                running.kill();
                Err(error)
            }
        }
    }

    fn kill(mut self) -> Option<ExitStatus> {
        let _ = self.child.kill();
        self.child.wait().ok()
    }
}

/// A file that a child decodes.
#[derive(Debug)]
pub struct IsolatedClip<'d> {
    decoder: &'d mut IsolatedDecoder,
    path: PathBuf,
    info: ClipInfo,
    ready: Vec<f32>,
    taken: usize,
    received: u64,
    notes: Vec<String>,
    ended: bool,
}

impl IsolatedClip<'_> {
    fn now(&self) -> f64 {
        self.received as f64 / f64::from(SAMPLE_RATE)
    }

    /// Sends `tag` to a child that owes nothing, and waits for its reply.
    fn ask(&mut self, tag: u8, body: &[u8]) -> Result<Message, AudioError> {
        // What the file before left unread. If the child dies over it, that was not this file.
        while self.decoder.running()?.owed > 0 && self.reply().is_ok() {}
        self.ended = false;
        let running = self.decoder.running()?;
        running.owed += 1;
        if send(&mut running.input, tag, body).is_err() {
            // It died between two files; a new one has done nothing yet, so once more is safe.
            self.bury();
            self.ended = false;
            let running = self.decoder.running()?;
            running.owed += 1;
            send(&mut running.input, tag, body).map_err(|source| self.decoder.error(source))?;
        }
        self.reply()
    }

    /// Asks for the next block without waiting for it.
    fn request(&mut self) -> Result<(), AudioError> {
        let running = self.decoder.running()?;
        running.owed += 1;
        match send(&mut running.input, wire::MORE, &[]) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.crashed()),
        }
    }

    fn reply(&mut self) -> Result<Message, AudioError> {
        let patience = self.decoder.isolation.patience;
        let running = self.decoder.running()?;
        match running.output.recv_timeout(patience) {
            Ok(Ok(message)) => {
                running.owed -= 1;
                Ok(message)
            }
            Err(RecvTimeoutError::Timeout) => {
                self.bury();
                let (path, at_s, after_s) = (self.path.clone(), self.now(), patience.as_secs_f64());
                Err(AudioError::TimedOut {
                    path,
                    at_s,
                    after_s,
                })
            }
            Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => Err(self.crashed()),
        }
    }

    /// Ends the child, if it still runs, and returns how it ended.
    fn bury(&mut self) -> Option<ExitStatus> {
        self.ended = true;
        self.decoder.running.take().and_then(Running::kill)
    }

    fn crashed(&mut self) -> AudioError {
        let how = match self.bury() {
            Some(status) => describe(status),
            None => "its end could not be observed".into(),
        };
        AudioError::Crashed {
            path: self.path.clone(),
            at_s: self.now(),
            how,
        }
    }

    fn strange(&mut self) -> AudioError {
        self.bury();
        self.decoder.error(foreign())
    }

    /// The error in a reply that should have been something else.
    fn failed(&mut self, reply: &Message) -> AudioError {
        self.ended = true;
        match reply.tag {
            wire::FAILED => {
                wire::read_error(&self.path, &reply.body).unwrap_or_else(|| self.strange())
            }
            _ => self.strange(),
        }
    }

    /// Waits for the block that was asked for and asks for the next; false at the end.
    fn advance(&mut self) -> Result<bool, AudioError> {
        if self.ended {
            return Ok(false);
        }
        let reply = self.reply()?;
        match reply.tag {
            wire::SAMPLES => {
                self.ready = wire::read_samples(&reply.body).ok_or_else(|| self.strange())?;
                self.taken = 0;
                self.received += self.ready.len() as u64;
                self.request()?;
                Ok(true)
            }
            wire::END => {
                self.ended = true;
                self.notes = wire::read_notes(&reply.body).ok_or_else(|| self.strange())?;
                Ok(false)
            }
            _ => Err(self.failed(&reply)),
        }
    }
}

impl SampleSource for IsolatedClip<'_> {
    fn info(&self) -> &ClipInfo {
        &self.info
    }

    fn read(&mut self, out: &mut [f32]) -> Result<usize, AudioError> {
        let mut written = 0;
        while written < out.len() {
            if self.taken == self.ready.len() && !self.advance()? {
                break;
            }
            let n = (out.len() - written).min(self.ready.len() - self.taken);
            out[written..written + n].copy_from_slice(&self.ready[self.taken..self.taken + n]);
            self.taken += n;
            written += n;
        }
        Ok(written)
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl Drop for IsolatedClip<'_> {
    fn drop(&mut self) {
        // The child lets go of the file; a dead one is found out by the next request.
        if let Some(running) = &mut self.decoder.running {
            let _ = send(&mut running.input, wire::CLOSE, &[]);
        }
    }
}

/// An exit status, in words.
fn describe(status: ExitStatus) -> String {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        if let Some(signal) = status.signal() {
            return match signal {
                6 => "aborted: out of memory or stack".into(),
                9 => "killed".into(),
                11 => "segmentation fault".into(),
                other => format!("signal {other}"),
            };
        }
    }
    status.to_string()
}
