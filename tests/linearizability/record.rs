//! Runs operations on real caches, from several threads, and notes what is to be seen of them.

use super::checker::Timed;
use super::family::{Answer, Call, Ends, History, LISTED, Op, Place, Rules, Version};
use idlewheel::{
    Cache, Clock, InsertError, InsertErrorKind, Inserted, MockClock, RandomState, RekeyError,
};
#[cfg(shuttle)]
use shuttle::thread;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
#[cfg(not(shuttle))]
use std::thread;
use std::time::Duration;

/// Of the clock.
const UNIT: Duration = Duration::from_secs(10);

pub(crate) const RULES: Rules =
    Rules { idle: 7, absolute: 19, child_idle: 5, touches_parent: false };

/// The same, but children keep their parents alive.
pub(crate) const KEPT: Rules = Rules { touches_parent: true, ..RULES };

type Map = Cache<u64, Version>;

/// What a thread does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Act {
    Call(Op),
    Advance,
    SweepParents,
    SweepChildren,
    Flush,
}

/// A family of caches that is watched.
pub(crate) struct World {
    parents: Map,
    children: Map,
    clock: MockClock,
    /// Counts begins and ends of calls, and events.
    moments: Arc<AtomicU64>,
    told: Arc<Mutex<Ends>>,
}

impl World {
    /// With `limit`, each cache holds so many entries.
    pub(crate) fn new(rules: Rules, limit: Option<usize>) -> World {
        let (clock, mock) = Clock::mock();
        let (moments, told) = (Arc::<AtomicU64>::default(), Arc::<Mutex<Ends>>::default());
        let listener = || {
            let (moments, told) = (Arc::clone(&moments), Arc::clone(&told));
            move |_: &u64, version: &Version, cause| {
                let moment = moments.fetch_add(1, Ordering::SeqCst);
                told.lock().unwrap().entry(*version).or_default().push((cause, moment));
            }
        };
        let half_units = |n: u64| UNIT * n as u32 / 2;
        let builder = Map::builder().clock(clock).hasher(RandomState::with_seeds(1, 2, 3, 4));
        let builder = builder.idle_timeout(half_units(rules.idle)).on_removal(listener());
        let builder = builder.absolute_timeout(half_units(rules.absolute));
        let builder = limit.into_iter().fold(builder, |builder, n| builder.max_entries(n));
        let parents = builder.build().expect("valid settings");
        let builder = Map::builder().linked_to(&parents).touches_parent(rules.touches_parent);
        let builder = builder.idle_timeout(half_units(rules.child_idle)).on_removal(listener());
        let builder = limit.into_iter().fold(builder, |builder, n| builder.max_entries(n));
        let children = builder.build().expect("valid settings");
        World { parents, children, clock: mock, moments, told }
    }

    /// The time in half units.
    fn now(&self) -> u64 {
        2 * (self.clock.now().as_nanos() / UNIT.as_nanos()) as u64
    }

    fn act(&self, act: Act) -> Option<Timed<Call>> {
        match act {
            Act::Call(op) => return Some(self.call(op)),
            Act::Advance => self.clock.advance(UNIT),
            Act::SweepParents => _ = self.parents.sweep(),
            Act::SweepChildren => _ = self.children.sweep(),
            Act::Flush => _ = self.parents.flush(),
        }
        None
    }

    fn call(&self, op: Op) -> Timed<Call> {
        let (begin, before) = (self.moments.fetch_add(1, Ordering::SeqCst), self.now());
        let answer = self.answer(op);
        let (after, end) = (self.now(), self.moments.fetch_add(1, Ordering::SeqCst));
        let call = Call { op, answer, clock: (before, after), beside_rekey: false };
        Timed { begin, end, call }
    }

    fn at(&self, place: Place) -> (&Map, u64) {
        match place {
            Place::Parent(key) => (&self.parents, key as u64),
            Place::Child(key) => (&self.children, key as u64),
        }
    }

    fn answer(&self, op: Op) -> Answer {
        let saw = |version: Option<Version>| version.map_or(Answer::Missing, Answer::Saw);
        let done = |done: bool| if done { Answer::Done } else { Answer::Missing };
        match op {
            Op::Get(place) => {
                let (map, key) = self.at(place);
                saw(map.get(&key))
            }
            Op::Peek(place) => {
                let (map, key) = self.at(place);
                saw(map.peek(&key))
            }
            Op::Take(place) => {
                let (map, key) = self.at(place);
                saw(map.take(&key))
            }
            Op::Touch(place) => {
                let (map, key) = self.at(place);
                done(map.touch(&key))
            }
            Op::Remove(place) => {
                let (map, key) = self.at(place);
                done(map.remove(&key))
            }
            Op::RemoveIf(place) => {
                let (map, key) = self.at(place);
                done(map.remove_if(&key, |_| true))
            }
            Op::ReplaceIf(place, version) => {
                let (map, key) = self.at(place);
                let replaced = map.replace_if(&key, version, |_| true);
                stored(replaced.map(|()| Inserted::Replaced))
            }
            Op::Renew(place) => {
                let (map, key) = self.at(place);
                done(map.renew(&key))
            }
            Op::Insert(Place::Child(LISTED), version) => {
                stored(self.children.insert_linked(LISTED as u64, version, &0))
            }
            Op::Insert(place, version) => {
                let (map, key) = self.at(place);
                stored(map.insert(key, version))
            }
            Op::InsertNew(Place::Child(LISTED), version) => {
                let inserted = self.children.insert_linked_new(LISTED as u64, version, &0);
                stored(inserted.map(|()| Inserted::New))
            }
            Op::InsertNew(place, version) => {
                let (map, key) = self.at(place);
                stored(map.insert_new(key, version).map(|()| Inserted::New))
            }
            Op::Update(place, version) => {
                let (map, key) = self.at(place);
                stored(map.update(&key, version).map(|()| Inserted::Replaced))
            }
            Op::Rekey(from) => match self.parents.rekey(&(from as u64), 1 - from as u64) {
                Ok(()) => Answer::Done,
                Err(RekeyError::Missing) => Answer::Missing,
                Err(RekeyError::Exists) => Answer::Exists,
                Err(error) => panic!("{error}"),
            },
        }
    }

    /// Runs each script on a thread of its own, after the first one has run alone, ends everything,
    /// and returns all that was seen.
    pub(crate) fn run(self, alone: &[Act], scripts: Vec<Vec<Act>>) -> History {
        let mut calls: Vec<_> = alone.iter().filter_map(|act| self.act(*act)).collect();
        let world = Arc::new(self);
        let threads: Vec<_> = scripts
            .into_iter()
            .map(|script| {
                let world = Arc::clone(&world);
                let run = move || script.into_iter().filter_map(|act| world.act(act)).collect();
                thread::spawn(move || -> Vec<_> { disturbed(run) })
            })
            .collect();
        for thread in threads {
            calls.extend(thread.join().expect("a thread fails"));
        }
        let world = Arc::into_inner(world).expect("all threads have ended");
        world.end(calls)
    }

    fn end(self, calls: Vec<Timed<Call>>) -> History {
        // Twice, since what one sweep finds dead may wait for the flush of another.
        for _ in 0..2 {
            self.parents.sweep();
            self.children.sweep();
        }
        for cache in [&self.parents, &self.children] {
            let stats = cache.stats();
            assert_eq!(stats.inserted, stats.live + stats.removed.total(), "accounting");
            cache.validate().expect("every structure agrees with every other");
        }
        drop((self.children, self.parents));
        let ends = std::mem::take(&mut *self.told.lock().unwrap());
        History { calls, ends }
    }
}

fn stored(inserted: Result<Inserted, InsertError<Version>>) -> Answer {
    match inserted.map_err(|error| error.kind()) {
        Ok(Inserted::New) => Answer::New,
        Ok(Inserted::Replaced) => Answer::Replaced,
        Err(InsertErrorKind::Exists) => Answer::Exists,
        Err(InsertErrorKind::Missing) => Answer::Missing,
        Err(InsertErrorKind::ParentGone) => Answer::ParentGone,
        Err(InsertErrorKind::AtCapacity) => Answer::AtCapacity,
        Err(kind) => panic!("{kind:?}"),
    }
}

/// In builds with step points a thread gives way to others at some of them.
#[cfg(steps)]
fn disturbed<T>(run: impl FnOnce() -> T) -> T {
    use std::cell::Cell;
    use std::collections::hash_map::RandomState;
    use std::hash::{BuildHasher, Hasher};
    let random = Cell::new(RandomState::new().build_hasher().finish() | 1);
    idlewheel::steps::watch(Some(Box::new(move |_| {
        let mut word = random.get();
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        random.set(word);
        if word.is_multiple_of(16) {
            thread::yield_now();
        }
    })));
    let result = run();
    idlewheel::steps::watch(None);
    result
}

#[cfg(not(steps))]
fn disturbed<T>(run: impl FnOnce() -> T) -> T {
    run()
}
