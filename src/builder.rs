//! Settings of a cache.

use crate::capacity::{Capacity, CapacityPolicy};
use crate::clock::Clock;
use crate::core::{Core, Layout};
use crate::error::BuildError;
use crate::expiry::{Limits, Schedule};
use crate::linked::Link;
use crate::listener::Listener;
use crate::{Cache, RandomState};
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

/// 30 minutes: what OWASP recommends for low-risk sessions.
const DEFAULT_IDLE: Duration = Duration::from_secs(30 * 60);
/// Below this, 2^36 ticks are less than ten years of uptime.
const MIN_TICK: Duration = Duration::from_millis(10);
const MAX_TICK: Duration = Duration::from_secs(3600);
/// Slot numbers are 32 bits wide, and two of them mean something else.
const MAX_ENTRIES: usize = (u32::MAX - 2) as usize;

/// Builds a [`Cache`]; from [`Cache::builder`].
///
/// ```
/// use idlewheel::Cache;
/// use std::time::Duration;
///
/// let sessions: Cache<u64, String> = Cache::builder()
///     .idle_timeout(Duration::from_secs(15 * 60))
///     .absolute_timeout(Duration::from_secs(12 * 3600))
///     .build()?;
/// # Ok::<(), idlewheel::BuildError>(())
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder<K, V, S = RandomState, P = K> {
    /// `None`: as is the default, which depends on whether the cache is linked.
    idle: Option<Option<Duration>>,
    absolute: Option<Duration>,
    max_entries: Option<usize>,
    policy: CapacityPolicy,
    initial_capacity: usize,
    /// `None`: by the timeouts.
    tick: Option<Duration>,
    clock: Option<Clock>,
    hasher: S,
    record_stats: bool,
    slot_limit: u32,
    pub(crate) listener: Option<Listener<K, V>>,
    name: Option<Arc<str>>,
    link: Option<Link<K, V, S, P>>,
    touches_parent: bool,
    max_children: Option<u32>,
    /// The first setting that contradicts another one.
    fault: Option<BuildError>,
}

impl<K, V> Builder<K, V> {
    pub(crate) fn new() -> Self {
        Builder {
            idle: None,
            absolute: None,
            max_entries: None,
            policy: CapacityPolicy::default(),
            initial_capacity: 0,
            tick: None,
            clock: None,
            hasher: RandomState::new(),
            record_stats: false,
            slot_limit: u32::MAX,
            listener: None,
            name: None,
            link: None,
            touches_parent: false,
            max_children: None,
            fault: None,
        }
    }
}

impl<K, V, S, P> Builder<K, V, S, P> {
    /// How long an entry lives without being touched. Default: 30 minutes, and none in a linked
    /// cache. It is live while
    /// `now - last activity <= timeout`. [`Duration::MAX`] means "for ever".
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle = Some(Some(timeout));
        self
    }

    /// Entries do not expire by idleness.
    pub fn no_idle_timeout(mut self) -> Self {
        self.idle = Some(None);
        self
    }

    /// How long an entry lives at most, counted from its creation and whatever its activity.
    /// Default: no limit. Replacing its value does not move this deadline.
    pub fn absolute_timeout(mut self, timeout: Duration) -> Self {
        self.absolute = Some(timeout);
        self
    }

    /// How many entries there may be, never exceeded; what happens to one more is up to the
    /// [`capacity_policy`](Builder::capacity_policy). Default: no limit.
    ///
    /// Expired entries that no sweep has removed yet count, but go first. Memory for so many
    /// entries in the index, and as many slots, is reserved at once (untouched pages cost nothing).
    /// Slots are also used by replaced values and by removed entries that wait; what goes beyond is
    /// allocated as needed. Cost: each insert and each removal of an entry writes one word that all
    /// threads share.
    ///
    /// ```
    /// use idlewheel::{Cache, Clock};
    /// use std::time::Duration;
    ///
    /// let (clock, mock) = Clock::mock();
    /// let sessions: Cache<u32, &str> = Cache::builder().max_entries(2).clock(clock).build()?;
    /// sessions.insert(1, "alice")?;
    /// sessions.insert(2, "bob")?;
    /// mock.advance(Duration::from_secs(60));
    /// assert_eq!(sessions.get(&1), Some("alice")); // bob is idle for longer now
    /// sessions.insert(3, "carol")?;
    /// assert_eq!(sessions.len(), 2);
    /// assert_eq!(sessions.get(&2), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_entries(mut self, entries: usize) -> Self {
        self.max_entries = Some(entries);
        self
    }

    /// What a cache that holds [`max_entries`](Builder::max_entries) does with one more. Default:
    /// [`CapacityPolicy::EvictSoonestToExpire`].
    ///
    /// ```
    /// use idlewheel::{Cache, CapacityPolicy, InsertErrorKind};
    ///
    /// let policy = CapacityPolicy::RejectNew;
    /// let sessions = Cache::builder().max_entries(1).capacity_policy(policy).build()?;
    /// sessions.insert(1, "alice")?;
    /// let error = sessions.insert(2, "bob").unwrap_err();
    /// assert_eq!((error.kind(), error.into_value()), (InsertErrorKind::AtCapacity, "bob"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn capacity_policy(mut self, policy: CapacityPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// How many entries to make room for at first. The cache grows beyond it as needed.
    pub fn initial_capacity(mut self, entries: usize) -> Self {
        self.initial_capacity = entries;
        self
    }

    /// Sets how late an expiry may be at most, from 10 ms to an hour. Default: 1/512 of the shortest
    /// timeout of the cache, but not below 8.4 ms, and not above 2.15 s.
    ///
    /// A cache counts time in ticks, which are a power of two of nanoseconds, and an expiry is late
    /// by at most two of them (by one on a mock clock). An entry that is touched many times within
    /// one tick is written once, so coarse ticks make lookups cheaper. A tick is the longest that is
    /// at most
    ///
    /// * half of `tick`, if you set that;
    /// * else 1/1024 of the shorter of idle and absolute timeout, and 1.07 s: 1.07 s for 30
    ///   minutes, or for no timeout at all; 8.4 ms for 10 s. Below timeouts of 4.3 s ticks stay at
    ///   4.2 ms. Timeouts that single entries have do not count: set `tick` if they are much shorter.
    ///
    /// Ticks are counted in 36 bits: 584 years of uptime with ticks of 1.07 s, 9 years with those
    /// of 4.2 ms. After that time stands still.
    ///
    /// An [`Upkeep`](crate::Upkeep) serves caches with ticks of 8.4 ms or more, so 17 ms here.
    ///
    /// ```
    /// use idlewheel::{Cache, Clock};
    /// use std::time::Duration;
    ///
    /// let (clock, mock) = Clock::mock();
    /// let late = Duration::from_millis(50);
    /// let sessions = Cache::builder().tick(late).clock(clock).build()?;
    /// sessions.insert("alice", 1)?;
    /// mock.advance(Duration::from_secs(30 * 60));
    /// assert!(sessions.contains_key("alice"), "never early");
    /// mock.advance(late);
    /// assert!(!sessions.contains_key("alice"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tick(mut self, tick: Duration) -> Self {
        self.tick = Some(tick);
        self
    }

    /// Where time comes from. Default: [`Clock::system`]; a linked cache has its parents' clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// How keys are hashed. Default: [`RandomState`], keyed per cache from the operating system's
    /// randomness, as session ids come from clients.
    pub fn hasher<T: BuildHasher>(self, hasher: T) -> Builder<K, V, T, P> {
        // A linked cache has its parents' hasher: the link goes, and `build` says why.
        let fault = self.link.as_ref().map(|_| BuildError::LinkedHasher);
        Builder {
            idle: self.idle,
            absolute: self.absolute,
            max_entries: self.max_entries,
            policy: self.policy,
            initial_capacity: self.initial_capacity,
            tick: self.tick,
            clock: self.clock,
            hasher,
            record_stats: self.record_stats,
            slot_limit: self.slot_limit,
            listener: self.listener,
            name: self.name,
            link: None,
            touches_parent: self.touches_parent,
            max_children: self.max_children,
            fault: self.fault.or(fault),
        }
    }

    /// Links the cache to that of its parents, whose clock and hasher it takes.
    pub(crate) fn with_link<PS, PK>(
        self,
        link: Link<K, V, PS, PK>,
        clock: Clock,
        hasher: PS,
    ) -> Builder<K, V, PS, PK> {
        let other = self.clock.as_ref().is_some_and(|own| !own.is_same(&clock));
        Builder {
            idle: self.idle,
            absolute: self.absolute,
            max_entries: self.max_entries,
            policy: self.policy,
            initial_capacity: self.initial_capacity,
            tick: self.tick,
            clock: Some(clock),
            hasher,
            record_stats: self.record_stats,
            slot_limit: self.slot_limit,
            listener: self.listener,
            name: self.name,
            link: Some(link),
            touches_parent: self.touches_parent,
            max_children: self.max_children,
            fault: self.fault.or(other.then_some(BuildError::LinkedClock)),
        }
    }

    /// Makes a child's activity (`get`, `touch`, `insert` and so on) its parent's as well, and that
    /// one's parent's if its cache asks for it, too. Default: off, and reading a child keeps its
    /// parent no longer. No activity moves an absolute deadline.
    ///
    /// ```
    /// use idlewheel::{Cache, Clock};
    /// use std::time::Duration;
    ///
    /// let minute = Duration::from_secs(60);
    /// let (clock, mock) = Clock::mock();
    /// let contexts: Cache<&str, u32> = Cache::builder().clock(clock).build()?;
    /// let keys: Cache<&str, u32> =
    ///     Cache::builder().linked_to(&contexts).touches_parent(true).build()?;
    /// contexts.insert("alice", 1)?;
    /// keys.insert("alice", 2)?;
    /// mock.advance(20 * minute);
    /// assert_eq!(keys.get("alice"), Some(2));
    /// mock.advance(20 * minute);
    /// assert!(contexts.contains_key("alice"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn touches_parent(mut self, touches: bool) -> Self {
        self.touches_parent = touches;
        self
    }

    /// How many children a parent may have in this cache, never exceeded; for caches whose children
    /// are [named](Builder::children_of). Default: no limit. What happens to one more is up to the
    /// [`capacity_policy`](Builder::capacity_policy): the child of that parent that would expire
    /// soonest makes room, or the new one is refused with
    /// [`InsertErrorKind::TooManyChildren`](crate::InsertErrorKind::TooManyChildren).
    ///
    /// Cost: an insert looks at all children of its parent when they are at the limit, so keep it
    /// small; and 8 bytes for each slot of the parents' cache.
    ///
    /// ```
    /// use idlewheel::{Cache, Clock};
    /// use std::time::Duration;
    ///
    /// let (clock, mock) = Clock::mock();
    /// let users: Cache<&str, u32> = Cache::builder().clock(clock).build()?;
    /// let devices = Cache::<u64, &str>::builder().children_of(&users).max_children(2);
    /// let devices = devices.idle_timeout(Duration::from_secs(3600)).build()?;
    /// users.insert("alice", 1)?;
    /// for (id, device) in [(1, "phone"), (2, "laptop"), (3, "tablet")] {
    ///     devices.insert_linked(id, device, "alice")?;
    ///     mock.advance(Duration::from_secs(60));
    /// }
    /// assert_eq!((devices.get(&1), devices.count_children("alice")), (None, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_children(mut self, children: u32) -> Self {
        self.max_children = Some(children);
        self
    }

    /// Counts hits and misses, at one write to shared memory per lookup. Default: off, and a hit
    /// writes nothing.
    pub fn record_stats(mut self, record: bool) -> Self {
        self.record_stats = record;
        self
    }

    /// What the cache is called in metrics and logs; see [Features](crate#features). Default:
    /// "unnamed".
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Uses no more than about so many slots, to test what happens when they run out.
    #[doc(hidden)]
    pub fn slot_limit(mut self, slots: u32) -> Self {
        self.slot_limit = slots;
        self
    }

    /// Builds the cache. Starts no thread.
    ///
    /// # Errors
    /// [`BuildError`] for a tick outside of 10 ms to one hour, for more than 2^32 - 3 entries, for
    /// an initial capacity above `max_entries`, and for a link with a clock or hasher of its own.
    pub fn build(mut self) -> Result<Cache<K, V, S, P>, BuildError> {
        self.check_link()?;
        let (min, max) = (MIN_TICK, MAX_TICK);
        if let Some(given) = self.tick.filter(|tick| *tick < min || *tick > max) {
            return Err(BuildError::Tick { given, min, max });
        }
        let capacity = self.max_entries.unwrap_or(0).max(self.initial_capacity);
        if capacity > MAX_ENTRIES {
            return Err(BuildError::Capacity { given: capacity, max: MAX_ENTRIES });
        }
        if let Some(max_entries) = self.max_entries.filter(|max| *max < self.initial_capacity) {
            return Err(BuildError::InitialCapacity { given: self.initial_capacity, max_entries });
        }
        let idle = self.idle.unwrap_or(self.link.is_none().then_some(DEFAULT_IDLE));
        let schedule = Schedule::new(self.tick, Limits::new(idle, self.absolute));
        let (link, touches) = (self.link.take(), self.touches_parent);
        let max_children = self.max_children.map(|most| (most, self.policy));
        let layout = Layout {
            capacity,
            slot_limit: self.slot_limit,
            record_reads: self.record_stats,
            places: self.max_entries.map(|most| Capacity::new(most, self.policy)),
            listener: self.listener,
            name: self.name,
            uplink: link.as_ref().map(|link| link.terms(touches, max_children)),
        };
        let clock = self.clock.unwrap_or_else(Clock::system);
        let core = Arc::new(Core::new(schedule, clock, self.hasher, layout));
        let lineage = link.map(|link| link.complete(&core));
        Ok(Cache::from_core(core, lineage))
    }

    /// Whether the settings of a link agree with the others.
    fn check_link(&self) -> Result<(), BuildError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let Some(link) = &self.link else {
            let is_linked = self.touches_parent || self.max_children.is_some();
            return if is_linked { Err(BuildError::NotLinked) } else { Ok(()) };
        };
        let same = self.clock.as_ref().is_some_and(|clock| link.has_clock(clock));
        if same { Ok(()) } else { Err(BuildError::LinkedClock) }
    }
}

impl<K, V, S, P> fmt::Debug for Builder<K, V, S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("idle_timeout", &self.idle)
            .field("absolute_timeout", &self.absolute)
            .field("max_entries", &self.max_entries)
            .field("capacity_policy", &self.policy)
            .field("initial_capacity", &self.initial_capacity)
            .field("tick", &self.tick)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
