//! Is there an order of the calls, each at one moment between its begin and its end, in which the
//! model gives the same answers? The search of Wing and Gong ("Testing and Verifying Concurrent
//! Objects", 1993), with Lowe's memory of what was tried ("Testing for linearizability", 2017).

use std::collections::HashSet;
use std::hash::Hash;

/// What calls do to a state.
pub(crate) trait Model {
    type State: Clone + Eq + Hash;
    type Call;

    /// The states after `call` if it has its moment now; none if its answer is impossible then.
    fn step(&self, state: &Self::State, call: &Self::Call) -> Vec<Self::State>;

    /// Whether everything may have ended like that.
    fn may_end(&self, state: &Self::State) -> bool;
}

/// A call and the times of its begin and end, from a counter that all threads share.
#[derive(Clone, Debug)]
pub(crate) struct Timed<C> {
    pub(crate) begin: u64,
    pub(crate) end: u64,
    pub(crate) call: C,
}

/// Whether such an order exists. At most 64 calls.
pub(crate) fn is_linearizable<M: Model>(
    model: &M,
    start: M::State,
    calls: &[Timed<M::Call>],
) -> bool {
    assert!(calls.len() <= 64, "the set of calls is a word");
    let all = if calls.is_empty() { 0 } else { u64::MAX >> (64 - calls.len()) };
    let (mut tried, mut open) = (HashSet::new(), vec![(0, start)]);
    while let Some((done, state)) = open.pop() {
        if done == all && model.may_end(&state) {
            return true;
        }
        let waiting = || (0..calls.len()).filter(|at| done & (1 << at) == 0);
        let Some(first_end) = waiting().map(|at| calls[at].end).min() else { continue };
        // Who began after another one's end comes after it.
        for at in waiting().filter(|at| calls[*at].begin < first_end) {
            for next in model.step(&state, &calls[at].call) {
                let reached = (done | (1 << at), next);
                if tried.insert(reached.clone()) {
                    open.push(reached);
                }
            }
        }
    }
    false
}
