//! One private epoch collector for the crate: pins, and grace periods that end when asked to.

use crate::sync::{TINY, thread_local, yield_now};
use crossbeam_epoch::{Collector, Guard, LocalHandle};
use std::sync::Arc;
#[cfg(not(shuttle))]
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Private, so that other crates' long pins do not hold back our values, and ours not theirs.
#[cfg(not(shuttle))]
fn collector() -> &'static Collector {
    static COLLECTOR: OnceLock<Collector> = OnceLock::new();
    COLLECTOR.get_or_init(Collector::new)
}

/// One for each model: they run side by side, each on an OS thread of its own.
#[cfg(shuttle)]
fn collector() -> Collector {
    std::thread_local!(static COLLECTOR: Collector = Collector::new());
    COLLECTOR.with(Collector::clone)
}

thread_local! {
    static HANDLE: LocalHandle = collector().register();
}

/// Proof that the current thread is pinned: what it can reach now is not recycled before this
/// drops.
pub(crate) struct Pin(Guard);

/// Pins the current thread.
#[inline]
pub(crate) fn pin() -> Pin {
    // During thread-local destruction the handle may be gone: register for this one pin.
    Pin(HANDLE.try_with(LocalHandle::pin).unwrap_or_else(|_| collector().register().pin()))
}

impl Pin {
    /// Frees a box of plain memory (no user code in its drop) once nobody can be reading it.
    ///
    /// # Safety
    /// - `pointer` came from `Box::into_raw`, and this is called once for it.
    /// - No thread that pins after this call can reach it.
    /// - Dropping `T` runs no user code and may happen on any thread.
    pub(crate) unsafe fn defer_free<T>(&self, pointer: *mut T) {
        // SAFETY: by the contract the pointer is unique garbage, and the closure may run anywhere.
        unsafe { self.0.defer_unchecked(move || drop(Box::from_raw(pointer))) };
        // Hand it on at once: this thread may go idle.
        self.0.flush();
    }
}

/// Attempts that only spin, before those that let other threads run.
const SPINS: u32 = if TINY { 2 } else { 32 };

/// Waits until every pin that exists now has ended, for at most `yields` turns of other threads
/// and as long as `proceed` says so. `false`: some reader is still pinned (perhaps this very
/// thread), so nothing may be erased yet.
pub(crate) fn grace_period(yields: u32, proceed: &mut dyn FnMut() -> bool) -> bool {
    let passed = Arc::new(AtomicBool::new(false));
    let token = Arc::clone(&passed);
    let guard = pin();
    // Release: pairs with the load below.
    guard.0.defer(move || token.store(true, Ordering::Release));
    guard.0.flush();
    drop(guard);
    for attempt in 0..SPINS + yields {
        // Acquire: what readers did before they unpinned happened before what we erase.
        if passed.load(Ordering::Acquire) {
            return true;
        }
        if attempt >= SPINS {
            if !proceed() {
                break;
            }
            yield_now();
        }
        pin().0.flush();
    }
    passed.load(Ordering::Acquire)
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn a_grace_period_ends_when_nobody_is_pinned_and_not_while_somebody_is() {
        let own = pin();
        assert!(!grace_period(8, &mut || true), "this thread is pinned");
        drop(own);
        // Other tests of this process pin too, so it may take more than one call.
        assert!((0..10_000).any(|_| grace_period(8, &mut || true)));
    }
}
