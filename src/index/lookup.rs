//! Finding a key, and taking a removed one out.

use super::table::{Bucket, EMPTY, Header, Table, is_vacant, slot_of};
use super::{Entries, Found, Index, home, second};
use crate::reclaim::Pin;
use crate::slab::{Birth, Flag, State};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Step, broken, model_fence, prefetch};

impl Index {
    /// The live slot whose key satisfies `is_key`.
    ///
    /// `is_key` runs user code and may panic; nothing is half done then.
    #[inline]
    pub(crate) fn find<'e, E: Entries>(
        &self,
        entries: &'e E,
        hash: u32,
        _pin: &Pin,
        is_key: impl Fn(u32, &'e E::Slot) -> bool + Copy,
    ) -> Option<Found<'e, E>> {
        let (table, place) = self.locate(hash);
        let bucket = table.bucket(place);
        if let Some(id) = bucket.candidate(hash) {
            if let Some(found) = look(entries, bucket, (id, entries.slot(id)), is_key) {
                return Some(found);
            }
        }
        let (id, state) = find_beyond(entries, table, place, hash, is_key)?;
        Some(Found { id, slot: entries.slot(id), state })
    }

    /// Begins several lookups, so that the processor waits for their cache misses together.
    /// (Loops over arrays that are there: `array::map` is compiled to a call for each element.)
    #[inline(always)]
    pub(crate) fn begin_all<'i, E: Entries, const N: usize>(
        &'i self,
        entries: &'i E,
        hashes: &[u32; N],
        _pin: &Pin,
    ) -> [Option<Begun<'i, E>>; N] {
        let mut buckets = [None; N];
        for (bucket, hash) in buckets.iter_mut().zip(hashes) {
            let (table, place) = self.locate(*hash);
            prefetch(table.bucket(place));
            *bucket = Some(table.bucket(place));
        }
        let mut begun = [None; N];
        for (n, bucket) in buckets.into_iter().enumerate() {
            let Some(bucket) = bucket else { continue };
            if let Some(id) = bucket.candidate(hashes[n]) {
                let slot = entries.slot(id);
                prefetch(slot);
                begun[n] = Some(Begun { bucket, id, slot });
            }
        }
        begun
    }

    /// The same as `find` for a lookup that was begun under the same pin.
    #[inline(always)]
    pub(crate) fn find_begun<'e, E: Entries>(
        &self,
        entries: &'e E,
        hash: u32,
        begun: Option<Begun<'e, E>>,
        _pin: &Pin,
        is_key: impl Fn(u32, &'e E::Slot) -> bool + Copy,
    ) -> Option<Found<'e, E>> {
        if let Some(Begun { bucket, id, slot }) = begun {
            if let Some(found) = look(entries, bucket, (id, slot), is_key) {
                return Some(found);
            }
        }
        let (table, place) = self.locate(hash);
        let (id, state) = find_beyond(entries, table, place, hash, is_key)?;
        Some(Found { id, slot: entries.slot(id), state })
    }

    /// Calls `visit` with the slots whose hash is `hash`, of which the lowest bits may be missing,
    /// until it answers `false`. Returns whether it never did.
    pub(crate) fn visit_hash(
        &self,
        hash: u32,
        _pin: &Pin,
        mut visit: impl FnMut(u32) -> bool,
    ) -> bool {
        let (table, place) = self.locate(hash);
        let header = table.bucket(place).header();
        let stopped = table.find_word(place, header, |word| {
            // Acquire: as in `find`.
            let word = word.load(Ordering::Acquire);
            let tag = (word >> 32) as u32;
            !is_vacant(word) && (tag ^ hash) & Birth::HASH_MASK == 0 && !visit(slot_of(word))
        });
        stopped.is_none()
    }

    /// The bucket that a reader uses: the first one on its way that is not moved. Chosen once,
    /// before the scan; what happens later may be missed, as if the reader had come before it.
    #[inline(always)]
    fn locate(&self, hash: u32) -> (&Table, usize) {
        // Acquire: sees the table, and all moves that were finished before it became the root.
        // SAFETY: retired tables live until the pins that could see them end.
        let mut table = unsafe { &*self.shard(hash).root.load(Ordering::Acquire) };
        loop {
            let place = table.place(hash);
            // Acquire: sees the next table. This load is also what keeps a late reader off the
            // words of moved buckets, which still name recycled slots.
            let next = table.next.load(Ordering::Acquire);
            if next.is_null() {
                return (table, place);
            }
            if !table.bucket(place).header().is_moved() && !broken(Step::GateOnMoved) {
                return (table, place);
            }
            // SAFETY: as above.
            table = unsafe { &*next };
        }
    }

    /// Takes the word of a removed slot out of the index. `hash` may lack its lowest bits.
    ///
    /// The caller turned the slot dead by a `SeqCst` exchange, and retires it afterwards. When
    /// this returns, no reader that pins later can reach the slot.
    pub(crate) fn unlink<E: Entries>(&self, entries: &E, hash: u32, slot: u32, _pin: &Pin) {
        // The remover's half of the pair in `growth::move_bucket`: slot dead, then load header.
        model_fence();
        // Acquire: as in `locate`.
        // SAFETY: as in `locate`.
        let mut table = unsafe { &*self.shard(hash).root.load(Ordering::Acquire) };
        loop {
            let place = table.place(hash);
            let bucket = table.bucket(place);
            let header = bucket.header();
            if header.is_frozen() && !broken(Step::UnlinkFollowsMove) {
                // A mover may have copied the word: wait for nobody, finish the move and go on
                // there. The old word stays; nobody reads it once the bucket is moved.
                // SAFETY: a frozen bucket has a next table, which lives as long as this pin.
                let next = unsafe { &*table.next.load(Ordering::Acquire) };
                table.move_bucket(next, place, entries);
                table = next;
                continue;
            }
            let names_slot = |word: &AtomicU64| slot_of(word.load(Ordering::Acquire)) == slot;
            if let Some(word) = table.find_word(place, header, names_slot) {
                let seen = word.load(Ordering::Relaxed);
                // The word may have become another one's meanwhile, but not one of this slot.
                if slot_of(seen) == slot {
                    // AcqRel: Release orders the clearing after the death of the slot, for
                    // readers (`find`) that then miss and report it. Words are unique, so this
                    // takes out this incarnation or nothing.
                    let _ = word.compare_exchange(seen, EMPTY, Ordering::AcqRel, Ordering::Relaxed);
                }
            }
            return;
        }
    }
}

/// A lookup that was begun: where its key most likely is.
pub(crate) struct Begun<'i, E: Entries> {
    bucket: &'i Bucket,
    id: u32,
    slot: &'i E::Slot,
}

impl<E: Entries> Clone for Begun<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E: Entries> Copy for Begun<'_, E> {}

impl Bucket {
    /// The slot of a word with this hash, if one of the two words that are probed first has it.
    #[inline(always)]
    pub(super) fn candidate(&self, hash: u32) -> Option<u32> {
        // Acquire: pairs with the claim in `publish`; sees the slot.
        let first = self.words[home(hash)].load(Ordering::Acquire);
        let second = self.words[second(home(hash))].load(Ordering::Acquire);
        // Chosen without a branch, which would be mispredicted for one key in four.
        let is_first = u64::from((first >> 32) as u32 == hash);
        let word = second ^ ((first ^ second) & is_first.wrapping_neg());
        ((word >> 32) as u32 == hash).then_some(slot_of(word))
    }
}

/// A slot whose word has the hash that is looked for: is it present, and the key?
///
/// In this order: the key of an insert that has not committed is nobody's business but its own,
/// because that insert may have to move it to another slot.
#[inline(always)]
fn look<'e, E: Entries>(
    entries: &'e E,
    bucket: &Bucket,
    (id, slot): (u32, &'e E::Slot),
    is_key: impl Fn(u32, &'e E::Slot) -> bool,
) -> Option<Found<'e, E>> {
    // Acquire: pairs with the exchange that made it live; sees the value.
    let state = State(E::state_of(slot).load(Ordering::Acquire));
    let state = if state.is(Flag::Live) { state } else { resolve(entries, bucket, id, state)? };
    is_key(id, slot).then_some(Found { id, slot, state })
}

/// A reserved slot is present if its insert has committed; then its last step is done for it.
#[cold]
#[inline(never)]
fn resolve<E: Entries>(entries: &E, bucket: &Bucket, slot: u32, state: State) -> Option<State> {
    if !state.is(Flag::Reserved) {
        return None;
    }
    let header = bucket.header();
    if header.pending() == Some(slot) {
        go_live(entries, slot);
    }
    // Not pending: either not committed, or committed and then live before the header named
    // another slot, which the load of the header makes visible here.
    let state = State(entries.state(slot).load(Ordering::Acquire));
    state.is(Flag::Live).then_some(state)
}

/// The last step of an insert, done by its thread or by any that meets the slot as pending.
/// A failure means that it was done already.
pub(super) fn go_live<E: Entries>(entries: &E, slot: u32) {
    let cell = entries.state(slot);
    let state = State(cell.load(Ordering::Acquire));
    if state.is(Flag::Reserved) {
        let live = state.with_flag(Flag::Live);
        // SeqCst: the wheel's pair "live, then load swept". Release: publishes the value, and the
        // commit, to the thread that removes the entry.
        let _ = cell.compare_exchange(state.0, live.0, Ordering::SeqCst, Ordering::Acquire);
    }
}

/// Looks at all words of a bucket. Apart, so that a hit in the first two stays short.
#[inline(never)]
fn find_beyond<'e, E: Entries>(
    entries: &'e E,
    table: &Table,
    place: usize,
    hash: u32,
    is_key: impl Fn(u32, &'e E::Slot) -> bool + Copy,
) -> Option<(u32, State)> {
    let bucket = table.bucket(place);
    for word in &bucket.words {
        // Acquire: as in `find`.
        let word = word.load(Ordering::Acquire);
        if (word >> 32) as u32 == hash {
            let id = slot_of(word);
            if let Some(found) = look(entries, bucket, (id, entries.slot(id)), is_key) {
                return Some((found.id, found.state));
            }
        }
    }
    let header = bucket.header();
    if header.lines() == 0 {
        return None;
    }
    let found = find_in_lines(entries, table, place, header, hash, is_key)?;
    Some((found.id, found.state))
}

#[cold]
fn find_in_lines<'e, E: Entries>(
    entries: &'e E,
    table: &Table,
    place: usize,
    header: Header,
    hash: u32,
    is_key: impl Fn(u32, &'e E::Slot) -> bool + Copy,
) -> Option<Found<'e, E>> {
    let words = table.lines(place, header.lines()).flat_map(|line| line.words.iter());
    // Acquire: as in `find`.
    let words = words.map(|word| word.load(Ordering::Acquire));
    let mut ids = words.filter(|word| (word >> 32) as u32 == hash).map(slot_of);
    ids.find_map(|id| look(entries, table.bucket(place), (id, entries.slot(id)), is_key))
}
