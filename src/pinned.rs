//! Several lookups under one pin.

use crate::RandomState;
use crate::core::Core;
use crate::iter::PinnedIter;
use crate::reclaim::Pin;
use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};

/// A pin on a cache; from [`Cache::pin`](crate::Cache::pin).
///
/// It yields references that live as long as it does. While it exists no removed value of any
/// cache is dropped, so it must not be kept for long, and it cannot be sent to another thread or
/// held across an `await` of a task that moves:
///
/// ```compile_fail
/// let cache = idlewheel::Cache::<u32, u32>::new();
/// let pinned = cache.pin();
/// std::thread::scope(|s| { s.spawn(move || pinned.get(&1)); });
/// ```
///
/// ```compile_fail
/// fn spawn(task: impl Future + Send) {}
/// let cache = idlewheel::Cache::<u32, u32>::new();
/// spawn(async move {
///     let pinned = cache.pin();
///     std::future::ready(()).await;
///     pinned.get(&1);
/// });
/// ```
///
/// (Without the `await` it compiles.)
///
/// ```
/// fn spawn(task: impl Future + Send) {}
/// let cache = idlewheel::Cache::<u32, u32>::new();
/// spawn(async move {
///     cache.pin().get(&1);
///     std::future::ready(()).await;
/// });
/// ```
///
/// A reference does not outlive its pin:
///
/// ```compile_fail
/// let cache = idlewheel::Cache::<u32, u32>::new();
/// let value = cache.pin().get(&1);
/// println!("{value:?}");
/// ```
pub struct Pinned<'a, K, V, S = RandomState> {
    core: &'a Core<K, V, S>,
    pin: Pin,
}

impl<'a, K, V, S> Pinned<'a, K, V, S> {
    pub(crate) fn new(core: &'a Core<K, V, S>, pin: Pin) -> Self {
        Pinned { core, pin }
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> Pinned<'_, K, V, S> {
    /// The value of a key. Touches the entry.
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.core.get(key, true, &self.pin)
    }

    /// The values of several keys, in their order. Touches the entries.
    ///
    /// The lookups wait for memory together, and one reading of the clock, within the call, serves
    /// all of them; else it is as if each was looked up by itself.
    ///
    /// ```
    /// let sessions = idlewheel::Cache::new();
    /// sessions.insert(1, "alice")?;
    /// sessions.insert(2, "bob")?;
    /// let pinned = sessions.pin();
    /// assert_eq!(pinned.get_many([&2, &3, &1]), [Some(&"bob"), None, Some(&"alice")]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn get_many<Q, const N: usize>(&self, keys: [&Q; N]) -> [Option<&V>; N]
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.core.get_many(keys, &self.pin)
    }

    /// The value of a key. Does not touch the entry.
    #[inline]
    #[must_use]
    pub fn peek<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.core.get(key, false, &self.pin)
    }
}

impl<K, V, S> Pinned<'_, K, V, S> {
    /// References to the keys and values of all live entries, in no order. Touches none. As
    /// [`Cache::iter`](crate::Cache::iter), but under this one pin: what is removed during a long
    /// iteration is not dropped before its end.
    ///
    /// ```
    /// let sessions = idlewheel::Cache::new();
    /// sessions.insert("alice", 1)?;
    /// sessions.insert("bob", 2)?;
    /// assert_eq!(sessions.pin().iter().map(|(_, value)| value).sum::<i32>(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn iter(&self) -> PinnedIter<'_, K, V, S> {
        PinnedIter::new(self.core, &self.pin)
    }
}

impl<'p, K, V, S> IntoIterator for &'p Pinned<'_, K, V, S> {
    type Item = (&'p K, &'p V);
    type IntoIter = PinnedIter<'p, K, V, S>;

    fn into_iter(self) -> PinnedIter<'p, K, V, S> {
        self.iter()
    }
}

impl<K, V, S> fmt::Debug for Pinned<'_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinned").finish_non_exhaustive()
    }
}
