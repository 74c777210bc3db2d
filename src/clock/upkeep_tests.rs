//! The upkeep, with a keeper and a counter of each test's own. Nothing waits for time to pass.

use super::counter::Counter;
use super::published::{Published, Ticks};
use super::upkeep::{Keeper, Upkeep};
use super::{Clock, Source, System};
use crate::Cache;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;
/// That of a cache with a timeout of 30 minutes.
const TICK: u64 = 1 << 30;

/// A keeper, and a counter that a test moves.
struct World {
    keeper: &'static Keeper,
    time: &'static AtomicU64,
}

impl World {
    fn new(time: u64) -> Self {
        let keeper = Box::leak(Box::new(Keeper::new()));
        World { keeper, time: Box::leak(Box::new(AtomicU64::new(time))) }
    }

    fn counter(&self) -> Counter {
        Counter::mock(self.time)
    }

    fn clock(&self) -> Clock {
        Clock(Source::System(System { keeper: self.keeper, counter: self.counter(), finest: 0 }))
    }

    fn start(&self) -> Upkeep {
        self.keeper.start(self.counter()).expect("a thread can start")
    }

    fn set(&self, time: u64) {
        self.time.store(time, Ordering::Release);
    }

    /// What caches with ticks of 2^`shift` nanoseconds read in memory.
    fn published(&self, shift: u32) -> Option<u64> {
        self.keeper.published.read(shift)
    }

    fn wait_until(&self, what: impl Fn(&Self) -> bool) {
        while !what(self) {
            thread::yield_now();
        }
    }
}

#[test]
fn a_published_time_is_read_by_those_for_whom_it_is_fine_enough() {
    let published = Published::new();
    assert!((0..=63).all(|shift| published.read(shift).is_none()) && !published.is_kept());
    for (promise, time) in [(22, 0), (29, 12_345_678_901), (30, u64::MAX)] {
        let published = Published::new();
        published.publish(time, promise);
        for shift in 0..=63 {
            // The promise is at most half of the tick. Never ahead, and less than 64 ns behind.
            let expected = (promise < shift).then_some(time - time % 64);
            assert_eq!(published.read(shift), expected, "{promise} {shift}");
        }
        assert!(published.is_kept());
    }
}

#[test]
fn the_published_time_never_goes_back_and_nobody_publishes_after_the_end() {
    let published = Published::new();
    published.freshen(5000 * 64);
    assert!(!published.is_kept(), "a sweep promises nothing");
    published.publish(1000 * 64, 29);
    published.freshen(2000 * 64);
    published.freshen(1500 * 64);
    published.publish(1700 * 64, 23);
    assert_eq!((published.read(24), published.read(23)), (Some(2000 * 64), None));
    published.clear();
    published.freshen(3000 * 64);
    assert_eq!(published.read(63), None);
    published.publish(1000 * 64, 29);
    assert_eq!(published.read(30), Some(1000 * 64), "another upkeep starts anew");
}

#[test]
fn the_promise_follows_the_finest_tick() {
    let ticks = Ticks::new();
    assert_eq!(ticks.promise(), 30);
    // Each tick that a cache may have: half of it is promised, within the bounds.
    for (shift, promise) in [(40, 30), (31, 30), (30, 29), (28, 27), (23, 22)] {
        ticks.raise(shift);
        assert_eq!(ticks.promise(), promise);
    }
    ticks.raise(28);
    for (shift, promise) in [(23, 27), (28, 27), (28, 29), (30, 30)] {
        ticks.lower(shift);
        assert_eq!(ticks.promise(), promise);
    }
}

#[test]
fn the_thread_runs_from_the_first_handle_to_the_last() {
    let world = World::new(7 * SECOND);
    for _ in 0..20 {
        let first = world.start();
        let second = world.start();
        world.wait_until(|world| world.published(31).is_some());
        drop(first);
        assert!(world.published(31).is_some(), "the other one keeps it");
        drop(second);
        assert_eq!(world.published(63), None);
    }
    let _third = world.start();
    world.wait_until(|world| world.published(31).is_some());
}

#[test]
fn handles_come_and_go_on_many_threads() {
    let world = World::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..200).for_each(|_| drop(world.start())));
        }
    });
    assert_eq!(world.published(63), None);
    let _upkeep = world.start();
    world.wait_until(|world| world.published(31).is_some());
}

#[test]
fn time_goes_on_while_the_upkeep_runs_and_after_it() {
    let world = World::new(SECOND);
    let clock = world.clock().for_cache(30);
    assert_eq!(clock.now(), SECOND, "the counter");
    let upkeep = world.start();
    world.wait_until(|world| world.published(30).is_some());
    world.set(10 * SECOND);
    // Within a promise, which is half a second.
    world.wait_until(|_| clock.now() == 10 * SECOND);
    assert_eq!(world.clock().now(), Duration::from_secs(10));
    drop(upkeep);
    for time in [11 * SECOND + 1, 12 * SECOND] {
        world.set(time);
        assert_eq!(clock.now(), time, "the counter again, not a frozen time");
    }
}

#[test]
fn a_cache_with_finer_ticks_is_served_as_soon_as_it_is_there_and_coarser_ones_still() {
    let world = World::new(SECOND);
    let _upkeep = world.start();
    let coarse = world.clock().for_cache(30);
    world.wait_until(|world| world.published(30).is_some());
    assert_eq!(world.published(29), None);
    let fine = world.clock().for_cache(24);
    world.wait_until(|world| world.published(24).is_some());
    assert_eq!((fine.now(), coarse.now(), world.published(23)), (SECOND, SECOND, None));
    // Too fine to be served: the promise stays, and the counter is read.
    let finest = world.clock().for_cache(22);
    world.set(SECOND + 63);
    assert_eq!(finest.now(), SECOND + 63);
    drop(fine);
    world.wait_until(|world| world.published(29).is_none());
    assert!(world.published(30).is_some());
}

#[test]
fn a_linked_cache_reads_a_time_that_is_fresh_enough_for_its_parents() {
    let world = World::new(SECOND);
    world.keeper.published.publish(SECOND, 29);
    let parents = world.clock().for_cache(24);
    let children = parents.clock().clone().for_cache(30);
    world.set(2 * SECOND);
    assert_eq!((children.now(), children.behind()), (2 * SECOND, 1 << 29));
    assert_eq!((parents.now(), parents.behind()), (2 * SECOND, 1 << 23));
    let other = world.clock().for_cache(30);
    assert_eq!(other.now(), SECOND);
}

/// A cache with a timeout of 30 minutes.
fn sessions(world: &World) -> Cache<u32, u32> {
    Cache::builder().clock(world.clock()).build().expect("the settings make sense")
}

const IDLE: u64 = 1800 * SECOND;

#[test]
fn within_its_promise_an_upkeep_makes_nothing_early_and_little_late() {
    for behind in [0, 1, TICK / 4, TICK / 2] {
        for offset in [0, TICK / 3, TICK - 1] {
            let world = World::new(1000 * TICK);
            let cache = sessions(&world);
            let begin = 1010 * TICK + offset;
            world.keeper.published.publish(begin - behind, 29);
            world.set(begin);
            cache.insert(1, 1).unwrap();
            // At the deadline by a fresh clock, and two ticks later by one that is behind.
            world.keeper.published.publish(begin + IDLE, 29);
            assert!(cache.contains_key(&1), "early: {behind} {offset}");
            world.keeper.published.publish(begin + IDLE + 2 * TICK - behind, 29);
            assert!(!cache.contains_key(&1), "late: {behind} {offset}");
        }
    }
}

#[test]
fn an_upkeep_that_is_held_up_costs_as_much_as_it_was_and_no_more() {
    let world = World::new(1000 * TICK);
    let cache = sessions(&world);
    let begin = 1010 * TICK;
    world.keeper.published.publish(begin, 29);
    cache.insert(1, 1).unwrap();
    cache.insert(2, 2).unwrap();
    // Held up for 100 ticks, and half of one which it was allowed.
    let stall = 100 * TICK;
    let touched = begin + TICK / 2 + stall;
    world.set(touched);
    assert_eq!(cache.get(&1), Some(1));
    // Early by no more than that.
    world.keeper.published.publish(touched + IDLE - stall, 29);
    assert!(cache.contains_key(&1) && cache.contains_key(&2));
    world.keeper.published.publish(touched + IDLE - stall + TICK, 29);
    assert!(!cache.contains_key(&1), "what the documentation says of a stall");
    // Touches after it are never early.
    let now = touched + IDLE + TICK;
    world.keeper.published.publish(now, 29);
    cache.insert(3, 3).unwrap();
    world.keeper.published.publish(now + IDLE, 29);
    assert!(cache.contains_key(&3));
    cache.sweep();
    cache.validate().expect("every structure agrees with every other");
}

#[test]
fn a_sweep_publishes_the_time_of_an_upkeep_that_is_held_up() {
    let world = World::new(1000 * TICK);
    let cache = sessions(&world);
    cache.insert(1, 1).unwrap();
    world.set(2 * IDLE + 1000 * TICK);
    let unkept = world.published(63);
    cache.sweep();
    assert_eq!((unkept, world.published(63)), (None, None), "nobody promises anything");

    world.set(1000 * TICK);
    let cache = sessions(&world);
    world.keeper.published.publish(1000 * TICK, 29);
    cache.insert(1, 1).unwrap();
    world.set(2 * IDLE + 1000 * TICK);
    assert_eq!(cache.peek(&1), Some(1), "time stands still");
    assert_eq!(cache.sweep().expired, 1);
    assert_eq!(world.published(30), Some(2 * IDLE + 1000 * TICK));
}

#[test]
fn a_listener_that_does_not_return_stops_nobodys_time() {
    let world = World::new(1000 * TICK);
    let (entered, inside) = mpsc::channel();
    let (leave, waiting) = mpsc::channel::<()>();
    let waiting = std::sync::Mutex::new(waiting);
    let cache = Cache::<u32, u32>::builder()
        .clock(world.clock())
        .on_removal(move |_, _, _| {
            entered.send(()).expect("the test waits");
            // Until the test is over with it, however it ends.
            let _ = waiting.lock().expect("no panic").recv();
        })
        .build()
        .expect("the settings make sense");
    let _upkeep = world.start();
    let sweeper = crate::Sweeper::builder().watch(&cache).spawn().expect("a thread can start");
    let leave = Some(leave);
    cache.insert(1, 1).unwrap();
    cache.insert(2, 2).unwrap();
    cache.remove(&1);
    sweeper.trigger();
    inside.recv().expect("the listener is called");
    // The sweeper's thread is in the listener until `leave` is dropped.
    world.set(1000 * TICK + 2 * IDLE);
    world.wait_until(|_| !cache.contains_key(&2));
    drop(leave);
}
