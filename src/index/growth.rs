//! Growing: the next table has twice the buckets, and every thread can move any bucket.

use super::lookup::go_live;
use super::table::{Bucket, EMPTY, FRESH, Header, SHARD_BITS, SHARDS, Table, is_vacant, slot_of};
use super::{Entries, Index};
use crate::reclaim::Pin;
use crate::slab::{Flag, State};
use crate::sync::atomic::{AtomicU64, Ordering, fence};

/// Buckets that an insert moves beside its own while a table grows.
const ASSIST: usize = 4;
/// Buckets of each shard that a sweep moves.
const ASSIST_IN_SWEEP: usize = 256;

/// Entries that `buckets` buckets hold before they grow: at 4.25 a bucket, six in a hundred
/// buckets need an overflow line.
pub(super) fn max_load(buckets: usize) -> usize {
    buckets * 4 + buckets / 4
}

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
        } else if live > max_load(table.len()) as u64 {
            self.begin_growth(table);
        }
    }

    #[cold]
    fn begin_growth(&self, table: &Table) {
        let Some(doubled) = table.doubled() else { return };
        let next = Box::into_raw(Box::new(doubled));
        let null = std::ptr::null_mut();
        // Release: publishes the empty table. SeqCst: a reader that pins after a slot was retired
        // must not miss the table that made the old words stale (`locate`).
        let won =
            table.next.compare_exchange(null, next, Ordering::SeqCst, Ordering::Relaxed).is_ok();
        if !won {
            // SAFETY: never published, so this thread still owns it.
            drop(unsafe { Box::from_raw(next) });
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
        // SAFETY: as above.
        let Some(next) = (unsafe { table.next.load(Ordering::Acquire).as_ref() }) else { return };
        for _ in 0..count {
            // Acquire: the buckets below are moved.
            let done = table.done.load(Ordering::Acquire);
            if done == table.len() {
                break;
            }
            table.move_bucket(next, done, entries);
            // AcqRel: carries the mark, with the moves before it, to whoever continues. A failure
            // means that somebody else advanced it.
            let order = Ordering::AcqRel;
            let _ = table.done.compare_exchange(done, done + 1, order, Ordering::Relaxed);
        }
        if table.done.load(Ordering::Acquire) == table.len() {
            let next = table.next.load(Ordering::Acquire);
            // Release: whoever sees the new root sees all moves. The winner retires the old one.
            let order = Ordering::SeqCst;
            if root.compare_exchange(pointer, next, order, Ordering::Relaxed).is_ok() {
                // SAFETY: unreachable for threads that pin from now on, and retired once.
                unsafe { pin.defer_free(pointer) };
            }
        }
    }
}

impl Table {
    /// Moves the live words of a bucket to the two buckets that follow it in `next`. When it
    /// returns, the bucket is moved, whoever did it.
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
        if let Some(pending) = header.pending() {
            go_live(entries, pending);
        }
        let children = [2 * place, 2 * place + 1];
        for child in children {
            adopt_lines(next, child, header.lines());
        }
        for child in children {
            let new_words = next.words(child, Header::of_new_bucket(header.lines()));
            for (from, to) in self.words(place, header).zip(new_words) {
                // Relaxed: only a hint, the exchange decides.
                if to.load(Ordering::Relaxed) == FRESH {
                    let copy = word_for(next, child, from, entries);
                    // AcqRel: Release hands on the slot's key to readers of the new word. Fails if
                    // another mover filled the word: with the same, or with what has died since.
                    let order = Ordering::AcqRel;
                    let _ = to.compare_exchange(FRESH, copy, order, Ordering::Relaxed);
                }
            }
        }
        old.set_moved();
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

/// Gives a new bucket as many overflow lines as the old one has: movers agree on that, because a
/// frozen header does not change, while they may disagree on which slots are still alive.
fn adopt_lines(next: &Table, child: usize, lines: usize) {
    if lines == 0 {
        return;
    }
    for order in 0..lines {
        next.link_line(child, order);
    }
    // Fails if another mover did it: the header of a bucket with lines is never zero again.
    next.bucket(child).exchange(Header(0), Header::of_new_bucket(lines));
}

/// What a new bucket gets for an old word: the word itself if its slot is alive and belongs there.
fn word_for<E: Entries>(next: &Table, child: usize, from: &AtomicU64, entries: &E) -> u64 {
    // Acquire: pairs with the claim; sees the slot.
    let word = from.load(Ordering::Acquire);
    if is_vacant(word) || next.place((word >> 32) as u32) != child {
        return EMPTY;
    }
    // Acquire: after the fence in `move_bucket`.
    let state = State(entries.state(slot_of(word)).load(Ordering::Acquire));
    // A slot that is reserved here was never committed, and its insert takes another one.
    if state.is(Flag::Live) { word } else { EMPTY }
}
