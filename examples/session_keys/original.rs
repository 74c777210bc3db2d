//! What the cache replaces: two maps, a time in each value, and a timer that walks every entry.

use std::collections::HashMap;

/// Half an hour, in seconds.
pub(crate) const TIMEOUT: u32 = 30 * 60;

/// From when a context's time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// `lastActivityAt`.
    Idle,
    /// `verifiedAt`.
    Verified,
}

/// A context as the original keeps it.
#[derive(Clone, Copy)]
struct Context {
    /// The number of the login that made it.
    login: u64,
    /// `lastActivityAt`, or `verifiedAt`.
    at: u32,
}

/// Serves what its maps hold, ended or not, until the timer has walked them.
pub(crate) struct Original {
    policy: Policy,
    /// `userContexts`, or `verifiedSessions`.
    contexts: HashMap<u32, Context>,
    /// `sessionEncryptions`, with the login that each key is of.
    keys: HashMap<u32, u64>,
}

impl Original {
    pub(crate) fn new(policy: Policy) -> Original {
        Original { policy, contexts: HashMap::new(), keys: HashMap::new() }
    }

    /// Overwrites whatever is there, ended or not.
    pub(crate) fn login(&mut self, user: u32, login: u64, now: u32) {
        self.contexts.insert(user, Context { login, at: now });
        self.keys.insert(user, login);
    }

    /// Activity of a user whose context is there.
    pub(crate) fn touch(&mut self, user: u32, now: u32) {
        if let (Policy::Idle, Some(context)) = (self.policy, self.contexts.get_mut(&user)) {
            context.at = now;
        }
    }

    /// The key stays for the timer to find.
    pub(crate) fn logout(&mut self, user: u32) {
        self.contexts.remove(&user);
    }

    /// The timer: every context, then every key. Returns how many entries it looked at.
    pub(crate) fn walk(&mut self, now: u32) -> u64 {
        let visited = self.contexts.len() + self.keys.len();
        self.contexts.retain(|_, context| now - context.at <= TIMEOUT);
        self.keys.retain(|user, _| self.contexts.contains_key(user));
        visited as u64
    }

    /// The login of a user's context, if by the rule it has not ended.
    pub(crate) fn live(&self, user: u32, now: u32) -> Option<u64> {
        let context = self.contexts.get(&user)?;
        (now - context.at <= TIMEOUT).then_some(context.login)
    }

    /// The last second of a user's context.
    pub(crate) fn deadline(&self, user: u32) -> Option<u32> {
        self.contexts.get(&user).map(|context| context.at + TIMEOUT)
    }

    /// The logins of the context and of the key that a read finds, ended or not.
    pub(crate) fn held(&self, user: u32) -> (Option<u64>, Option<u64>) {
        (self.contexts.get(&user).map(|context| context.login), self.keys.get(&user).copied())
    }

    /// How many contexts and keys it holds.
    pub(crate) fn sizes(&self) -> [u64; 2] {
        [self.contexts.len() as u64, self.keys.len() as u64]
    }
}
