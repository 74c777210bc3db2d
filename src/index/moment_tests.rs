//! The moments of races, played on one thread: what each thread finds, and must do about it.

use super::growth::begin_move;
use super::publish::{Published, settle_pending};
use super::table::{EMPTY, FRESH, Header, Table, WORDS, max_load, word};
use super::{Entries, Index, SHARDS, reduce, shard_of};
use crate::reclaim::pin;
use crate::slab::{Birth, Flag, State};
use crate::sync::atomic::{AtomicU64, Ordering};

/// The first slots that a test uses.
const A: u32 = 64;
const B: u32 = A + 1;
const C: u32 = A + 2;
const D: u32 = A + 3;

/// Slots that a test puts into any state.
struct Slots(Vec<AtomicU64>);

impl Slots {
    fn new() -> Self {
        Slots((0..200).map(|_| AtomicU64::new(0)).collect())
    }

    fn put(&self, slot: u32, flag: Flag) {
        self.0[slot as usize].store(State::new(0, 1, flag).0, Ordering::Relaxed);
    }

    fn flag(&self, slot: u32) -> Flag {
        State(self.0[slot as usize].load(Ordering::Relaxed)).flag()
    }
}

impl Entries for Slots {
    type Slot = AtomicU64;

    fn slot(&self, id: u32) -> &AtomicU64 {
        &self.0[id as usize]
    }

    fn state_of(slot: &AtomicU64) -> &AtomicU64 {
        slot
    }
}

/// An index of one bucket a shard.
fn index() -> Index {
    Index::for_capacity(0)
}

/// The table of a shard, and the bucket of a hash in it.
fn table_of(index: &Index, hash: u32) -> (&Table, usize) {
    // SAFETY: no test retires a table that it uses after that.
    let table = unsafe { &*index.shard(hash).root.load(Ordering::Acquire) };
    (table, table.place(hash))
}

fn find(index: &Index, slots: &Slots, hash: u32) -> Option<u32> {
    index.find(slots, hash, &pin(), |_, _| true).map(|found| found.id)
}

/// Inserts a slot under a key that is not there.
fn insert(index: &Index, slots: &Slots, hash: u32, slot: u32) {
    slots.put(slot, Flag::Reserved);
    let end = index.publish(slots, hash, slot, &pin(), |_| false);
    assert!(matches!(end, Published::Inserted));
}

/// Writes a word as an insert that was suspended before its commit has left it.
fn claim(table: &Table, place: usize, at: usize, hash: u32, slot: u32) {
    table.bucket(place).words[at].store(word(hash, slot), Ordering::Relaxed);
}

/// Hashes of one shard that stay together in tables of up to 16 buckets.
fn hashes() -> impl Iterator<Item = u32> {
    let hash = |key: u32| (0xA << 28) | (key << 1) | 1;
    (0..1000).map(hash)
}

fn words_of(table: &Table) -> Vec<u32> {
    let mut found = Vec::new();
    table.collect_words(&mut found);
    let mut slots: Vec<u32> = found.into_iter().map(|(_, slot)| slot).collect();
    slots.sort_unstable();
    slots
}

#[test]
fn an_insert_that_has_committed_is_found_and_finished_by_whoever_looks() {
    let (index, slots) = (index(), Slots::new());
    let hash = reduce(1);
    let (table, place) = table_of(&index, hash);
    slots.put(A, Flag::Reserved);
    for at in 0..WORDS {
        claim(table, place, at, hash, A);
        assert_eq!((find(&index, &slots, hash), slots.flag(A)), (None, Flag::Reserved));
        let bucket = table.bucket(place);
        let header = bucket.header();
        assert!(bucket.exchange(header, header.commit(B)));
        assert_eq!(find(&index, &slots, hash), None, "another one has committed");
        let header = bucket.header();
        assert!(bucket.exchange(header, header.commit(A)));
        assert_eq!((find(&index, &slots, hash), slots.flag(A)), (Some(A), Flag::Live));
        slots.put(A, Flag::Reserved);
        let header = bucket.header();
        assert!(bucket.exchange(header, header.settled()));
        bucket.words[at].store(EMPTY, Ordering::Relaxed);
    }
}

#[test]
fn a_commit_is_finished_before_another_slot_is_named() {
    let slots = Slots::new();
    for (before, after) in [
        (Flag::Reserved, Flag::Live),
        (Flag::Live, Flag::Live),
        (Flag::Dead, Flag::Dead),
        (Flag::Free, Flag::Free),
    ] {
        slots.put(A, before);
        settle_pending(&slots, Header(0).commit(A));
        assert_eq!(slots.flag(A), after);
    }
    // No slot is named by 0.
    slots.put(0, Flag::Reserved);
    settle_pending(&slots, Header(0));
    assert_eq!(slots.flag(0), Flag::Reserved);
}

#[test]
fn an_insert_leaves_no_slot_named_and_meets_a_key_that_is_there() {
    let (index, slots) = (index(), Slots::new());
    let hash = reduce(1);
    let (table, place) = table_of(&index, hash);
    let before = table.bucket(place).header();
    insert(&index, &slots, hash, A);
    let after = table.bucket(place).header();
    assert_eq!((slots.flag(A), after.pending()), (Flag::Live, None));
    assert!(after == before.commit(A).settled(), "both steps count");
    slots.put(B, Flag::Reserved);
    assert!(matches!(index.publish(&slots, hash, B, &pin(), |_| true), Published::Exists));
    assert_eq!(slots.flag(B), Flag::Reserved, "nobody has seen it");
    insert(&index, &slots, hash, B);
    assert_eq!(words_of(table), [A, B]);
}

#[test]
fn a_move_takes_along_what_is_live_or_committed_and_nothing_else() {
    for overflows in [false, true] {
        let slots = Slots::new();
        let (table, next) = (Table::new(0), Table::new(1));
        let mut hashes = hashes();
        if overflows {
            // The slots are in an overflow line.
            table.link_line(0, 0);
            let bucket = table.bucket(0);
            assert!(bucket.exchange(bucket.header(), bucket.header().with_line().unwrap()));
        }
        let cells: Vec<&AtomicU64> = match table.lines(0, 1).next() {
            Some(line) => line.words.iter().collect(),
            None => table.bucket(0).words.iter().collect(),
        };
        let flags = [Flag::Live, Flag::Reserved, Flag::Reserved, Flag::Dead];
        for ((slot, flag), cell) in [A, B, C, D].into_iter().zip(flags).zip(cells) {
            slots.put(slot, flag);
            cell.store(word(hashes.next().unwrap(), slot), Ordering::Relaxed);
        }
        let bucket = table.bucket(0);
        assert!(bucket.exchange(bucket.header(), bucket.header().commit(B)));
        table.move_bucket(&next, 0, &slots);
        assert!(bucket.header().is_moved() && bucket.header().is_frozen());
        assert_eq!(words_of(&next), [A, B]);
        assert_eq!([A, B, C, D].map(|slot| slots.flag(slot))[1..3], [Flag::Live, Flag::Reserved]);
        for place in 0..next.len() {
            assert!(!next.bucket(place).header().is_filling(), "both are sealed");
        }
        slots.put(C, Flag::Live);
        table.move_bucket(&next, 0, &slots);
        assert_eq!(words_of(&next), [A, B], "it is moved once");
    }
}

#[test]
fn movers_that_do_the_same_put_each_word_into_one_place() {
    let next = Table::new(1);
    let place = next.place(hashes().next().unwrap());
    // More than the bucket and its first line have room for.
    let count = WORDS as u32 * 2 + 5;
    for _ in 0..2 {
        for (hash, slot) in hashes().zip(A..A + count) {
            next.adopt(word(hash, slot));
        }
        assert_eq!(words_of(&next), (A..A + count).collect::<Vec<_>>());
        assert_eq!(next.bucket(place).header().lines(), 2);
    }
    next.seal(place);
    let sealed = next.bucket(place).header();
    assert!(!sealed.is_filling());
    next.adopt(word(hashes().next().unwrap(), A + count));
    assert_eq!(words_of(&next).len(), count as usize, "a late mover changes nothing");
    next.for_each_word(place, sealed, |cell| {
        assert_ne!(cell.load(Ordering::Relaxed), FRESH);
    });
    next.seal(place);
    assert!(next.bucket(place).header() == sealed, "it is sealed once");
}

#[test]
fn a_removal_follows_its_word_into_the_next_table() {
    let (index, slots) = (index(), Slots::new());
    let hash = hashes().next().unwrap();
    insert(&index, &slots, hash, A);
    let (table, place) = table_of(&index, hash);
    begin_move(table, Table::new(1));
    begin_move(table, Table::new(2));
    // SAFETY: linked above.
    let next = unsafe { &*table.next.load(Ordering::Acquire) };
    assert_eq!(next.len(), 2, "the first one stays");
    assert_eq!(find(&index, &slots, hash), Some(A), "nothing is moved yet");
    table.move_bucket(next, place, &slots);
    assert_eq!(find(&index, &slots, hash), Some(A), "it is found where it is now");
    slots.put(A, Flag::Dead);
    index.unlink(&slots, hash, A, &pin());
    assert_eq!(words_of(table), []);
    assert_eq!(find(&index, &slots, hash), None);
}

#[test]
fn a_removal_from_a_frozen_bucket_ends_the_move_first() {
    let (index, slots) = (index(), Slots::new());
    let mut all = hashes();
    let (gone, stays) = (all.next().unwrap(), all.next().unwrap());
    insert(&index, &slots, gone, A);
    insert(&index, &slots, stays, B);
    let (table, place) = table_of(&index, gone);
    begin_move(table, Table::new(1));
    let bucket = table.bucket(place);
    assert!(bucket.exchange(bucket.header(), bucket.header().frozen()));
    slots.put(A, Flag::Dead);
    index.unlink(&slots, gone, A, &pin());
    assert!(bucket.header().is_moved());
    assert_eq!(words_of(table), [B]);
    assert_eq!(find(&index, &slots, stays), Some(B));
}

#[test]
fn a_growth_is_helped_bucket_by_bucket_and_ends_with_a_new_root() {
    let (index, slots) = (Index::for_capacity(1000), Slots::new());
    let hash = hashes().next().unwrap();
    let (table, _) = table_of(&index, hash);
    let bits = table.len().ilog2();
    assert!(table.len() > 5, "so that five do not end it");
    index.assist(&slots, hash, 5, &pin());
    assert_eq!(table.done.load(Ordering::Relaxed), 0, "nothing is under way");
    begin_move(table, Table::new(bits + 1));
    index.assist(&slots, hash, 5, &pin());
    assert_eq!(table.done.load(Ordering::Relaxed), 5);
    let moved = |place: usize| table.bucket(place).header().is_moved();
    assert_eq!((moved(4), moved(5)), (true, false));
    let len = table.len();
    assert_eq!(table_of(&index, hash).0.len(), len, "it is the root until all is moved");
    // One pin: the table is retired, and looked at below.
    let pin = pin();
    index.assist_all(&slots, &pin);
    assert_eq!(table_of(&index, hash).0.len(), 2 * len);
    let others = (0..SHARDS as u32).map(|shard| shard << 28);
    for other in others.filter(|other| shard_of(*other) != shard_of(hash)) {
        assert_eq!(table_of(&index, other).0.len(), len);
    }
}

#[test]
fn an_insert_begins_to_grow_a_full_table_and_then_helps() {
    let (index, slots) = (Index::for_capacity(1000), Slots::new());
    let hash = hashes().next().unwrap();
    let (table, _) = table_of(&index, hash);
    let load = max_load(table.len()) as u64;
    let next = || table.next.load(Ordering::Relaxed);
    index.grow(&slots, hash, load, &pin());
    assert!(next().is_null());
    index.grow(&slots, hash, load + 1, &pin());
    assert!(!next().is_null());
    assert_eq!(table.done.load(Ordering::Relaxed), 0, "it has only begun");
    index.grow(&slots, hash, load + 1, &pin());
    assert_eq!(table.done.load(Ordering::Relaxed), 4);
}

#[test]
fn slots_are_visited_by_the_hash_bits_that_they_remember() {
    let index = index();
    let hash = 0xABCD_EF01;
    let (table, place) = table_of(&index, hash);
    let hashes = [hash, hash ^ 0xE, hash ^ 0x10, hash];
    for (at, (slot, hash)) in [A, B, C, D].into_iter().zip(hashes).enumerate() {
        claim(table, place, at, hash, slot);
    }
    // A cleared word looks like one of hash 0.
    let (other_table, place) = table_of(&index, 0);
    other_table.bucket(place).words[5].store(EMPTY, Ordering::Relaxed);
    let visit = |hash: u32, most: usize| {
        let mut met = Vec::new();
        let all = index.visit_hash(hash, &pin(), |slot| {
            met.push(slot);
            met.len() < most
        });
        (met, all)
    };
    assert_eq!(visit(hash, 9), (vec![A, B, D], true));
    assert_eq!(visit(hash & Birth::HASH_MASK, 2), (vec![A, B], false));
    assert_eq!(visit(0, 9), (vec![], true));
}
