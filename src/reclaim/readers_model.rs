//! Models of pins: a reader either is waited for, or does not see what was taken out.

use super::readers::{Reader, Readers};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Step, model};
use loom::cell::UnsafeCell;
use loom::thread;
use std::sync::Arc;

/// A thing that is readable until it is taken out, and then destroyed.
struct World {
    readers: Readers,
    published: AtomicBool,
    thing: UnsafeCell<u32>,
}

// SAFETY: the cell reports every unordered access by itself.
unsafe impl Sync for World {}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(World {
            readers: Readers::new(),
            published: AtomicBool::new(true),
            thing: UnsafeCell::new(1),
        })
    }

    /// Reads the thing under a pin, if it is still there.
    fn read(&self, reader: &Reader) {
        reader.enter();
        if self.published.load(Ordering::Acquire) {
            // SAFETY: a copy; loom reports a race.
            assert_eq!(self.thing.with(|thing| unsafe { *thing }), 1, "read after its end");
        }
        reader.leave();
    }

    /// Takes the thing out, and destroys it if a grace period passes at once.
    fn reclaim(&self) {
        self.published.store(false, Ordering::Release);
        let pinned = self.readers.pinned();
        if pinned.iter().all(|turn| turn.is_over()) {
            // SAFETY: loom reports a race.
            self.thing.with_mut(|thing| unsafe { *thing = 0 });
        }
    }
}

fn reader_against_reclaimer() {
    let world = World::new();
    let other = Arc::clone(&world);
    let reader = thread::spawn(move || {
        let reader = other.readers.register();
        other.read(reader);
        other.read(reader);
        reader.give_back();
    });
    world.reclaim();
    reader.join().unwrap();
}

#[test]
fn a_reader_is_waited_for_or_sees_nothing() {
    model::check(3, reader_against_reclaimer);
}

#[test]
fn a_pin_is_announced_before_anything_is_read() {
    model::check_fails_without(Step::PinBarrier, 3, reader_against_reclaimer);
}

#[test]
fn records_pass_from_thread_to_thread_under_a_grace_period() {
    model::check(2, || {
        let world = World::new();
        let readers = [(); 2].map(|()| {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let reader = world.readers.register();
                world.read(reader);
                reader.give_back();
            })
        });
        world.reclaim();
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

#[test]
fn the_end_of_a_nested_pin_is_not_the_end() {
    model::check(3, || {
        let world = World::new();
        let other = Arc::clone(&world);
        let reader = thread::spawn(move || {
            let reader = other.readers.register();
            reader.enter();
            if other.published.load(Ordering::Acquire) {
                reader.enter();
                reader.leave();
                // SAFETY: a copy; loom reports a race.
                assert_eq!(other.thing.with(|thing| unsafe { *thing }), 1, "read after its end");
            }
            reader.leave();
        });
        world.reclaim();
        reader.join().unwrap();
    });
}
