//! Errors, each saying what to do about it.

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
    /// All slots are in use, by live entries or by removed ones that nobody flushed or that a
    /// stalled reader still pins. Flush, and try again.
    Full,
}

impl<V> InsertError<V> {
    pub(crate) fn new(kind: InsertErrorKind, value: V) -> Self {
        InsertError { kind, value }
    }

    /// What kept the value out.
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
        f.write_str(match self.kind {
            InsertErrorKind::Exists => "the key exists already; use `insert` to replace its value",
            InsertErrorKind::Missing => "the key does not exist; use `insert` to create it",
            InsertErrorKind::Full => {
                "all slots are in use; flush or sweep, remove entries, or end long-held pins"
            }
        })
    }
}

impl<V> Error for InsertError<V> {}

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
        }
    }
}

impl Error for BuildError {}
