//! Contexts and their keys, in linked caches on a mock clock.

use idlewheel::{Cache, Clock, MockClock};
use std::time::Duration;
use zeroize::Zeroizing;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// The timeout of a context.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30 * 60);

pub(crate) type Contexts = Cache<String, u32>;
pub(crate) type Keys<V> = Cache<String, V>;
pub(crate) type Key = Zeroizing<[u8; 32]>;

/// Contexts with one idle timeout or one absolute one, and their keys.
pub(crate) fn family<V: Send + Sync + 'static>(absolute: bool) -> (Contexts, Keys<V>, MockClock) {
    let (clock, mock) = Clock::mock();
    let builder = Cache::builder().clock(clock);
    let contexts = if absolute {
        builder.no_idle_timeout().absolute_timeout(TIMEOUT).build().unwrap()
    } else {
        builder.idle_timeout(TIMEOUT).build().unwrap()
    };
    let keys = Cache::builder().linked_to(&contexts).build().unwrap();
    (contexts, keys, mock)
}

/// A family in which Alice has a context and a key.
pub(crate) fn alice<V: Send + Sync + 'static>(
    absolute: bool,
    key: V,
) -> (Contexts, Keys<V>, MockClock) {
    let (contexts, keys, mock) = family(absolute);
    contexts.insert("alice".into(), 1).unwrap();
    assert!(keys.insert("alice".into(), key).is_ok());
    (contexts, keys, mock)
}

/// Checks a cache at rest.
pub(crate) fn check<K, V, S, P>(cache: &Cache<K, V, S, P>) {
    let stats = cache.stats();
    assert_eq!(stats.inserted, stats.live + stats.removed.total(), "accounting");
    assert_eq!(stats.pending_reclamation, 0, "values that wait");
    cache.validate().expect("every structure agrees with every other");
}

pub(crate) fn check_both<V>(contexts: &Contexts, keys: &Keys<V>) {
    check(contexts);
    check(keys);
}
