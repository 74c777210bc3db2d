//! Reclamation: when a removed slot may be erased, and which ones wait for it.
//!
//! crossbeam-epoch keeps the pins and ends the grace periods ([`epoch`]). It is handed memory and
//! tokens only: a deferred function frees a box of plain memory, or says that a [`Grace`] is over.
//! Keys and values never go there. A removed slot's bit is set in the [`Limbo`]; a sweeping or
//! flushing thread collects the bits, begins a grace period, and drops the values itself once it is
//! over, outside of any pin. So no value is dropped in a reader, and none waits in an idle thread.

mod limbo;

#[cfg(not(any(loom, shuttle)))]
mod epoch;
#[cfg(loom)]
#[path = "epoch_loom.rs"]
mod epoch;
#[cfg(shuttle)]
#[path = "epoch_shuttle.rs"]
mod epoch;

#[cfg(all(test, loom))]
mod model;

pub(crate) use epoch::{Grace, Pin, pin};
pub(crate) use limbo::Limbo;

use crate::sync::{TINY, yield_now};

/// How long a grace period is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// A moment: the thread has other things to do.
    Little,
    /// While other threads get their turns.
    Turns,
}

impl Patience {
    /// Attempts that only spin. An epoch needs three of them if nobody is pinned.
    const SPINS: u32 = if TINY { 2 } else { 8 };
    /// Attempts after which other threads may run.
    const TURNS: u32 = if TINY { 16 } else { 512 };
}

impl Grace {
    /// Waits until the grace period is over, with some patience and as long as `proceed` says so.
    /// `false`: some thread is still pinned, so nothing may be erased yet. It is not waited for if
    /// it is the calling thread.
    pub(crate) fn wait(&self, patience: Patience, mut proceed: impl FnMut() -> bool) -> bool {
        let turns = patience == Patience::Turns && !epoch::is_pinned();
        for attempt in 0..Patience::SPINS + if turns { Patience::TURNS } else { 0 } {
            if self.is_over() {
                return true;
            }
            epoch::advance();
            if attempt < Patience::SPINS {
                std::hint::spin_loop();
            } else if proceed() {
                yield_now();
            } else {
                break;
            }
        }
        self.is_over()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// Other tests of this process pin too, so it may take more than one attempt.
    fn is_over_in_time(grace: &Grace) -> bool {
        (0..10_000).any(|_| grace.wait(Patience::Turns, || true))
    }

    #[test]
    fn a_grace_period_ends_when_nobody_is_pinned_and_not_while_somebody_is() {
        let own = pin();
        let grace = Grace::begin();
        assert!(!grace.wait(Patience::Turns, || true), "this thread is pinned");
        drop(pin());
        assert!(!grace.wait(Patience::Turns, || true), "the end of a nested pin is not the end");
        drop(own);
        assert!(is_over_in_time(&grace));
    }

    #[test]
    fn a_reader_on_another_thread_holds_up_the_grace_periods_that_begin_under_its_pin() {
        let (to_reader, from_test) = std::sync::mpsc::channel::<()>();
        let (to_test, from_reader) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            let pin = pin();
            to_test.send(()).unwrap();
            from_test.recv().unwrap();
            drop(pin);
        });
        from_reader.recv().unwrap();
        let grace = Grace::begin();
        assert!(!grace.wait(Patience::Turns, || true), "the reader is pinned");
        to_reader.send(()).unwrap();
        reader.join().unwrap();
        assert!(is_over_in_time(&grace));
    }

    #[test]
    fn a_thread_may_pin_while_its_locals_are_destroyed() {
        struct Late;
        impl Drop for Late {
            fn drop(&mut self) {
                drop(pin());
                Grace::begin().wait(Patience::Little, || true);
            }
        }
        std::thread_local!(static LATE: Late = const { Late });
        // Locals are destroyed in no certain order: one thread has the pins' own first, one last.
        for first in [true, false] {
            let thread = std::thread::spawn(move || {
                if first {
                    drop(pin());
                }
                LATE.with(|_| {});
                drop(pin());
            });
            thread.join().unwrap();
        }
        assert!(is_over_in_time(&Grace::begin()), "a thread that has ended is still pinned");
    }

    #[test]
    fn memory_that_was_given_up_is_freed_by_later_grace_periods() {
        let kept = std::sync::Arc::new(());
        let pointer = Box::into_raw(Box::new(std::sync::Arc::clone(&kept)));
        let pin = pin();
        // SAFETY: from a box, given up once, and nobody else knows of it.
        unsafe { pin.defer_free(pointer) };
        drop(pin);
        assert!((0..10_000).any(|_| {
            Grace::begin().wait(Patience::Turns, || true);
            std::sync::Arc::strong_count(&kept) == 1
        }));
    }
}
