//! Children that do not share their parent's key: one lock-free list per parent.
//!
//! Children are pushed at the head and never moved. A node whose child has died is unlinked by
//! whoever walks the list for it: marked first, then cut out, as in Michael, "High Performance
//! Dynamic Lock-Free Hash Tables and List-Based Sets" (SPAA 2002), after Harris (DISC 2001). Nobody
//! waits for a walker that is suspended.
//!
//! A list is not closed when its parent dies. A child that is pushed too late is claimed by its own
//! inserter; its node stays until the list is walked again, for the next parent in that slot.

use super::Incarnation;
use crate::pool::Pool;
use crate::reclaim::Pin;
use crate::segments::{Geometry, SlotArray};
use crate::sync::Zeroed;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sync::{Step, TINY, broken};

/// The lists of all parents of one child cache, by the parents' slots.
pub(crate) struct Broods {
    broods: SlotArray<Brood>,
    nodes: Pool<Node>,
}

/// The children of one parent.
struct Brood {
    /// `| generation of the latest parent that got a child : 32 | first node : 32 |`
    head: AtomicU64,
    /// Nodes in the list: raised before, lowered after.
    len: AtomicU32,
    /// Children that have died since the list was last walked for them. A hint.
    stale: AtomicU32,
}

pub(crate) struct Node {
    /// `| generation : 32 | slot : 32 |` of the child.
    child: AtomicU64,
    /// The next node. Once marked it changes no more, and the node is to be cut out.
    next: AtomicU64,
}

/// Marks the link of a node that is to be cut out.
const MARK: u64 = 1 << 63;
/// The part of a link, or of a head, that names a node.
const ID: u64 = 0xffff_ffff;

/// Lists shorter than this are not walked for the sake of dead children.
const FEW: u32 = if TINY { 1 } else { 8 };

/// What becomes of a node that a walk meets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    Keep,
    /// Its child is dead, or as good as that.
    Cut,
    /// The walk ends here.
    Stop,
}

// SAFETY: made of integers, for which zero is valid: an empty list.
unsafe impl Zeroed for Brood {
    #[cfg(any(loom, shuttle))]
    fn zeroed() -> Self {
        Brood { head: AtomicU64::new(0), len: AtomicU32::new(0), stale: AtomicU32::new(0) }
    }
}

// SAFETY: made of integers, for which zero is valid.
unsafe impl Zeroed for Node {
    #[cfg(any(loom, shuttle))]
    fn zeroed() -> Self {
        Node { child: AtomicU64::new(0), next: AtomicU64::new(0) }
    }
}

impl Node {
    fn child(&self) -> Incarnation {
        // Relaxed: written before the node was pushed, and constant until it is reused.
        Incarnation::of_word(self.child.load(Ordering::Relaxed))
    }
}

impl Broods {
    pub(crate) fn new() -> Self {
        Broods { broods: SlotArray::new(Geometry::for_capacity(1)), nodes: Pool::new(u32::MAX) }
    }

    /// Whether any child was ever listed. Asked by cascades after their fence: an inserter that
    /// they do not see here sees their parent dead in [`settle`](super::settle).
    pub(crate) fn is_used(&self) -> bool {
        self.nodes.is_used()
    }

    /// Takes a node, for [`Broods::push`]. `None`: there are no more.
    pub(crate) fn take_node(&self, hint: u32) -> Option<u32> {
        self.nodes.take(hint)
    }

    /// Lists a child of `parent`, whose slot is reserved already: a node of a free slot would be
    /// taken for one of a dead child. The caller is pinned since it saw the parent alive.
    pub(crate) fn push(&self, node: u32, parent: Incarnation, child: Incarnation, _pin: &Pin) {
        let brood = self.broods.reach(parent.slot);
        let record = self.nodes.get(node);
        // Relaxed, here and below: published by the exchange.
        record.child.store(child.word(), Ordering::Relaxed);
        brood.len.fetch_add(1, Ordering::Relaxed);
        // Relaxed: only for the exchange.
        let mut head = brood.head.load(Ordering::Relaxed);
        loop {
            // What an earlier parent has left behind stays in the list: it is cut out in time.
            record.next.store(head & ID, Ordering::Relaxed);
            let pushed = u64::from(node) | (u64::from(parent.generation) << 32);
            // Release: publishes the node to `walk` and `children`. The nodes that it leads to were
            // published by exchanges of this word before, which this one continues.
            let order = Ordering::AcqRel;
            match brood.head.compare_exchange_weak(head, pushed, order, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    fn brood(&self, parent: u32) -> Option<&Brood> {
        self.broods.find(parent)
    }

    /// The children in a parent's list, those that have died lately included. What is pushed
    /// meanwhile may be missed.
    pub(crate) fn children<'a>(
        &'a self,
        parent: u32,
        _pin: &'a Pin,
    ) -> impl Iterator<Item = Incarnation> + 'a {
        // Acquire: pairs with `push`.
        let head = self.brood(parent).map_or(0, |brood| brood.head.load(Ordering::Acquire));
        let mut id = head as u32;
        std::iter::from_fn(move || {
            let node = (id != 0).then(|| self.nodes.get(id))?;
            // Acquire: as above. The link of a node that is cut out still leads on.
            id = node.next.load(Ordering::Acquire) as u32;
            Some(node.child())
        })
    }

    /// Walks a parent's list and cuts out the nodes that `judge` says so of. `false`: `judge`
    /// stopped it. When another thread comes between, the walk begins anew, so `judge` may be asked
    /// twice. A list that belongs to the next parent in that slot already is left alone, which only
    /// saves work: its children have another tie.
    pub(crate) fn walk(
        &self,
        parent: Incarnation,
        _pin: &Pin,
        mut judge: impl FnMut(Incarnation) -> Fate,
    ) -> bool {
        let Some(brood) = self.brood(parent.slot) else { return true };
        'anew: loop {
            let mut link = &brood.head;
            // Acquire, for all links: pairs with `push`; sees the node.
            let mut here = link.load(Ordering::Acquire);
            if (here >> 32) as u32 != parent.generation {
                return true;
            }
            loop {
                let id = here as u32;
                if id == 0 {
                    return true;
                }
                let node = self.nodes.get(id);
                let next = node.next.load(Ordering::Acquire);
                if next & MARK == 0 {
                    match judge(node.child()) {
                        Fate::Stop => return false,
                        Fate::Keep => {
                            (link, here) = (&node.next, next);
                            continue;
                        }
                        Fate::Cut => {}
                    }
                    // AcqRel: from now on nobody cuts out the node behind this one through it.
                    let (order, lost) = (Ordering::AcqRel, Ordering::Relaxed);
                    let marked = broken(Step::MarkBeforeCut)
                        || node.next.compare_exchange(next, next | MARK, order, lost).is_ok();
                    if !marked {
                        continue;
                    }
                }
                let past = (here & !ID) | (next & ID);
                // AcqRel: Release hands on the node behind, Acquire as above. Of a node that is
                // marked itself the link fails to match.
                let (order, lost) = (Ordering::AcqRel, Ordering::Relaxed);
                if link.compare_exchange(here, past, order, lost).is_err() {
                    continue 'anew;
                }
                // Only the thread that cut it out gets here.
                self.nodes.retire(id);
                brood.len.fetch_sub(1, Ordering::Relaxed);
                here = past;
            }
        }
    }

    /// Notes that a listed child was erased, and after so many of them that half of the list may be
    /// dead, walks it. So a list is at most twice as long as its parent has children, plus a few,
    /// at a constant cost per child.
    pub(crate) fn note_erased(
        &self,
        parent: Incarnation,
        pin: &Pin,
        judge: impl FnMut(Incarnation) -> Fate,
    ) {
        let Some(brood) = self.brood(parent.slot) else { return };
        // Relaxed, here and below: numbers that order nothing.
        let stale = brood.stale.fetch_add(1, Ordering::Relaxed) + 1;
        if stale >= FEW.max(brood.len.load(Ordering::Relaxed) / 2) {
            brood.stale.store(0, Ordering::Relaxed);
            self.walk(parent, pin, judge);
        }
    }

    /// The nodes themselves: those that were cut out wait for a grace period.
    pub(crate) fn records(&self) -> &Pool<Node> {
        &self.nodes
    }

    /// Gives back a node that nobody can be reading.
    pub(crate) fn release(&self, node: u32) {
        self.nodes.release(node);
    }

    /// Nodes that are in some list. At rest only.
    pub(crate) fn nodes(&self) -> usize {
        self.nodes.in_use()
    }

    /// Nodes in the list of one parent, counted. At rest only.
    pub(crate) fn len(&self, parent: u32) -> u32 {
        self.brood(parent).map_or(0, |brood| brood.len.load(Ordering::Relaxed))
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::reclaim::pin;

    const PARENT: Incarnation = Incarnation { slot: 5000, generation: 3 };

    fn child(slot: u32) -> Incarnation {
        Incarnation { slot, generation: 1 }
    }

    fn push(broods: &Broods, slot: u32) {
        let node = broods.take_node(0).unwrap();
        broods.push(node, PARENT, child(slot), &pin());
    }

    fn slots(broods: &Broods) -> Vec<u32> {
        broods.children(PARENT.slot, &pin()).map(|child| child.slot).collect()
    }

    #[test]
    fn what_is_pushed_is_listed_until_it_is_cut_out() {
        let broods = Broods::new();
        assert!(!broods.is_used());
        (2..12).for_each(|slot| push(&broods, slot));
        let odd = |child: Incarnation| if child.slot % 2 == 1 { Fate::Cut } else { Fate::Keep };
        assert!(broods.walk(PARENT, &pin(), odd));
        assert_eq!((slots(&broods), broods.len(PARENT.slot)), (vec![10, 8, 6, 4, 2], 5));
        let stop = |child: Incarnation| if child.slot == 6 { Fate::Stop } else { Fate::Cut };
        assert!(!broods.walk(PARENT, &pin(), stop), "the walk was stopped");
        assert_eq!(slots(&broods), [6, 4, 2]);
        assert!(broods.walk(PARENT, &pin(), |_| Fate::Cut));
        assert_eq!(
            (slots(&broods).len(), broods.nodes(), broods.nodes.take_retired().len()),
            (0, 0, 10)
        );
    }

    #[test]
    fn a_node_that_is_cut_out_is_marked_and_still_leads_on() {
        let broods = Broods::new();
        let [last, middle, first] = [2, 3, 4].map(|slot| {
            let node = broods.take_node(0).unwrap();
            broods.push(node, PARENT, child(slot), &pin());
            node
        });
        let link = |node: u32| broods.nodes.get(node).next.load(Ordering::Relaxed);
        assert_eq!(link(middle), u64::from(last));
        let cut = |child: Incarnation| if child.slot == 3 { Fate::Cut } else { Fate::Keep };
        assert!(broods.walk(PARENT, &pin(), cut));
        assert_eq!(link(middle), u64::from(last) | (1 << 63));
        assert_eq!((link(first), link(last)), (u64::from(last), 0));
    }

    #[test]
    fn a_list_is_walked_once_half_of_it_is_dead() {
        let broods = Broods::new();
        (2..102).for_each(|slot| push(&broods, slot));
        let dead = |child: Incarnation| if child.slot < 52 { Fate::Cut } else { Fate::Keep };
        for _ in 0..49 {
            broods.note_erased(PARENT, &pin(), dead);
        }
        assert_eq!(broods.len(PARENT.slot), 100);
        broods.note_erased(PARENT, &pin(), dead);
        assert_eq!(broods.len(PARENT.slot), 50);
    }
}
