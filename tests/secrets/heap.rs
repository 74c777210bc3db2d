//! A heap that can be searched: an allocator that lists all live blocks, and a canary to look for.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use zeroize::Zeroizing;

/// In front of every block.
struct Node {
    prev: *mut Node,
    next: *mut Node,
    data: *mut u8,
    size: usize,
}

struct Heap {
    locked: AtomicBool,
    /// Guarded by `locked`.
    head: UnsafeCell<*mut Node>,
}

// SAFETY: `head`, and the list behind it, are touched only under `locked`.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap { locked: AtomicBool::new(false), head: UnsafeCell::new(null_mut()) };

/// The canary of the present test, or 0; and its pieces in blocks as they were freed.
static SEED: AtomicU64 = AtomicU64::new(0);
static FREED: AtomicUsize = AtomicUsize::new(0);

impl Heap {
    /// Runs `f` with the list in hand. It must not allocate.
    fn with<T>(&self, f: impl FnOnce(&mut *mut Node) -> T) -> T {
        // A mutex of std may allocate on some systems.
        while self.locked.swap(true, Ordering::Acquire) {
            std::thread::yield_now();
        }
        // SAFETY: we have the lock, so nobody else refers to the head.
        let answer = f(unsafe { &mut *self.head.get() });
        self.locked.store(false, Ordering::Release);
        answer
    }
}

/// The layout of a block with its node, and where the block begins in it.
fn extended(layout: Layout) -> Option<(Layout, usize)> {
    Layout::new::<Node>().extend(layout).ok()
}

// SAFETY: blocks are those of the system's allocator, of a larger layout that both `alloc` and
// `dealloc` compute from the caller's, and start at an offset that keeps their alignment.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((full, offset)) = extended(layout) else { return null_mut() };
        // Zeroed, so that every byte may be read later.
        // SAFETY: the layout has a size, for it contains a node.
        let block = unsafe { System.alloc_zeroed(full) };
        if block.is_null() {
            return block;
        }
        // SAFETY: the offset is within the block.
        let data = unsafe { block.add(offset) };
        let node = block.cast::<Node>();
        self.with(|head| {
            let fresh = Node { prev: null_mut(), next: *head, data, size: layout.size() };
            // SAFETY: the block begins with room for a node, aligned for it.
            unsafe { node.write(fresh) };
            if !head.is_null() {
                // SAFETY: listed nodes are live, and we have the lock.
                unsafe { (**head).prev = node };
            }
            *head = node;
        });
        data
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the contract is the same, and `alloc` zeroes.
        unsafe { self.alloc(layout) }
    }

    unsafe fn dealloc(&self, data: *mut u8, layout: Layout) {
        let Some((full, offset)) = extended(layout) else { return };
        // SAFETY: `alloc` computed the same offset for this layout.
        let block = unsafe { data.sub(offset) };
        let node = block.cast::<Node>();
        self.with(|head| {
            // SAFETY: the node was written by `alloc`, and we have the lock.
            let Node { prev, next, .. } = unsafe { node.read() };
            if prev.is_null() {
                *head = next;
            } else {
                // SAFETY: neighbours in the list are live.
                unsafe { (*prev).next = next };
            }
            if !next.is_null() {
                // SAFETY: as above.
                unsafe { (*next).prev = prev };
            }
        });
        let seed = SEED.load(Ordering::Relaxed);
        if seed != 0 {
            // SAFETY: the block is the caller's and no longer listed, so it is ours alone.
            let pieces = unsafe { count(&words(seed), data, layout.size()) };
            FREED.fetch_add(pieces, Ordering::Relaxed);
        }
        // SAFETY: the block came from `System` with this layout.
        unsafe { System.dealloc(block, full) };
    }
}

/// The canary of a seed, computed anew each time so that it lies nowhere in the heap.
fn words(seed: u64) -> [u64; 4] {
    [1, 2, 3, 4].map(|i| {
        // The finalizer of splitmix64: a bijection that maps 0 to 0 alone.
        let mut z = seed.wrapping_mul(4).wrapping_add(i).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// How many of the words lie in a block, wherever they begin.
///
/// # Safety
/// - The block is allocated by `HEAP` and not freed during the call.
unsafe fn count(words: &[u64; 4], data: *const u8, size: usize) -> usize {
    let (mut last, mut found) = (0u64, 0);
    for at in 0..size {
        // Volatile: a thread of the test harness may be writing to a block of its own.
        // SAFETY: within the block, which was zeroed when it was allocated.
        let byte = unsafe { data.add(at).read_volatile() };
        last = (last >> 8) | (u64::from(byte) << 56);
        found += usize::from(at >= 7 && words.contains(&last));
    }
    found
}

/// A secret that can be looked for. One at a time: the others wait in `new`.
pub(crate) struct Canary {
    seed: u64,
    _alone: MutexGuard<'static, ()>,
}

/// Pieces of one canary.
pub(crate) const PIECES: usize = 4;

impl Canary {
    pub(crate) fn new() -> Self {
        static ONE: Mutex<()> = Mutex::new(());
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let seed = NEXT.fetch_add(1, Ordering::Relaxed);
        FREED.store(0, Ordering::Relaxed);
        SEED.store(seed, Ordering::Relaxed);
        Canary { seed, _alone: alone }
    }

    /// The secret, on the stack.
    pub(crate) fn bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (part, word) in bytes.chunks_exact_mut(8).zip(words(self.seed)) {
            part.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// The secret as a value that wipes itself.
    pub(crate) fn key(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.bytes())
    }

    /// Pieces of it in all live blocks of the process.
    pub(crate) fn live(&self) -> usize {
        let words = words(self.seed);
        HEAP.with(|head| {
            let (mut node, mut found) = (*head, 0);
            while !node.is_null() {
                // SAFETY: listed blocks are not freed while we have the lock.
                found += unsafe { count(&words, (*node).data, (*node).size) };
                // SAFETY: as above.
                node = unsafe { (*node).next };
            }
            found
        })
    }

    /// Pieces of it in blocks that were freed since it was made.
    pub(crate) fn freed(&self) -> usize {
        FREED.load(Ordering::Relaxed)
    }

    /// Checks that it is nowhere: neither in live memory nor in what was freed.
    #[track_caller]
    pub(crate) fn assert_gone(&self) {
        assert_eq!((self.live(), self.freed()), (0, 0), "pieces of the key: live, freed");
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        SEED.store(0, Ordering::Relaxed);
    }
}
