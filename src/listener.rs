//! Telling the user what left the cache, and why.

use crate::builder::Builder;
use crate::stats::RemovalCause;

type Call<K, V> = dyn Fn(&K, &V, RemovalCause) + Send + Sync;

/// A user's function, and how a replaced value gets a key of its own: its entry may be gone before
/// it is its turn.
pub(crate) struct Listener<K, V> {
    call: Box<Call<K, V>>,
    clone_key: fn(&K) -> K,
}

impl<K, V> Listener<K, V> {
    pub(crate) fn tell(&self, key: &K, value: &V, cause: RemovalCause) {
        (self.call)(key, value, cause);
    }

    pub(crate) fn clone_key(&self, key: &K) -> K {
        (self.clone_key)(key)
    }
}

impl<K, V, S, P> Builder<K, V, S, P> {
    /// Calls `listener` with the key and value of everything that leaves the cache, and the cause:
    /// once for each value that was inserted, just before the value is dropped.
    ///
    /// * **When.** By then no read finds it, and nobody holds a reference to it any more. It runs
    ///   on the thread that drops the value: one that sweeps or flushes, one that inserts or
    ///   removes when many wait (about 64 in 4096 slots), the one that drops the last handle. A
    ///   read never runs it. So events come as late as your [`Sweeper`](crate::Sweeper)'s interval,
    ///   or at your next [`flush`](crate::Cache::flush); events of one key may come in another
    ///   order than the removals. A value that was replaced may be told of by an [earlier
    ///   key](crate::Cache::rekey) of its entry.
    /// * **What it may do.** Anything: it runs under no pin and no lock. It may use the cache,
    ///   remove other entries, or drop the last handle. A slow one delays the thread that it runs
    ///   on and those that [flush](crate::Cache::flush), nobody else; for long work hand the event
    ///   to a thread or task of your own, as `examples/events.rs` does.
    /// * **Panics** are caught and counted in [`Stats::panics`](crate::Stats::panics); the value is
    ///   dropped, and the next event comes all the same.
    ///
    /// A listener that owns a handle keeps its cache alive for ever: give it a
    /// [`WeakCache`](crate::WeakCache). Cost: a call per removal, and a clone of the key for each
    /// value that replaces another one.
    ///
    /// ```
    /// use idlewheel::{Cache, RemovalCause};
    /// use std::sync::mpsc;
    ///
    /// let (sender, events) = mpsc::channel();
    /// let sessions: Cache<u32, &str> = Cache::builder()
    ///     .on_removal(move |id, _user, cause| _ = sender.send((*id, cause)))
    ///     .build()?;
    /// sessions.insert(1, "alice")?;
    /// sessions.remove(&1);
    /// # while sessions.stats().pending_reclamation > 0 {
    /// sessions.flush();
    /// # }
    /// assert_eq!(events.recv()?, (1, RemovalCause::Explicit));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_removal(
        mut self,
        listener: impl Fn(&K, &V, RemovalCause) + Send + Sync + 'static,
    ) -> Self
    where
        K: Clone,
    {
        self.listener = Some(Listener { call: Box::new(listener), clone_key: K::clone });
        self
    }
}
