//! Nanoseconds by the processor's counter.

#[cfg(all(test, not(any(loom, shuttle))))]
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter of nanoseconds. Starts when the process first asks for it.
#[derive(Clone, Copy)]
pub(super) struct Counter(Kind);

#[derive(Clone, Copy)]
enum Kind {
    Process(&'static process::Counter),
    /// Moved by a test.
    #[cfg(all(test, not(any(loom, shuttle))))]
    Mock(&'static AtomicU64),
}

impl Counter {
    /// The process's own. The first call measures how fast it counts.
    pub(super) fn of_process() -> Self {
        Counter(Kind::Process(process::counter()))
    }

    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(super) fn mock(time: &'static AtomicU64) -> Self {
        Counter(Kind::Mock(time))
    }

    /// Apart, so that a read of the published time has nothing of this in its way.
    #[inline(never)]
    pub(super) fn now(self) -> u64 {
        match self.0 {
            Kind::Process(counter) => counter.now(),
            // Acquire: pairs with the tests' stores, whose earlier steps are then visible.
            #[cfg(all(test, not(any(loom, shuttle))))]
            Kind::Mock(time) => time.load(Ordering::Acquire),
        }
    }
}

#[cfg(not(miri))]
mod process {
    use std::sync::OnceLock;

    /// quanta's clock, and its reading when it was made.
    pub(super) struct Counter(quanta::Clock, u64);

    /// Waits for another thread that calls it for the first time, and for nobody afterwards.
    pub(super) fn counter() -> &'static Counter {
        static COUNTER: OnceLock<Counter> = OnceLock::new();
        COUNTER.get_or_init(|| {
            let clock = quanta::Clock::new();
            let start = clock.raw();
            Counter(clock, start)
        })
    }

    impl Counter {
        #[inline]
        pub(super) fn now(&self) -> u64 {
            // Zero, should another core's counter be behind the first reading.
            self.0.delta_as_nanos(self.1, self.0.raw())
        }
    }
}

/// Miri has no counter to read.
#[cfg(miri)]
mod process {
    use std::sync::OnceLock;
    use std::time::Instant;

    pub(super) struct Counter(Instant);

    pub(super) fn counter() -> &'static Counter {
        static COUNTER: OnceLock<Counter> = OnceLock::new();
        COUNTER.get_or_init(|| Counter(Instant::now()))
    }

    impl Counter {
        pub(super) fn now(&self) -> u64 {
            crate::clock::saturating_nanos(self.0.elapsed())
        }
    }
}
