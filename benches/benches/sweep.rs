//! Sweeps: 10,000 entries due among many that were all touched in the newest tick; nothing due.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use idlewheel::{Cache, Clock, MockClock};
use std::time::{Duration, Instant};

const DUE: u64 = 10_000;
const MINUTE: Duration = Duration::from_secs(60);

fn filled(entries: u64) -> (Cache<u64, u64>, MockClock) {
    let (clock, mock) = Clock::mock();
    let builder = Cache::builder().clock(clock).max_entries(entries as usize);
    let cache = builder.build().expect("the settings are valid");
    for key in 0..entries {
        cache.insert(key, key).expect("there is room");
    }
    (cache, mock)
}

/// Lets the first `DUE` entries expire while all others are touched, and sweeps them.
fn sweep_once(cache: &Cache<u64, u64>, mock: &MockClock, entries: u64) -> Duration {
    for step in 1..=7 {
        mock.advance(5 * MINUTE);
        (DUE..entries).for_each(|key| assert!(cache.touch(&key)));
        // At 35 minutes the measured sweep follows.
        if step < 7 {
            assert_eq!(cache.sweep().visited, 0);
        }
    }
    let begin = Instant::now();
    let report = cache.sweep();
    let elapsed = begin.elapsed();
    assert_eq!((report.expired, report.visited), (DUE, DUE));
    (0..DUE).for_each(|key| drop(cache.insert(key, key)));
    elapsed
}

fn sweep(c: &mut Criterion) {
    let mut group = c.benchmark_group("sweep");
    group.sample_size(10);
    for entries in [100_000, 1_000_000] {
        let (cache, mock) = filled(entries);
        group.bench_function(BenchmarkId::new("10,000 due of", entries), |b| {
            b.iter_custom(|rounds| {
                (0..rounds).map(|_| sweep_once(&cache, &mock, entries)).sum::<Duration>()
            });
        });
        group.bench_function(BenchmarkId::new("none due of", entries), |b| {
            b.iter_custom(|rounds| {
                let round = |round: u64| {
                    if round.is_multiple_of(20) {
                        (0..entries).for_each(|key| assert!(cache.touch(&key)));
                    }
                    // One bucket further, in which nothing is.
                    mock.advance(MINUTE);
                    let begin = Instant::now();
                    let report = cache.sweep();
                    let elapsed = begin.elapsed();
                    assert_eq!(report.visited, 0);
                    elapsed
                };
                (0..rounds).map(round).sum::<Duration>()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, sweep);
criterion_main!(benches);
