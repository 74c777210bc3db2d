//! The one door to atomics and raw arrays: `std` in normal builds, `loom` or `shuttle` in model
//! builds. loom checks one protocol at a time, and pairs of operations, with weak memory; shuttle
//! runs whole caches. In builds with `--cfg steps` a test is told of every access ([`crate::steps`]).
//!
//! Protocol modules take their primitives from here, so the code that a model checks is the code
//! that ships. Two helpers exist for the model's sake:
//!
//! * [`model_fence`]: loom treats `SeqCst` *accesses* as `AcqRel`, so the store-load pairs of the
//!   protocols need a `SeqCst` fence there. Normal builds use `SeqCst` accesses and no fence.
//! * [`broken`]: a negative test switches one protocol step off and expects the model to fail.

#[cfg(not(any(loom, shuttle, steps)))]
pub(crate) use std::sync::atomic;

#[cfg(all(steps, not(any(loom, shuttle))))]
pub(crate) use crate::steps::atomic;

#[cfg(shuttle)]
pub(crate) use shuttle::sync::atomic;

#[cfg(loom)]
pub(crate) use loom::sync::atomic;

/// For what is allowed to wait: loads of one key.
#[cfg(not(shuttle))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};

#[cfg(not(any(loom, shuttle)))]
pub(crate) use std::{thread::yield_now, thread_local};

#[cfg(shuttle)]
pub(crate) use shuttle::{thread::yield_now, thread_local};

#[cfg(loom)]
pub(crate) use {loom::thread::yield_now, std::thread_local};

/// The fence that stands for a `SeqCst` access under loom; nothing in normal builds.
#[inline(always)]
pub(crate) fn model_fence() {
    #[cfg(loom)]
    atomic::fence(atomic::Ordering::SeqCst);
}

/// Protocol steps that a model may leave out, to show that it notices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(not(loom), allow(dead_code))]
pub(crate) enum Step {
    /// Index: a commit fails when the header changed since the scan.
    CommitFromScannedHeader,
    /// Index: the pending slot goes live before the next commit names another.
    HelpPending,
    /// Index: the remover follows a frozen bucket into the next table.
    UnlinkFollowsMove,
    /// Index: the next table's buckets are used only after both are filled.
    GateOnMoved,
    /// Index: the pending mark of a slot is cleared before it can be recycled.
    TakeOff,
    /// Index: a new bucket is sealed against late movers before it is used.
    SealBeforeUse,
    /// Free slots: every change of a stack has a number.
    StackVersion,
    /// Free slots: whoever takes an empty stack's bit away looks at the stack again.
    StackLooksAgain,
    /// Slots are reused only after a grace period.
    Grace,
    /// Wheel: whoever clears a bit makes sure that the slot's present home has one.
    EnsureAfterClear,
    /// Wheel: an insert looks at `swept` once it is live.
    InsertLooksAtSwept,
    /// Wheel: a sweep publishes `swept` before it walks.
    PublishSweptFirst,
    /// Wheel: a reserved slot names a home, like a live one.
    ReservedHasHome,
    /// Wheel: a summary bit is re-checked after it was cleared.
    SummaryRecheck,
    /// Wheel: a claim of a due entry is repeated when a touch came between.
    ClaimRepeats,
    /// Wheel: a mover sets the new bit before it clears the old one.
    SetBeforeClear,
    /// Wheel: a bit set by a mover, or by whoever ensures one, is not trusted to a sweep that has
    /// started before.
    FileLooksAtSwept,
    /// Wheel: a sweep files a slot forward before it clears the stale bit that it met.
    EnsureBeforeClear,
    /// Wheel: whoever ensures a bit looks at the summary bit, too.
    EnsureSeesSummary,
    /// Wheel: whoever sets a summary bit again claims what a sweep may have passed over meanwhile.
    ReopenClaims,
    /// Limbo: whoever clears a bit makes sure that a dead slot keeps one.
    LimboEnsure,
    /// Limbo: a slot whose erasing is put off is added again.
    PutBackAdds,
    /// Names: whoever meets an alias that was announced confirms it before he goes on.
    ConfirmAnnounced,
    /// Loads: a loader that has announced its slot looks whether it was cancelled.
    LoaderLooksForCancel,
    /// Loads: a remover kills the slot that a loader has announced.
    RemoverKillsAnnounced,
    /// Loads: it makes sure that it was that load which announced it.
    RemoverKnowsLoad,
    /// Links: a reader looks at the parents of a child.
    CheckParents,
    /// Links: and at the parents of these, all the way up.
    CheckWholeLine,
    /// Links: an inserter looks at the parent once its child is live.
    Settle,
    /// Links: it does so behind a fence.
    SettleFence,
    /// Links: a cascade looks for children behind a fence.
    CascadeFence,
    /// Links: a cascade claims only children that are tied to its very parent.
    CascadeComparesTies,
    /// Links: a claim of a child is repeated when a touch came between.
    OrphanRepeats,
    /// Links: a parent is recycled after its cascade.
    CascadeBeforeRecycling,
    /// Links: a node is marked before it is cut out.
    MarkBeforeCut,
    /// Links: a child that is reserved keeps its node.
    ReservedKeepsNode,
    /// Links: an insert replaces a child of another parent only while its own is alive.
    ReplaceLooksAtParent,
    /// Links: a parent that is due is claimed before its child is missed.
    ClaimDueParent,
}

/// Whether a negative test left `step` out. Always `false`, at no cost, outside of models.
#[inline(always)]
pub(crate) fn broken(step: Step) -> bool {
    #[cfg(any(loom, shuttle))]
    return model::BROKEN.with(|b| b.get() == Some(step));
    #[cfg(not(any(loom, shuttle)))]
    {
        let _ = step;
        false
    }
}

#[cfg(any(loom, shuttle))]
pub(crate) mod model {
    use super::Step;
    use std::cell::Cell;

    thread_local! {
        // All threads of a model run on one OS thread, so this reaches all of them.
        pub(crate) static BROKEN: Cell<Option<Step>> = const { Cell::new(None) };
    }

    /// Expects `model` to fail once `step` is left out.
    #[cfg(test)]
    pub(crate) fn fails_without(step: Step, model: impl FnOnce()) {
        BROKEN.with(|b| b.set(Some(step)));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(model));
        BROKEN.with(|b| b.set(None));
        assert!(outcome.is_err(), "the model does not notice that {step:?} is missing");
    }

    /// Atomic accesses in one execution, at most: more of them are taken for an endless loop.
    #[cfg(loom)]
    const MAX_BRANCHES: usize = 10_000;

    /// Runs `f` in all interleavings with at most `preemptions` preemptions.
    #[cfg(loom)]
    pub(crate) fn check(preemptions: usize, f: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        let bound = std::env::var("LOOM_MAX_PREEMPTIONS").ok().and_then(|v| v.parse().ok());
        builder.preemption_bound = Some(bound.unwrap_or(preemptions));
        builder.max_branches = MAX_BRANCHES;
        builder.check(f);
    }

    /// Expects the model to fail once `step` is left out.
    #[cfg(all(test, loom))]
    pub(crate) fn check_fails_without(
        step: Step,
        preemptions: usize,
        f: impl Fn() + Sync + Send + 'static,
    ) {
        fails_without(step, || {
            let mut builder = loom::model::Builder::new();
            builder.preemption_bound = Some(preemptions);
            builder.max_branches = MAX_BRANCHES;
            builder.check(f);
        });
    }

    /// One test per race: a function of this name holds the scenario, and `$explore` runs it.
    #[cfg(all(test, loom))]
    macro_rules! scenarios {
        ($explore:path; $($(#[$doc:meta])* $bound:literal $scenario:ident;)*) => {
            mod explored {
                $($(#[$doc])* #[test]
                fn $scenario() {
                    $explore(stringify!($scenario), $bound, super::$scenario);
                })*
            }
        };
    }

    /// One test per step of a protocol: without it, a scenario fails. Three preemptions are enough
    /// for all of these.
    #[cfg(all(test, loom))]
    macro_rules! needed {
        ($($test:ident: $step:ident in $scenario:path;)*) => {
            $(#[test]
            fn $test() {
                let step = crate::sync::Step::$step;
                crate::sync::model::check_fails_without(step, 3, $scenario);
            })*
        };
    }

    #[cfg(all(test, loom))]
    pub(crate) use {needed, scenarios};
}

/// Asks the processor for the cache line of an address that is needed soon. The address may be any.
#[inline(always)]
pub(crate) fn prefetch<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch changes nothing, and faults nowhere.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(place.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Whether structures are as small as models want them.
pub(crate) const TINY: bool = cfg!(any(loom, shuttle));

/// Types whose all-zero bytes are a valid, unused value.
///
/// # Safety
/// - Every field must accept the all-zero bit pattern.
pub(crate) unsafe trait Zeroed: Sized {
    /// The all-zero value, built field by field where memory cannot simply be zeroed (models).
    #[cfg(any(loom, shuttle))]
    fn zeroed() -> Self;
}

// SAFETY: zero is a valid integer.
unsafe impl Zeroed for atomic::AtomicU64 {
    #[cfg(any(loom, shuttle))]
    fn zeroed() -> Self {
        Self::new(0)
    }
}

// SAFETY: zero is a valid integer.
unsafe impl Zeroed for atomic::AtomicU32 {
    #[cfg(any(loom, shuttle))]
    fn zeroed() -> Self {
        Self::new(0)
    }
}

// SAFETY: zero is the null pointer.
unsafe impl<T> Zeroed for atomic::AtomicPtr<T> {
    #[cfg(any(loom, shuttle))]
    fn zeroed() -> Self {
        Self::new(std::ptr::null_mut())
    }
}

/// An array of `len` zeroed elements. Large ones come untouched from the operating system, so
/// memory that is never used is never resident.
///
/// # Panics
/// If the size overflows `isize`; aborts through [`std::alloc::handle_alloc_error`] when memory
/// is short, as every collection of `std` does.
#[cfg(not(any(loom, shuttle)))]
pub(crate) fn zeroed_array<T: Zeroed>(len: usize) -> Box<[T]> {
    use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
    let layout = Layout::array::<T>(len).expect("array size overflows isize");
    if layout.size() == 0 {
        return (0..0).map(|_| unreachable!()).collect();
    }
    // SAFETY: the layout has a non-zero size.
    let ptr = unsafe { alloc_zeroed(layout) }.cast::<T>();
    if ptr.is_null() {
        handle_alloc_error(layout);
    }
    // SAFETY: allocated by the global allocator with the layout of [T; len]; all-zero is a valid T.
    unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(ptr, len)) }
}

/// Zeroed cells that begin at a cache line.
///
/// Asked for that alignment, allocators write all the zeros at once instead of mapping pages as
/// they are used, and one unlucky insert waits for it. So the array is aligned by hand.
#[cfg(not(any(loom, shuttle)))]
pub(crate) struct LineArray<T> {
    /// What `first` points into. No `Box`: when that moves, nobody else may use what it owns.
    memory: *mut [atomic::AtomicU64],
    first: *const T,
    len: usize,
}

// SAFETY: it owns its elements, and hands them out shared.
#[cfg(not(any(loom, shuttle)))]
unsafe impl<T: Send + Sync> Send for LineArray<T> {}
// SAFETY: as above.
#[cfg(not(any(loom, shuttle)))]
unsafe impl<T: Sync> Sync for LineArray<T> {}

#[cfg(not(any(loom, shuttle)))]
impl<T: Zeroed> LineArray<T> {
    /// Words in an element.
    const WORDS: usize = {
        assert!(align_of::<T>() == 64 && !std::mem::needs_drop::<T>());
        size_of::<T>() / size_of::<u64>()
    };

    /// An array of `len` zeroed elements, which are made of atomic words.
    ///
    /// # Panics
    /// As [`zeroed_array`].
    pub(crate) fn new(len: usize) -> Self {
        let more = align_of::<T>() / size_of::<u64>();
        let memory = Box::into_raw(zeroed_array(len * Self::WORDS + more));
        let start: *const atomic::AtomicU64 = memory.cast();
        let first = start.wrapping_add(start.align_offset(align_of::<T>())).cast::<T>();
        LineArray { memory, first, len }
    }
}

#[cfg(not(any(loom, shuttle)))]
impl<T> Drop for LineArray<T> {
    fn drop(&mut self) {
        // SAFETY: `new` made it from a box, and `&mut self` shows that nobody uses it.
        drop(unsafe { Box::from_raw(self.memory) });
    }
}

#[cfg(not(any(loom, shuttle)))]
impl<T> std::ops::Deref for LineArray<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: `new` made room for as many elements from the first aligned word on; all-zero is
        // a valid `T`, and both are made of atomic words, so they may be shared.
        unsafe { std::slice::from_raw_parts(self.first, self.len) }
    }
}

/// The same in models, which do not look at addresses.
#[cfg(any(loom, shuttle))]
pub(crate) struct LineArray<T>(Box<[T]>);

#[cfg(any(loom, shuttle))]
impl<T: Zeroed> LineArray<T> {
    pub(crate) fn new(len: usize) -> Self {
        LineArray(zeroed_array(len))
    }
}

#[cfg(any(loom, shuttle))]
impl<T> std::ops::Deref for LineArray<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

/// An array of `len` zeroed elements, in models.
#[cfg(any(loom, shuttle))]
pub(crate) fn zeroed_array<T: Zeroed>(len: usize) -> Box<[T]> {
    (0..len).map(|_| T::zeroed()).collect()
}
