//! Two systems of contexts and their keys, each beside the maps and timer that it replaces: agent
//! identities, which end 30 minutes after their last activity, and secure sessions, which end 30
//! minutes after their verification. Both are swept every 5 minutes of a mock clock.
#![cfg(not(loom))]

mod random;
#[path = "systems/walk.rs"]
mod walk;
#[path = "systems/world.rs"]
mod world;

use idlewheel::{Cache, InsertErrorKind};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use walk::Rule;
use world::{Moment, USERS, World, key};

const RULES: [Rule; 2] = [Rule::Activity, Rule::Verification];
const SEEDS: std::ops::Range<u64> = 0..10;

/// Runs `test` with a new world of each kind and each seed, and checks the world afterwards.
fn in_every_world(mut test: impl FnMut(&mut World, u64)) {
    for rule in RULES {
        for seed in SEEDS {
            let mut world = World::new(rule);
            test(&mut world, seed);
            world.check();
        }
    }
}

#[test]
fn no_key_outlives_its_context_at_any_step() {
    in_every_world(|world, seed| {
        world.day(seed, |world, _| {
            for user in 0..USERS {
                // The key first, so that nothing has cleared up after the context yet.
                let key = world.keys.contains_key(&user);
                let context = world.contexts.contains_key(&user);
                assert_eq!(key, context, "user {user} at {}", world.now);
            }
        });
    });
}

#[test]
fn a_key_is_refused_unless_its_context_lives() {
    in_every_world(|world, seed| {
        let mut refused = 0;
        world.day(seed, |world, _| {
            for user in 0..=USERS {
                if world.walk.live(user, world.now).is_some() {
                    continue;
                }
                let error = world.keys.insert(user, key(0)).unwrap_err();
                assert_eq!(error.kind(), InsertErrorKind::ParentGone);
                refused += 1;
            }
        });
        assert!(refused > 0);
        assert!(world.contexts.peek(&USERS).is_none(), "never existed");
    });
}

#[test]
fn sweep_points_agree_with_the_walk_and_between_them_ours_is_a_subset() {
    in_every_world(|world, seed| {
        let mut stale = 0;
        world.day(seed, |world, moment| {
            for user in 0..USERS {
                let (found, held) = (world.found(user), world.walk.held(user));
                let at = (user, world.now);
                if let Moment::Sweep(_) = moment {
                    assert_eq!(found, held, "user, time: {at:?}");
                }
                let live = world.walk.live(user, world.now);
                assert_eq!(found, (live, live), "user, time: {at:?}");
                assert!(found.0.is_none() || found.0 == held.0);
                assert!(found.1.is_none() || found.1 == held.1);
                stale += u64::from(found != held);
            }
        });
        assert!(stale > 0, "the walk served nothing that had ended");
    });
}

#[test]
fn a_relogin_never_sees_the_old_key() {
    in_every_world(|world, seed| {
        world.day(seed, |world, moment| {
            if let Moment::Step = moment {
                assert_eq!(world.found_at_login, []);
            }
        });
        assert!(world.old_keys > 0, "nobody came back before the walk");
    });
}

#[test]
fn a_sweep_visits_what_has_ended_and_nothing_else() {
    in_every_world(|world, seed| {
        let (mut expired, mut cascaded) = (0, 0);
        world.day(seed, |_, moment| {
            let Moment::Sweep(report) = moment else { return };
            assert_eq!(report.visited, report.expired + report.cascaded, "{report:?}");
            assert_eq!((report.survivors, report.more), (0, false));
            expired += report.expired;
            cascaded += report.cascaded;
        });
        let (contexts, keys) = (world.contexts.stats().removed, world.keys.stats().removed);
        assert!(expired > 0 && expired <= contexts.idle + contexts.absolute);
        assert!(cascaded > 0 && cascaded <= keys.cascade);
    });
}

/// What may wait for its grace period, also of other tests.
const SLACK: usize = 8 * 1024;

#[test]
fn memory_after_the_day_is_as_before() {
    in_every_world(|world, seed| {
        // The first day brings what the caches keep for reuse.
        world.day(seed, |_, _| {});
        let before = settled_bytes();
        let logins = world.logins;
        for _ in 0..5 {
            world.day(seed, |_, _| {});
        }
        // A login takes two slots of some 50 bytes: a leak of one in thirty would show.
        assert!(world.logins - logins > 2500);
        // A table of the index gathers overflow lines and is then rebuilt without.
        let buckets = [world.contexts.validate(), world.keys.validate()]
            .map(|census| census.unwrap().buckets as usize);
        let lines = buckets.iter().sum::<usize>() / 8 * 80;
        let after = settled_bytes();
        assert!(after.abs_diff(before) <= lines + SLACK, "{before} bytes became {after}");
    });
}

struct Counting;

thread_local! {
    /// What this thread has allocated, less what it has freed: the test harness has threads of
    /// its own.
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

/// The count once grace periods have freed what was handed to them, also by other tests.
fn settled_bytes() -> isize {
    let cache = Cache::<u32, u32>::new();
    for _ in 0..1000 {
        cache.insert(1, 1).unwrap();
        cache.remove(&1);
        cache.flush();
    }
    drop(cache);
    BYTES.get()
}

fn count(bytes: isize) {
    // A thread that is ending no longer counts.
    let _ = BYTES.try_with(|count| count.set(count.get() + bytes));
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: by the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: by the caller's contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: by the caller's contract.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
