//! What is known of the entries, outside of the model: in the order of the execution, and in the
//! order that each thread can rely on.

use super::At;
use crate::link::Incarnation;

/// One entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Life {
    pub(super) level: usize,
    pub(super) is: Incarnation,
}

/// Why an entry was removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cause {
    Time,
    Explicit,
    Replaced,
    Cascade,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) life: Life,
    pub(super) at: At,
    pub(super) parent: Option<Life>,
    pub(super) inserted: bool,
    /// How many entries there were when it was.
    removed: Option<usize>,
    pub(super) erased: bool,
}

impl Record {
    pub(super) fn is_removed(&self) -> bool {
        self.removed.is_some()
    }
}

/// All entries that ever were, in the order of the execution.
#[derive(Default)]
pub(super) struct Books(Vec<Record>);

impl Books {
    pub(super) fn reserved(&mut self, life: Life, at: At, parent: Option<Life>) {
        let (inserted, erased) = (false, false);
        self.0.push(Record { life, at, parent, inserted, removed: None, erased });
    }

    pub(super) fn of(&self, life: Life) -> &Record {
        self.0.iter().find(|record| record.life == life).expect("no such entry")
    }

    fn change(&mut self, life: Life) -> &mut Record {
        self.0.iter_mut().find(|record| record.life == life).expect("no such entry")
    }

    pub(super) fn inserted(&mut self, life: Life) {
        self.change(life).inserted = true;
    }

    pub(super) fn removed(&mut self, life: Life, cause: Cause) {
        let Record { removed, parent, .. } = *self.of(life);
        assert!(removed.is_none(), "removed twice: {life:?}");
        let is_orphan = || parent.is_some_and(|parent| self.of(parent).is_removed());
        assert!(cause != Cause::Cascade || is_orphan(), "cascaded under its living parent");
        let count = self.0.len();
        self.change(life).removed = Some(count);
    }

    /// A child gives way to one of `parent`, which must not have been dead before it was there.
    pub(super) fn replaced(&self, child: Life, parent: Life) {
        let at = self.0.iter().position(|record| record.life == child);
        let in_time = self.of(parent).removed.is_none_or(|count| at < Some(count));
        assert!(in_time, "{child:?} is lost to a child of {parent:?}, which was dead before");
    }

    pub(super) fn erased(&mut self, life: Life) {
        let record = self.change(life);
        assert!(!record.erased, "erased twice: {life:?}");
        record.erased = true;
    }

    /// An entry and those above it.
    pub(super) fn line(&self, life: Life) -> Vec<Life> {
        std::iter::successors(Some(life), |&life| self.of(life).parent).collect()
    }

    pub(super) fn records(&self) -> &[Record] {
        &self.0
    }
}

/// What one thread knows, because it happened before.
#[derive(Clone, Default)]
pub(super) struct Known {
    born: Vec<(At, Life)>,
    dead: Vec<Life>,
}

impl Known {
    /// An entry was inserted or hit. Neither it nor those above it may be known to be dead.
    pub(super) fn met(&mut self, at: At, life: Life, books: &Books) {
        for above in books.line(life) {
            assert!(!self.dead.contains(&above), "{life:?} was hit after {above:?} had died");
        }
        self.born.push((at, life));
    }

    /// A key was missed: what it is known to have named is dead.
    pub(super) fn missed(&mut self, at: At) {
        let named = self.born.iter().filter(|(named, _)| *named == at);
        self.dead.extend(named.map(|(_, life)| life));
    }

    pub(super) fn removed(&mut self, life: Life) {
        self.dead.push(life);
    }

    pub(super) fn learn(&mut self, other: &Known) {
        self.born.extend_from_slice(&other.born);
        self.dead.extend_from_slice(&other.dead);
    }

    /// Entries that are known to have been inserted as children of another one.
    pub(super) fn children(&self, parent: Life, books: &Books) -> Vec<Life> {
        let lives = self.born.iter().map(|&(_, life)| life);
        lives.filter(|&life| books.of(life).parent == Some(parent)).collect()
    }
}
