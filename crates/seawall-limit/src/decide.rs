//! One decision over several policies: all are charged, or none.

use crate::gcra::{Gcra, Verdict};
use crate::law::{Law, State};
use crate::table::MAX_POLICIES;
pub(crate) use crate::table::Place;

/// One policy of a set, with what a decision needs of it in one place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) law: Law,
    /// The bucket that stands in for the law while the key shares its state.
    pub(crate) relief: Gcra,
    /// The policy, and where the state's time is in a key's words.
    pub(crate) id: u8,
    /// Where the state's count is, if the law counts.
    pub(crate) count: u8,
}

/// What a decision does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charge {
    /// Nothing: it only looks.
    None,
    /// All of the cost to all policies, or nothing.
    AllOrNone,
    /// The same; but if it is too much, what is left is taken from all.
    OrDrain,
}

/// What a decision says: as much as has to be known under the lock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ruled {
    pub(crate) outcome: Outcome,
    pub(crate) place: Place,
    /// Position in the set of the policy to name: the first that rejects, or
    /// the tightest.
    pub(crate) position: u8,
    /// The policies that reject: bit i is the i-th of the set.
    pub(crate) violated: u16,
    /// The named policy's state after the decision.
    pub(crate) state: State,
    pub(crate) now: u64,
    /// Nanoseconds until the named policy admits; 0 if it does.
    pub(crate) own_wait: u64,
    /// Nanoseconds until every policy admits; 0 if allowed.
    pub(crate) wait: u64,
}

/// What a decision says, in plain numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "tower"), allow(dead_code, reason = "answers need them"))]
pub(crate) struct Ruling {
    pub(crate) outcome: Outcome,
    /// The policy to name: the first that rejects, or the tightest.
    pub(crate) policy: u8,
    /// That policy's units left.
    pub(crate) remaining: u32,
    /// Nanoseconds until that policy is full.
    pub(crate) reset: u64,
    /// Nanoseconds until that policy admits (rejected), or until it has one
    /// unit more (allowed).
    pub(crate) next: u64,
    /// Nanoseconds until every policy admits; 0 if allowed.
    pub(crate) wait: u64,
    /// The policies that reject: bit i is the i-th of the set.
    pub(crate) violated: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Allowed,
    /// Waiting helps.
    Rejected,
    /// The cost is above what a policy ever has: waiting does not help.
    TooLarge,
}

impl Entry {
    #[inline]
    pub(crate) fn law(&self, place: Place) -> Law {
        match place {
            Place::Slot => self.law,
            Place::Overflow => Law::Bucket(self.relief),
        }
    }

    #[inline]
    pub(crate) fn load(&self, words: &[u64], place: Place) -> State {
        let count = match place {
            Place::Slot if self.law.counts() => words[usize::from(self.count)],
            _ => 0,
        };
        State { until: words[usize::from(self.id)], count }
    }

    #[inline]
    pub(crate) fn store(&self, words: &mut [u64], place: Place, state: State) {
        words[usize::from(self.id)] = state.until;
        if place == Place::Slot && self.law.counts() {
            words[usize::from(self.count)] = state.count;
        }
    }
}

/// Decides on `cost` units of the policies `entries`, most specific first, and
/// charges them as `charge` says.
///
/// A rejection may still bring a state nearer: see [`Law::heal`].
#[inline]
pub(crate) fn decide(
    entries: &[Entry],
    words: &mut [u64],
    place: Place,
    now: u64,
    cost: u32,
    charge: Charge,
) -> Ruled {
    // The common case, alone: one policy, in its slot, which admits.
    if let [entry] = entries
        && place == Place::Slot
        && charge == Charge::AllOrNone
        && cost > 0
        && let Verdict::Admit(state) = entry.law.check(entry.load(words, place), now, cost)
    {
        entry.store(words, place, state);
        return Ruled::allowed(place, 0, state, now);
    }
    decide_more(entries, words, place, now, cost, charge)
}

/// Charges `cost` units whatever is left, as far as debt goes; then tells what a
/// request of one unit would meet.
pub(crate) fn force(
    entries: &[Entry],
    words: &mut [u64],
    place: Place,
    now: u64,
    cost: u32,
) -> Ruled {
    for entry in entries {
        let state = entry.law(place).force(entry.load(words, place), now, cost);
        entry.store(words, place, state);
    }
    decide_all(entries, words, place, now, 1, Charge::None)
}

/// Charges all that is left; then tells the same.
pub(crate) fn drain(entries: &[Entry], words: &mut [u64], place: Place, now: u64) -> Ruled {
    for entry in entries {
        let state = entry.law(place).drain(entry.load(words, place), now);
        entry.store(words, place, state);
    }
    decide_all(entries, words, place, now, 1, Charge::None)
}

/// Apart, so that the way of one policy is short.
#[inline(never)]
fn decide_more(
    entries: &[Entry],
    words: &mut [u64],
    place: Place,
    now: u64,
    cost: u32,
    charge: Charge,
) -> Ruled {
    // The next common one: several buckets, which all admit.
    if place == Place::Slot
        && charge == Charge::AllOrNone
        && cost > 0
        && let Some((position, until)) = admit_buckets(entries, words, now, cost)
    {
        return Ruled::allowed(place, position, State { until, count: 0 }, now);
    }
    decide_all(entries, words, place, now, cost, charge)
}

/// Charges all, if each is a bucket and admits, and gives the tightest and its state.
///
/// What [`decide_all`] would do, but with states of one word, which stay in registers: those of
/// two go through memory, where what was written in two parts cannot be read as one at once.
#[inline]
fn admit_buckets(entries: &[Entry], words: &mut [u64], now: u64, cost: u32) -> Option<(u8, u64)> {
    let mut charged = [0; MAX_POLICIES];
    let (mut tightest, mut position, mut state) = (u32::MAX, 0, 0);
    for (place, (entry, charged)) in entries.iter().zip(&mut charged).enumerate() {
        let Law::Bucket(gcra) = &entry.law else { return None };
        let Verdict::Admit(until) = gcra.check(words[usize::from(entry.id)], now, cost) else {
            return None;
        };
        *charged = until;
        let remaining = gcra.remaining(until, now);
        if place == 0 || remaining < tightest {
            (tightest, position, state) = (remaining, place as u8, until);
        }
    }
    for (entry, until) in entries.iter().zip(&charged) {
        words[usize::from(entry.id)] = *until;
    }
    Some((position, state))
}

#[inline(never)]
fn decide_all(
    entries: &[Entry],
    words: &mut [u64],
    place: Place,
    now: u64,
    cost: u32,
    charge: Charge,
) -> Ruled {
    let mut refusal = Refusal::default();
    // Where all admit, the states to keep.
    let mut charged = [State::default(); MAX_POLICIES];
    for (position, entry) in entries.iter().enumerate() {
        match entry.law(place).check(entry.load(words, place), now, cost) {
            Verdict::Admit(state) => charged[position] = state,
            Verdict::Wait { nanos } => refusal.wait(position, nanos),
            Verdict::Never => refusal.never(position),
        }
    }
    if refusal.violated != 0 {
        return refusal.ruled(entries, words, place, now, cost, charge);
    }
    let mut ruled = Ruled::allowed(place, 0, State::default(), now);
    let mut tightest = u32::MAX;
    for (position, entry) in entries.iter().enumerate() {
        let state = match charge {
            // A cost of nothing leaves no trace.
            Charge::AllOrNone | Charge::OrDrain if cost > 0 => {
                entry.store(words, place, charged[position]);
                charged[position]
            }
            _ => entry.load(words, place),
        };
        let remaining = entry.law(place).remaining(state, now);
        if position == 0 || remaining < tightest {
            tightest = remaining;
            ruled.position = position as u8;
            ruled.state = state;
        }
    }
    ruled
}

impl Ruled {
    #[inline]
    const fn allowed(place: Place, position: u8, state: State, now: u64) -> Self {
        Self {
            outcome: Outcome::Allowed,
            place,
            position,
            violated: 0,
            state,
            now,
            own_wait: 0,
            wait: 0,
        }
    }

    /// The same for a reader.
    pub(crate) fn ruling(&self, entries: &[Entry]) -> Ruling {
        let entry = &entries[usize::from(self.position)];
        let standing = entry.law(self.place).standing(self.state, self.now);
        Ruling {
            outcome: self.outcome,
            policy: entry.id,
            remaining: standing.remaining,
            reset: standing.reset,
            next: if self.outcome == Outcome::Allowed { standing.next } else { self.own_wait },
            wait: self.wait,
            violated: self.violated,
        }
    }
}

impl Ruling {
    /// Where nothing is enforced.
    pub(crate) const fn untouched(policy: u8, burst: u32) -> Self {
        let outcome = Outcome::Allowed;
        Self { outcome, policy, remaining: burst, reset: 0, next: 0, wait: 0, violated: 0 }
    }
}

#[derive(Default)]
struct Refusal {
    violated: u16,
    /// Position in the set and own wait of the policy to name.
    named: Option<(usize, u64)>,
    wait: u64,
    too_large: bool,
}

impl Refusal {
    fn wait(&mut self, position: usize, nanos: u64) {
        self.violated |= 1 << position;
        self.wait = self.wait.max(nanos);
        self.named.get_or_insert((position, nanos));
    }

    fn never(&mut self, position: usize) {
        self.violated |= 1 << position;
        if !self.too_large {
            self.too_large = true;
            self.named = Some((position, 0));
        }
    }

    fn ruled(
        self,
        entries: &[Entry],
        words: &mut [u64],
        place: Place,
        now: u64,
        cost: u32,
        charge: Charge,
    ) -> Ruled {
        if charge == Charge::OrDrain {
            for entry in entries {
                let state = entry.law(place).drain(entry.load(words, place), now);
                entry.store(words, place, state);
            }
            // The waits are longer now.
            return decide_all(entries, words, place, now, cost, Charge::None);
        }
        for entry in entries {
            let state = entry.law(place).heal(entry.load(words, place), now);
            entry.store(words, place, state);
        }
        let (position, own_wait) = self.named.unwrap_or_default();
        Ruled {
            outcome: if self.too_large { Outcome::TooLarge } else { Outcome::Rejected },
            place,
            position: position as u8,
            violated: self.violated,
            state: entries[position].load(words, place),
            now,
            own_wait,
            wait: self.wait,
        }
    }
}

#[cfg(test)]
mod tests;
