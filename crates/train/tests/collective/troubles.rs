//! Every trouble is an error on every rank, soon, and names who.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use aurola_train::collective::{Collective, CollectiveError, Launch, SocketOptions, Sockets};

use crate::{OPTIONS, meet, ranks};

/// What each rank says, when the time-outs of [`OPTIONS`] would take much longer.
fn soon(world: usize, each: impl Fn(usize, Sockets) -> String + Sync) -> Vec<String> {
    let began = Instant::now();
    let said = ranks(world, OPTIONS, each);
    assert!(began.elapsed() < Duration::from_secs(10), "{said:?}");
    said
}

#[test]
fn ranks_that_make_different_calls_hear_of_both() {
    let said = soon(3, |rank, mut sockets| {
        sockets.barrier().unwrap();
        match rank {
            1 => sockets.all_gather(&[1.0]).map(drop),
            _ => sockets.all_reduce_sum(&mut [1.0, 2.0]),
        }
        .unwrap_err()
        .to_string()
    });
    let reason = "rank 0 makes all_reduce_sum of 2 values (message 1), and rank 1 all_gather \
                  (message 1); every rank must make the same calls in the same order, with the same \
                  lengths where they are summed";
    let told = format!("rank 0 stopped the run: {reason}");
    assert_eq!(said, [reason, &told, &told]);
}

#[test]
fn lengths_that_differ_are_never_summed() {
    let said = soon(2, |rank, mut sockets| {
        let mut values = vec![1.0; 3 + rank];
        let error = sockets.all_reduce_sum(&mut values).unwrap_err();
        error.to_string()
    });
    let both = "all_reduce_sum of 3 values (message 0), and rank 1 all_reduce_sum of 4 values";
    assert!(said.iter().all(|said| said.contains(both)), "{said:?}");
}

#[test]
fn roots_that_differ_are_no_broadcast() {
    let said = soon(2, |rank, mut sockets| {
        let error = sockets.broadcast_bytes(rank, &mut Vec::new()).unwrap_err();
        error.to_string()
    });
    assert!(said[0].contains("broadcast_bytes from rank 0"), "{said:?}");
    assert!(said[1].contains("broadcast_bytes from rank 1"), "{said:?}");
    let said = soon(2, |rank, mut sockets| {
        match rank {
            0 => sockets.broadcast_bytes(2, &mut Vec::new()),
            _ => sockets.barrier(),
        }
        .unwrap_err()
        .to_string()
    });
    assert_eq!(said[0], "there is no rank 2 to broadcast from, of 2");
    assert_eq!(said[1], format!("rank 0 stopped the run: {}", said[0]));
}

#[test]
fn a_rank_that_ends_is_named_while_others_are_waited_for() {
    let said = soon(3, |rank, mut sockets| {
        sockets.barrier().unwrap();
        match rank {
            // Rank 1 is busy; rank 0 waits for it and must hear of rank 2 nevertheless.
            1 => thread::sleep(Duration::from_millis(500)),
            2 => return String::new(),
            _ => {}
        }
        sockets.all_gather(&[1.0]).unwrap_err().to_string()
    });
    let reason = "rank 2 is gone, in all_gather (message 1); what it wrote last says why";
    assert_eq!(said[0], reason);
    assert_eq!(said[1], format!("rank 0 stopped the run: {reason}"));
}

#[test]
fn the_end_of_rank_0_is_noticed_by_all() {
    let said = soon(3, |rank, mut sockets| {
        sockets.barrier().unwrap();
        if rank == 0 {
            return String::new();
        }
        sockets.barrier().unwrap_err().to_string()
    });
    for said in &said[1..] {
        assert!(said.starts_with("rank 0 is gone"), "{said}");
    }
}

#[test]
fn after_an_error_every_call_is_one() {
    let said = soon(2, |rank, mut sockets| {
        let first = match rank {
            0 => sockets.barrier(),
            _ => sockets.all_gather(&[]).map(drop),
        };
        let first = first.unwrap_err().to_string();
        let second = sockets.barrier().unwrap_err();
        assert!(matches!(second, CollectiveError::Over { .. }), "{second}");
        assert!(second.to_string().ends_with(&first), "{second}");
        first
    });
    assert!(said[0].contains("rank 1 all_gather"), "{said:?}");
}

#[test]
fn a_silent_rank_is_named_when_the_time_is_up() {
    let options = SocketOptions {
        call: Duration::from_millis(400),
        ..OPTIONS
    };
    let said = ranks(3, options, |rank, mut sockets| {
        if rank == 1 {
            thread::sleep(Duration::from_millis(1500));
        }
        sockets.barrier().unwrap_err().to_string()
    });
    let reason = "no answer from rank 1 in 0 s, in barrier (message 0)";
    assert!(said[0].starts_with(reason), "{said:?}");
    let told = format!("rank 0 stopped the run: {}", said[0]);
    assert_eq!(said[1..], [&told[..], &told]);
}

/// Rank 0 hangs, and cannot say so: the others find out by themselves. It learns of it when it goes
/// on: at the latest in its second call, as what the first needed was there.
#[test]
fn a_silent_rank_0_is_named_too() {
    let options = SocketOptions {
        call: Duration::from_millis(200),
        ..OPTIONS
    };
    let said = ranks(2, options, |rank, mut sockets| {
        if rank == 0 {
            thread::sleep(Duration::from_millis(1500));
            let _ = sockets.barrier();
        }
        sockets.barrier().unwrap_err().to_string()
    });
    assert!(
        said[1].starts_with("no answer from rank 0 in 0 s"),
        "{said:?}"
    );
    let told = format!("rank 1 stopped the run: {}", said[1]);
    assert!(said[0].ends_with(&told), "{said:?}");
}

#[test]
fn too_much_for_one_call_is_refused_where_it_is_given() {
    let options = SocketOptions {
        max_bytes: 100,
        ..OPTIONS
    };
    let said = ranks(3, options, |rank, mut sockets| {
        let full = sockets.all_gather_bytes(&[7; 100]).unwrap();
        assert_eq!(full, vec![vec![7; 100]; 3]);
        let more = vec![7; if rank == 2 { 101 } else { 100 }];
        sockets.all_gather_bytes(&more).unwrap_err().to_string()
    });
    let reason = "rank 2 sends 101 bytes in one call; `max_bytes` is 100";
    let told = format!("rank 2 stopped the run: {reason}");
    assert_eq!(said, [&told, &told, reason]);
}

#[test]
fn runs_that_differ_never_meet() {
    let said = meet(&["recipe a", "recipe a", "recipe b"], OPTIONS, |_, met| {
        met.unwrap_err().to_string()
    });
    let reason = "rank 2 has run token `recipe b`, rank 0 has `recipe a`; all ranks of a run need \
                  the same";
    assert_eq!(said[0], reason);
    assert_eq!(said[2], format!("rank 0 stopped the run: {reason}"));
    // Rank 1 was here already, or found nobody any more.
    assert!(
        said[1].contains("run token") || said[1].contains("rank 0"),
        "{}",
        said[1]
    );
}

/// What rank 0 of two says when `who` comes, and what `who` hears.
fn refused(rank: usize, world: usize) -> (String, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::scope(|scope| {
        let other = scope.spawn(move || {
            let met = Sockets::join(("127.0.0.1", port), rank, world, "t", OPTIONS);
            met.unwrap_err().to_string()
        });
        let host = Sockets::host(listener, 2, "t", OPTIONS).unwrap_err();
        (host.to_string(), other.join().unwrap())
    })
}

#[test]
fn a_wrong_world_or_rank_is_refused() {
    let (host, other) = refused(1, 3);
    assert_eq!(
        host,
        "rank 1 has WORLD_SIZE `3`, rank 0 has `2`; all ranks of a run need the same"
    );
    assert_eq!(other, format!("rank 0 stopped the run: {host}"));
    let (host, _) = refused(0, 2);
    assert!(
        host.contains("as rank 0 of 2, which listens here already"),
        "{host}"
    );
    let (host, _) = refused(2, 2);
    assert!(
        host.contains("as rank 2 of 2, which does not exist"),
        "{host}"
    );
}

#[test]
fn two_processes_of_one_rank_are_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(move || {
                let met = Sockets::join(("127.0.0.1", port), 1, 3, "t", OPTIONS);
                assert!(met.is_err());
            });
        }
        let error = Sockets::host(listener, 3, "t", OPTIONS).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("as rank 1 of 3, which is here already"),
            "{error}"
        );
    });
}

#[test]
fn strangers_at_the_port_do_not_disturb() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(TcpStream::connect(("127.0.0.1", port)).unwrap());
    let mut stranger = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            let met = Sockets::join(("127.0.0.1", port), 1, 2, "t", OPTIONS);
            met.unwrap().barrier().unwrap();
        });
        let met = Sockets::host(listener, 2, "t", OPTIONS);
        met.unwrap().barrier().unwrap();
    });
}

#[test]
fn ranks_that_do_not_come_are_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = SocketOptions {
        meet: Duration::from_millis(50),
        ..OPTIONS
    };
    let error = Sockets::host(listener, 3, "t", options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "of 3 ranks, ranks 1, 2 did not come in 0 s"
    );
}

#[test]
fn nobody_listening_is_an_error_with_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let options = SocketOptions {
        meet: Duration::from_millis(300),
        ..OPTIONS
    };
    let error = Sockets::join(("127.0.0.1", port), 1, 2, "t", options).unwrap_err();
    let error = error.to_string();
    let start = format!("rank 1 did not reach rank 0 at 127.0.0.1:{port} in 0 s: ");
    assert!(error.starts_with(&start), "{error}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let launch = Launch {
        rank: 0,
        local_rank: None,
        world: 2,
        address: "127.0.0.1".to_owned(),
        port,
    };
    let error = Sockets::meet(&launch, "t", OPTIONS).unwrap_err();
    assert!(matches!(error, CollectiveError::Listen { .. }));
    let error = error.to_string();
    let start = format!("rank 0 cannot listen on 127.0.0.1:{port}: ");
    assert!(error.starts_with(&start), "{error}");
    assert!(
        error.ends_with("give a free port as MASTER_PORT"),
        "{error}"
    );
}

#[test]
fn an_endless_token_is_refused() {
    let long = "x".repeat(1025);
    let error = Sockets::join(("127.0.0.1", 1), 1, 2, &long, OPTIONS).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the run token has 1025 bytes; expected at most 1024, such as a hash"
    );
}

#[test]
fn a_run_of_nobody_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = Sockets::host(listener, 0, "t", OPTIONS).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("rank 0 of 0, which is nobody"), "{error}");
}
