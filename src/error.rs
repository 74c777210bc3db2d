//! Errors, each saying what to do about it.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why a value was not stored. It carries the value back: nothing is lost.
///
/// The key is not returned: other threads may be comparing with it already.
pub struct InsertError<V> {
    kind: InsertErrorKind,
    value: V,
}

/// What kept a value out of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InsertErrorKind {
    /// `insert_new` found the key. The entry that is there was not touched.
    Exists,
    /// `update` did not find the key, or it had expired.
    Missing,
    /// The condition of `replace_if` does not hold for the present value. It was not touched.
    ConditionUnmet,
    /// The parent that the entry was to belong to does not exist, or has died. Nothing was stored,
    /// and nothing will be readable: create the parent first.
    ParentGone,
    /// Every entry of this cache belongs to a parent, and the call names none: use `insert_linked`.
    NoParent,
    /// The call names a parent, but the cache is not linked: build it with `linked_to`,
    /// `linked_by` or `children_of`.
    NotLinked,
    /// The cache holds [`max_entries`](crate::Builder::max_entries), none of them has expired, and
    /// its [`CapacityPolicy`](crate::CapacityPolicy) is to refuse. (Or it is to evict, and every
    /// place is that of an insert or a removal under way on another thread.) Turn the client away,
    /// or try again later.
    AtCapacity,
    /// The parent has [`max_children`](crate::Builder::max_children) in this cache, and none of
    /// them may go: the [`CapacityPolicy`](crate::CapacityPolicy) is to refuse, or they are held.
    TooManyChildren,
    /// The key was removed while its value was loaded, so the value may be out of date: a session
    /// that was ended meanwhile. Look whether it may go on, then load it again.
    RemovedMeanwhile,
    /// All slots are in use, by live entries or by removed ones that nobody flushed or that a
    /// stalled reader still pins. Flush, and try again.
    Full,
}

impl<V> InsertError<V> {
    pub(crate) fn new(kind: InsertErrorKind, value: V) -> Self {
        InsertError { kind, value }
    }

    /// What kept the value out.
    #[must_use]
    pub fn kind(&self) -> InsertErrorKind {
        self.kind
    }

    /// The value.
    pub fn into_value(self) -> V {
        self.value
    }
}

// Neither keys nor values are ever printed.
impl<V> fmt::Debug for InsertError<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InsertError").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl<V> fmt::Display for InsertError<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.advice())
    }
}

impl InsertErrorKind {
    fn advice(self) -> &'static str {
        match self {
            InsertErrorKind::Exists => "the key exists already; use `insert` to replace its value",
            InsertErrorKind::Missing => "the key does not exist; use `insert` to create it",
            InsertErrorKind::ConditionUnmet => {
                "the present value does not satisfy the condition; look at it, and try again"
            }
            InsertErrorKind::ParentGone => {
                "the parent does not exist; create it before its children"
            }
            InsertErrorKind::NoParent => "the entry needs a parent; name it with `insert_linked`",
            InsertErrorKind::NotLinked => {
                "the cache is not linked; build it with `linked_to`, `linked_by` or `children_of`"
            }
            InsertErrorKind::AtCapacity => {
                "the cache holds max_entries; try again when entries have expired, or raise it"
            }
            InsertErrorKind::TooManyChildren => {
                "the parent has max_children; remove one of them first, or raise it"
            }
            InsertErrorKind::RemovedMeanwhile => {
                "the key was removed while its value was loaded; load it again if it may exist"
            }
            InsertErrorKind::Full => {
                "all slots are in use; flush or sweep, remove entries, or end long-held pins"
            }
        }
    }
}

impl<V> Error for InsertError<V> {}

/// Why there is no value in the cache after a load; from [`Entry`](crate::Entry) and
/// [`Cache::get_or_insert_with`](crate::Cache::get_or_insert_with).
#[non_exhaustive]
pub enum LoadError<V, E = Infallible> {
    /// The loader failed, with this error. The next caller runs its own.
    Failed(E),
    /// The value is here, but was not stored. The error carries it back.
    NotStored(InsertError<V>),
    /// Nothing was loaded, because it could not have been stored: the parent does not exist
    /// ([`ParentGone`](InsertErrorKind::ParentGone)), or was not named
    /// ([`NoParent`](InsertErrorKind::NoParent), [`NotLinked`](InsertErrorKind::NotLinked)).
    NotLoaded(InsertErrorKind),
}

impl<V, E> LoadError<V, E> {
    /// What kept the value out of the cache; `None`: the loader failed.
    #[must_use]
    pub fn kind(&self) -> Option<InsertErrorKind> {
        match self {
            LoadError::Failed(_) => None,
            LoadError::NotStored(error) => Some(error.kind()),
            LoadError::NotLoaded(kind) => Some(*kind),
        }
    }

    /// The value that was loaded and not stored, if there is one.
    #[must_use]
    pub fn into_value(self) -> Option<V> {
        match self {
            LoadError::NotStored(error) => Some(error.into_value()),
            LoadError::Failed(_) | LoadError::NotLoaded(_) => None,
        }
    }
}

// Neither keys nor values are ever printed.
impl<V, E: fmt::Debug> fmt::Debug for LoadError<V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
            LoadError::NotStored(error) => f.debug_tuple("NotStored").field(error).finish(),
            LoadError::NotLoaded(kind) => f.debug_tuple("NotLoaded").field(kind).finish(),
        }
    }
}

impl<V, E: fmt::Display> fmt::Display for LoadError<V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Failed(error) => write!(f, "the loader failed: {error}"),
            LoadError::NotStored(error) => write!(f, "the loaded value was not stored: {error}"),
            LoadError::NotLoaded(kind) => write!(f, "nothing was loaded: {}", kind.advice()),
        }
    }
}

impl<V, E: Error> Error for LoadError<V, E> {}

/// Why an entry keeps its key; from [`Cache::rekey`](crate::Cache::rekey).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RekeyError {
    /// There is no live entry under the old key.
    Missing,
    /// There is one under the new key already.
    Exists,
    /// All slots are in use. Flush, and try again.
    Full,
}

impl fmt::Display for RekeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RekeyError::Missing => "the old key does not exist; insert the entry under the new one",
            RekeyError::Exists => "the new key exists already; choose another one",
            RekeyError::Full => InsertErrorKind::Full.advice(),
        })
    }
}

impl Error for RekeyError {}

/// A setting that makes no sense, from [`Builder::build`](crate::Builder::build).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// The tick is outside of what a cache can count.
    Tick {
        /// The tick that was asked for.
        given: Duration,
        /// The shortest tick.
        min: Duration,
        /// The longest tick.
        max: Duration,
    },
    /// More entries were asked for than slot numbers exist.
    Capacity {
        /// The number of entries that was asked for.
        given: usize,
        /// The largest number of entries.
        max: usize,
    },
    /// `initial_capacity` is larger than `max_entries`.
    InitialCapacity {
        /// The initial capacity that was asked for.
        given: usize,
        /// The largest number of entries that was asked for.
        max_entries: usize,
    },
    /// A linked cache was given a clock of its own. It has that of its parents' cache.
    LinkedClock,
    /// A linked cache was given a hasher of its own. It has that of its parents' cache.
    LinkedHasher,
    /// `touches_parent` or `max_children` was asked of a cache that is not linked.
    NotLinked,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::Tick { given, min, max } => {
                write!(f, "a tick of {given:?} is not possible; choose one from {min:?} to {max:?}")
            }
            BuildError::Capacity { given, max } => {
                write!(f, "room for {given} entries is not possible; the most is {max}")
            }
            BuildError::InitialCapacity { given, max_entries } => write!(
                f,
                "an initial capacity of {given} exceeds max_entries, which is {max_entries}; \
                 lower the one or raise the other"
            ),
            BuildError::LinkedClock => {
                f.write_str("a linked cache has its parents' clock; do not set another one")
            }
            BuildError::LinkedHasher => {
                f.write_str("a linked cache has its parents' hasher; do not set another one")
            }
            BuildError::NotLinked => f.write_str(
                "`touches_parent` and `max_children` need a link; call `children_of` first",
            ),
        }
    }
}

impl Error for BuildError {}
