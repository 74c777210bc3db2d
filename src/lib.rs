//! A concurrent cache for entries that die of idleness: user sessions, verified identities,
//! per-session keys.
//!
//! ```
//! use idlewheel::{Cache, Sweeper};
//!
//! let sessions: Cache<String, u64> = Cache::new(); // entries live for 30 idle minutes
//! let sweeper = Sweeper::builder().watch(&sessions).spawn()?; // swept every 5 minutes
//!
//! sessions.insert("4f1c".to_owned(), 7)?;
//! assert_eq!(sessions.get("4f1c"), Some(7)); // and lives for another 30 minutes
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! * [Overview](#overview)
//! * [Quick start](#quick-start)
//! * [Expiry](#expiry): [sweeping](#sweeping), [time](#time),
//!   [testing your timeouts](#testing-your-timeouts)
//! * [Linked caches](#linked-caches)
//! * [Consistency](#consistency)
//! * [Memory and erasure](#memory-and-erasure)
//! * [Cost](#cost)
//! * [Limits](#limits)
//! * [Features](#features)
//!
//! # Overview
//!
//! Servers keep maps by session id. Nothing removes an entry when its user just goes quiet, so
//! memory grows until the process dies. The usual cure, a timer that walks every entry every five
//! minutes, costs O(n), and often blocks the map meanwhile. It is also forgotten for one of the
//! maps, so that keys outlive the sessions that they protected.
//!
//! Here the map and a timing wheel are one structure. A lookup moves its entry's deadline, mostly
//! without a write to memory that threads share; a sweep visits the entries that are due and no
//! others, however many there are and however recently they were touched.
//!
//! # Quick start
//!
//! A [`Cache`] is a handle: clone it into every thread and task. [`Cache::builder`] has the
//! settings.
//!
//! | you want | you call |
//! |---|---|
//! | a value, and its session to stay | [`get`](Cache::get), [`get_with`](Cache::get_with), [`touch`](Cache::touch) |
//! | to look without keeping it | [`peek`](Cache::peek), [`contains_key`](Cache::contains_key), [`remaining`](Cache::remaining) |
//! | several at once, by reference | [`pin`](Cache::pin), [`Pinned::get_many`] |
//! | to create or replace | [`insert`](Cache::insert), [`insert_new`](Cache::insert_new), [`insert_with`](Cache::insert_with) timeouts |
//! | to change what is there, and never create | [`update`](Cache::update), [`modify`](Cache::modify), [`replace_if`](Cache::replace_if) |
//! | to load what is missing, once | [`get_or_insert_with`](Cache::get_or_insert_with), [`get_or_insert_async`](Cache::get_or_insert_async), [`entry`](Cache::entry) |
//! | to end it | [`remove`](Cache::remove), [`take`](Cache::take), [`remove_if`](Cache::remove_if), [`retain`](Cache::retain), [`clear`](Cache::clear), [`drain`](Cache::drain) |
//! | it to last while a stream is open | [`hold`](Cache::hold) |
//! | other deadlines | [`renew`](Cache::renew), [`set_timeouts`](Cache::set_timeouts), [`promote`](Cache::promote) |
//! | another session id after login | [`rekey`](Cache::rekey) |
//! | a limit | [`max_entries`](Builder::max_entries), [`max_children`](Builder::max_children), [`CapacityPolicy`] |
//! | to hear what ended, and why | [`on_removal`](Builder::on_removal) |
//! | numbers | [`stats`](Cache::stats), [features](#features) `metrics` and `tracing` |
//!
//! # Expiry
//!
//! An entry is live while `now - last activity <= idle timeout` and `now - creation <= absolute
//! timeout`. Either may be absent, and either may differ [per entry](Cache::insert_with).
//!
//! * Never early, and late by at most two ticks. A tick is at most 1/1024 of the shortest timeout
//!   and at most 1.07 s: so late by 2.1 s for 30 minutes, and by 17 ms for 10 s. [`Builder::tick`]
//!   asks for less. No lookup ever returns an expired entry, whether or not it was swept.
//! * `get`, `get_with`, `get_many`, `touch`, and whatever changes an entry are activity; `peek`,
//!   `contains_key`, `remaining`, iterators and conditions are not.
//! * Nothing but [`Cache::renew`], [`Cache::set_timeouts`], [`Cache::promote`] and
//!   [`Cache::insert_with`] moves an absolute deadline. [`Cache::insert`] on a live key replaces
//!   the value and keeps the entry's creation time; [`Cache::update`] never creates one.
//! * While somebody [holds](Cache::hold) an entry it is not idle; it still gets too old.
//! * What has died stays dead: a key inserted again is a new entry.
//!
//! ## Sweeping
//!
//! No thread starts unless you start it. A [`Sweeper`] is one thread for many caches, every five
//! minutes by default; it holds an [`Upkeep`], which is one thread of the process. Or call
//! [`Cache::sweep`] where it suits you, with a [budget](Cache::sweep_within) if it must be short.
//! Without any, reads stay exact, but the memory of entries that nobody asks for again is not given
//! back.
//!
//! An expired entry is removed by the first sweep that starts later than its deadline plus 1/32 of
//! its shortest timeout, or plus the lateness asked by [`Builder::tick`] if that is longer. (By the
//! system clock an entry with timeouts of its own may take one tick more.) A sweep visits no
//! survivors as long as sweeps start at most 3/4 of the shortest timeout apart.
//!
//! ## Time
//!
//! [`Clock::system`] reads the processor's counter, for 10 to 25 ns a lookup. While a [`Sweeper`] or
//! an [`Upkeep`] runs, one thread publishes the time, and a lookup reads one word instead, for about
//! 1 ns. That thread runs nothing else, so your code cannot stop it; [`Upkeep`] says what happens if
//! the system does. [`Clock::from_fn`] takes any other time.
//!
//! ## Testing your timeouts
//!
//! Hand the cache a mock clock and move it:
//!
//! ```
//! use idlewheel::{Cache, Clock};
//! use std::time::Duration;
//!
//! let minute = Duration::from_secs(60);
//! let (clock, mock) = Clock::mock();
//! let sessions = Cache::builder().idle_timeout(15 * minute).clock(clock).build()?;
//! sessions.insert("alice", 1)?;
//! mock.advance(15 * minute);
//! assert!(sessions.touch("alice"), "at its timeout an entry is live");
//! mock.advance(16 * minute);
//! assert!(!sessions.touch("alice"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Linked caches
//!
//! A server keeps more than one map by session: contexts, verified logins, encryption keys. When a
//! context dies its keys should die with it, in every map, however it died. Link the caches:
//!
//! ```
//! use idlewheel::{Cache, Sweeper};
//!
//! let contexts: Cache<String, u64> = Cache::new();
//! let keys: Cache<String, [u8; 32]> = Cache::builder().linked_to(&contexts).build()?;
//! let sweeper = Sweeper::builder().watch(&contexts).spawn()?; // and what is linked with it
//!
//! contexts.insert("alice".to_owned(), 1)?;
//! keys.insert("alice".to_owned(), [7; 32])?;
//! contexts.remove("alice"); // or it expires, or its cache is cleared or dropped
//! assert_eq!(keys.get("alice"), None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ```text
//!   users                     sessions                   keys
//!   .children_of(&users) ---> .linked_to(&sessions) ---> ...
//!
//!   alice <----- parent ----- 17 <------- parent ------- 17
//!     ^--------- parent ----- 18 <------- parent ------- 18
//!
//!   A read of key 17 looks at its own state, then session 17's, then alice's.
//!   A sweep goes the other way: a dead parent's children are removed before its slot is reused.
//! ```
//!
//! * [`Builder::linked_to`]: parent and child have the **same key** (or, with
//!   [`Builder::linked_by`], keys that a function translates). One child per parent and cache.
//! * [`Builder::children_of`]: the parent is **named** at each [`Cache::insert_linked`], and may
//!   have any number of children. [`Cache::children`] lists them.
//!
//! Links are declared when a cache is built, so they form trees of caches, never cycles.
//!
//! **Logging out everywhere** needs nothing else: let sessions be the children of users, and remove
//! the user.
//!
//! ## What is guaranteed
//!
//! * The exchange that ends a parent ends all its descendants, in all caches, at that instant. A
//!   read of a child that starts after a `get` of its parent missed, or after `remove` returned,
//!   misses. Time counts too: past its parent's deadline a child is unreadable, swept or not.
//! * A child belongs to one *incarnation* of its parent. Replacing the parent's value keeps it;
//!   a parent that was removed and inserted again does not inherit it.
//! * Without a live parent nothing is inserted: [`InsertErrorKind::ParentGone`] returns the value.
//! * Every child that dies of its parent is counted once, as [`RemovalCause::Cascade`].
//! * Reading a child does not keep its parent alive, unless [`Builder::touches_parent`] asks for
//!   it; and then not past the parent's absolute deadline.
//!
//! ## What happens in a race
//!
//! | while a parent dies, another thread | and then |
//! |---|---|
//! | inserts a child | gets `ParentGone`; or `Ok`, as if just before the death, and the child is dead |
//! | reads a child | hits if the child's state was read before the death, else misses |
//! | inserts the parent anew, and a child | the cascade of the old parent leaves both alone |
//! | sweeps | each child is removed once, by one of the sweeps |
//! | drops the last handle of the parents' cache | its values are dropped then; the children are unreadable when `drop` returns, and dropped as soon as no reader is pinned |
//!
//! ## What it costs
//!
//! A read of a child looks at one more word for each level of parents, and writes nothing. A
//! cascade is O(children), in the budget of the sweep that does it, and resumed by the next one. It
//! runs none of your code, so it cannot be stopped by a panic. A child costs 16 bytes more than
//! another entry if it shares its parent's key, else 40. A sweep or flush of one cache does all
//! that it is linked with; in a linked cache an idle timeout is off unless you set one.
//!
//! # Consistency
//!
//! Each operation on one key is linearizable, with the clock read inside the call. So is
//! [`Cache::rekey`] for its two keys. [`Cache::len`], [`Cache::stats`], iterators,
//! [`Cache::retain`] and [`Cache::clear`] pass over many keys, one after the other.
//!
//! Lookups, inserts, removals, sweeps and the growth of the index are lock-free: a thread that is
//! suspended anywhere inside of one stops no other thread. Excluded are the allocator, your own
//! code (`Hash`, `Eq`, `Clone`, `Drop`, closures, listeners), the registration of a new thread's
//! first lookup, and loads: a thread that wants a value which another one is
//! [loading](Entry::or_insert_with) waits for it. A suspended reader delays the return of memory,
//! never progress.
//!
//! Your code never runs while anything is half changed. If it panics, the cache stays as it was or
//! as it should be, and nothing is switched off.
//!
//! # Memory and erasure
//!
//! A removed value is invisible at once, and dropped by the next sweep, [`Cache::flush`], or, when
//! many wait, by a thread that inserts or removes, at most 256 of them in one call: never inside a
//! reader, and not by some other thread at some other time. Readers hold it back while they run: a
//! closure of [`Cache::get_with`], a [`Pinned`]; of this cache or any other in the process, for they
//! share their grace periods. A `Pinned` that is leaked holds back everything for ever. Dropping the
//! cache drops every value. So a value that wipes itself when dropped is wiped in time;
//! [`Stats::drop_lag`] says how late. An update writes the new value to a place of its own; values
//! are never moved once they are readable. Just before it is dropped, a value is shown to the
//! [removal listener](Builder::on_removal).
//!
//! Slots of removed entries are reused; memory follows the largest number of entries that lived at
//! a time. `Debug` prints neither keys nor values, and the default hasher is keyed per cache from
//! the operating system's randomness.
//!
//! # Cost
//!
//! | | |
//! |---|---|
//! | a hit | no write to shared memory; an entry's first in a tick is one compare-and-swap |
//! | an insert, a removal | together some 20 locked instructions; may drop what others removed |
//! | a sweep | O(expired), and one load per 4096 slots and bucket passed |
//! | an entry | key and value in their places, and some 45 bytes (measured at 1,000,000 entries) |
//! | a link by key; a named parent | 16 bytes; 40 bytes. A read looks at one more word per level |
//! | timeouts of its own, a lease, another key | some 120 bytes; lookups search twice |
//! | a bound ([`max_entries`](Builder::max_entries)) | one more shared word per insert and removal |
//! | a listener | a call per removal, and a clone of the key per replaced value |
//! | a load | a lock that only loads take; removals look at one more word once there was a load |
//!
//! Measured figures, and the cases in which others are faster, are in the README.
//!
//! # Limits
//!
//! * [`Builder::max_entries`] bounds the number of entries, not their size. Expired entries make
//!   room first; children whose parents have died count until a read, a sweep or a flush meets
//!   them.
//! * At most 2^32 slots in use (by entries, values that replaced another one, other keys) or
//!   waiting for their readers, less the 4096 (or the power of two that you reserve) that come
//!   first; then inserts return [`InsertErrorKind::Full`] with the value.
//! * A load waits for one of the same key, and so of another key with the same 32 bits of hash.
//! * After `fork` in a process with threads, the child must not use a cache. (Time goes on there:
//!   see [`Upkeep`].)
//! * Time is counted in 36 bits of ticks from the creation of the cache: see [`Builder::tick`].
//!
//! # Features
//!
//! None is on by default; without them the crate depends on `ahash`, `crossbeam-epoch`,
//! `crossbeam-utils` and `quanta`.
//!
//! * `metrics`: every sweep publishes the counters of its caches through the
//!   [`metrics`](https://docs.rs/metrics) facade, labelled with the [name](Builder::name) of the
//!   cache: `idlewheel_inserts_total`, `idlewheel_removals_total{cause}`,
//!   `idlewheel_requests_total{result}` (with [`Builder::record_stats`]),
//!   `idlewheel_expired_on_read_total`, `idlewheel_rejected_total`, `idlewheel_panics_total`,
//!   `idlewheel_sweeps_total`; the gauges `idlewheel_entries` and `idlewheel_pending_reclamation`;
//!   the histograms `idlewheel_sweep_duration_seconds`, `idlewheel_expiry_lag_seconds` and
//!   `idlewheel_erasure_lag_seconds` (these two by the buckets of [`Lag`]).
//! * `tracing`: sweeps at debug level, caught panics at warn level, with the name of the cache.
//!   Never a key or a value.
//! * `tokio`: [`SweeperBuilder`]`::run`, the sweeper as a tokio task. (On other runtimes use
//!   [`SweeperBuilder::run_with`], which needs no feature.)

#![cfg_attr(loom, allow(dead_code, unused_imports, clippy::modulo_one))]

mod flights;
mod pool;
mod retries;
mod segments;
mod sync;

mod index;
mod link;
mod reclaim;
mod slab;
mod wheel;

mod builder;
mod cache;
mod capacity;
mod clock;
mod conditional;
mod core;
mod deadlines;
mod entry;
mod error;
mod expiry;
mod iter;
mod lag;
mod lease;
mod linked;
mod listener;
mod load;
mod pinned;
mod rekey;
mod stats;
mod sweep;
mod sweeper;
mod telemetry;
mod weak;

#[cfg(all(test, any(loom, shuttle)))]
mod model;

#[cfg(retries)]
#[doc(hidden)]
pub use crate::retries::retries;
#[cfg(all(steps, not(any(loom, shuttle))))]
#[doc(hidden)]
pub mod steps;
pub use crate::{
    builder::Builder,
    cache::{Cache, Inserted},
    capacity::CapacityPolicy,
    clock::{Clock, MockClock, Upkeep},
    entry::Entry,
    error::{BuildError, InsertError, InsertErrorKind, LoadError, RekeyError},
    expiry::{Remaining, Timeouts},
    iter::{Drain, Iter, Keys, PinnedIter},
    lag::Lag,
    lease::Lease,
    pinned::Pinned,
    stats::{RemovalCause, Removed, Stats, SweepTotals},
    sweep::{SweepBudget, SweepReport},
    sweeper::{Sweeper, SweeperBuilder},
    weak::WeakCache,
};
pub use ahash::RandomState;
