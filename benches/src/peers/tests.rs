//! That all adapters do the same.

use super::*;
use crate::time::{Coarse, Mock};
use std::time::Duration;

fn stores<S: Subject<Key = u64, Value = u64>>(time: S::Time) {
    let subject = S::new(&time, 1000);
    (0..1000).for_each(|key| subject.insert(key, key));
    subject.insert(7, 8);
    subject.remove(&9);
    subject.flush();
    assert_eq!(subject.get(&7), Some(8), "{}", S::NAME);
    assert_eq!(subject.get(&9), None, "{}", S::NAME);
    assert_eq!(subject.get_with(&1, |value| value + 1), Some(2), "{}", S::NAME);
    let mut sum = 0;
    subject.get_batch(&[1, 2, 9], |value| sum += value);
    assert_eq!((sum, subject.count()), (3, 999), "{}", S::NAME);
}

#[test]
fn all_store() {
    stores::<Idlewheel<u64, u64, Coarse>>(Coarse);
    stores::<QuickCache<u64, u64, Coarse>>(Coarse);
    stores::<Moka<u64, u64, Coarse>>(Coarse);
    stores::<MiniMoka<u64, u64, Coarse>>(Coarse);
    stores::<MokaPerEntry>(Coarse);
    stores::<Dashmap<u64, u64, Coarse>>(Coarse);
    stores::<Papaya<u64, u64, Coarse>>(Coarse);
    stores::<Scc<u64, u64, Coarse>>(Coarse);
    stores::<Locked<u64, u64, Coarse>>(Coarse);
}

fn expires<S: Subject<Key = u64, Value = u64>>(time: S::Time, wait: impl Fn()) {
    let subject = S::new(&time, 1000);
    (0..1000).for_each(|key| subject.insert(key, key));
    wait();
    (100..1000).for_each(|key| assert_eq!(subject.get(&key), Some(key), "{}", S::NAME));
    wait();
    assert_eq!(subject.get(&1), None, "{}", S::NAME);
    subject.sweep();
    assert_eq!(subject.count(), 900, "{}", S::NAME);
}

#[test]
fn subjects_on_a_mock_clock_expire() {
    let time = Mock::default();
    let wait = || time.advance(Duration::from_secs(16 * 60));
    expires::<Idlewheel<u64, u64, Mock>>(time.clone(), wait);
    expires::<Dashmap<u64, u64, Mock>>(time.clone(), wait);
    expires::<Papaya<u64, u64, Mock>>(time.clone(), wait);
    expires::<Scc<u64, u64, Mock>>(time.clone(), wait);
    expires::<Locked<u64, u64, Mock>>(time.clone(), wait);
}
