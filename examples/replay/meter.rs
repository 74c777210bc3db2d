//! A counting allocator: how many bytes the cache holds at any moment.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

#[global_allocator]
static METER: Meter = Meter;

static LIVE: AtomicUsize = AtomicUsize::new(0);

struct Meter;

// SAFETY: every call is handed to `System` unchanged and its answer is handed back unchanged;
// the counter on the side neither allocates nor panics.
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds the contract of `alloc`, which is that of `System.alloc`.
        let block = unsafe { System.alloc(layout) };
        count(block, layout.size());
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`: the same contract, passed on.
        let block = unsafe { System.alloc_zeroed(layout) };
        count(block, layout.size());
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller got `block` for this `layout` from us, so `System` allocated it.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller got `block` for this `layout` from us, so `System` allocated it, and
        // vouches for `size`.
        let moved = unsafe { System.realloc(block, layout, size) };
        // A failed call leaves the old block as it was.
        if !moved.is_null() {
            LIVE.fetch_sub(layout.size(), Relaxed);
            LIVE.fetch_add(size, Relaxed);
        }
        moved
    }
}

fn count(block: *mut u8, size: usize) {
    if !block.is_null() {
        LIVE.fetch_add(size, Relaxed);
    }
}

/// What one user of the heap holds: the sum of what its calls allocated and freed.
///
/// The replay runs on one thread, so all that changes during a call was done by that call; the
/// input buffers, the set of keys and the progress bar stay out of the account.
#[derive(Default)]
pub(crate) struct Account {
    bytes: isize,
}

impl Account {
    /// Runs `call` and adds what it allocated, less what it freed.
    pub(crate) fn charge<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let before = LIVE.load(Relaxed);
        let answer = call();
        self.bytes += LIVE.load(Relaxed).wrapping_sub(before) as isize;
        answer
    }

    pub(crate) fn bytes(&self) -> u64 {
        u64::try_from(self.bytes).unwrap_or(0)
    }
}
