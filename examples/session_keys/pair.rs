//! One system twice: on linked caches and as the original, under the same events; and the checks.
//!
//! A read of an ended entry removes it, so reads that only check would take work off the sweeps.
//! They are made in a twin, which gets the same events and sweeps; what is counted and measured is
//! the other one, which reads no more than a server would.

use crate::day::{ALICE, Act};
use crate::original::{Original, Policy};
use crate::ours::{Key, Memory, Ours};
use crate::story::Story;
use idlewheel::{BuildError, Clock};
use std::collections::VecDeque;

/// Of those whose session ended since the last sweep, so many are checked at every step.
const WATCHED: usize = 64;
/// Faults that are told; all are counted.
const TOLD: usize = 10;

#[derive(Clone, Default)]
pub(crate) struct Tally {
    /// Contexts created, and as many keys: a login makes one of each.
    pub(crate) logins: u64,
    pub(crate) visits: u64,
    pub(crate) visited: u64,
    pub(crate) survivors: u64,
    pub(crate) walk_visited: u64,
    /// Requests that the original answers from an ended context.
    pub(crate) served_stale: u64,
    /// Logins that find the key of an earlier session in the original.
    pub(crate) old_keys_found: u64,
    /// Keys that were refused because their context was gone, or never was.
    pub(crate) refused: u64,
}

#[derive(Default)]
pub(crate) struct Faults {
    /// Keys that were readable without a live context.
    pub(crate) orphans: u64,
    /// Reads that found an ended entry, or the key of a dead context.
    pub(crate) stale_reads: u64,
    /// Reads that were looked at.
    pub(crate) reads: u64,
    /// All, those included.
    pub(crate) count: u64,
    pub(crate) told: Vec<String>,
}

/// What there is just before a sweep, and what was visited since the row before.
#[derive(Default)]
pub(crate) struct Row {
    pub(crate) hour: u32,
    pub(crate) visits: u64,
    pub(crate) logins: u64,
    /// Contexts and keys that can be read.
    pub(crate) ours: [u64; 2],
    pub(crate) original: [u64; 2],
    pub(crate) visited: u64,
    pub(crate) walk_visited: u64,
}

pub(crate) struct Pair {
    ours: Ours,
    twin: Ours,
    original: Original,
    pub(crate) tally: Tally,
    pub(crate) faults: Faults,
    pub(crate) rows: Vec<Row>,
    pub(crate) story: Story,
    names: Vec<String>,
    login: u64,
    /// Deadlines and their users; in order, because the timeout is the same for all.
    due: VecDeque<(u32, u32)>,
    /// Users whose session ended since the last sweep.
    ended: Vec<u32>,
}

impl Pair {
    pub(crate) fn new(
        policy: Policy,
        users: u32,
        clock: &Clock,
        memory: &Memory,
    ) -> Result<Pair, BuildError> {
        let ours = || Ours::new(policy, clock.clone(), memory.clone());
        let name = |user| if user == ALICE { "alice".into() } else { format!("user-{user:05}") };
        Ok(Pair {
            ours: ours()?,
            twin: ours()?,
            original: Original::new(policy),
            tally: Tally::default(),
            faults: Faults::default(),
            rows: Vec::new(),
            story: Story::default(),
            names: (0..users).map(name).collect(),
            login: 0,
            due: VecDeque::new(),
            ended: Vec::new(),
        })
    }

    /// The second, measured day begins.
    pub(crate) fn restart(&mut self) {
        self.tally = Tally::default();
        self.rows.clear();
        self.story = Story::default();
    }

    /// All of a day's sessions have ended, and were swept.
    pub(crate) fn end_day(&mut self) {
        let left = self.original.sizes();
        if left != [0; 2] {
            self.faults.add(format!("the original still holds {left:?}"));
        }
        for (name, ours) in [("ours", &self.ours), ("the twin", &self.twin)] {
            if let Some(fault) = ours.fault() {
                self.faults.add(format!("{name}: {fault}"));
            }
        }
    }

    /// By how much the memory of the empty caches may differ.
    pub(crate) fn slack(&self) -> u64 {
        self.ours.slack() + self.twin.slack()
    }

    pub(crate) fn step(&mut self, user: u32, act: Act, now: u32) {
        self.note_ended(now);
        match act {
            Act::Visit => self.visit(user, now),
            Act::Login => self.log_in(user, now),
            Act::Logout => self.log_out(user, now),
            Act::Probe => {}
        }
        self.check(user, now);
        for at in self.ended.len().saturating_sub(WATCHED)..self.ended.len() {
            self.check(self.ended[at], now);
        }
    }

    fn visit(&mut self, user: u32, now: u32) {
        self.tally.visits += 1;
        let live = self.original.live(user, now);
        let name = &self.names[user as usize];
        let [found, twin] = [&self.ours, &self.twin].map(|ours| ours.visit(name));
        self.judge(user, now, found);
        self.judge(user, now, twin);
        if live.is_some() {
            self.story.visit(user, now);
            self.original.touch(user, now);
            self.expect(user);
            return;
        }
        // Here the original would serve the ended context, and an idle one would live again. The
        // user logs in instead, in both, so that both go on with the same sessions.
        let stale = self.original.held(user).0.is_some();
        self.tally.served_stale += u64::from(stale);
        self.story.refused(user, now, stale);
        self.log_in(user, now);
    }

    fn log_in(&mut self, user: u32, now: u32) {
        if self.original.live(user, now).is_none() {
            self.try_without_context(user, now);
        }
        self.login += 1;
        self.tally.logins += 1;
        let (login, name) = (self.login, &self.names[user as usize]);
        let tag = self.story.login(user, now, login);
        let mut former = Vec::new();
        for (ours, tag) in [(&self.ours, tag), (&self.twin, None)] {
            match ours.login(name, login, Key::new(login, tag)) {
                Ok(key) => former.push(key),
                Err(fault) => self.faults.add(fault),
            }
        }
        if former.iter().any(Option::is_some) {
            self.faults.stale_reads += 1;
            self.faults.add(format!("{name} logs in at {now} and finds an old key"));
        }
        let old = self.original.held(user).1;
        self.tally.old_keys_found += u64::from(old.is_some());
        self.original.login(user, login, now);
        self.expect(user);
    }

    fn log_out(&mut self, user: u32, now: u32) {
        let name = &self.names[user as usize];
        self.ours.logout(name);
        self.twin.logout(name);
        self.original.logout(user);
        self.ended.push(user);
        let key = self.original.held(user).1;
        self.story.logout(user, now, key.filter(|_| self.twin.peek(name).1.is_none()));
        self.try_without_context(user, now);
    }

    /// A key without a context is refused, whether the context has ended or never was.
    fn try_without_context(&mut self, user: u32, now: u32) {
        if self.twin.refuses(&self.names[user as usize], Key::new(0, None)) {
            self.tally.refused += 1;
        } else {
            self.faults.add(format!("user {user} at {now}: a key was stored without its context"));
        }
    }

    /// Whether a user's key can be read.
    pub(crate) fn has_key(&self, user: u32) -> bool {
        self.twin.peek(&self.names[user as usize]).1.is_some()
    }

    /// In the second `now`, a user's key was gone after so many milliseconds.
    pub(crate) fn probed(&mut self, user: u32, now: u32, gone: Option<u32>) {
        if self.original.deadline(user) != Some(now) {
            return;
        }
        match gone {
            // Not before its deadline, and at most 100 ms after it, which the caches ask for.
            Some(ms @ 1..=100) => self.story.expired(user, now, ms),
            _ => self.faults.add(format!("user {user}, deadline {now}: key gone at {gone:?} ms")),
        }
    }

    /// The deadline of a user's context has moved.
    fn expect(&mut self, user: u32) {
        let deadline = self.original.deadline(user);
        self.due.extend(deadline.map(|deadline| (deadline, user)));
    }

    fn note_ended(&mut self, now: u32) {
        while let Some((_, user)) = self.due.front().copied().filter(|due| due.0 < now) {
            self.due.pop_front();
            if self.original.held(user).0.is_some() && self.original.live(user, now).is_none() {
                self.ended.push(user);
            }
        }
    }

    fn check(&mut self, user: u32, now: u32) {
        let found = self.twin.peek(&self.names[user as usize]);
        self.judge(user, now, found);
    }

    /// Compares what a read found with what has to be there: the rule applied to the original.
    fn judge(&mut self, user: u32, now: u32, found: (Option<u64>, Option<u64>)) {
        self.faults.reads += 1;
        let live = self.original.live(user, now);
        if found == (live, live) {
            return;
        }
        let (context, key) = found;
        let stale = |found: Option<u64>| found.is_some() && found != live;
        self.faults.orphans += u64::from(key.is_some() && context.is_none());
        self.faults.stale_reads += u64::from(stale(context)) + u64::from(stale(key));
        self.faults.add(format!("user {user} at {now}: found {found:?}, live {live:?}"));
    }

    /// Both clean up. Then they hold the same.
    pub(crate) fn sweep(&mut self, now: u32) {
        self.note_ended(now);
        let twin = self.twin.sweep();
        let report = self.ours.sweep();
        self.tally.visited += report.visited;
        self.tally.survivors += report.survivors;
        if report.more || twin.more {
            self.faults.add(format!("a sweep at {now} left something: {report:?}"));
        }
        self.tally.walk_visited += self.original.walk(now);
        for user in 0..self.names.len() as u32 {
            let found = self.twin.peek(&self.names[user as usize]);
            if found != self.original.held(user) {
                self.faults.add(format!("user {user}: {found:?} differs after the walk at {now}"));
            }
            self.judge(user, now, found);
        }
        self.ended.clear();
        self.story.swept(now);
    }

    /// Ends an hour's row, just before the sweep at its end.
    pub(crate) fn end_row(&mut self, hour: u32, before: &Tally) {
        let mut ours = [0; 2];
        for name in &self.names {
            let (context, key) = self.twin.peek(name);
            ours[0] += u64::from(context.is_some());
            ours[1] += u64::from(key.is_some());
        }
        let tally = &self.tally;
        self.rows.push(Row {
            hour,
            visits: tally.visits - before.visits,
            logins: tally.logins - before.logins,
            ours,
            original: self.original.sizes(),
            visited: tally.visited - before.visited,
            walk_visited: tally.walk_visited - before.walk_visited,
        });
    }
}

impl Faults {
    pub(crate) fn add(&mut self, fault: String) {
        self.count += 1;
        if self.told.len() < TOLD {
            self.told.push(fault);
        }
    }
}
