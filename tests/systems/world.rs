//! A day in one of the systems: users who come and go, linked caches, and the walk beside them.

use crate::random::Random;
use crate::walk::{Rule, TIMEOUT, Walk};
use idlewheel::{Cache, Clock, MockClock, SweepReport};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use zeroize::Zeroizing;

pub(crate) const USERS: u32 = 48;
/// In seconds: between sweeps.
const EVERY: u64 = 300;
const DAY: u64 = 8 * 3600;
/// Users are around or away for so long at a time, by chance.
const SPELL: u64 = 2500;

pub(crate) type Key = Zeroizing<[u8; 32]>;

pub(crate) struct World {
    rule: Rule,
    pub(crate) contexts: Cache<u32, u64>,
    pub(crate) keys: Cache<u32, Key>,
    pub(crate) walk: Walk,
    mock: MockClock,
    /// In seconds. Events are at whole seconds, so an expiry that is late by a part of one does
    /// not matter.
    pub(crate) now: u64,
    pub(crate) logins: u64,
    /// Logins at which the walk's map still held an earlier key.
    pub(crate) old_keys: u64,
    /// Keys that a new context found before it got its own.
    pub(crate) found_at_login: Vec<u64>,
    /// Other tests of the process count bytes, or must not be pinned while these sweep.
    _alone: MutexGuard<'static, ()>,
}

/// When a hook is called.
#[derive(Clone, Copy)]
pub(crate) enum Moment {
    /// After an event of this user.
    Step,
    /// After a sweep and a walk.
    Sweep(SweepReport),
}

/// A key whose bytes name its login.
pub(crate) fn key(login: u64) -> Key {
    let mut bytes = Zeroizing::new([0; 32]);
    bytes.chunks_exact_mut(8).for_each(|part| part.copy_from_slice(&login.to_le_bytes()));
    bytes
}

pub(crate) fn login_of(key: &Key) -> u64 {
    key.iter().take(8).rev().fold(0, |login, byte| (login << 8) | u64::from(*byte))
}

impl World {
    pub(crate) fn new(rule: Rule) -> World {
        static ONE: Mutex<()> = Mutex::new(());
        let alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (clock, mock) = Clock::mock();
        let timeout = Duration::from_secs(TIMEOUT);
        // Steps are seconds: with finer ticks an entry ends in the second of its deadline.
        let builder = Cache::builder().clock(clock).tick(Duration::from_millis(100));
        let contexts = match rule {
            Rule::Activity => builder.idle_timeout(timeout),
            Rule::Verification => builder.no_idle_timeout().absolute_timeout(timeout),
        }
        .build()
        .unwrap();
        let keys = Cache::builder().linked_to(&contexts).build().unwrap();
        World {
            rule,
            contexts,
            keys,
            walk: Walk::new(rule),
            mock,
            now: 0,
            logins: 0,
            old_keys: 0,
            found_at_login: Vec::new(),
            _alone: alone,
        }
    }

    /// Lives through a day, and through the time for all that it leaves to end.
    pub(crate) fn day(&mut self, seed: u64, mut hook: impl FnMut(&World, Moment)) {
        let mut random = Random(seed);
        let end = self.now + DAY;
        let mut sweep = self.now + EVERY;
        while self.now < end {
            self.pass(random.below(12), &mut sweep, &mut hook);
            let user = random.below(u64::from(USERS)) as u32;
            // A generator of its own, so that the spell is the same all the time.
            let spell = Random(seed ^ (self.now % DAY / SPELL) << 32 ^ u64::from(user)).next();
            if spell % 5 < 2 {
                continue;
            }
            match random.below(20) {
                0 | 1 => self.login(user),
                2 => self.logout(user),
                _ => self.visit(user),
            }
            hook(self, Moment::Step);
        }
        self.pass(TIMEOUT + 2 * EVERY, &mut sweep, &mut hook);
        // The next day starts at a sweep, too.
        self.pass(sweep - self.now, &mut sweep, &mut hook);
    }

    /// Lets time pass, with the sweeps and walks that fall due.
    fn pass(&mut self, seconds: u64, sweep: &mut u64, hook: &mut impl FnMut(&World, Moment)) {
        let to = self.now + seconds;
        while *sweep <= to {
            self.set(*sweep);
            let report = self.contexts.sweep();
            self.walk.clean_up(self.now);
            hook(self, Moment::Sweep(report));
            *sweep += EVERY;
        }
        self.set(to);
    }

    fn set(&mut self, now: u64) {
        self.now = now;
        self.mock.set(Duration::from_secs(now));
    }

    /// A request; who has no context logs in, which overwrites what the walk may still hold.
    fn visit(&mut self, user: u32) {
        // Activity, in both systems: only the one cares.
        let context = self.contexts.get(&user);
        assert_eq!(context, self.walk.live(user, self.now), "{:?}, user {user}", self.rule);
        if context.is_none() {
            return self.login(user);
        }
        assert_eq!(self.keys.get(&user).as_ref().map(login_of), context);
        self.walk.activity(user, self.now);
    }

    /// A new context and a new key, whatever was there.
    fn login(&mut self, user: u32) {
        self.logins += 1;
        self.contexts.remove(&user);
        self.contexts.insert(user, self.logins).unwrap();
        self.found_at_login.extend(self.keys.peek(&user).as_ref().map(login_of));
        self.keys.insert(user, key(self.logins)).unwrap();
        self.old_keys += u64::from(self.walk.held(user).1.is_some());
        self.walk.login(user, self.logins, self.now);
    }

    fn logout(&mut self, user: u32) {
        let was_there = self.walk.live(user, self.now).is_some();
        assert_eq!(self.contexts.remove(&user), was_there);
        self.walk.logout(user);
    }

    /// What a read finds: the logins of context and key. Touches nothing.
    pub(crate) fn found(&self, user: u32) -> (Option<u64>, Option<u64>) {
        (self.contexts.peek(&user), self.keys.peek(&user).as_ref().map(login_of))
    }

    /// Checks both caches after a day: nothing is left, every insertion has ended once, and every
    /// key with its context.
    pub(crate) fn check(&self) {
        let (contexts, keys) = (self.contexts.stats(), self.keys.stats());
        for stats in [contexts, keys] {
            assert_eq!(stats.inserted, stats.live + stats.removed.total(), "accounting");
            assert_eq!(stats.inserted, self.logins);
            assert_eq!((stats.live, stats.pending_reclamation, stats.panics), (0, 0, 0));
        }
        assert_eq!(keys.removed.cascade, self.logins, "{keys:?}");
        let ended = contexts.removed;
        match self.rule {
            Rule::Activity => assert!(ended.idle > 0 && ended.absolute == 0, "{ended:?}"),
            Rule::Verification => assert!(ended.absolute > 0 && ended.idle == 0, "{ended:?}"),
        }
        assert!(self.walk.is_empty());
        self.contexts.validate().expect("every structure agrees with every other");
        self.keys.validate().expect("every structure agrees with every other");
    }
}
