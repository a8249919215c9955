//! How the ranks of a run find each other, and make sure that they are of one run.
//!
//! ```text
//! rank r ──► MAGIC │ u32 version │ u32 world │ u32 rank │ u32 length │ token ──► rank 0
//! rank r ◄── welcome, once all are here; or stop, with the reason ◄───────────── rank 0
//! ```

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use super::error::CollectiveError;
use super::frame::{self, Call, FrameError, Kind};
use super::launch::Launch;

const MAGIC: [u8; 8] = *b"AUROLACC";
/// Raised with every change of the messages or of what a call does.
const VERSION: u32 = 1;
/// A run token is a hash or a name.
const MAX_TOKEN: usize = 1024;
/// How long a new connection may take to say who it is.
const HELLO: Duration = Duration::from_secs(5);
/// How much longer than rank 0 the others wait for all to come, so that its reason reaches them.
const GRACE: Duration = Duration::from_secs(10);

pub(super) const WELCOME: Call = Call {
    kind: Kind::Welcome,
    sequence: 0,
    count: 0,
};

/// What the ranks of one run have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<'a> {
    world: usize,
    token: &'a str,
}

impl<'a> Run<'a> {
    pub(super) fn new(world: usize, token: &'a str) -> Result<Self, CollectiveError> {
        if token.len() > MAX_TOKEN {
            return Err(CollectiveError::Token {
                bytes: token.len(),
                max: MAX_TOKEN,
            });
        }
        if world == 0 {
            return Err(CollectiveError::WrongRank {
                rank: 0,
                world,
                problem: "which is nobody",
            });
        }
        Ok(Self { world, token })
    }

    /// Rank 0: waits for everyone, and returns their connections in rank order, from rank 1.
    ///
    /// A connection that is not of this program is dropped. A rank of another run ends the wait: most
    /// likely one recipe differs, and waiting on would only hide that.
    pub(super) fn host(
        self,
        listener: &TcpListener,
        patience: Duration,
    ) -> Result<Vec<TcpStream>, CollectiveError> {
        let mut peers: Vec<Option<TcpStream>> = (1..self.world).map(|_| None).collect();
        let outcome = self.gather(listener, patience, &mut peers);
        let mut here: Vec<TcpStream> = peers.into_iter().flatten().collect();
        if let Err(error) = outcome {
            for peer in &mut here {
                refuse(peer, &error);
            }
            return Err(error);
        }
        for (at, peer) in here.iter_mut().enumerate() {
            frame::write(peer, WELCOME, &[]).map_err(|_| gone(at + 1))?;
        }
        Ok(here)
    }

    fn gather(
        self,
        listener: &TcpListener,
        patience: Duration,
        peers: &mut [Option<TcpStream>],
    ) -> Result<(), CollectiveError> {
        let began = Instant::now();
        // `accept` knows no time-out.
        let listen = |source| CollectiveError::Listen {
            address: describe(listener),
            source,
        };
        listener.set_nonblocking(true).map_err(listen)?;
        while peers.iter().any(Option::is_none) {
            match listener.accept() {
                Ok((mut stream, _)) => match self.hear(&mut stream, peers) {
                    Ok(Some(rank)) => peers[rank - 1] = Some(stream),
                    Ok(None) => {}
                    Err(error) => {
                        refuse(&mut stream, &error);
                        return Err(error);
                    }
                },
                Err(error) if began.elapsed() < patience => {
                    if error.kind() != io::ErrorKind::WouldBlock
                        && error.kind() != io::ErrorKind::ConnectionAborted
                        && error.kind() != io::ErrorKind::Interrupted
                    {
                        return Err(listen(error));
                    }
                    thread::sleep(Duration::from_millis(10));
                }
                Err(_) => {
                    let missing = peers.iter().enumerate().filter(|(_, peer)| peer.is_none());
                    return Err(CollectiveError::Absent {
                        ranks: missing.map(|(at, _)| at + 1).collect(),
                        world: self.world,
                        waited_s: began.elapsed().as_secs_f64(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Who a new connection is; `None` if it is nobody of ours.
    fn hear(
        self,
        stream: &mut TcpStream,
        peers: &[Option<TcpStream>],
    ) -> Result<Option<usize>, CollectiveError> {
        let Ok(hello) = prepare(stream, HELLO).and_then(|()| Hello::read(stream)) else {
            return Ok(None);
        };
        let Some(hello) = hello else {
            return Ok(None);
        };
        let rank = hello.rank as usize;
        let differs = |what, ours: &dyn ToString, theirs: &dyn ToString| {
            Err(CollectiveError::AnotherRun {
                rank,
                what,
                ours: ours.to_string(),
                theirs: theirs.to_string(),
            })
        };
        if hello.version != VERSION {
            return differs("protocol version", &VERSION, &hello.version);
        }
        if hello.world as usize != self.world {
            return differs("WORLD_SIZE", &self.world, &hello.world);
        }
        if hello.token != self.token {
            return differs("run token", &self.token, &hello.token);
        }
        let problem = match rank.checked_sub(1).and_then(|at| peers.get(at)) {
            None if rank == 0 => "which listens here already",
            None => "which does not exist",
            Some(Some(_)) => "which is here already",
            Some(None) => return Ok(Some(rank)),
        };
        Err(CollectiveError::WrongRank {
            rank,
            world: self.world,
            problem,
        })
    }

    /// Another rank: finds rank 0, says who we are, and returns once everyone is there.
    pub(super) fn join(
        self,
        master: (&str, u16),
        rank: usize,
        patience: Duration,
    ) -> Result<TcpStream, CollectiveError> {
        let began = Instant::now();
        let mut stream = loop {
            match connect(master, patience) {
                Ok(stream) => break stream,
                // Rank 0 may start later than we do, and its name may not be known yet.
                Err(_) if began.elapsed() < patience => thread::sleep(Duration::from_millis(100)),
                Err(source) => {
                    return Err(CollectiveError::Unreachable {
                        rank,
                        address: format!("{}:{}", master.0, master.1),
                        waited_s: began.elapsed().as_secs_f64(),
                        source,
                    });
                }
            }
        };
        let hello = Hello {
            version: VERSION,
            world: self.world as u32,
            rank: rank as u32,
            token: self.token.to_owned(),
        };
        let sent = prepare(&stream, patience + GRACE).and_then(|()| hello.write(&mut stream));
        sent.map_err(|_| gone(0))?;
        match frame::read(&mut stream, 1 << 20) {
            Ok(frame) if frame.call == WELCOME => Ok(stream),
            Ok(frame) if frame.call.kind == Kind::Stop => Err(CollectiveError::Stopped {
                by: 0,
                reason: String::from_utf8_lossy(&frame.payload).into_owned(),
            }),
            Ok(frame) => Err(CollectiveError::Garbled {
                rank: 0,
                problem: format!("{} before its welcome", frame.call),
            }),
            Err(FrameError::Io(error)) if is_time_out(&error) => Err(CollectiveError::Silent {
                ranks: vec![0],
                waited_s: (patience + GRACE).as_secs_f64(),
                call: WELCOME.to_string(),
            }),
            Err(FrameError::Io(_)) => Err(gone(0)),
            Err(FrameError::TooLong(_) | FrameError::Garbled(_)) => Err(CollectiveError::Garbled {
                rank: 0,
                problem: "no welcome of this program".to_owned(),
            }),
        }
    }
}

/// Listens where the launcher says: on the address itself where it is this machine's, so that a run on
/// `127.0.0.1` is not open to the network; else (a service's name, a forwarded address) on all.
pub(super) fn listen(launch: &Launch) -> Result<TcpListener, CollectiveError> {
    let name = format!("{}:{}", launch.address, launch.port);
    let bound = (launch.address.as_str(), launch.port)
        .to_socket_addrs()
        .and_then(|addresses| {
            let addresses: Vec<SocketAddr> = addresses.collect();
            TcpListener::bind(&addresses[..]).or_else(|error| {
                if error.kind() != io::ErrorKind::AddrNotAvailable {
                    return Err(error);
                }
                let any = match addresses.first() {
                    Some(SocketAddr::V6(_)) => IpAddr::from([0_u16; 8]),
                    _ => IpAddr::from([0_u8; 4]),
                };
                TcpListener::bind((any, launch.port))
            })
        });
    bound.map_err(|source| CollectiveError::Listen {
        address: name,
        source,
    })
}

fn connect(master: (&str, u16), patience: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in master.to_socket_addrs()? {
        // One attempt is short, so that a machine that starts late is found when it is there.
        match TcpStream::connect_timeout(&address, patience.clamp(HELLO / 5, HELLO)) {
            // While nobody listens on a port of the ephemeral range, the system may connect us to
            // ourselves.
            Ok(stream) if stream.local_addr().ok() == stream.peer_addr().ok() => {
                last = io::ErrorKind::ConnectionRefused.into();
            }
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn prepare(stream: &TcpStream, patience: Duration) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    let patience = Some(patience);
    stream.set_read_timeout(patience)?;
    stream.set_write_timeout(patience)
}

/// Tells a rank why there will be no run; it may be gone already.
fn refuse(stream: &mut TcpStream, error: &CollectiveError) {
    let stop = Call {
        kind: Kind::Stop,
        ..WELCOME
    };
    let _ = stream.set_write_timeout(Some(Duration::from_secs(1)));
    let _ = frame::write(stream, stop, error.to_string().as_bytes());
}

fn gone(rank: usize) -> CollectiveError {
    CollectiveError::Gone {
        rank,
        call: WELCOME.to_string(),
    }
}

/// What a read or write says whose time is up; the word differs between systems.
pub(super) fn is_time_out(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

fn describe(listener: &TcpListener) -> String {
    listener
        .local_addr()
        .map_or_else(|_| "its port".to_owned(), |address| address.to_string())
}

/// The first words of a rank.
struct Hello {
    version: u32,
    world: u32,
    rank: u32,
    token: String,
}

impl Hello {
    fn write(&self, mut to: impl Write) -> io::Result<()> {
        let mut bytes = MAGIC.to_vec();
        for field in [
            self.version,
            self.world,
            self.rank,
            self.token.len() as u32, // at most MAX_TOKEN
        ] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(self.token.as_bytes());
        to.write_all(&bytes)
    }

    /// `None` where this is not a hello of ours.
    fn read(mut from: impl Read) -> io::Result<Option<Self>> {
        let mut magic = [0; 8];
        from.read_exact(&mut magic)?;
        if magic != MAGIC {
            return Ok(None);
        }
        let mut field = || {
            let mut bytes = [0; 4];
            from.read_exact(&mut bytes)?;
            io::Result::Ok(u32::from_le_bytes(bytes))
        };
        let (version, world, rank, length) = (field()?, field()?, field()?, field()?);
        if length as usize > MAX_TOKEN {
            return Ok(None);
        }
        let mut token = vec![0; length as usize];
        from.read_exact(&mut token)?;
        Ok(Some(Self {
            version,
            world,
            rank,
            token: String::from_utf8_lossy(&token).into_owned(),
        }))
    }
}
