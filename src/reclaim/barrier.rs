//! The two sides of the store-load pair between pins and grace periods.
//!
//! On Linux the rare side asks the kernel to let every running thread of the process pass a full
//! barrier (`membarrier(2)`, private expedited), so that the frequent side needs none: a pin costs
//! 1 ns instead of 6. Elsewhere, and where the kernel refuses, both sides use a fence.

use crate::sync::atomic::{Ordering, fence};

#[cfg(not(all(target_os = "linux", not(any(loom, shuttle)))))]
pub(crate) use symmetric::{heavy, is_asymmetric, light, prepare};

#[cfg(all(target_os = "linux", not(any(loom, shuttle))))]
pub(crate) use asymmetric::{heavy, is_asymmetric, light, prepare};

#[cfg(not(all(target_os = "linux", not(any(loom, shuttle)))))]
mod symmetric {
    use super::{Ordering, fence};

    /// Before a thread's first pin.
    pub(crate) fn prepare() {}

    /// Whether `light` costs nothing. Models say so, in order to see the other side's part.
    pub(crate) fn is_asymmetric() -> bool {
        crate::sync::TINY
    }

    /// The reader's side.
    #[inline(always)]
    pub(crate) fn light() {
        // SeqCst: a store-load pair with `heavy`.
        fence(Ordering::SeqCst);
    }

    /// The side of a grace period.
    pub(crate) fn heavy() {
        // SeqCst: a store-load pair with `light`.
        fence(Ordering::SeqCst);
    }
}

#[cfg(all(target_os = "linux", not(any(loom, shuttle))))]
mod asymmetric {
    use super::{Ordering, fence};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, compiler_fence};

    /// From linux/membarrier.h.
    const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

    /// Whether readers may leave the barrier to `heavy`. Decided before the first pin.
    static ASYMMETRIC: AtomicBool = AtomicBool::new(false);

    fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: the call takes three integers and touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    /// Before a thread's first pin: asks once whether the kernel serves us.
    pub(crate) fn prepare() {
        static ASKED: OnceLock<()> = OnceLock::new();
        // Relaxed: every thread comes through the lock before it pins.
        ASKED.get_or_init(|| {
            ASYMMETRIC.store(membarrier(REGISTER_PRIVATE_EXPEDITED), Ordering::Relaxed);
        });
    }

    /// Whether `light` costs nothing.
    pub(crate) fn is_asymmetric() -> bool {
        // Relaxed: see `prepare`.
        ASYMMETRIC.load(Ordering::Relaxed)
    }

    /// The reader's side.
    #[inline(always)]
    pub(crate) fn light() {
        // Relaxed: see `prepare`.
        if ASYMMETRIC.load(Ordering::Relaxed) {
            compiler_fence(Ordering::SeqCst);
        } else {
            // SeqCst: a store-load pair with `heavy`.
            fence(Ordering::SeqCst);
        }
    }

    /// The side of a grace period.
    ///
    /// # Panics
    /// If the kernel served us once and refuses now: without the barrier nothing could ever be
    /// erased, and going on would leak secrets in silence.
    pub(crate) fn heavy() {
        // SeqCst: a store-load pair with `light`, and what the kernel's barrier relies on.
        fence(Ordering::SeqCst);
        if ASYMMETRIC.load(Ordering::Relaxed) {
            // A process that was forked may have to register anew.
            let passed = membarrier(PRIVATE_EXPEDITED)
                || (membarrier(REGISTER_PRIVATE_EXPEDITED) && membarrier(PRIVATE_EXPEDITED));
            assert!(passed, "membarrier(2) was forbidden after the first use of a cache");
        }
    }
}
