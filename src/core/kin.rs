//! Being linked: what this cache's entries owe to their parents, and what it does for its children.

use super::Core;
use super::lookup::{Met, Verdict};
use super::sweep::Allowance;
use crate::clock::Clock;
use crate::index::Found;
use crate::link::{
    self, Broods, Descendants, Fate, Incarnation, Kin, Member, ParentKeys, Tie, fate,
};
use crate::reclaim::{Pin, pin};
use crate::segments::SlotArray;
use crate::slab::{Flag, Slot, State};
use crate::stats::RemovalCause;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Step, broken};
use std::sync::Arc;

/// Children that a cascade claims under one pin.
const SLICE: u32 = 1024;

/// The link to the cache that holds the parents.
pub(crate) struct Uplink {
    parents: Arc<dyn Member>,
    /// Whether children may have their parents' keys, and so their hashes.
    same_keys: bool,
    /// Whether a child's activity is its parent's.
    touches: bool,
    ties: SlotArray<AtomicU64>,
    broods: Broods,
}

impl Uplink {
    pub(super) fn new(
        link: (Arc<dyn Member>, bool, bool),
        geometry: crate::segments::Geometry,
    ) -> Self {
        let (parents, same_keys, touches) = link;
        Uplink {
            parents,
            same_keys,
            touches,
            ties: SlotArray::new(geometry),
            broods: Broods::new(),
        }
    }

    /// The tie of an entry that was met alive.
    #[inline(always)]
    fn tie(&self, slot: u32) -> Tie {
        // SAFETY: `tie_to` reached the slot before the entry was published.
        // Relaxed: published with the state word by which the entry was seen alive.
        Tie(unsafe { self.ties.get(slot) }.load(Ordering::Relaxed))
    }

    /// Ties a slot, which the caller owns, to its parent.
    pub(super) fn tie_to(&self, slot: u32, tie: Tie) {
        self.ties.reach(slot);
        // SAFETY: just reached. Relaxed: published with the state word that the caller stores next.
        unsafe { self.ties.get(slot) }.store(tie.0, Ordering::Relaxed);
    }

    pub(super) fn broods(&self) -> &Broods {
        &self.broods
    }

    /// The tie of a slot of which nothing is known. Slots that are no entries have none.
    pub(super) fn tie_or_none(&self, slot: u32) -> Tie {
        self.ties.reach(slot);
        self.tie(slot)
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
        self.1.tie_or_none(slot)
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
            Some(up) => up.parents.is_alive(up.tie(slot).parent(), time, pin),
        }
    }

    /// After activity of an entry: its parent's too, if the link asks for it. `false`: the parent
    /// is dead.
    #[inline(always)]
    pub(super) fn touch_parent(&self, slot: u32, pin: &Pin) -> bool {
        match &self.uplink {
            Some(up) if up.touches => {
                up.parents.touch_entry(up.tie(slot).parent(), self.clock.now(), pin)
            }
            _ => true,
        }
    }

    /// Whether a child's activity is its parent's.
    pub(super) fn touches_parents(&self) -> bool {
        self.uplink.as_ref().is_some_and(|up| up.touches)
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
        let tie = up.tie_or_none(slot);
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
    pub(crate) fn children_of(
        &self,
        parent: Incarnation,
        hash: u32,
        pin: &Pin,
        mut each: impl FnMut(&Slot<K, V>),
    ) {
        let Some(up) = &self.uplink else { return };
        // Each child once: one that is listed is met in the list, by its own node.
        let mut visit = |id: u32, listed_as: Option<u32>| {
            let slot = self.slab.slot(id);
            // Acquire: sees key and tie.
            let state = State(slot.state.load(Ordering::Acquire));
            let generation = listed_as.unwrap_or(state.generation());
            let wanted = Tie::new(parent, listed_as.is_some());
            if !state.is(Flag::Live) || state.generation() != generation || up.tie(id) != wanted {
                return;
            }
            let found = Found { id, slot, state };
            if let Verdict::Live = self.examine(&found, self.clock.now(), pin) {
                each(slot);
            }
        };
        if up.same_keys {
            self.index.visit_hash(hash, pin, |id| {
                visit(id, None);
                true
            });
        }
        for child in up.broods.children(parent.slot, pin) {
            visit(child.slot, Some(child.generation));
        }
    }

    /// For an entry that is not plainly alive: it is claimed if it is dead.
    #[cold]
    #[inline(never)]
    fn is_alive_after_all(&self, entry: Incarnation, time: u64, pin: &Pin) -> bool {
        self.entry(entry, time, pin).is_some()
    }

    /// A live entry by its incarnation, with its parents alive.
    fn entry(&self, entry: Incarnation, time: u64, pin: &Pin) -> Option<Met<'_, K, V>> {
        let slot = self.slab.slot(entry.slot);
        loop {
            // Acquire: sees what the word speaks of.
            let state = State(slot.state.load(Ordering::Acquire));
            if !entry.is_live_in(state) {
                return None;
            }
            let found = Found { id: entry.slot, slot, state };
            match self.examine(&found, time, pin) {
                Verdict::Live => {
                    return Some(Met { id: entry.slot, slot, state, now: self.now_at(time) });
                }
                Verdict::Dead => return None,
                Verdict::Changed => {}
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
    #[inline]
    fn is_alive(&self, entry: Incarnation, time: u64, pin: &Pin) -> bool {
        let slot = self.slab.slot(entry.slot);
        // Acquire: sees what the word speaks of.
        let state = State(slot.state.load(Ordering::Acquire));
        if let (Some(timing), None) = (self.default_timing(slot), &self.uplink) {
            let due = self.schedule.is_due(state.tick(), timing, self.now_at(time));
            if entry.is_live_in(state) && !due {
                return true;
            }
        }
        self.is_alive_after_all(entry, time, pin)
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
                let is_mine = up.tie_or_none(child).parent() == parent;
                if is_mine && !allowance.may_visit() {
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
                over = !allowance.may_visit();
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

    fn clock(&self) -> &Clock {
        &self.clock
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
    fn locate(
        &self,
        hash: u32,
        is_key: &dyn Fn(&K) -> bool,
        touch: bool,
        pin: &Pin,
    ) -> Option<Incarnation> {
        loop {
            let met = self.find_by(hash, pin, is_key)?;
            let entry = Incarnation { slot: met.id, generation: met.state.generation() };
            if !touch || (self.touch(&met) && self.touch_parent(entry.slot, pin)) {
                return Some(entry);
            }
        }
    }
}
