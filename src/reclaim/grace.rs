//! Pins, and grace periods that end when asked to.

use super::barrier;
use super::garbage::{Garbage, free};
use super::readers::{Reader, Readers};
use crate::sync::{TINY, thread_local, yield_now};
use std::cell::Cell;

/// What the process has, private to this crate.
struct Shared {
    readers: Readers,
    garbage: Garbage,
}

// SAFETY: the list of garbage is handed on by its own atomic.
unsafe impl Sync for Shared {}

#[cfg(not(shuttle))]
fn shared() -> &'static Shared {
    static SHARED: Shared = Shared { readers: Readers::new(), garbage: Garbage::new() };
    &SHARED
}

/// One for each model: they run side by side, each on an OS thread of its own.
#[cfg(shuttle)]
fn shared() -> &'static Shared {
    std::thread_local!(static SHARED: &'static Shared =
        Box::leak(Box::new(Shared { readers: Readers::new(), garbage: Garbage::new() })));
    SHARED.with(|shared| *shared)
}

thread_local! {
    /// The record of this thread, if it has one. No destructor: every pin comes here.
    static READER: Cell<Option<&'static Reader>> = const { Cell::new(None) };
    /// Gives the record back when the thread ends.
    static LEASE: Lease = const { Lease(Cell::new(None)) };
}

/// Has the record itself, too: in models `READER` ends first.
struct Lease(Cell<Option<&'static Reader>>);

impl Drop for Lease {
    fn drop(&mut self) {
        let _ = READER.try_with(Cell::take);
        if let Some(reader) = self.0.take() {
            reader.give_back();
        }
    }
}

/// Proof that the current thread is pinned: what it can reach now is not recycled before this
/// drops. Neither `Send` nor `Sync`.
pub(crate) struct Pin {
    reader: &'static Reader,
    marker: std::marker::PhantomData<*mut ()>,
}

/// Pins the current thread.
#[inline]
pub(crate) fn pin() -> Pin {
    let reader = READER.try_with(Cell::get).ok().flatten().unwrap_or_else(register);
    reader.enter();
    Pin { reader, marker: std::marker::PhantomData }
}

#[cold]
#[inline(never)]
fn register() -> &'static Reader {
    barrier::prepare();
    let reader = shared().readers.register();
    if LEASE.try_with(|lease| lease.0.set(Some(reader))).is_ok() {
        READER.with(|own| own.set(Some(reader)));
    } else {
        // The thread is ending: the record is for this one pin.
        reader.set_temporary();
    }
    reader
}

impl Pin {
    /// Frees a box of plain memory (no user code in its drop) once nobody can be reading it.
    ///
    /// # Safety
    /// - `pointer` came from `Box::into_raw`, and this is called once for it.
    /// - No thread that pins after this call can reach it.
    /// - Dropping `T` runs no user code and may happen on any thread.
    pub(crate) unsafe fn defer_free<T>(&self, pointer: *mut T) {
        // SAFETY: by the contract.
        unsafe { shared().garbage.add(pointer) };
    }
}

impl Drop for Pin {
    #[inline]
    fn drop(&mut self) {
        self.reader.leave();
    }
}

/// How long a grace period is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// A moment: the thread has other things to do.
    Little,
    /// While other threads get their turns.
    Turns,
}

impl Patience {
    /// Attempts that only spin.
    const SPINS: u32 = if TINY { 2 } else { 32 };
    /// Attempts after which other threads may run.
    const TURNS: u32 = if TINY { 16 } else { 512 };

    fn attempts(self) -> u32 {
        match self {
            Patience::Little => Self::SPINS,
            Patience::Turns => Self::SPINS + Self::TURNS,
        }
    }
}

/// Waits until every pin that exists now has ended, with some patience and as long as `proceed`
/// says so. `false`: some reader is still pinned, so nothing may be erased yet. It is not waited
/// for if it is this very thread.
pub(crate) fn grace_period(patience: Patience, proceed: &mut dyn FnMut() -> bool) -> bool {
    let garbage = shared().garbage.take();
    let mut pinned = shared().readers.pinned();
    let own = READER.try_with(Cell::get).ok().flatten();
    let is_own = own.is_some_and(|own| pinned.iter().any(|turn| turn.is_of(own)));
    let patience = if is_own { Patience::Little } else { patience };
    for attempt in 0..patience.attempts() {
        pinned.retain(|turn| !turn.is_over());
        if pinned.is_empty() {
            break;
        }
        if attempt < Patience::SPINS {
            std::hint::spin_loop();
        } else if proceed() {
            yield_now();
        } else {
            break;
        }
    }
    let passed = pinned.is_empty();
    if passed {
        // A writer, which gives no turns, must not be held up by tables of all shards at once.
        let most = if patience == Patience::Little { 1 } else { usize::MAX };
        // SAFETY: taken by this thread, before the grace period began.
        let rest = unsafe { free(garbage, most) };
        // SAFETY: what is left of that.
        unsafe { shared().garbage.put_back(rest) };
    } else {
        // SAFETY: taken by this thread.
        unsafe { shared().garbage.put_back(garbage) };
    }
    passed
}

/// Whether memory waits for a grace period, whoever's.
#[inline]
pub(crate) fn has_garbage() -> bool {
    shared().garbage.exists()
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn a_grace_period_ends_when_nobody_is_pinned_and_not_while_somebody_is() {
        let own = pin();
        assert!(!grace_period(Patience::Turns, &mut || true), "this thread is pinned");
        {
            let _nested = pin();
        }
        assert!(
            !grace_period(Patience::Turns, &mut || true),
            "the end of a nested pin is not the end"
        );
        drop(own);
        // Other tests of this process pin too, so it may take more than one call.
        assert!((0..10_000).any(|_| grace_period(Patience::Turns, &mut || true)));
    }

    #[test]
    fn records_of_threads_that_have_ended_are_reused() {
        let readers = Readers::new();
        let first: *const Reader = readers.register();
        let second: *const Reader = readers.register();
        assert_ne!(first, second);
        // SAFETY: records live as long as `readers`.
        unsafe { &*first }.give_back();
        assert_eq!(std::ptr::from_ref(readers.register()), first);
    }
}
