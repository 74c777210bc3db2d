//! The two caches, and what their listeners were told.

use crate::pace::{AHEAD, MINUTE};
use crate::values::Held;
use idlewheel::{BuildError, Cache, Clock, MockClock, RemovalCause, Removed};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A random number of 128 bits.
pub(crate) type Id = [u8; 16];

/// Minutes after its last request that end a session. Two requests of one are at most 30 minutes
/// apart, and the clock may be behind each of them by `AHEAD`: so none is ever missed.
pub(crate) const IDLE: u64 = 30 + AHEAD;

pub(crate) struct Caches {
    pub(crate) sessions: Cache<Id, Held>,
    /// Each lives as long as its session.
    pub(crate) keys: Cache<Id, Held>,
    pub(crate) sessions_told: Arc<Told>,
    pub(crate) keys_told: Arc<Told>,
}

/// Removals that a listener was told of.
#[derive(Default)]
pub(crate) struct Told {
    idle: AtomicU64,
    explicit: AtomicU64,
    replaced: AtomicU64,
    cascade: AtomicU64,
    other: AtomicU64,
}

impl Caches {
    pub(crate) fn new() -> Result<(Caches, MockClock), BuildError> {
        let (clock, mock) = Clock::mock();
        let (sessions_told, keys_told) = (Arc::<Told>::default(), Arc::<Told>::default());
        let (of_sessions, of_keys) = (Arc::clone(&sessions_told), Arc::clone(&keys_told));
        let sessions = Cache::<Id, Held>::builder()
            .idle_timeout(MINUTE * IDLE as u32)
            .clock(clock)
            .on_removal(move |_, _, cause| of_sessions.hear(cause))
            .build()?;
        let keys = Cache::<Id, Held>::builder()
            .linked_to(&sessions)
            .on_removal(move |_, _, cause| of_keys.hear(cause))
            .build()?;
        Ok((Caches { sessions, keys, sessions_told, keys_told }, mock))
    }
}

impl Told {
    fn hear(&self, cause: RemovalCause) {
        let count = match cause {
            RemovalCause::Idle => &self.idle,
            RemovalCause::Explicit => &self.explicit,
            RemovalCause::Replaced => &self.replaced,
            RemovalCause::Cascade => &self.cascade,
            _ => &self.other,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it was told exactly of these. Dropped entries are never among them.
    pub(crate) fn agrees_with(&self, removed: &Removed) -> bool {
        let told = [&self.idle, &self.explicit, &self.replaced, &self.cascade, &self.other];
        let booked = [removed.idle, removed.explicit, removed.replaced, removed.cascade, 0];
        told.map(|count| count.load(Ordering::Relaxed)) == booked
    }
}
