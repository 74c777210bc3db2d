//! Scenarios under random schedules and under PCT (Burckhardt and others, "A Randomized Scheduler
//! with Probabilistic Guarantees of Finding Bugs", ASPLOS 2010). `SHUTTLE_ITERATIONS` sets how many
//! of each, `SHUTTLE_SEED` where they begin; a failure prints its schedule.

use super::Part;
use crate::sync::Step;
use crate::sync::model::fails_without;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::thread::JoinHandle;
use shuttle::{Config, FailurePersistence, Runner};

/// Schedules of each kind, unless the environment says otherwise.
const ITERATIONS: usize = 1000;
/// How many priority changes PCT places: enough for bugs that need so many steps in order.
const DEPTH: usize = 4;

fn from_env(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn config() -> Config {
    let mut config = Config::default();
    config.stack_size = 1 << 18;
    config
}

/// Runs a scenario under many schedules.
pub(super) fn explore(scenario: fn()) {
    let (count, seed) = (from_env("SHUTTLE_ITERATIONS", ITERATIONS), from_env("SHUTTLE_SEED", 7));
    let random = RandomScheduler::new_from_seed(seed as u64, count);
    Runner::new(random, config()).run(scenario);
    let pct = PctScheduler::new_from_seed(seed as u64, DEPTH, count);
    Runner::new(pct, config()).run(scenario);
}

/// Expects a scenario to fail under some schedule once a step is left out.
pub(super) fn needs(step: Step, scenario: fn()) {
    let mut config = config();
    config.failure_persistence = FailurePersistence::None;
    fails_without(step, || {
        Runner::new(RandomScheduler::new_from_seed(7, 20_000), config.clone()).run(scenario);
        Runner::new(PctScheduler::new_from_seed(7, DEPTH, 20_000), config).run(scenario);
    });
}

/// What a value says.
pub(super) struct Number(u32);

impl Number {
    pub(super) fn new(number: u32) -> Self {
        Number(number)
    }

    pub(super) fn get(&self) -> u32 {
        self.0
    }
}

/// Starts the parts of a scenario.
pub(super) fn spawn_all(parts: Vec<Part>) -> Vec<JoinHandle<()>> {
    parts.into_iter().map(shuttle::thread::spawn).collect()
}
