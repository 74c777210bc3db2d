//! How often loops run again because another thread made progress: counted in builds with
//! `--cfg retries`, for `scripts/retries.sh`, and nothing at all in others.

/// A step that may fail when two threads take it at once. The loser looks again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(not(retries), allow(dead_code))]
pub(crate) enum Retry {
    /// The exchange of a state word, to touch or change a live entry.
    Touch,
    /// The exchange of a state word, to end an entry.
    Claim,
    /// An insert scans its bucket again, because the header changed or got another overflow line;
    /// or takes its slot off the header again.
    Commit,
    /// The exchange of a stack's top, to take or give back a slot.
    FreeList,
}

/// Counts one retry.
#[inline(always)]
pub(crate) fn retried(what: Retry) {
    #[cfg(retries)]
    counted::COUNTS[what as usize].fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    #[cfg(not(retries))]
    let _ = what;
}

#[cfg(retries)]
mod counted {
    use super::Retry;
    use std::sync::atomic::{AtomicU64, Ordering};

    const ALL: [Retry; 4] = [Retry::Touch, Retry::Claim, Retry::Commit, Retry::FreeList];

    pub(super) static COUNTS: [AtomicU64; ALL.len()] = [const { AtomicU64::new(0) }; ALL.len()];

    /// The retries of all threads so far, by what was tried.
    #[doc(hidden)]
    pub fn retries() -> Vec<(String, u64)> {
        // Relaxed: only numbers.
        let count = |what: Retry| COUNTS[what as usize].load(Ordering::Relaxed);
        ALL.iter().map(|what| (format!("{what:?}"), count(*what))).collect()
    }
}

#[cfg(retries)]
pub use counted::retries;
