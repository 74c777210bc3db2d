//! The machine behind a cache: index, slab, wheel and limbo, and the operations that join them.
//!
//! A hit flows one way: hash, index, slab, state check, and only when the tick changed, wheel. No
//! user code runs while any of these is half changed.

mod batch;
mod conditional;
mod erase;
mod evict;
mod hold;
mod insert;
mod iterate;
mod kin;
mod load;
mod lookup;
mod names;
mod rekey;
mod remove;
mod replace;
mod siblings;
mod sweep;
mod terms;
mod validate;

use crate::capacity::Capacity;
use crate::clock::{CacheClock, Clock};
use crate::expiry::{Limits, NEVER, Names, Schedule, Timing};
use crate::flights::Flights;
use crate::index::{self, Entries, Index};
use crate::link::{Descendants, Incarnation};
use crate::listener::Listener;
use crate::reclaim::{self, Limbo};
use crate::retries::{Retry, retried};
use crate::segments::{Geometry, Lazy};
use crate::slab::{Birth, Ext, Flag, Slab, Slot, State};
use crate::stats::{Ledger, RemovalCause, Stats};
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::telemetry::Telemetry;
use crate::wheel::{Home, Timers, Wheel};
use batch::Begun;
use evict::Bound;
use kin::Uplink;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;
use terms::Terms;

pub(crate) use batch::Reclaimed;
pub(crate) use hold::Held;
pub(crate) use insert::{Insertion, Mode, Parent, Refused};
pub(crate) use iterate::Course;
pub(crate) use kin::LinkTerms;
pub(crate) use rekey::Unnamed;
pub(crate) use sweep::{Allowance, Report};
pub(crate) use validate::Census;

/// How a cache is laid out; the builder's checked settings.
pub(crate) struct Layout<K, V> {
    pub(crate) capacity: usize,
    pub(crate) slot_limit: u32,
    pub(crate) record_reads: bool,
    /// The places, if they are limited.
    pub(crate) places: Option<Capacity>,
    pub(crate) listener: Option<Listener<K, V>>,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) uplink: Option<LinkTerms>,
}

/// On whose behalf an entry is claimed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Behalf {
    Own,
    /// Of another thread, which has closed the entry.
    Closer,
    /// Of a new entry, which takes over its place in a bounded cache.
    Successor,
}

/// All state of one cache.
pub(crate) struct Core<K, V, S> {
    slab: Slab<K, V>,
    index: Index,
    wheel: Wheel,
    limbo: Limbo,
    begun: Begun,
    terms: Terms,
    ledger: Ledger,
    telemetry: Telemetry,
    bound: Option<Bound>,
    /// Loads that are under way; built by the first one.
    flights: Lazy<Flights>,
    listener: Option<Listener<K, V>>,
    /// Grace periods that reclaiming threads have waited for.
    rounds: AtomicU64,
    /// Whether a hit has more to look at than its own state word and the clock: parents, an
    /// absolute timeout, counters of hits.
    is_special: bool,
    schedule: Schedule,
    clock: CacheClock,
    /// The clock's time when the cache was built: all stored times count from here.
    origin: u64,
    hasher: S,
    /// The cache that holds the parents of this one's entries.
    uplink: Option<Uplink>,
    /// The caches whose entries have their parents here.
    descendants: Descendants,
    /// Handles of the cache. A sweeper or a linked cache refers to the core without being one, so
    /// that the last handle's drop is the last use of the values.
    handles: AtomicUsize,
}

impl<K, V, S> Core<K, V, S> {
    pub(crate) fn new(schedule: Schedule, clock: Clock, hasher: S, layout: Layout<K, V>) -> Self {
        let geometry = Geometry::for_capacity(layout.capacity);
        let clock = clock.for_cache(schedule.tick_shift());
        Core {
            slab: Slab::new(geometry, layout.slot_limit),
            index: Index::for_capacity(layout.capacity),
            wheel: Wheel::new(geometry, schedule.plan()),
            limbo: Limbo::new(geometry),
            begun: Begun::new(),
            terms: Terms::new(),
            ledger: Ledger::new(index::SHARDS, layout.record_reads),
            telemetry: Telemetry::new(layout.name),
            bound: layout.places.map(Bound::new),
            flights: Lazy::new(),
            listener: layout.listener,
            rounds: AtomicU64::new(0),
            is_special: layout.record_reads
                || layout.uplink.is_some()
                || schedule.defaults().absolute != NEVER,
            origin: clock.now(),
            schedule: schedule.for_clock(clock.behind()),
            clock,
            hasher,
            uplink: layout.uplink.map(|link| Uplink::new(link, geometry)),
            descendants: Descendants::none(),
            handles: AtomicUsize::new(1),
        }
    }

    /// Nanoseconds since the cache was built, at most what ticks can tell apart.
    #[inline(always)]
    fn now(&self) -> u64 {
        self.now_at(self.clock.now())
    }

    /// The same for a time that the clock gave.
    #[inline(always)]
    fn now_at(&self, time: u64) -> u64 {
        self.schedule.since(self.origin, time)
    }

    /// The tick that stands for activity at `now`. The clock may be behind: the activity is not
    /// later than this tick's end.
    #[inline(always)]
    fn stamp(&self, now: u64) -> u64 {
        self.schedule.stamp(now)
    }

    /// Not by `hash_one`: that of `ahash` has shortcuts for integers when a nightly compiler builds
    /// it, and then a key that borrows as an integer has another hash than that integer.
    #[inline(always)]
    #[expect(clippy::manual_hash_one, reason = "it may take shortcuts for some types")]
    pub(crate) fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u32
    where
        S: BuildHasher,
    {
        let mut hasher = self.hasher.build_hasher();
        key.hash(&mut hasher);
        index::reduce(hasher.finish())
    }

    /// What a slot's extension word says under `state`, a state word of it that was seen.
    #[inline(always)]
    fn ext(&self, slot: u32, state: State) -> Ext {
        let word = if state.is_extended() { self.slab.ext(slot) } else { None };
        // Acquire: sees the value or the terms that the word names.
        word.map_or(Ext(0), |word| Ext(word.load(Ordering::Acquire)))
    }

    /// The timing of an entry whose state word is `state`.
    fn timing(&self, slot: u32, state: State) -> Timing {
        self.timing_in(slot, self.ext(slot, state), state)
    }

    /// The timing that an extension word `ext` of the slot gives.
    fn timing_in(&self, slot: u32, ext: Ext, state: State) -> Timing {
        match ext.terms() {
            _ if ext.is_alias() => Timing::new(Limits::NONE, 0),
            0 => self.schedule.timing_since(self.slab.slot(slot)),
            terms => self.terms.timing(terms, state.rev()),
        }
    }

    /// Where an entry is filed under `state`, a word that the caller knows to be (or, if dead now,
    /// to have been) the present one.
    fn home(&self, slot: u32, state: State) -> Option<Home> {
        self.schedule.home(state.tick(), self.timing(slot, state))
    }

    pub(crate) fn len(&self) -> u64 {
        self.ledger.total_live()
    }

    pub(crate) fn clock(&self) -> &Clock {
        self.clock.clock()
    }

    pub(crate) fn hasher(&self) -> &S {
        &self.hasher
    }

    /// One more handle.
    pub(crate) fn hold(&self) {
        // Relaxed: the new handle comes from one that exists, so the count is not 0.
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    /// One more handle, unless there is none any more.
    pub(crate) fn hold_if_held(&self) -> bool {
        let one_more = |count: usize| (count > 0).then(|| count + 1);
        // Relaxed: as in `hold`; a count of 0 is final.
        self.handles.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    /// One handle less; the last one's values are dropped.
    pub(crate) fn let_go(&self) {
        // Release: all uses of this handle come before the last one's drop, which acquires them.
        if self.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shut_down();
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        self.ledger.snapshot(self.limbo.waiting())
    }
}

impl<K, V, S> Entries for Core<K, V, S> {
    type Slot = Slot<K, V>;

    #[inline(always)]
    fn slot(&self, id: u32) -> &Slot<K, V> {
        self.slab.slot(id)
    }

    #[inline(always)]
    fn state_of(slot: &Slot<K, V>) -> &AtomicU64 {
        &slot.state
    }
}

impl<K, V, S> Timers for Core<K, V, S> {
    fn timer(&self, slot: u32) -> (State, Option<Home>) {
        let place = self.slab.slot(slot);
        loop {
            // SeqCst: the sweep's half of the insert's pair (`Wheel::is_covered`). Acquire: sees
            // birth and extension.
            let state = State(place.state.load(Ordering::SeqCst));
            if !state.is(Flag::Live) && !state.is(Flag::Reserved) {
                return (state, None);
            }
            let home = self.home(slot, state);
            // Otherwise the terms may have changed in between: somebody made progress.
            if State(place.state.load(Ordering::Acquire)).rev() == state.rev() {
                return (state, home);
            }
        }
    }

    fn expire(&self, slot: u32, state: State) -> bool {
        let pin = reclaim::pin();
        let timing = self.timing(slot, state);
        self.claim(slot, state, self.schedule.cause(state.tick(), timing), &pin).is_some()
    }
}

impl<K, V, S> Core<K, V, S> {
    /// Turns an entry from exactly `state` to dead, for one cause, and takes it out of the wheel
    /// and the index. Returns how crowded its part of the limbo is; `None`: the word had changed.
    ///
    /// The exchange is where the entry stops to exist; whoever wins it does the rest. No user code
    /// runs here.
    fn claim(
        &self,
        slot: u32,
        state: State,
        cause: RemovalCause,
        pin: &reclaim::Pin,
    ) -> Option<u32> {
        self.claim_for(slot, state, cause, Behalf::Own, pin)
    }

    /// [`Core::claim`], on somebody's behalf.
    fn claim_for(
        &self,
        slot: u32,
        state: State,
        cause: RemovalCause,
        behalf: Behalf,
        pin: &reclaim::Pin,
    ) -> Option<u32> {
        let place = self.slab.slot(slot);
        // Before the exchange: as long as the word is what was met, this is its timing.
        let (timing, now) = (self.timing(slot, state), self.now());
        let dead = state.dead(cause.code(), self.stamp(now), behalf == Behalf::Closer);
        // SeqCst: the remover's half of the pair in `Index::unlink`. Acquire: sees the commit of
        // the insert. Release: what led to the removal happened before for whoever sees it.
        let order = Ordering::SeqCst;
        if place.state.compare_exchange(state.0, dead.0, order, Ordering::Acquire).is_err() {
            retried(Retry::Claim);
            return None;
        }
        if behalf != Behalf::Successor {
            self.give_back_place();
        }
        self.give_back_child_place(slot);
        if let Some(deadline) = self.schedule.deadline(state.tick(), timing) {
            self.wheel.unset(self, self.schedule.home_at(deadline, timing), slot);
            if cause.is_expiry() {
                self.ledger.expired(now.saturating_sub(deadline));
            }
        }
        if !state.has_default_timing() && timing.names != Names::default() {
            let own = Incarnation { slot, generation: state.generation() };
            self.end_names(own, timing.names, pin);
        }
        // Relaxed: constant since the slot was published.
        let hash = Birth(place.birth.load(Ordering::Relaxed)).hash();
        self.index.unlink(self, hash, slot, pin);
        let crowd = self.limbo.add(slot);
        self.ledger.removed(index::shard_of(hash), cause);
        Some(crowd)
    }
}
