//! Each operation takes effect at one moment between its begin and its end, families of linked
//! entries included: histories of real caches, checked by search.
//!
//! Threads run small random scripts on a fresh cache; every call is noted with its answer and with
//! what the clock showed when it began and ended, every value's end with its cause. Then an order
//! is looked for in which the contract gives these answers. Expiry, eviction and cascades may
//! happen by themselves, but each of them must have been told of once, with that cause.
//!
//! Runs on threads of the system; with `--cfg steps` these give way to each other at the accesses
//! to shared memory; with `--cfg shuttle` under random schedules. `LINEARIZABILITY_ROUNDS` and
//! `LINEARIZABILITY_SEED` say how many and which scripts; a failure prints its seed.
#![cfg(not(loom))]

#[path = "linearizability/checker.rs"]
mod checker;
#[path = "linearizability/family.rs"]
mod family;
#[path = "linearizability/histories.rs"]
mod histories;
mod random;
#[path = "linearizability/record.rs"]
mod record;

use family::{History, Op, Place, Rules, Version};
use random::Random;
use record::{Act, KEPT, RULES, World};

#[test]
fn bad_histories_are_rejected() {
    let cases = histories::bad();
    assert_eq!(cases.len(), 38);
    for (name, history) in cases {
        assert!(history.check(RULES).is_err(), "not noticed: {name}");
    }
}

#[test]
fn good_histories_are_accepted() {
    for (name, history) in histories::good() {
        assert_eq!(history.check(RULES), Ok(()), "{name}");
    }
}

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn draw_place(random: &mut Random) -> Place {
    match random.below(7) {
        0..3 => Place::Parent(0),
        3 => Place::Parent(1),
        4 => Place::Child(0),
        5 => Place::Child(1),
        _ => Place::Child(family::LISTED),
    }
}

fn draw_act(random: &mut Random, version: Version) -> Act {
    let place = draw_place(random);
    let op = match random.below(22) {
        0..3 => Op::Get(place),
        3 => Op::Peek(place),
        4 => Op::Touch(place),
        5..8 => Op::Insert(place, version),
        8 => Op::InsertNew(place, version),
        9 => Op::Update(place, version),
        10 => Op::Remove(place),
        11 => Op::Take(place),
        12 => Op::Renew(place),
        13 => Op::Rekey(random.below(2) as usize),
        14 => Op::RemoveIf(place),
        15 => Op::ReplaceIf(place, version),
        16..19 => return Act::Advance,
        19 => return Act::SweepParents,
        20 => return Act::SweepChildren,
        _ => return Act::Flush,
    };
    Act::Call(op)
}

/// One script for each of three threads, after one that fills the caches.
fn scripts(random: &mut Random) -> (Vec<Act>, Vec<Vec<Act>>) {
    let insert = |place, version| Act::Call(Op::Insert(place, version));
    let mut alone = vec![insert(Place::Parent(0), 1)];
    if random.below(2) == 0 {
        alone.extend([insert(Place::Child(0), 2), insert(Place::Child(family::LISTED), 3)]);
    }
    // Sometimes everything is about to expire.
    alone.extend((0..random.below(4)).map(|_| Act::Advance));
    let script = |thread: u64| {
        let length = 3 + random.below(6);
        (0..length).map(|at| draw_act(random, 100 * thread + at)).collect()
    };
    (alone, (1..=3).map(script).collect())
}

/// The settings of a round.
fn settings(seed: u64) -> (Rules, Option<usize>) {
    (if seed.is_multiple_of(2) { RULES } else { KEPT }, seed.is_multiple_of(3).then_some(2))
}

/// One round on fresh caches.
fn round(seed: u64) -> History {
    let (rules, limit) = settings(seed);
    let (alone, scripts) = scripts(&mut Random(seed));
    World::new(rules, limit).run(&alone, scripts)
}

/// A round, and the search for its order.
fn check(seed: u64) {
    let history = round(seed);
    if let Err(fault) = history.check(settings(seed).0) {
        panic!("LINEARIZABILITY_SEED={seed}: {fault}\n{history:?}");
    }
}

#[test]
#[cfg(not(shuttle))]
fn real_threads_give_histories_that_have_an_order() {
    let (seed, rounds) =
        (setting("LINEARIZABILITY_SEED", 1), setting("LINEARIZABILITY_ROUNDS", 5000));
    (seed..seed + rounds).for_each(check);
}

/// A script for each seed, and a few schedules of each script.
#[test]
#[cfg(shuttle)]
fn schedules_give_histories_that_have_an_order() {
    use shuttle::scheduler::{PctScheduler, RandomScheduler};
    use shuttle::{Config, Runner};
    const SCHEDULES: usize = 10;
    let (seed, rounds) =
        (setting("LINEARIZABILITY_SEED", 1), setting("LINEARIZABILITY_ROUNDS", 300));
    for seed in seed..seed + rounds {
        let mut config = Config::default();
        config.stack_size = 1 << 18;
        let random = RandomScheduler::new_from_seed(seed, SCHEDULES);
        Runner::new(random, config.clone()).run(move || check(seed));
        let pct = PctScheduler::new_from_seed(seed, 3, SCHEDULES);
        Runner::new(pct, config).run(move || check(seed));
    }
}
