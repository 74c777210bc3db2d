//! What a cache counts and measures.

use crate::support::*;
use idlewheel::*;
use std::time::Duration;

#[test]
fn the_lag_of_an_expiry_counts_from_the_deadline_to_the_removal() {
    let (cache, mock) = cache::<u32, u32>();
    cache.insert(1, 0).unwrap();
    cache.insert(2, 0).unwrap();
    mock.advance(30 * MINUTE + 4 * SECOND);
    assert_eq!(cache.get(&1), None);
    mock.advance(MINUTE);
    cache.sweep();
    let stats = cache.stats();
    assert_eq!((stats.removed.idle, stats.expired_on_read), (2, 1));
    let lag = stats.expiry_lag;
    assert_eq!(lag.count(), 2);
    let about = |time: Duration| time - TICK..=time;
    assert!(about(64 * SECOND).contains(&lag.max()), "{lag:?}");
    assert!(lag.quantile(0.5) >= 4 * SECOND - TICK && lag.quantile(0.5) <= 8 * SECOND + SECOND);
    check(&cache);
}

#[test]
fn the_lag_of_a_drop_counts_from_the_removal() {
    let (cache, mock) = cache::<u32, u32>();
    for key in 0..10 {
        cache.insert(key, 0).unwrap();
    }
    cache.remove(&0);
    mock.advance(MINUTE);
    for key in 1..10 {
        cache.remove(&key);
    }
    flush_all(&cache);
    let lag = cache.stats().drop_lag;
    assert_eq!(lag.count(), 10);
    assert!(lag.max() >= MINUTE && lag.max() <= MINUTE + TICK, "{lag:?}");
    assert!(lag.quantile(0.9) <= TICK);
    // A value that replaced another one, and is replaced itself.
    for value in 0..3 {
        cache.insert(1, value).unwrap();
    }
    mock.advance(HOUR / 4);
    flush_all(&cache);
    let lag = cache.stats().drop_lag;
    assert_eq!((lag.count(), lag.max() >= HOUR / 4), (11, true));
    check(&cache);
}

#[test]
fn sweeps_are_added_up() {
    let (cache, mock) = cache::<u32, u32>();
    for key in 0..5 {
        cache.insert(key, 0).unwrap();
    }
    cache.sweep();
    mock.advance(HOUR);
    cache.sweep_within(SweepBudget::visits(2));
    cache.sweep();
    let sweeps = cache.stats().sweeps;
    assert_eq!((sweeps.count, sweeps.expired, sweeps.survivors), (3, 5, 0));
    assert!(sweeps.time > Duration::ZERO);
    check(&cache);
}

#[test]
fn hits_and_misses_are_counted_if_asked_for() {
    for record in [false, true] {
        let (cache, _mock) = cache_with(|builder: Builder<u32, u32>| builder.record_stats(record));
        cache.insert(1, 0).unwrap();
        for key in [1, 2, 1] {
            cache.get(&key);
        }
        let stats = cache.stats();
        let expected = if record { (2, 1) } else { (0, 0) };
        assert_eq!((stats.hits, stats.misses), expected);
        check(&cache);
    }
}
