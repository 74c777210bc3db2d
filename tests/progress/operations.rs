//! The operations, each with a key that it has something to do with.

use super::world::{CHILD, KEYS, SECOND, Value, World, plain};
use idlewheel::{Cache, CapacityPolicy, SweepBudget, Timeouts};
use std::panic::resume_unwind;
use std::pin::pin;
use std::task::{Context, Waker};

/// An operation, as a thread that is about to be suspended runs it, or as others do meanwhile.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    /// The key for which it has most to do.
    pub(crate) key: u64,
    pub(crate) run: fn(&World, u64),
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Of one key.
    Small,
    /// Of a whole cache, or of many entries.
    Large,
    /// May wait for a load by another thread, as it should.
    Load,
    /// Waits for values that another thread is dropping, as it should.
    Flush,
}

const fn op(name: &'static str, kind: Kind, key: u64, run: fn(&World, u64)) -> Operation {
    Operation { name, key, run, kind }
}

/// Every operation of the public interface that touches what threads share.
pub(crate) const ALL: &[Operation] = {
    use Kind::{Flush, Large, Load, Small};
    &[
        op("get: first in its tick", Small, 1, |w, key| drop(w.parents.get(&key))),
        op("get: again", Small, 1, |w, key| {
            drop(w.parents.get(&key));
            drop(w.parents.get(&key));
        }),
        op("get: many, in one tick after another", Large, 0, |w, _| {
            for round in 0..5 * KEYS {
                w.clock.advance(SECOND / 4);
                drop(w.parents.get(&(round % 6)));
            }
        }),
        op("get: own timeouts", Small, 3, |w, key| drop(w.parents.get(&key))),
        op("get: expired", Small, 11, |w, key| drop(w.parents.get(&key))),
        op("get: never there", Small, 23, |w, key| drop(w.parents.get(&key))),
        op("get: by another key", Small, 18, |w, key| drop(w.parents.get(&key))),
        op("get: a child", Small, 1, |w, key| drop(w.children.get(&key))),
        op("get: a child by another key", Small, CHILD, |w, key| drop(w.children.get(&key))),
        op("get: a child of an expired parent", Small, 7, |w, key| drop(w.children.get(&key))),
        op("get: an orphan", Small, 6, |w, key| drop(w.children.get(&key))),
        op("peek", Small, 1, |w, key| drop(w.parents.peek(&key))),
        op("contains_key: a child", Small, 1, |w, key| _ = w.children.contains_key(&key)),
        op("touch", Small, 1, |w, key| _ = w.parents.touch(&key)),
        op("touch: a child", Small, 1, |w, key| _ = w.children.touch(&key)),
        op("remaining", Small, 1, |w, key| _ = w.parents.remaining(&key)),
        op("pin and get_many", Small, 1, |w, key| {
            let pinned = w.parents.pin();
            let _ = pinned.get_many([&key, &(key + 1)]);
        }),
        op("insert: a new key", Small, 12, |w, key| _ = w.parents.insert(key, w.value())),
        op("insert: a known key", Small, 1, |w, key| _ = w.parents.insert(key, w.value())),
        op("insert: in place of an expired one", Small, 11, |w, key| {
            _ = w.parents.insert(key, w.value());
        }),
        op("insert: a former key", Small, 8, |w, key| _ = w.parents.insert(key, w.value())),
        op("insert: so many that tables grow", Large, 100, |w, key| {
            for key in key..key + 80 {
                _ = w.parents.insert(key, w.value());
            }
            for key in key..key + 80 {
                w.parents.remove(&key);
            }
        }),
        op("insert_new", Small, 12, |w, key| _ = w.parents.insert_new(key, w.value())),
        op("insert_new: a known key", Small, 1, |w, key| {
            _ = w.parents.insert_new(key, w.value());
        }),
        op("insert_with", Small, 12, |w, key| {
            let own = Timeouts::new().idle(9 * SECOND).absolute(90 * SECOND);
            _ = w.parents.insert_with(key, w.value(), own);
        }),
        op("insert: a child", Small, 9, |w, key| _ = w.children.insert(key, w.value())),
        op("insert: a known child", Small, 1, |w, key| _ = w.children.insert(key, w.value())),
        op("insert: a child of nobody", Small, 23, |w, key| _ = w.children.insert(key, w.value())),
        op("insert_linked", Small, 21, |w, key| {
            _ = w.children.insert_linked(key, w.value(), &(key % 4));
        }),
        op("insert_linked: from another parent", Small, CHILD, |w, key| {
            _ = w.children.insert_linked(key, w.value(), &2);
        }),
        op("insert_linked: one too many", Small, 21, |w, key| {
            for key in key..key + 3 {
                _ = w.children.insert_linked(key, w.value(), &1);
            }
        }),
        op("children that come and go", Large, 40, |w, key| {
            for key in key..key + 40 {
                _ = w.children.insert_linked(key, w.value(), &2);
                w.children.remove(&key);
            }
            w.children.sweep();
        }),
        op("insert_linked_new", Small, 22, |w, key| {
            _ = w.children.insert_linked_new(key, w.value(), &1);
        }),
        op("update", Small, 1, |w, key| _ = w.parents.update(&key, w.value())),
        op("replace_if", Small, 1, |w, key| {
            _ = w.parents.replace_if(&key, w.value(), |_| true);
        }),
        op("modify", Small, 2, |w, key| _ = w.parents.modify(&key, |_| w.value())),
        op("remove: a parent", Small, 1, |w, key| _ = w.parents.remove(&key)),
        op("remove: own timeouts", Small, 3, |w, key| _ = w.parents.remove(&key)),
        op("remove: by another key", Small, 18, |w, key| _ = w.parents.remove(&key)),
        op("remove: a child", Small, CHILD, |w, key| _ = w.children.remove(&key)),
        op("remove: nothing", Small, 23, |w, key| _ = w.parents.remove(&key)),
        op("remove_if", Small, 2, |w, key| _ = w.parents.remove_if(&key, |_| true)),
        op("remove_if: own timeouts", Small, 4, |w, key| {
            _ = w.parents.remove_if(&key, |_| true);
        }),
        op("remove: replaced, then sweep", Large, 5, |w, key| {
            w.parents.remove(&key);
            w.parents.sweep();
        }),
        op("take: replaced", Small, 5, |w, key| drop(w.parents.take(&key))),
        op("take", Small, 1, |w, key| drop(w.parents.take(&key))),
        op("renew", Small, 1, |w, key| _ = w.parents.renew(&key)),
        op("renew: again", Small, 9, |w, key| _ = w.parents.renew(&key)),
        op("set_timeouts", Small, 1, |w, key| {
            _ = w.parents.set_timeouts(&key, Timeouts::new().idle(30 * SECOND));
        }),
        op("promote", Small, 2, |w, key| _ = w.parents.promote(&key)),
        op("hold, and let go", Small, 1, |w, key| {
            if let Some(lease) = w.parents.hold(&key) {
                w.clock.advance(SECOND / 8);
                _ = lease.is_live();
            }
        }),
        op("rekey", Small, 2, |w, key| _ = w.parents.rekey(&key, (key + 15) % KEYS)),
        op("rekey: again", Small, 18, |w, key| _ = w.parents.rekey(&key, (key + 15) % KEYS)),
        op("rekey: a child", Small, CHILD, |w, key| {
            _ = w.children.rekey(&key, (key + 3) % KEYS);
        }),
        op("children", Small, 1, |w, key| {
            _ = w.children.children(&key);
            _ = w.children.count_children(&key);
        }),
        op("remove, then sweep: a cascade", Large, 1, |w, key| {
            w.parents.remove(&key);
            w.parents.sweep();
        }),
        op("sweep", Large, 0, |w, _| {
            w.clock.advance(3 * SECOND);
            w.parents.sweep();
        }),
        op("sweep: everything is due", Large, 0, |w, _| {
            w.clock.advance(61 * SECOND);
            w.children.sweep();
        }),
        op("sweep_within", Large, 0, |w, _| {
            w.clock.advance(61 * SECOND);
            w.parents.sweep_within(SweepBudget::visits(3));
        }),
        op("flush", Flush, 0, |w, _| _ = w.children.flush()),
        op("clear", Large, 0, |w, _| w.children.clear()),
        op("clear: parents", Large, 0, |w, _| w.parents.clear()),
        op("retain", Large, 0, |w, _| {
            let mut count = 0;
            w.children.retain(|_, _| {
                count += 1;
                count % 2 == 0
            });
        }),
        op("drain", Large, 0, |w, _| _ = w.children.drain().take(3).count()),
        op("iter", Large, 0, |w, _| _ = w.parents.iter().count()),
        op("keys", Large, 0, |w, _| _ = w.children.keys().count()),
        op("stats", Large, 0, |w, _| {
            _ = (w.parents.stats(), w.parents.len(), w.children.is_empty());
        }),
        op("another handle", Small, 0, |w, _| {
            let weak = w.parents.downgrade();
            drop(w.parents.clone());
            drop(weak.upgrade());
        }),
        op("a cache of its own", Large, 5, |w, key| {
            let cache = plain().max_entries(4).no_idle_timeout().build().expect("valid settings");
            let children = Cache::<u64, Value>::builder().linked_to(&cache).build();
            let children = children.expect("valid settings");
            for key in key..key + 6 {
                _ = cache.insert(key, w.value());
                _ = children.insert(key, w.value());
            }
        }),
        op("a cache that refuses", Large, 5, |w, key| {
            let cache = plain().max_entries(2).capacity_policy(CapacityPolicy::RejectNew);
            let cache = cache.build().expect("valid settings");
            for key in key..key + 3 {
                _ = cache.insert(key, w.value());
            }
        }),
        op("a cache whose listener panics", Large, 5, |w, key| {
            let panics = |_: &u64, _: &Value, _| resume_unwind(Box::new("expected"));
            let cache = plain().on_removal(panics).build().expect("valid settings");
            _ = cache.insert(key, w.value());
            cache.remove(&key);
            cache.flush();
        }),
        op("get_or_insert_with", Load, 12, |w, key| {
            drop(w.parents.get_or_insert_with(key, || w.value()));
            w.parents.remove(&key);
            drop(w.parents.get_or_insert_with(key, || w.value()));
        }),
        op("get_or_insert_with: removed meanwhile", Load, 12, |w, key| {
            drop(w.parents.get_or_insert_with(key, || {
                w.parents.remove(&key);
                w.value()
            }));
        }),
        op("get_or_insert_with: nested", Load, 12, |w, key| {
            let nested = || w.parents.get_or_insert_with(key, || w.value()).map(|_| w.value());
            drop(w.parents.get_or_try_insert_with(key, nested));
        }),
        op("entry: a child", Load, 22, |w, key| {
            drop(w.children.entry(key).child_of(&2).or_insert_with(|| w.value()));
        }),
        op("get_or_insert_async: cancelled", Load, 12, |w, key| {
            let load = w.parents.get_or_insert_async(key, std::future::pending());
            _ = pin!(load).poll(&mut Context::from_waker(Waker::noop()));
        }),
    ]
};
