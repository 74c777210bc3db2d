//! Memory that others may still be reading: freed by whoever gets a grace period.
//!
//! Only plain memory: tables of an index, lists of linked caches. Dropping it runs no user code, so
//! it may happen on any thread, and it does not matter whose grace period it was.

use crate::sync::atomic::{AtomicPtr, Ordering};

/// A stack of boxes that are unreachable.
pub(crate) struct Garbage {
    top: AtomicPtr<Item>,
}

/// One box, without its type.
pub(crate) struct Item {
    pointer: *mut (),
    free: unsafe fn(*mut ()),
    next: *mut Item,
}

impl Garbage {
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) const fn new() -> Self {
        Garbage { top: AtomicPtr::new(std::ptr::null_mut()) }
    }

    #[cfg(shuttle)]
    pub(crate) fn new() -> Self {
        Garbage { top: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// Whether anything waits.
    #[inline]
    pub(crate) fn exists(&self) -> bool {
        // Relaxed: a hint.
        !self.top.load(Ordering::Relaxed).is_null()
    }

    /// Adds a box.
    ///
    /// # Safety
    /// - `pointer` came from `Box::into_raw`, and this is called once for it.
    /// - No thread that pins after this call can reach it.
    /// - Dropping `T` runs no user code and may happen on any thread.
    pub(crate) unsafe fn add<T>(&self, pointer: *mut T) {
        /// # Safety
        /// - `pointer` is a box of `T` that nobody uses.
        unsafe fn free<T>(pointer: *mut ()) {
            // SAFETY: by the contract.
            drop(unsafe { Box::from_raw(pointer.cast::<T>()) });
        }
        let (pointer, free) = (pointer.cast(), free::<T> as unsafe fn(*mut ()));
        let item = Box::into_raw(Box::new(Item { pointer, free, next: std::ptr::null_mut() }));
        self.push(item, item);
    }

    /// Pushes a chain of items.
    fn push(&self, first: *mut Item, last: *mut Item) {
        // Relaxed: only for the exchange.
        let mut top = self.top.load(Ordering::Relaxed);
        loop {
            // SAFETY: the chain is ours.
            unsafe { (*last).next = top };
            // Release: hands the items to `take`.
            match self.top.compare_exchange(top, first, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => top = now,
            }
        }
    }

    /// Takes all that is there, before a grace period begins.
    pub(crate) fn take(&self) -> *mut Item {
        if !self.exists() {
            return std::ptr::null_mut();
        }
        // Acquire: sees the items.
        self.top.swap(std::ptr::null_mut(), Ordering::Acquire)
    }

    /// Puts back what was taken, because readers were pinned.
    ///
    /// # Safety
    /// - `first` is what `take` returned to this thread.
    pub(crate) unsafe fn put_back(&self, first: *mut Item) {
        let mut last = first;
        while !last.is_null() {
            // SAFETY: an item of the chain, which is ours.
            let next = unsafe { (*last).next };
            if next.is_null() {
                return self.push(first, last);
            }
            last = next;
        }
    }
}

/// Frees at most so many of the items that were taken, and returns the others.
///
/// # Safety
/// - `item` is what `Garbage::take` returned to this thread, and a grace period has passed since.
pub(crate) unsafe fn free(mut item: *mut Item, most: usize) -> *mut Item {
    let mut freed = 0;
    while !item.is_null() && freed < most {
        freed += 1;
        // SAFETY: items come from Box::into_raw, and the chain is ours.
        let boxed = unsafe { Box::from_raw(item) };
        // SAFETY: unreachable since before the grace period.
        unsafe { (boxed.free)(boxed.pointer) };
        item = boxed.next;
    }
    item
}
