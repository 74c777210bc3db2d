//! No thread waits for another one, wherever that one is suspended: evidence for the promise of the
//! front page, by builds with `--cfg steps`. See `scripts/progress.sh`.
#![cfg(all(steps, not(any(loom, shuttle))))]

#[path = "progress/operations.rs"]
mod operations;
#[path = "progress/park.rs"]
mod park;
mod random;
#[path = "progress/sites.rs"]
mod sites;
#[path = "progress/world.rs"]
mod world;

use operations::{ALL, Operation};
use park::{Moment, Scene, drive_past, moments, most_steps, trace_past};
use sites::{Site, site};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use world::Kind;

const KINDS: [Kind; 3] = [Kind::Plain, Kind::Crowded, Kind::Full];

/// One test at a time: what a thread passes depends on which other ones there are.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number from the environment.
fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Suspends threads in each of these scenes.
fn drive_past_all<'a>(scenes: impl Iterator<Item = &'a (Kind, Scene)>) {
    let (mut tried, mut stood) = (0, 0);
    for (kind, scene) in scenes {
        tried += 1;
        stood += usize::from(drive_past(scene, *kind, setting("PROGRESS_OPERATIONS", 10_000)));
    }
    let most = most_steps();
    println!("threads stood still in {stood} of {tried} scenes; others took {most} steps at most");
    assert!(stood * 100 >= tried * 95, "operations do not take the same way twice");
}

#[test]
fn a_thread_may_be_suspended_at_any_point_of_any_operation() {
    let _alone = alone();
    let visits = setting("PROGRESS_VISITS", 3);
    let operations = KINDS.iter().flat_map(|kind| ALL.iter().map(move |one| (*kind, one)));
    let scenes: Vec<_> = operations
        .flat_map(|(kind, operation)| {
            let moments = moments(operation, kind, visits);
            assert!(!moments.is_empty(), "`{}` shares nothing", operation.name);
            moments.into_iter().map(move |moment| (kind, Scene::One(moment)))
        })
        .collect();
    drive_past_all(scenes.iter().step_by(setting("PROGRESS_STEP", 1)));
}

/// One moment for each point that an operation passes by itself.
fn first_moments() -> BTreeMap<Site, (Kind, Moment)> {
    let mut found = BTreeMap::new();
    for kind in KINDS {
        for operation in ALL {
            for moment in moments(operation, kind, 1) {
                found.entry(site(moment.point)).or_insert((kind, moment));
            }
        }
    }
    found
}

/// Scenes of two operations, by the two points.
type Scenes = BTreeMap<(Site, Site), (Kind, Scene)>;

/// Each two points of one room of the source at which two threads can be together, and the points
/// to which an operation comes only past or after another one.
fn scenes_of_two() -> &'static Scenes {
    static SCENES: OnceLock<Scenes> = OnceLock::new();
    SCENES.get_or_init(|| find_scenes(&first_moments()))
}

fn find_scenes(first: &BTreeMap<Site, (Kind, Moment)>) -> Scenes {
    let mut scenes = BTreeMap::new();
    for (here, (kind, moment)) in first {
        // A load may wait for a load, and a flush for what another thread drops.
        let is_load = |operation: &Operation| operation.kind == operations::Kind::Load;
        let suits = |other: &&Operation| {
            !(is_load(other) && is_load(moment.operation)) && other.kind != operations::Kind::Flush
        };
        for operation in ALL.iter().filter(suits) {
            let [past, after] = trace_past(*moment, operation, *kind);
            for point in past {
                let there = site(point);
                if here.room() == there.room() || !first.contains_key(&there) {
                    let second = Moment { operation, point, visit: 1 };
                    let scene = (*kind, Scene::Two(*moment, second));
                    scenes.entry((here.clone(), there)).or_insert(scene);
                }
            }
            for point in after {
                let there = site(point);
                if !first.contains_key(&there) {
                    let scene = (*kind, Scene::Again(*moment, operation, point));
                    scenes.entry((here.clone(), there)).or_insert(scene);
                }
            }
        }
    }
    scenes
}

#[test]
fn two_threads_may_be_suspended_in_one_structure() {
    let _alone = alone();
    let scenes = scenes_of_two();
    println!("{} scenes of two operations", scenes.len());
    drive_past_all(scenes.values().step_by(setting("PROGRESS_STEP", 1)));
}

/// Accesses to which no operation above comes: how many in which function, and why.
const ELSEWHERE: &[(&str, &[(&str, usize)])] = &[
    (
        "for the validator only, at rest",
        &[
            ("capacity::used", 1),
            ("core/kin::state_of_slot", 1),
            ("core/validate::validate", 1),
            ("core/validate::validate_ties", 2),
            ("core/validate::validate_child_places", 1),
            ("core/validate::validate_slot", 2),
            ("index::words", 1),
            ("index::buckets", 1),
            ("index/table::collect_words", 2),
            ("link/broods::len", 1),
            ("link/places::used", 1),
            ("link/places::all_used", 1),
            ("pool::in_use", 1),
            ("segments::all", 1),
            ("slab/free::is_consistent", 2),
            ("slab/free::listed", 2),
            ("slab/store::has_no_ext", 1),
            ("slab/store::validate_free_list", 2),
            ("wheel/bits::count", 1),
            ("wheel/bits::has_summary", 1),
            ("wheel/bits::slots", 1),
            ("wheel/level::is_occupied", 1),
        ],
    ),
    ("nobody else is there any more", &[("flights::drop", 1)]),
    ("once in a process, before any operation", &[("reclaim/epoch::collector", 1)]),
    (
        "single loads and stores that nobody waits for: a clock, counts, the end of a thread",
        &[
            ("clock::nanos_elsewhere", 1),
            ("clock::advance", 1),
            ("clock::set", 1),
            ("clock::now", 1),
            ("clock/counter::now", 1),
            ("clock/published::read", 1),
            ("clock/published::publish", 1),
            ("clock/published::freshen", 1),
            ("clock/published::clear", 1),
            ("clock/published::raise", 1),
            ("clock/published::lower", 1),
            ("clock/published::promise", 1),
            ("clock/upkeep::control", 1),
            ("clock/upkeep::present_control", 1),
            ("clock/upkeep::forget", 1),
            ("clock/upkeep::prepare", 2),
            ("sweeper::rounds", 1),
            ("sweeper::round", 1),
        ],
    ),
    ("other builds only", &[("retries::retried", 1), ("retries::retries", 1)]),
    ("negative models only", &[("wheel/walk::sweep", 1)]),
    (
        "single steps of particular races, which the models cover",
        &[
            ("core/insert::change_slot", 1),
            ("core/names::terms_of", 1),
            ("slab/free::empty", 1),
            ("wheel/bits::drop_summary", 1),
            ("wheel/level::first_occupied", 1),
        ],
    ),
];

#[test]
fn no_access_to_shared_memory_is_left_out() {
    let _alone = alone();
    let mut passed: BTreeSet<_> = first_moments().into_keys().collect();
    passed.extend(scenes_of_two().keys().map(|(_, there)| there.clone()));
    let known: BTreeSet<_> = sites::all().into_iter().collect();
    let unknown: Vec<_> = passed.difference(&known).collect();
    assert!(unknown.is_empty(), "the search for accesses does not see {unknown:?}");
    println!("{} accesses, {} passed", known.len(), passed.len());
    let mut left_out = BTreeMap::new();
    for site in known.difference(&passed) {
        *left_out.entry(sites::function(site)).or_insert(0) += 1;
    }
    let excused = ELSEWHERE.iter().flat_map(|(_, accesses)| accesses.iter());
    let excused: BTreeMap<_, _> = excused.map(|(name, count)| (name.to_string(), *count)).collect();
    assert_eq!(left_out, excused, "accesses that no operation comes to, and those with a reason");
}
