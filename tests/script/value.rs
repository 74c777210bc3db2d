//! Values that know how many copies of them exist, and hashers from good to useless.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// Counts the copies of all values of one script.
#[derive(Default)]
pub(crate) struct Tally {
    copies: Mutex<Vec<i64>>,
    alive: AtomicI64,
    faults: AtomicU64,
}

impl Tally {
    /// A value with a new id.
    pub(crate) fn value(self: &Arc<Self>) -> Value {
        let mut copies = self.lock();
        let id = copies.len() as u64;
        copies.push(1);
        self.alive.fetch_add(1, Ordering::Relaxed);
        Value { id, check: Box::new(!id), tally: Arc::clone(self) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<i64>> {
        self.copies.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn copies(&self, id: u64) -> i64 {
        self.lock()[id as usize]
    }

    /// Copies of all values.
    pub(crate) fn alive(&self) -> i64 {
        self.alive.load(Ordering::Relaxed)
    }

    /// Values that were dropped twice or whose content was not theirs.
    pub(crate) fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }

    fn change(&self, id: u64, by: i64) {
        let mut copies = self.lock();
        copies[id as usize] += by;
        self.alive.fetch_add(by, Ordering::Relaxed);
        if copies[id as usize] < 0 {
            self.fault();
        }
    }

    fn fault(&self) {
        self.faults.fetch_add(1, Ordering::Relaxed);
    }
}

/// A value with an identity. A read of freed memory shows in `check`, or in the sanitizer.
pub(crate) struct Value {
    pub(crate) id: u64,
    check: Box<u64>,
    tally: Arc<Tally>,
}

impl Value {
    fn look(&self) {
        if *self.check != !self.id {
            self.tally.fault();
        }
    }
}

impl Clone for Value {
    fn clone(&self) -> Self {
        self.look();
        self.tally.change(self.id, 1);
        Value { id: self.id, check: self.check.clone(), tally: Arc::clone(&self.tally) }
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.look();
        self.tally.change(self.id, -1);
    }
}

/// How well keys are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hashing {
    Spread,
    Identity,
    /// All keys collide.
    Constant,
    /// The key in the upper 16 bits.
    TopBits,
    /// Three bits of the key.
    LowBits,
}

impl BuildHasher for Hashing {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        Mixer { hashing: *self, hash: 0 }
    }
}

pub(crate) struct Mixer {
    hashing: Hashing,
    hash: u64,
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().rev() {
            self.hash = (self.hash << 8) | u64::from(*byte);
        }
    }

    fn finish(&self) -> u64 {
        match self.hashing {
            Hashing::Spread => self.hash.wrapping_add(7).wrapping_mul(0xD6E8_FEB8_6659_FD93),
            Hashing::Identity => self.hash,
            Hashing::Constant => 42,
            Hashing::TopBits => self.hash << 48,
            Hashing::LowBits => self.hash & 7,
        }
    }
}
