//! What was found wrong.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// More of them say no more.
const MOST: usize = 20;

#[derive(Default)]
pub(crate) struct Faults {
    told: Mutex<Vec<String>>,
    exist: AtomicBool,
}

impl Faults {
    #[cold]
    pub(crate) fn tell(&self, fault: String) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < MOST {
            told.push(fault);
        }
        self.exist.store(true, Ordering::Relaxed);
    }

    /// Tells of a fault unless `holds`.
    pub(crate) fn expect(&self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.tell(fault());
        }
    }

    pub(crate) fn exist(&self) -> bool {
        self.exist.load(Ordering::Relaxed)
    }

    pub(crate) fn into_told(self) -> Vec<String> {
        self.told.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
