//! Where a slot id lives: arrays that grow by doubling segments and never move.
//!
//! The slab, the wheel and the limbo all keep arrays indexed by slot id. They share one
//! [`Geometry`], so a segment of one is a segment of the others.

use crate::sync::atomic::{AtomicPtr, Ordering};
use crate::sync::{TINY, Zeroed, zeroed_array};
use std::ops::Range;

/// Slots per bitmap word.
pub(crate) const GROUP: u32 = 64;
/// Groups per chunk: one summary word covers a chunk.
pub(crate) const CHUNK_GROUPS: u32 = if TINY { 1 } else { 64 };
/// Slots per chunk.
pub(crate) const CHUNK: u32 = GROUP * CHUNK_GROUPS;
/// Segments in one array: enough for all ids of 32 bits from the smallest first segment.
pub(crate) const SEGMENTS: usize = if TINY { 1 } else { 20 };

/// The smallest first segment, as a power of two.
const MIN_FIRST: u32 = CHUNK.ilog2();
/// The largest first segment, as a power of two.
const MAX_FIRST: u32 = 30;

const _: () = assert!(CHUNK.is_power_of_two() && CHUNK >= GROUP);
const _: () = assert!(TINY || MIN_FIRST + SEGMENTS as u32 == 32);

/// How slot ids map to segments: segment `i` holds the `2^(first + i)` slots whose ids have that
/// many bits below their highest one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    first: u32,
}

impl Geometry {
    /// A geometry whose first segment holds at least `capacity` slots, within bounds.
    pub(crate) fn for_capacity(capacity: usize) -> Self {
        let wanted = capacity.max(1).checked_next_power_of_two().map_or(MAX_FIRST, |n| n.ilog2());
        Geometry { first: wanted.clamp(MIN_FIRST, MAX_FIRST) }
    }

    /// The id that comes after `count` others.
    #[inline(always)]
    pub(crate) fn nth(self, count: u32) -> u32 {
        (1 << self.first) + count
    }

    /// The first `limit` ids.
    pub(crate) fn ids(self, limit: u32) -> Range<u32> {
        let first = 1u32 << self.first;
        first..first.saturating_add(limit)
    }

    /// Segment and offset of a slot, whose id is one of `ids`.
    #[inline(always)]
    pub(crate) fn locate(self, id: u32) -> (usize, usize) {
        debug_assert!(id >> self.first > 0, "{id} is no slot");
        // An id is not 0, so the lowest bit changes nothing but what the compiler knows.
        let top = (id | 1).ilog2();
        ((top - self.first) as usize, (id ^ (1 << top)) as usize)
    }

    /// Slots in a segment.
    pub(crate) fn len(self, segment: usize) -> usize {
        1usize << (self.first as usize + segment)
    }

    /// Chunks in a segment.
    pub(crate) fn chunks(self, segment: usize) -> usize {
        self.len(segment) / CHUNK as usize
    }

    /// The number of the first chunk of a segment.
    pub(crate) fn first_chunk(self, segment: usize) -> u64 {
        self.start(segment) / u64::from(CHUNK)
    }

    /// The id of the first slot of a segment.
    pub(crate) fn start(self, segment: usize) -> u64 {
        1u64 << (self.first as usize + segment)
    }
}

/// A value that is built when it is first needed, and stays where it is until the owner drops.
/// Nobody waits for anybody.
pub(crate) struct Lazy<T> {
    /// Null, or the boxed value. Written once.
    value: AtomicPtr<T>,
}

impl<T> Lazy<T> {
    pub(crate) fn new() -> Self {
        Lazy { value: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// The value, if it was ever needed.
    #[inline(always)]
    pub(crate) fn get(&self) -> Option<&T> {
        // Acquire: sees the value built in `get_or_init`. SeqCst: the first insert into a part
        // of the wheel and a sweep rely on "build, then load swept" against "publish swept, then
        // look for parts".
        let value = self.value.load(Ordering::SeqCst);
        // SAFETY: what is not null comes from Box::into_raw and lives until self drops.
        unsafe { value.as_ref() }
    }

    /// The value, built on first use. Of two threads that build it at once, one wins and the other
    /// drops its copy.
    #[inline]
    pub(crate) fn get_or_init(&self, build: impl FnOnce() -> Box<T>) -> &T {
        if let Some(value) = self.get() { value } else { self.init(build()) }
    }

    #[cold]
    fn init(&self, fresh: Box<T>) -> &T {
        let fresh = Box::into_raw(fresh);
        // Release: publishes the value to `get`. SeqCst: see there. Acquire on failure: sees the
        // winner's value.
        let (order, lost) = (Ordering::SeqCst, Ordering::Acquire);
        match self.value.compare_exchange(std::ptr::null_mut(), fresh, order, lost) {
            // SAFETY: just published, and freed only when self drops.
            Ok(_) => unsafe { &*fresh },
            Err(winner) => {
                // SAFETY: `fresh` was never published, so this thread still owns it.
                drop(unsafe { Box::from_raw(fresh) });
                // SAFETY: a published value lives until self drops.
                unsafe { &*winner }
            }
        }
    }
}

impl<T> Drop for Lazy<T> {
    fn drop(&mut self) {
        // Relaxed: `&mut self` orders this after every other access.
        let value = self.value.load(Ordering::Relaxed);
        if !value.is_null() {
            // SAFETY: it came from Box::into_raw, and `&mut self` shows that nobody uses it.
            drop(unsafe { Box::from_raw(value) });
        }
    }
}

/// What belongs to one segment of slots each, built when the first of them is used.
pub(crate) struct Segments<T> {
    parts: [Lazy<T>; SEGMENTS],
}

impl<T> Segments<T> {
    pub(crate) fn new() -> Self {
        Segments { parts: std::array::from_fn(|_| Lazy::new()) }
    }

    /// The part of a segment.
    #[inline(always)]
    pub(crate) fn of(&self, segment: usize) -> &Lazy<T> {
        &self.parts[segment]
    }

    /// All parts that were ever needed.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.parts.iter().filter_map(Lazy::get)
    }
}

/// An array indexed by slot id, allocated segment by segment. Each reader of an element asks whether
/// it is there ([`SlotArray::find`]): that a slot is in use says nothing about its side arrays.
pub(crate) struct SlotArray<T> {
    geometry: Geometry,
    /// First element of each segment, or null.
    parts: [AtomicPtr<T>; SEGMENTS],
}

impl<T: Zeroed> SlotArray<T> {
    pub(crate) fn new(geometry: Geometry) -> Self {
        let parts = std::array::from_fn(|_| AtomicPtr::new(std::ptr::null_mut()));
        SlotArray { geometry, parts }
    }

    /// The element of a slot, unchecked: for the slots themselves, which every lookup reads.
    ///
    /// # Safety
    /// - `reach(id)` must have returned before, in this thread or in one that handed `id` over.
    #[inline(always)]
    pub(crate) unsafe fn get(&self, id: u32) -> &T {
        let (segment, offset) = self.geometry.locate(id);
        debug_assert!(segment < SEGMENTS);
        // Acquire: sees the zeroed memory published by `reach`.
        // SAFETY: a valid id has a segment below SEGMENTS.
        let base = unsafe { self.parts.get_unchecked(segment) }.load(Ordering::Acquire);
        debug_assert!(!base.is_null());
        // SAFETY: `reach(id)` allocated this segment, and the offset is below its length.
        unsafe { &*base.add(offset) }
    }

    /// The element of a slot, if its segment is allocated.
    #[inline(always)]
    pub(crate) fn find(&self, id: u32) -> Option<&T> {
        let (segment, offset) = self.geometry.locate(id);
        // Acquire: sees the zeroed memory published by `reach`.
        let base = self.parts.get(segment)?.load(Ordering::Acquire);
        // SAFETY: not null, so a segment, and the offset is below its length.
        (!base.is_null()).then(|| unsafe { &*base.add(offset) })
    }

    /// All elements whose segments are allocated.
    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        self.parts.iter().enumerate().flat_map(|(segment, part)| {
            // Acquire: as in `get`.
            let base = part.load(Ordering::Acquire);
            let len = if base.is_null() { 0 } else { self.geometry.len(segment) };
            // SAFETY: a segment has so many elements.
            (0..len).map(move |offset| unsafe { &*base.add(offset) })
        })
    }

    /// The element of a slot, whose segment is allocated if nobody did so before.
    #[inline]
    pub(crate) fn reach(&self, id: u32) -> &T {
        if let Some(element) = self.find(id) {
            return element;
        }
        self.allocate(self.geometry.locate(id).0);
        self.find(id).expect("a segment stays where it is")
    }

    #[cold]
    fn allocate(&self, segment: usize) {
        let part = &self.parts[segment];
        let len = self.geometry.len(segment);
        let fresh = Box::into_raw(zeroed_array::<T>(len)).cast::<T>();
        let null = std::ptr::null_mut();
        // Release: publishes the zeroed array to `find` and `get`. Relaxed on failure: `reach`
        // looks again.
        if part.compare_exchange(null, fresh, Ordering::Release, Ordering::Relaxed).is_err() {
            // SAFETY: never published, so this thread still owns the boxed slice of `len`.
            drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(fresh, len)) });
        }
    }
}

impl<T> Drop for SlotArray<T> {
    fn drop(&mut self) {
        for (segment, part) in self.parts.iter().enumerate() {
            // Relaxed: `&mut self` orders this after every other access.
            let part = part.load(Ordering::Relaxed);
            if !part.is_null() {
                let len = self.geometry.len(segment);
                // SAFETY: `reach` made it from a boxed slice of this length.
                drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(part, len)) });
            }
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::sync::atomic::AtomicU64;

    #[test]
    fn every_id_has_one_place_and_segments_are_contiguous() {
        for capacity in [0, 1, 4096, 4097, 1 << 20, usize::MAX] {
            let geometry = Geometry::for_capacity(capacity);
            // Those further up have no ids, and their lengths do not fit 32 bits.
            let has_ids = |segment: &usize| geometry.start(*segment) <= u64::from(u32::MAX);
            for segment in (0..SEGMENTS).take_while(has_ids) {
                let (start, len) = (geometry.start(segment), geometry.len(segment) as u64);
                for id in [start, start + 1, start + len - 1] {
                    let Ok(id) = u32::try_from(id) else { continue };
                    assert_eq!(geometry.locate(id), (segment, (u64::from(id) - start) as usize));
                }
                assert_eq!(geometry.start(segment) + len, geometry.start(segment + 1));
            }
            let (segment, offset) = geometry.locate(u32::MAX);
            assert!(segment < SEGMENTS && offset < geometry.len(segment));
        }
    }

    #[test]
    fn an_element_is_missing_until_its_segment_is_reached() {
        let array: SlotArray<AtomicU64> = SlotArray::new(Geometry::for_capacity(1));
        let (first, second) = (array.geometry.start(0) as u32, array.geometry.start(1) as u32);
        assert!(array.find(first).is_none() && array.find(second).is_none());
        array.reach(second + 1).store(7, Ordering::Relaxed);
        assert!(array.find(first).is_none());
        let of = |id| array.find(id).map(|element| element.load(Ordering::Relaxed));
        assert_eq!([second, second + 1].map(of), [Some(0), Some(7)]);
        assert_eq!(array.all().count(), array.geometry.len(1));
    }

    #[test]
    fn a_capacity_fits_the_first_segment() {
        for capacity in [1, 4096, 4097, 1_000_000] {
            assert!(Geometry::for_capacity(capacity).len(0) >= capacity);
        }
    }
}
