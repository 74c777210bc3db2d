//! Time: never early, late by at most two ticks, at any clock value.

use crate::support::*;
use idlewheel::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const IDLE: Duration = Duration::from_secs(1800);

/// Clock values at which wheels have broken: 2^32 and 2^36 ms, 2^42 ns, the end of time.
fn starts() -> Vec<Duration> {
    let ms = Duration::from_millis;
    let end = Duration::from_nanos(u64::MAX);
    let mut starts = vec![Duration::ZERO, ms(1 << 32), ms((1 << 36) - 1), end - HOUR];
    for power in [32, 36, 42, 52, 62] {
        let at = Duration::from_nanos(1 << power);
        starts.extend([at - Duration::from_nanos(1), at, at + Duration::from_nanos(1)]);
    }
    starts
}

/// A small life of a cache, written down.
fn life(start: Duration) -> Vec<(usize, u64, u64)> {
    let (clock, mock) = Clock::mock_at(start);
    let cache = Cache::builder().idle_timeout(10 * MINUTE).clock(clock).build().unwrap();
    let mut log = Vec::new();
    for step in 0..50u32 {
        cache.insert(step, step).unwrap();
        cache.touch(&(step / 2));
        mock.advance(MINUTE);
        let report = cache.sweep();
        log.push((cache.len(), report.expired, report.visited));
    }
    check(&cache);
    log
}

#[test]
fn a_cache_behaves_alike_at_every_start_of_the_clock() {
    let expected = life(Duration::ZERO);
    for start in starts() {
        assert_eq!(life(start), expected, "started at {start:?}");
    }
}

#[test]
fn the_end_of_time_is_survived() {
    let (clock, mock) = Clock::mock_at(Duration::from_nanos(u64::MAX) - MINUTE);
    let cache = Cache::builder().idle_timeout(SECOND).clock(clock).build().unwrap();
    cache.insert(1, 1).unwrap();
    mock.advance(Duration::MAX);
    assert_eq!(cache.get(&1), None);
    cache.insert(2, 2).unwrap();
    mock.advance(Duration::MAX);
    assert_eq!(cache.get(&2), Some(2), "time stands still at its end");
    cache.sweep();
    check(&cache);
}

#[test]
fn a_clock_that_steps_back_changes_nothing() {
    let (cache, clock) = cache();
    clock.advance(HOUR);
    cache.insert(1, 1).unwrap();
    clock.set(MINUTE);
    assert_eq!(cache.get(&1), Some(1));
    clock.set(HOUR + 30 * MINUTE);
    assert_eq!(cache.peek(&1), Some(1));
    clock.set(HOUR + 30 * MINUTE + TICK);
    assert_eq!(cache.peek(&1), None);
    check(&cache);
}

#[test]
fn a_clock_that_stands_still_expires_nothing() {
    let (cache, _clock) = cache_with(|b| b.idle_timeout(Duration::ZERO));
    for key in 0..1000 {
        cache.insert(key, key).unwrap();
        assert_eq!(cache.get(&key), Some(key), "now - last activity <= 0");
        cache.sweep();
    }
    assert_eq!(cache.len(), 1000);
    check(&cache);
}

#[test]
fn timeouts_of_every_size_are_taken() {
    let nano = Duration::from_nanos(1);
    for timeout in [Duration::ZERO, nano, TICK - nano, TICK, HOUR, 400_000 * HOUR, Duration::MAX] {
        for absolute in [false, true] {
            let (cache, clock) = cache_with(|b| match absolute {
                true => b.no_idle_timeout().absolute_timeout(timeout),
                false => b.idle_timeout(timeout),
            });
            cache.insert(1, 1).unwrap();
            clock.advance(timeout.min(1_000_000 * HOUR));
            assert_eq!(cache.peek(&1), Some(1), "{timeout:?} is not over");
            clock.advance(TICK);
            let lives = timeout > 1_000_000 * HOUR;
            assert_eq!(cache.peek(&1).is_some(), lives, "{timeout:?}");
            cache.sweep();
            check(&cache);
        }
    }
}

#[test]
fn no_read_returns_an_expired_entry_and_none_revives_it() {
    type Read = fn(&Cache<u32, u32>) -> bool;
    let reads: [Read; 13] = [
        |cache| cache.get(&1).is_some(),
        |cache| cache.peek(&1).is_some(),
        |cache| cache.contains_key(&1),
        |cache| cache.touch(&1),
        |cache| cache.get_with(&1, |_| ()).is_some(),
        |cache| cache.remaining(&1).is_some(),
        |cache| cache.update(&1, 2).is_ok(),
        |cache| cache.take(&1).is_some(),
        |cache| cache.remove(&1) || cache.renew(&1),
        |cache| cache.pin().get(&1).is_some() || cache.pin().peek(&1).is_some(),
        |cache| cache.pin().get_many([&1, &1]) != [None, None],
        |cache| cache.set_timeouts(&1, Timeouts::new()) || cache.promote(&1),
        |cache| cache.iter().count() + cache.keys().count() + cache.pin().iter().count() > 0,
    ];
    for first in reads {
        let (cache, clock) = cache();
        cache.insert(1, 1).unwrap();
        clock.advance(IDLE + TICK);
        assert!(!first(&cache));
        for read in reads {
            assert!(!read(&cache));
        }
        assert_eq!(cache.stats().removed.idle, 1);
        check(&cache);
    }
}

#[test]
fn the_cause_is_the_deadline_that_came_first() {
    let (cache, clock) = cache_with(|b| b.idle_timeout(10 * MINUTE).absolute_timeout(15 * MINUTE));
    cache.insert("quiet", 1).unwrap();
    cache.insert("busy", 1).unwrap();
    clock.advance(9 * MINUTE);
    cache.touch("busy");
    clock.advance(HOUR);
    assert_eq!(cache.sweep().expired, 2);
    let removed = cache.stats().removed;
    assert_eq!((removed.idle, removed.absolute), (1, 1));
    check(&cache);
}

#[test]
fn a_function_is_a_clock_as_good_as_any() {
    let seconds = Arc::new(AtomicU64::new(1_000_000));
    let source = Arc::clone(&seconds);
    let clock = Clock::from_fn(move || Duration::from_secs(source.load(Ordering::SeqCst)));
    let builder = Cache::builder().idle_timeout(MINUTE).clock(clock.clone());
    let cache = builder.tick(TICK).build().unwrap();
    let children: Cache<u32, u32> = Cache::builder().linked_to(&cache).build().unwrap();
    assert_eq!(clock.now(), Duration::from_secs(1_000_000));
    cache.insert(1, 1).unwrap();
    children.insert(1, 1).unwrap();
    seconds.fetch_add(60, Ordering::SeqCst);
    assert_eq!((cache.peek(&1), children.peek(&1)), (Some(1), Some(1)));
    // It goes back, beyond the cache's own start: nothing lives longer for it, or less long.
    seconds.store(1, Ordering::SeqCst);
    assert_eq!(cache.get(&1), Some(1));
    seconds.store(1_000_061, Ordering::SeqCst);
    assert_eq!((cache.peek(&1), children.peek(&1)), (None, None));
    check(&cache);
    check(&children);
    let other = Cache::<u32, u32>::builder().clock(Clock::from_fn(|| Duration::ZERO));
    assert_eq!(other.linked_to(&cache).build().unwrap_err(), BuildError::LinkedClock);
}

/// Mocks are never behind, so that one tick is the most.
#[test]
fn ticks_follow_the_shortest_timeout_of_the_cache() {
    type Settings = fn(Builder<u32, u32>) -> Builder<u32, u32>;
    let table: [(Settings, Duration, u64); 5] = [
        (|b| b, 30 * MINUTE, 1 << 30),
        (|b| b.idle_timeout(10 * SECOND), 10 * SECOND, 1 << 23),
        (|b| b.absolute_timeout(10 * SECOND), 10 * SECOND, 1 << 23),
        (|b| b.idle_timeout(SECOND), SECOND, 1 << 22),
        (|b| b.tick(TICK), 30 * MINUTE, 1 << 25),
    ];
    for (set, timeout, tick) in table {
        let (clock, mock) = Clock::mock();
        let cache = set(Cache::builder().clock(clock)).build().unwrap();
        cache.insert(1, 1).unwrap();
        // Stamped with the first tick of all, at whose end idleness begins to count.
        mock.advance(timeout + Duration::from_nanos(tick - 1));
        assert_eq!(cache.peek(&1), Some(1), "{timeout:?}");
        mock.advance(Duration::from_nanos(1));
        assert_eq!(cache.peek(&1), None, "{timeout:?}");
        check(&cache);
    }
    let (clock, mock) = Clock::mock();
    let cache = Cache::builder().no_idle_timeout().clock(clock).build().unwrap();
    cache.insert_with(1, 1, Timeouts::new().idle(MINUTE)).unwrap();
    mock.advance(MINUTE + Duration::from_nanos((1 << 30) - 1));
    assert!(cache.contains_key(&1));
    mock.advance(Duration::from_nanos(1));
    assert!(!cache.contains_key(&1));
}

/// Touches are noted by their thread first, and brought into the entries later.
#[test]
fn touches_of_a_thread_that_went_idle_count_for_everybody() {
    let (clock, mock) = Clock::mock();
    let cache = Cache::builder().idle_timeout(MINUTE).clock(clock).build().unwrap();
    for key in 0..100 {
        cache.insert(key, key).unwrap();
    }
    let (touched, idle) = std::sync::mpsc::channel();
    let (go_on, end) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let (cache, mock) = (&cache, &mock);
        scope.spawn(move || {
            for _ in 0..3 {
                mock.advance(Duration::from_secs(15));
                for key in 0..20 {
                    assert_eq!(cache.get(&key), Some(key));
                }
            }
            touched.send(()).unwrap();
            // Idle, not at its end.
            assert!(end.recv().is_err());
        });
        // Dropped with this closure, so that a failed assertion ends the other thread as well.
        let _go_on = go_on;
        idle.recv().unwrap();
        // 45 s after the inserts.
        assert!(cache.remaining(&3).unwrap().idle.unwrap() > MINUTE - Duration::from_millis(100));
        mock.advance(Duration::from_secs(40));
        for key in [7, 50] {
            assert_eq!(cache.peek(&key), (key < 20).then_some(key), "key {key}");
        }
        let report = cache.sweep();
        // One was expired by `peek`.
        assert_eq!((report.expired, report.visited), (79, 79));
        assert_eq!(cache.len(), 20);
        mock.advance(Duration::from_secs(25));
        assert_eq!(cache.sweep().expired, 20);
    });
    check(&cache);
}

#[test]
fn timeouts_can_be_changed_while_an_entry_lives() {
    let (cache, clock) = cache::<u32, u32>();
    for key in 0..4 {
        cache.insert(key, key).unwrap();
    }
    clock.advance(20 * MINUTE);
    assert!(cache.set_timeouts(&0, Timeouts::new().idle(5 * MINUTE)));
    assert!(cache.set_timeouts(&1, Timeouts::new().idle(3 * HOUR)));
    // Counted from the creation.
    assert!(cache.set_timeouts(&2, Timeouts::new().absolute(21 * MINUTE)));
    assert!(cache.set_timeouts(&3, Timeouts::new()), "which restarts idleness");
    clock.advance(MINUTE + TICK);
    let live = |cache: &Cache<u32, u32>| -> Vec<u32> {
        (0..4).filter(|key| cache.peek(key).is_some()).collect()
    };
    assert_eq!(live(&cache), vec![0, 1, 3]);
    clock.advance(5 * MINUTE);
    assert_eq!(live(&cache), vec![1, 3]);
    assert!(!cache.set_timeouts(&0, Timeouts::new()), "it stays dead");
    clock.advance(23 * MINUTE);
    assert_eq!(live(&cache), vec![1, 3]);
    clock.advance(HOUR);
    assert_eq!(live(&cache), vec![1]);
    assert!(cache.set_timeouts(&1, Timeouts::new().absolute(Duration::ZERO)), "it was alive");
    assert_eq!(cache.get(&1), None, "and ended by that");
    cache.sweep();
    assert_eq!(cache.len(), 0);
    check(&cache);
}

#[test]
fn a_provisional_entry_that_is_promoted_lives_as_long_as_others() {
    let (cache, clock) = cache::<u32, u32>();
    for key in 0..2 {
        cache.insert_with(key, key, Timeouts::new().idle(MINUTE)).unwrap();
    }
    clock.advance(30 * SECOND);
    assert!(cache.promote(&0));
    clock.advance(30 * SECOND + TICK);
    assert_eq!((cache.peek(&0), cache.peek(&1)), (Some(0), None));
    assert!(!cache.promote(&1));
    clock.advance(29 * MINUTE);
    assert_eq!(cache.get(&0), Some(0));
    clock.advance(30 * MINUTE + TICK);
    assert_eq!(cache.get(&0), None);
    cache.sweep();
    check(&cache);
}
