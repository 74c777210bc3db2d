//! User code that comes back: at the n-th call of a `Hash`, `Eq`, `Clone`, `Drop`, listener, loader
//! or closure the script goes on inside of it, on the same cache, on one that is linked with it, or
//! on another one; or drops a cache; or panics. And so on, inside of that.
#![no_main]

mod user_code;

use arbitrary::Arbitrary;
use idlewheel::{Cache, Clock, MockClock};
use libfuzzer_sys::fuzz_target;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::hash::BuildHasherDefault;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use user_code::{
    Op, Sessions, Token, UNIT, apply, called, check, fired, never_panics, panic_quietly, reset,
    set_fuse, set_trap, settle, with_fuse,
};

/// A cache, one that is linked to it, and another one.
const CACHES: usize = 3;
const MOST: usize = 200;
/// What happens inside of one operation at most, each thing perhaps inside of the one before.
const MOST_TRAPS: usize = 5;

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Reaction {
    Panic,
    Apply(u8, Op),
    /// Drops a handle: mostly the last one.
    Drop(u8),
    /// Builds a cache that was dropped anew.
    Build(u8),
}

#[derive(Arbitrary, Debug)]
struct Outer {
    cache: u8,
    op: Op,
    /// After how many calls of user code something happens; and after that, the next thing.
    traps: Vec<(u8, Reaction)>,
}

#[derive(Arbitrary, Debug)]
struct Script {
    idle: u8,
    /// Whether the caches have listeners.
    listens: bool,
    ops: Vec<Outer>,
}

/// What all calls of user code can reach.
struct World {
    mock: MockClock,
    clock: Clock,
    idle: u8,
    listens: bool,
    caches: [RefCell<Option<Sessions>>; CACHES],
    traps: RefCell<VecDeque<(u8, Reaction)>>,
    /// Panics that came out of an operation.
    out: Cell<u64>,
    /// Whether a cache was dropped, and with it what it has counted.
    dropped: Cell<bool>,
}

thread_local! {
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

fn place(number: u8) -> usize {
    usize::from(number) % CACHES
}

impl World {
    fn new(script: &Script) -> Rc<Self> {
        let (clock, mock) = Clock::mock();
        let world = Rc::new(World {
            mock,
            clock,
            idle: script.idle,
            listens: script.listens,
            caches: Default::default(),
            traps: RefCell::default(),
            out: Cell::new(0),
            dropped: Cell::new(false),
        });
        (0..CACHES).for_each(|number| world.build(number));
        world
    }

    fn handle(&self, number: usize) -> Option<Sessions> {
        self.caches[number].borrow().clone()
    }

    fn build(&self, number: usize) {
        if self.handle(number).is_some() {
            return;
        }
        let mut builder = Cache::builder().idle_timeout(UNIT * self.idle.into());
        if self.listens {
            builder = builder.on_removal(|_, _, _| called());
        }
        let cache = match (number, self.handle(0)) {
            (1, Some(parents)) => builder.linked_to(&parents).build(),
            _ => {
                let builder = builder.clock(self.clock.clone());
                builder.hasher(BuildHasherDefault::default()).build()
            }
        };
        // None was built meanwhile: no user code ran.
        *self.caches[number].borrow_mut() = Some(cache.expect("valid settings"));
    }

    fn drop_handle(&self, number: usize) {
        let cache = self.caches[number].borrow_mut().take();
        self.dropped.set(self.dropped.get() || cache.is_some());
        // Not while it is borrowed: values are dropped now.
        drop(cache);
    }

    /// An operation on its own handle, which is the last one if another was dropped meanwhile.
    fn apply(&self, number: u8, op: Op) {
        if let Some(cache) = self.handle(place(number)) {
            apply(&cache, &self.mock, op);
        }
    }

    /// Counts the panics of `run` that came out; none may come out of some operations.
    fn caught(&self, op: Option<Op>, panicked: bool) {
        let may_panic = op.is_some_and(|op| !never_panics(op));
        assert!(!panicked || may_panic, "a panic came out of {op:?}");
        self.out.set(self.out.get() + u64::from(panicked));
    }

    /// Sets the next trap, if there is another one.
    fn arm(&self) {
        set_fuse(self.traps.borrow().front().map_or(0, |trap| trap.0 % 24));
    }

    /// What happens in a call of user code.
    fn react(&self) {
        let reaction = self.traps.borrow_mut().pop_front().map(|trap| trap.1);
        self.arm();
        let nested = |run: &dyn Fn()| catch_unwind(AssertUnwindSafe(run)).is_err();
        match reaction {
            None => {}
            // A panic of a drop that comes during another one ends the process, here as elsewhere.
            Some(Reaction::Panic) if std::thread::panicking() => {}
            Some(Reaction::Panic) => panic_quietly(),
            Some(Reaction::Apply(number, op)) => {
                self.caught(Some(op), nested(&|| self.apply(number, op)));
            }
            Some(Reaction::Drop(number)) => {
                self.caught(None, nested(&|| self.drop_handle(place(number))));
            }
            Some(Reaction::Build(number)) => self.build(place(number)),
        }
    }

    fn run(&self, outer: &Outer) {
        *self.traps.borrow_mut() = outer.traps.iter().take(MOST_TRAPS).copied().collect();
        let first = self.traps.borrow().front().map_or(0, |trap| trap.0 % 24);
        let panicked = with_fuse(first, || self.apply(outer.cache, outer.op));
        self.traps.borrow_mut().clear();
        self.caught(Some(outer.op), panicked);
    }

    fn all(&self) -> impl Iterator<Item = Sessions> {
        (0..CACHES).filter_map(|number| self.handle(number))
    }

    /// Checks all caches; nobody uses them just now.
    fn check(&self) {
        self.all().for_each(|cache| check(&cache));
        let caught: u64 = self.all().map(|cache| cache.stats().panics).sum();
        let all = caught + self.out.get();
        assert!(all == fired() || (self.dropped.get() && all < fired()), "panics are lost");
    }

    /// Drops what was removed; then nothing is left but what the caches hold.
    fn settle(&self) {
        self.all().for_each(|cache| _ = cache.flush());
        let tokens: u64 = self.all().map(|cache| settle(&cache, self.listens)).sum();
        assert_eq!(Token::alive(), tokens as i32, "a key or value was lost");
    }
}

/// What the script has planned for this call.
fn react() {
    let world = WORLD.with_borrow(Option::clone);
    world.expect("a script runs").react();
}

fuzz_target!(|script: Script| {
    reset();
    set_trap(react);
    let world = World::new(&script);
    WORLD.set(Some(Rc::clone(&world)));
    for (number, outer) in script.ops.iter().take(MOST).enumerate() {
        world.run(outer);
        if number % 8 == 0 {
            world.check();
            world.settle();
        }
    }
    world.check();
    world.settle();
    (0..CACHES).for_each(|number| world.drop_handle(number));
    WORLD.set(None);
    assert_eq!(Token::alive(), 0, "a key or value was lost");
});
