//! The ranks of a run: what they agree on, and how they hear of each other's troubles.

mod launch;
mod laws;
mod processes;
mod troubles;

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use aurola_train::collective::{CollectiveError, SocketOptions, Sockets};

/// Short enough that a test that would hang fails instead.
const OPTIONS: SocketOptions = SocketOptions {
    meet: Duration::from_secs(30),
    call: Duration::from_secs(30),
    max_bytes: 64 << 20,
};

/// Ranks of one process each in a thread of its own; what `each` returns, in rank order.
fn ranks<T: Send>(
    world: usize,
    options: SocketOptions,
    each: impl Fn(usize, Sockets) -> T + Sync,
) -> Vec<T> {
    meet(&vec!["a run"; world], options, |rank, sockets| {
        each(rank, sockets.expect("the ranks meet"))
    })
}

/// As [`ranks`], with the token each rank brings, and whether they met.
fn meet<T: Send>(
    tokens: &[&str],
    options: SocketOptions,
    each: impl Fn(usize, Result<Sockets, CollectiveError>) -> T + Sync,
) -> Vec<T> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (world, each) = (tokens.len(), &each);
    thread::scope(|scope| {
        let others: Vec<_> = (1..world)
            .map(|rank| {
                scope.spawn(move || {
                    let master = ("127.0.0.1", port);
                    each(
                        rank,
                        Sockets::join(master, rank, world, tokens[rank], options),
                    )
                })
            })
            .collect();
        let first = each(0, Sockets::host(listener, world, tokens[0], options));
        let others = others.into_iter().map(|thread| thread.join().unwrap());
        [first].into_iter().chain(others).collect()
    })
}
