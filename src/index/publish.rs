//! Inserting a key that is not there: scan, claim a word, commit by the scanned header.

use super::lookup::go_live;
use super::table::{Bucket, EMPTY, Header, Table, is_vacant, slot_of, word};
use super::{Entries, Index, home};
use crate::reclaim::Pin;
use crate::retries::{Retry, retried};
use crate::slab::{Flag, State};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Step, broken};

/// How an attempt to insert ended.
#[derive(Debug)]
pub(crate) enum Published {
    /// The reserved slot is live under its key.
    Inserted,
    /// The key is there already. The caller's slot is `Dead` if others may have seen it, else still
    /// `Reserved`.
    Exists,
    /// The bucket moved under the claim. The slot is `Dead`; the insert goes on with another one,
    /// so that a slot's word is in one table only, and readers that hold its id never see it live.
    Moved,
}

impl Index {
    /// Inserts the key of `slot`, which is `Reserved` and owned by the caller, with its key
    /// written.
    ///
    /// `is_key` runs user code and may panic: a claim is then withdrawn, and the slot left `Dead`
    /// (or `Reserved`, if no word was claimed yet).
    pub(crate) fn publish<E: Entries>(
        &self,
        entries: &E,
        hash: u32,
        slot: u32,
        pin: &Pin,
        is_key: impl Fn(u32) -> bool,
    ) -> Published {
        loop {
            let (table, place) = self.locate_for_write(entries, hash, pin);
            let attempt = Attempt { entries, table, place, hash, slot, is_key: &is_key };
            if let Some(end) = attempt.run() {
                return end;
            }
        }
    }

    /// The bucket that a writer uses: buckets on the way are moved first.
    pub(super) fn locate_for_write<E: Entries>(
        &self,
        entries: &E,
        hash: u32,
        _pin: &Pin,
    ) -> (&Table, usize) {
        // Acquire: sees the table.
        // SAFETY: retired tables live until the pins that could see them end.
        let mut table = unsafe { &*self.shard(hash).root.load(Ordering::Acquire) };
        loop {
            let place = table.place(hash);
            // Acquire: sees the next table.
            // SAFETY: as above.
            let Some(next) = (unsafe { table.next.load(Ordering::Acquire).as_ref() }) else {
                return (table, place);
            };
            table.move_bucket(next, place, entries);
            table = next;
        }
    }
}

/// Makes the slot that `header` names live, so that the header may name another.
pub(super) fn settle_pending<E: Entries>(entries: &E, header: Header) {
    if let Some(pending) = header.pending() {
        if !broken(Step::HelpPending) {
            go_live(entries, pending);
        }
    }
}

/// An insert into one bucket of one table.
struct Attempt<'a, E, F> {
    entries: &'a E,
    table: &'a Table,
    place: usize,
    hash: u32,
    slot: u32,
    is_key: &'a F,
}

impl<E: Entries, F: Fn(u32) -> bool> Attempt<'_, E, F> {
    /// `None`: the bucket moved before a word was claimed; the insert goes on in the next table.
    fn run(&self) -> Option<Published> {
        let bucket = self.table.bucket(self.place);
        let mut claim: Option<Claim<'_, E>> = None;
        loop {
            let header = bucket.header();
            if header.is_frozen() {
                return claim.map(|_withdrawn| Published::Moved);
            }
            settle_pending(self.entries, header);
            if self.scan(header) {
                return Some(Published::Exists);
            }
            if claim.is_none() {
                claim = self.claim_word(header);
            }
            if claim.is_none() {
                // Every word is taken. Another line changes the header, so scan again.
                self.add_line(bucket, header);
            } else if commit(bucket, header, self.slot) {
                // From here on others may finish the insert: the word is no longer ours to clear.
                std::mem::forget(claim);
                go_live(self.entries, self.slot);
                take_off(bucket, self.slot);
                return Some(Published::Inserted);
            }
            retried(Retry::Commit);
        }
    }

    /// Whether a word under `header`, whose pending slot is settled, holds the key. A reserved slot
    /// met here is not committed, or was committed after `header`; then our own commit fails.
    fn scan(&self, header: Header) -> bool {
        let is_it = |word: u64| {
            let slot = slot_of(word);
            // Acquire: sees the value.
            let state = State(self.entries.state(slot).load(Ordering::Acquire));
            state.is(Flag::Live) && (self.is_key)(slot)
        };
        let found = self.table.find_word(self.place, header, |cell| {
            // Acquire: pairs with `claim_word`; sees the slot's key.
            let word = cell.load(Ordering::Acquire);
            (word >> 32) as u32 == self.hash && is_it(word)
        });
        found.is_some()
    }

    /// Writes the slot's word into a vacant position. `None`: all are taken.
    fn claim_word(&self, header: Header) -> Option<Claim<'_, E>> {
        let word = word(self.hash, self.slot);
        let cell = self.table.find_word_from(home(self.hash), self.place, header, |cell| {
            let seen = cell.load(Ordering::Acquire);
            // AcqRel: Release publishes the slot's key to `find` and `scan`.
            is_vacant(seen)
                && cell.compare_exchange(seen, word, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        })?;
        Some(Claim { entries: self.entries, cell, word })
    }

    /// Gives a full bucket one more overflow line.
    fn add_line(&self, bucket: &Bucket, header: Header) {
        if let Some(longer) = header.with_line() {
            self.table.link_line(self.place, header.lines());
            // A failure means that the header changed: the caller scans again anyway.
            bucket.exchange(header, longer);
        }
    }
}

/// Takes a slot that went live off the header that named it as pending. Its inserter does it while
/// it is still pinned, so the slot is not recycled before; and the next insert into the bucket need
/// not look at a slot that is far away.
fn take_off(bucket: &Bucket, slot: u32) {
    loop {
        let header = bucket.header();
        // A frozen header is used no more once its bucket is moved, which removers see to.
        let is_named = header.pending() == Some(slot) && !header.is_frozen();
        if !is_named || broken(Step::TakeOff) || bucket.exchange(header, header.settled()) {
            return;
        }
        retried(Retry::Commit);
    }
}

fn commit(bucket: &Bucket, header: Header, slot: u32) -> bool {
    if broken(Step::CommitFromScannedHeader) {
        let now = bucket.header();
        return !now.is_frozen() && bucket.exchange(now, now.commit(slot));
    }
    bucket.exchange(header, header.commit(slot))
}

/// A claimed word. Withdraws itself when dropped: the insert found the key, was moved, or panicked.
struct Claim<'a, E: Entries> {
    entries: &'a E,
    cell: &'a AtomicU64,
    word: u64,
}

impl<E: Entries> Drop for Claim<'_, E> {
    fn drop(&mut self) {
        let state = self.entries.state(slot_of(self.word));
        // Relaxed: of a slot that is reserved and not committed, others only stop the insert.
        let dead = State(state.load(Ordering::Relaxed)).with_flag(Flag::Dead);
        // Release, before the word is cleared: nobody may turn the slot live any more.
        state.store(dead.0, Ordering::Release);
        // AcqRel: Release lets the next claimer of the word see that this one is over.
        let cleared =
            self.cell.compare_exchange(self.word, EMPTY, Ordering::AcqRel, Ordering::Relaxed);
        debug_assert!(cleared.is_ok(), "a claimed word changed under its owner");
    }
}
