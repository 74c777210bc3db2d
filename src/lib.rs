#![cfg_attr(loom, allow(dead_code, unused_imports))]
#![doc = "idlewheel"]

mod segments;
mod sync;

mod index;
mod reclaim;
mod slab;
mod wheel;

#[cfg(not(loom))]
mod builder;
#[cfg(not(loom))]
mod cache;
#[cfg(not(loom))]
mod clock;
#[cfg(not(loom))]
mod core;
#[cfg(not(loom))]
mod error;
#[cfg(not(loom))]
mod expiry;
#[cfg(not(loom))]
mod pinned;
#[cfg(not(loom))]
mod stats;
#[cfg(not(loom))]
mod sweep;
#[cfg(not(loom))]
mod sweeper;

#[cfg(not(loom))]
pub use crate::{
    builder::Builder,
    cache::{Cache, Inserted},
    clock::{Clock, MockClock},
    error::{BuildError, InsertError, InsertErrorKind},
    expiry::{Remaining, Timeouts},
    pinned::Pinned,
    stats::{RemovalCause, Removed, Stats},
    sweep::{SweepBudget, SweepReport},
    sweeper::{Sweeper, SweeperBuilder},
};
#[cfg(not(loom))]
pub use ahash::RandomState;
