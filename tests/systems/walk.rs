//! The pattern that the cache replaces: maps with times, and a timer that walks every entry.

use std::collections::BTreeMap;

/// In seconds.
pub(crate) const TIMEOUT: u64 = 30 * 60;

/// What a context's time counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The last activity: `userContexts`.
    Activity,
    /// The verification: `verifiedSessions`.
    Verification,
}

pub(crate) struct Walk {
    rule: Rule,
    /// By user: the login, and the time that counts.
    contexts: BTreeMap<u32, (u64, u64)>,
    /// By user: the login that the key is of.
    keys: BTreeMap<u32, u64>,
}

impl Walk {
    pub(crate) fn new(rule: Rule) -> Self {
        Walk { rule, contexts: BTreeMap::new(), keys: BTreeMap::new() }
    }

    /// Overwrites what is there.
    pub(crate) fn login(&mut self, user: u32, login: u64, now: u64) {
        self.contexts.insert(user, (login, now));
        self.keys.insert(user, login);
    }

    pub(crate) fn activity(&mut self, user: u32, now: u64) {
        if let (Rule::Activity, Some((_, at))) = (self.rule, self.contexts.get_mut(&user)) {
            *at = now;
        }
    }

    /// The key waits for the timer.
    pub(crate) fn logout(&mut self, user: u32) {
        self.contexts.remove(&user);
    }

    /// The timer.
    pub(crate) fn clean_up(&mut self, now: u64) {
        self.contexts.retain(|_, (_, at)| now - *at <= TIMEOUT);
        self.keys.retain(|user, _| self.contexts.contains_key(user));
    }

    /// What a read finds, ended or not: the logins of context and key.
    pub(crate) fn held(&self, user: u32) -> (Option<u64>, Option<u64>) {
        (self.contexts.get(&user).map(|(login, _)| *login), self.keys.get(&user).copied())
    }

    /// The login of a context that has not ended.
    pub(crate) fn live(&self, user: u32, now: u64) -> Option<u64> {
        let (login, at) = self.contexts.get(&user)?;
        (now - at <= TIMEOUT).then_some(*login)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.contexts.is_empty() && self.keys.is_empty()
    }
}
