//! Models of the free list: an id has one owner at a time, and none is lost.

use super::free::{FIRST_ID, FreeList};
use crate::sync::atomic::AtomicU64;
use crate::sync::model::{check, needed, scenarios};
use loom::cell::UnsafeCell;
use loom::thread;
use std::sync::Arc;

const IDS: u32 = 3;

struct World {
    list: FreeList,
    states: [AtomicU64; IDS as usize],
    /// What the owner of an id writes.
    marks: [UnsafeCell<u32>; IDS as usize],
}

// SAFETY: the cells report every unordered access by themselves.
unsafe impl Sync for World {}

impl World {
    /// A list of which all ids were handed out once, and given back as one chain.
    fn new() -> Arc<Self> {
        let world = Arc::new(World {
            list: FreeList::new(FIRST_ID..FIRST_ID + IDS),
            states: std::array::from_fn(|_| AtomicU64::new(0)),
            marks: std::array::from_fn(|_| UnsafeCell::new(0)),
        });
        let ids: Vec<u32> = (0..IDS).map(|_| world.take().unwrap()).collect();
        world.give_back(&ids);
        world
    }

    fn take(&self) -> Option<u32> {
        let id = self.list.pop(0, |id| &self.states[(id - FIRST_ID) as usize])?;
        // SAFETY: loom reports a race.
        self.marks[(id - FIRST_ID) as usize].with_mut(|mark| unsafe { *mark += 1 });
        Some(id)
    }

    fn give_back(&self, ids: &[u32]) {
        self.list.push(ids, |id| &self.states[(id - FIRST_ID) as usize]);
    }

    /// At rest: every id is there once.
    fn check(&self) {
        assert!(self.list.is_consistent(), "a stack is hidden");
        let mut ids: Vec<u32> = std::iter::from_fn(|| self.take()).collect();
        ids.sort_unstable();
        assert!(ids.iter().copied().eq(FIRST_ID..FIRST_ID + IDS), "not each once: {ids:?}");
    }
}

/// Runs both beside each other, and checks. What `one` keeps is given back afterwards.
fn race(one: fn(&World) -> Option<u32>, other: fn(&World)) {
    let world = World::new();
    let theirs = Arc::clone(&world);
    let thread = thread::spawn(move || other(&theirs));
    let kept = one(&world);
    thread.join().unwrap();
    assert!(world.list.is_consistent(), "a stack is hidden");
    kept.inspect(|id| world.give_back(&[*id]));
    world.check();
}

fn take_two(world: &World) -> Vec<u32> {
    [world.take(), world.take()].into_iter().flatten().collect()
}

fn a_taker_and_a_chain() {
    race(World::take, |world| world.give_back(&take_two(world)));
}

/// The top comes back while the other thread holds the link that it had before.
fn a_taker_and_a_top_that_comes_back() {
    race(World::take, |world| {
        take_two(world).iter().for_each(|id| world.give_back(&[*id]));
    });
}

fn a_taker_that_finds_nothing_and_a_chain() {
    race(World::take, |world| {
        let ids: Vec<u32> = std::iter::from_fn(|| world.take()).collect();
        if !ids.is_empty() {
            world.give_back(&ids);
        }
    });
}

fn explore(_name: &str, bound: usize, scenario: fn()) {
    check(bound, scenario);
}

scenarios! {
    crate::slab::free_model::explore;
    4 a_taker_and_a_chain;
    4 a_taker_and_a_top_that_comes_back;
    3 a_taker_that_finds_nothing_and_a_chain;
}

needed! {
    every_change_of_a_stack_has_a_number: StackVersion in a_taker_and_a_top_that_comes_back;
    an_emptied_stack_is_looked_at_again:
        StackLooksAgain in a_taker_that_finds_nothing_and_a_chain;
}
