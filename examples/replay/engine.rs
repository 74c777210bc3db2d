//! Serves requests from the cache under the log's time, and sweeps it.

use crate::args::Options;
use crate::meter::Account;
use idlewheel::{BuildError, Cache, Clock, MockClock, Stats};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

/// Later times are served at this one, so that one garbage line cannot push the clock to where
/// it no longer moves.
const LONGEST_LOG: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The key of a session, and its number.
type Sessions = Cache<Box<[u8]>, u64>;

pub(crate) struct Replay {
    cache: Sessions,
    clock: MockClock,
    shortest: Duration,
    sweep_every: Duration,
    next_sweep: Duration,
    /// The log's time of the first request: where the mock clock starts.
    origin: Option<Duration>,
    /// Hashes of the keys seen: eight bytes each, and of a million keys no two are likely equal.
    keys: HashSet<u64>,
    memory: Account,
    tally: Tally,
}

#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    pub(crate) unordered: u64,
    pub(crate) far: u64,
    pub(crate) keys: u64,
    pub(crate) sessions: u64,
    /// Inserts that the cache refused.
    pub(crate) refused: u64,
    /// Log time from the first request to the newest.
    pub(crate) span: Duration,
    pub(crate) sweeps: u64,
    pub(crate) swept: u64,
    pub(crate) visited: u64,
    /// Entries that sweeps would have looked at, had each walked the whole cache.
    pub(crate) full_walk: u64,
    pub(crate) longest_sweep: Duration,
    pub(crate) longest_visited: u64,
    pub(crate) empty_bytes: u64,
    pub(crate) peak_live: u64,
    pub(crate) peak_bytes: u64,
}

pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    pub(crate) stats: Stats,
    /// What the cache holds after all has had its time to expire.
    pub(crate) live: u64,
}

impl Replay {
    pub(crate) fn new(options: &Options) -> Result<Replay, BuildError> {
        let (source, clock) = Clock::mock();
        let mut memory = Account::default();
        let built: Result<Sessions, BuildError> = memory.charge(|| {
            let builder = Sessions::builder().idle_timeout(options.idle).clock(source);
            // Logs have whole seconds: with finer ticks a session ends in the second of its deadline.
            let mut builder = builder.tick(Duration::from_millis(100));
            if let Some(absolute) = options.absolute {
                builder = builder.absolute_timeout(absolute);
            }
            builder.build()
        });
        Ok(Replay {
            cache: built?,
            clock,
            shortest: options.shortest(),
            sweep_every: options.sweep_every,
            next_sweep: options.sweep_every,
            origin: None,
            keys: HashSet::new(),
            tally: Tally { empty_bytes: bytes(&memory), ..Tally::default() },
            memory,
        })
    }

    pub(crate) fn request(&mut self, at: Duration, key: &[u8]) {
        self.tally.requests += 1;
        let origin = *self.origin.get_or_insert(at);
        let since = at.saturating_sub(origin);
        self.tally.far += u64::from(since > LONGEST_LOG);
        let now = since.min(LONGEST_LOG);
        if at < origin || now < self.tally.span {
            self.tally.unordered += 1;
        } else {
            self.advance(now);
            self.tally.span = now;
        }
        self.serve(key);
    }

    fn serve(&mut self, key: &[u8]) {
        let mut hasher = DefaultHasher::new();
        hasher.write(key);
        self.keys.insert(hasher.finish());

        let cache = &self.cache;
        if self.memory.charge(|| cache.get(key)).is_some() {
            return;
        }
        self.tally.sessions += 1;
        let number = self.tally.sessions;
        let refused = self.memory.charge(|| cache.insert(key.into(), number).is_err());
        self.tally.refused += u64::from(refused);
        let live = cache.len() as u64;
        if live > self.tally.peak_live {
            self.tally.peak_live = live;
            self.tally.peak_bytes = bytes(&self.memory);
        }
    }

    /// Moves the clock, with the sweeps that fall due on the way.
    fn advance(&mut self, to: Duration) {
        while self.next_sweep <= to {
            let live = self.cache.len();
            if live == 0 {
                // Years without a request are skipped, not walked. One sweep of the empty cache
                // catches its wheel up, as the sweeps that are left out would have.
                self.clock.set(to);
                self.sweep(0);
                self.next_sweep = to + self.sweep_every;
                return;
            }
            self.clock.set(self.next_sweep);
            self.sweep(live as u64);
            self.next_sweep += self.sweep_every;
        }
        self.clock.set(to);
    }

    fn sweep(&mut self, live: u64) {
        let (mut elapsed, mut visited) = (Duration::ZERO, 0);
        loop {
            let cache = &self.cache;
            let report = self.memory.charge(|| cache.sweep());
            self.tally.swept += report.expired;
            visited += report.visited;
            elapsed += report.elapsed;
            // One that stopped early is taken up again, unless it gets nowhere.
            if !report.more || report.visited == 0 {
                break;
            }
        }
        self.tally.sweeps += 1;
        self.tally.visited += visited;
        self.tally.full_walk += live;
        if elapsed >= self.tally.longest_sweep {
            self.tally.longest_sweep = elapsed;
            self.tally.longest_visited = visited;
        }
    }

    /// Runs the time on until all is expired, or for twice as long as that may take.
    pub(crate) fn finish(mut self) -> Outcome {
        let patience = 2 * (self.shortest + self.sweep_every) + Duration::from_secs(10);
        let limit = self.tally.span + patience;
        while self.cache.len() as u64 > 0 && self.next_sweep < limit {
            self.advance(self.next_sweep);
        }
        self.cache.flush();
        self.tally.keys = self.keys.len() as u64;
        let live = self.cache.len() as u64;
        Outcome { tally: self.tally, stats: self.cache.stats(), live }
    }
}

fn bytes(memory: &Account) -> u64 {
    u64::try_from(memory.bytes()).unwrap_or(0)
}

impl Outcome {
    pub(crate) fn expired(&self) -> u64 {
        self.stats.removed.idle + self.stats.removed.absolute
    }

    /// Expired entries that a request came upon before a sweep did, and removed.
    pub(crate) fn on_access(&self) -> u64 {
        self.expired().saturating_sub(self.tally.swept)
    }

    /// Whatever was looked at to be removed: by sweeps, and by requests that found it expired.
    pub(crate) fn visited(&self) -> u64 {
        self.tally.visited + self.on_access()
    }

    /// What is wrong, if anything is.
    pub(crate) fn fault(&self) -> Option<String> {
        let gone = &self.stats.removed;
        let removed = self.expired()
            + gone.explicit
            + gone.replaced
            + gone.capacity
            + gone.cascade
            + gone.dropped;
        let (inserted, live) = (self.stats.inserted, self.stats.live);
        if inserted != live + removed {
            return Some(format!("{inserted} inserted, but {live} live and {removed} removed"));
        }
        if self.tally.refused > 0 {
            return Some(format!("the cache refused {} sessions", self.tally.refused));
        }
        if self.live != 0 {
            return Some(format!("{} entries live after their time", self.live));
        }
        None
    }
}
