//! One decision over several policies: all are charged, or none.

use crate::gcra::{Gcra, Verdict};

/// What a decision says, in plain numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// The cost is above a burst: waiting does not help.
    TooLarge,
}

/// Decides on `cost` units of the policies `ids`, most specific first, and
/// charges them all if all admit and `charge` is set.
///
/// A rejection may still shorten a TAT: see [`Gcra::heal`].
#[inline]
pub(crate) fn decide(
    gcras: &[Gcra],
    ids: &[u8],
    tats: &mut [u64],
    now: u64,
    cost: u32,
    charge: bool,
) -> Ruling {
    let mut refusal = Refusal::default();
    for (position, id) in ids.iter().enumerate() {
        let id = usize::from(*id);
        match gcras[id].check(tats[id], now, cost) {
            Verdict::Admit { .. } => {}
            Verdict::Wait { nanos } => refusal.wait(position, nanos),
            Verdict::Never => refusal.never(position),
        }
    }
    if refusal.violated != 0 {
        return refusal.ruling(gcras, ids, tats, now);
    }
    let mut ruling = Ruling {
        outcome: Outcome::Allowed,
        policy: 0,
        remaining: u32::MAX,
        reset: 0,
        next: 0,
        wait: 0,
        violated: 0,
    };
    for (position, id) in ids.iter().enumerate() {
        let (gcra, tat) = (gcras[usize::from(*id)], &mut tats[usize::from(*id)]);
        if charge && let Verdict::Admit { tat: next } = gcra.check(*tat, now, cost) {
            *tat = next;
        }
        let standing = gcra.standing(*tat, now);
        if position == 0 || standing.remaining < ruling.remaining {
            ruling.policy = *id;
            ruling.remaining = standing.remaining;
            ruling.reset = standing.reset;
            ruling.next = standing.next;
        }
    }
    ruling
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

    fn ruling(self, gcras: &[Gcra], ids: &[u8], tats: &mut [u64], now: u64) -> Ruling {
        for id in ids {
            let id = usize::from(*id);
            tats[id] = gcras[id].heal(tats[id], now);
        }
        let (position, next) = self.named.unwrap_or_default();
        let policy = ids[position];
        let standing = gcras[usize::from(policy)].standing(tats[usize::from(policy)], now);
        Ruling {
            outcome: if self.too_large { Outcome::TooLarge } else { Outcome::Rejected },
            policy,
            remaining: standing.remaining,
            reset: standing.reset,
            next,
            wait: self.wait,
            violated: self.violated,
        }
    }
}

#[cfg(test)]
mod tests;
