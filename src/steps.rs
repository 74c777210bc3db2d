//! A point before every access to shared memory: in builds with `--cfg steps` the thread's watcher
//! is told where in the source it is about to read or write, and may count, yield, or hold the
//! thread up there. Other builds use the atomics of `std` as they are.
//!
//! The points need no names and no list: they are the places where the code uses an atomic, so a
//! new one cannot be forgotten.

use std::cell::Cell;
use std::panic::Location;

/// Where in the source an access is.
pub type Point = &'static Location<'static>;

type Watcher = Box<dyn FnMut(Point)>;

thread_local! {
    static WATCHER: Cell<Option<Watcher>> = const { Cell::new(None) };
}

/// Has `watcher` called before each access of this thread, or nothing any more. Accesses of the
/// watcher itself are not watched.
pub fn watch(watcher: Option<Watcher>) {
    WATCHER.set(watcher);
}

/// About to access shared memory at `point`.
fn step(point: Point) {
    // A thread that is ending has no watcher.
    let watcher = WATCHER.try_with(Cell::take).ok().flatten();
    if let Some(mut watcher) = watcher {
        watcher(point);
        WATCHER.set(Some(watcher));
    }
}

/// The atomics of `std`, watched.
pub(crate) mod atomic {
    use super::step;
    use std::ops::{Deref, DerefMut};
    use std::panic::Location;
    use std::sync::atomic as std_atomic;

    pub(crate) use std_atomic::{Ordering, compiler_fence};

    pub(crate) type AtomicBool = Watched<std_atomic::AtomicBool>;
    pub(crate) type AtomicU8 = Watched<std_atomic::AtomicU8>;
    pub(crate) type AtomicU32 = Watched<std_atomic::AtomicU32>;
    pub(crate) type AtomicU64 = Watched<std_atomic::AtomicU64>;
    pub(crate) type AtomicUsize = Watched<std_atomic::AtomicUsize>;
    pub(crate) type AtomicPtr<T> = Watched<std_atomic::AtomicPtr<T>>;

    /// An atomic that is reached by a step: each call of a method goes through `deref`.
    #[derive(Default, Debug)]
    #[repr(transparent)]
    pub(crate) struct Watched<A>(A);

    impl<A> Deref for Watched<A> {
        type Target = A;

        #[track_caller]
        fn deref(&self) -> &A {
            step(Location::caller());
            &self.0
        }
    }

    /// What is not shared yet, or no more, is no step.
    impl<A> DerefMut for Watched<A> {
        fn deref_mut(&mut self) -> &mut A {
            &mut self.0
        }
    }

    impl AtomicBool {
        pub(crate) const fn new(value: bool) -> Self {
            Watched(std_atomic::AtomicBool::new(value))
        }
    }

    impl AtomicU8 {
        pub(crate) const fn new(value: u8) -> Self {
            Watched(std_atomic::AtomicU8::new(value))
        }
    }

    impl AtomicU32 {
        pub(crate) const fn new(value: u32) -> Self {
            Watched(std_atomic::AtomicU32::new(value))
        }
    }

    impl AtomicU64 {
        pub(crate) const fn new(value: u64) -> Self {
            Watched(std_atomic::AtomicU64::new(value))
        }
    }

    impl AtomicUsize {
        pub(crate) const fn new(value: usize) -> Self {
            Watched(std_atomic::AtomicUsize::new(value))
        }
    }

    impl<T> AtomicPtr<T> {
        pub(crate) const fn new(value: *mut T) -> Self {
            Watched(std_atomic::AtomicPtr::new(value))
        }
    }

    #[track_caller]
    pub(crate) fn fence(order: Ordering) {
        step(Location::caller());
        std_atomic::fence(order);
    }
}
