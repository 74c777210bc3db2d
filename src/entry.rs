//! An entry by its key, whether it is there or not: change it, or see to it that it is there.

use crate::Cache;
use crate::cache::{kind_of, refusal};
use crate::core::{Insertion, Mode, Parent, Refused};
use crate::error::{InsertError, InsertErrorKind, LoadError};
use crate::expiry::Timeouts;
use crate::flights::{Flight, Flights};
use crate::link::Tie;
use crate::linked::Lineage;
use std::borrow::Borrow;
use std::cell::Cell;
use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, Hash};

/// A key, and what to do about its entry; from [`Cache::entry`].
///
/// It is a plan and holds nothing: no lock, no pin. Each of its steps is one operation of the
/// cache, and other threads may come between two of them.
#[must_use = "an entry does nothing until one of its `or_` methods is called"]
pub struct Entry<'a, K, V, S, P> {
    cache: &'a Cache<K, V, S, P>,
    key: K,
    timeouts: Option<Timeouts>,
    /// The parent that was named, if one was.
    parent: Option<Result<Tie, InsertErrorKind>>,
    /// A modification that could not be stored.
    fault: Option<InsertError<V>>,
}

impl<K: Hash + Eq, V, S: BuildHasher, P> Cache<K, V, S, P> {
    /// An entry by its key, whether it is there or not.
    ///
    /// ```
    /// use idlewheel::{Cache, LoadError, Timeouts};
    /// use std::time::Duration;
    ///
    /// let visits = Cache::new();
    /// for _ in 0..3 {
    ///     visits.entry("alice").and_modify(|count| count + 1).or_insert(1)?;
    /// }
    /// assert_eq!(visits.get("alice"), Some(3));
    ///
    /// // Loaded by one thread, while others that want it wait.
    /// let provisional = Timeouts::new().idle(Duration::from_secs(60));
    /// let count = visits.entry("bob").timeouts(provisional).or_insert_with(|| 7)?;
    /// assert_eq!(count, 7);
    /// # Ok::<(), LoadError<i32>>(())
    /// ```
    pub fn entry(&self, key: K) -> Entry<'_, K, V, S, P> {
        Entry { cache: self, key, timeouts: None, parent: None, fault: None }
    }

    /// Replaces the value of a live entry by what `change` makes of it: by that, if others replace
    /// it meanwhile, of the latest one. Is activity; keeps the creation time and the timeouts.
    /// `Ok(false)`: there is none.
    ///
    /// `change` may be called several times, under a pin.
    ///
    /// # Errors
    /// [`InsertErrorKind::Full`] when there is no slot left, with the new value.
    ///
    /// ```
    /// let visits = idlewheel::Cache::new();
    /// visits.insert("alice", 1)?;
    /// assert!(visits.modify("alice", |count| count + 1)?);
    /// assert!(!visits.modify("bob", |count| count + 1)?);
    /// assert_eq!(visits.get("alice"), Some(2));
    /// # Ok::<(), idlewheel::InsertError<i32>>(())
    /// ```
    pub fn modify<Q>(&self, key: &Q, change: impl Fn(&V) -> V) -> Result<bool, InsertError<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.core.modify(key, change).map_err(refusal)
    }
}

impl<K: Hash + Eq, V, S: BuildHasher, P> Entry<'_, K, V, S, P> {
    /// The key.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Timeouts for an entry that is inserted; see [`Cache::insert_with`]. One that is there keeps
    /// its own.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = Some(timeouts);
        self
    }

    /// Names the parent of an entry that is inserted; see [`Cache::insert_linked`]. It is looked
    /// for now: if it dies before the value is there, the value is not stored.
    ///
    /// ```
    /// use idlewheel::Cache;
    ///
    /// let users: Cache<&str, u32> = Cache::new();
    /// let sessions = Cache::<u64, String>::builder().children_of(&users).build()?;
    /// users.insert("alice", 1)?;
    /// let session = sessions.entry(17).child_of("alice").or_insert_with(|| "phone".to_owned())?;
    /// assert_eq!((session.as_str(), sessions.count_children("alice")), ("phone", 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn child_of<Q>(mut self, parent: &Q) -> Self
    where
        P: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.parent = Some(match &self.cache.lineage {
            None => Err(InsertErrorKind::NotLinked),
            Some(lineage) => lineage.with_parent(self.cache.core.hash(parent), parent, |parent| {
                self.cache.core.tie_of(&self.key, &parent).map_err(kind_of)
            }),
        });
        self
    }

    /// Changes the value, if there is one, as [`Cache::modify`] does. If that fails, so does what
    /// follows.
    pub fn and_modify(mut self, change: impl Fn(&V) -> V) -> Self {
        if self.fault.is_none() {
            self.fault = self.cache.core.modify(&self.key, change).map_err(refusal).err();
        }
        self
    }
}

/// How a load begins.
enum Begun<'a, V> {
    /// It need not.
    Present(V),
    /// Another one of a key with this hash is under way.
    Busy(&'a Flights, u32),
    /// It is for the caller; this is the parent.
    Mine(Flight<'a>, Tie),
}

impl<'a, K: Hash + Eq, V: Clone, S: BuildHasher, P> Entry<'a, K, V, S, P> {
    /// The present value, cloned, or else `value`, which is stored. Is activity.
    ///
    /// # Errors
    /// As [`Entry::or_insert_with`]; but a removal that comes meanwhile is no error.
    pub fn or_insert(mut self, value: V) -> Result<V, LoadError<V>> {
        if let Some(answer) = self.present().transpose() {
            // As in `answer`.
            drop(value);
            return self.answer(answer);
        }
        match self.tie() {
            Ok(tie) => self.store(value, tie, None),
            Err(kind) => self.answer(Err(LoadError::NotStored(InsertError::new(kind, value)))),
        }
    }

    /// The present value, cloned, or else what `load` gives, which is stored. Is activity.
    ///
    /// One load per key at a time: others that want the key wait for it, and then have its value;
    /// only here does a thread of this library wait for another one. A load that panics leaves
    /// nothing behind, and the next one that waits runs its own. Of a key that is removed, or all
    /// by [`clear`](Cache::clear), while it is loaded, the value is not stored: it may be out of
    /// date. A load may load other keys, and even its own; but two loads that wait for each other's
    /// keys wait for ever.
    ///
    /// # Errors
    /// [`LoadError::NotStored`] brings the value back: of a removed key
    /// ([`RemovedMeanwhile`](InsertErrorKind::RemovedMeanwhile)), of a parent that has died
    /// meanwhile, or of a cache that is full. [`LoadError::NotLoaded`] when the parent is missing
    /// from the start.
    pub fn or_insert_with(self, load: impl FnOnce() -> V) -> Result<V, LoadError<V>> {
        self.or_try_insert_with(|| Ok(load()))
    }

    /// The same for a load that may fail. A failure is this caller's alone: the next one that waits
    /// runs its own load.
    ///
    /// # Errors
    /// As [`Entry::or_insert_with`], and [`LoadError::Failed`].
    ///
    /// ```
    /// use idlewheel::{Cache, LoadError};
    ///
    /// let users: Cache<&str, u32> = Cache::new();
    /// let missing = users.entry("alice").or_try_insert_with(|| "x".parse());
    /// assert!(matches!(missing, Err(LoadError::Failed(_))));
    /// let found = users.entry("alice").or_try_insert_with(|| "7".parse())?;
    /// assert_eq!(found, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn or_try_insert_with<E>(
        mut self,
        load: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, LoadError<V, E>> {
        loop {
            match self.begin(true) {
                Err(fault) => return self.answer(Err(fault)),
                Ok(Begun::Present(value)) => return self.answer(Ok(value)),
                Ok(Begun::Busy(flights, hash)) => flights.wait(hash),
                Ok(Begun::Mine(flight, tie)) => {
                    return match load() {
                        Ok(value) => self.store(value, tie, Some(&flight)),
                        Err(fault) => self.answer(Err(LoadError::Failed(fault))),
                    };
                }
            }
        }
    }

    /// As [`Entry::or_insert_with`], for a future. It runs on any runtime, waits without blocking,
    /// and may be dropped: then the next one that waits runs its own.
    ///
    /// A load must not wait for its own key. Use this one, not the blocking one, in tasks.
    ///
    /// # Errors
    /// As [`Entry::or_insert_with`].
    pub async fn or_insert_async(
        self,
        load: impl Future<Output = V>,
    ) -> Result<V, LoadError<V, Infallible>> {
        self.or_try_insert_async(async { Ok(load.await) }).await
    }

    /// As [`Entry::or_try_insert_with`], for a future; see [`Entry::or_insert_async`].
    ///
    /// # Errors
    /// As [`Entry::or_try_insert_with`].
    ///
    /// ```
    /// use idlewheel::{Cache, LoadError};
    ///
    /// type Outcome = Result<u32, LoadError<u32, String>>;
    ///
    /// async fn user(users: &Cache<String, u32>, name: &str) -> Outcome {
    ///     users.entry(name.to_owned()).or_try_insert_async(from_database(name)).await
    /// }
    ///
    /// async fn from_database(name: &str) -> Result<u32, String> {
    ///     # Ok(name.len() as u32)
    /// }
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// # let users = Cache::new();
    /// # let found = pin!(user(&users, "alice")).poll(&mut Context::from_waker(Waker::noop()));
    /// # assert!(matches!(found, Poll::Ready(Ok(5))));
    /// ```
    pub async fn or_try_insert_async<E>(
        mut self,
        load: impl Future<Output = Result<V, E>>,
    ) -> Result<V, LoadError<V, E>> {
        loop {
            match self.begin(false) {
                Err(fault) => return self.answer(Err(fault)),
                Ok(Begun::Present(value)) => return self.answer(Ok(value)),
                Ok(Begun::Busy(flights, hash)) => {
                    poll_fn(|context| flights.poll_ended(hash, context)).await;
                }
                Ok(Begun::Mine(flight, tie)) => {
                    return match load.await {
                        Ok(value) => self.store(value, tie, Some(&flight)),
                        Err(fault) => self.answer(Err(LoadError::Failed(fault))),
                    };
                }
            }
        }
    }

    /// The answer of an entry that is done with. It drops here: if the drop of its key panicked
    /// once the return value is made, that would be leaked.
    fn answer<T>(self, answer: T) -> T {
        drop(self);
        answer
    }

    /// Looks for the value, and begins its load if nobody else does. With `is_nested`, a load of
    /// this very thread is nobody else's.
    fn begin<E>(&mut self, is_nested: bool) -> Result<Begun<'a, V>, LoadError<V, E>> {
        if let Some(value) = self.present()? {
            return Ok(Begun::Present(value));
        }
        let core = &self.cache.core;
        let (flights, hash) = (core.flights(), core.hash(&self.key));
        let Some(flight) = flights.begin(hash, is_nested) else {
            return Ok(Begun::Busy(flights, hash));
        };
        // Another load may have ended just before ours began.
        if let Some(value) = self.present()? {
            return Ok(Begun::Present(value));
        }
        Ok(Begun::Mine(flight, self.tie().map_err(LoadError::NotLoaded)?))
    }

    /// The present value, unless an earlier step has failed.
    fn present<E>(&mut self) -> Result<Option<V>, LoadError<V, E>> {
        match self.fault.take() {
            Some(fault) => Err(LoadError::NotStored(fault)),
            None => Ok(self.cache.core.show(&self.key, V::clone)),
        }
    }

    /// The parent of an entry that is to be inserted.
    fn tie(&self) -> Result<Tie, InsertErrorKind> {
        let find = || {
            let parent = Lineage::of_key(self.cache.lineage.as_deref());
            self.cache.core.tie_of(&self.key, &parent).map_err(kind_of)
        };
        self.parent.unwrap_or_else(find)
    }

    /// Stores a value, and returns a clone of it; or of one that has come meanwhile.
    fn store<E>(
        self,
        value: V,
        tie: Tie,
        flight: Option<&Flight<'_>>,
    ) -> Result<V, LoadError<V, E>> {
        let (own, present) = (value.clone(), Cell::new(None));
        let show = |value: &V| present.set(Some(value.clone()));
        let (mode, parent) = (Mode::Keep(&show), Parent::Fixed(tie));
        let how = Insertion { timeouts: self.timeouts, mode, parent, flight };
        match self.cache.core.insert(self.key, value, &how) {
            Ok(_) => Ok(own),
            Err((Refused::Exists, value)) => {
                // As in `answer`.
                drop(value);
                drop(own);
                Ok(present.take().expect("shown before the refusal"))
            }
            Err(refused) => {
                // As in `answer`.
                drop(own);
                Err(LoadError::NotStored(refusal(refused)))
            }
        }
    }
}

// Neither keys nor values are ever printed.
impl<K, V, S, P> fmt::Debug for Entry<'_, K, V, S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("timeouts", &self.timeouts).finish_non_exhaustive()
    }
}
