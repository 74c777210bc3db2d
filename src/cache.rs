//! The public handle.

use crate::RandomState;
use crate::builder::Builder;
use crate::core::{Allowance, Census, Core, Insertion, Mode, Refused};
use crate::error::{InsertError, InsertErrorKind};
use crate::expiry::Timeouts;
use crate::linked::Lineage;
use crate::pinned::Pinned;
use crate::reclaim::pin;
use crate::stats::{RemovalCause, Stats};
use crate::sweep::{SweepBudget, SweepReport};
use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

/// How an insert ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Inserted {
    /// There is a new entry. (It may have ended the one of another parent under the same key.)
    New,
    /// The value of a live entry was replaced; its creation time and absolute deadline stay.
    Replaced,
}

/// A concurrent map whose entries die of idleness.
///
/// A handle is cheap to clone; all clones are the same cache. When the last one drops, every value
/// is dropped before `drop` returns (but one that a sweep on another thread is dropping just then
/// may end a moment later).
///
/// # Costs
///
/// A hit writes no shared memory, but for an entry's first touch in a tick: that is a
/// compare-and-swap in the entry, and sometimes the move of a bit. Inserts and removals are
/// lock-free. No operation waits for another thread; only the allocator and your own code
/// (`Hash`, `Eq`, `Clone`, closures) may. `flush` and sweeps give readers a bounded time to end
/// before they leave values to a later call.
///
/// # Consistency
///
/// Each operation on one key is linearizable, with the clock read inside the call; so are those on
/// a family of linked entries together, but for what follows. `len`, `stats` and `clear` look at
/// many keys, one after the other.
///
/// An operation that is activity and something else takes effect in this order: idleness restarts,
/// then the value is read or replaced, or the key. So where an entry would have expired during the
/// call, others may see it alive with its former value; and if it is removed in between, the call
/// reports a miss though it was activity. A new entry's times begin when its insert does. An
/// insert into a linked cache finds its parent before it stores anything: one whose parent dies, or
/// gets another key, meanwhile counts as made just before.
///
/// # Panics of user code
///
/// A panic in `Hash`, `Eq`, `Clone` or a closure leaves the cache consistent and goes to the
/// caller. A panic in a value's or key's `Drop` is caught and counted in [`Stats::panics`].
///
/// # Type parameters
///
/// `P` is the type of the parents' keys in a [linked cache](crate#linked-caches); it matters to
/// [`Cache::insert_linked`] only, and is `K` unless you say otherwise.
pub struct Cache<K, V, S = RandomState, P = K> {
    pub(crate) core: Arc<Core<K, V, S>>,
    pub(crate) lineage: Option<Arc<Lineage<K, P>>>,
}

impl<K, V> Cache<K, V> {
    /// A cache whose entries expire after 30 minutes without activity, on the system clock.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build().expect("the default settings are valid")
    }

    /// Starts to build a cache with other settings.
    pub fn builder() -> Builder<K, V> {
        Builder::new()
    }
}

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V, S, P> Cache<K, V, S, P> {
    /// The first handle of a new core.
    pub(crate) fn from_core(core: Arc<Core<K, V, S>>, lineage: Option<Lineage<K, P>>) -> Self {
        Cache { core, lineage: lineage.map(Arc::new) }
    }

    /// Entries that were not removed, those included that have expired and wait for a sweep.
    /// Exact at rest. Cost: a few dozen loads.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.core.len()).unwrap_or(usize::MAX)
    }

    /// Whether [`Cache::len`] is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What happened so far. Cost: a few dozen loads, and one per 4096 slots.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.core.stats()
    }

    /// Removes every entry that is there when the call begins, with cause
    /// [`RemovalCause::Explicit`]. Entries inserted meanwhile may stay. Values are dropped by the
    /// next sweep or flush. Cost: a look at every slot.
    ///
    /// ```
    /// let cache = idlewheel::Cache::new();
    /// cache.insert(1, "a")?;
    /// cache.clear();
    /// assert!(cache.is_empty());
    /// # Ok::<(), idlewheel::InsertError<&str>>(())
    /// ```
    pub fn clear(&self) {
        self.core.clear(RemovalCause::Explicit);
    }

    /// Removes the entries that are due and drops removed values. Cost: O(expired), plus one load
    /// per 4096 slots and bucket passed; see [`SweepReport::visited`]. Reads never return expired
    /// entries, swept or not: sweeping only gives their memory back.
    ///
    /// Values are dropped here, on this thread. Any number of threads may sweep at once. Of caches
    /// that are [linked](crate#linked-caches), a sweep of one sweeps all.
    ///
    /// ```
    /// use idlewheel::{Cache, Clock};
    /// use std::time::Duration;
    ///
    /// let (clock, mock) = Clock::mock();
    /// let sessions = Cache::builder().clock(clock).build()?;
    /// sessions.insert("alice", 1)?;
    /// mock.advance(Duration::from_secs(32 * 60));
    /// assert_eq!(sessions.sweep().expired, 1);
    /// assert!(sessions.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sweep(&self) -> SweepReport {
        self.sweep_within(SweepBudget::unlimited())
    }

    /// A sweep that ends when its budget does; the next one continues there.
    ///
    /// ```
    /// use idlewheel::{Cache, Clock, SweepBudget};
    /// use std::time::Duration;
    ///
    /// let (clock, mock) = Clock::mock();
    /// let sessions = Cache::builder().clock(clock).build()?;
    /// for id in 0..10 {
    ///     sessions.insert(id, ())?;
    /// }
    /// mock.advance(Duration::from_secs(32 * 60));
    /// let report = sessions.sweep_within(SweepBudget::visits(4));
    /// assert_eq!((report.expired, report.more), (4, true));
    /// assert_eq!(sessions.sweep().expired, 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sweep_within(&self, budget: SweepBudget) -> SweepReport {
        let report = self.core.sweep(Allowance::new(budget.visits, budget.time));
        SweepReport {
            expired: report.walk.expired,
            visited: report.walk.visited,
            survivors: report.walk.survivors,
            buckets: report.walk.buckets,
            cascaded: report.cascaded,
            reclaimed: report.reclaimed,
            elapsed: report.elapsed,
            more: report.more,
            next_due: report.next_due,
        }
    }

    /// Drops the values that were removed before this call, on this thread, and returns of how many
    /// slots. Of caches that are linked, a flush of one flushes all.
    ///
    /// * For readers that are pinned (a `get_with` that runs, a [`Pinned`], of any cache) it waits
    ///   some turns, and then leaves the values for a later call. For a pin of its own thread it
    ///   does not wait, and drops nothing.
    /// * For values that another thread is dropping it waits until they are dropped. So a listener
    ///   or a `Drop` must not wait for a thread that flushes. A flush within a listener or a `Drop`
    ///   does not wait.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// let cache = idlewheel::Cache::new();
    /// let key = Arc::new([7u8; 32]);
    /// cache.insert("alice", Arc::clone(&key))?;
    /// cache.remove("alice");
    /// while cache.stats().pending_reclamation > 0 {
    ///     cache.flush(); // the first call does it, unless readers are busy
    /// }
    /// assert_eq!(Arc::strong_count(&key), 1);
    /// # Ok::<(), idlewheel::InsertError<Arc<[u8; 32]>>>(())
    /// ```
    pub fn flush(&self) -> u64 {
        self.core.flush()
    }

    /// Several lookups under one pin, which costs less than one pin each, and references instead
    /// of clones. What is removed meanwhile is not dropped before the pin ends, so keep it short.
    ///
    /// ```
    /// let cache = idlewheel::Cache::new();
    /// cache.insert("alice", String::from("admin"))?;
    /// let pinned = cache.pin();
    /// assert_eq!(pinned.get("alice").map(String::as_str), Some("admin"));
    /// # Ok::<(), idlewheel::InsertError<String>>(())
    /// ```
    #[must_use = "the pin ends when this drops"]
    pub fn pin(&self) -> Pinned<'_, K, V, S> {
        Pinned::new(&self.core, pin())
    }

    /// Checks every structure of the cache against every other. For tests, at rest.
    #[doc(hidden)]
    pub fn validate(&self) -> Result<Census, String> {
        self.core.validate()
    }
}

impl<K: Hash + Eq, V, S: BuildHasher, P> Cache<K, V, S, P> {
    /// The value of a key, cloned. Touches the entry: its idleness restarts.
    ///
    /// ```
    /// let cache = idlewheel::Cache::new();
    /// cache.insert("alice", 7)?;
    /// assert_eq!(cache.get("alice"), Some(7));
    /// assert_eq!(cache.get("bob"), None);
    /// # Ok::<(), idlewheel::InsertError<i32>>(())
    /// ```
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        V: Clone,
    {
        self.get_with(key, V::clone)
    }

    /// Runs `f` on the value of a key, without a clone. Touches the entry. What is removed while
    /// `f` runs is not dropped before it ends, so keep it short.
    ///
    /// ```
    /// let cache = idlewheel::Cache::new();
    /// cache.insert("alice", vec![1, 2, 3])?;
    /// assert_eq!(cache.get_with("alice", |list| list.len()), Some(3));
    /// # Ok::<(), idlewheel::InsertError<Vec<i32>>>(())
    /// ```
    #[inline]
    pub fn get_with<Q, R>(&self, key: &Q, f: impl FnOnce(&V) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.core.get(key, true, &pin()).map(f)
    }

    /// The value of a key, cloned. Does not touch the entry.
    ///
    /// ```
    /// use idlewheel::{Cache, Clock};
    /// use std::time::Duration;
    ///
    /// let (clock, mock) = Clock::mock();
    /// let cache = Cache::builder().idle_timeout(Duration::from_secs(60)).clock(clock).build()?;
    /// cache.insert("alice", 7)?;
    /// mock.advance(Duration::from_secs(40));
    /// assert_eq!(cache.peek("alice"), Some(7));
    /// mock.advance(Duration::from_secs(40));
    /// assert_eq!(cache.peek("alice"), None, "the first look kept nothing alive");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn peek<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        V: Clone,
    {
        self.core.get(key, false, &pin()).cloned()
    }

    /// Whether a key is there. Does not touch the entry.
    ///
    /// ```
    /// let cache = idlewheel::Cache::new();
    /// cache.insert("alice", 7)?;
    /// assert!(cache.contains_key("alice") && !cache.contains_key("bob"));
    /// # Ok::<(), idlewheel::InsertError<i32>>(())
    /// ```
    #[must_use]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.core.contains(key, false)
    }

    /// Restarts the idleness of an entry. `false`: there is none; a dead one is never revived.
    /// The absolute deadline does not move.
    ///
    /// ```
    /// let cache = idlewheel::Cache::new();
    /// cache.insert("alice", 7)?;
    /// assert!(cache.touch("alice") && !cache.touch("bob"));
    /// # Ok::<(), idlewheel::InsertError<i32>>(())
    /// ```
    pub fn touch<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.core.contains(key, true)
    }

    /// Stores a value. On a live key it replaces the value and restarts idleness; the entry keeps
    /// its creation time, its absolute deadline and its own timeouts. The former value is dropped
    /// by a later sweep or flush, or by a writer when many wait.
    ///
    /// # Errors
    /// [`InsertErrorKind::Full`] when there is no slot left, [`InsertErrorKind::AtCapacity`] when a
    /// bounded cache refuses. In a linked cache,
    /// [`InsertErrorKind::ParentGone`] or [`InsertErrorKind::NoParent`] when the key is new and its
    /// parent is missing.
    ///
    /// ```
    /// use idlewheel::{Cache, Inserted};
    ///
    /// let cache = Cache::new();
    /// assert_eq!(cache.insert("alice", 1)?, Inserted::New);
    /// assert_eq!(cache.insert("alice", 2)?, Inserted::Replaced);
    /// # Ok::<(), idlewheel::InsertError<i32>>(())
    /// ```
    pub fn insert(&self, key: K, value: V) -> Result<Inserted, InsertError<V>> {
        self.insert_as(key, value, None, Mode::Replace)
    }

    /// Stores a value with timeouts of its own. On a live key they replace the former timeouts;
    /// an absolute timeout counts from the entry's creation.
    ///
    /// # Errors
    /// [`InsertErrorKind::Full`] when there is no slot left, [`InsertErrorKind::AtCapacity`] when a
    /// bounded cache refuses. In a linked cache,
    /// [`InsertErrorKind::ParentGone`] or [`InsertErrorKind::NoParent`] when the key is new and its
    /// parent is missing.
    ///
    /// ```
    /// use idlewheel::{Cache, Clock, Timeouts};
    /// use std::time::Duration;
    ///
    /// let (clock, mock) = Clock::mock();
    /// let cache = Cache::builder().clock(clock).build()?;
    /// cache.insert_with("token", 1, Timeouts::new().absolute(Duration::from_secs(5)))?;
    /// mock.advance(Duration::from_secs(8));
    /// assert_eq!(cache.get("token"), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn insert_with(
        &self,
        key: K,
        value: V,
        timeouts: Timeouts,
    ) -> Result<Inserted, InsertError<V>> {
        self.insert_as(key, value, Some(timeouts), Mode::Replace)
    }

    /// Stores a value under a key that must not be there. Of two threads that create one session
    /// id, exactly one succeeds.
    ///
    /// # Errors
    /// [`InsertErrorKind::Exists`] when a live entry has the key; it is not touched. Otherwise as
    /// [`Cache::insert`].
    ///
    /// ```
    /// use idlewheel::{Cache, InsertErrorKind};
    ///
    /// let cache = Cache::new();
    /// cache.insert_new("alice", 1)?;
    /// let error = cache.insert_new("alice", 2).unwrap_err();
    /// assert_eq!(error.kind(), InsertErrorKind::Exists);
    /// assert_eq!(error.into_value(), 2);
    /// # Ok::<(), idlewheel::InsertError<i32>>(())
    /// ```
    pub fn insert_new(&self, key: K, value: V) -> Result<(), InsertError<V>> {
        self.insert_as(key, value, None, Mode::NewOnly).map(|_| ())
    }

    fn insert_as(
        &self,
        key: K,
        value: V,
        timeouts: Option<Timeouts>,
        mode: Mode<'_, V>,
    ) -> Result<Inserted, InsertError<V>> {
        let parent = Lineage::of_key(self.lineage.as_deref());
        self.insert_how(key, value, &Insertion { timeouts, mode, parent, flight: None })
    }

    pub(crate) fn insert_how(
        &self,
        key: K,
        value: V,
        how: &Insertion<'_, K, V>,
    ) -> Result<Inserted, InsertError<V>> {
        match self.core.insert(key, value, how) {
            Ok(true) => Ok(Inserted::New),
            Ok(false) => Ok(Inserted::Replaced),
            Err(refused) => Err(refusal(refused)),
        }
    }

    /// Replaces the value of a live entry and restarts its idleness. Never creates one, so a
    /// request that is still under way cannot bring back a session that was logged out.
    ///
    /// # Errors
    /// [`InsertErrorKind::Missing`] when there is no live entry; [`InsertErrorKind::Full`] when
    /// there is no slot left for the new value.
    ///
    /// ```
    /// let cache = idlewheel::Cache::new();
    /// cache.insert("alice", 1)?;
    /// cache.update("alice", 2)?;
    /// cache.remove("alice");
    /// assert_eq!(cache.update("alice", 3).unwrap_err().into_value(), 3);
    /// # Ok::<(), idlewheel::InsertError<i32>>(())
    /// ```
    pub fn update<Q>(&self, key: &Q, value: V) -> Result<(), InsertError<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.core.update(key, value, None).map_err(refusal)
    }

    /// Removes an entry. `false`: there was none, or it had expired. No read that starts after
    /// this finds it; its value is dropped by the next sweep or flush, or by a writer when many
    /// wait.
    ///
    /// ```
    /// let cache = idlewheel::Cache::new();
    /// cache.insert("alice", 1)?;
    /// assert!(cache.remove("alice"));
    /// assert!(!cache.remove("alice"));
    /// # Ok::<(), idlewheel::InsertError<i32>>(())
    /// ```
    pub fn remove<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.core.remove(key)
    }

    /// Removes an entry and returns a clone of its value: of many threads that take one key, one
    /// gets it.
    ///
    /// ```
    /// let tickets = idlewheel::Cache::new();
    /// tickets.insert("single use", 1)?;
    /// assert_eq!(tickets.take("single use"), Some(1));
    /// assert_eq!(tickets.take("single use"), None);
    /// # Ok::<(), idlewheel::InsertError<i32>>(())
    /// ```
    pub fn take<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        V: Clone,
    {
        self.core.take(key)
    }
}

pub(crate) fn refusal<V>((refused, value): (Refused, V)) -> InsertError<V> {
    InsertError::new(kind_of(refused), value)
}

pub(crate) fn kind_of(refused: Refused) -> InsertErrorKind {
    match refused {
        Refused::Exists => InsertErrorKind::Exists,
        Refused::Missing => InsertErrorKind::Missing,
        Refused::Full => InsertErrorKind::Full,
        Refused::AtCapacity => InsertErrorKind::AtCapacity,
        Refused::Condition => InsertErrorKind::ConditionUnmet,
        Refused::ParentGone => InsertErrorKind::ParentGone,
        Refused::NoParent => InsertErrorKind::NoParent,
        Refused::TooManyChildren => InsertErrorKind::TooManyChildren,
        Refused::Removed => InsertErrorKind::RemovedMeanwhile,
    }
}

impl<K, V, S, P> Clone for Cache<K, V, S, P> {
    fn clone(&self) -> Self {
        self.core.hold();
        Cache { core: Arc::clone(&self.core), lineage: self.lineage.clone() }
    }
}

impl<K, V, S, P> Drop for Cache<K, V, S, P> {
    fn drop(&mut self) {
        self.core.let_go();
    }
}

// Neither keys nor values are ever printed.
impl<K, V, S, P> fmt::Debug for Cache<K, V, S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("len", &self.len()).finish_non_exhaustive()
    }
}
