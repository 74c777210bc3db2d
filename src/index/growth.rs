//! Moving to another table, to grow or to shed overflow lines: every thread can move any bucket.

use super::publish::settle_pending;
use super::table::{Bucket, EMPTY, FRESH, Header, SHARD_BITS, SHARDS, Table, is_vacant, slot_of};
use super::{Entries, Index, home};
use crate::reclaim::Pin;
use crate::slab::{Flag, State};
use crate::sync::atomic::{AtomicU64, Ordering, fence};
use crate::sync::{Step, broken, prefetch};

/// Buckets that an insert moves beside its own while a table grows.
const ASSIST: usize = 4;
/// Buckets of each shard that a sweep moves.
const ASSIST_IN_SWEEP: usize = 256;

impl Index {
    /// After an insert into the shard of `hash`, which now holds about `live` entries: begins or
    /// advances its growth.
    #[inline]
    pub(crate) fn grow<E: Entries>(&self, entries: &E, hash: u32, live: u64, pin: &Pin) {
        // Acquire: sees the table.
        // SAFETY: retired tables live until the pins that could see them end.
        let table = unsafe { &*self.shard(hash).root.load(Ordering::Acquire) };
        // Acquire: sees the next table.
        if !table.next.load(Ordering::Acquire).is_null() {
            self.assist(entries, hash, ASSIST, pin);
        } else if let Some(next) = table.successor(live) {
            begin_move(table, next);
        }
    }

    /// Advances the growth of every shard, for a sweep: so it ends although nobody inserts.
    pub(crate) fn assist_all<E: Entries>(&self, entries: &E, pin: &Pin) {
        for shard in 0..SHARDS as u32 {
            let hash = shard.checked_shl(32 - SHARD_BITS).unwrap_or(0);
            self.assist(entries, hash, ASSIST_IN_SWEEP, pin);
        }
    }

    /// Moves up to `count` buckets, and retires the table when all are moved.
    #[cold]
    pub(crate) fn assist<E: Entries>(&self, entries: &E, hash: u32, count: usize, pin: &Pin) {
        let root = &self.shard(hash).root;
        let pointer = root.load(Ordering::Acquire);
        // SAFETY: retired tables live until the pins that could see them end.
        let table = unsafe { &*pointer };
        let next_pointer = table.next.load(Ordering::Acquire);
        // SAFETY: as above.
        let Some(next) = (unsafe { next_pointer.as_ref() }) else { return };
        for _ in 0..count {
            // Acquire: the buckets below are moved.
            let done = table.done.load(Ordering::Acquire);
            if done == table.len() {
                break;
            }
            table.prefetch_states(done + count, entries);
            table.move_bucket(next, done, entries);
            // AcqRel: carries the mark, with the moves before it, to whoever continues. A failure
            // means that somebody else advanced it.
            let order = Ordering::AcqRel;
            let _ = table.done.compare_exchange(done, done + 1, order, Ordering::Relaxed);
        }
        if table.done.load(Ordering::Acquire) == table.len() {
            // Release: whoever sees the new root sees all moves. The winner retires the old one.
            let order = Ordering::SeqCst;
            if root.compare_exchange(pointer, next_pointer, order, Ordering::Relaxed).is_ok() {
                next.allow_more_lines();
                // SAFETY: unreachable for threads that pin from now on, and retired once.
                unsafe { pin.defer_free(pointer) };
            }
        }
    }
}

/// Makes `next` the table that `table` moves to, unless it has one.
#[cold]
pub(super) fn begin_move(table: &Table, next: Table) {
    let next = Box::into_raw(Box::new(next));
    let null = std::ptr::null_mut();
    // Release: publishes the empty table. SeqCst: a reader that pins after a slot was retired must
    // not miss the table that made the old words stale (`locate`).
    if table.next.compare_exchange(null, next, Ordering::SeqCst, Ordering::Relaxed).is_err() {
        // SAFETY: never published, so this thread still owns it.
        drop(unsafe { Box::from_raw(next) });
    }
}

impl Table {
    /// Moves the live words of a bucket to the buckets that follow it in `next`. When it returns,
    /// the bucket is moved, whoever did it.
    #[cold]
    pub(super) fn move_bucket<E: Entries>(&self, next: &Table, place: usize, entries: &E) {
        let old = self.bucket(place);
        let header = freeze(old);
        if header.is_moved() {
            return;
        }
        // The mover's half of the pair in `Index::unlink`: freeze, then load states. A remover
        // that missed the freeze turned its slot dead before, and this fence makes it visible, so
        // its word is not copied. SeqCst fence: a store-load pair.
        fence(Ordering::SeqCst);
        settle_pending(entries, header);
        // Acquire: pairs with the claim; sees the slot.
        let load = |word: &AtomicU64| word.load(Ordering::Acquire);
        let goes_on = |word| !is_vacant(word) && is_alive(entries, slot_of(word));
        // All states before the first exchange, so that the processor waits for them once.
        let words = old.words.each_ref().map(load);
        let going = words.map(goes_on);
        for (word, goes) in words.into_iter().zip(going) {
            if goes {
                next.adopt(word);
            }
        }
        for line in self.lines(place, header.lines()) {
            line.words.iter().map(load).filter(|word| goes_on(*word)).for_each(|w| next.adopt(w));
        }
        for heir in self.heirs(next, place) {
            next.seal(heir);
        }
        old.set_moved();
    }

    /// Begins to load the slots that the move of a bucket will look at.
    fn prefetch_states<E: Entries>(&self, place: usize, entries: &E) {
        if place < self.len() {
            for word in &self.bucket(place).words {
                // Acquire: sees the memory of the slot.
                let word = word.load(Ordering::Acquire);
                if !is_vacant(word) {
                    prefetch(entries.state(slot_of(word)));
                }
            }
        }
    }

    /// Puts a word into its new bucket, if no mover has done it yet.
    ///
    /// All movers search a word's places in the same order, and while a bucket is filled no place
    /// becomes vacant again. So the first fresh place that one of them takes for a word is the
    /// place where the others find it. A mover that comes late finds the bucket sealed: what it
    /// holds has died since, or has been moved.
    pub(super) fn adopt(&self, word: u64) {
        let hash = (word >> 32) as u32;
        let place = self.place(hash);
        loop {
            let header = self.bucket(place).header();
            if !header.is_filling() {
                return;
            }
            let adopted = self.find_word_from(home(hash), place, header, |cell| {
                // Relaxed: a place that is taken stays so.
                let seen = cell.load(Ordering::Relaxed);
                if seen != FRESH {
                    return seen == word;
                }
                // Release: a new word hands on its slot's key to readers.
                let order = Ordering::AcqRel;
                let taken = cell.compare_exchange(FRESH, word, order, Ordering::Relaxed);
                taken.is_ok() || taken == Err(word)
            });
            if adopted.is_some() {
                return;
            }
            self.link_line(place, header.lines());
            // A failure means that another mover counted the line, or sealed the bucket.
            self.bucket(place).exchange(header, header.with_filling_line());
        }
    }

    /// Ends the filling of a bucket: no fresh place is left to late movers.
    pub(super) fn seal(&self, place: usize) {
        loop {
            let header = self.bucket(place).header();
            if !header.is_filling() || broken(Step::SealBeforeUse) {
                return;
            }
            self.for_each_word(place, header, |cell| {
                // Relaxed: a place that is taken stays so.
                if cell.load(Ordering::Relaxed) == FRESH {
                    // AcqRel: a mover that fails on the sealed place leaves the bucket alone.
                    let (order, lost) = (Ordering::AcqRel, Ordering::Relaxed);
                    let _ = cell.compare_exchange(FRESH, EMPTY, order, lost);
                }
            });
            // A failure means that another mover added a line, which must be sealed as well.
            if self.bucket(place).exchange(header, header.filled()) {
                return;
            }
        }
    }
}

/// Freezes a bucket and returns its frozen header, which changes no more except to `moved`.
fn freeze(bucket: &Bucket) -> Header {
    loop {
        let header = bucket.header();
        if header.is_frozen() {
            return header;
        }
        let frozen = header.frozen();
        if bucket.exchange(header, frozen) {
            return frozen;
        }
    }
}

/// Whether a slot met in a frozen bucket goes on. One that is reserved was never committed, and
/// its insert takes another slot; one that is dead is not copied, so it cannot come back after its
/// remover has unlinked it.
fn is_alive<E: Entries>(entries: &E, slot: u32) -> bool {
    // Acquire: after the fence in `move_bucket`.
    State(entries.state(slot).load(Ordering::Acquire)).is(Flag::Live)
}
