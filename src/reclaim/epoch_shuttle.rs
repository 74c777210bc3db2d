//! Stands in for crossbeam-epoch in models of whole caches: a grace period is over once each pin that
//! existed when it began has ended. crossbeam-epoch has models of its own.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::marker::PhantomData;

std::thread_local! {
    // All threads of a model run on one OS thread, so this reaches all of them.
    static EPOCH: RefCell<Epoch> = RefCell::default();
}

/// All pins of one model, and the memory that waits for them.
#[derive(Default)]
struct Epoch {
    /// Pins so far.
    pins: u64,
    /// Those that have not ended.
    pinned: BTreeSet<u64>,
    garbage: Vec<(Grace, Box<dyn FnOnce()>)>,
}

/// Proof of a pin.
pub(crate) struct Pin(u64, PhantomData<*mut ()>);

/// Pins the current thread.
pub(crate) fn pin() -> Pin {
    EPOCH.with_borrow_mut(|epoch| {
        epoch.pins += 1;
        epoch.pinned.insert(epoch.pins);
        Pin(epoch.pins, PhantomData)
    })
}

impl Drop for Pin {
    fn drop(&mut self) {
        // Out of the borrow: memory that is freed may pin.
        let due = EPOCH.with_borrow_mut(|epoch| {
            epoch.pinned.remove(&self.0);
            let Epoch { pinned, garbage, .. } = epoch;
            garbage.extract_if(.., |(grace, _)| grace.ended_in(pinned)).collect::<Vec<_>>()
        });
        due.into_iter().for_each(|(_, free)| free());
    }
}

impl Pin {
    /// Frees a box of plain memory once no thread can be reading it.
    ///
    /// # Safety
    /// - `pointer` came from `Box::into_raw`, and this is called once for it.
    /// - No thread that pins after this call can reach it.
    /// - Dropping `T` runs no user code and may happen on any thread.
    pub(crate) unsafe fn defer_free<T: 'static>(&self, pointer: *mut T) {
        // SAFETY: by the contract.
        let free = Box::new(move || drop(unsafe { Box::from_raw(pointer) }));
        EPOCH.with_borrow_mut(|epoch| {
            let grace = Grace(epoch.pinned.clone());
            epoch.garbage.push((grace, free));
        });
    }
}

/// Whether the current thread is pinned: models do not ask.
pub(super) fn is_pinned() -> bool {
    false
}

/// Nothing has to be advanced.
pub(super) fn advance() {}

/// The pins that existed when the grace period began.
pub(crate) struct Grace(BTreeSet<u64>);

impl Grace {
    /// Begins a grace period.
    pub(crate) fn begin() -> Self {
        EPOCH.with_borrow(|epoch| Grace(epoch.pinned.clone()))
    }

    /// Whether it is over.
    pub(crate) fn is_over(&self) -> bool {
        EPOCH.with_borrow(|epoch| self.ended_in(&epoch.pinned))
    }

    fn ended_in(&self, pinned: &BTreeSet<u64>) -> bool {
        self.0.is_disjoint(pinned)
    }
}
