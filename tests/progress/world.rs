//! Two caches, parents and children, with something of everything in them, and the final check.

use idlewheel::{Builder, Cache, Clock, MockClock, RandomState, Timeouts};
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// Keys that operations use.
pub(crate) const KEYS: u64 = 24;
/// A child under another key, of the parent with key 1.
pub(crate) const CHILD: u64 = 20;

/// Values that exist.
#[derive(Clone, Default)]
pub(crate) struct Alive(Arc<AtomicUsize>);

/// A value that is counted.
pub(crate) struct Value(Alive);

impl Alive {
    pub(crate) fn value(&self) -> Value {
        self.0.fetch_add(1, Ordering::Relaxed);
        Value(self.clone())
    }
}

impl Clone for Value {
    fn clone(&self) -> Value {
        self.0.value()
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        let before = self.0.0.fetch_sub(1, Ordering::Relaxed);
        assert!(before > 0, "a value was dropped twice");
    }
}

pub(crate) type Map = Cache<u64, Value, Hashes>;

/// The same hashes in every run: good ones, or all alike.
#[derive(Clone)]
pub(crate) enum Hashes {
    Random(RandomState),
    Alike,
}

pub(crate) enum Hash {
    Random(<RandomState as BuildHasher>::Hasher),
    Alike,
}

impl BuildHasher for Hashes {
    type Hasher = Hash;

    fn build_hasher(&self) -> Hash {
        match self {
            Hashes::Random(state) => Hash::Random(state.build_hasher()),
            Hashes::Alike => Hash::Alike,
        }
    }
}

impl Hasher for Hash {
    fn finish(&self) -> u64 {
        match self {
            Hash::Random(hasher) => hasher.finish(),
            Hash::Alike => 42,
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Hash::Random(hasher) = self {
            hasher.write(bytes);
        }
    }
}

/// A cache without settings.
pub(crate) fn plain() -> Builder<u64, Value, Hashes> {
    Cache::<u64, Value>::builder().hasher(Hashes::Random(RandomState::with_seeds(1, 2, 3, 4)))
}

/// What is used of a cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// The least: an idle timeout.
    Plain,
    /// The same, with all keys in one bucket of the index.
    Crowded,
    /// Limits, an absolute timeout, a listener; children keep their parents alive.
    Full,
}

pub(crate) struct World {
    pub(crate) parents: Map,
    pub(crate) children: Map,
    pub(crate) clock: MockClock,
    pub(crate) alive: Alive,
}

impl World {
    pub(crate) fn new(kind: Kind) -> World {
        let (clock, mock) = Clock::mock();
        let (parents, children) = caches(kind, clock);
        let world = World { parents, children, clock: mock, alive: Alive::default() };
        world.fill();
        world
    }

    pub(crate) fn value(&self) -> Value {
        self.alive.value()
    }

    /// Parents 0 to 11, some with timeouts of their own; children of the first eight, and one more;
    /// some that have expired, some that were removed. The clock is in a tick of its own.
    fn fill(&self) {
        for key in 0..12 {
            let own = Timeouts::new().idle(40 * SECOND);
            let inserted = match key {
                3 | 4 => self.parents.insert_with(key, self.value(), own),
                _ => self.parents.insert(key, self.value()),
            };
            inserted.expect("there is room");
        }
        for key in 0..8 {
            self.children.insert(key, self.value()).expect("its parent lives");
        }
        self.children.insert_linked(CHILD, self.value(), &1).expect("its parent lives");
        self.parents.rekey(&8, 18).expect("the key is free");
        assert!(self.parents.renew(&9));
        let soon = Timeouts::new().idle(SECOND);
        assert!(self.parents.set_timeouts(&7, soon) && self.parents.set_timeouts(&11, soon));
        self.clock.advance(2 * SECOND);
        self.parents.insert(5, self.value()).expect("it is replaced");
        assert!(self.parents.remove(&10));
        assert!(self.parents.remove(&6));
    }

    /// Once nobody uses the caches any more: nothing waits, every structure agrees with every
    /// other, the accounts are right, and no value is left.
    pub(crate) fn check(self) {
        for cache in [&self.parents, &self.children] {
            settle(cache);
        }
        let live = self.parents.len() + self.children.len();
        assert_eq!(self.alive.0.load(Ordering::Relaxed), live, "values and entries");
        drop((self.children, self.parents));
        assert_eq!(self.alive.0.load(Ordering::Relaxed), 0, "values that nobody has");
    }
}

fn settle(cache: &Map) {
    for _ in 0..1000 {
        if cache.stats().pending_reclamation == 0 {
            break;
        }
        cache.flush();
    }
    let stats = cache.stats();
    assert_eq!(stats.pending_reclamation, 0, "something is never erased");
    assert_eq!(stats.inserted, stats.live + stats.removed.total(), "accounting");
    cache.validate().expect("every structure agrees with every other");
}

fn caches(kind: Kind, clock: Clock) -> (Map, Map) {
    let parents = plain().clock(clock).idle_timeout(60 * SECOND);
    let parents = if kind == Kind::Crowded { parents.hasher(Hashes::Alike) } else { parents };
    let is_full = kind == Kind::Full;
    let parents = if is_full {
        let heard = |_: &u64, _: &Value, _| {};
        let limited = parents.absolute_timeout(300 * SECOND).max_entries(16);
        limited.record_stats(true).on_removal(heard)
    } else {
        parents
    };
    let parents = parents.build().expect("valid settings");
    let children = Cache::<u64, Value>::builder().linked_to(&parents);
    let children = if is_full {
        let heard = |_: &u64, _: &Value, _| {};
        let limited = children.idle_timeout(50 * SECOND).max_entries(16).max_children(2);
        limited.touches_parent(true).on_removal(heard)
    } else {
        children
    };
    (parents, children.build().expect("valid settings"))
}
