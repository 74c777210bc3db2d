//! Being linked: what this cache's entries owe to their parents, and what it does for its children.

use super::Core;
use super::lookup::{Met, Verdict};
use super::sweep::Allowance;
use crate::capacity::CapacityPolicy;
use crate::clock::Clock;
use crate::expiry::Schedule;
use crate::index::Found;
use crate::link::{
    self, Broods, ChildPlaces, Descendants, Fate, Incarnation, Kin, Member, ParentKeys, Tie, fate,
};
use crate::reclaim::{Pin, pin};
use crate::segments::SlotArray;
use crate::slab::{Flag, Head, State};
use crate::stats::RemovalCause;
use crate::sync::Zeroed;
use crate::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use crate::sync::{Step, broken};
use std::sync::Arc;

/// Children that a cascade claims under one pin.
const SLICE: u32 = 1024;

/// What the builder says of a link.
pub(crate) struct LinkTerms {
    pub(crate) parents: Arc<dyn Member>,
    /// Whether children may have their parents' keys.
    pub(crate) same_keys: bool,
    /// Whether a child's activity is its parent's.
    pub(crate) touches: bool,
    /// How many children a parent may have, and what happens to one more.
    pub(crate) max_children: Option<(u32, CapacityPolicy)>,
}

/// The link to the cache that holds the parents.
pub(crate) struct Uplink {
    parents: Arc<dyn Member>,
    /// Whether children may have their parents' keys, and so their hashes.
    same_keys: bool,
    /// Whether a child's activity is its parent's.
    touches: bool,
    ties: SlotArray<Cell>,
    broods: Broods,
    /// Where children are limited: their places, and what one child more does.
    places: Option<(ChildPlaces, CapacityPolicy)>,
    /// By what a parent is judged that has neither parents nor terms of its own: the schedule of
    /// its cache, and the time when that was built. `None`: they have parents.
    plain: Option<(Schedule, u64)>,
}

/// What one slot has of its parent. Both are written before the slot is published, and stay until
/// it is recycled.
struct Cell {
    tie: AtomicU64,
    /// The parent's slot, which saves a hit the way through its slab. Valid as long as the parents'
    /// core, which the uplink holds.
    parent: AtomicPtr<Head>,
}

// SAFETY: zero is no tie, and the null pointer.
unsafe impl Zeroed for Cell {
    #[cfg(any(loom, shuttle))]
    fn zeroed() -> Self {
        Cell { tie: AtomicU64::new(0), parent: AtomicPtr::new(std::ptr::null_mut()) }
    }
}

impl Uplink {
    pub(super) fn new(link: LinkTerms, geometry: crate::segments::Geometry) -> Self {
        let LinkTerms { parents, same_keys, touches, max_children } = link;
        let (ties, broods, plain) = (SlotArray::new(geometry), Broods::new(), parents.plain());
        let places = max_children.map(|(limit, policy)| (ChildPlaces::new(limit), policy));
        Uplink { parents, same_keys, touches, ties, broods, places, plain }
    }

    /// The places of children, where they are limited.
    pub(super) fn places(&self) -> Option<&ChildPlaces> {
        self.places.as_ref().map(|(places, _)| places)
    }

    /// Whether a child may make room for another one although it has not expired.
    pub(super) fn evicts_children(&self) -> bool {
        self.places.as_ref().is_some_and(|(_, policy)| *policy != CapacityPolicy::RejectNew)
    }

    /// The tie of a slot. Those that hold no entry (aliases, replacing values) have none.
    #[inline(always)]
    pub(super) fn tie(&self, slot: u32) -> Tie {
        // Relaxed: published with the state word by which an entry was seen.
        self.ties.find(slot).map_or(Tie::NONE, |cell| Tie(cell.tie.load(Ordering::Relaxed)))
    }

    fn parent(&self, slot: u32) -> Option<Incarnation> {
        let tie = self.tie(slot);
        (tie != Tie::NONE).then(|| tie.parent())
    }

    /// Ties a slot, which the caller owns, to its parent.
    pub(super) fn tie_to(&self, slot: u32, tie: Tie) {
        let cell = self.ties.reach(slot);
        if tie != Tie::NONE {
            let parent = std::ptr::from_ref(self.parents.head(tie.parent().slot));
            // Relaxed, here and below: published with the state word that the caller stores next.
            cell.parent.store(parent.cast_mut(), Ordering::Relaxed);
        }
        cell.tie.store(tie.0, Ordering::Relaxed);
    }

    /// Whether the parent of an entry that was met alive has neither parents nor terms of its own,
    /// and is alive. `false` says nothing.
    #[inline(always)]
    fn has_plain_parent(&self, slot: u32, time: u64) -> bool {
        if let (Some((schedule, origin)), Some(cell)) = (&self.plain, self.ties.find(slot)) {
            // Relaxed, here and below: as in `tie`.
            let parent = Tie(cell.tie.load(Ordering::Relaxed)).parent();
            // SAFETY: null, or a slot that `tie_to` stored; slots stay where they are until their
            // slab drops, which the uplink holds.
            let Some(head) = (unsafe { cell.parent.load(Ordering::Relaxed).as_ref() }) else {
                return false;
            };
            // Acquire: sees what the word speaks of.
            let state = State(head.state.load(Ordering::Acquire));
            if parent.is_live_in(state) && state.has_default_timing() {
                let now = schedule.since(*origin, time);
                return !schedule.is_idle(state.tick(), now) && !schedule.is_old(head, now);
            }
        }
        false
    }

    /// Whether the parent of an entry that was met alive is alive, and its own parents are.
    #[inline(always)]
    fn has_living_parent(&self, slot: u32, time: u64, pin: &Pin) -> bool {
        // What is not plainly alive is looked at again, and claimed if it is dead.
        self.has_plain_parent(slot, time)
            || self.parent(slot).is_some_and(|parent| self.parents.is_alive(parent, time, pin))
    }

    pub(super) fn broods(&self) -> &Broods {
        &self.broods
    }

    pub(super) fn parents(&self) -> &Arc<dyn Member> {
        &self.parents
    }
}

/// A cache whose entries are children, under a pin.
struct Children<'a, K, V, S>(&'a Core<K, V, S>, &'a Uplink, &'a Pin);

impl<K, V, S> Kin for Children<'_, K, V, S> {
    fn state(&self, slot: u32) -> State {
        // Acquire: sees the tie.
        State(self.0.slab.state(slot).load(Ordering::Acquire))
    }

    fn tie(&self, slot: u32) -> Tie {
        self.1.tie(slot)
    }

    fn claim_orphan(&self, slot: u32, state: State) -> bool {
        self.0.claim(slot, state, RemovalCause::Cascade, self.2).is_some()
    }
}

impl<K, V, S> Core<K, V, S> {
    /// Whether the parents of an entry that was met alive are alive too, all the way up. The
    /// entry's own word was read before: at that moment, then, all of them were alive.
    #[inline(always)]
    pub(super) fn has_parents(&self, slot: u32, time: u64, pin: &Pin) -> bool {
        match &self.uplink {
            None => true,
            Some(_) if broken(Step::CheckParents) => true,
            Some(up) => up.has_living_parent(slot, time, pin),
        }
    }

    /// Whether an entry that was met alive has no parents, or one that is alive at first sight and
    /// needs no touch. `false` says nothing.
    #[inline(always)]
    pub(super) fn is_plainly_linked(&self, slot: u32, time: u64, touch: bool) -> bool {
        self.uplink.as_ref().is_none_or(|up| {
            (!touch || !up.touches)
                && (broken(Step::CheckParents) || up.has_plain_parent(slot, time))
        })
    }

    /// After activity of an entry: its parent's too, if the link asks for it. `false`: the parent
    /// is dead.
    #[inline(always)]
    pub(super) fn touch_parent(&self, slot: u32, pin: &Pin) -> bool {
        match &self.uplink {
            Some(up) if up.touches => up
                .parent(slot)
                .is_none_or(|parent| up.parents.touch_entry(parent, self.clock.now(), pin)),
            _ => true,
        }
    }

    /// Touches the parent of a child that is to come, if the link asks for it. `false`: it is dead.
    pub(super) fn touch_above(&self, parent: Incarnation, pin: &Pin) -> bool {
        match &self.uplink {
            Some(up) if up.touches => up.parents.touch_entry(parent, self.clock.now(), pin),
            _ => true,
        }
    }

    /// Whether an entry that was met alive is a child of this parent.
    pub(super) fn is_tied(&self, slot: u32, parent: Incarnation) -> bool {
        self.uplink.as_ref().is_some_and(|up| up.tie(slot).parent() == parent)
    }

    /// Ties a slot that is about to be reserved.
    pub(super) fn tie(&self, slot: u32, tie: Tie) {
        if let Some(up) = self.uplink.as_ref().filter(|_| tie != Tie::NONE) {
            up.tie_to(slot, tie);
        }
    }

    /// The tie to a parent that was found by the child's own key. One that has got another key is
    /// found by its list: the cascade looks for children of the same key under the first one.
    pub(super) fn tie_by_key(&self, parent: Incarnation) -> Tie {
        let is_renamed = self.uplink.as_ref().is_some_and(|up| up.parents.is_renamed(parent));
        Tie::new(parent, is_renamed)
    }

    /// Takes a node for a list of children.
    pub(super) fn take_node(&self, hint: u32) -> Option<u32> {
        self.uplink.as_ref()?.broods.take_node(hint)
    }

    /// Gives back a node that was not used.
    pub(super) fn give_back_node(&self, node: u32) {
        if let Some(up) = &self.uplink {
            up.broods.release(node);
        }
    }

    /// Lists a child whose slot is reserved.
    pub(super) fn list(&self, node: Option<u32>, tie: Tie, child: Incarnation, pin: &Pin) {
        if let (Some(up), Some(node)) = (&self.uplink, node) {
            up.broods.push(node, tie.parent(), child, pin);
        }
    }

    /// After a child went live: see [`link::settle`].
    pub(super) fn settle(&self, child: Incarnation, tie: Tie, pin: &Pin) {
        let Some(up) = &self.uplink else { return };
        let is_alive = || self.is_alive_above(tie, pin);
        link::settle(&Children(self, up, pin), child, is_alive);
    }

    /// Whether the parent that a child is or was to be tied to is alive now. The caller is pinned
    /// since it was.
    pub(super) fn is_alive_above(&self, tie: Tie, pin: &Pin) -> bool {
        let time = self.clock.now();
        self.uplink.as_ref().is_some_and(|up| up.parents.is_alive(tie.parent(), time, pin))
    }

    /// Claims the children of dead entries, before these are erased. `false`: the allowance ended,
    /// so this one has to wait.
    pub(super) fn cascade(
        &self,
        parent: Incarnation,
        children: &[Arc<dyn Member>],
        allowance: &mut Allowance,
    ) -> bool {
        // Relaxed: constant until the slot is recycled, and then its children are gone.
        let birth = self.slab.slot(parent.slot).birth.load(Ordering::Relaxed);
        let hash = crate::slab::Birth(birth).hash();
        children.iter().all(|cache| cache.orphan_children(parent, hash, allowance))
    }

    /// Takes an erased slot off its parent.
    pub(super) fn untie(&self, slot: u32) {
        let Some(up) = &self.uplink else { return };
        let tie = up.tie(slot);
        if tie == Tie::NONE {
            return;
        }
        up.tie_to(slot, Tie::NONE);
        if tie.is_listed() {
            let pin = pin();
            let kin = Children(self, up, &pin);
            up.broods.note_erased(tie.parent(), &pin, |child| fate(&kin, child, None));
        }
    }

    /// The live children of an entry, which is alive under the pin.
    pub(crate) fn children_of(&self, parent: Incarnation, pin: &Pin, mut each: impl FnMut(&K)) {
        let Some(up) = &self.uplink else { return };
        // Each child once: one that is listed is met in the list, by its own node.
        let mut visit = |id: u32, listed_as: Option<u32>| {
            let slot = self.slab.slot(id);
            loop {
                // Acquire: sees key and tie.
                let state = State(slot.state.load(Ordering::Acquire));
                let generation = listed_as.unwrap_or(state.generation());
                let is_same = state.is(Flag::Live) && state.generation() == generation;
                if !is_same || up.tie(id) != Tie::new(parent, listed_as.is_some()) {
                    return;
                }
                let found = Found { id, slot, state };
                let time = self.clock.now();
                match self.examine(&found, (time, self.now_at(time)), pin) {
                    Verdict::Live => {
                        let met = Met { id, slot, state, now: self.now_at(time) };
                        // SAFETY: met alive under `pin`.
                        return each(unsafe { self.present_key(&met) });
                    }
                    Verdict::Dead => return,
                    Verdict::Changed => {}
                }
            }
        };
        if up.same_keys {
            // Under the parent's first key, as the cascade finds them.
            // Relaxed: the parent lives.
            let birth = up.parents.head(parent.slot).birth.load(Ordering::Relaxed);
            self.index.visit_hash(crate::slab::Birth(birth).hash(), pin, |id| {
                visit(id, None);
                true
            });
        }
        for child in up.broods.children(parent.slot, pin) {
            visit(child.slot, Some(child.generation));
        }
    }

    /// A live entry by its incarnation, with its parents alive.
    fn entry(&self, entry: Incarnation, time: u64, pin: &Pin) -> Option<Met<'_, K, V>> {
        let (slot, mut time) = (self.slab.slot(entry.slot), time);
        loop {
            // Acquire: sees what the word speaks of.
            let state = State(slot.state.load(Ordering::Acquire));
            if !entry.is_live_in(state) {
                return None;
            }
            let found = Found { id: entry.slot, slot, state };
            let now = self.now_at(time);
            match self.examine(&found, (time, now), pin) {
                Verdict::Live => {
                    return Some(Met { id: entry.slot, slot, state, now });
                }
                Verdict::Dead => return None,
                Verdict::Changed => time = self.clock.now(),
            }
        }
    }

    /// The cache at the top of the family, if it is not this one.
    pub(super) fn root(&self) -> Option<Arc<dyn Member>> {
        let mut root = Arc::clone(self.uplink.as_ref()?.parents());
        while let Some(parent) = root.parent().cloned() {
            root = parent;
        }
        Some(root)
    }
}

impl<K: Send + Sync, V: Send + Sync, S: Send + Sync> Member for Core<K, V, S> {
    fn is_alive(&self, entry: Incarnation, time: u64, pin: &Pin) -> bool {
        self.entry(entry, time, pin).is_some()
    }

    fn plain(&self) -> Option<(Schedule, u64)> {
        self.uplink.is_none().then(|| (self.schedule.clone(), self.origin))
    }

    fn head(&self, slot: u32) -> &Head {
        &self.slab.slot(slot).head
    }

    fn touch_entry(&self, entry: Incarnation, time: u64, pin: &Pin) -> bool {
        loop {
            let Some(met) = self.entry(entry, time, pin) else { return false };
            if self.touch(&met) {
                return self.touch_parent(entry.slot, pin);
            }
        }
    }

    fn orphan_children(&self, parent: Incarnation, hash: u32, allowance: &mut Allowance) -> bool {
        let Some(up) = &self.uplink else { return true };
        if up.same_keys {
            let pin = pin();
            let kin = Children(self, up, &pin);
            let finished = self.index.visit_hash(hash, &pin, |child| {
                let is_mine = up.tie(child).parent() == parent;
                if is_mine && !allowance.may_cascade() {
                    return false;
                }
                allowance.cascaded(link::orphan(&kin, parent, child));
                true
            });
            if !finished {
                return false;
            }
        }
        while up.broods.is_used() {
            let pin = pin();
            let kin = Children(self, up, &pin);
            let (mut left, mut over) = (SLICE, false);
            let finished = up.broods.walk(parent, &pin, |child| {
                over = !allowance.may_cascade();
                if over || left == 0 {
                    return Fate::Stop;
                }
                left -= 1;
                allowance.cascaded(link::orphan(&kin, parent, child.slot));
                fate(&kin, child, Some(parent))
            });
            if finished || over {
                return finished;
            }
        }
        true
    }

    fn is_renamed(&self, entry: Incarnation) -> bool {
        // Acquire: sees its terms.
        let state = State(self.slab.state(entry.slot).load(Ordering::Acquire));
        entry.is_live_in(state) && Core::is_renamed(self, entry.slot, state)
    }

    fn clock(&self) -> &Clock {
        self.clock.clock()
    }

    fn state_of_slot(&self, slot: u32) -> State {
        State(self.slab.state(slot).load(Ordering::Acquire))
    }

    fn parent(&self) -> Option<&Arc<dyn Member>> {
        self.uplink.as_ref().map(Uplink::parents)
    }

    fn descendants(&self) -> &Descendants {
        &self.descendants
    }
}

impl<K: Eq + Send + Sync, V: Send + Sync, S: Send + Sync> ParentKeys<K> for Core<K, V, S> {
    fn locate(&self, hash: u32, is_key: &dyn Fn(&K) -> bool, pin: &Pin) -> Option<Incarnation> {
        let met = self.find_by(hash, pin, is_key)?;
        Some(Incarnation { slot: met.id, generation: met.state.generation() })
    }
}
