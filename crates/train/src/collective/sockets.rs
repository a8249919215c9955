//! Ranks that talk through rank 0, by TCP.
//!
//! One thread per connection does nothing but read, so a peer that ends is noticed while others are
//! waited for, and no two ranks can block each other by both writing.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::Collective;
use super::error::CollectiveError;
use super::frame::{self, Call, Frame, FrameError, Kind};
use super::launch::Launch;
use super::rendezvous::{self, Run, is_time_out};

/// How many values of a sum travel in one message (4 MiB), which bounds what rank 0 holds.
const SUM_CHUNK: usize = 1 << 20;
/// How long a rank that lost its connection looks for a reason that was sent before.
const REASON: Duration = Duration::from_millis(200);

/// Time-outs and limits of [`Sockets`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketOptions {
    /// How long the ranks wait for each other to come, default 5 minutes.
    pub meet: Duration,
    /// How long rank 0 waits in a call for ranks that are there and do not answer, default 10 minutes:
    /// more than the slowest rank's step takes beyond its own. The others wait for rank 0 twice as
    /// long, so that its word on who is missing comes first. A rank whose process ends is noticed at
    /// once; one whose machine loses power or network, after this time.
    pub call: Duration,
    /// How many bytes one rank may give to one call, default 1 GiB. A gather holds as many of every
    /// rank.
    pub max_bytes: u64,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            meet: Duration::from_secs(300),
            call: Duration::from_secs(600),
            max_bytes: 1 << 30,
        }
    }
}

impl SocketOptions {
    /// With times the system's clock can add up and its sockets accept.
    fn bounded(self) -> Self {
        let (least, most) = (Duration::from_millis(1), Duration::from_secs(366 * 86_400));
        Self {
            meet: self.meet.clamp(least, most),
            call: self.call.clamp(least, most),
            ..self
        }
    }
}

/// The ranks of a run on one machine or several, connected by TCP.
#[derive(Debug)]
pub struct Sockets {
    rank: usize,
    world: usize,
    options: SocketOptions,
    /// Rank 0: those of ranks 1, 2, …; every other rank: that of rank 0. Written here, read by the
    /// threads.
    peers: Vec<TcpStream>,
    heard: Receiver<Heard>,
    sequence: u64,
    /// The first error; there is no way on from it.
    over: Option<String>,
}

/// What a reading thread reports: the rank it reads from, and a message or why there will be no more.
type Heard = (usize, Result<Frame, FrameError>);

impl Sockets {
    /// Meets the other ranks of `launch`, as rank 0 or as any other; returns once all are there.
    ///
    /// # Errors
    ///
    /// [`CollectiveError`]: a port that is taken, ranks that do not come within
    /// [`SocketOptions::meet`], ranks with another token, `WORLD_SIZE` or version.
    pub fn meet(
        launch: &Launch,
        token: &str,
        options: SocketOptions,
    ) -> Result<Self, CollectiveError> {
        if launch.rank == 0 {
            Self::host(rendezvous::listen(launch)?, launch.world, token, options)
        } else {
            let master = (launch.address.as_str(), launch.port);
            Self::join(master, launch.rank, launch.world, token, options)
        }
    }

    /// Rank 0 of `world`, with a listener of its own; returns once all others are there.
    ///
    /// # Errors
    ///
    /// As for [`Sockets::meet`].
    pub fn host(
        listener: TcpListener,
        world: usize,
        token: &str,
        options: SocketOptions,
    ) -> Result<Self, CollectiveError> {
        let options = options.bounded();
        let peers = Run::new(world, token)?.host(&listener, options.meet)?;
        Self::start(0, world, peers, options)
    }

    /// Rank `rank`, 1 or more, of `world`, whose rank 0 listens at `master`, a name or address and a
    /// port; returns once all others are there.
    ///
    /// # Errors
    ///
    /// As for [`Sockets::meet`].
    pub fn join(
        master: (&str, u16),
        rank: usize,
        world: usize,
        token: &str,
        options: SocketOptions,
    ) -> Result<Self, CollectiveError> {
        let options = options.bounded();
        let peer = Run::new(world, token)?.join(master, rank, options.meet)?;
        Self::start(rank, world, vec![peer], options)
    }

    fn start(
        rank: usize,
        world: usize,
        peers: Vec<TcpStream>,
        options: SocketOptions,
    ) -> Result<Self, CollectiveError> {
        // A peer sends one message, then waits for ours: this never fills.
        let (tell, heard) = sync_channel(2 * world);
        // Rank 0 is sent what one rank gave, and sends what all gave, with the length of each.
        let max = match rank {
            0 => options.max_bytes,
            _ => options
                .max_bytes
                .saturating_add(8)
                .saturating_mul(world as u64),
        };
        for (at, peer) in peers.iter().enumerate() {
            let from = if rank == 0 { at + 1 } else { 0 };
            let network = |source| CollectiveError::Network {
                rank: from,
                call: rendezvous::WELCOME.to_string(),
                source,
            };
            peer.set_write_timeout(Some(options.call))
                .map_err(network)?;
            let reader = peer.try_clone().map_err(network)?;
            reader.set_read_timeout(None).map_err(network)?;
            let tell = tell.clone();
            thread::Builder::new()
                .name(format!("from rank {from}"))
                .spawn(move || hear(from, &reader, max, &tell))
                .map_err(network)?;
        }
        Ok(Self {
            rank,
            world,
            options,
            peers,
            heard,
            sequence: 0,
            over: None,
        })
    }

    /// One message of every rank to rank 0, and its `answer` to every rank.
    fn exchange(
        &mut self,
        kind: Kind,
        count: usize,
        own: Vec<u8>,
        answer: impl FnOnce(Vec<Vec<u8>>) -> Result<Vec<u8>, CollectiveError>,
    ) -> Result<Vec<u8>, CollectiveError> {
        if let Some(reason) = &self.over {
            return Err(CollectiveError::Over {
                reason: reason.clone(),
            });
        }
        let call = Call {
            kind,
            sequence: self.sequence,
            count: count as u64,
        };
        self.sequence += 1;
        let outcome = if own.len() as u64 > self.options.max_bytes {
            Err(CollectiveError::TooLong {
                rank: self.rank,
                bytes: own.len() as u64,
                max: self.options.max_bytes,
            })
        } else if self.rank == 0 {
            self.lead(call, own, answer)
        } else {
            self.send(0, call, &own)
                .and_then(|()| self.await_answer(call))
        };
        outcome.inspect_err(|error| self.give_up(error))
    }

    fn lead(
        &mut self,
        call: Call,
        own: Vec<u8>,
        answer: impl FnOnce(Vec<Vec<u8>>) -> Result<Vec<u8>, CollectiveError>,
    ) -> Result<Vec<u8>, CollectiveError> {
        let deadline = Instant::now() + self.options.call;
        let mut parts: Vec<Option<Vec<u8>>> = vec![None; self.world];
        parts[0] = Some(own);
        while parts.iter().any(Option::is_none) {
            let (rank, frame) = match self.next(deadline, call)? {
                Some(heard) => heard,
                None => {
                    let silent = parts.iter().enumerate().filter(|(_, part)| part.is_none());
                    return Err(CollectiveError::Silent {
                        ranks: silent.map(|(rank, _)| rank).collect(),
                        waited_s: self.options.call.as_secs_f64(),
                        call: call.to_string(),
                    });
                }
            };
            if frame.call != call {
                return Err(CollectiveError::Mismatch {
                    rank,
                    ours: call.to_string(),
                    theirs: frame.call.to_string(),
                });
            }
            parts[rank] = Some(frame.payload);
        }
        let answer = answer(parts.into_iter().flatten().collect())?;
        for rank in 1..self.world {
            self.send(rank, call, &answer)?;
        }
        Ok(answer)
    }

    fn await_answer(&mut self, call: Call) -> Result<Vec<u8>, CollectiveError> {
        let patience = 2 * self.options.call;
        let deadline = Instant::now() + patience;
        match self.next(deadline, call)? {
            Some((_, frame)) if frame.call == call => Ok(frame.payload),
            Some((rank, frame)) => Err(CollectiveError::Garbled {
                rank,
                problem: format!("{} where {call} was due", frame.call),
            }),
            None => Err(CollectiveError::Silent {
                ranks: vec![0],
                waited_s: patience.as_secs_f64(),
                call: call.to_string(),
            }),
        }
    }

    /// The next message of anyone; `None` when the time is up.
    fn next(
        &mut self,
        deadline: Instant,
        call: Call,
    ) -> Result<Option<(usize, Frame)>, CollectiveError> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.heard.recv_timeout(left) {
            Ok((by, Ok(frame))) if frame.call.kind == Kind::Stop => Err(CollectiveError::Stopped {
                by: if by == 0 {
                    frame.call.count as usize
                } else {
                    by
                },
                reason: String::from_utf8_lossy(&frame.payload).into_owned(),
            }),
            Ok((rank, Ok(frame))) => Ok(Some((rank, frame))),
            Ok((rank, Err(FrameError::TooLong(bytes)))) => Err(CollectiveError::TooLong {
                rank,
                bytes,
                max: self.options.max_bytes,
            }),
            Ok((rank, Err(FrameError::Garbled(problem)))) => {
                Err(CollectiveError::Garbled { rank, problem })
            }
            Ok((rank, Err(FrameError::Io(error)))) => Err(lost(rank, call, error)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            // Every thread reported its end, and that was an error then.
            Err(RecvTimeoutError::Disconnected) => Err(CollectiveError::Gone {
                rank: usize::from(self.rank == 0),
                call: call.to_string(),
            }),
        }
    }

    fn send(&mut self, to: usize, call: Call, payload: &[u8]) -> Result<(), CollectiveError> {
        let peer = &self.peers[to.saturating_sub(1)];
        let Err(error) = frame::write(peer, call, payload) else {
            return Ok(());
        };
        if is_time_out(&error) {
            return Err(CollectiveError::Silent {
                ranks: vec![to],
                waited_s: self.options.call.as_secs_f64(),
                call: call.to_string(),
            });
        }
        // It may have said why before it closed, and that is worth more than the closing.
        match self.next(Instant::now() + REASON, call) {
            Err(stopped @ CollectiveError::Stopped { .. }) => Err(stopped),
            _ => Err(lost(to, call, error)),
        }
    }

    /// After the first error: tells the others, whose next call would otherwise wait for nothing.
    fn give_up(&mut self, error: &CollectiveError) {
        if self.over.is_some() {
            return;
        }
        let (by, reason) = match error {
            CollectiveError::Stopped { by, reason } => (*by, reason.clone()),
            other => (self.rank, other.to_string()),
        };
        let stop = Call {
            kind: Kind::Stop,
            sequence: self.sequence,
            count: by as u64,
        };
        for peer in &self.peers {
            let _ = peer.set_write_timeout(Some(Duration::from_secs(1)));
            let _ = frame::write(peer, stop, reason.as_bytes());
        }
        self.over = Some(error.to_string());
    }
}

impl Drop for Sockets {
    /// Ends what we say and leaves the threads reading until the others end too: closing with
    /// something unread would make the system throw away our last message.
    fn drop(&mut self) {
        for peer in &self.peers {
            let _ = peer.shutdown(Shutdown::Write);
        }
    }
}

impl Collective for Sockets {
    fn rank(&self) -> usize {
        self.rank
    }

    fn world(&self) -> usize {
        self.world
    }

    fn all_gather(&mut self, values: &[f32]) -> Result<Vec<Vec<f32>>, CollectiveError> {
        let all = self.exchange(Kind::AllGather, 0, to_bytes(values), joined)?;
        let parts = self.split(&all)?;
        Ok(parts.into_iter().map(|part| to_values(&part)).collect())
    }

    fn all_reduce_sum(&mut self, values: &mut [f32]) -> Result<(), CollectiveError> {
        let count = values.len();
        let mut at = 0;
        // At least once: no values are a call too, and must be one on every rank.
        loop {
            let chunk = &mut values[at..count.min(at + SUM_CHUNK)];
            let sum = self.exchange(Kind::AllReduceSum, count, to_bytes(chunk), summed)?;
            if sum.len() != 4 * chunk.len() {
                return Err(self.garbled(format!("a sum of {} bytes", sum.len())));
            }
            chunk.copy_from_slice(&to_values(&sum));
            at += SUM_CHUNK;
            if at >= count {
                return Ok(());
            }
        }
    }

    fn all_gather_bytes(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, CollectiveError> {
        let all = self.exchange(Kind::AllGatherBytes, 0, bytes.to_vec(), joined)?;
        self.split(&all)
    }

    fn broadcast_bytes(&mut self, root: usize, bytes: &mut Vec<u8>) -> Result<(), CollectiveError> {
        if root >= self.world {
            let error = CollectiveError::Root {
                root,
                world: self.world,
            };
            self.give_up(&error);
            return Err(error);
        }
        let own = if self.rank == root {
            bytes.clone()
        } else {
            Vec::new()
        };
        *bytes = self.exchange(Kind::BroadcastBytes, root, own, |mut parts| {
            Ok(parts.swap_remove(root))
        })?;
        Ok(())
    }

    fn barrier(&mut self) -> Result<(), CollectiveError> {
        self.exchange(Kind::Barrier, 0, Vec::new(), |_| Ok(Vec::new()))?;
        Ok(())
    }
}

impl Sockets {
    /// The parts of [`joined`].
    fn split(&mut self, all: &[u8]) -> Result<Vec<Vec<u8>>, CollectiveError> {
        split(all, self.world)
            .ok_or_else(|| self.garbled("a gather whose lengths do not add up".to_owned()))
    }

    fn garbled(&mut self, problem: String) -> CollectiveError {
        let error = CollectiveError::Garbled { rank: 0, problem };
        self.give_up(&error);
        error
    }
}

/// Reads one peer's messages until there are no more or nobody wants them.
fn hear(from: usize, stream: &TcpStream, max: u64, tell: &SyncSender<Heard>) {
    loop {
        let heard = frame::read(stream, max);
        let last = heard.is_err();
        let wanted = tell.send((from, heard)).is_ok();
        if last {
            return;
        }
        if !wanted {
            // We are closing; see `Drop`.
            let _ = io::copy(&mut &*stream, &mut io::sink());
            return;
        }
    }
}

fn lost(rank: usize, call: Call, source: io::Error) -> CollectiveError {
    let call = call.to_string();
    match source.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected => CollectiveError::Gone { rank, call },
        _ => CollectiveError::Network { rank, call, source },
    }
}

/// The length of each part, then the parts.
fn joined(parts: Vec<Vec<u8>>) -> Result<Vec<u8>, CollectiveError> {
    let mut all = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in &parts {
        all.extend((part.len() as u64).to_le_bytes());
    }
    for part in parts {
        all.extend(part);
    }
    Ok(all)
}

fn split(all: &[u8], world: usize) -> Option<Vec<Vec<u8>>> {
    let (lengths, mut rest) = all.split_at_checked(8 * world)?;
    let mut parts = Vec::with_capacity(world);
    for length in lengths.as_chunks::<8>().0 {
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (part, after) = rest.split_at_checked(length)?;
        parts.push(part.to_vec());
        rest = after;
    }
    rest.is_empty().then_some(parts)
}

/// The sum in rank order.
fn summed(parts: Vec<Vec<u8>>) -> Result<Vec<u8>, CollectiveError> {
    let mut parts = parts.into_iter().enumerate();
    let (_, first) = parts.next().unwrap_or_default();
    let mut sum = to_values(&first);
    for (rank, part) in parts {
        if part.len() != first.len() {
            return Err(CollectiveError::Garbled {
                rank,
                problem: format!("{} bytes of {} to be summed", part.len(), first.len()),
            });
        }
        for (sum, value) in sum.iter_mut().zip(to_values(&part)) {
            *sum += value;
        }
    }
    Ok(to_bytes(&sum))
}

fn to_bytes(values: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 * values.len());
    for value in values {
        bytes.extend(value.to_le_bytes());
    }
    bytes
}

/// What [`to_bytes`] wrote.
fn to_values(bytes: &[u8]) -> Vec<f32> {
    let (values, _) = bytes.as_chunks::<4>();
    values
        .iter()
        .map(|value| f32::from_le_bytes(*value))
        .collect()
}
