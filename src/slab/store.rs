//! The slots of one cache.

use super::free::FreeList;
use super::slot::Slot;
use super::state::{Flag, State};
use crate::segments::{Geometry, SlotArray};
use crate::sync::atomic::{AtomicU64, Ordering};
use std::ops::Range;

/// All slots of one cache, with their free list.
pub(crate) struct Slab<K, V> {
    slots: SlotArray<Slot<K, V>>,
    /// Extension words. Apart, because most entries never need one.
    exts: SlotArray<AtomicU64>,
    free: FreeList,
}

// SAFETY: the slab hands out `&K` and `&V` to many threads (Sync) and lets any thread drop them
// (Send); who may do which is the table at `Slot`.
unsafe impl<K: Send + Sync, V: Send + Sync> Sync for Slab<K, V> {}
// SAFETY: it owns its keys and values.
unsafe impl<K: Send, V: Send> Send for Slab<K, V> {}

impl<K, V> Slab<K, V> {
    /// A slab of at most `limit` slots.
    pub(crate) fn new(geometry: Geometry, limit: u32) -> Self {
        let (slots, exts) = (SlotArray::new(geometry), SlotArray::new(geometry));
        Slab { slots, exts, free: FreeList::new(geometry.ids(limit)) }
    }

    /// The slot of an id that `allocate` returned at some time.
    #[inline(always)]
    pub(crate) fn slot(&self, id: u32) -> &Slot<K, V> {
        // SAFETY: `allocate` reached the id before it handed it out, and ids travel between
        // threads only through Release/Acquire words. Ids that were only counted are sorted out by
        // `is_there`.
        unsafe { self.slots.get(id) }
    }

    #[inline(always)]
    pub(crate) fn state(&self, id: u32) -> &AtomicU64 {
        &self.slot(id).state
    }

    /// The extension word of a slot, before its state word says that there is one.
    pub(crate) fn extend(&self, id: u32) -> &AtomicU64 {
        self.exts.reach(id)
    }

    /// The extension word of a slot, if any slot near it needed one: as every slot did of which a
    /// state word was seen extended.
    #[inline(always)]
    pub(crate) fn ext(&self, id: u32) -> Option<&AtomicU64> {
        self.exts.find(id)
    }

    /// Whether a slot's extension word is zero, or was never needed. At rest only.
    pub(crate) fn has_no_ext(&self, id: u32) -> bool {
        self.ext(id).is_none_or(|word| word.load(Ordering::Acquire) == 0)
    }

    /// Takes a free slot, which the caller owns until it publishes it. `None`: the slab is full.
    pub(crate) fn allocate(&self, hint: u32) -> Option<u32> {
        let id = self.free.pop(hint, |id| self.state(id))?;
        self.slots.reach(id);
        Some(id)
    }

    /// Gives back a slot that the caller owns: never published, or erased after its grace period.
    pub(crate) fn release(&self, id: u32) {
        self.release_all(&[id]);
    }

    /// The same for several slots.
    pub(crate) fn release_all(&self, ids: &[u32]) {
        if !ids.is_empty() {
            self.free.push(ids, |id| self.state(id));
        }
    }

    /// Writes the key of an owned slot.
    ///
    /// # Safety
    /// - The caller owns the slot, and it holds no key.
    pub(crate) unsafe fn write_key(&self, id: u32, key: K) {
        // SAFETY: owned, so nobody reads; empty, so nothing is leaked.
        unsafe { (*self.slot(id).key.to_write()).write(key) };
    }

    /// Writes the value of an owned slot.
    ///
    /// # Safety
    /// - The caller owns the slot, and it holds no value.
    pub(crate) unsafe fn write_value(&self, id: u32, value: V) {
        // SAFETY: owned, so nobody reads; empty, so nothing is leaked.
        unsafe { (*self.slot(id).value.to_write()).write(value) };
    }

    /// Moves the value out of a slot that nobody could read it from, and wipes what stays behind.
    ///
    /// # Safety
    /// - The slot holds a value, was never `Live` since it was written, and the caller owns it.
    pub(crate) unsafe fn take_value(&self, id: u32) -> V {
        let place = self.slot(id).value.to_write();
        // SAFETY: initialised and unreadable for others by the contract; wiped below, so it is
        // not read a second time.
        let value = unsafe { (*place).assume_init_read() };
        // SAFETY: `place` is valid for writes of its own size.
        unsafe { wipe(place.cast::<u8>(), size_of::<V>()) };
        value
    }

    /// Moves the key out of a slot that nobody could read it from, and wipes what stays behind.
    ///
    /// # Safety
    /// - The slot holds a key that was never readable, and the caller owns the slot.
    pub(crate) unsafe fn take_key(&self, id: u32) -> K {
        // SAFETY: initialised and unreadable for others by the contract; wiped below, so it is not
        // read a second time.
        let key = unsafe { (*self.slot(id).key.to_write()).assume_init_read() };
        // SAFETY: nobody can reach the slot, the caller owns it, and its key was moved out.
        unsafe { self.wipe_key(id) };
        key
    }

    /// Copies the key of one slot to another, for an insert that has to change its slot. The old
    /// slot must not drop its key any more.
    ///
    /// # Safety
    /// - `from` holds a key and is owned by the caller, though others may still read that key
    ///   under a pin; `to` is owned and holds no key.
    /// - The key in `to` is dropped only after a grace period that begins after `from` was
    ///   unlinked.
    pub(crate) unsafe fn transfer_key(&self, from: u32, to: u32) {
        let (from, to) = (self.slot(from).key.to_read(), self.slot(to).key.to_write());
        // SAFETY: both places are valid; shared reads of `from` stay valid, for its bytes stay.
        unsafe { std::ptr::copy_nonoverlapping(from, to, 1) };
    }

    /// Drops the key in place.
    ///
    /// # Safety
    /// - The slot holds a key that nobody can reach any more, and the caller owns the slot.
    pub(crate) unsafe fn drop_key(&self, id: u32) {
        // SAFETY: initialised and exclusive by the contract.
        unsafe { (*self.slot(id).key.to_write()).assume_init_drop() };
    }

    /// Wipes what `transfer_key` left behind.
    ///
    /// # Safety
    /// - Nobody can reach the slot any more, the caller owns it, and it holds no key.
    pub(crate) unsafe fn wipe_key(&self, id: u32) {
        // SAFETY: the place is valid for writes of its own size, and the caller's alone.
        unsafe { wipe(self.slot(id).key.to_write().cast::<u8>(), size_of::<K>()) };
    }

    /// Drops the value in place.
    ///
    /// # Safety
    /// - The slot holds a value that nobody can reach any more, and the caller owns it.
    pub(crate) unsafe fn drop_value(&self, id: u32) {
        // SAFETY: initialised and exclusive by the contract.
        unsafe { (*self.slot(id).value.to_write()).assume_init_drop() };
    }

    /// The ids that may have been handed out by now.
    pub(crate) fn taken(&self) -> Range<u32> {
        self.free.taken()
    }

    /// Whether the memory of an id is there: it may be counted before its thread has reached it.
    pub(crate) fn is_there(&self, id: u32) -> bool {
        self.slots.find(id).is_some()
    }

    /// All ids that were ever handed out and whose memory is there.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> + '_ {
        self.ids_from(0)
    }

    /// Those from `start` on.
    pub(crate) fn ids_from(&self, start: u32) -> impl Iterator<Item = u32> + '_ {
        let taken = self.taken();
        (taken.start.max(start)..taken.end).filter(|&id| self.is_there(id))
    }

    /// Checks, at rest, that the free list holds each free slot once. Returns their number.
    pub(crate) fn validate_free_list(&self) -> Result<usize, String> {
        if !self.free.is_consistent() {
            return Err("a stack of free slots is hidden".into());
        }
        let mut listed = self.free.listed(|id| self.state(id));
        let count = listed.len();
        listed.sort_unstable();
        listed.dedup();
        if listed.len() != count {
            return Err("a slot is on the free list twice".into());
        }
        for id in &listed {
            let state = State(self.state(*id).load(Ordering::Acquire));
            if !state.is(Flag::Free) {
                return Err(format!("slot {id} is on the free list but {state:?}"));
            }
        }
        let free =
            self.ids().filter(|&id| State(self.state(id).load(Ordering::Acquire)).is(Flag::Free));
        let free = free.count();
        if free != count {
            return Err(format!("{free} slots are free, {count} are on the free list"));
        }
        Ok(count)
    }
}

/// Overwrites memory with zeros, in a way the compiler may not leave out.
///
/// # Safety
/// - `place` is valid for writes of `len` bytes.
pub(crate) unsafe fn wipe(place: *mut u8, len: usize) {
    for i in 0..len {
        // SAFETY: within the bounds given by the contract.
        unsafe { place.add(i).write_volatile(0) };
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::segments::GROUP;
    use std::sync::Arc;

    #[test]
    fn an_extension_word_is_missed_until_it_says_something() {
        let slab: Slab<u32, u32> = Slab::new(Geometry::for_capacity(1), 10);
        let id = slab.allocate(0).expect("the first one");
        assert!(slab.has_no_ext(id));
        slab.extend(id).store(1, Ordering::Relaxed);
        assert!(!slab.has_no_ext(id));
        slab.extend(id).store(0, Ordering::Relaxed);
        assert!(slab.has_no_ext(id));
        slab.release(id);
        assert_eq!((slab.allocate(0), slab.taken().len()), (Some(id), 1));
    }

    fn slab(ids: u32) -> (Slab<Arc<str>, Arc<str>>, Vec<u32>) {
        let slab = Slab::new(Geometry::for_capacity(1), 1000);
        let ids = (0..ids).map(|_| slab.allocate(0).expect("there are more")).collect();
        (slab, ids)
    }

    #[test]
    fn the_validator_counts_the_free_slots_and_notices_each_fault() {
        let (slab, ids) = slab(2 * GROUP);
        assert_eq!(
            slab.validate_free_list(),
            Err("128 slots are free, 0 are on the free list".into())
        );
        let set = |id: u32, flag| slab.state(id).store(State::new(0, 1, flag).0, Ordering::Relaxed);
        ids.iter().for_each(|id| set(*id, Flag::Dead));
        assert_eq!(slab.validate_free_list(), Ok(0));
        let (one, two, other_stack) = (ids[0], ids[1], ids[GROUP as usize]);
        slab.release_all(&[]);
        slab.release_all(&[one, two]);
        assert_eq!(slab.validate_free_list(), Ok(2));
        let listed = State(slab.state(one).load(Ordering::Relaxed));
        slab.state(one).store(listed.with_flag(Flag::Live).0, Ordering::Relaxed);
        let error =
            format!("slot {one} is on the free list but {:?}", listed.with_flag(Flag::Live));
        assert_eq!(slab.validate_free_list(), Err(error));
        slab.state(one).store(listed.0, Ordering::Relaxed);
        set(ids[5], Flag::Free);
        assert_eq!(
            slab.validate_free_list(),
            Err("3 slots are free, 2 are on the free list".into())
        );
        set(ids[5], Flag::Dead);
        slab.release_all(&[other_stack, one]);
        assert_eq!(slab.validate_free_list(), Err("a slot is on the free list twice".into()));
    }

    #[test]
    fn ids_are_those_that_were_handed_out() {
        let (slab, ids) = slab(100);
        assert_eq!(slab.ids().collect::<Vec<_>>(), ids);
        assert_eq!(slab.ids_from(ids[90]).collect::<Vec<_>>(), ids[90..]);
        assert_eq!(slab.ids_from(ids[99] + 1).next(), None);
        assert!(slab.is_there(ids[0]));
        assert!(!Slab::<u8, u8>::new(Geometry::for_capacity(1), 10).is_there(ids[0]));
    }

    #[test]
    fn keys_and_values_move_in_and_out_and_nothing_stays_behind() {
        let (slab, ids) = slab(2);
        let (key, value): (Arc<str>, Arc<str>) = ("key".into(), "value".into());
        let counts = || (Arc::strong_count(&key), Arc::strong_count(&value));
        let bytes = |place: *const u8| {
            // SAFETY: the places of both are that long, and zeroed or written.
            let bytes = unsafe { std::slice::from_raw_parts(place, size_of::<Arc<str>>()) };
            bytes.iter().any(|byte| *byte != 0)
        };
        let is_left = |id: u32| {
            let slot = slab.slot(id);
            (bytes(slot.key.to_read().cast()), bytes(slot.value.to_read().cast()))
        };
        // SAFETY: this thread owns both slots, and each call finds what the one before has left.
        unsafe {
            slab.write_key(ids[0], Arc::clone(&key));
            slab.write_value(ids[0], Arc::clone(&value));
            assert_eq!((counts(), is_left(ids[0])), ((2, 2), (true, true)));
            slab.transfer_key(ids[0], ids[1]);
            assert_eq!((counts(), &**slab.slot(ids[1]).key()), ((2, 2), "key"));
            slab.wipe_key(ids[0]);
            drop(slab.take_value(ids[0]));
            assert_eq!((counts(), is_left(ids[0])), ((2, 1), (false, false)));
            drop(slab.take_key(ids[1]));
            assert_eq!((counts(), is_left(ids[1])), ((1, 1), (false, false)));
            slab.write_key(ids[1], Arc::clone(&key));
            slab.write_value(ids[1], Arc::clone(&value));
            slab.drop_key(ids[1]);
            assert_eq!(counts(), (1, 2));
            slab.drop_value(ids[1]);
            assert_eq!(counts(), (1, 1));
        }
    }

    #[test]
    fn memory_is_wiped_up_to_its_length() {
        let mut memory = [7u8; 10];
        // SAFETY: within the array.
        unsafe { wipe(memory.as_mut_ptr().add(2), 5) };
        assert_eq!(memory, [7, 7, 0, 0, 0, 0, 0, 7, 7, 7]);
    }
}
