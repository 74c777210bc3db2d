//! User code that panics: the cache stays consistent, and loses no accounting.

use crate::support::*;
use idlewheel::*;
use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

thread_local! {
    /// Calls of user code until one panics; negative: none does.
    static FUSE: Cell<i64> = const { Cell::new(-1) };
}

fn burn() {
    FUSE.with(|fuse| {
        let left = fuse.get();
        if left >= 0 {
            fuse.set(left - 1);
        }
        assert_ne!(left, 0, "user code panics");
    });
}

/// Runs `f` with a panic at the `n`-th call of user code. `true`: it came to that.
fn with_fuse(n: i64, f: impl FnOnce()) -> bool {
    FUSE.with(|fuse| fuse.set(n));
    let outcome = catch_unwind(AssertUnwindSafe(f));
    let burnt = FUSE.with(|fuse| fuse.replace(-1)) < 0;
    outcome.is_err() || burnt
}

struct Key(u32);

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        burn();
        self.0 == other.0
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        burn();
        // Few buckets, so that keys are compared.
        (self.0 % 3).hash(state);
    }
}

struct Value(#[allow(dead_code)] Counted);

impl Clone for Value {
    fn clone(&self) -> Self {
        burn();
        Value(Tally::default().value())
    }
}

struct Grumpy(Option<Counted>);

impl Drop for Grumpy {
    fn drop(&mut self) {
        drop(self.0.take());
        burn();
    }
}

#[test]
fn a_panic_at_any_call_of_user_code_leaves_the_cache_consistent() {
    type Act = fn(&Cache<Key, Value, Constant>, u32, &Tally);
    let acts: [Act; 9] = [
        |cache, key, tally| {
            let _ = cache.insert(Key(key), Value(tally.value()));
        },
        |cache, key, tally| {
            let _ = cache.insert_new(Key(key), Value(tally.value()));
        },
        |cache, key, tally| {
            let _ = cache.update(&Key(key), Value(tally.value()));
        },
        |cache, key, _| {
            let _ = cache.get(&Key(key));
        },
        |cache, key, _| {
            let _ = cache.take(&Key(key));
        },
        |cache, key, _| {
            let _ = cache.remove(&Key(key));
        },
        |cache, key, _| {
            let _ = cache.renew(&Key(key));
        },
        |cache, key, _| {
            let _ = cache.remaining(&Key(key));
        },
        |cache, _, _| {
            cache.sweep();
        },
    ];
    let tally = Tally::default();
    let (clock, mock) = Clock::mock();
    let cache = Cache::builder().clock(clock).hasher(Constant).build().unwrap();
    let mut random = Random(7);
    let mut panics = 0;
    for _ in 0..20_000 {
        let act = acts[random.below(9) as usize];
        let key = random.below(12) as u32;
        let fuse = random.below(12) as i64 - 1;
        panics += u32::from(with_fuse(fuse, || act(&cache, key, &tally)));
        mock.advance(SECOND * 7);
        if random.below(64) == 0 {
            check(&cache);
        }
    }
    assert!(panics > 1000, "{panics} calls panicked");
    check(&cache);
    drop(cache);
    assert_eq!(tally.dropped(), tally.made());
}

#[test]
fn a_panic_in_a_drop_is_counted_and_stops_nothing() {
    let tally = Tally::default();
    let (cache, _clock) = cache();
    for key in 0..100u32 {
        cache.insert(key, Grumpy(Some(tally.value()))).unwrap();
        cache.insert(key, Grumpy(Some(tally.value()))).unwrap();
    }
    cache.clear();
    // The 10th drop panics, then the fuse is out.
    FUSE.with(|fuse| fuse.set(10));
    flush_all(&cache);
    FUSE.with(|fuse| fuse.set(-1));
    assert_eq!(tally.dropped(), 200);
    assert_eq!(cache.stats().panics, 1);
    check(&cache);
    cache.insert(1, Grumpy(None)).unwrap();
    FUSE.with(|fuse| fuse.set(0));
    drop(cache);
    FUSE.with(|fuse| fuse.set(-1));
}

#[test]
fn a_panic_in_a_closure_ends_its_pin() {
    let (cache, _clock) = cache();
    let tally = Tally::default();
    cache.insert(1, tally.value()).unwrap();
    let outcome = catch_unwind(AssertUnwindSafe(|| cache.get_with(&1, |_| panic!("closure"))));
    assert!(outcome.is_err());
    assert!(cache.remove(&1));
    flush_all(&cache);
    assert_eq!(tally.dropped(), 1);
    check(&cache);
}

#[test]
fn a_panic_in_the_drop_of_a_key_loses_no_answer_of_an_entry() {
    #[derive(PartialEq, Eq, Hash)]
    struct Key(u32);
    impl Drop for Key {
        fn drop(&mut self) {
            burn();
        }
    }
    let tally = Tally::default();
    let (parents, _clock) = cache_with(|b: Builder<Key, ()>| b);
    let cache: Cache<Key, Arc<Counted>> = Cache::builder().linked_to(&parents).build().unwrap();
    let offered = || cache.entry(Key(1)).or_insert(tally.value().into());
    let failed = || {
        let load = || Err(tally.value());
        parents.entry(Key(1)).or_try_insert_with(load)
    };
    let panics = [
        with_fuse(0, || assert!(offered().is_err(), "it has no parent")),
        with_fuse(0, || assert!(failed().is_err(), "the loader fails")),
    ];
    assert_eq!(panics, [true; 2]);
    assert_eq!((tally.made(), tally.dropped()), (2, 2));
}

#[test]
fn a_panic_in_the_drop_of_a_clone_loses_no_value_that_was_refused() {
    #[derive(Clone)]
    struct Loud(#[allow(dead_code)] Arc<Counted>);
    impl Drop for Loud {
        fn drop(&mut self) {
            burn();
        }
    }
    let tally = Tally::default();
    let (full, _clock) = cache_with(|b: Builder<u32, Loud>| b.max_entries(0));
    let offer = || drop(full.entry(1).or_insert(Loud(tally.value().into())));
    assert!(with_fuse(0, offer), "the drop of the clone panics");
    assert_eq!((tally.made(), tally.dropped()), (1, 1));
}
