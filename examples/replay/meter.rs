//! A counting allocator: how many bytes the cache holds at any moment.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[global_allocator]
static METER: Meter = Meter;

thread_local! {
    /// What the thread allocated, less what it freed, whoever allocated that.
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

struct Meter;

// SAFETY: every call is handed to `System` unchanged and its answer is handed back unchanged;
// the counter on the side neither allocates nor panics.
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds the contract of `alloc`, which is that of `System.alloc`.
        let block = unsafe { System.alloc(layout) };
        count(block, layout.size(), 0);
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`: the same contract, passed on.
        let block = unsafe { System.alloc_zeroed(layout) };
        count(block, layout.size(), 0);
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(block, 0, layout.size());
        // SAFETY: the caller got `block` for this `layout` from us, so `System` allocated it.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller got `block` for this `layout` from us, so `System` allocated it, and
        // vouches for `size`.
        let moved = unsafe { System.realloc(block, layout, size) };
        count(moved, size, layout.size());
        moved
    }
}

/// A call that failed changed nothing.
fn count(block: *mut u8, more: usize, less: usize) {
    if !block.is_null() {
        // A thread that is ending no longer counts.
        let _ = BYTES.try_with(|bytes| bytes.set(bytes.get() + more as isize - less as isize));
    }
}

/// What one user of the heap holds: the sum of what its calls allocated and freed, each on the
/// thread that made it. So input buffers, sets of keys and progress bars stay out of the account.
#[derive(Default)]
pub(crate) struct Account {
    bytes: isize,
}

impl Account {
    /// Runs `call` and adds what it allocated, less what it freed.
    pub(crate) fn charge<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let before = BYTES.get();
        let answer = call();
        self.bytes += BYTES.get() - before;
        answer
    }

    /// Negative if it freed what others allocated.
    pub(crate) fn bytes(&self) -> isize {
        self.bytes
    }
}
