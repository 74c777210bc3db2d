//! Suspends threads at steps, and drives others past them.

use super::operations::{ALL, Kind, Operation};
use super::random::Random;
use super::world::{self, KEYS, SECOND, World};
use idlewheel::steps::{Point, watch};
use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Accesses to shared memory that an operation may take while another thread stands still. What
/// waits for that thread takes more than any number. A write may be one that drops thousands of
/// values which others have removed, and looks for the children of each.
const BUDGET: u64 = 5_000_000;
/// The most that one has taken.
static MOST: AtomicU64 = AtomicU64::new(0);

/// The most accesses that an operation has taken while another thread stood still.
pub(crate) fn most_steps() -> u64 {
    MOST.load(Ordering::Relaxed)
}

/// How long threads that make no steps at all are waited for: they would be in a lock.
const PATIENCE: Duration = Duration::from_secs(60);
/// Of so many operations, one is of a whole cache.
const RARITY: u64 = 200;

/// The moment at which a thread is suspended: before an access of an operation.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) operation: &'static Operation,
    pub(crate) point: Point,
    /// The how manieth time the operation comes there, from 1 on.
    pub(crate) visit: usize,
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Moment { operation, point, visit } = self;
        write!(f, "`{}` before its access {visit} at {point}", operation.name)
    }
}

/// Where threads are when others have to get past them.
#[derive(Clone, Debug)]
pub(crate) enum Scene {
    One(Moment),
    /// The second one came to its moment while the first one stood still.
    Two(Moment, Moment),
    /// The thread stood still once, another operation ran from its begin to its end, and now the
    /// thread has gone on to this point.
    Again(Moment, &'static Operation, Point),
}

/// A thread that runs one operation and can be suspended in it.
struct Thread {
    /// A turn to run, and where to stand still, if anywhere. The end of the turns ends it.
    turns: Sender<Option<(Point, usize)>>,
    /// Told when it stands still. The end of this is the thread's.
    still: Receiver<()>,
    /// The points that it has passed.
    passed: Arc<Mutex<Vec<Point>>>,
    thread: JoinHandle<()>,
    operation: &'static Operation,
}

/// What became of a turn.
struct Turn {
    stands_still: bool,
    passed: Vec<Point>,
}

impl Thread {
    fn new(world: &Arc<World>, operation: &'static Operation) -> Thread {
        let world = Arc::clone(world);
        let ((turns, its_turns), (sender, still)) = (channel(), channel());
        let passed = Arc::<Mutex<Vec<Point>>>::default();
        let its_passed = Arc::clone(&passed);
        let thread = thread::spawn(move || {
            let (mut stop, mut visits) = (its_turns.recv().unwrap_or(None), 0);
            watch(Some(Box::new(move |point| {
                visits += usize::from(stop.is_some_and(|(at, _)| at == point));
                if stop.is_some_and(|stop| stop == (point, visits)) {
                    _ = sender.send(());
                    (stop, visits) = (its_turns.recv().unwrap_or(None), 0);
                }
                its_passed.lock().unwrap().push(point);
            })));
            (operation.run)(&world, operation.key);
            watch(None);
        });
        Thread { turns, still, passed, thread, operation }
    }

    /// Lets it run until it has come to `stop`, or to its end.
    fn run(&self, stop: Option<(Point, usize)>) -> Turn {
        _ = self.turns.send(stop);
        let stands_still = match self.still.recv_timeout(PATIENCE) {
            Ok(()) => true,
            Err(RecvTimeoutError::Disconnected) => false,
            Err(RecvTimeoutError::Timeout) => panic!("`{}` waits", self.operation.name),
        };
        Turn { stands_still, passed: std::mem::take(&mut self.passed.lock().unwrap()) }
    }

    /// Lets it run to its end.
    fn end(self) -> Vec<Point> {
        let passed = self.run(None).passed;
        self.thread.join().expect("a thread that was suspended fails");
        passed
    }
}

impl Moment {
    /// A thread that has come to this moment, or to its end without.
    fn reach(self, world: &Arc<World>) -> (Thread, bool) {
        let thread = Thread::new(world, self.operation);
        let turn = thread.run(Some((self.point, self.visit)));
        (thread, turn.stands_still)
    }
}

impl Scene {
    /// The threads, and whether all stand where they should.
    fn set(&self, world: &Arc<World>) -> (Vec<Thread>, bool) {
        match self {
            Scene::One(moment) => {
                let (thread, stands) = moment.reach(world);
                (vec![thread], stands)
            }
            Scene::Two(first, second) => {
                let (one, two) = (first.reach(world), second.reach(world));
                (vec![one.0, two.0], one.1 && two.1)
            }
            Scene::Again(moment, other, point) => {
                let (thread, _) = moment.reach(world);
                Thread::new(world, other).end();
                let stands = thread.run(Some((*point, 1))).stands_still;
                (vec![thread], stands)
            }
        }
    }

    fn has_load(&self) -> bool {
        let is_load = |moment: &Moment| moment.operation.kind == Kind::Load;
        match self {
            Scene::One(moment) | Scene::Again(moment, ..) => is_load(moment),
            Scene::Two(first, second) => is_load(first) || is_load(second),
        }
    }
}

/// The points that an operation passes, in order.
pub(crate) fn trace(operation: &'static Operation, kind: world::Kind) -> Vec<Point> {
    let world = Arc::new(World::new(kind));
    let passed = Thread::new(&world, operation).end();
    Arc::into_inner(world).expect("the thread has ended").check();
    passed
}

/// The points that an operation passes while another one stands still, and then that other one.
pub(crate) fn trace_past(
    moment: Moment,
    operation: &'static Operation,
    kind: world::Kind,
) -> [Vec<Point>; 2] {
    let world = Arc::new(World::new(kind));
    let (thread, _) = moment.reach(&world);
    let passed = [Thread::new(&world, operation).end(), thread.end()];
    Arc::into_inner(world).expect("all threads have ended").check();
    passed
}

/// The moments of an operation: the first `visits` ones of each point.
pub(crate) fn moments(
    operation: &'static Operation,
    kind: world::Kind,
    visits: usize,
) -> Vec<Moment> {
    let mut seen: HashMap<Point, usize> = HashMap::new();
    let mut moments = Vec::new();
    for point in trace(operation, kind) {
        let visit = seen.entry(point).or_default();
        *visit += 1;
        if *visit <= visits {
            moments.push(Moment { operation, point, visit: *visit });
        }
    }
    moments
}

/// Sets a scene, drives two other threads through `operations` past it, lets all go on, and checks
/// everything. Whether the threads stood where they should.
pub(crate) fn drive_past(scene: &Scene, kind: world::Kind, operations: usize) -> bool {
    let world = Arc::new(World::new(kind));
    let (suspended, stood) = scene.set(&world);
    let loads = !scene.has_load();
    let (sender, receiver) = channel();
    let drivers: Vec<_> = (1..=2)
        .map(|seed| {
            let (world, sender) = (Arc::clone(&world), sender.clone());
            thread::spawn(move || {
                drive(&world, seed, operations / 2, loads);
                drop(world);
                _ = sender.send(());
            })
        })
        .collect();
    drop(sender);
    for _ in &drivers {
        let driven = receiver.recv_timeout(PATIENCE);
        driven.unwrap_or_else(|error| panic!("others do not get past {scene:?}: {error}"));
    }
    drivers.into_iter().for_each(|driver| driver.join().expect("a driver fails"));
    suspended.into_iter().for_each(|thread| drop(thread.end()));
    Arc::into_inner(world).expect("all threads have ended").check();
    stood
}

/// Runs mixed operations, each within its budget of steps.
fn drive(world: &World, seed: u64, operations: usize, loads: bool) {
    let mut random = Random(seed);
    for _ in 0..operations {
        let operation = loop {
            let drawn = &ALL[random.below(ALL.len() as u64) as usize];
            let suits = match drawn.kind {
                Kind::Small => true,
                Kind::Large => random.below(RARITY) == 0,
                Kind::Load => loads && random.below(4) == 0,
                Kind::Flush => false,
            };
            if suits {
                break drawn;
            }
        };
        let (steps, name) = (Rc::new(Cell::new(0)), operation.name);
        let taken = Rc::clone(&steps);
        watch(Some(Box::new(move |point| {
            taken.set(taken.get() + 1);
            assert!(taken.get() <= BUDGET, "`{name}` takes more steps, now at {point}");
        })));
        (operation.run)(world, random.below(KEYS));
        watch(None);
        MOST.fetch_max(steps.get(), Ordering::Relaxed);
        if random.below(64) == 0 {
            world.clock.advance(SECOND);
        }
    }
}
