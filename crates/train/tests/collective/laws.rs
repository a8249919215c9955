//! What every call promises, on one rank, two and three.

use std::thread;
use std::time::{Duration, Instant};

use aurola_train::collective::{Alone, Collective, SocketOptions};

use crate::{OPTIONS, ranks};

#[test]
fn three_ranks_by_hand() {
    let seen = ranks(3, OPTIONS, |rank, mut sockets| {
        assert_eq!((sockets.rank(), sockets.world()), (rank, 3));
        // Rank 0 gives nothing, rank 1 one value, rank 2 two.
        let gathered = sockets.all_gather(&vec![rank as f32; rank]).unwrap();
        let mut sum = [1.0, rank as f32, -0.5];
        sockets.all_reduce_sum(&mut sum).unwrap();
        let bytes = sockets.all_gather_bytes(&[b'a' + rank as u8]).unwrap();
        let mut note = format!("of rank {rank}").into_bytes();
        sockets.broadcast_bytes(2, &mut note).unwrap();
        sockets.barrier().unwrap();
        (gathered, sum, bytes, note)
    });
    for (gathered, sum, bytes, note) in seen {
        assert_eq!(gathered, [vec![], vec![1.0], vec![2.0, 2.0]]);
        assert_eq!(sum, [3.0, 3.0, -1.5]);
        assert_eq!(bytes, [b"a", b"b", b"c"]);
        assert_eq!(note, b"of rank 2");
    }
}

#[test]
fn one_rank_is_its_own_answer() {
    let mut alone: Box<dyn Collective> = Box::new(Alone);
    assert_eq!((alone.rank(), alone.world()), (0, 1));
    assert_eq!(alone.all_gather(&[1.0, 2.0]).unwrap(), [[1.0, 2.0]]);
    assert_eq!(alone.all_gather_bytes(b"x").unwrap(), [b"x"]);
    let mut values = [f32::NAN, -0.0];
    alone.all_reduce_sum(&mut values).unwrap();
    assert_eq!(values.map(f32::to_bits), [f32::NAN, -0.0].map(f32::to_bits));
    let mut note = b"mine".to_vec();
    alone.broadcast_bytes(0, &mut note).unwrap();
    assert_eq!(note, b"mine");
    alone.barrier().unwrap();
    let error = alone.broadcast_bytes(1, &mut note).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no rank 1 to broadcast from, of 1"
    );
}

/// 2²⁴ + 1 rounds to 2²⁴, so the sum tells in which order it was made.
#[test]
fn sums_are_made_in_rank_order_whoever_comes_first() {
    let big = 16_777_216.0;
    let given = [big, 1.0, -big];
    for late in 0..3 {
        let sums = ranks(3, OPTIONS, |rank, mut sockets| {
            if rank == late {
                thread::sleep(Duration::from_millis(30));
            }
            let mut sum = [given[rank]];
            sockets.all_reduce_sum(&mut sum).unwrap();
            sum[0].to_bits()
        });
        assert_eq!(sums, [0.0_f32.to_bits(); 3], "(2²⁴ + 1) − 2²⁴");
    }
}

/// More than one message holds, and a length that no message length divides.
#[test]
fn long_sums_agree_with_the_plain_sum_bit_for_bit() {
    let count = (2 << 20) + 7;
    let value = |rank: usize, at: usize| ((at * 31 + rank * 17) % 1009) as f32 * 0.1 - 50.0;
    let plain: Vec<u32> = (0..count)
        .map(|at| ((value(0, at) + value(1, at)) + value(2, at)).to_bits())
        .collect();
    let sums = ranks(3, OPTIONS, |rank, mut sockets| {
        let mut values: Vec<f32> = (0..count).map(|at| value(rank, at)).collect();
        sockets.all_reduce_sum(&mut values).unwrap();
        values.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    });
    assert!(sums.iter().all(|sum| *sum == plain));
}

#[test]
fn nothing_is_a_call_too() {
    let all = ranks(2, OPTIONS, |_, mut sockets| {
        sockets.all_reduce_sum(&mut []).unwrap();
        let gathered = sockets.all_gather(&[]).unwrap();
        let mut nothing = Vec::new();
        sockets.broadcast_bytes(1, &mut nothing).unwrap();
        (gathered, nothing)
    });
    assert_eq!(all, vec![(vec![vec![], vec![]], vec![]); 2]);
}

#[test]
fn bits_survive_the_journey() {
    let odd = [f32::NAN, f32::NEG_INFINITY, -0.0, f32::MIN_POSITIVE / 2.0];
    let all = ranks(2, OPTIONS, |_, mut sockets| {
        sockets.all_gather(&odd).unwrap()
    });
    for gathered in all.into_iter().flatten() {
        let bits: Vec<u32> = gathered.into_iter().map(f32::to_bits).collect();
        assert_eq!(bits, odd.map(f32::to_bits));
    }
}

#[test]
fn a_barrier_waits_for_the_last() {
    let began = Instant::now();
    let at = ranks(3, OPTIONS, |rank, mut sockets| {
        if rank == 1 {
            thread::sleep(Duration::from_millis(200));
        }
        sockets.barrier().unwrap();
        began.elapsed()
    });
    assert!(at.iter().all(|at| at.as_millis() >= 200), "{at:?}");
}

#[test]
fn several_hundred_calls_in_a_row_keep_step() {
    let sums = ranks(3, OPTIONS, |rank, mut sockets| {
        let mut sum = [rank as f32];
        for _ in 0..300 {
            sockets.all_reduce_sum(&mut sum).unwrap();
            sum[0] /= 3.0;
            let ranks = sockets.all_gather_bytes(&[rank as u8]).unwrap();
            assert_eq!(ranks, [[0], [1], [2]]);
        }
        sum[0].to_bits()
    });
    assert!(sums.iter().all(|sum| *sum == sums[0]));
}

#[test]
fn the_longest_time_outs_are_not_too_long() {
    let forever = SocketOptions {
        meet: Duration::MAX,
        call: Duration::MAX,
        ..SocketOptions::default()
    };
    ranks(2, forever, |_, mut sockets| sockets.barrier().unwrap());
}
