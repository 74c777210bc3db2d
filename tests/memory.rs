//! Memory under a counting allocator. One test at a time: the counts are the process's.

use idlewheel::{Cache, CapacityPolicy, Clock, RandomState, Timeouts};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Allocations of this thread: the test harness has threads of its own.
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

fn count(size: usize) {
    BYTES.fetch_add(size, Ordering::Relaxed);
    // A thread that is ending no longer counts.
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: by the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: by the caller's contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: by the caller's contract.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn bytes() -> usize {
    BYTES.load(Ordering::Relaxed)
}

const MINUTE: Duration = Duration::from_secs(60);

/// What may wait for its grace period, whatever happened.
const SLACK: usize = 64 * 1024;

#[test]
fn ten_million_fresh_keys_at_a_constant_live_count_keep_memory_flat() {
    let _alone = alone();
    for sweeps in [false, true] {
        let (clock, _mock) = Clock::mock();
        let cache = Cache::<u64, u64>::builder().clock(clock).build().unwrap();
        let mut warm = 0;
        for key in 0..10_000_000u64 {
            cache.insert(key, key).unwrap();
            if key >= 1000 {
                assert!(cache.remove(&(key - 1000)));
            }
            if sweeps && key % 10_000 == 0 {
                cache.sweep();
            }
            if key == 1_000_000 {
                warm = bytes();
            }
        }
        assert!(bytes() <= warm + SLACK, "{warm} bytes became {}", bytes());
        assert_eq!(cache.len(), 1000);
        cache.validate().unwrap();
    }
}

#[test]
fn ten_million_expiries_keep_memory_flat() {
    let _alone = alone();
    let (clock, mock) = Clock::mock();
    let cache = Cache::<u64, u64>::builder().clock(clock).build().unwrap();
    let mut warm = 0;
    for step in 0..1000u64 {
        for key in 0..10_000 {
            cache.insert(step * 10_000 + key, key).unwrap();
        }
        // Some 100,000 live entries: far from the numbers at which a shard of the index doubles.
        mock.advance(Duration::from_secs(200));
        cache.sweep();
        if step == 100 {
            warm = bytes();
        }
    }
    // A table of the index is rebuilt once it has gathered so many overflow lines, so what it takes
    // goes up and down by them: 80 bytes each.
    let lines = cache.validate().unwrap().buckets as usize / 8;
    assert!(bytes() <= warm + lines * 80 + SLACK, "{warm} bytes became {}", bytes());
    let stats = cache.stats();
    assert_eq!(stats.inserted, 10_000_000);
    assert_eq!(stats.inserted, stats.live + stats.removed.total());
    cache.validate().unwrap();
}

#[test]
fn replacing_and_renewing_one_entry_for_ever_keeps_memory_flat() {
    let _alone = alone();
    let (clock, _mock) = Clock::mock();
    let cache = Cache::<u64, u64>::builder().clock(clock).build().unwrap();
    let mut warm = 0;
    for round in 0..1_000_000u64 {
        cache.insert(1, round).unwrap();
        assert!(cache.renew(&1));
        if round == 100_000 {
            warm = bytes();
        }
    }
    assert!(bytes() <= warm + SLACK, "{warm} bytes became {}", bytes());
    cache.validate().unwrap();
}

#[test]
fn a_hit_and_a_touch_allocate_nothing() {
    let _alone = alone();
    let (clock, mock) = Clock::mock();
    let cache = Cache::<u64, u64>::builder().clock(clock).build().unwrap();
    for key in 0..1000 {
        cache.insert(key, key).unwrap();
    }
    // The first touches in new buckets may need the pages of a level.
    mock.advance(Duration::from_secs(600));
    assert!((0..1000).all(|key| cache.touch(&key)));
    let before = CALLS.get();
    for _ in 0..100 {
        mock.advance(Duration::from_secs(60));
        assert!((0..1000).all(|key| cache.get(&key) == Some(key)));
    }
    assert_eq!(CALLS.get(), before);
    cache.validate().unwrap();
}

#[test]
fn a_cache_that_is_dropped_gives_everything_back() {
    let _alone = alone();
    let round = || {
        let cache = Cache::<u64, String>::new();
        for key in 0..100_000 {
            cache.insert(key, key.to_string()).unwrap();
            cache.insert(key / 2, key.to_string()).unwrap();
        }
        cache.clear();
        for _ in 0..100 {
            let parent = Cache::<u64, u64>::new();
            Cache::<u64, u64>::builder().linked_to(&parent).build().unwrap();
        }
    };
    round();
    let before = bytes();
    (0..5).for_each(|_| round());
    // Tables replaced in growth are freed by the next grace period.
    for _ in 0..1000 {
        Cache::<u64, u64>::new().flush();
    }
    assert!(bytes() <= before + SLACK, "{before} bytes became {}", bytes());
}

#[test]
fn linked_caches_that_are_gone_are_forgotten_by_their_parent() {
    let _alone = alone();
    let parent = Cache::<u64, u64>::new();
    let link = || {
        drop(Cache::<u64, u64>::builder().linked_to(&parent).build().unwrap());
        parent.sweep();
    };
    (0..100).for_each(|_| link());
    let warm = bytes();
    (0..2000).for_each(|_| link());
    assert!(bytes() <= warm + SLACK, "{warm} bytes became {}", bytes());
}

#[test]
fn a_known_size_is_allocated_once() {
    let _alone = alone();
    let (clock, _mock) = Clock::mock();
    let cache = Cache::<u64, u64>::builder().clock(clock).max_entries(200_000).build().unwrap();
    cache.insert(0, 0).unwrap();
    let before = bytes();
    for key in 1..200_000 {
        cache.insert(key, key).unwrap();
    }
    let census = cache.validate().unwrap();
    assert_eq!(census.live, 200_000);
    // Overflow lines of crowded buckets, and the bits of the wheel: 64 buckets of a bit per slot,
    // in blocks of 4 KiB.
    let lines = census.buckets as usize / 8 * 100;
    let bits = (200_000 / 64 + 2 * 8) * 64 * 8;
    assert!(bytes() <= before + lines + bits, "{before} bytes became {}", bytes());
}

#[test]
fn a_flood_of_new_keys_takes_no_more_memory_than_the_limit_allows() {
    let _alone = alone();
    for policy in [CapacityPolicy::EvictSoonestToExpire, CapacityPolicy::RejectNew] {
        let (clock, mock) = Clock::mock();
        let builder = Cache::<u64, u64>::builder().clock(clock).max_entries(10_000);
        let cache = builder.capacity_policy(policy).build().unwrap();
        let mut settled = 0;
        for key in 0..1_000_000 {
            let _ = cache.insert(key, key);
            if key % 1000 == 0 {
                mock.advance(Duration::from_secs(1));
                assert!(cache.len() <= 10_000);
            }
            if key == 100_000 {
                settled = bytes();
            }
        }
        cache.validate().unwrap();
        // Overflow lines of crowded buckets, and parts of the slab for what waits to be dropped.
        assert!(bytes() <= settled * 5 / 4, "{settled} bytes became {}", bytes());
    }
}

#[test]
fn expiries_found_by_readers_only_keep_memory_bounded() {
    let _alone = alone();
    let (clock, mock) = Clock::mock();
    let cache = Cache::<u64, u64>::builder().clock(clock).build().unwrap();
    for round in 0..2000u64 {
        for key in 0..1000 {
            assert!(cache.get(&key).is_none());
            cache.insert(key, round).unwrap();
        }
        mock.advance(Duration::from_secs(3600));
    }
    let census = cache.validate().unwrap();
    assert!(census.slots < 16_384, "2,000,000 entries of 1000 keys took {census:?}");
}

#[test]
fn many_threads_that_insert_and_remove_one_key_without_sweeps_keep_memory_bounded() {
    let _alone = alone();
    let (clock, _mock) = Clock::mock();
    let cache = Cache::<u64, u64>::builder().clock(clock).build().unwrap();
    let slots = || cache.validate().unwrap().slots;
    let mut most = Vec::new();
    for _ in 0..4 {
        std::thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| {
                    for value in 0..50_000 {
                        cache.insert(1, value).unwrap();
                        cache.remove(&1);
                    }
                });
            }
        });
        most.push(slots());
    }
    // Whatever the threads do while one of them is suspended under its pin; then it is reused.
    assert!(most[3] <= 100_000, "6,400,000 entries of one key took {most:?} slots");
}

/// One round of everything that a server does, on keys that go round.
fn serve(users: &Cache<u64, u64>, devices: &Cache<u64, u64, RandomState, u64>, round: u64) {
    let user = round % 1000;
    users.get_or_insert_with(user, || round).unwrap();
    users.entry(user).and_modify(|value| value + 1).or_insert(0).unwrap();
    let lease = users.hold(&user);
    for device in 0..3 {
        let key = 3 * user + device;
        // At most two of these stay.
        devices.entry(key).child_of(&user).or_insert_with(|| round).unwrap();
    }
    // Until the next round it goes by another key, under which its devices are found as well.
    users.rekey(&user, 1_000_000 + user).unwrap();
    assert_eq!(devices.count_children(&(1_000_000 + user)), 2);
    assert!(users.set_timeouts(&(1_000_000 + user), Timeouts::new().idle(MINUTE)));
    users.rekey(&(1_000_000 + user), user).unwrap();
    assert!(users.promote(&user));
    drop(lease);
    users.insert(user, round).unwrap();
    users.replace_if(&user, round, |value| *value == round).unwrap();
    match round % 4 {
        0 => _ = users.remove(&user),
        1 => _ = users.remove_if(&user, |_| true),
        2 => _ = devices.take(&(3 * user)),
        _ => {}
    }
}

#[test]
fn whatever_a_server_does_at_a_constant_live_count_keeps_memory_flat() {
    let _alone = alone();
    let (clock, mock) = Clock::mock();
    let builder = Cache::<u64, u64>::builder().clock(clock).max_entries(900);
    let users = builder.on_removal(|_, _, _| {}).build().unwrap();
    let builder = Cache::<u64, u64>::builder().children_of(&users).max_children(2);
    let devices = builder.on_removal(|_, _, _| {}).build().unwrap();
    let mut warm = 0;
    for round in 0..400_000 {
        serve(&users, &devices, round);
        if round % 1000 == 0 {
            mock.advance(MINUTE);
            users.sweep();
        }
        if round == 100_000 {
            warm = bytes();
        }
    }
    assert!(bytes() <= warm + SLACK, "{warm} bytes became {}", bytes());
    for cache in [users.stats(), devices.stats()] {
        assert_eq!(cache.inserted, cache.live + cache.removed.total());
    }
    users.validate().unwrap();
    devices.validate().unwrap();
}

#[test]
fn a_hundred_thousand_threads_leave_nothing_behind() {
    let _alone = alone();
    let cache = Cache::<u64, u64>::new();
    let mut warm = 0;
    for round in 0..25_000 {
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (cache, key) = (&cache, 4 * round + thread);
                scope.spawn(move || {
                    cache.insert(key, key).unwrap();
                    assert_eq!(cache.get(&key), Some(key));
                    assert!(cache.remove(&key));
                });
            }
        });
        if round == 5000 {
            warm = bytes();
        }
    }
    assert!(bytes() <= warm + SLACK, "{warm} bytes became {}", bytes());
    assert!(cache.is_empty());
    cache.validate().unwrap();
}
