//! Linked caches: reading a child, removing a parent with its child, cascades of many children.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use idlewheel::{Cache, Clock, RandomState};
use idlewheel_benches::zipf;
use std::hint::black_box;
use std::time::{Duration, Instant};

const ENTRIES: u64 = 10_000;
const LOOKUPS: usize = 1 << 16;
/// Removals in one measurement, and then a flush that erases them.
const REMOVALS: u64 = 1000;

fn fill(cache: &Cache<u64, u64>, keys: std::ops::Range<u64>) {
    keys.for_each(|key| assert!(cache.insert(key, key).is_ok()));
}

/// A cache and one of the same size that is linked to it.
fn family() -> (Cache<u64, u64>, Cache<u64, u64>) {
    let parents = Cache::new();
    let children = Cache::builder().linked_to(&parents).build().expect("valid settings");
    (parents, children)
}

fn read(c: &mut Criterion) {
    let mut group = c.benchmark_group("read, 10,000 keys, Zipf 0.99");
    group.throughput(Throughput::Elements(LOOKUPS as u64));
    let keys = zipf(ENTRIES as usize, 0.99, LOOKUPS, 1);
    let (parents, children) = family();
    fill(&parents, 0..ENTRIES);
    fill(&children, 0..ENTRIES);
    for (name, cache) in [("unlinked entry", &parents), ("linked child", &children)] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let sum: u64 = keys.iter().map(|key| cache.get(key).unwrap_or(0)).sum();
                black_box(sum)
            });
        });
    }
    group.finish();
}

/// Removes entries and flushes; `counted` are those that the work is about.
fn timed(rounds: u64, insert: impl Fn(), remove: impl Fn()) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..rounds {
        insert();
        let begin = Instant::now();
        remove();
        total += begin.elapsed();
    }
    total
}

fn remove(c: &mut Criterion) {
    let mut group = c.benchmark_group("remove 1,000 and flush");
    group.throughput(Throughput::Elements(REMOVALS));
    let (parents, children) = family();
    fill(&parents, REMOVALS..ENTRIES);
    fill(&children, REMOVALS..ENTRIES);
    let insert = || {
        fill(&parents, 0..REMOVALS);
        fill(&children, 0..REMOVALS);
    };
    let cascade = || {
        (0..REMOVALS).for_each(|key| assert!(parents.remove(&key)));
        parents.flush();
        assert_eq!(children.len() as u64, ENTRIES - REMOVALS);
    };
    group.bench_function("parents with a child each", |b| {
        b.iter_custom(|rounds| timed(rounds, insert, cascade));
    });
    let pair: [Cache<u64, u64>; 2] = [Cache::new(), Cache::new()];
    pair.iter().for_each(|cache| fill(cache, REMOVALS..ENTRIES));
    let insert = || pair.iter().for_each(|cache| fill(cache, 0..REMOVALS));
    let both = || {
        for key in 0..REMOVALS {
            assert!(pair[0].remove(&key));
            assert!(pair[1].remove(&key));
        }
        pair[0].flush();
        pair[1].flush();
    };
    group.bench_function("two unlinked entries each", |b| {
        b.iter_custom(|rounds| timed(rounds, insert, both));
    });
    group.finish();
}

type Sessions = Cache<u64, u64, RandomState, u64>;

fn cascade(c: &mut Criterion) {
    let mut group = c.benchmark_group("cascade over children");
    group.sample_size(10);
    for count in [1, 10, 100, 1000, 10_000, 100_000, 1_000_000] {
        let (clock, _mock) = Clock::mock();
        let users: Cache<u64, u64> = Cache::builder().clock(clock).build().expect("valid settings");
        let sessions: Sessions =
            Cache::builder().children_of(&users).build().expect("valid settings");
        let insert = || {
            fill(&users, 0..1);
            (0..count).for_each(|id| assert!(sessions.insert_linked(id, id, &0).is_ok()));
        };
        let end = || {
            assert!(users.remove(&0));
            assert_eq!(users.sweep().cascaded, count);
        };
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter_custom(|rounds| timed(rounds, insert, end));
        });
    }
    group.finish();
}

criterion_group!(benches, read, remove, cascade);
criterion_main!(benches);
