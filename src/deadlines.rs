//! The cache's side of timeouts: how long an entry has left, and changing it.

use crate::Cache;
use crate::expiry::{Remaining, Timeouts};
use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

impl<K: Hash + Eq, V, S: BuildHasher, P> Cache<K, V, S, P> {
    /// How long an entry has left. Does not touch it. Cost: a lookup, and a look at the notes of
    /// touches of all threads that ever used the cache.
    ///
    /// ```
    /// use idlewheel::{Cache, Clock};
    /// use std::time::Duration;
    ///
    /// let (clock, mock) = Clock::mock();
    /// let cache = Cache::builder().clock(clock).build()?;
    /// cache.insert("alice", 7)?;
    /// mock.advance(Duration::from_secs(600));
    /// let remaining = cache.remaining("alice").unwrap();
    /// assert_eq!(remaining.idle, Some(Duration::from_secs(1200)));
    /// assert_eq!(remaining.absolute, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn remaining<Q>(&self, key: &Q) -> Option<Remaining>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.core.remaining(key)
    }

    /// Restarts both deadlines of a live entry, as if it were created now: for a user who has
    /// authenticated again. `false`: there is none (or, when some 10^9 entries have timeouts of
    /// their own, no room to note the new creation time).
    ///
    /// ```
    /// use idlewheel::{Cache, Clock};
    /// use std::time::Duration;
    ///
    /// let hour = Duration::from_secs(3600);
    /// let (clock, mock) = Clock::mock();
    /// let cache =
    ///     Cache::builder().no_idle_timeout().absolute_timeout(hour).clock(clock).build()?;
    /// cache.insert("alice", 1)?;
    /// mock.advance(hour / 2);
    /// assert!(cache.renew("alice"));
    /// mock.advance(hour);
    /// assert!(cache.contains_key("alice"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn renew<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.core.renew(key) == Some(true)
    }

    /// Gives a live entry other timeouts, and restarts its idleness. What `timeouts` leaves open is
    /// as in the cache; an absolute timeout counts from the entry's creation, so one that is over
    /// already ends the entry. `false` as for [`Cache::renew`].
    ///
    /// ```
    /// use idlewheel::{Cache, Clock, Timeouts};
    /// use std::time::Duration;
    ///
    /// let minute = Duration::from_secs(60);
    /// let (clock, mock) = Clock::mock();
    /// let sessions = Cache::builder().clock(clock).build()?;
    /// sessions.insert("alice", 1)?;
    /// // She wants to stay logged in on this machine.
    /// assert!(sessions.set_timeouts("alice", Timeouts::new().idle(24 * 60 * minute)));
    /// mock.advance(600 * minute);
    /// assert!(sessions.contains_key("alice"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_timeouts<Q>(&self, key: &Q, timeouts: Timeouts) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.core.set_timeouts(key, timeouts) == Some(true)
    }

    /// Gives a live entry the timeouts of its cache, and restarts its idleness: for one that was
    /// provisional, inserted with a short timeout until it has proved itself. `false` as for
    /// [`Cache::renew`].
    ///
    /// ```
    /// use idlewheel::{Cache, Clock, Timeouts};
    /// use std::time::Duration;
    ///
    /// let minute = Duration::from_secs(60);
    /// let (clock, mock) = Clock::mock();
    /// let sessions = Cache::builder().clock(clock).build()?;
    /// let provisional = Timeouts::new().idle(minute);
    /// sessions.insert_with("robot", 1, provisional)?;
    /// sessions.insert_with("alice", 2, provisional)?;
    /// assert!(sessions.promote("alice")); // she has logged in
    /// mock.advance(2 * minute);
    /// assert_eq!((sessions.get("robot"), sessions.get("alice")), (None, Some(2)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn promote<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.set_timeouts(key, Timeouts::new())
    }
}
