//! Stands in for crossbeam-epoch in models with weak memory: no grace period is ever over, so
//! nothing is freed or used again, and a pin orders nothing. What pins protect has models of its own,
//! which play the grace periods themselves; crossbeam-epoch has models of its own, too.

/// Proof of a pin.
pub(crate) struct Pin;

/// Pins the current thread.
pub(crate) fn pin() -> Pin {
    Pin
}

impl Pin {
    /// Models never free a table.
    ///
    /// # Safety
    /// - None: it leaks.
    pub(crate) unsafe fn defer_free<T>(&self, _pointer: *mut T) {}
}

/// Whether the current thread is pinned: models do not ask.
pub(super) fn is_pinned() -> bool {
    false
}

/// Nothing has to be advanced.
pub(super) fn advance() {}

/// A grace period that is never over.
pub(crate) struct Grace;

impl Grace {
    /// Begins a grace period.
    pub(crate) fn begin() -> Self {
        Grace
    }

    /// Whether it is over.
    pub(crate) fn is_over(&self) -> bool {
        false
    }
}
