//! Every two operations, on two threads, with weak memory: what they return and what they leave is
//! what one order of them returns and leaves; no value is read by whoever has it not from its
//! writer; and at rest every structure agrees with every other.

use super::interleavings::{explore, once};
use super::{Alive, Keys, MINUTE, Parents, Value, get, hasher, part, settle, together};
use crate::{Cache, CapacityPolicy, Clock, MockClock};
use std::sync::{Arc, Mutex};

/// Caches, and where the operations of a model take place.
struct World {
    parents: Parents,
    cache: Keys,
    mock: MockClock,
    alive: Alive,
}

/// An operation: its name, and what it returns, in words.
type Op = (&'static str, fn(&World) -> String);

/// What two operations returned, and what they left.
type Outcome = [String; 3];

/// A model: how the world begins, and the operations that meet in it.
struct Scene {
    begin: fn() -> World,
    operations: &'static [Op],
    /// Whether the cache is full: inserts may be refused, and none meets itself, for of two inserts
    /// of one key one may make room by the entry of the other.
    is_full: bool,
}

impl World {
    /// Of parents whose children are in `cache`, if that is linked; of at most `most` entries.
    fn new(is_linked: bool, most: Option<usize>) -> Self {
        let (clock, mock) = Clock::mock();
        let parents = Cache::builder().clock(clock.clone()).hasher(hasher()).build();
        let parents: Parents = parents.expect("valid settings");
        let mut builder = Cache::builder().clock(clock).hasher(hasher());
        if let Some(most) = most {
            let policy = CapacityPolicy::EvictSoonestToExpire;
            builder = builder.max_entries(most).capacity_policy(policy);
        }
        let cache = if is_linked { builder.linked_to(&parents).build() } else { builder.build() };
        World { parents, cache: cache.expect("valid settings"), mock, alive: Alive::default() }
    }

    fn insert(&self, key: u32, number: u32) -> String {
        format!("{:?}", self.cache.insert(key, self.alive.value(number)).map_err(|e| e.kind()))
    }

    fn insert_new(&self, key: u32, number: u32) -> String {
        format!("{:?}", self.cache.insert_new(key, self.alive.value(number)).map_err(|e| e.kind()))
    }

    fn update(&self, key: u32, number: u32) -> String {
        format!("{:?}", self.cache.update(&key, self.alive.value(number)).map_err(|e| e.kind()))
    }

    /// What is left when all has ended.
    fn end(&self) -> String {
        settle(&self.cache);
        settle(&self.parents);
        let (stats, removed) = (self.cache.stats(), self.parents.stats().removed);
        let left = [1, 2, 3].map(|key| get(&self.cache, key));
        let parents = [1, 2].map(|key| self.parents.get(&key));
        format!("{left:?} {parents:?} {:?} {removed:?}", stats.removed)
    }
}

/// One entry: value 0 under key 1.
fn one_entry() -> World {
    let world = World::new(false, None);
    world.insert(1, 0);
    world
}

/// The same, in a cache that is full.
fn full() -> World {
    let world = World::new(false, Some(1));
    world.insert(1, 0);
    world
}

/// The same, idle for too long.
fn expired() -> World {
    let world = one_entry();
    world.mock.advance(31 * MINUTE);
    world
}

/// One entry that had key 1 and has key 2.
fn renamed() -> World {
    let world = one_entry();
    world.cache.rekey(&1, 2).expect("it is there");
    world
}

/// A parent and its child, under the same key.
fn family() -> World {
    let world = World::new(true, None);
    world.parents.insert(1, 10).expect("there is room");
    world.insert(1, 0);
    world
}

const GET: Op = ("get", |w| format!("{:?}", get(&w.cache, 1)));
const TOUCH: Op = ("touch", |w| format!("{:?}", w.cache.touch(&1)));
const HOLD: Op = ("hold", |w| format!("{}", w.cache.hold(&1).is_some()));
const REMOVE: Op = ("remove", |w| format!("{:?}", w.cache.remove(&1)));
const TAKE: Op = ("take", |w| format!("{:?}", w.cache.take(&1).as_ref().map(Value::number)));
const INSERT: Op = ("insert", |w| w.insert(1, 1));
const INSERT_NEW: Op = ("insert_new", |w| w.insert_new(1, 2));
const UPDATE: Op = ("update", |w| w.update(1, 3));
const RENEW: Op = ("renew", |w| format!("{:?}", w.cache.renew(&1)));
const REKEY: Op = ("rekey", |w| format!("{:?}", w.cache.rekey(&1, 2)));
const SWEEP: Op = ("sweep", |w| format!("{:?}", w.cache.sweep().expired));
const CLEAR: Op = ("clear", |w| {
    w.cache.clear();
    String::new()
});
const REMOVE_IF: Op =
    ("remove_if", |w| format!("{:?}", w.cache.remove_if(&1, |value| value.number() == 0)));
const REPLACE_IF: Op = ("replace_if", |w| {
    let value = w.alive.value(4);
    let replaced = w.cache.replace_if(&1, value, |value| value.number() == 0);
    format!("{:?}", replaced.map_err(|error| error.kind()))
});
const KEEP: Op = ("hold for ever", |w| {
    let lease = w.cache.hold(&1);
    let is_held = lease.is_some();
    std::mem::forget(lease);
    format!("{is_held}")
});
const GET_2: Op = ("get 2", |w| format!("{:?}", get(&w.cache, 2)));
const REMOVE_2: Op = ("remove 2", |w| format!("{:?}", w.cache.remove(&2)));
const INSERT_2: Op = ("insert 2", |w| w.insert(2, 5));
const INSERT_NEW_3: Op = ("insert_new 3", |w| w.insert_new(3, 8));
const INSERT_NEW_2: Op = ("insert_new 2", |w| w.insert_new(2, 6));
const UPDATE_2: Op = ("update 2", |w| w.update(2, 7));
const REKEY_BACK: Op = ("rekey back", |w| format!("{:?}", w.cache.rekey(&2, 1)));
const REKEY_ON: Op = ("rekey on", |w| format!("{:?}", w.cache.rekey(&2, 3)));
const PARENT_REMOVE: Op = ("remove parent", |w| format!("{:?}", w.parents.remove(&1)));
const PARENT_INSERT: Op = ("insert parent", |w| format!("{:?}", w.parents.insert(1, 11)));
const PARENT_REKEY: Op = ("rekey parent", |w| format!("{:?}", w.parents.rekey(&1, 2)));
const PARENT_TOUCH: Op = ("touch parent", |w| format!("{:?}", w.parents.touch(&1)));

/// One of two operations that ran before the other one, or alone, because the other was refused for
/// `refusal`.
fn order(begin: fn() -> World, first: Op, second: Op, refusal: Option<&'static str>) -> Outcome {
    let outcome = Arc::new(Mutex::new(Outcome::default()));
    let o = Arc::clone(&outcome);
    once(move || {
        let world = begin();
        let returned = first.1(&world);
        let other = refusal.map_or_else(|| second.1(&world), |refusal| refusal.into());
        *o.lock().unwrap() = [returned, other, world.end()];
    });
    std::mem::take(&mut *outcome.lock().unwrap())
}

/// What two operations may come to: both orders; and what the documentation of the errors allows
/// where a key or a place is neither there nor gone yet.
fn orders(scene: &Scene, a: Op, b: Op) -> Vec<Outcome> {
    let begin = scene.begin;
    let swap = |[b, a, end]: Outcome| [a, b, end];
    let mut orders = vec![order(begin, a, b, None), swap(order(begin, b, a, None))];
    if let Some(refusal) = scene.refusal_of(b, a) {
        orders.push(order(begin, a, b, Some(refusal)));
    }
    if let Some(refusal) = scene.refusal_of(a, b) {
        orders.push(swap(order(begin, b, a, Some(refusal))));
    }
    orders
}

impl Scene {
    /// What an operation may be refused for though no order says so, because of another one.
    fn refusal_of(&self, op: Op, other: Op) -> Option<&'static str> {
        let is = |op: Op, name| op.0.starts_with(name);
        if self.is_full && is(op, "insert") && (is(other, "insert") || is(other, "remove")) {
            return Some("Err(AtCapacity)");
        }
        (is(op, "rekey") && is(other, "rekey")).then_some("Err(Exists)")
    }
}

/// Both operations at once, in every way.
fn meet(scene: &Scene, a: Op, b: Op) {
    let (begin, expected) = (scene.begin, orders(scene, a, b));
    explore(move || {
        let world = Arc::new(begin());
        let returned = Arc::new([const { Mutex::new(String::new()) }; 2]);
        let parts = [(0, a), (1, b)].map(|(at, op)| {
            let (world, returned) = (Arc::clone(&world), Arc::clone(&returned));
            // The locks are held for no access of the model.
            part(move || {
                let result = op.1(&world);
                *returned[at].lock().unwrap() = result;
            })
        });
        together(parts);
        let [a, b] = [0, 1].map(|at| returned[at].lock().unwrap().clone());
        let outcome = [a, b, world.end()];
        assert!(expected.contains(&outcome), "{outcome:#?} is of no order: {expected:#?}");
    });
}

fn meet_all(scene: &Scene) {
    for (at, a) in scene.operations.iter().enumerate() {
        for b in &scene.operations[at + usize::from(scene.is_full)..] {
            println!("{} and {}", a.0, b.0);
            meet(scene, *a, *b);
        }
    }
}

#[test]
fn operations_on_one_entry_take_effect_in_some_order() {
    let operations = &[
        GET, TOUCH, HOLD, REMOVE, TAKE, INSERT, INSERT_NEW, UPDATE, RENEW, REMOVE_IF, REPLACE_IF,
        KEEP, CLEAR,
    ];
    meet_all(&Scene { begin: one_entry, operations, is_full: false });
}

#[test]
fn operations_on_keys_that_change_take_effect_in_some_order() {
    let operations = &[GET, REMOVE, UPDATE, REKEY, GET_2, REMOVE_2, INSERT_NEW_2, UPDATE_2];
    meet_all(&Scene { begin: one_entry, operations, is_full: false });
}

#[test]
fn operations_on_a_renamed_entry_take_effect_in_some_order() {
    let operations = &[GET, UPDATE, INSERT, GET_2, REMOVE_2, UPDATE_2, REKEY_BACK, REKEY_ON];
    meet_all(&Scene { begin: renamed, operations, is_full: false });
}

#[test]
fn operations_on_a_full_cache_take_effect_in_some_order() {
    let operations = &[GET, KEEP, REMOVE, UPDATE, INSERT_2, INSERT_NEW_3, GET_2];
    meet_all(&Scene { begin: full, operations, is_full: true });
}

#[test]
fn operations_on_an_expired_entry_take_effect_in_some_order() {
    let operations = &[GET, HOLD, INSERT, INSERT_NEW, UPDATE, REMOVE];
    let scene = Scene { begin: expired, operations, is_full: false };
    meet_all(&scene);
    // Two sweeps have too many interleavings; they have models of the wheel.
    operations.iter().for_each(|operation| meet(&scene, *operation, SWEEP));
}

#[test]
fn operations_on_a_family_take_effect_in_some_order() {
    let operations = &[
        GET,
        INSERT,
        UPDATE,
        REMOVE,
        KEEP,
        PARENT_REMOVE,
        PARENT_INSERT,
        PARENT_REKEY,
        PARENT_TOUCH,
    ];
    meet_all(&Scene { begin: family, operations, is_full: false });
}
