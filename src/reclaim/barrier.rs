//! The two sides of the store-load pair between pins and grace periods.
//!
//! On Linux the rare side asks the kernel to let every running thread of the process pass a full
//! barrier (`membarrier(2)`, private expedited), so that the frequent side needs none: a pin costs
//! 1 ns instead of 6. Elsewhere, and where the kernel refuses, both sides use a fence.

use crate::sync::atomic::{Ordering, fence};

#[cfg(not(all(target_os = "linux", not(any(loom, shuttle, miri)))))]
pub(crate) use symmetric::{heavy, light, prepare};

#[cfg(all(target_os = "linux", not(any(loom, shuttle, miri))))]
pub(crate) use asymmetric::{heavy, light, prepare};

#[cfg(not(all(target_os = "linux", not(any(loom, shuttle, miri)))))]
mod symmetric {
    use super::{Ordering, fence};

    /// Before a thread's first pin.
    pub(crate) fn prepare() {}

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

#[cfg(all(target_os = "linux", not(any(loom, shuttle, miri))))]
mod asymmetric {
    use super::{Ordering, fence};
    use crate::sync::atomic::{AtomicU8, compiler_fence};

    /// From linux/membarrier.h.
    const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

    const UNDECIDED: u8 = 0;
    const REFUSED: u8 = 1;
    const SERVED: u8 = 2;

    /// Whether readers may leave the barrier to `heavy`. Decided once, before the first pin.
    static KERNEL: AtomicU8 = AtomicU8::new(UNDECIDED);

    fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: the call takes three integers and touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    /// Before a thread's first pin: sees to it that it is decided whether the kernel serves us.
    /// Threads that come at once all ask, and the first answer stands: nobody waits.
    pub(crate) fn prepare() {
        // Relaxed, here and below: from here on this thread sees the one answer, and no other one
        // is ever written.
        if KERNEL.load(Ordering::Relaxed) == UNDECIDED {
            let answer = if membarrier(REGISTER_PRIVATE_EXPEDITED) { SERVED } else { REFUSED };
            let (order, lost) = (Ordering::Relaxed, Ordering::Relaxed);
            let _ = KERNEL.compare_exchange(UNDECIDED, answer, order, lost);
        }
    }

    /// Whether `light` costs nothing.
    #[inline(always)]
    fn is_asymmetric() -> bool {
        // Relaxed: see `prepare`.
        KERNEL.load(Ordering::Relaxed) == SERVED
    }

    /// The reader's side.
    #[inline(always)]
    pub(crate) fn light() {
        if is_asymmetric() {
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
        if is_asymmetric() {
            // A process that was forked may have to register anew.
            let passed = membarrier(PRIVATE_EXPEDITED)
                || (membarrier(REGISTER_PRIVATE_EXPEDITED) && membarrier(PRIVATE_EXPEDITED));
            assert!(passed, "membarrier(2) was forbidden after the first use of a cache");
        }
    }
}
