//! The same system on linked caches.

use crate::meter::Account;
use crate::original::{Policy, TIMEOUT};
use idlewheel::{BuildError, Cache, Clock, InsertErrorKind, Inserted, Stats, SweepReport};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// What a context holds: the number of the login that made it.
type Context = u64;

/// How late an expiry may be: fine enough to be told apart from the next second's.
const LATE: Duration = Duration::from_millis(100);

/// Wiped when it is dropped.
pub(crate) struct Key {
    secret: Zeroizing<[u8; 32]>,
    /// Tells whoever holds its other end when the key is dropped.
    _tag: Option<Arc<()>>,
}

impl Key {
    /// The key of a login. Its bytes name the login, so a reader sees whose key it got.
    pub(crate) fn new(login: u64, tag: Option<Arc<()>>) -> Key {
        let mut secret = Zeroizing::new([0; 32]);
        for part in secret.chunks_exact_mut(8) {
            part.copy_from_slice(&login.to_le_bytes());
        }
        Key { secret, _tag: tag }
    }

    fn login(&self) -> u64 {
        self.secret.iter().take(8).rev().fold(0, |login, byte| (login << 8) | u64::from(*byte))
    }
}

pub(crate) struct Ours {
    contexts: Cache<String, Context>,
    keys: Cache<String, Key>,
    /// What all caches take of the heap. One account: what one of them gives back may be freed in
    /// a call of another, for they share their grace periods.
    memory: Memory,
}

pub(crate) type Memory = Rc<RefCell<Account>>;

impl Ours {
    pub(crate) fn new(policy: Policy, clock: Clock, memory: Memory) -> Result<Ours, BuildError> {
        let timeout = Duration::from_secs(u64::from(TIMEOUT));
        let (contexts, keys) = memory.borrow_mut().charge(|| {
            let builder = Cache::builder().clock(clock).tick(LATE);
            let contexts = match policy {
                Policy::Idle => builder.idle_timeout(timeout),
                Policy::Verified => builder.no_idle_timeout().absolute_timeout(timeout),
            }
            .build()?;
            let keys = Cache::builder().linked_to(&contexts).build()?;
            Ok::<_, BuildError>((contexts, keys))
        })?;
        Ok(Ours { contexts, keys, memory })
    }

    /// A request: the logins of the context and of the key that it finds. The context is touched.
    pub(crate) fn visit(&self, user: &str) -> (Option<u64>, Option<u64>) {
        let Ours { contexts, keys, memory } = self;
        memory.borrow_mut().charge(|| (contexts.get(user), keys.get_with(user, Key::login)))
    }

    /// The same without a touch, though what it finds ended it removes. The key is read first: the
    /// read of an ended context would end it for the key, too.
    pub(crate) fn peek(&self, user: &str) -> (Option<u64>, Option<u64>) {
        let Ours { contexts, keys, memory } = self;
        memory.borrow_mut().charge(|| {
            let key = keys.pin().peek(user).map(Key::login);
            (contexts.peek(user), key)
        })
    }

    /// A new context with a new key: the former context ends, and its key with it. Returns the
    /// login of the key that was there for the new context before its own came.
    pub(crate) fn login(&self, user: &str, login: u64, key: Key) -> Result<Option<u64>, String> {
        let Ours { contexts, keys, memory } = self;
        memory.borrow_mut().charge(|| {
            contexts.remove(user);
            let context = contexts.insert(user.to_owned(), login);
            let former = keys.pin().peek(user).map(Key::login);
            let key = keys.insert(user.to_owned(), key);
            match (context, key) {
                (Ok(Inserted::New), Ok(Inserted::New)) => Ok(former),
                (context, key) => Err(format!(
                    "{user}: inserted {context:?} and {:?}",
                    key.map_err(|error| error.kind())
                )),
            }
        })
    }

    /// Whether a key without a context is refused, as it has to be.
    pub(crate) fn refuses(&self, user: &str, key: Key) -> bool {
        let refused = self.memory.borrow_mut().charge(|| self.keys.insert(user.to_owned(), key));
        refused.is_err_and(|error| error.kind() == InsertErrorKind::ParentGone)
    }

    pub(crate) fn logout(&self, user: &str) {
        let Ours { contexts, memory, .. } = self;
        memory.borrow_mut().charge(|| contexts.remove(user));
    }

    /// One sweep serves both caches: they are a family.
    pub(crate) fn sweep(&self) -> SweepReport {
        let Ours { contexts, memory, .. } = self;
        memory.borrow_mut().charge(|| contexts.sweep())
    }

    fn stats(&self) -> [Stats; 2] {
        [self.contexts.stats(), self.keys.stats()]
    }

    /// What is wrong with the caches themselves, at rest and with nothing left in them.
    pub(crate) fn fault(&self) -> Option<String> {
        let [contexts, keys] = self.stats();
        for (name, stats) in [("contexts", contexts), ("keys", keys)] {
            let Stats { inserted, live, removed, pending_reclamation: pending, panics, .. } = stats;
            if inserted != live + removed.total() || live + pending + panics > 0 {
                return Some(format!("{name}: {stats:?}"));
            }
        }
        let ended = contexts.removed.total();
        if keys.removed.cascade != ended || keys.removed.total() != ended {
            return Some(format!("{ended} contexts ended, and of keys {:?}", keys.removed));
        }
        self.contexts.validate().err().or_else(|| self.keys.validate().err())
    }

    /// Bytes by which two measurements of the empty caches may differ; see the summary.
    pub(crate) fn slack(&self) -> u64 {
        let buckets = |census: Result<u64, String>| census.unwrap_or(0);
        let contexts = buckets(self.contexts.validate().map(|census| census.buckets));
        let keys = buckets(self.keys.validate().map(|census| census.buckets));
        // As many overflow lines as a table gathers before it is rebuilt: one in eight buckets.
        (contexts + keys) / 8 * 80
    }
}
