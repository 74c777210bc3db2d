//! Pins in models with weak memory: no grace period ends, so nothing is freed or used again. What a
//! pin protects has models of its own, which play the grace periods themselves.
//!
//! A pin orders nothing here, as where the kernel serves the other side's barriers.

use std::cell::Cell;

loom::thread_local! {
    static NUMBER: Cell<u32> = Cell::new(0);
}

/// Proof of a pin.
pub(crate) struct Pin;

/// Pins the current thread.
pub(crate) fn pin() -> Pin {
    Pin
}

/// Gives the current thread a number that no other thread has; the first one has 0.
pub(crate) fn take_number(number: u32) {
    NUMBER.with(|own| own.set(number));
}

impl Pin {
    /// Models never free a table.
    ///
    /// # Safety
    /// - None: it leaks.
    pub(crate) unsafe fn defer_free<T>(&self, _pointer: *mut T) {}
}

/// How long a grace period is waited for: not at all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    Little,
    Turns,
}

/// Some reader is always pinned.
pub(crate) fn grace_period(_patience: Patience, _proceed: &mut dyn FnMut() -> bool) -> bool {
    false
}

/// Nothing waits to be freed.
pub(crate) fn has_garbage() -> bool {
    false
}
