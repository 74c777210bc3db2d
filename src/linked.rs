//! Linked caches, as their users see them: how a link is declared, and children inserted.

use crate::builder::Builder;
use crate::cache::{Cache, Inserted};
use crate::capacity::CapacityPolicy;
use crate::clock::Clock;
use crate::core::{Core, Insertion, LinkTerms, Mode, Parent};
use crate::error::{InsertError, InsertErrorKind};
use crate::expiry::Timeouts;
use crate::link::{Incarnation, Member, ParentKeys};
use crate::reclaim::{Pin, pin};
use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, Weak};

/// As `core::Locate`, for good.
type SameKey<K> = dyn Fn(&K, u32, &Pin) -> Option<Incarnation> + Send + Sync;
/// Makes a new cache known to that of its parents.
type Enlist<K, V, S> = fn(&Arc<Core<K, V, S>>) -> Weak<dyn Member>;

/// How the entries of a linked cache find their parents.
pub(crate) struct Lineage<K, P> {
    parents: Arc<dyn ParentKeys<P>>,
    same_key: Option<Box<SameKey<K>>>,
}

/// A link as the builder has it.
pub(crate) struct Link<K, V, S, P> {
    parents: Arc<dyn ParentKeys<P>>,
    member: Arc<dyn Member>,
    same_key: Option<Box<SameKey<K>>>,
    /// Made where the bounds that it needs are known.
    enlist: Enlist<K, V, S>,
}

impl<K, V, S, P> Link<K, V, S, P> {
    fn new<PV>(parent: &Cache<P, PV, S, impl Sized>) -> Self
    where
        K: Send + Sync + 'static,
        V: Send + Sync + 'static,
        S: Send + Sync + 'static,
        P: Eq + Send + Sync + 'static,
        PV: Send + Sync + 'static,
    {
        let parents = Arc::clone(&parent.core);
        Link {
            member: Arc::clone(&parents) as _,
            parents,
            same_key: None,
            enlist: |core| Arc::downgrade(core) as _,
        }
    }

    /// Whether the parents' cache has this clock.
    pub(crate) fn has_clock(&self, clock: &Clock) -> bool {
        self.member.clock().is_same(clock)
    }

    /// What the core has to know.
    pub(crate) fn terms(
        &self,
        touches: bool,
        max_children: Option<(u32, CapacityPolicy)>,
    ) -> LinkTerms {
        let (parents, same_keys) = (Arc::clone(&self.member), self.same_key.is_some());
        LinkTerms { parents, same_keys, touches, max_children }
    }

    /// Links a new core, before anything is in it.
    pub(crate) fn complete(self, core: &Arc<Core<K, V, S>>) -> Lineage<K, P> {
        self.member.descendants().add(&(self.enlist)(core), &pin());
        Lineage { parents: self.parents, same_key: self.same_key }
    }
}

impl<K, P> Lineage<K, P> {
    /// Whose child an entry is whose parent is not named.
    pub(crate) fn of_key(lineage: Option<&Self>) -> Parent<'_, K> {
        match lineage {
            None => Parent::None,
            Some(Lineage { same_key: Some(locate), .. }) => Parent::OfKey(&**locate),
            Some(_) => Parent::Unnamed,
        }
    }

    /// Hands to `f` whose child an entry is that has the entry of `parent` for its own. A linked
    /// cache has its parents' hasher, so `hash` is by that.
    pub(crate) fn with_parent<Q, R>(
        &self,
        hash: u32,
        parent: &Q,
        f: impl FnOnce(Parent<'_, K>) -> R,
    ) -> R
    where
        P: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let is_parent = |key: &P| key.borrow() == parent;
        f(Parent::Named(&|_, _, pin| self.parents.locate(hash, &is_parent, pin)))
    }
}

impl<K, V, S, P> Builder<K, V, S, P> {
    /// Links the cache: an entry lives only while the entry of the same key in `parent` lives.
    /// Inserting under a key that has no live entry there fails with
    /// [`InsertErrorKind::ParentGone`].
    ///
    /// A link by key costs no memory but 16 bytes an entry. The cache takes the clock and the
    /// hasher of its parents' cache, and has no idle timeout unless you set one: its entries live
    /// as long as their parents. See the chapter [Linked caches](crate#linked-caches).
    ///
    /// ```
    /// use idlewheel::{Cache, InsertErrorKind};
    ///
    /// let contexts: Cache<String, u32> = Cache::new();
    /// let keys: Cache<String, [u8; 32]> = Cache::builder().linked_to(&contexts).build()?;
    ///
    /// contexts.insert("alice".to_owned(), 1)?;
    /// keys.insert("alice".to_owned(), [7; 32])?;
    /// contexts.remove("alice");
    /// assert_eq!(keys.get("alice"), None);
    /// let error = keys.insert("alice".to_owned(), [8; 32]).unwrap_err();
    /// assert_eq!(error.kind(), InsertErrorKind::ParentGone);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn linked_to<PV, PS>(self, parent: &Cache<K, PV, PS, impl Sized>) -> Builder<K, V, PS, K>
    where
        K: Eq + Send + Sync + 'static,
        V: Send + Sync + 'static,
        PV: Send + Sync + 'static,
        PS: Clone + Send + Sync + 'static,
    {
        self.linked_by(parent, |key| key)
    }

    /// As [`Builder::linked_to`], for keys of another type: `key_of` gives the parent's key.
    ///
    /// Two keys must be equal exactly if their parents' keys are, and a key must hash as its
    /// parent's key does, as for [`Borrow`]. A key that hashes differently finds no parent, so
    /// inserting it fails.
    ///
    /// ```
    /// use idlewheel::Cache;
    ///
    /// #[derive(PartialEq, Eq, Hash)]
    /// struct KeyOf(String);
    ///
    /// let contexts: Cache<String, u32> = Cache::new();
    /// let keys = Cache::<KeyOf, u64>::builder().linked_by(&contexts, |key| &key.0).build()?;
    /// contexts.insert("alice".to_owned(), 1)?;
    /// keys.insert(KeyOf("alice".to_owned()), 7)?;
    /// contexts.remove("alice");
    /// assert_eq!(keys.get(&KeyOf("alice".to_owned())), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn linked_by<PK, PV, PS>(
        self,
        parent: &Cache<PK, PV, PS, impl Sized>,
        key_of: impl Fn(&K) -> &PK + Send + Sync + 'static,
    ) -> Builder<K, V, PS, PK>
    where
        K: Send + Sync + 'static,
        V: Send + Sync + 'static,
        PK: Eq + Send + Sync + 'static,
        PV: Send + Sync + 'static,
        PS: Clone + Send + Sync + 'static,
    {
        let mut link = Link::new(parent);
        let parents = Arc::clone(&link.parents);
        link.same_key = Some(Box::new(move |key, hash, pin| {
            let key = key_of(key);
            parents.locate(hash, &|parent| parent == key, pin)
        }));
        self.with_link(link, parent.core.clock().clone(), parent.core.hasher().clone())
    }

    /// Links the cache by keys that are named: every entry belongs to an entry of `parent` that
    /// [`Cache::insert_linked`] names, and a parent may have many children. A link of this kind
    /// costs 40 bytes an entry, and 16 for each slot of the parents' cache.
    ///
    /// ```
    /// use idlewheel::Cache;
    ///
    /// let users: Cache<String, u32> = Cache::new();
    /// let sessions = Cache::<u64, &str>::builder().children_of(&users).build()?;
    /// users.insert("alice".to_owned(), 1)?;
    /// sessions.insert_linked(17, "phone", "alice")?;
    /// sessions.insert_linked(18, "laptop", "alice")?;
    /// assert_eq!(sessions.count_children("alice"), 2);
    ///
    /// users.remove("alice"); // logged out everywhere
    /// assert_eq!((sessions.get(&17), sessions.get(&18)), (None, None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn children_of<PK, PV, PS>(
        self,
        parent: &Cache<PK, PV, PS, impl Sized>,
    ) -> Builder<K, V, PS, PK>
    where
        K: Send + Sync + 'static,
        V: Send + Sync + 'static,
        PK: Eq + Send + Sync + 'static,
        PV: Send + Sync + 'static,
        PS: Clone + Send + Sync + 'static,
    {
        let (clock, hasher) = (parent.core.clock().clone(), parent.core.hasher().clone());
        self.with_link(Link::new(parent), clock, hasher)
    }
}

impl<K: Hash + Eq, V, S: BuildHasher, P> Cache<K, V, S, P> {
    /// Stores a value as a child of the entry that has the key `parent` in the parents' cache. It
    /// lives no longer than that one.
    ///
    /// On a live key of the same parent it replaces the value, as [`Cache::insert`] does. On a live
    /// key of another parent it ends that entry, with cause
    /// [`Replaced`](crate::RemovalCause::Replaced), and begins a new one.
    ///
    /// # Errors
    /// [`InsertErrorKind::ParentGone`] when there is no live parent. When the parent dies while
    /// this runs, the child either is not inserted, or was inserted just before and died with it.
    /// [`InsertErrorKind::NotLinked`] when the cache is not linked, [`InsertErrorKind::Full`] when
    /// there is no slot left.
    ///
    /// For an example see [`Builder::children_of`].
    pub fn insert_linked<Q>(&self, key: K, value: V, parent: &Q) -> Result<Inserted, InsertError<V>>
    where
        P: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.insert_child(key, value, parent, None, Mode::Replace)
    }

    /// As [`Cache::insert_linked`], with timeouts of its own; see [`Cache::insert_with`].
    ///
    /// # Errors
    /// As [`Cache::insert_linked`].
    pub fn insert_linked_with<Q>(
        &self,
        key: K,
        value: V,
        parent: &Q,
        timeouts: Timeouts,
    ) -> Result<Inserted, InsertError<V>>
    where
        P: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.insert_child(key, value, parent, Some(timeouts), Mode::Replace)
    }

    /// As [`Cache::insert_linked`], under a key that must not be there, whoever its parent is.
    ///
    /// # Errors
    /// [`InsertErrorKind::Exists`] when a live entry has the key; otherwise as
    /// [`Cache::insert_linked`].
    pub fn insert_linked_new<Q>(&self, key: K, value: V, parent: &Q) -> Result<(), InsertError<V>>
    where
        P: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.insert_child(key, value, parent, None, Mode::NewOnly).map(|_| ())
    }

    fn insert_child<Q>(
        &self,
        key: K,
        value: V,
        parent: &Q,
        timeouts: Option<Timeouts>,
        mode: Mode<'_, V>,
    ) -> Result<Inserted, InsertError<V>>
    where
        P: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let Some(lineage) = &self.lineage else {
            return Err(InsertError::new(InsertErrorKind::NotLinked, value));
        };
        lineage.with_parent(self.core.hash(parent), parent, |parent| {
            self.insert_how(key, value, &Insertion { timeouts, mode, parent, flight: None })
        })
    }

    /// The keys of a parent's live children in this cache, in no order. What is inserted or removed
    /// meanwhile may be missed. Touches nothing. Cost: O(children).
    ///
    /// ```
    /// # use idlewheel::Cache;
    /// let users: Cache<&str, u32> = Cache::new();
    /// let sessions = Cache::<u64, ()>::builder().children_of(&users).build()?;
    /// users.insert("alice", 1)?;
    /// sessions.insert_linked(17, (), "alice")?;
    /// assert_eq!(sessions.children("alice"), [17]);
    /// assert!(sessions.children("bob").is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn children<Q>(&self, parent: &Q) -> Vec<K>
    where
        K: Clone,
        P: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut keys = Vec::new();
        self.each_child(parent, |key| keys.push(key.clone()));
        keys
    }

    /// How many live children a parent has in this cache. As [`Cache::children`].
    #[must_use]
    pub fn count_children<Q>(&self, parent: &Q) -> usize
    where
        P: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut count = 0;
        self.each_child(parent, |_| count += 1);
        count
    }

    fn each_child<Q>(&self, parent: &Q, mut each: impl FnMut(&K))
    where
        P: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let Some(lineage) = &self.lineage else { return };
        let hash = self.core.hash(parent);
        let is_parent = |key: &P| key.borrow() == parent;
        let pin = pin();
        let Some(entry) = lineage.parents.locate(hash, &is_parent, &pin) else { return };
        self.core.children_of(entry, &pin, &mut each);
    }
}
