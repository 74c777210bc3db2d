//! Sessions that come, go quiet and expire, while sweeps run: time compressed, on two threads.

use super::{Case, Scale, cases, parallel};
use crate::loads::{Event, sessions};
use crate::peers::{Locked, Subject};
use crate::time::{IDLE, Mock, Real};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const THREADS: usize = 2;
/// Events that a thread takes at a time: so threads never drift apart, and seldom meet.
const CHUNK: usize = 64;
const SWEEP_EVERY: u64 = 5 * 60 * 1_000_000_000;
/// Idle timeouts before the measurement: the first to fill the map, the second to settle.
const WARM: u32 = 2;
/// How far the number of live entries may be off.
const TOLERANCE: f64 = 0.20;
/// How often the speed of a subject in real time is tried to be met.
const ATTEMPTS: usize = 10;

struct Load {
    warm: Vec<Event>,
    measured: Vec<Event>,
    /// Simulated time of the measured part.
    span: Duration,
    /// Live entries at the end.
    live: f64,
}

impl Load {
    fn new(scale: &Scale) -> Self {
        let live = scale.entries(100_000).max(1000);
        let span = scale.churn_timeouts * IDLE;
        let mut warm = sessions(live, IDLE, WARM * IDLE + span, 8);
        let begin = (WARM * IDLE).as_nanos() as u64;
        let measured = warm.split_off(warm.partition_point(|event| event.nanos < begin));
        let mut load = Load { warm, measured, span, live: 0.0 };
        load.live = load.mocked::<Locked<u64, u64, Mock>>(1).live;
        load
    }

    fn is_met(&self, played: &Played) -> bool {
        (played.live / self.live - 1.0).abs() <= TOLERANCE
    }

    /// Plays it all to a new subject whose time follows the events.
    fn mocked<S: Subject<Key = u64, Value = u64, Time = Mock>>(&self, threads: usize) -> Played {
        let time = Mock::default();
        let subject = S::new(&time, 2 * self.warm.len());
        let set = |nanos| time.set(Duration::from_nanos(nanos));
        play(&subject, &self.warm, threads, set);
        play(&subject, &self.measured, threads, set)
    }

    /// Plays it all to a new subject in real time. While it fills it is faster than later, so it is
    /// held back to the speed that its timeout is made for.
    fn real<S: Subject<Key = u64, Value = u64, Time = Real>>(&self, idle: Duration) -> Played {
        let subject = S::new(&Real(idle), 2 * self.warm.len());
        let begin = Instant::now();
        play(&subject, &self.warm, THREADS, |nanos| {
            let due = begin + idle.mul_f64(nanos as f64 / IDLE.as_nanos() as f64);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        });
        play(&subject, &self.measured, THREADS, |_| ())
    }
}

struct Played {
    time: Duration,
    /// Live entries at the end.
    live: f64,
}

/// Each request is a lookup, and an insert if it misses.
fn play<S: Subject<Key = u64, Value = u64>>(
    subject: &S,
    events: &[Event],
    threads: usize,
    set_time: impl Fn(u64) + Sync,
) -> Played {
    let next_chunk = AtomicUsize::new(0);
    let first = events.first().map_or(0, |event| event.nanos);
    let next_sweep = AtomicU64::new(first + SWEEP_EVERY);
    let take = || events.chunks(CHUNK).nth(next_chunk.fetch_add(1, Ordering::Relaxed));
    let work = |_| {
        while let Some(chunk) = take() {
            let now = chunk[0].nanos;
            set_time(now);
            for event in chunk {
                if black_box(subject.get(&event.key)).is_none() {
                    subject.insert(event.key, event.nanos);
                }
            }
            let due = next_sweep.load(Ordering::Relaxed);
            let next = due + SWEEP_EVERY;
            let relaxed = Ordering::Relaxed;
            if now >= due && next_sweep.compare_exchange(due, next, relaxed, relaxed).is_ok() {
                subject.sweep();
            }
        }
    };
    let time = parallel(threads, work);
    subject.sweep();
    Played { time, live: subject.live() as f64 }
}

pub(super) fn cases(scale: &Scale) -> Vec<Case> {
    let load = Arc::new(Load::new(scale));
    let mut cases =
        cases!([Idlewheel, Dashmap, Papaya, Scc, Locked], mocked::<u64, u64, Mock>(&load));
    cases.extend(cases!([Moka, MiniMoka], real::<u64, u64, Real>(&load)));
    cases
}

fn mocked<S: Subject<Key = u64, Value = u64, Time = Mock>>(load: &Arc<Load>) -> Case {
    let load = Arc::clone(load);
    Case::per_op(S::NAME, load.measured.len() as u64, move || {
        let played = load.mocked::<S>(THREADS);
        assert!(load.is_met(&played), "{}: {} live, not {}", S::NAME, played.live, load.live);
        played.time
    })
}

/// A subject whose time cannot be mocked runs as fast as it can, too. Its timeout is so short that
/// at this speed 30 minutes of the load pass in it; so as many of its entries are live. The speed
/// is that of the runs before; a run with too many or too few live entries does not count.
fn real<S: Subject<Key = u64, Value = u64, Time = Real>>(load: &Arc<Load>) -> Case {
    let load = Arc::clone(load);
    let mut idle = None;
    let ops = load.measured.len() as f64;
    let run = move || {
        for _ in 0..ATTEMPTS {
            let played = load.real::<S>(idle.unwrap_or(Duration::from_millis(300)));
            let is_met = idle.is_some() && load.is_met(&played);
            let met = played.time.mul_f64(IDLE.as_secs_f64() / load.span.as_secs_f64());
            // Half way, as the speed also depends on the timeout.
            idle = Some(idle.map_or(met, |idle| (idle + met) / 2));
            if is_met {
                return vec![played.time.as_nanos() as f64 / ops];
            }
        }
        eprintln!("{}: no steady speed in {ATTEMPTS} attempts", S::NAME);
        vec![f64::NAN]
    };
    Case { subject: S::NAME, ops: ops as u64, run: Box::new(run) }
}
