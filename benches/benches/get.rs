//! Lookups, inserts and removals on one thread.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use idlewheel::{Cache, Sweeper};
use idlewheel_benches::{uniform, zipf};
use std::hint::black_box;

const LOOKUPS: usize = 1 << 16;

fn filled(entries: u64) -> Cache<u64, u64> {
    let cache = Cache::new();
    for key in 0..entries {
        cache.insert(key, key).expect("there is room");
    }
    cache
}

fn get(c: &mut Criterion) {
    let mut group = c.benchmark_group("get");
    group.throughput(Throughput::Elements(LOOKUPS as u64));
    let loads = [
        ("hot, 10,000 keys, Zipf 0.99", 10_000, zipf(10_000, 0.99, LOOKUPS, 1)),
        ("cold, 1,000,000 keys, uniform", 1_000_000, uniform(1_000_000, LOOKUPS, 2)),
    ];
    for (name, entries, keys) in loads {
        let cache = filled(entries);
        let sum = |get: &dyn Fn(u64) -> u64| keys.iter().map(|key| get(*key)).sum::<u64>();
        group.bench_function(format!("{name}, coarse clock"), |b| {
            b.iter(|| black_box(sum(&|key| cache.get(&key).unwrap_or(0))));
        });
        let sweeper = Sweeper::builder().watch(&cache).spawn().expect("a thread");
        group.bench_function(format!("{name}, sweeper running"), |b| {
            b.iter(|| black_box(sum(&|key| cache.get(&key).unwrap_or(0))));
        });
        group.bench_function(format!("{name}, 16 under one pin"), |b| {
            b.iter(|| {
                let batch = |keys: &[u64]| {
                    let pinned = cache.pin();
                    keys.iter().map(|key| pinned.get(key).copied().unwrap_or(0)).sum::<u64>()
                };
                black_box(keys.chunks(16).map(batch).sum::<u64>())
            });
        });
        drop(sweeper);
    }
    group.finish();
}

fn write(c: &mut Criterion) {
    let mut group = c.benchmark_group("write");
    group.throughput(Throughput::Elements(LOOKUPS as u64));
    group.bench_function("insert and remove fresh keys", |b| {
        let cache = filled(10_000);
        let mut next = 10_000;
        b.iter(|| {
            for _ in 0..LOOKUPS {
                next += 1;
                cache.insert(next, next).expect("there is room");
                cache.remove(&(next - 100));
            }
        });
    });
    group.bench_function("replace", |b| {
        let cache = filled(10_000);
        let keys = uniform(10_000, LOOKUPS, 3);
        b.iter(|| keys.iter().for_each(|key| drop(cache.insert(*key, 1))));
    });
    group.sample_size(10);
    group.bench_function("fill from empty, 65,536", |b| {
        b.iter_batched(Cache::new, |cache: Cache<u64, u64>| fill(&cache), BatchSize::LargeInput);
    });
    group.finish();
}

fn fill(cache: &Cache<u64, u64>) {
    for key in 0..LOOKUPS as u64 {
        cache.insert(key, key).expect("there is room");
    }
}

criterion_group!(benches, get, write);
criterion_main!(benches);
