//! Models of a load and the removals of its key: once a removal that began after the load has
//! ended, what was loaded is not live, and does not become so.

use super::cell::Cell;
use crate::link::Incarnation;
use crate::slab::{Flag, State};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::model::{check, needed, scenarios};
use crate::sync::model_fence;
use loom::thread;
use std::sync::Arc;

const HASH: u32 = 9;
const OTHER: u32 = 11;

/// One load that is under way, and two slots as the index knows them: what is live is found.
struct World {
    cell: Cell,
    slots: [AtomicU64; 2],
}

impl World {
    fn new() -> Arc<Self> {
        let reserved = || AtomicU64::new(State::new(0, 1, Flag::Reserved).0);
        let world =
            World { cell: Cell::new(std::ptr::null_mut()), slots: [reserved(), reserved()] };
        world.cell.open(HASH, 0);
        Arc::new(world)
    }

    fn state(&self, slot: u32) -> State {
        State(self.slots[slot as usize - 1].load(Ordering::Acquire))
    }

    fn exchange(&self, slot: u32, from: State, to: State) -> bool {
        // SeqCst: as all exchanges that begin or end an entry.
        let (order, word) = (Ordering::SeqCst, &self.slots[slot as usize - 1]);
        word.compare_exchange(from.0, to.0, order, Ordering::Acquire).is_ok()
    }

    /// The loader publishes what it has in a slot. Whether it did.
    fn publish(&self, slot: u32) -> bool {
        let reserved = State::new(0, 1, Flag::Reserved);
        self.cell.announce(Incarnation { slot, generation: 1 })
            && self.exchange(slot, reserved, reserved.with_flag(Flag::Live))
    }

    /// A removal: cancel, then find and claim.
    fn remove(&self, hash: u32, slot: u32) {
        let kill = |entry: Incarnation| {
            let state = self.state(entry.slot);
            if state.is(Flag::Reserved) {
                self.exchange(entry.slot, state, state.stopped());
            }
        };
        self.cell.cancel(|other| other == hash, kill);
        // As whatever looks into the index after an exchange that failed.
        model_fence();
        let state = self.state(slot);
        if state.is(Flag::Live) {
            self.exchange(slot, state, state.dead(1, 0, false));
        }
    }
}

fn race(one: fn(&World), other: fn(&World)) -> Arc<World> {
    let world = World::new();
    let theirs = Arc::clone(&world);
    let thread = thread::spawn(move || other(&theirs));
    one(&world);
    thread.join().unwrap();
    world
}

fn load_and_removal() {
    let world = race(|w| _ = w.publish(1), |w| w.remove(HASH, 1));
    assert!(!world.state(1).is(Flag::Live), "it came back");
}

fn second_attempt_and_removal() {
    let both = |w: &World| _ = w.publish(1) || w.publish(2);
    let removal = |w: &World| {
        w.remove(HASH, 1);
        w.remove(HASH, 2);
    };
    let world = race(both, removal);
    assert!(!world.state(1).is(Flag::Live) && !world.state(2).is(Flag::Live), "it came back");
}

fn two_removals() {
    let world = World::new();
    let theirs = Arc::clone(&world);
    let remover = thread::spawn(move || {
        theirs.remove(HASH, 1);
        assert!(!theirs.state(1).is(Flag::Live), "it came back");
    });
    let theirs = Arc::clone(&world);
    let loader = thread::spawn(move || _ = theirs.publish(1));
    world.remove(HASH, 1);
    assert!(!world.state(1).is(Flag::Live), "it came back");
    remover.join().unwrap();
    loader.join().unwrap();
}

/// The cell goes on to the load of another key, which the removal must leave alone.
fn removal_and_the_next_load() {
    let both = |w: &World| {
        w.publish(1);
        w.cell.close();
        w.cell.open(OTHER, 0);
        assert!(w.publish(2), "another key's load was cancelled");
    };
    let world = race(both, |w| w.remove(HASH, 1));
    assert!(!world.state(1).is(Flag::Live), "it came back");
}

fn explore(_name: &str, bound: usize, scenario: fn()) {
    check(bound, scenario);
}

scenarios! {
    crate::flights::model::explore;
    5 load_and_removal;
    4 second_attempt_and_removal;
    3 two_removals;
    4 removal_and_the_next_load;
}

needed! {
    the_loader_looks_whether_it_was_cancelled: LoaderLooksForCancel in load_and_removal;
    the_remover_kills_what_was_announced: RemoverKillsAnnounced in load_and_removal;
    a_number_tells_loads_in_one_cell_apart: RemoverKnowsLoad in removal_and_the_next_load;
}
