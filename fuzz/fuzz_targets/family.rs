//! What linked caches must hold, by a graph of entries: each names its parent, and lives while all
//! above it live.

use std::collections::BTreeMap;

/// The caches of a family.
pub(crate) const CACHES: usize = 6;

/// How a cache is linked: to which one, and whether parents are named.
pub(crate) const LINKS: [Option<(usize, bool)>; CACHES] =
    [None, Some((0, false)), Some((0, true)), Some((2, false)), Some((2, true)), Some((3, true))];

/// The step in which these caches count time: what a tick of [`TICK`] comes to.
pub(crate) const STEP: u64 = 1 << 25;
/// A hundred milliseconds, in nanoseconds.
pub(crate) const TICK: u64 = 100_000_000;

/// What a cache is bounded by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    None,
    Entries(usize),
    /// Under one parent.
    Children(usize),
}

/// How a cache is built.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) limits: Limits,
    /// Whether a child's activity is its parent's.
    pub(crate) touches: bool,
    pub(crate) bound: Bound,
    /// Whether one more is refused.
    pub(crate) rejects: bool,
}

/// Timeouts in whole steps, so that an entry's last step is live to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) idle: Option<u64>,
    pub(crate) absolute: Option<u64>,
}

impl Limits {
    fn shortest(self) -> Option<u64> {
        self.idle.into_iter().chain(self.absolute).min()
    }

    /// These, where `own` does not say otherwise.
    pub(crate) fn overridden(self, own: Limits) -> Self {
        Limits { idle: own.idle.or(self.idle), absolute: own.absolute.or(self.absolute) }
    }
}

/// An entry, or one that was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(crate) cache: usize,
    /// Of its present value.
    pub(crate) id: u64,
    pub(crate) parent: Option<usize>,
    created: u64,
    last: u64,
    limits: Limits,
    /// The cache has removed it for certain.
    pub(crate) gone: bool,
}

/// What a cache must have counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) inserted: u64,
    pub(crate) explicit: u64,
    pub(crate) replaced: u64,
}

pub(crate) struct Family {
    pub(crate) terms: [Terms; CACHES],
    pub(crate) counts: [Counts; CACHES],
    nodes: Vec<Node>,
    /// The latest entry of a key, dead or alive.
    keys: [BTreeMap<u8, usize>; CACHES],
    /// Nanoseconds.
    pub(crate) now: u64,
}

impl Family {
    pub(crate) fn new(terms: [Terms; CACHES]) -> Self {
        let keys = std::array::from_fn(|_| BTreeMap::new());
        Family { terms, counts: Default::default(), nodes: Vec::new(), keys, now: 0 }
    }

    pub(crate) fn node(&self, node: usize) -> &Node {
        &self.nodes[node]
    }

    /// The last step in which an entry is live, if there is one.
    pub(crate) fn deadline(&self, node: usize) -> u64 {
        let Node { created, last, limits, .. } = self.nodes[node];
        let idle = limits.idle.map(|idle| last / STEP + idle);
        let absolute = limits.absolute.map(|absolute| created / STEP + absolute);
        idle.into_iter().chain(absolute).min().unwrap_or(u64::MAX)
    }

    pub(crate) fn shortest_timeout(&self, node: usize) -> u64 {
        self.nodes[node].limits.shortest().unwrap_or(u64::MAX)
    }

    /// The entry, its parent, and so on.
    fn line(&self, node: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(node), |node| self.nodes[*node].parent)
    }

    pub(crate) fn lives(&self, node: usize) -> bool {
        let present = self.now / STEP;
        self.line(node).all(|node| !self.nodes[node].gone && present <= self.deadline(node))
    }

    /// Whether a sweep that starts now must remove it: a 32nd of its timeout, or a tick, after its
    /// deadline; or its parent.
    pub(crate) fn is_overdue(&self, node: usize) -> bool {
        self.line(node).any(|node| {
            let Node { created, last, limits, gone, .. } = self.nodes[node];
            let end = |since: u64, limit: Option<u64>| limit.map(|limit| since + limit * STEP);
            let promised = end(last, limits.idle).into_iter().chain(end(created, limits.absolute));
            let late = limits.shortest().map_or(0, |shortest| (shortest * STEP / 32).max(TICK));
            gone || promised.min().is_some_and(|promised| self.now >= promised + late)
        })
    }

    /// The live entry of a key.
    pub(crate) fn find(&self, cache: usize, key: u8) -> Option<usize> {
        self.keys[cache].get(&key).copied().filter(|node| self.lives(*node))
    }

    /// The entries of a cache that it may still hold.
    pub(crate) fn held(&self, cache: usize) -> impl Iterator<Item = usize> {
        self.keys[cache].values().copied().filter(|node| !self.nodes[*node].gone)
    }

    pub(crate) fn live(&self, cache: usize) -> impl Iterator<Item = usize> {
        self.held(cache).filter(|node| self.lives(*node))
    }

    pub(crate) fn live_keys(&self, cache: usize) -> Vec<u8> {
        let keys = self.keys[cache].iter();
        keys.filter(|(_, node)| self.lives(**node)).map(|(key, _)| *key).collect()
    }

    /// The keys of a parent's live children in a cache.
    pub(crate) fn children(&self, cache: usize, parent: usize) -> Vec<u8> {
        let is_child = |node: usize| self.nodes[node].parent == Some(parent) && self.lives(node);
        let keys = self.keys[cache].iter();
        keys.filter(|(_, node)| is_child(**node)).map(|(key, _)| *key).collect()
    }

    /// Activity: of the parents too, where the links ask for it.
    pub(crate) fn touch(&mut self, node: usize) {
        self.nodes[node].last = self.now;
        self.touch_parent(node);
    }

    pub(crate) fn touch_parent(&mut self, node: usize) {
        let Node { cache, parent, .. } = self.nodes[node];
        if let Some(parent) = parent.filter(|_| self.terms[cache].touches) {
            self.touch(parent);
        }
    }

    /// A new entry.
    pub(crate) fn insert(
        &mut self,
        cache: usize,
        key: u8,
        id: u64,
        parent: Option<usize>,
        own: Option<Limits>,
    ) {
        let (created, last) = (self.now, self.now);
        let defaults = self.terms[cache].limits;
        let limits = own.map_or(defaults, |own| defaults.overridden(own));
        self.forget(cache, key);
        self.keys[cache].insert(key, self.nodes.len());
        self.nodes.push(Node { cache, id, parent, created, last, limits, gone: false });
        self.touch_parent(self.nodes.len() - 1);
        self.counts[cache].inserted += 1;
    }

    /// A new value of an entry.
    pub(crate) fn replace(&mut self, node: usize, id: u64, own: Option<Limits>) {
        let cache = self.nodes[node].cache;
        self.nodes[node].id = id;
        if let Some(own) = own {
            self.nodes[node].limits = self.terms[cache].limits.overridden(own);
        }
        self.counts[cache].inserted += 1;
        self.counts[cache].replaced += 1;
        self.touch(node);
    }

    pub(crate) fn remove(&mut self, node: usize) {
        self.counts[self.nodes[node].cache].explicit += 1;
        self.end(node);
    }

    pub(crate) fn renew(&mut self, node: usize) {
        (self.nodes[node].created, self.nodes[node].last) = (self.now, self.now);
    }

    pub(crate) fn set_limits(&mut self, node: usize, own: Limits) {
        let defaults = self.terms[self.nodes[node].cache].limits;
        (self.nodes[node].limits, self.nodes[node].last) = (defaults.overridden(own), self.now);
    }

    pub(crate) fn rekey(&mut self, cache: usize, old: u8, new: u8) {
        self.forget(cache, new);
        let node = self.keys[cache].remove(&old).expect("found before");
        self.keys[cache].insert(new, node);
        self.touch(node);
    }

    /// The cache has removed whatever had this key: it did not find it.
    pub(crate) fn forget(&mut self, cache: usize, key: u8) {
        if let Some(node) = self.keys[cache].remove(&key) {
            self.nodes[node].gone = true;
        }
    }

    pub(crate) fn end(&mut self, node: usize) {
        self.nodes[node].gone = true;
    }

    /// Everything in a cache is removed. Returns the entries that it may have held until then.
    pub(crate) fn end_all(&mut self, cache: usize) -> Vec<usize> {
        let held: Vec<_> = self.held(cache).collect();
        held.iter().for_each(|node| self.end(*node));
        held
    }
}
