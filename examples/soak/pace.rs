//! The clock that all threads share: it shows the minute of the slowest of them, and no thread is
//! far ahead of it. So it moves while others are at work.

use idlewheel::MockClock;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// Minutes by which a thread may be ahead of the clock.
pub(crate) const AHEAD: u64 = 2;

pub(crate) struct Pace {
    clock: MockClock,
    progress: Mutex<Progress>,
    moved: Condvar,
}

struct Progress {
    /// The minute that each thread has come to.
    reached: Vec<u64>,
    /// The minute that the clock shows.
    now: u64,
}

impl Pace {
    pub(crate) fn new(threads: usize, clock: MockClock) -> Pace {
        let progress = Mutex::new(Progress { reached: vec![0; threads], now: 0 });
        Pace { clock, progress, moved: Condvar::new() }
    }

    /// Says that a thread has come to a minute, and waits until it may go on. Returns what the
    /// clock showed then.
    pub(crate) fn arrive(&self, thread: usize, minute: u64) -> u64 {
        let mut progress = self.lock();
        progress.reached[thread] = minute;
        let slowest = progress.reached.iter().copied().min().unwrap_or(minute);
        self.move_to(&mut progress, slowest);
        while progress.now + AHEAD < minute {
            progress = self.moved.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
        progress.now
    }

    /// Moves the clock by so many minutes, at rest.
    pub(crate) fn advance(&self, minutes: u64) {
        let mut progress = self.lock();
        let then = progress.now + minutes;
        self.move_to(&mut progress, then);
    }

    fn move_to(&self, progress: &mut Progress, minute: u64) {
        if minute > progress.now {
            progress.now = minute;
            self.clock.set(MINUTE * u32::try_from(minute).unwrap_or(u32::MAX));
            self.moved.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
