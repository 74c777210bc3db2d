//! Address-stable slots: state word, key and value. Knows neither hashes nor time.
//!
//! A slot never moves and its memory is never freed before the slab is, so a stale id is always
//! safe to look at; the state word says whether it still means anything.

mod free;
#[cfg(all(test, loom))]
mod free_model;
mod slot;
mod state;

mod store;

#[cfg(all(test, not(shuttle)))]
pub(crate) use free::FIRST_ID;
pub(crate) use free::FreeList;
pub(crate) use slot::{Birth, Ext, Head, Inline, MAX_TERMS, Slot};
pub(crate) use state::{Flag, MAX_TICK, State};

pub(crate) use store::Slab;
