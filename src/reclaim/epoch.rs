//! Pins and grace periods by crossbeam-epoch, with one collector for this crate.
//!
//! Epoch-based reclamation: Fraser, "Practical lock-freedom" (PhD thesis, University of Cambridge,
//! 2004). A program's own use of crossbeam-epoch has another collector, so neither waits for the
//! other's pins.

use crate::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use crossbeam_epoch::{Collector, Guard, LocalHandle};
use std::ptr::null_mut;
use std::sync::Arc;

thread_local! {
    static HANDLE: LocalHandle = collector().register();
}

/// The collector, made by the first thread that asks. No `OnceLock`: threads that come at once each
/// make one, and the first one stands, so nobody waits.
#[cold]
fn collector() -> &'static Collector {
    static COLLECTOR: AtomicPtr<Collector> = AtomicPtr::new(null_mut());
    // Acquire: sees the collector that the exchange below published.
    let mut collector = COLLECTOR.load(Ordering::Acquire);
    if collector.is_null() {
        let own = Box::into_raw(Box::new(Collector::new()));
        // Release: hands the collector to the loads above. Acquire: sees another thread's.
        let (order, lost) = (Ordering::AcqRel, Ordering::Acquire);
        collector = match COLLECTOR.compare_exchange(null_mut(), own, order, lost) {
            Ok(_) => own,
            Err(other) => {
                // SAFETY: from a box, and no other thread has seen it.
                drop(unsafe { Box::from_raw(own) });
                other
            }
        };
    }
    // SAFETY: from a box that is never freed.
    unsafe { &*collector }
}

/// Proof that the current thread is pinned: what it can reach now is not recycled before this
/// drops. Neither `Send` nor `Sync`.
pub(crate) struct Pin(Guard);

/// Pins the current thread.
#[inline]
pub(crate) fn pin() -> Pin {
    Pin(HANDLE.try_with(LocalHandle::pin).unwrap_or_else(|_| pin_once()))
}

/// Pins a thread whose locals are gone already. The guard keeps its registration alive.
#[cold]
#[inline(never)]
fn pin_once() -> Guard {
    collector().register().pin()
}

/// Whether the current thread is pinned.
pub(super) fn is_pinned() -> bool {
    HANDLE.try_with(LocalHandle::is_pinned).unwrap_or(false)
}

/// Tries to begin the next epoch, and runs some deferred functions that are due.
pub(super) fn advance() {
    pin().0.flush();
}

impl Pin {
    /// Frees a box of plain memory once no thread can be reading it.
    ///
    /// # Safety
    /// - `pointer` came from `Box::into_raw`, and this is called once for it.
    /// - No thread that pins after this call can reach it.
    /// - Dropping `T` runs no user code and may happen on any thread.
    pub(crate) unsafe fn defer_free<T>(&self, pointer: *mut T) {
        // SAFETY: once the function runs nobody reads the box, and by the contract it came from
        // `Box::into_raw`, is freed once, and may be dropped on any thread.
        unsafe { self.0.defer_unchecked(move || drop(Box::from_raw(pointer))) };
        // To where every thread finds it: this one may be idle from now on.
        self.0.flush();
    }
}

/// A grace period that has begun: it is over once each thread that was pinned then has unpinned.
pub(crate) struct Grace(Arc<AtomicBool>);

impl Grace {
    /// Begins a grace period.
    pub(crate) fn begin() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let token = Arc::clone(&over);
        let pin = pin();
        // Release: pairs with `is_over`. The epoch ordered it after what readers did.
        pin.0.defer(move || token.store(true, Ordering::Release));
        pin.0.flush();
        Grace(over)
    }

    /// Whether it is over.
    pub(crate) fn is_over(&self) -> bool {
        // Acquire: pairs with the token of `begin`. What readers did under their pins happened
        // before.
        self.0.load(Ordering::Acquire)
    }
}
