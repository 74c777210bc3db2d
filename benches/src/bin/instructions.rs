//! One operation, repeated, for a profiler that counts instructions: `instructions OPERATION
//! COUNT`. Run with N and with 2 N repetitions, the difference is N operations without what comes
//! before and after. `instructions --list` prints the operations.
//!
//! The same in each run: fixed hasher seeds, keys in a fixed order, a mock clock. (The system
//! clock would cost one more call, and its ticks would come at other places in each run.)

use idlewheel::{Cache, Clock, MockClock, RandomState, Timeouts};
use idlewheel_benches::loads::uniform;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

const ENTRIES: u64 = 10_000;
/// More than one tick, so that each touch is the first in its tick; and now and then it is the
/// first in a bucket of the wheel, as in life.
const TICK: Duration = Duration::from_millis(1100);
/// Longer than it takes to come round to a key again, in such steps.
const DAY: Duration = Duration::from_secs(24 * 3600);

type Map = Cache<u64, u64>;

struct Setup {
    cache: Map,
    children: Map,
    /// Its entries have timeouts of their own.
    special: Map,
    /// Its entries live for a day.
    lasting: Map,
    mock: MockClock,
    keys: Vec<u64>,
}

impl Setup {
    fn new() -> Self {
        let (clock, mock) = Clock::mock();
        let hasher = RandomState::with_seeds(1, 2, 3, 4);
        let builder = || Map::builder().clock(clock.clone()).hasher(hasher.clone());
        let cache = builder().build().expect("valid settings");
        let children = Map::builder().linked_to(&cache).build().expect("valid settings");
        let special = builder().build().expect("valid settings");
        let lasting = builder().idle_timeout(DAY).build().expect("valid settings");
        let hour = Timeouts::new().idle(Duration::from_secs(3600));
        for key in 0..ENTRIES {
            assert!(cache.insert(key, key).is_ok() && children.insert(key, key).is_ok());
            assert!(special.insert_with(key, key, hour).is_ok());
            assert!(lasting.insert(key, key).is_ok());
        }
        Setup { cache, children, special, lasting, mock, keys: uniform(ENTRIES, 1 << 12, 1) }
    }
}

/// Of one operation with a key.
type Operation = fn(&Setup, u64);

const OPERATIONS: [(&str, Operation); 11] = [
    ("get_hit", |setup, key| _ = black_box(setup.cache.get(&key))),
    ("get_miss", |setup, key| _ = black_box(setup.cache.get(&(key + ENTRIES)))),
    ("get_with", |setup, key| _ = black_box(setup.cache.get_with(&key, |value| value + 1))),
    ("get_many_16", |setup, key| {
        let keys: [u64; 16] = std::array::from_fn(|n| (key + 625 * n as u64) % ENTRIES);
        black_box(setup.cache.pin().get_many(black_box(keys).each_ref()));
    }),
    ("peek", |setup, key| _ = black_box(setup.cache.peek(&key))),
    ("touch_in_new_tick", |setup, key| {
        setup.mock.advance(TICK);
        assert!(setup.lasting.touch(&key));
    }),
    ("insert_and_remove", |setup, key| {
        let key = key + ENTRIES;
        black_box(setup.cache.insert(key, key)).ok();
        black_box(setup.cache.remove(&key));
    }),
    ("replace", |setup, key| _ = black_box(setup.cache.insert(key, 1))),
    ("get_with_terms", |setup, key| _ = black_box(setup.special.get(&key))),
    ("hold_and_release", |setup, key| drop(black_box(setup.special.hold(&key)))),
    ("linked_get", |setup, key| _ = black_box(setup.children.get(&key))),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == "--list") {
        OPERATIONS.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    let find = |name: &str| OPERATIONS.iter().find(|(other, _)| *other == name);
    let operation = args.first().and_then(|name| find(name));
    let count = args.get(1).and_then(|count| count.parse::<usize>().ok());
    let (Some((_, operation)), Some(count)) = (operation, count) else {
        eprintln!("usage: instructions OPERATION COUNT | --list");
        return ExitCode::FAILURE;
    };
    let setup = Setup::new();
    setup.keys.iter().cycle().take(count).for_each(|key| operation(&setup, *key));
    ExitCode::SUCCESS
}
