//! How the index is laid out: what lookups and growth rely on for their speed, and headers.

use super::table::{
    FRESH, Header, MAX_BITS, SHARD_BITS, Table, WORDS, has_outgrown, max_load, word,
};
use super::{Index, SHARDS, home, reduce, second, shard_of};
use crate::slab::Birth;
use crate::sync::atomic::Ordering;

const SLOT: u32 = 77;

fn header_of(version: u64, lines: u64) -> Header {
    Header(u64::from(SLOT) << 32 | version << 6 | lines << 2)
}

#[test]
fn each_change_of_a_header_counts_and_keeps_the_rest() {
    for version in [0, 1, (1 << 26) - 1] {
        for lines in [0, 1, 15] {
            let before = header_of(version, lines);
            let next = (version + 1) % (1 << 26);
            let after = header_of(next, lines);
            assert_eq!(before.lines() as u64, lines);
            assert_eq!(before.pending(), Some(SLOT));
            assert_eq!(before.commit(SLOT).0, after.0);
            assert_eq!(before.settled().0, after.0 & 0xffff_ffff);
            assert_eq!(before.settled().pending(), None);
            assert_eq!(before.frozen().0, after.0 | 1);
            assert!(before.frozen().is_frozen() && !before.is_frozen());
            assert!(Header(before.0 | 2).is_moved() && !before.is_moved());
            let longer = (lines < 15).then(|| header_of(next, lines + 1).0);
            assert_eq!(before.with_line().map(|header| header.0), longer);
        }
    }
}

#[test]
fn a_bucket_is_filled_until_its_version_counts() {
    let mut header = Header(0);
    for lines in 1..=3 {
        header = header.with_filling_line();
        assert_eq!((header.lines(), header.is_filling()), (lines, true));
    }
    let filled = header.filled();
    assert_eq!((filled.lines(), filled.is_filling(), filled.pending()), (3, false, None));
}

#[test]
fn keys_begin_at_all_words_of_a_bucket_and_go_on_at_another_one() {
    let mut counts = [0; WORDS];
    for key in 0..7000 {
        counts[home(reduce(key))] += 1;
    }
    assert!(counts.iter().all(|count| (700..1300).contains(count)), "{counts:?}");
    let seconds: Vec<usize> = (0..WORDS).map(second).collect();
    assert_eq!(seconds, [6, 5, 4, 3, 2, 1, 0], "the one in the middle has no other");
}

#[test]
fn keys_spread_over_shards_and_over_the_buckets_of_each() {
    let table = Table::new(4);
    let mut counts = vec![[0; SHARDS]; table.len()];
    for key in 0..256 * 64 {
        let hash = reduce(key);
        counts[table.place(hash)][shard_of(hash)] += 1;
    }
    let all = counts.iter().flatten();
    assert!(all.clone().all(|count| (20..120).contains(count)), "{:?}", all.collect::<Vec<_>>());
}

#[test]
fn a_key_is_found_at_either_of_its_first_words() {
    let hash = reduce(1);
    let other = reduce(2);
    let at = |first: u64, next: u64| {
        let table = Table::new(0);
        let bucket = table.bucket(0);
        bucket.words[home(hash)].store(first, Ordering::Relaxed);
        bucket.words[second(home(hash))].store(next, Ordering::Relaxed);
        bucket.candidate(hash)
    };
    assert_ne!(home(hash), second(home(hash)));
    for stranger in [FRESH, word(other, 5), word(!hash, 5)] {
        assert_eq!(at(word(hash, SLOT), stranger), Some(SLOT));
        assert_eq!(at(stranger, word(hash, SLOT)), Some(SLOT));
        assert_eq!(at(stranger, stranger), None);
    }
    assert_eq!(at(word(hash, SLOT), word(hash, 5)), Some(SLOT), "the first one");
}

#[test]
fn an_index_has_room_for_its_capacity_and_hardly_more() {
    assert_eq!((max_load(1), max_load(100)), (4, 425));
    // 3680: 230 in each shard would do with 64 buckets, but for one that has many more than others.
    let small = [(0, 1), (16, 2), (1_000, 32), (3_680, 128)];
    for (capacity, buckets) in small.into_iter().chain([(10_000, 256), (1_000_000, 16_384)]) {
        let index = Index::for_capacity(capacity);
        assert_eq!(index.buckets(), SHARDS * buckets, "{capacity}");
        // Twice as many as are needed on average, at most, for those that are large.
        assert!(max_load(index.buckets()) >= capacity);
    }
}

#[test]
fn a_slot_remembers_all_hash_bits_that_choose_its_bucket() {
    assert_eq!(SHARD_BITS + MAX_BITS, Birth::HASH_MASK.count_ones());
}

#[test]
fn a_table_that_is_full_is_followed_by_one_of_twice_the_size() {
    let table = Table::new(3);
    assert!(table.successor(max_load(8) as u64).is_none());
    assert_eq!(table.successor(max_load(8) as u64 + 1).map(|next| next.len()), Some(16));
}

#[test]
fn a_table_that_has_gathered_lines_is_rebuilt_and_may_then_keep_them() {
    let table = Table::new(6);
    // One in eight, and four.
    for place in 0..12 {
        table.link_line(place, 0);
        assert!(table.successor(0).is_none(), "{place}");
    }
    // One that is there is not counted again.
    table.link_line(0, 0);
    assert!(table.successor(0).is_none());
    table.link_line(0, 1);
    assert_eq!(table.successor(0).map(|next| next.len()), Some(64));
    table.allow_more_lines();
    assert!(table.successor(0).is_none());
    let lens: Vec<usize> = table.lines(0, 2).map(|line| line.words.len()).collect();
    assert_eq!(lens, [7, 28], "each has four times as many words");
}

#[test]
fn a_bucket_moves_to_the_two_that_share_its_bits() {
    let (old, next) = (Table::new(2), Table::new(3));
    assert_eq!(old.heirs(&next, 3), 6..8);
    assert_eq!(old.heirs(&Table::new(2), 3), 3..4);
    for key in 0..100 {
        let hash = reduce(key);
        assert!(old.heirs(&next, old.place(hash)).contains(&next.place(hash)));
    }
}

#[test]
fn a_table_doubles_once_its_load_is_exceeded_up_to_the_largest() {
    for bits in 0..MAX_BITS {
        let load = max_load(1 << bits) as u64;
        assert!(!has_outgrown(bits, load) && has_outgrown(bits, load + 1), "{bits} bits");
    }
    assert!(!has_outgrown(MAX_BITS, u64::MAX));
}
