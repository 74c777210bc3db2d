//! What a cache of parents and a cache of their children must answer, by the contract: parents 0
//! and 1, children of the same keys, and a child of another key under parent 0.

use super::checker::{Model, Timed, is_linearizable};
use idlewheel::RemovalCause;
use std::collections::HashMap;
use std::fmt;

/// A number that each value has alone.
pub(crate) type Version = u64;

/// In units of the clock, doubled: the clock shows even times, timeouts are odd, so it is never the
/// very moment of a deadline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) idle: u64,
    pub(crate) absolute: u64,
    pub(crate) child_idle: u64,
    pub(crate) touches_parent: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Place {
    Parent(usize),
    /// The last one belongs to parent 0, the others to the parents of the same key.
    Child(usize),
}

pub(crate) const LISTED: usize = 2;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Op {
    Get(Place),
    Peek(Place),
    Touch(Place),
    Insert(Place, Version),
    InsertNew(Place, Version),
    Update(Place, Version),
    Remove(Place),
    Take(Place),
    Renew(Place),
    /// With a condition that holds.
    RemoveIf(Place),
    ReplaceIf(Place, Version),
    /// Of a parent, to the other key.
    Rekey(usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    Missing,
    Saw(Version),
    Done,
    New,
    Replaced,
    Exists,
    ParentGone,
    AtCapacity,
    /// No answer, but the first half of a call that is activity and something else: idleness
    /// restarts first, then the value is read or replaced, or the key. It shows only where the
    /// entry would have expired between, and may be all that happens if the entry is removed then.
    Begun,
}

/// An operation, its answer, and the time that the clock showed when it began and when it ended: it
/// read the clock between.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) op: Op,
    pub(crate) answer: Answer,
    pub(crate) clock: (u64, u64),
    /// Whether a parent got another key meanwhile.
    pub(crate) beside_rekey: bool,
}

/// What listeners were told: cause, and when by the counter of the calls.
pub(crate) type Ends = HashMap<Version, Vec<(RemovalCause, u64)>>;

/// Everything that was seen of one family.
#[derive(Clone, Default)]
pub(crate) struct History {
    pub(crate) calls: Vec<Timed<Call>>,
    pub(crate) ends: Ends,
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut calls: Vec<_> = self.calls.iter().collect();
        calls.sort_by_key(|timed| timed.begin);
        for Timed { begin, end, call: Call { op, answer, clock, .. } } in calls {
            writeln!(f, "{begin:3}..{end:3} at {clock:?}: {op:?} -> {answer:?}")?;
        }
        write!(f, "{:?}", self.ends)
    }
}

impl History {
    /// Whether the contract allows it.
    pub(crate) fn check(&self, rules: Rules) -> Result<(), &'static str> {
        let stored = |call: &Call| match (call.op, call.answer) {
            (
                Op::Insert(_, v) | Op::InsertNew(_, v) | Op::Update(_, v) | Op::ReplaceIf(_, v),
                answer,
            ) => Some((v, matches!(answer, Answer::New | Answer::Replaced))),
            _ => None,
        };
        for (version, is_stored) in self.calls.iter().filter_map(|timed| stored(&timed.call)) {
            let told = self.ends.get(&version).map_or(0, Vec::len);
            if told != usize::from(is_stored) {
                return Err("not one event for each value that was stored");
            }
        }
        for Timed { begin, call, .. } in &self.calls {
            if let Answer::Saw(version) = call.answer {
                let Some([(_, told)]) = self.ends.get(&version).map(Vec::as_slice) else {
                    return Err("a value that nobody stored");
                };
                if begin > told {
                    return Err("a value was read after its end was told");
                }
            }
        }
        let family = Family { rules, ends: &self.ends };
        let mut calls = self.calls.clone();
        for timed in &mut calls {
            let overlaps =
                |other: &&Timed<Call>| other.begin < timed.end && timed.begin < other.end;
            let renames = |other: &Timed<Call>| matches!(other.call.op, Op::Rekey(_));
            timed.call.beside_rekey = self.calls.iter().filter(overlaps).any(renames);
        }
        calls.extend(self.calls.iter().filter_map(beginning));
        if is_linearizable(&family, State::default(), &calls) {
            Ok(())
        } else {
            Err("no order of the calls gives these answers")
        }
    }
}

/// The activity that a call is before it has read or changed anything.
fn beginning(timed: &Timed<Call>) -> Option<Timed<Call>> {
    let Timed { begin, end, call } = *timed;
    let call = Call { answer: Answer::Begun, ..call };
    let begins = match timed.call.op {
        Op::Get(_)
        | Op::Touch(_)
        | Op::Insert(..)
        | Op::Update(..)
        | Op::ReplaceIf(..)
        | Op::Rekey(_) => true,
        Op::InsertNew(place, _) => matches!(place, Place::Child(_)),
        _ => false,
    };
    begins.then_some(Timed { begin, end, call })
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Entry {
    version: Version,
    /// The first version of this entry, which its children know it by.
    first: Version,
    touched: u64,
    created: u64,
    /// Of a child: which entry it belongs to.
    parent: Version,
}

#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct State {
    parents: [Option<Entry>; 2],
    children: [Option<Entry>; 3],
}

impl State {
    fn at(&self, place: Place) -> Option<Entry> {
        match place {
            Place::Parent(key) => self.parents[key],
            Place::Child(key) => self.children[key],
        }
    }

    fn with(mut self, place: Place, entry: Option<Entry>) -> State {
        match place {
            Place::Parent(key) => self.parents[key] = entry,
            Place::Child(key) => self.children[key] = entry,
        }
        self
    }

    /// Where the parent of a child is.
    fn parent_of(&self, child: &Entry) -> Option<Place> {
        let is_it = |entry: &Option<Entry>| entry.is_some_and(|it| it.first == child.parent);
        self.parents.iter().position(is_it).map(Place::Parent)
    }
}

struct Family<'a> {
    rules: Rules,
    ends: &'a Ends,
}

impl Family<'_> {
    fn ended_by(&self, version: Version, cause: RemovalCause) -> bool {
        self.ends.get(&version).is_some_and(|told| told.iter().any(|(told, _)| *told == cause))
    }

    fn idle_deadline(&self, place: Place, entry: &Entry) -> u64 {
        let is_parent = matches!(place, Place::Parent(_));
        entry.touched + if is_parent { self.rules.idle } else { self.rules.child_idle }
    }

    fn absolute_deadline(&self, place: Place, entry: &Entry) -> u64 {
        let is_parent = matches!(place, Place::Parent(_));
        if is_parent { entry.created + self.rules.absolute } else { u64::MAX }
    }

    /// Its own deadlines have passed.
    fn is_due(&self, place: Place, entry: &Entry, now: u64) -> bool {
        now > self.idle_deadline(place, entry).min(self.absolute_deadline(place, entry))
    }

    /// The live entry there.
    fn live(&self, state: &State, place: Place, now: u64) -> Option<Entry> {
        let entry = state.at(place).filter(|entry| !self.is_due(place, entry, now))?;
        if matches!(place, Place::Child(_)) {
            let parent = state.parent_of(&entry)?;
            self.live(state, parent, now)?;
        }
        Some(entry)
    }

    /// The state in which a call at `now` finds nothing there, if that can be: what was there has
    /// ended for a reason that was told.
    fn miss(&self, state: &State, place: Place, now: u64) -> Option<State> {
        let Some(entry) = state.at(place) else { return Some(state.clone()) };
        let gone = state.clone().with(place, None);
        if self.ended_by(entry.version, RemovalCause::Capacity) {
            return Some(gone);
        }
        if self.is_due(place, &entry, now) && self.is_told_expired(place, &entry) {
            return Some(gone);
        }
        if matches!(place, Place::Child(_)) && self.ended_by(entry.version, RemovalCause::Cascade) {
            return match state.parent_of(&entry) {
                None => Some(gone),
                Some(parent) => self.miss(&gone, parent, now),
            };
        }
        None
    }

    /// It was told of with the deadline that came first.
    fn is_told_expired(&self, place: Place, entry: &Entry) -> bool {
        let idle = self.idle_deadline(place, entry);
        let absolute = self.absolute_deadline(place, entry);
        (idle <= absolute && self.ended_by(entry.version, RemovalCause::Idle))
            || (absolute <= idle && self.ended_by(entry.version, RemovalCause::Absolute))
    }

    /// The states after activity of a live entry.
    fn touched(&self, state: &State, place: Place, entry: Entry, now: u64) -> Vec<State> {
        let entry = Entry { touched: entry.touched.max(now), ..entry };
        let state = state.clone().with(place, Some(entry));
        match self.touch_parent(&state, &entry, now) {
            Some(touched) if matches!(place, Place::Child(_)) => vec![touched],
            _ => vec![state],
        }
    }

    fn touch_parent(&self, state: &State, child: &Entry, now: u64) -> Option<State> {
        let place = self.rules.touches_parent.then(|| state.parent_of(child))??;
        let parent = state.at(place)?;
        let parent = Entry { touched: parent.touched.max(now), ..parent };
        Some(state.clone().with(place, Some(parent)))
    }

    /// The states after a new entry.
    fn created(&self, state: &State, place: Place, version: Version, now: u64) -> Vec<State> {
        let free = self.miss(state, place, now).or_else(|| self.displaced(state, place));
        let Some(free) = free else { return Vec::new() };
        let entry = Entry { version, first: version, touched: now, created: now, parent: 0 };
        match place {
            Place::Parent(_) => vec![free.with(place, Some(entry))],
            Place::Child(key) => {
                let parent = Place::Parent(if key == LISTED { 0 } else { key });
                self.born(free, place, entry, parent, now)
            }
        }
    }

    /// The same for a child whose parent was found by a key that it has no more.
    fn created_under_renamed(
        &self,
        state: &State,
        place: Place,
        version: Version,
        now: u64,
    ) -> Vec<State> {
        let Place::Child(key) = place else { return Vec::new() };
        let parent = Place::Parent(if key == LISTED { 1 } else { 1 - key });
        let free = self.miss(state, place, now).or_else(|| self.displaced(state, place));
        let Some(free) = free else { return Vec::new() };
        let entry = Entry { version, first: version, touched: now, created: now, parent: 0 };
        self.born(free, place, entry, parent, now)
    }

    /// A child of a named parent makes way for one of another parent.
    fn displaced(&self, state: &State, place: Place) -> Option<State> {
        let old = state.at(place).filter(|_| place == Place::Child(LISTED))?;
        let is_told = self.ended_by(old.version, RemovalCause::Replaced);
        is_told.then(|| state.clone().with(place, None))
    }

    /// The states with a new child of a live parent, which was touched now or when it was found.
    fn born(&self, free: State, place: Place, child: Entry, parent: Place, now: u64) -> Vec<State> {
        let Some(parent) = self.live(&free, parent, now) else { return Vec::new() };
        let child = Entry { parent: parent.first, ..child };
        let born = free.with(place, Some(child));
        let touched = self.touch_parent(&born, &child, now);
        touched.into_iter().chain([born]).collect()
    }

    /// The states after an insert of a child whose parent is not there.
    fn refused(&self, state: &State, place: Place, now: u64, beside_rekey: bool) -> Vec<State> {
        let Place::Child(key) = place else { return Vec::new() };
        let parent = Place::Parent(if key == LISTED { 0 } else { key });
        // A child of the same key is looked for first; that of a named parent may live under
        // another.
        let other = (key == LISTED || beside_rekey).then(|| state.clone());
        let without = self.miss(state, place, now).into_iter().chain(other);
        without.filter_map(|state| self.miss(&state, parent, now)).collect()
    }

    fn replaced(&self, state: &State, place: Place, version: Version, now: u64) -> Vec<State> {
        match self.live(state, place, now) {
            Some(old) if self.ended_by(old.version, RemovalCause::Replaced) => {
                let entry = Entry { version, touched: old.touched.max(now), ..old };
                let mut states = self.touched(state, place, entry, now);
                // The parent of a child is touched last, and may have expired by then.
                states.push(state.clone().with(place, Some(entry)));
                states
            }
            _ => Vec::new(),
        }
    }

    fn removed(&self, state: &State, place: Place, now: u64, seen: Option<Version>) -> Vec<State> {
        let entry = self.live(state, place, now).filter(|entry| {
            seen.is_none_or(|seen| seen == entry.version)
                && self.ended_by(entry.version, RemovalCause::Explicit)
        });
        entry.map(|_| state.clone().with(place, None)).into_iter().collect()
    }

    fn renewed(&self, state: &State, place: Place, now: u64) -> Vec<State> {
        let Some(entry) = self.live(state, place, now) else { return Vec::new() };
        let entry = Entry { touched: entry.touched.max(now), created: now, ..entry };
        let alone = state.clone().with(place, Some(entry));
        let mut states = self.touched(state, place, entry, now);
        states.push(alone);
        states
    }

    fn renamed(
        &self,
        state: &State,
        from: usize,
        answer: Answer,
        (begun, now): (u64, u64),
    ) -> Vec<State> {
        let (old, new) = (Place::Parent(from), Place::Parent(1 - from));
        match answer {
            Answer::Missing => self.miss(state, old, now).into_iter().collect(),
            // Also while another thread is about to insert it, successfully or not.
            Answer::Exists => vec![state.clone()],
            Answer::Done => {
                let Some(free) = self.miss(state, new, now) else { return Vec::new() };
                // What it found at first may be due by now; what is due under the new key is ended.
                let seen = [begun, now].into_iter().filter_map(|at| {
                    let entry = self.live(state, old, at)?;
                    Some(Entry { touched: entry.touched.max(at), ..entry })
                });
                seen.map(|entry| free.clone().with(old, None).with(new, Some(entry))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The states after the first half of a change, which may as well not show.
    fn begun(&self, state: &State, op: Op, now: u64) -> Vec<State> {
        let place = match op {
            Op::Insert(place, _) | Op::InsertNew(place, _) | Op::Update(place, _) => place,
            Op::Get(place) | Op::Touch(place) | Op::ReplaceIf(place, _) => place,
            Op::Rekey(from) => Place::Parent(from),
            _ => return Vec::new(),
        };
        let mut states = vec![state.clone()];
        if let Some(entry) = self.live(state, place, now) {
            states.extend(self.touched(state, place, entry, now));
        }
        // Who inserts a child in place of another parent's has ended that one before.
        if let Op::Insert(..) = op {
            states.extend(self.displaced(state, place));
        }
        // Who inserts a child has touched its parent before.
        if let (Place::Child(key), true) = (place, self.rules.touches_parent) {
            let parent = Place::Parent(if key == LISTED { 0 } else { key });
            let entry = self.live(state, parent, now);
            states.extend(entry.into_iter().flat_map(|it| self.touched(state, parent, it, now)));
        }
        states
    }

    /// The states after a call, if it read the clock as `now`.
    fn step_at(&self, state: &State, call: &Call, now: u64) -> Vec<State> {
        let Call { op, answer, .. } = *call;
        let miss = |place| self.miss(state, place, now).into_iter().collect();
        let live = |place| self.live(state, place, now);
        match (op, answer) {
            (op, Answer::Begun) => self.begun(state, op, now),
            (Op::Rekey(from), answer) => self.renamed(state, from, answer, (call.clock.0, now)),
            (Op::Insert(place, _) | Op::InsertNew(place, _), Answer::ParentGone) => {
                self.refused(state, place, now, call.beside_rekey)
            }
            (Op::Insert(..) | Op::InsertNew(..), Answer::AtCapacity) => vec![state.clone()],
            (
                Op::Get(place)
                | Op::Peek(place)
                | Op::Touch(place)
                | Op::Update(place, _)
                | Op::Remove(place)
                | Op::Take(place)
                | Op::Renew(place)
                | Op::RemoveIf(place)
                | Op::ReplaceIf(place, _),
                Answer::Missing,
            ) => miss(place),
            (Op::Get(place), Answer::Saw(version)) => match live(place) {
                Some(entry) if entry.version == version => self.touched(state, place, entry, now),
                _ => Vec::new(),
            },
            (Op::Peek(place), Answer::Saw(version)) => match live(place) {
                Some(entry) if entry.version == version => vec![state.clone()],
                _ => Vec::new(),
            },
            (Op::Touch(place), Answer::Done) => {
                live(place).map_or(Vec::new(), |entry| self.touched(state, place, entry, now))
            }
            (
                Op::Insert(place, version)
                | Op::Update(place, version)
                | Op::ReplaceIf(place, version),
                Answer::Replaced,
            ) => self.replaced(state, place, version, now),
            (Op::Insert(place, version) | Op::InsertNew(place, version), Answer::New) => {
                let mut states = self.created(state, place, version, now);
                let is_late = call.clock.1 > call.clock.0 + self.rules.child_idle;
                if self.ended_by(version, RemovalCause::Cascade)
                    || (is_late && self.ended_by(version, RemovalCause::Idle))
                {
                    // Its parent had just died: nobody ever reads it.
                    states.extend(self.refused(state, place, now, call.beside_rekey));
                }
                states
            }
            (Op::InsertNew(place, _), Answer::Exists) => {
                live(place).map_or(Vec::new(), |_| vec![state.clone()])
            }
            (Op::Remove(place) | Op::RemoveIf(place), Answer::Done) => {
                self.removed(state, place, now, None)
            }
            (Op::Take(place), Answer::Saw(version)) => {
                self.removed(state, place, now, Some(version))
            }
            (Op::Renew(place), Answer::Done) => self.renewed(state, place, now),
            _ => Vec::new(),
        }
    }
}

/// The state in which the entry that a call has inserted has the time at which the call began.
fn aged(state: &State, call: &Call) -> Option<State> {
    let (Op::Insert(place, version) | Op::InsertNew(place, version)) = call.op else { return None };
    let entry = state.at(place).filter(|entry| entry.version == version)?;
    let (touched, created) = (call.clock.0, call.clock.0);
    Some(state.clone().with(place, Some(Entry { touched, created, ..entry })))
}

impl Model for Family<'_> {
    type State = State;
    type Call = Call;

    fn step(&self, state: &State, call: &Call) -> Vec<State> {
        let mut states = Vec::new();
        for now in (call.clock.0..=call.clock.1).step_by(2) {
            states.extend(self.step_at(state, call, now));
        }
        if call.answer != Answer::New {
            return states;
        }
        // A new entry has its times from the clock as it was when its insert began.
        let begun: Vec<_> = states.iter().filter_map(|state| aged(state, call)).collect();
        states.extend(begun);
        for now in (call.clock.0..=call.clock.1).step_by(2) {
            if let (Op::Insert(place, version) | Op::InsertNew(place, version), true) =
                (call.op, call.beside_rekey)
            {
                // Parents are found by their keys when a call begins.
                states.extend(self.created_under_renamed(state, place, version, now));
            }
        }
        states
    }

    /// Nobody was told of a removal that no call did.
    fn may_end(&self, state: &State) -> bool {
        let told = |entry: &Entry, causes: &[RemovalCause]| {
            causes.iter().any(|cause| self.ended_by(entry.version, *cause))
        };
        let own = [RemovalCause::Idle, RemovalCause::Absolute, RemovalCause::Capacity];
        let ends_itself =
            |entry: &Entry| told(entry, &own) || told(entry, &[RemovalCause::Dropped]);
        let parents = state.parents.iter().flatten().all(ends_itself);
        let children = state.children.iter().flatten().all(|child| {
            let parent = state.parent_of(child).and_then(|place| state.at(place));
            let orphaned = parent.is_none_or(|parent| told(&parent, &own));
            ends_itself(child) || (orphaned && told(child, &[RemovalCause::Cascade]))
        });
        parents && children
    }
}
