//! Values that are loaded when they are first wanted.

use crate::Cache;
use crate::error::LoadError;
use std::future::Future;
use std::hash::{BuildHasher, Hash};

impl<K: Hash + Eq, V: Clone, S: BuildHasher, P> Cache<K, V, S, P> {
    /// The value of a key, cloned, or else what `load` gives, which is stored. Short for
    /// [`entry(key).or_insert_with(load)`](crate::Entry::or_insert_with), where the rules are: one
    /// load per key at a time, and none that brings back what was removed meanwhile.
    ///
    /// # Errors
    /// As there.
    ///
    /// ```
    /// let users = idlewheel::Cache::new();
    /// let load = || "from the database".to_owned();
    /// assert_eq!(users.get_or_insert_with(7, load)?, "from the database");
    /// assert_eq!(users.get_or_insert_with(7, || unreachable!())?, "from the database");
    /// # Ok::<(), idlewheel::LoadError<String>>(())
    /// ```
    pub fn get_or_insert_with(&self, key: K, load: impl FnOnce() -> V) -> Result<V, LoadError<V>> {
        self.entry(key).or_insert_with(load)
    }

    /// As [`Cache::get_or_insert_with`], for a load that may fail.
    ///
    /// # Errors
    /// As [`Entry::or_try_insert_with`](crate::Entry::or_try_insert_with).
    pub fn get_or_try_insert_with<E>(
        &self,
        key: K,
        load: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, LoadError<V, E>> {
        self.entry(key).or_try_insert_with(load)
    }

    /// As [`Cache::get_or_insert_with`], for a future, on any runtime.
    ///
    /// # Errors
    /// As [`Entry::or_insert_with`](crate::Entry::or_insert_with).
    pub async fn get_or_insert_async(
        &self,
        key: K,
        load: impl Future<Output = V>,
    ) -> Result<V, LoadError<V>> {
        self.entry(key).or_insert_async(load).await
    }

    /// As [`Cache::get_or_insert_async`], for a load that may fail.
    ///
    /// # Errors
    /// As [`Entry::or_try_insert_with`](crate::Entry::or_try_insert_with).
    pub async fn get_or_try_insert_async<E>(
        &self,
        key: K,
        load: impl Future<Output = Result<V, E>>,
    ) -> Result<V, LoadError<V, E>> {
        self.entry(key).or_try_insert_async(load).await
    }
}
