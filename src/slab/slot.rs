//! One slot: a state word, a birth word, the key and the first value; and, apart, an extension
//! word.

use crate::sync::Zeroed;
use crate::sync::atomic::AtomicU64;
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ops::Deref;

const HASH_BITS: u32 = 28;

/// When the entry was created, and the hash bits that find its bucket again.
///
/// ```text
/// | created tick : 36 | top bits of the hash : 28 |
/// ```
/// The hash is kept so that an expired entry is unlinked without running the user's `Hash`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Birth(pub(crate) u64);

impl Birth {
    /// The bits of a hash that a slot remembers.
    pub(crate) const HASH_MASK: u32 = u32::MAX << (32 - HASH_BITS);

    pub(crate) fn new(created: u64, hash: u32) -> Self {
        Birth((created << HASH_BITS) | u64::from(hash >> (32 - HASH_BITS)))
    }

    #[inline(always)]
    pub(crate) fn created(self) -> u64 {
        self.0 >> HASH_BITS
    }

    /// The hash without its lowest bits, which choose no bucket.
    pub(crate) fn hash(self) -> u32 {
        (self.0 as u32) << (32 - HASH_BITS)
    }
}

/// What most entries do not have: a replaced value, timeouts of their own. It means something, and
/// its memory is there, only if the state word says that the slot is extended.
///
/// ```text
/// | inline value : 2 | closed : 1 | terms id : 29 | slot of the present value : 32 |
/// ```
/// Once closed, no replacement is installed any more: the present value was taken, or the entry is
/// about to be claimed because of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ext(pub(crate) u64);

/// What became of the value that lies in the slot itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Inline {
    /// It is there: the present value, or a replaced one that nobody has erased yet.
    Intact,
    /// A thread is dropping it; the slot cannot be recycled before it has finished.
    Erasing,
    /// It was dropped.
    Erased,
    /// There never was one: the slot is another key of an entry, whose slot is where that of the
    /// present value would be, and its generation where the terms would be.
    Alias,
}

const TERMS_BITS: u32 = 29;
const CLOSED_SHIFT: u32 = 32 + TERMS_BITS;
const INLINE_SHIFT: u32 = CLOSED_SHIFT + 1;

const _: () = assert!(INLINE_SHIFT + 2 == 64);

/// The largest terms id.
pub(crate) const MAX_TERMS: u32 = (1 << TERMS_BITS) - 1;

impl Ext {
    /// The slot that holds the present value, or 0 for the inline one.
    #[inline(always)]
    pub(crate) fn value_slot(self) -> u32 {
        self.0 as u32
    }

    /// The id of the entry's own terms, or 0 for the cache's defaults.
    #[inline(always)]
    pub(crate) fn terms(self) -> u32 {
        (self.0 >> 32) as u32 & MAX_TERMS
    }

    /// The bit that closes the word.
    pub(crate) const CLOSED: u64 = 1 << CLOSED_SHIFT;

    pub(crate) fn is_closed(self) -> bool {
        self.0 & Ext::CLOSED != 0
    }

    pub(crate) fn inline(self) -> Inline {
        match self.0 >> INLINE_SHIFT {
            0 => Inline::Intact,
            1 => Inline::Erasing,
            2 => Inline::Erased,
            _ => Inline::Alias,
        }
    }

    /// That of another key of an entry.
    pub(crate) fn alias(slot: u32, generation: u32) -> Self {
        Ext(0).with_value_slot(slot).with_terms(generation).with_inline(Inline::Alias)
    }

    pub(crate) fn is_alias(self) -> bool {
        self.inline() == Inline::Alias
    }

    /// Whether the slot holds a replaced value that still has to be erased.
    pub(crate) fn has_stale_inline(self) -> bool {
        self.value_slot() != 0 && self.inline() == Inline::Intact
    }

    pub(crate) fn with_value_slot(self, slot: u32) -> Self {
        Ext((self.0 & !u64::from(u32::MAX)) | u64::from(slot))
    }

    pub(crate) fn with_terms(self, id: u32) -> Self {
        debug_assert!(id <= MAX_TERMS);
        Ext((self.0 & !(u64::from(MAX_TERMS) << 32)) | (u64::from(id) << 32))
    }

    pub(crate) fn with_inline(self, inline: Inline) -> Self {
        Ext((self.0 & ((1 << INLINE_SHIFT) - 1)) | ((inline as u64) << INLINE_SHIFT))
    }
}

/// The words of a slot, which say whether and how long its entry lives. They come first, so that
/// they can be looked at without knowing the types of key and value.
#[repr(C)]
pub(crate) struct Head {
    pub(crate) state: AtomicU64,
    pub(crate) birth: AtomicU64,
}

/// A slot. All-zero is a free slot of generation 0.
///
/// Who may touch `key` and `value`:
/// - the owner of a slot that is not published may write and move them;
/// - a pinned thread that saw it `Live` under this pin may read both;
/// - the one thread that made it `Erasing` drops them.
#[repr(C)]
pub(crate) struct Slot<K, V> {
    pub(crate) head: Head,
    pub(crate) key: Place<K>,
    pub(crate) value: Place<V>,
}

/// Where a key or a value is, or not. loom is told who looks at it, and reports a race.
pub(crate) struct Place<T> {
    memory: UnsafeCell<MaybeUninit<T>>,
    #[cfg(loom)]
    watched: loom::cell::UnsafeCell<()>,
}

impl<T> Place<T> {
    /// Where to read from.
    #[inline(always)]
    pub(crate) fn to_read(&self) -> *const MaybeUninit<T> {
        #[cfg(loom)]
        self.watched.with(|_| ());
        self.memory.get()
    }

    /// Where to write to: no other thread may read at the time.
    #[inline(always)]
    pub(crate) fn to_write(&self) -> *mut MaybeUninit<T> {
        #[cfg(loom)]
        self.watched.with_mut(|_| ());
        self.memory.get()
    }

    #[cfg(any(loom, shuttle))]
    fn empty() -> Self {
        Place {
            memory: UnsafeCell::new(MaybeUninit::uninit()),
            #[cfg(loom)]
            watched: loom::cell::UnsafeCell::new(()),
        }
    }
}

impl<K, V> Deref for Slot<K, V> {
    type Target = Head;

    #[inline(always)]
    fn deref(&self) -> &Head {
        &self.head
    }
}

impl<K, V> Slot<K, V> {
    /// The key.
    ///
    /// # Safety
    /// - The caller is pinned and saw the slot `Live` under this pin, or met it in an index word
    ///   under this pin, or owns it, and its key was written.
    #[inline(always)]
    pub(crate) unsafe fn key(&self) -> &K {
        // SAFETY: by the contract the key is initialised, and nobody writes it while it can be
        // reached.
        unsafe { (*self.key.to_read()).assume_init_ref() }
    }

    /// The value that lies in the slot.
    ///
    /// # Safety
    /// - The caller is pinned, saw the entry `Live` under this pin and met the slot as the place
    ///   of its present value, or owns the slot; and the value was written.
    #[inline(always)]
    pub(crate) unsafe fn value(&self) -> &V {
        // SAFETY: by the contract the value is initialised, and erased only after our pin ends.
        unsafe { (*self.value.to_read()).assume_init_ref() }
    }
}

// SAFETY: zero is a valid integer, and uninitialised storage accepts any bytes.
unsafe impl<K, V> Zeroed for Slot<K, V> {
    #[cfg(any(loom, shuttle))]
    fn zeroed() -> Self {
        let word = || AtomicU64::new(0);
        Slot {
            head: Head { state: word(), birth: word() },
            key: Place::empty(),
            value: Place::empty(),
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn birth_keeps_tick_and_bucket_bits() {
        let birth = Birth::new((1 << 36) - 1, 0xdead_beef);
        assert_eq!((birth.created(), birth.hash()), ((1 << 36) - 1, 0xdead_bee0));
    }

    #[test]
    fn ext_fields_do_not_touch_each_other() {
        let ext = Ext(0).with_value_slot(u32::MAX).with_terms(MAX_TERMS);
        assert!(ext.has_stale_inline());
        for inline in [Inline::Intact, Inline::Erasing, Inline::Erased, Inline::Alias] {
            let ext = ext.with_inline(inline);
            assert_eq!(ext.inline(), inline);
            assert_eq!((ext.value_slot(), ext.terms()), (u32::MAX, MAX_TERMS));
            assert!(!ext.is_closed() && Ext(ext.0 | Ext::CLOSED).is_closed());
            assert_eq!(ext.with_terms(0).value_slot(), u32::MAX);
            assert_eq!(ext.with_value_slot(0).terms(), MAX_TERMS);
        }
    }

    #[test]
    fn two_small_slots_are_a_cache_line() {
        assert_eq!(size_of::<Slot<u64, u64>>(), 32);
    }
}
