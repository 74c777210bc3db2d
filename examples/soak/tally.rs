//! What each thread has done, readable by others while it goes on.

use crate::caches::Id;
use std::sync::atomic::{AtomicU64, Ordering};

/// Written by one thread.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Tally {
    pub(crate) requests: AtomicU64,
    pub(crate) sessions: Count,
    pub(crate) logouts: Count,
    pub(crate) rotations: Count,
    /// The id of its latest session, perhaps half of it.
    latest: [AtomicU64; 2],
}

/// Operations of a kind.
#[derive(Default)]
pub(crate) struct Count {
    begun: AtomicU64,
    done: AtomicU64,
}

impl Count {
    /// Counts an operation before it begins and after it has ended.
    pub(crate) fn count<T>(&self, operation: impl FnOnce() -> T) -> T {
        // SeqCst: before anything that the operation does.
        self.begun.fetch_add(1, Ordering::SeqCst);
        let answer = operation();
        // Release: who sees it sees what the cache has counted.
        self.done.fetch_add(1, Ordering::Release);
        answer
    }

    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Acquire)
    }
}

impl Tally {
    pub(crate) fn publish(&self, id: &Id) {
        for (half, bytes) in self.latest.iter().zip(id.chunks(8)) {
            half.store(bytes.iter().fold(0, |n, b| (n << 8) | u64::from(*b)), Ordering::Relaxed);
        }
    }

    pub(crate) fn latest(&self) -> Id {
        let [high, low] = [&self.latest[0], &self.latest[1]].map(|h| h.load(Ordering::Relaxed));
        (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
    }
}
