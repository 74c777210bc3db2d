//! A thread that serves requests, and checks each answer.

use crate::Soak;
use crate::args::Options;
use crate::caches::{IDLE, Id};
use crate::load::{Load, Request};
use crate::meter::Account;
use crate::values::{Held, Kind};
use crate::{STAGE, STAGES};
use idlewheel::{InsertError, Inserted};
use std::collections::VecDeque;
use std::sync::atomic::Ordering;

/// Requests of a session, in the mean.
const REQUESTS: f64 = 2.86;
/// The load ends after the soak, whenever that is.
const DAYS: f64 = 1e6;
/// Requests until a thread looks for a session of another one.
const LOOK_EVERY: u64 = 16;

pub(crate) struct Worker<'a> {
    soak: &'a Soak,
    number: usize,
    load: Load,
    next: Option<Request>,
    /// The minute that it has come to.
    minute: u64,
    account: Account,
    /// Some of the sessions that have ended, and the minute from which on they must be gone.
    ended: VecDeque<(u64, Id)>,
}

impl<'a> Worker<'a> {
    pub(crate) fn new(soak: &'a Soak, options: &Options, number: usize) -> Worker<'a> {
        // A little more than asked for: the last evening is left out, and chance takes some away.
        let requests_a_day = 1.03 * options.operations as f64 * 1440.0 / (STAGES * STAGE) as f64;
        let sessions_a_day = requests_a_day / REQUESTS / options.threads as f64;
        let seed = options.seed.wrapping_mul(1_000_003).wrapping_add(number as u64);
        let mut load = Load::new((sessions_a_day * DAYS) as u64, DAYS, seed);
        let next = load.next();
        let (account, ended) = (Account::default(), VecDeque::new());
        Worker { soak, number, load, next, minute: 0, account, ended }
    }

    /// What its calls of the caches have allocated, less what they have freed.
    pub(crate) fn bytes(&self) -> isize {
        self.account.bytes()
    }

    /// Serves all that comes before the minute `end`.
    pub(crate) fn work_until(&mut self, end: u64) {
        while let Some(request) = self.next {
            let minute = request.at.as_secs() / 60;
            if minute >= end {
                break;
            }
            if minute > self.minute {
                self.enter(minute);
            }
            self.serve(&request);
            self.next = self.load.next();
        }
        self.enter(end);
    }

    fn enter(&mut self, minute: u64) {
        self.minute = minute;
        let now = self.soak.pace.arrive(self.number, minute);
        while self.ended.front().is_some_and(|(from, _)| *from <= now) {
            if let Some((_, id)) = self.ended.pop_front() {
                self.expect_gone(&id, "its idle timeout");
            }
        }
    }

    fn serve(&mut self, request: &Request) {
        let id = &request.key;
        let requests = self.tally().requests.fetch_add(1, Ordering::Relaxed);
        if request.is_first {
            self.begin(id);
        } else {
            self.go_on(id);
        }
        if request.is_last {
            self.end(id);
        }
        if requests.is_multiple_of(LOOK_EVERY) {
            self.look_at_another();
        }
    }

    fn begin(&mut self, id: &Id) {
        let (soak, tally) = (self.soak, &self.soak.tallies[self.number]);
        let answers = self.account.charge(|| {
            tally.sessions.count(|| {
                let session = soak.caches.sessions.insert(*id, Held::new(Kind::Session, id));
                let key = soak.caches.keys.insert(*id, Held::new(Kind::Key, id));
                [session, key].map(|answer| answer.map_err(|refused| refused.kind()))
            })
        });
        tally.publish(id);
        let are_new = answers.iter().all(|answer| matches!(answer, Ok(Inserted::New)));
        soak.faults.expect(are_new, || format!("a new session was answered {answers:?}"));
    }

    /// A request of a session that is there.
    fn go_on(&mut self, id: &Id) {
        let (soak, tally) = (self.soak, &self.soak.tallies[self.number]);
        let caches = &soak.caches;
        let found = self.account.charge(|| {
            let session = caches.sessions.get_with(id, |held| held.is(Kind::Session, id));
            let key = caches.keys.get_with(id, |held| held.is(Kind::Key, id));
            [session, key]
        });
        soak.faults.expect(found == [Some(true); 2], || {
            format!("a session in use was found {found:?}, minute {}", self.minute)
        });
        if id[0].is_multiple_of(32) {
            let rotate = || caches.keys.update(id, Held::new(Kind::Key, id));
            let rotated = self.account.charge(|| tally.rotations.count(rotate));
            let refused = rotated.map_err(|refused: InsertError<Held>| refused.kind());
            soak.faults.expect(refused.is_ok(), || format!("a new key was refused: {refused:?}"));
        }
    }

    /// The session has no further requests: it logs out, or goes idle.
    fn end(&mut self, id: &Id) {
        let (soak, tally) = (self.soak, &self.soak.tallies[self.number]);
        if id[1].is_multiple_of(8) {
            let log_out = || soak.caches.sessions.remove(id);
            let removed = self.account.charge(|| tally.logouts.count(log_out));
            soak.faults.expect(removed, || "a session in use could not log out".into());
            self.expect_gone(id, "its logout");
        } else if id[2].is_multiple_of(16) {
            self.ended.push_back((self.minute + IDLE + 1, *id));
        }
    }

    fn expect_gone(&mut self, id: &Id, cause: &str) {
        let caches = &self.soak.caches;
        // The key first: a look at the session would remove it, and the key with it.
        let found = self
            .account
            .charge(|| [caches.keys.contains_key(id), caches.sessions.contains_key(id)]);
        self.soak.faults.expect(found == [false; 2], || {
            format!("key and session found after {cause}: {found:?}, minute {}", self.minute)
        });
    }

    /// A look at the latest session of another thread, which may be ending it.
    fn look_at_another(&mut self) {
        let Soak { caches, faults, tallies, .. } = self.soak;
        let id = &tallies[(self.number + 1) % tallies.len()].latest();
        let is_right = self.account.charge(|| {
            let key = caches.keys.pin().peek(id).is_none_or(|held| held.is(Kind::Key, id));
            let session = caches.sessions.pin();
            key && session.peek(id).is_none_or(|held| held.is(Kind::Session, id))
        });
        faults.expect(is_right, || "a value was read under another id, or after its drop".into());
    }

    fn tally(&self) -> &'a crate::tally::Tally {
        &self.soak.tallies[self.number]
    }
}
