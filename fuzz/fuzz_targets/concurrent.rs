//! Threads that run short scripts on few keys while the clock moves.
#![no_main]

#[allow(dead_code)]
#[path = "../../tests/script/mod.rs"]
mod script;

use arbitrary::Arbitrary;
use idlewheel::{Cache, Clock, MockClock, SweepBudget, Timeouts};
use libfuzzer_sys::fuzz_target;
use script::Hashing;
use script::value::{Tally, Value};
use std::sync::{Arc, Barrier};
use std::time::Duration;

type Sessions = Cache<u8, (u8, Value), Hashing>;

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Op {
    Get(u8),
    Pinned(u8),
    Peek(u8),
    Touch(u8),
    Remaining(u8),
    Insert(u8),
    InsertNew(u8),
    InsertWith(u8, u8, Option<u8>),
    Update(u8),
    Remove(u8),
    Take(u8),
    Renew(u8),
    SetTimeouts(u8, u8),
    GetMany(u8, u8),
    Hold(u8),
    Load(u8),
    Modify(u8),
    RemoveIf(u8),
    Rekey(u8, u8),
    Keys,
    Clear,
    Sweep,
    SweepWithin(u8),
    Flush,
    Advance(u8),
}

#[derive(Arbitrary, Debug)]
struct Input {
    keys: u8,
    idle: u8,
    absolute: Option<u8>,
    hashing: u8,
    /// Whether entries get other keys: of the same parity, which is all that can be checked then.
    renames: bool,
    first: Vec<Op>,
    second: Vec<Op>,
    third: Option<Vec<Op>>,
}

/// Less than a step of the cache's time, so that the clock's edges are met.
const UNIT: Duration = Duration::from_millis(11);
const MOST: usize = 64;

struct Thread<'a> {
    cache: &'a Sessions,
    mock: &'a MockClock,
    tally: &'a Arc<Tally>,
    keys: u8,
    renames: bool,
}

impl Thread<'_> {
    fn apply(&self, op: Op) {
        let cache = self.cache;
        let key = |number: u8| number % self.keys;
        let value = |number: u8| (key(number), self.tally.value());
        let right = |number: u8, found: Option<(u8, Value)>| {
            let is_its = |of: u8| match self.renames {
                true => of % 2 == key(number) % 2,
                false => of == key(number),
            };
            assert!(found.is_none_or(|found| is_its(found.0)), "another key's value");
        };
        match op {
            Op::Get(n) => right(n, cache.get(&key(n))),
            Op::Pinned(n) => {
                let pinned = cache.pin();
                let found = pinned.get(&key(n));
                std::thread::yield_now();
                right(n, found.cloned());
            }
            Op::Peek(n) => right(n, cache.peek(&key(n))),
            Op::Touch(n) => drop(cache.touch(&key(n))),
            Op::Remaining(n) => drop(cache.remaining(&key(n))),
            Op::Insert(n) => drop(cache.insert(key(n), value(n))),
            Op::InsertNew(n) => drop(cache.insert_new(key(n), value(n))),
            Op::InsertWith(n, idle, absolute) => {
                let mut timeouts = Timeouts::new().idle(UNIT * idle.into());
                if let Some(absolute) = absolute {
                    timeouts = timeouts.absolute(UNIT * absolute.into());
                }
                drop(cache.insert_with(key(n), value(n), timeouts));
            }
            Op::Update(n) => drop(cache.update(&key(n), value(n))),
            Op::Remove(n) => drop(cache.remove(&key(n))),
            Op::Take(n) => right(n, cache.take(&key(n))),
            Op::Renew(n) => drop(cache.renew(&key(n))),
            Op::SetTimeouts(n, idle) => {
                let _ = cache.set_timeouts(&key(n), Timeouts::new().idle(UNIT * idle.into()));
            }
            Op::GetMany(n, m) => {
                let pinned = cache.pin();
                let [one, other] = pinned.get_many([&key(n), &key(m)]);
                right(n, one.cloned());
                right(m, other.cloned());
            }
            Op::Hold(n) => {
                let lease = cache.hold(&key(n));
                std::thread::yield_now();
                drop(lease);
            }
            Op::Load(n) => right(n, cache.get_or_insert_with(key(n), || value(n)).ok()),
            Op::Modify(n) => drop(cache.modify(&key(n), |_| value(n))),
            Op::RemoveIf(n) => drop(cache.remove_if(&key(n), |found| found.0 % 3 == 0)),
            Op::Rekey(n, to) => {
                if self.renames && key(n) % 2 == key(to) % 2 {
                    let _ = cache.rekey(&key(n), key(to));
                }
            }
            Op::Keys => assert!(cache.keys().all(|key| key < self.keys)),
            Op::Clear => cache.clear(),
            Op::Sweep => {
                let _ = cache.sweep();
            }
            Op::SweepWithin(visits) => {
                let _ = cache.sweep_within(SweepBudget::visits(visits.into()));
            }
            Op::Flush => drop(cache.flush()),
            Op::Advance(units) => self.mock.advance(UNIT * units.into()),
        }
    }
}

fn build(input: &Input) -> (Sessions, MockClock) {
    let (clock, mock) = Clock::mock();
    let hashing = [Hashing::Spread, Hashing::Identity, Hashing::Constant];
    let mut builder = Cache::builder()
        .idle_timeout(UNIT * input.idle.into())
        .clock(clock)
        .hasher(hashing[usize::from(input.hashing) % hashing.len()]);
    if let Some(absolute) = input.absolute {
        builder = builder.absolute_timeout(UNIT * absolute.into());
    }
    (builder.build().expect("valid settings"), mock)
}

/// Checks a cache that nobody else uses any more.
fn check_at_rest(cache: Sessions, mock: &MockClock, tally: &Tally) {
    cache.validate().expect("valid at rest");
    let stats = cache.stats();
    assert_eq!(stats.inserted, stats.live + stats.removed.total(), "{stats:?}");
    assert_eq!(stats.panics, 0);
    while cache.stats().pending_reclamation > 0 {
        cache.flush();
    }
    assert_eq!(tally.alive(), cache.len() as i64, "values that nobody can reach");
    // Longer than any timeout here, and than a turn of any level in use.
    mock.advance(UNIT * 1000);
    let report = cache.sweep();
    assert_eq!(cache.len(), 0, "never swept: {report:?}");
    let census = cache.validate().expect("valid when empty");
    assert_eq!(census.stale, 0, "the sweep met every bit");
    drop(cache);
    assert_eq!((tally.alive(), tally.faults()), (0, 0), "values are dropped exactly once");
}

fuzz_target!(|input: Input| {
    let (cache, mock) = build(&input);
    let tally = Arc::new(Tally::default());
    let scripts: Vec<&[Op]> = [Some(&input.first), Some(&input.second), input.third.as_ref()]
        .into_iter()
        .flatten()
        .map(|ops| &ops[..ops.len().min(MOST)])
        .collect();
    let start = Barrier::new(scripts.len());
    std::thread::scope(|scope| {
        let run = |ops: &&[Op]| {
            let thread = Thread {
                cache: &cache,
                mock: &mock,
                tally: &tally,
                keys: input.keys % 8 + 1,
                renames: input.renames,
            };
            let (start, ops) = (&start, ops.to_vec());
            scope.spawn(move || {
                start.wait();
                ops.iter().for_each(|op| thread.apply(*op));
            })
        };
        let threads: Vec<_> = scripts.iter().map(run).collect();
        // The scope's end does not wait for what threads do when they exit, and the fuzzer would
        // take the memory of that for a leak.
        threads.into_iter().for_each(|thread| thread.join().expect("a thread panicked"));
    });
    check_at_rest(cache, &mock, &tally);
});
