//! Loads that are under way: one per key at a time. Knows hashes, no keys and no values; two keys
//! with the same hash wait for each other.
//!
//! Loaders take locks here, for a few instructions, and wait for each other. Removers do neither:
//! see [`cell`].

mod cell;
#[cfg(all(test, loom))]
mod model;

use crate::link::Incarnation;
use crate::sync::atomic::{AtomicPtr, Ordering};
use crate::sync::{Condvar, Mutex, TINY, thread_local};
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};

use cell::Cell;

const BUCKETS: usize = if TINY { 1 } else { 64 };

thread_local! {
    /// Its address tells threads apart while they run.
    static HERE: u8 = const { 0 };
}

/// All loads of one cache.
pub(crate) struct Flights {
    buckets: Box<[Bucket]>,
}

#[derive(Default)]
struct Bucket {
    /// A list that only grows; as long as the most loads that were under way in it at a time.
    cells: AtomicPtr<Cell>,
    /// Tasks that wait for the load of a key with this hash. The lock is what begins and ends of
    /// loads are ordered by; no user code runs under it.
    waiting: Mutex<Vec<(u32, Waker)>>,
    ended: Condvar,
}

/// A load that this thread or task has begun. It ends when this drops.
pub(crate) struct Flight<'a> {
    bucket: &'a Bucket,
    cell: &'a Cell,
    hash: u32,
}

impl Flights {
    pub(crate) fn new() -> Self {
        Flights { buckets: (0..BUCKETS).map(|_| Bucket::default()).collect() }
    }

    fn bucket(&self, hash: u32) -> &Bucket {
        // The lowest bit of a hash is set.
        &self.buckets[(hash >> 1) as usize % BUCKETS]
    }

    /// Begins the load of a key with this hash. `None`: one is under way. With `is_nested`, not one
    /// of this very thread, which would wait for itself.
    pub(crate) fn begin(&self, hash: u32, is_nested: bool) -> Option<Flight<'_>> {
        let bucket = self.bucket(hash);
        let here = if is_nested { HERE.with(|here| std::ptr::from_ref(here) as u64) } else { 0 };
        let _lock = bucket.lock();
        let of_others = |cell: &&Cell| cell.is_of(hash) && (here == 0 || cell.owner() != here);
        if bucket.cells().any(|cell| of_others(&cell)) {
            return None;
        }
        let cell = bucket.cells().find(|cell| !cell.is_busy());
        let cell = cell.unwrap_or_else(|| bucket.add_cell());
        cell.open(hash, here);
        Some(Flight { bucket, cell, hash })
    }

    /// Blocks until no load of a key with this hash is under way.
    pub(crate) fn wait(&self, hash: u32) {
        let bucket = self.bucket(hash);
        let mut lock = bucket.lock();
        while bucket.is_loading(hash) {
            lock = bucket.ended.wait(lock).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The same for a task.
    pub(crate) fn poll_ended(&self, hash: u32, context: &mut Context<'_>) -> Poll<()> {
        let bucket = self.bucket(hash);
        let waker = context.waker().clone();
        let mut waiting = bucket.lock();
        if !bucket.is_loading(hash) {
            drop(waiting);
            return Poll::Ready(());
        }
        // A task that is polled again leaves a second waker here, until the load ends.
        waiting.push((hash, waker));
        Poll::Pending
    }

    /// Cancels the loads of keys with this hash: see [`cell`].
    pub(crate) fn cancel(&self, hash: u32, kill: impl Fn(Incarnation)) {
        self.bucket(hash).cells().for_each(|cell| cell.cancel(|other| other == hash, &kill));
    }

    /// Cancels all loads.
    pub(crate) fn cancel_all(&self, kill: impl Fn(Incarnation)) {
        let cells = self.buckets.iter().flat_map(Bucket::cells);
        cells.for_each(|cell| cell.cancel(|_| true, &kill));
    }
}

impl Bucket {
    fn lock(&self) -> crate::sync::MutexGuard<'_, Vec<(u32, Waker)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cells(&self) -> impl Iterator<Item = &Cell> {
        // Acquire: sees the cells. SeqCst: a remover sees every load that began before.
        let mut next = self.cells.load(Ordering::SeqCst);
        std::iter::from_fn(move || {
            // SAFETY: listed cells live as long as the bucket.
            let cell = unsafe { next.as_ref() }?;
            next = cell.next();
            Some(cell)
        })
    }

    /// Lists one more cell. The caller has the lock.
    fn add_cell(&self) -> &Cell {
        let cell = Box::into_raw(Box::new(Cell::new(self.cells.load(Ordering::Relaxed))));
        // Release: publishes the cell. SeqCst: see `cells`.
        self.cells.store(cell, Ordering::SeqCst);
        // SAFETY: as in `cells`.
        unsafe { &*cell }
    }

    /// The caller has the lock.
    fn is_loading(&self, hash: u32) -> bool {
        self.cells().any(|cell| cell.is_of(hash))
    }
}

impl Flight<'_> {
    /// As [`Cell::announce`].
    pub(crate) fn announce(&self, entry: Incarnation) -> bool {
        self.cell.announce(entry)
    }

    /// Whether the load was cancelled already. `false` says nothing: `announce` decides.
    pub(crate) fn was_cancelled(&self) -> bool {
        self.cell.was_cancelled()
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let woken: Vec<(u32, Waker)> = {
            let mut waiting = self.bucket.lock();
            self.cell.close();
            let hash = self.hash;
            let (woken, others) = waiting.drain(..).partition(|(other, _)| *other == hash);
            *waiting = others;
            woken
        };
        self.bucket.ended.notify_all();
        woken.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        let mut next = self.cells.load(Ordering::Relaxed);
        while !next.is_null() {
            // SAFETY: made by `Box::into_raw`, listed once, and nobody else is here any more.
            let cell = unsafe { Box::from_raw(next) };
            next = cell.next();
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn one_load_per_hash_at_a_time_and_nested_ones_of_one_thread() {
        let flights = Flights::new();
        let first = flights.begin(9, true).unwrap();
        assert!(flights.begin(9, false).is_none());
        assert!(flights.begin(9 + 128, false).is_some());
        let nested = flights.begin(9, true).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| assert!(flights.begin(9, true).is_none()));
        });
        drop(first);
        assert!(flights.begin(9, false).is_none());
        drop(nested);
        flights.wait(9);
        assert!(flights.begin(9, false).is_some());
        assert_eq!(flights.bucket(9).cells().count(), 2, "cells are used again");
    }

    #[test]
    fn a_cancelled_load_is_told_and_its_slot_handed_over() {
        use std::cell::Cell;
        let flights = Flights::new();
        let entry = Incarnation { slot: 5000, generation: 7 };
        let killed = Cell::new(None);
        let flight = flights.begin(9, false).unwrap();
        assert!(flight.announce(entry));
        flights.cancel(11, |entry| killed.set(Some(entry)));
        assert_eq!(killed.get(), None);
        flights.cancel(9, |entry| killed.set(Some(entry)));
        assert_eq!(killed.take(), Some(entry));
        assert!(!flight.announce(entry));
        drop(flight);
        flights.cancel_all(|_| unreachable!());
        let next = flights.begin(9, false).unwrap();
        assert!(next.announce(entry), "the next load is not cancelled");
        flights.cancel_all(|entry| killed.set(Some(entry)));
        assert_eq!(killed.take(), Some(entry));
    }
}
