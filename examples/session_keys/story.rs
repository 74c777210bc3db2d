//! What happens to Alice.

use crate::day::ALICE;
use std::sync::{Arc, Weak};

/// Lines about one user, each with its time in seconds.
#[derive(Default)]
pub(crate) struct Story {
    pub(crate) lines: Vec<(u32, String)>,
    /// Of each key: its login, and the other end of its tag until it is dropped.
    keys: Vec<(u64, Option<Weak<()>>)>,
}

impl Story {
    fn tell(&mut self, user: u32, now: u32, line: impl FnOnce() -> String) {
        if user == ALICE {
            self.lines.push((now, line()));
        }
    }

    /// Returns the tag for the key of this login.
    pub(crate) fn login(&mut self, user: u32, now: u32, login: u64) -> Option<Arc<()>> {
        let tag = (user == ALICE).then(|| Arc::new(()))?;
        self.keys.push((login, Some(Arc::downgrade(&tag))));
        let key = self.keys.len();
        self.tell(user, now, || format!("logs in: a new context, and key {key}"));
        Some(tag)
    }

    pub(crate) fn visit(&mut self, user: u32, now: u32) {
        self.tell(user, now, || "a request: context and key are there".into());
    }

    /// A request finds no context; `stale`: but the original still has one.
    pub(crate) fn refused(&mut self, user: u32, now: u32, stale: bool) {
        self.tell(user, now, || {
            let original = if stale { "would serve the ended one" } else { "has none either" };
            format!("a request: no context; the original {original}")
        });
    }

    /// `key`: the login of the key that is unreadable from now on, and stays in the original.
    pub(crate) fn logout(&mut self, user: u32, now: u32, key: Option<u64>) {
        let key = self.keys.iter().position(|(login, _)| Some(*login) == key);
        self.tell(user, now, || match key {
            Some(at) => format!(
                "logs out: key {} is unreadable at once; the original still holds it",
                at + 1
            ),
            None => "logs out".into(),
        });
    }

    pub(crate) fn expired(&mut self, user: u32, now: u32, ms: u32) {
        self.tell(user, now, || {
            format!("the timeout ends, still readable; context and key are gone {ms} ms later")
        });
    }

    /// After a sweep: which keys did it drop?
    pub(crate) fn swept(&mut self, now: u32) {
        for (key, (_, tag)) in (1..).zip(&mut self.keys) {
            if tag.take_if(|tag| tag.strong_count() == 0).is_some() {
                let line = format!("a sweep has wiped key {key} and given its memory back");
                self.lines.push((now, line));
            }
        }
    }
}
