//! Values that count their drops, and notice a second one.

use crate::caches::Id;
use std::sync::atomic::{AtomicU64, Ordering};

static MADE: AtomicU64 = AtomicU64::new(0);
static DROPPED: AtomicU64 = AtomicU64::new(0);
static DROPPED_TWICE: AtomicU64 = AtomicU64::new(0);

const ALIVE: u64 = 0xa11e_a11e_a11e_a11e;
const DROPPED_MARK: u64 = 0xdead_dead_dead_dead;

/// What an entry holds: its id, with other bits for a key than for a session.
pub(crate) struct Held {
    content: u128,
    /// Stays in the slot after the drop, until another value is written there.
    mark: AtomicU64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Session,
    Key,
}

impl Kind {
    fn content(self, id: &Id) -> u128 {
        let bits = u128::from_be_bytes(*id);
        if self == Kind::Key { !bits } else { bits }
    }
}

impl Held {
    pub(crate) fn new(kind: Kind, id: &Id) -> Held {
        MADE.fetch_add(1, Ordering::Relaxed);
        Held { content: kind.content(id), mark: AtomicU64::new(ALIVE) }
    }

    /// Whether it is what was made for this id, and not dropped.
    pub(crate) fn is(&self, kind: Kind, id: &Id) -> bool {
        self.content == kind.content(id) && self.mark.load(Ordering::Relaxed) == ALIVE
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // An exchange, which is made although nobody is to look again.
        if self.mark.swap(DROPPED_MARK, Ordering::Relaxed) != ALIVE {
            DROPPED_TWICE.fetch_add(1, Ordering::Relaxed);
        }
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

/// All values of the process so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drops {
    pub(crate) made: u64,
    pub(crate) dropped: u64,
    pub(crate) twice: u64,
}

impl Drops {
    /// What came after `before`, when no value was left.
    pub(crate) fn since(before: &Drops) -> Drops {
        let Drops { made, dropped, twice } = Drops::now();
        Drops {
            made: made - before.made,
            dropped: dropped - before.dropped,
            twice: twice - before.twice,
        }
    }

    pub(crate) fn now() -> Drops {
        let dropped = DROPPED.load(Ordering::Acquire);
        let (made, twice) = (MADE.load(Ordering::Acquire), DROPPED_TWICE.load(Ordering::Acquire));
        Drops { made, dropped, twice }
    }
}
