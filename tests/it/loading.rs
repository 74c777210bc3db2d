//! Values that are loaded: one load per key at a time, and none that outlives a removal.

use crate::support::*;
use idlewheel::*;
use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

type Users = Cache<u32, u32>;

fn unwanted() -> u32 {
    panic!("loaded once more");
}

#[test]
fn what_is_there_is_not_loaded_and_is_touched() {
    let (cache, mock) = cache::<u32, u32>();
    assert_eq!(cache.get_or_insert_with(1, || 10).unwrap(), 10);
    mock.advance(20 * MINUTE);
    assert_eq!(cache.get_or_insert_with(1, unwanted).unwrap(), 10);
    assert_eq!(cache.entry(1).or_insert(11).unwrap(), 10);
    mock.advance(20 * MINUTE);
    assert_eq!(cache.peek(&1), Some(10));
    mock.advance(HOUR);
    assert_eq!(cache.get_or_insert_with(1, || 12).unwrap(), 12);
    assert_eq!(cache.stats().inserted, 2);
    check(&cache);
}

#[test]
fn many_threads_that_want_one_key_load_it_once() {
    let (cache, _mock) = cache::<u32, u32>();
    let (loads, barrier) = (AtomicU32::new(0), Barrier::new(4));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for key in 0..500 {
                    barrier.wait();
                    let load = || {
                        thread::yield_now();
                        loads.fetch_add(1, Ordering::Relaxed);
                        key + 1000
                    };
                    assert_eq!(cache.get_or_insert_with(key, load).unwrap(), key + 1000);
                }
            });
        }
    });
    assert_eq!(loads.into_inner(), 500);
    check_after_races(&cache);
}

#[test]
fn a_load_that_fails_or_panics_leaves_nothing_behind_and_the_next_one_runs() {
    let (cache, _mock) = cache::<u32, u32>();
    let failed = cache.get_or_try_insert_with(1, || Err::<u32, _>("no such user"));
    let error = failed.unwrap_err();
    assert_eq!(error.to_string(), "the loader failed: no such user");
    assert_eq!((error.kind(), error.into_value()), (None, None));
    let panicked = catch_unwind(AssertUnwindSafe(|| cache.get_or_insert_with(1, || panic!())));
    assert!(panicked.is_err());
    assert_eq!((cache.len(), cache.stats().inserted), (0, 0));
    // One that waits meanwhile.
    let (loading, waiting) = (Barrier::new(2), AtomicU32::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            let load = || {
                loading.wait();
                while waiting.load(Ordering::Acquire) == 0 {
                    thread::yield_now();
                }
                panic!("a load that panics");
            };
            catch_unwind(AssertUnwindSafe(|| cache.get_or_insert_with(1, load))).unwrap_err();
        });
        loading.wait();
        waiting.store(1, Ordering::Release);
        assert_eq!(cache.get_or_insert_with(1, || 10).unwrap(), 10);
    });
    check_after_races(&cache);
}

/// Something that removes key 1.
type Remover = fn(&Users);

#[test]
fn what_is_loaded_for_a_key_that_was_removed_meanwhile_is_not_stored() {
    let removers: [Remover; 3] =
        [|users| _ = users.remove(&1), |users| _ = users.take(&1), Cache::clear];
    for remove in removers {
        let (cache, _mock) = cache::<u32, u32>();
        let error = cache.get_or_insert_with(1, || {
            remove(&cache);
            10
        });
        let error = error.unwrap_err();
        assert_eq!(error.kind(), Some(InsertErrorKind::RemovedMeanwhile));
        assert_eq!((error.into_value(), cache.get(&1)), (Some(10), None));
        assert_eq!(cache.get_or_insert_with(1, || 11).unwrap(), 11);
        check(&cache);
    }
    // Another key's removal is no reason.
    let (cache, _mock) = cache::<u32, u32>();
    let loaded = cache.get_or_insert_with(1, || {
        cache.remove(&2);
        10
    });
    assert_eq!(loaded.unwrap(), 10);
    check(&cache);
}

#[test]
fn of_a_value_that_came_meanwhile_the_load_has_that_one() {
    let (cache, _mock) = cache::<u32, u32>();
    let load = || {
        cache.insert(1, 11).unwrap();
        10
    };
    assert_eq!(cache.get_or_insert_with(1, load).unwrap(), 11);
    // It was removed, and came again: that is no resurrection.
    cache.remove(&1);
    let load = || {
        cache.remove(&1);
        cache.insert(1, 12).unwrap();
        10
    };
    assert_eq!(cache.get_or_insert_with(1, load).map_err(|error| error.kind()), Ok(12));
    check(&cache);
}

#[test]
fn a_load_may_load_other_keys_and_its_own() {
    let (cache, _mock) = cache::<u32, u32>();
    let loaded = cache.get_or_insert_with(1, || {
        let other = cache.get_or_insert_with(2, || 20).unwrap();
        let own = cache.get_or_insert_with(1, || 10).unwrap();
        other + own + 1
    });
    assert_eq!(loaded.unwrap(), 10, "the inner load was first");
    check(&cache);
}

#[test]
fn timeouts_and_parents_of_an_entry_are_those_of_what_is_inserted() {
    let (users, mock) = cache::<u32, u32>();
    let sessions = Cache::<u64, u32>::builder().children_of(&users).build().unwrap();
    let keys = Cache::<u32, u32>::builder().linked_to(&users).build().unwrap();
    users.entry(1).timeouts(Timeouts::new().idle(MINUTE)).or_insert(10).unwrap();
    assert_eq!(keys.get_or_insert_with(1, || 11).unwrap(), 11);
    assert_eq!(sessions.entry(7).child_of(&1).or_insert_with(|| 12).unwrap(), 12);
    assert_eq!(sessions.children(&1), [7]);
    let never = || -> u32 { unreachable!("not worth loading") };
    let kind = |error: LoadError<u32>| error.kind().unwrap();
    let gone = InsertErrorKind::ParentGone;
    assert_eq!(kind(keys.get_or_insert_with(2, never).unwrap_err()), gone);
    assert_eq!(kind(sessions.entry(8).child_of(&2).or_insert_with(never).unwrap_err()), gone);
    assert_eq!(
        kind(sessions.entry(8).or_insert_with(never).unwrap_err()),
        InsertErrorKind::NoParent
    );
    let error = users.entry(3).child_of(&1).or_insert_with(never).unwrap_err();
    assert_eq!(error.kind(), Some(InsertErrorKind::NotLinked));
    assert_eq!(sessions.entry(8).or_insert(5).unwrap_err().into_value(), Some(5));
    mock.advance(2 * MINUTE);
    assert_eq!((users.get(&1), keys.get(&1), sessions.get(&7)), (None, None, None));
    for cache in [&users, &keys] {
        flush_all(cache);
        check(cache);
    }
    check(&sessions);
}

#[test]
fn a_load_is_its_parents_activity_from_its_begin_if_the_link_asks_for_that() {
    for touches in [true, false] {
        let (users, mock) = cache::<u32, u32>();
        let keys = Cache::<u32, u32>::builder().linked_to(&users).touches_parent(touches);
        let keys = keys.build().unwrap();
        users.insert(1, 0).unwrap();
        mock.advance(20 * MINUTE);
        let loaded = keys.get_or_insert_with(1, || {
            mock.advance(20 * MINUTE);
            5
        });
        assert_eq!(loaded.is_ok(), touches, "the load took until after the parent's deadline");
        assert_eq!(users.contains_key(&1), touches);
        check(&users);
        check(&keys);
    }
}

#[test]
fn what_is_loaded_for_a_parent_is_not_given_to_the_next_one() {
    let (users, _mock) = cache::<u32, u32>();
    let keys = Cache::<u32, u32>::builder().linked_to(&users).build().unwrap();
    let sessions = Cache::<u64, u32>::builder().children_of(&users).build().unwrap();
    users.insert(1, 10).unwrap();
    let again = || {
        users.remove(&1);
        users.insert(1, 11).unwrap();
        5
    };
    let gone = Some(InsertErrorKind::ParentGone);
    assert_eq!(keys.get_or_insert_with(1, again).unwrap_err().kind(), gone);
    assert_eq!(sessions.entry(7).child_of(&1).or_insert_with(again).unwrap_err().kind(), gone);
    assert_eq!((keys.len(), sessions.len()), (0, 0));
    check(&keys);
    check(&sessions);
}

#[test]
fn a_modification_sees_the_latest_value_and_a_failed_one_is_told() {
    let (cache, _mock) = cache::<u32, u32>();
    for _ in 0..3 {
        cache.entry(1).and_modify(|count| count + 1).or_insert(1).unwrap();
    }
    assert_eq!(cache.get(&1), Some(3));
    assert!(!cache.modify(&2, |_| unreachable!()).unwrap());
    thread::scope(|scope| {
        for _ in 0..3 {
            scope
                .spawn(|| (0..1000).for_each(|_| _ = cache.modify(&1, |count| count + 1).unwrap()));
        }
    });
    assert_eq!(cache.get(&1), Some(3003));
    flush_all(&cache);
    check_after_races(&cache);

    let (cache, _mock) = cache_with(|builder: Builder<u32, u32>| builder.slot_limit(1));
    let mut key = 0;
    while cache.insert(key, 0).is_ok() {
        key += 1;
    }
    let error = cache.entry(0).and_modify(|count| count + 7).or_insert(0).unwrap_err();
    assert_eq!((error.kind(), error.into_value()), (Some(InsertErrorKind::Full), Some(7)));
    check(&cache);
}

#[test]
fn a_full_cache_returns_what_was_loaded() {
    let (cache, _mock) = cache_with(|builder: Builder<u32, u32>| {
        builder.max_entries(1).capacity_policy(CapacityPolicy::RejectNew)
    });
    cache.insert(1, 10).unwrap();
    let error = cache.get_or_insert_with(2, || 20).unwrap_err();
    assert_eq!(error.kind(), Some(InsertErrorKind::AtCapacity));
    assert!(error.to_string().starts_with("the loaded value was not stored"));
    assert_eq!(format!("{error:?}"), "NotStored(InsertError { kind: AtCapacity, .. })");
    assert_eq!(error.into_value(), Some(20));
    check(&cache);
}

/// Wakes by unparking.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let (mut future, waker) = (pin!(future), Waker::from(Arc::new(Unpark(thread::current()))));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

/// Counts how often it wakes.
#[derive(Default)]
struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Is ready at the second poll.
struct Later(u32, bool);

impl Future for Later {
    type Output = u32;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u32> {
        if std::mem::replace(&mut self.1, true) {
            return Poll::Ready(self.0);
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

fn is_send<T: Send>(value: T) -> T {
    value
}

#[test]
fn tasks_that_want_one_key_wait_without_blocking_and_load_it_once() {
    let (cache, _mock) = cache::<u32, u32>();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    let mut first = pin!(is_send(cache.get_or_insert_async(1, Later(10, false))));
    let mut second = pin!(cache.get_or_insert_async(1, async { unwanted() }));
    assert!(first.as_mut().poll(&mut context).is_pending());
    assert!(second.as_mut().poll(&mut context).is_pending());
    assert!(second.as_mut().poll(&mut context).is_pending());
    assert_eq!(woken.0.swap(0, Ordering::Relaxed), 1);
    let ready = |poll: Poll<Result<u32, LoadError<u32>>>| match poll {
        Poll::Ready(result) => result.unwrap(),
        Poll::Pending => panic!("not woken"),
    };
    assert_eq!(ready(first.as_mut().poll(&mut context)), 10);
    assert!(woken.0.load(Ordering::Relaxed) > 0, "the other task sleeps on");
    assert_eq!(ready(second.as_mut().poll(&mut context)), 10);
    check(&cache);
}

#[test]
fn a_load_that_is_cancelled_wakes_the_next_one() {
    let (cache, _mock) = cache::<u32, u32>();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    let mut first = Box::pin(cache.get_or_insert_async(1, std::future::pending()));
    let mut second = pin!(cache.get_or_insert_async(1, async { 20 }));
    assert!(first.as_mut().poll(&mut context).is_pending());
    assert!(second.as_mut().poll(&mut context).is_pending());
    // A thread that waits as well.
    thread::scope(|scope| {
        let thread = scope.spawn(|| cache.get_or_insert_with(1, || 20).unwrap());
        drop(first);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(matches!(block_on(second.as_mut()), Ok(20)));
        assert_eq!(thread.join().unwrap(), 20);
    });
    check_after_races(&cache);
}

#[test]
fn a_task_is_told_of_a_removal_and_of_its_own_failure() {
    let (cache, _mock) = cache::<u32, u32>();
    let removed = block_on(cache.get_or_insert_async(1, async {
        cache.remove(&1);
        10
    }));
    assert_eq!(removed.unwrap_err().kind(), Some(InsertErrorKind::RemovedMeanwhile));
    let failed = block_on(cache.get_or_try_insert_async(1, async { Err::<u32, _>("down") }));
    assert!(matches!(failed, Err(LoadError::Failed("down"))));
    assert!(cache.is_empty());
    check(&cache);
}

/// A value whose clone panics when asked to.
struct Grudging;

thread_local! {
    static GRUDGE: Cell<bool> = const { Cell::new(false) };
}

impl Clone for Grudging {
    fn clone(&self) -> Self {
        assert!(!GRUDGE.get(), "a value that is not cloned");
        Grudging
    }
}

#[test]
fn a_panic_in_clone_ends_the_load() {
    let (cache, _mock) = cache::<u32, Grudging>();
    GRUDGE.set(true);
    let stored = catch_unwind(AssertUnwindSafe(|| cache.get_or_insert_with(1, || Grudging)));
    assert!(stored.is_err());
    GRUDGE.set(false);
    assert!(cache.get_or_insert_with(1, || Grudging).is_ok());
    check(&cache);
}

#[test]
fn loads_against_removals_never_bring_back_what_was_loaded_before() {
    let (cache, _mock) = cache::<u32, u32>();
    // The number of the latest removal that has returned.
    let removals = AtomicU32::new(0);
    let faults = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    let load = || removals.load(Ordering::SeqCst);
                    _ = cache.get_or_insert_with(1, load);
                    let before = removals.load(Ordering::SeqCst);
                    if let Some(loaded) = cache.get(&1).filter(|loaded| *loaded < before) {
                        faults.lock().unwrap().push((loaded, before));
                    }
                }
            });
        }
        for _ in 0..20_000 {
            cache.remove(&1);
            removals.fetch_add(1, Ordering::SeqCst);
        }
    });
    // A load that began before the n-th removal returned may have begun after it took effect.
    let faults: Vec<_> = faults.into_inner().unwrap();
    let late = faults.iter().filter(|(loaded, before)| loaded + 1 < *before).count();
    assert_eq!(late, 0, "{faults:?}");
    flush_all(&cache);
    check_after_races(&cache);
}
