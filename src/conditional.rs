//! Removing or replacing entries if their values satisfy a condition.

use crate::Cache;
use crate::cache::refusal;
use crate::error::InsertError;
use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

impl<K: Hash + Eq, V, S: BuildHasher, P> Cache<K, V, S, P> {
    /// Removes an entry if `condition` holds for its value, which is still its value when it goes.
    /// `false`: there is none, or it does not hold.
    ///
    /// The condition may be asked several times, if others replace the value meanwhile. It runs
    /// under a pin. Cost: a removal, and an exchange of one more word, whose memory (8 bytes per
    /// slot) is there from the first conditional operation or replacement on.
    ///
    /// ```
    /// let sessions = idlewheel::Cache::new();
    /// sessions.insert("alice", 1)?;
    /// assert!(!sessions.remove_if("alice", |version| *version == 2));
    /// assert!(sessions.remove_if("alice", |version| *version == 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove_if<Q>(&self, key: &Q, condition: impl Fn(&V) -> bool) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.core.remove_if(key, condition)
    }

    /// Replaces the value of a live entry if `condition` holds for the present one, which is still
    /// there when the new one takes its place. Else as [`Cache::update`]: never creates, keeps the
    /// creation time, is activity.
    ///
    /// The condition may be asked several times. It runs under a pin.
    ///
    /// # Errors
    /// As [`Cache::update`], and
    /// [`InsertErrorKind::ConditionUnmet`](crate::InsertErrorKind::ConditionUnmet). The value comes
    /// back.
    ///
    /// ```
    /// let sessions = idlewheel::Cache::new();
    /// sessions.insert("alice", 1)?;
    /// sessions.replace_if("alice", 2, |version| *version == 1)?;
    /// let error = sessions.replace_if("alice", 3, |version| *version == 1).unwrap_err();
    /// assert_eq!(error.into_value(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn replace_if<Q>(
        &self,
        key: &Q,
        value: V,
        condition: impl Fn(&V) -> bool,
    ) -> Result<(), InsertError<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.core.update(key, value, Some(&condition)).map_err(refusal)
    }
}

impl<K, V, S, P> Cache<K, V, S, P> {
    /// Removes the entries for which `keep` does not hold, one after the other, each by what is its
    /// value when it goes. Touches none. Entries that come meanwhile may be left out; `keep` may be
    /// asked again about one whose value changes. It runs under a pin. Cost: a look at every slot,
    /// and as for [`Cache::remove_if`].
    ///
    /// ```
    /// let sessions = idlewheel::Cache::new();
    /// sessions.insert("alice", 1)?;
    /// sessions.insert("bob", 2)?;
    /// sessions.retain(|_key, version| *version > 1);
    /// assert_eq!(sessions.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn retain(&self, keep: impl FnMut(&K, &V) -> bool) {
        self.core.retain(keep);
    }
}
