//! What a sweep costs, and what it may be interrupted by.

use crate::support::*;
use idlewheel::*;
use std::time::Duration;

const SIX: u32 = 6;

#[test]
fn a_sweep_visits_the_expired_and_no_survivor() {
    let (cache, clock) = cache_with(|b| b.idle_timeout(30 * MINUTE).max_entries(1_000_000));
    for key in 0..1_000_000u64 {
        cache.insert(key, key).unwrap();
    }
    for _ in 0..6 {
        clock.advance(5 * MINUTE);
        for key in 10_000..1_000_000 {
            assert!(cache.touch(&key));
        }
        let report = cache.sweep();
        assert_eq!((report.visited, report.expired), (0, 0));
    }
    clock.advance(MINUTE);
    for key in 10_000..1_000_000 {
        assert!(cache.touch(&key));
    }
    let report = cache.sweep();
    assert_eq!((report.visited, report.expired, report.survivors), (10_000, 10_000, 0));
    assert_eq!(cache.len(), 990_000);
    check(&cache);
}

#[test]
fn survivors_touched_in_every_tick_for_three_timeouts_are_never_visited() {
    let tick = Duration::from_nanos(1 << 26);
    let idle = 12 * tick;
    let (cache, clock) = cache_with(|b| b.idle_timeout(idle).max_entries(1_000_000));
    for key in 0..1_000_000u64 {
        cache.insert(key, key).unwrap();
    }
    let (mut visited, mut expired) = (0, 0);
    for step in 1..=36 {
        clock.advance(tick);
        for key in 10_000..1_000_000 {
            assert!(cache.touch(&key));
        }
        if step % (12 / SIX) == 0 {
            let report = cache.sweep();
            visited += report.visited;
            expired += report.expired;
            assert_eq!(report.survivors, 0);
        }
    }
    assert_eq!((visited, expired), (10_000, 10_000));
    check(&cache);
}

#[test]
fn an_entry_is_gone_after_the_first_sweep_past_its_deadline_and_a_thirty_second_of_it() {
    for secs in [1u64, 7, 60, 1800, 86_400, 1_000_000] {
        let idle = Duration::from_secs(secs);
        for default in [idle, HOUR] {
            let (cache, clock) = cache_with(|b| b.idle_timeout(default));
            for at in 0..40u32 {
                cache.insert_with(at, at, Timeouts::new().idle(idle)).unwrap();
                clock.advance(idle / 97);
                cache.sweep();
            }
            let last = cache.remaining(&39).unwrap().idle.unwrap();
            clock.advance(last + (idle / 32).max(TICK));
            cache.sweep();
            assert!(cache.is_empty(), "{} of {secs} s are left", cache.len());
            check(&cache);
        }
    }
}

#[test]
fn ten_years_in_one_step_are_not_walked_tick_by_tick() {
    let (cache, clock) = cache();
    for (key, secs) in [1u64, 60, 3600, 86_400, 30 * 86_400].into_iter().enumerate() {
        let timeouts = Timeouts::new().idle(Duration::from_secs(secs));
        cache.insert_with(key, secs, timeouts).unwrap();
    }
    clock.advance(10 * 365 * 24 * HOUR);
    let report = cache.sweep();
    assert_eq!((report.expired, report.visited), (5, 5));
    // Five levels are in use, of 256 buckets at most.
    assert!(report.buckets <= 5 * 256, "{} buckets", report.buckets);
    check(&cache);
}

#[test]
fn survivors_met_after_a_long_gap_are_left_alone_and_counted_apart() {
    let (cache, clock) = cache_with(|b| b.idle_timeout(HOUR));
    for key in 0..1000 {
        cache.insert(key, key).unwrap();
    }
    for _ in 0..30 {
        clock.advance(50 * MINUTE);
        assert!((0..1000).all(|key| cache.touch(&key)));
    }
    let report = cache.sweep();
    assert_eq!((report.expired, cache.len()), (0, 1000));
    assert_eq!(report.visited, report.survivors);
    assert_eq!(cache.sweep().visited, 0, "once per gap");
    check(&cache);
}

#[test]
fn a_long_gap_takes_one_turn_however_many_live_in_one_bucket() {
    let tick = Duration::from_millis(10);
    let (cache, clock) = cache_with(|b| b.idle_timeout(SECOND).tick(tick));
    clock.advance(HOUR);
    // More than a sweep looks at under one pin.
    for key in 0..5000 {
        cache.insert(key, key).unwrap();
    }
    let report = cache.sweep();
    assert_eq!((report.expired, cache.len()), (0, 5000));
    assert!(report.buckets <= 256, "{} buckets", report.buckets);
    assert!(report.survivors <= 5000, "{} survivors", report.survivors);
    check(&cache);
}

#[test]
fn a_bounded_sweep_goes_on_where_the_last_one_ended() {
    let (cache, clock) = cache();
    for key in 0..1000 {
        cache.insert(key, key).unwrap();
        clock.advance(SECOND / 2);
    }
    clock.advance(HOUR);
    let mut expired = 0;
    for round in 0..100 {
        let report = cache.sweep_within(SweepBudget::visits(10));
        assert_eq!((report.visited, report.expired), (10, 10));
        // At the end a reader of another test may still hold back what was removed.
        assert!(report.more || round == 99, "round {round}");
        expired += report.expired;
        check(&cache);
    }
    assert_eq!((expired, cache.len()), (1000, 0));
}

#[test]
fn small_budgets_make_progress_although_survivors_are_in_the_way() {
    let (cache, clock) = cache_with(|b| b.idle_timeout(HOUR));
    for key in 0..300 {
        cache.insert(key, key).unwrap();
    }
    for _ in 0..30 {
        clock.advance(50 * MINUTE);
        assert!((100..300).all(|key| cache.touch(&key)));
    }
    let mut rounds = 0;
    while cache.sweep_within(SweepBudget::visits(1)).more {
        rounds += 1;
        assert!(rounds < 1000, "no progress");
    }
    assert_eq!(cache.len(), 200);
    check(&cache);
}

#[test]
fn a_sweep_without_time_does_nothing_and_says_so() {
    let (cache, clock) = cache();
    for key in 0..100 {
        cache.insert(key, key).unwrap();
    }
    clock.advance(HOUR);
    let report = cache.sweep_within(SweepBudget::time(Duration::ZERO));
    assert_eq!((report.visited, report.more), (0, true));
    assert_eq!(cache.sweep().expired, 100);
    check(&cache);
}

#[test]
fn next_due_is_never_too_late() {
    let (cache, clock) = cache();
    assert_eq!(cache.sweep().next_due, None);
    for key in 0..50u64 {
        let idle = Duration::from_secs(1 + key * key * 7);
        cache.insert_with(key, key, Timeouts::new().idle(idle)).unwrap();
    }
    let mut steps = 0;
    while !cache.is_empty() {
        let report = cache.sweep();
        let Some(due) = report.next_due else { break };
        assert_eq!(cache.len(), cache.validate().unwrap().live as usize);
        clock.advance(due);
        let swept = cache.sweep();
        assert!(swept.expired > 0 || swept.next_due.is_some());
        steps += 1;
        assert!(steps < 1000, "each step leads to something");
    }
    assert!(cache.is_empty());
    check(&cache);
}

#[test]
fn a_sweep_drops_what_others_removed() {
    let (cache, _clock) = cache();
    let tally = Tally::default();
    for key in 0..100 {
        cache.insert(key, tally.value()).unwrap();
    }
    for key in 0..60 {
        assert!(cache.remove(&key));
    }
    while cache.stats().pending_reclamation > 0 {
        cache.sweep();
    }
    assert_eq!(tally.dropped(), 60);
    check(&cache);
}

#[test]
fn an_entry_that_never_expires_costs_no_sweep_anything() {
    let (cache, clock) = cache_with(|b| b.no_idle_timeout());
    for key in 0..1000 {
        cache.insert(key, key).unwrap();
    }
    clock.advance(100_000 * HOUR);
    let report = cache.sweep();
    assert_eq!((report.visited, report.buckets, report.next_due), (0, 0, None));
    assert_eq!(cache.len(), 1000);
    check(&cache);
}

#[test]
fn a_growth_that_has_begun_ends_by_sweeps_alone() {
    let (cache, _clock) =
        cache_with(|b| b.initial_capacity(20_000).hasher(RandomState::with_seeds(1, 2, 3, 4)));
    let buckets = || cache.validate().expect("at rest").buckets;
    let before = buckets();
    // As many as fit on average: so in about half of the parts of the index a growth has begun, and
    // inserts alone have not ended it.
    for key in 0..before * 17 / 4 {
        cache.insert(key, key).unwrap();
    }
    let begun = buckets();
    for _ in 0..100 {
        cache.sweep();
    }
    let after = buckets();
    assert!(before <= begun && begun < after, "{before}, {begun}, {after}");
    assert_eq!(cache.len() as u64, before * 17 / 4);
    check(&cache);
}
