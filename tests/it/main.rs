//! Behaviour of the cache as its users see it. Each test ends with the validator.

mod api;
mod capacity;
mod concurrency;
mod conditional;
mod events;
mod everything;
mod expiry;
mod iteration;
mod lease;
mod lifecycle;
mod links;
mod loading;
mod panics;
#[path = "../random/mod.rs"]
mod random;
mod reclaim;
mod rekey;
mod siblings;
mod stats;
mod support;
mod sweep;
mod sweeper;
