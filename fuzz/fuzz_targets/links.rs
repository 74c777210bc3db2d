//! A family of linked caches against a graph of entries: children by key and by name, three levels
//! deep, with siblings, limits and caches that are dropped.
#![no_main]

mod bytes;
mod family;
mod family_script;
#[allow(dead_code)]
#[path = "../../tests/script/mod.rs"]
mod script;

use family::{Bound, CACHES, Family, LINKS, Limits, STEP, TICK, Terms};
use family_script::{Op, Script};
use idlewheel::{
    Builder, Cache, CapacityPolicy, Clock, InsertError, InsertErrorKind, Inserted, LoadError,
    MockClock, RekeyError, SweepBudget, Timeouts,
};
use libfuzzer_sys::fuzz_target;
use script::value::{Hashing, Tally, Value};
use std::sync::Arc;
use std::time::Duration;

type Sessions = Cache<u8, Value, Hashing>;
type Insertion = Result<Inserted, InsertError<Value>>;

/// Operations between two looks at everything.
const SETTLE_EVERY: usize = 40;

fn duration(steps: u64) -> Duration {
    Duration::from_nanos(steps * STEP)
}

fn timeouts(limits: Limits) -> Timeouts {
    let mut timeouts = Timeouts::new();
    if let Some(idle) = limits.idle {
        timeouts = timeouts.idle(duration(idle));
    }
    if let Some(absolute) = limits.absolute {
        timeouts = timeouts.absolute(duration(absolute));
    }
    timeouts
}

fn build(builder: Builder<u8, Value, Hashing>, terms: &Terms) -> Sessions {
    let policy = match terms.rejects {
        true => CapacityPolicy::RejectNew,
        false => CapacityPolicy::EvictSoonestToExpire,
    };
    let mut builder = builder.tick(Duration::from_nanos(TICK)).capacity_policy(policy);
    builder = match terms.limits.idle {
        Some(idle) => builder.idle_timeout(duration(idle)),
        None => builder.no_idle_timeout(),
    };
    if let Some(absolute) = terms.limits.absolute {
        builder = builder.absolute_timeout(duration(absolute));
    }
    builder = match terms.bound {
        Bound::None => builder,
        Bound::Entries(most) => builder.max_entries(most),
        Bound::Children(most) => builder.max_children(most as u32),
    };
    builder.touches_parent(terms.touches).build().expect("valid settings")
}

/// What may become of a new entry.
struct Outlook {
    may_refuse: Option<InsertErrorKind>,
    may_admit: bool,
    /// Live entries of which one may have to go.
    at_risk: Vec<usize>,
    /// Whether one of them must, if the new one is admitted.
    must_evict: bool,
}

struct Driver {
    keys: u8,
    caches: [Option<Sessions>; CACHES],
    mock: MockClock,
    model: Family,
    tally: Arc<Tally>,
}

impl Driver {
    fn new(script: &Script) -> Self {
        let (clock, mock) = Clock::mock();
        let mut caches: [Option<Sessions>; CACHES] = Default::default();
        for cache in 0..CACHES {
            let parents = |of: usize| caches[of].as_ref().expect("built before its children");
            let builder = match LINKS[cache] {
                None => Cache::builder().clock(clock.clone()).hasher(script.hashing),
                Some((of, false)) => Cache::<u8, Value>::builder().linked_to(parents(of)),
                Some((of, true)) => Cache::<u8, Value>::builder().children_of(parents(of)),
            };
            caches[cache] = Some(build(builder, &script.terms[cache]));
        }
        let tally = Arc::default();
        Driver { keys: script.keys, caches, mock, model: Family::new(script.terms), tally }
    }

    /// Runs one operation, unless its cache is no more.
    fn apply(&mut self, number: usize, op: Op) {
        let Some(cache) = self.caches[number].clone() else { return };
        let model = &mut self.model;
        let expected = |key: u8| model.find(number, key);
        match op {
            Op::Insert(key, parent) => {
                self.insert(number, key, parent, None, false);
            }
            Op::InsertNew(key, parent) => self.insert(number, key, parent, None, true),
            Op::InsertWith(key, parent, own) => self.insert(number, key, parent, Some(own), false),
            Op::Load(key, parent) => self.load(number, key, parent),
            Op::Get(key) => {
                let node = expected(key);
                let found = cache.get(&key).map(|value| value.id);
                assert_eq!(found, node.map(|node| model.node(node).id));
                self.follow(number, key, Family::touch);
            }
            Op::Peek(key) => {
                let node = expected(key);
                let found = cache.peek(&key).map(|value| value.id);
                assert_eq!(found, node.map(|node| model.node(node).id));
                self.follow(number, key, |_, _| {});
            }
            Op::Touch(key) => {
                assert_eq!(cache.touch(&key), expected(key).is_some());
                self.follow(number, key, Family::touch);
            }
            Op::Update(_) | Op::Remove(_) | Op::RemoveIf(_) => self.change(&cache, number, op),
            Op::Renew(_) | Op::SetTimeouts(..) => self.change(&cache, number, op),
            Op::Rekey(old, new) => self.rekey(&cache, number, old, new),
            Op::Children(key) => self.check_children(&cache, number, key),
            Op::RetainEven => self.retain(&cache, number),
            Op::Clear => {
                // What has expired and nobody has met is cleared as well.
                model.counts[number].explicit += cache.len() as u64;
                cache.clear();
                assert_eq!(cache.len(), 0);
                model.end_all(number);
            }
            Op::Sweep(visits) => self.sweep(&cache, visits),
            Op::Flush => {
                cache.flush();
                self.nothing_waits();
            }
            Op::Advance(halves) => self.advance(STEP / 2 * u64::from(halves)),
            Op::AdvanceTo(key, over) => self.advance_to(number, key, over),
            Op::DropCache => {
                drop(cache);
                self.drop_cache(number);
            }
            Op::Settle => self.settle(),
        }
        self.check_accounts();
    }

    /// Applies an operation that changes an entry or ends it, and never makes one.
    fn change(&mut self, cache: &Sessions, number: usize, op: Op) {
        let model = &self.model;
        let expected = |key: u8| model.find(number, key);
        match op {
            Op::Update(key) => {
                let value = self.tally.value();
                let id = value.id;
                assert_eq!(cache.update(&key, value).is_ok(), expected(key).is_some());
                self.follow(number, key, |model, node| model.replace(node, id, None));
            }
            Op::Remove(key) => {
                assert_eq!(cache.remove(&key), expected(key).is_some());
                self.follow(number, key, Family::remove);
            }
            Op::RemoveIf(key) => {
                let id = expected(key).map(|node| model.node(node).id);
                let removes = id.is_some_and(|id| id % 2 == 0);
                assert_eq!(cache.remove_if(&key, |value| value.id % 2 == 0), removes);
                if removes || id.is_none() {
                    self.follow(number, key, Family::remove);
                }
            }
            Op::Renew(key) => {
                assert_eq!(cache.renew(&key), expected(key).is_some());
                self.follow(number, key, Family::renew);
            }
            Op::SetTimeouts(key, own) => {
                assert_eq!(cache.set_timeouts(&key, timeouts(own)), expected(key).is_some());
                self.follow(number, key, |model, node| model.set_limits(node, own));
            }
            _ => unreachable!("{op:?} is none of these"),
        }
    }

    /// Follows an operation that has found a key, or not.
    fn follow(&mut self, number: usize, key: u8, then: impl FnOnce(&mut Family, usize)) {
        match self.model.find(number, key) {
            Some(node) => then(&mut self.model, node),
            None => self.model.forget(number, key),
        }
    }

    fn advance(&mut self, nanos: u64) {
        self.mock.advance(Duration::from_nanos(nanos));
        self.model.now += nanos;
    }

    fn advance_to(&mut self, number: usize, key: u8, over: bool) {
        let Some(node) = self.model.find(number, key) else { return };
        let deadline = self.model.deadline(node);
        if deadline < u64::MAX {
            self.advance(((deadline + u64::from(over)) * STEP).saturating_sub(self.model.now));
        }
    }

    /// The parent that an entry of this key is to have. An error: there is none.
    fn parent(
        &mut self,
        number: usize,
        key: u8,
        named: Option<u8>,
    ) -> Result<Option<usize>, InsertErrorKind> {
        let Some((parents, are_named)) = LINKS[number] else { return Ok(None) };
        let key = if are_named { named.ok_or(InsertErrorKind::NoParent)? } else { key };
        let Some(parent) = self.model.find(parents, key) else {
            self.model.forget(parents, key);
            return Err(InsertErrorKind::ParentGone);
        };
        Ok(Some(parent))
    }

    /// The parent of an entry that is to be loaded: that is its activity, if the link asks for it.
    fn wanted_parent(
        &mut self,
        number: usize,
        key: u8,
        named: Option<u8>,
    ) -> Result<Option<usize>, InsertErrorKind> {
        let parent = self.parent(number, key, named)?;
        if let Some(parent) = parent.filter(|_| self.model.terms[number].touches) {
            self.model.touch(parent);
        }
        Ok(parent)
    }

    fn is_named(number: usize) -> bool {
        LINKS[number].is_some_and(|link| link.1)
    }

    fn insert(
        &mut self,
        number: usize,
        key: u8,
        named: Option<u8>,
        own: Option<Limits>,
        new: bool,
    ) {
        let cache = self.caches[number].clone().expect("looked at before");
        let value = self.tally.value();
        let id = value.id;
        let named = named.filter(|_| Self::is_named(number));
        let result: Insertion = match (named, own, new) {
            (None, None, false) => cache.insert(key, value),
            (None, None, true) => cache.insert_new(key, value).map(|()| Inserted::New),
            (None, Some(own), _) => cache.insert_with(key, value, timeouts(own)),
            (Some(parent), None, false) => cache.insert_linked(key, value, &parent),
            (Some(parent), None, true) => {
                cache.insert_linked_new(key, value, &parent).map(|()| Inserted::New)
            }
            (Some(parent), Some(own), _) => {
                cache.insert_linked_with(key, value, &parent, timeouts(own))
            }
        };
        let result = result.map_err(|error| {
            let kind = error.kind();
            assert_eq!(error.into_value().id, id, "another value came back");
            kind
        });
        // A parent that is named comes before all else.
        let parent = named.map(|_| self.parent(number, key, named));
        if let Some(Err(kind)) = parent {
            return assert_eq!(result, Err(kind));
        }
        let parent = parent.and_then(Result::ok).flatten();
        if let Some(node) = self.model.find(number, key) {
            if new {
                return assert_eq!(result, Err(InsertErrorKind::Exists));
            }
            if named.is_none() || self.model.node(node).parent == parent {
                assert_eq!(result, Ok(Inserted::Replaced));
                return self.model.replace(node, id, own);
            }
            // Another parent's: that one ends, unless the new one is refused.
            if let Err(kind) = result {
                assert_eq!(kind, InsertErrorKind::TooManyChildren, "its place is handed on");
                return assert_eq!(self.outlook(number, parent).may_refuse, Some(kind));
            }
            self.model.end(node);
            self.model.counts[number].replaced += 1;
        }
        self.model.forget(number, key);
        let parent = match named {
            Some(_) => Ok(parent),
            None => self.parent(number, key, None),
        };
        match parent {
            Err(kind) => assert_eq!(result, Err(kind)),
            Ok(parent) => self.admit(number, key, id, parent, own, result.map(|_| ())),
        }
    }

    fn load(&mut self, number: usize, key: u8, named: Option<u8>) {
        let cache = self.caches[number].clone().expect("looked at before");
        let named = named.filter(|_| Self::is_named(number));
        let mut entry = cache.entry(key);
        let mut parent = None;
        if let Some(named) = &named {
            entry = entry.child_of(named);
            parent = Some(self.wanted_parent(number, key, Some(*named)));
        }
        let loaded = std::cell::Cell::new(None);
        let result = entry.or_insert_with(|| {
            let value = self.tally.value();
            loaded.set(Some(value.id));
            value
        });
        let found = result.as_ref().map(|value| value.id).map_err(LoadError::kind);
        if let Some(node) = self.model.find(number, key) {
            assert_eq!((found, loaded.get()), (Ok(self.model.node(node).id), None));
            return self.model.touch(node);
        }
        self.model.forget(number, key);
        match parent.unwrap_or_else(|| self.wanted_parent(number, key, None)) {
            Err(kind) => assert_eq!((found, loaded.get()), (Err(Some(kind)), None)),
            Ok(parent) => {
                let id = loaded.get().expect("there was none");
                let result = found.map(|found| assert_eq!(found, id));
                let result = result.map_err(|kind| kind.expect("not the loader's"));
                self.admit(number, key, id, parent, None, result);
            }
        }
    }

    /// What the bounds of a cache say of one more entry.
    fn outlook(&self, number: usize, parent: Option<usize>) -> Outlook {
        let (terms, model) = (&self.model.terms[number], &self.model);
        let (most, kind, at_risk, waiting) = match terms.bound {
            Bound::None => (usize::MAX, InsertErrorKind::AtCapacity, Vec::new(), 0),
            Bound::Entries(most) => {
                let live: Vec<_> = model.live(number).collect();
                let waiting = model.held(number).count() - live.len();
                (most, InsertErrorKind::AtCapacity, live, waiting)
            }
            Bound::Children(most) => {
                let is_child = |node: &usize| model.node(*node).parent == parent;
                let live = model.live(number).filter(is_child).collect();
                (most, InsertErrorKind::TooManyChildren, live, 0)
            }
        };
        let is_full = at_risk.len() >= most;
        // Entries that are dead count until somebody meets them.
        let may_be_full = at_risk.len() + waiting >= most;
        let can_evict = !terms.rejects && most > 0;
        Outlook {
            may_refuse: (may_be_full && !can_evict).then_some(kind),
            may_admit: can_evict || !is_full,
            must_evict: is_full,
            at_risk: if may_be_full { at_risk } else { Vec::new() },
        }
    }

    /// Follows the insertion of an entry that was not there.
    fn admit(
        &mut self,
        number: usize,
        key: u8,
        id: u64,
        parent: Option<usize>,
        own: Option<Limits>,
        result: Result<(), InsertErrorKind>,
    ) {
        let outlook = self.outlook(number, parent);
        if let Err(kind) = result {
            return assert_eq!(Some(kind), outlook.may_refuse, "refused");
        }
        assert!(outlook.may_admit, "there was no place");
        let cache = self.caches[number].as_ref().expect("looked at before");
        let keys = self.model.live_keys(number);
        let missing: Vec<_> = keys.into_iter().filter(|key| !cache.contains_key(key)).collect();
        let evicted: Vec<_> =
            missing.iter().filter_map(|key| self.model.find(number, *key)).collect();
        assert!(evicted.len() <= 1 && evicted.iter().all(|node| outlook.at_risk.contains(node)));
        assert!(!outlook.must_evict || evicted.len() == 1, "more than there are places");
        for node in evicted {
            self.check_choice(number, node, &outlook.at_risk);
            self.model.end(node);
        }
        self.model.insert(number, key, id, parent, own);
    }

    /// Whether what was evicted is what expires soonest.
    fn check_choice(&self, number: usize, evicted: usize, at_risk: &[usize]) {
        let soonest = at_risk.iter().min_by_key(|node| self.model.deadline(**node));
        let soonest = *soonest.expect("one of them was evicted");
        let slack = match self.model.terms[number].bound {
            // The width of a bucket.
            Bound::Entries(_) => self.model.shortest_timeout(soonest) / 32 + TICK / STEP + 1,
            _ => 0,
        };
        let latest = self.model.deadline(soonest).saturating_add(slack);
        assert!(self.model.deadline(evicted) <= latest, "another one would expire sooner");
    }

    fn rekey(&mut self, cache: &Sessions, number: usize, old: u8, new: u8) {
        let result = cache.rekey(&old, new);
        if self.model.find(number, old).is_none() {
            assert_eq!(result, Err(RekeyError::Missing));
            return self.model.forget(number, old);
        }
        if self.model.find(number, new).is_some() {
            return assert_eq!(result, Err(RekeyError::Exists));
        }
        assert_eq!(result, Ok(()));
        self.model.rekey(number, old, new);
    }

    fn check_children(&mut self, cache: &Sessions, number: usize, key: u8) {
        let Some((parents, _)) = LINKS[number] else { return };
        let parent = self.model.find(parents, key);
        let expected = parent.map(|parent| self.model.children(number, parent));
        let mut children = cache.children(&key);
        children.sort_unstable();
        assert_eq!(children, expected.unwrap_or_default());
        assert_eq!(cache.count_children(&key), children.len());
    }

    fn retain(&mut self, cache: &Sessions, number: usize) {
        cache.retain(|_, value| value.id % 2 == 0);
        let live: Vec<_> = self.model.live(number).collect();
        for node in live {
            if !self.model.node(node).id.is_multiple_of(2) {
                self.model.remove(node);
            }
        }
    }

    /// A sweep of any cache is one of all.
    fn sweep(&mut self, cache: &Sessions, visits: Option<u8>) {
        let visits = visits.map(u64::from);
        let budget = visits.map_or(SweepBudget::unlimited(), SweepBudget::visits);
        let report = cache.sweep_within(budget);
        // Each kind of work has the budget for itself.
        let done = [report.visited - report.cascaded, report.cascaded, report.reclaimed];
        let is_over = |budget: u64| done.iter().any(|done| *done >= budget);
        assert!(!report.more || visits.is_some_and(is_over), "{report:?}");
        let most = visits.unwrap_or(u64::MAX - 63);
        assert!(done[0] <= most + 63 && done[1] <= most && done[2] <= most, "{report:?}");
        if report.more {
            return;
        }
        self.nothing_waits();
        for (number, cache) in self.caches.iter().enumerate() {
            let Some(cache) = cache else { continue };
            let held = self.model.held(number);
            let may_stay = held.filter(|node| !self.model.is_overdue(*node)).count();
            assert!(cache.len() <= may_stay, "cache {number} holds {}: {report:?}", cache.len());
        }
    }

    fn nothing_waits(&self) {
        for cache in self.caches.iter().flatten() {
            assert_eq!(cache.stats().pending_reclamation, 0, "nobody is pinned");
        }
    }

    fn drop_cache(&mut self, number: usize) {
        self.caches[number] = None;
        for node in self.model.end_all(number) {
            let id = self.model.node(node).id;
            assert_eq!(self.tally.copies(id), 0, "a value outlived its cache");
        }
    }

    /// Looks at every key: then what is dead was met, and nothing is in doubt.
    fn settle(&mut self) {
        for (number, cache) in self.caches.iter().enumerate() {
            let Some(cache) = cache else { continue };
            let mut keys: Vec<_> = cache.keys().collect();
            keys.sort_unstable();
            assert_eq!(keys, self.model.live_keys(number), "keys of cache {number}");
            for key in 0..self.keys {
                let found = cache.contains_key(&key);
                assert_eq!(found, self.model.find(number, key).is_some(), "{key} in {number}");
                if !found {
                    self.model.forget(number, key);
                }
            }
        }
        self.caches.iter().flatten().for_each(|cache| _ = cache.flush());
        self.nothing_waits();
        let mut live = 0;
        for (number, cache) in self.caches.iter().enumerate() {
            let Some(cache) = cache else { continue };
            let census = cache.validate().expect("valid at rest");
            assert_eq!(census.stale, 0, "stale bits");
            assert_eq!(cache.len(), self.model.live(number).count(), "cache {number}");
            live += cache.len();
        }
        assert_eq!((self.tally.alive(), self.tally.faults()), (live as i64, 0), "values");
    }

    fn check_accounts(&self) {
        for (number, cache) in self.caches.iter().enumerate() {
            let Some(cache) = cache else { continue };
            let (stats, counts) = (cache.stats(), &self.model.counts[number]);
            assert_eq!(stats.inserted, stats.live + stats.removed.total(), "{stats:?}");
            assert_eq!(stats.inserted, counts.inserted, "inserted in {number}");
            assert_eq!(stats.removed.explicit, counts.explicit, "removed from {number}");
            assert_eq!(stats.removed.replaced, counts.replaced, "replaced in {number}");
            assert!(stats.removed.cascade == 0 || LINKS[number].is_some(), "{stats:?}");
            let bounds = self.model.live(number).count()..=self.model.held(number).count();
            assert!(bounds.contains(&cache.len()), "{number}: {} of {bounds:?}", cache.len());
        }
    }

    /// Drops the caches, from one of them on.
    fn finish(mut self, first: usize) {
        self.settle();
        for number in (first..CACHES).chain(0..first) {
            self.drop_cache(number);
        }
        drop(self.caches);
        assert_eq!((self.tally.alive(), self.tally.faults()), (0, 0), "values are dropped once");
    }
}

fuzz_target!(|script: Script| {
    let mut driver = Driver::new(&script);
    for (number, (cache, op)) in script.ops.iter().enumerate() {
        driver.apply(*cache, *op);
        if number % SETTLE_EVERY == SETTLE_EVERY - 1 {
            driver.settle();
        }
    }
    driver.finish(script.ops.len() % CACHES);
});
