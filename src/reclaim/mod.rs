//! Grace periods and the limbo: when a removed slot may be erased, and which ones wait for it.
//!
//! A removed slot's bit is set in the [`Limbo`]; a sweeping or flushing thread collects the bits,
//! waits for one grace period of its own, and then drops the values itself, outside of any pin. So
//! no value is dropped in a reader, and none waits in a thread that went idle.

pub(crate) mod barrier;
mod limbo;
mod readers;

#[cfg(not(loom))]
mod garbage;
#[cfg(not(loom))]
mod grace;

#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, loom))]
mod readers_model;

pub(crate) use limbo::Limbo;

#[cfg(all(test, loom))]
pub(crate) use readers::Readers;

#[cfg(not(loom))]
pub(crate) use grace::{Patience, Pin, grace_period, has_garbage, pin};

#[cfg(loom)]
mod played;
#[cfg(loom)]
pub(crate) use played::{Patience, Pin, grace_period, has_garbage, pin, take_number};
