//! What one node knows of one key, and every decision that it makes by itself.
//!
//! Pure: a function of this state, the question and the time. Times are microseconds since the
//! limiter started.
//!
//! For each policy the node remembers where Redis said that the key stands (the *mirror*: a TAT in
//! its own time). It is what makes rejections free until something has refilled, and what it counts
//! on by itself while Redis is out of reach.

use super::law::Law;
use super::lease::{Grant, Lease, Terms};
use super::protocol::{Amend, AmendKind, Answer, Spec};
use super::ruling::{self, Standing};
use super::subject::Subject;
use crate::decide::{Outcome, Ruling};

/// See the module.
#[derive(Debug)]
pub(crate) struct KeyState {
    pub(crate) subject: Subject,
    /// Blocked by an operator until then; 0 is not.
    pub(crate) blocked: u64,
    policies: Box<[Mirror]>,
    leases: Vec<Lease>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Mirror {
    tat: u64,
    /// The same as of the last unit that was admitted without Redis, at this node's share. Apart,
    /// as Redis may say where the key stands before it is told of those units.
    alone: u64,
    /// Units admitted while Redis was out of reach, which it has not heard of.
    owed: u32,
}

/// What the node can say without asking.
#[derive(Debug)]
pub(crate) enum Local {
    /// Out of a lease. `refill`: so many units should be asked for meanwhile.
    Leased { ruling: Ruling, refill: Option<u32> },
    /// Rejected: Redis said so, and nothing can have refilled since.
    Remembered(Ruling),
    /// By an operator.
    Blocked(Ruling),
    /// Only Redis can tell. `want`: how many units more to ask for.
    Ask { want: u32 },
}

/// What to do about a policy while Redis is out of reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum FailureMode {
    /// Admit: the policy does not count for that time.
    Open,
    /// Reject, as unavailable (503), not as over quota.
    Closed,
    /// Each node admits its share, the quota divided by the nodes alive, going on from where
    /// Redis last said that the key stands. What was admitted is charged to Redis on its return.
    #[default]
    Local,
}

/// The answer without Redis.
#[derive(Debug)]
pub(crate) struct Alone {
    pub(crate) ruling: Ruling,
    /// Who decided.
    pub(crate) by: FailureMode,
}

/// A rejection by [`FailureMode::Closed`] says to come back after this many microseconds.
pub(crate) const CLOSED_WAIT: u64 = 1_000_000;

impl KeyState {
    pub(crate) fn new(subject: Subject, policies: usize, blocked: u64) -> Self {
        let policies = vec![Mirror::default(); policies].into_boxed_slice();
        Self { subject, blocked, policies, leases: Vec::new() }
    }

    /// The same under other policies: of each what it was before, and both laws. Where it had a
    /// candidate, a key spent of one of the two, and the one that is fuller is forgotten. What is
    /// held and owed stays behind, to be settled there.
    pub(crate) fn after(&self, before: &[Vec<(usize, Law, Law)>], now: u64) -> Self {
        let one = |(place, from, to): &(usize, Law, Law)| {
            let mirror = self.policies[*place];
            let carry = |tat: u64| match from.spent(tat, now) {
                0 => 0,
                spent => now.saturating_add(to.carried(*from, spent)),
            };
            (carry(mirror.tat), carry(mirror.alone))
        };
        let carried = |places: &Vec<(usize, Law, Law)>| {
            places.iter().map(one).fold(Mirror::default(), |most, (tat, alone)| Mirror {
                tat: most.tat.max(tat),
                alone: most.alone.max(alone),
                owed: 0,
            })
        };
        let policies = before.iter().map(carried).collect();
        Self { subject: self.subject, blocked: self.blocked, policies, leases: Vec::new() }
    }

    /// Decides on `need` units if that takes no Redis. Without `memory` of rejections: while Redis
    /// is out of reach, the mirror is at this node's share and waits for that.
    pub(crate) fn decide(
        &mut self,
        spec: &Spec,
        need: u32,
        now: u64,
        terms: Terms,
        memory: impl FnOnce() -> bool,
    ) -> Local {
        if self.blocked > now {
            let wait = self.blocked - now;
            return Local::Blocked(ruling::turned_away(0, spec.ids[0], wait));
        }
        if !spec.exact && terms.most > 0 {
            let lease = self.lease(spec.mask);
            if lease.take(need, now, terms) {
                let left = lease.left(now, terms);
                let refill = lease.is_low(now, terms).then(|| lease.want(0, now, terms));
                let refill = refill.filter(|want| *want > 0);
                lease.coming |= refill.is_some();
                let ruling = ruling::allowed(self.standings(spec, now), left.into());
                return Local::Leased { ruling, refill };
            }
        }
        if memory()
            && let Some(ruling) = self.remembered(spec, need, now)
        {
            return Local::Remembered(ruling);
        }
        let exact = spec.exact || terms.most == 0;
        let want = if exact { 0 } else { self.lease(spec.mask).want(need, now, terms) };
        Local::Ask { want }
    }

    /// Takes in what Redis answered to an ask for `need` units and more, sent at `asked` and heard
    /// at `now`. Gives back the ruling, and what there was no place for.
    pub(crate) fn heard(
        &mut self,
        spec: &Spec,
        need: u32,
        answer: &Answer,
        (asked, now): (u64, u64),
        terms: Terms,
    ) -> (Ruling, Option<Grant>) {
        self.learn(spec, answer, now);
        let ahead = answer.granted.saturating_sub(need);
        let mut over = None;
        let mut held = 0;
        if !spec.exact {
            let lease = self.lease(spec.mask);
            if ahead > 0 {
                over = lease.add(Grant { left: ahead, asked, granted_at: answer.now });
            }
            held = lease.left(now, terms);
        }
        (ruling_of(spec, need, answer, held), over)
    }

    /// Units that were asked for ahead of need have come, or did not.
    pub(crate) fn refilled(
        &mut self,
        spec: &Spec,
        answer: Option<&Answer>,
        (asked, now): (u64, u64),
        terms: Terms,
    ) -> Option<Grant> {
        self.lease(spec.mask).coming = false;
        let answer = answer?;
        // 1 unit is the least that can be asked for; it is as good as the others.
        self.heard(spec, 0, answer, (asked, now), terms).1
    }

    /// Where Redis says that the key stands.
    pub(crate) fn learn(&mut self, spec: &Spec, answer: &Answer, now: u64) {
        for (id, spent) in spec.ids.iter().zip(&answer.spent) {
            self.policies[usize::from(*id)].tat = now.saturating_add(*spent);
        }
    }

    /// Decides without Redis, by each policy's mode, on this node's share. Without `charge` it only
    /// looks.
    pub(crate) fn alone(
        &mut self,
        spec: &Spec,
        modes: &[FailureMode],
        nodes: u32,
        need: u32,
        now: u64,
        charge: bool,
    ) -> Alone {
        let mode = |id: &u8| modes[usize::from(*id)];
        if let Some(position) = spec.ids.iter().position(|id| mode(id) == FailureMode::Closed) {
            let ruling = ruling::turned_away(position, spec.ids[position], CLOSED_WAIT);
            return Alone { ruling, by: FailureMode::Closed };
        }
        let shares = || {
            let all = spec.ids.iter().zip(&spec.laws);
            let local = all.filter(|(id, _)| mode(id) == FailureMode::Local);
            local.map(|(id, law)| (*id, law.share(nodes)))
        };
        let standing = |policies: &[Mirror], (id, law): (u8, Law)| {
            let mirror = policies[usize::from(id)];
            let spent = law.spent(mirror.tat.max(mirror.alone), now);
            Standing { id, law, spent }
        };
        let local = shares().map(|share| standing(&self.policies, share));
        if let Some(mut ruling) = ruling::refused(local, need) {
            // A cost above this node's share waits for Redis, not for ever.
            if ruling.outcome == Outcome::TooLarge {
                let position = spec.ids.iter().position(|id| *id == ruling.policy);
                ruling = ruling::turned_away(position.unwrap_or(0), ruling.policy, CLOSED_WAIT);
            }
            return Alone { ruling, by: FailureMode::Local };
        }
        for (id, law) in shares().filter(|_| charge) {
            let mirror = &mut self.policies[usize::from(id)];
            let spent = law.spent(mirror.tat.max(mirror.alone), now);
            mirror.alone = now.saturating_add(spent).saturating_add(law.price(need));
            mirror.tat = mirror.alone;
            mirror.owed = mirror.owed.saturating_add(need);
        }
        let mut local = shares().map(|share| standing(&self.policies, share)).peekable();
        if local.peek().is_none() {
            let ruling = ruling::allowed(self.standings(spec, now), 0);
            return Alone { ruling, by: FailureMode::Open };
        }
        Alone { ruling: ruling::allowed(local, 0), by: FailureMode::Local }
    }

    /// Charges units that were [expected](Self::expect) to be told to Redis and could not be; it is
    /// to be told later.
    pub(crate) fn owe(
        &mut self,
        spec: &Spec,
        modes: &[FailureMode],
        nodes: u32,
        units: u32,
        now: u64,
    ) {
        for (id, law) in spec.ids.iter().zip(&spec.laws) {
            let place = usize::from(*id);
            // An open one does not count for that time. A closed one turns away without looking at
            // this, but Redis is told.
            if modes[place] == FailureMode::Open {
                continue;
            }
            let (mirror, share) = (&mut self.policies[place], law.share(nodes));
            let before = mirror.tat.saturating_sub(law.price(units)).max(mirror.alone);
            let spent = share.spent(before, now).saturating_add(share.price(units));
            let spent = spent.min(share.capacity);
            mirror.alone = now.saturating_add(spent);
            mirror.owed = mirror.owed.saturating_add(units);
        }
    }

    /// Takes back units that were admitted without Redis, as far as it has not been told of them.
    pub(crate) fn disown(
        &mut self,
        spec: &Spec,
        modes: &[FailureMode],
        nodes: u32,
        units: u32,
        now: u64,
    ) {
        for (id, law) in spec.ids.iter().zip(&spec.laws) {
            let place = usize::from(*id);
            let mirror = &mut self.policies[place];
            let units = units.min(mirror.owed);
            if modes[place] != FailureMode::Local || units == 0 {
                continue;
            }
            let less = law.share(nodes).price(units);
            mirror.owed -= units;
            // What Redis said meanwhile stays as it is.
            let follows = mirror.tat == mirror.alone;
            mirror.alone = mirror.alone.saturating_sub(less).max(now);
            if follows {
                mirror.tat = mirror.alone;
            }
        }
    }

    /// Redis will be told of units that were spent, whatever was left.
    pub(crate) fn expect(&mut self, spec: &Spec, units: u32, now: u64) {
        for (id, law) in spec.ids.iter().zip(&spec.laws) {
            let mirror = &mut self.policies[usize::from(*id)];
            let spent = law.spent(mirror.tat, now).saturating_add(law.price(units));
            mirror.tat = now.saturating_add(spent.min(law.capacity));
        }
    }

    /// A rejection that is remembered: nothing can have refilled since.
    pub(crate) fn remembered(&self, spec: &Spec, need: u32, now: u64) -> Option<Ruling> {
        ruling::refused(self.standings(spec, now), need)
    }

    /// What a request of one unit would meet, as far as is known.
    #[cfg(feature = "tower")]
    pub(crate) fn standing(&self, spec: &Spec, now: u64) -> Ruling {
        let refused = self.remembered(spec, 1, now);
        refused.unwrap_or_else(|| ruling::allowed(self.standings(spec, now), 0))
    }

    /// What Redis should be charged for what was admitted without it, in the order of `laws`, and
    /// forgets it. Not more than what has not drained meanwhile: this node's part of it.
    pub(crate) fn settle(&mut self, laws: &[Law], nodes: u32, now: u64) -> Option<Amend> {
        if !self.owes() {
            return None;
        }
        let amounts = self.policies.iter_mut().zip(laws).map(|(mirror, law)| {
            let owed = law.price(std::mem::take(&mut mirror.owed));
            owed.min(mirror.alone.saturating_sub(now).div_ceil(u64::from(nodes.max(1))))
        });
        Some(Amend { kind: AmendKind::Charge, amounts: amounts.collect() })
    }

    /// Redis took a settlement, and says where the key stands with it.
    pub(crate) fn settled(&mut self, spec: &Spec, answer: &Answer, now: u64) {
        self.learn(spec, answer, now);
        // Of these policies alone: the others may still be owed, and are told of as they are here.
        for id in &spec.ids {
            let mirror = &mut self.policies[usize::from(*id)];
            if mirror.owed == 0 {
                mirror.alone = 0;
            }
        }
    }

    /// Whether Redis should be charged for something.
    pub(crate) fn owes(&self) -> bool {
        self.policies.iter().any(|mirror| mirror.owed > 0)
    }

    /// A settlement that Redis did not take is owed still.
    pub(crate) fn unsettled(&mut self, spec: &Spec, amend: &Amend) {
        for ((id, law), amount) in spec.ids.iter().zip(&spec.laws).zip(&amend.amounts) {
            let mirror = &mut self.policies[usize::from(*id)];
            let units = u32::try_from(amount.div_ceil(law.emission)).unwrap_or(u32::MAX);
            mirror.owed = mirror.owed.saturating_add(units);
        }
    }

    /// A grant whose time is over, or any if `all`, and of which set.
    pub(crate) fn expired(&mut self, now: u64, terms: Terms, all: bool) -> Option<(u64, Grant)> {
        self.leases
            .iter_mut()
            .find_map(|lease| lease.expired(now, terms, all).map(|grant| (lease.mask, grant)))
    }

    /// Gives units back to a grant that still lives and of which so many were spent.
    pub(crate) fn put_back(&mut self, spec: &Spec, units: u32, now: u64, terms: Terms) -> bool {
        !spec.exact && self.lease(spec.mask).put_back(units, now, terms)
    }

    /// An operator lifted all: what is remembered counts no more.
    pub(crate) fn forgive(&mut self) {
        self.blocked = 0;
        for mirror in &mut self.policies {
            *mirror = Mirror::default();
        }
    }

    /// Whether forgetting the key loses nothing.
    pub(crate) fn is_idle(&self, now: u64, terms: Terms) -> bool {
        self.blocked <= now
            && self.policies.iter().all(|mirror| mirror.tat <= now && mirror.owed == 0)
            && self.leases.iter().all(|lease| lease.is_idle(now, terms))
    }

    /// Units held, in grants that still live.
    pub(crate) fn held(&self, now: u64, terms: Terms) -> u64 {
        self.leases.iter().map(|lease| u64::from(lease.left(now, terms))).sum()
    }

    fn standings<'a>(
        &'a self,
        spec: &'a Spec,
        now: u64,
    ) -> impl Iterator<Item = Standing> + use<'a> {
        spec.ids.iter().zip(&spec.laws).map(move |(id, law)| {
            let spent = law.spent(self.policies[usize::from(*id)].tat, now);
            Standing { id: *id, law: *law, spent }
        })
    }

    fn lease(&mut self, mask: u64) -> &mut Lease {
        let place = self.leases.iter().position(|lease| lease.mask == mask);
        let place = place.unwrap_or_else(|| {
            self.leases.push(Lease::new(mask));
            self.leases.len() - 1
        });
        &mut self.leases[place]
    }
}

/// What Redis said, with `held` units on this node besides.
pub(crate) fn ruling_of(spec: &Spec, need: u32, answer: &Answer, held: u32) -> Ruling {
    let all = spec.ids.iter().zip(&spec.laws).zip(&answer.spent);
    let standings =
        || all.clone().map(|((id, law), spent)| Standing { id: *id, law: *law, spent: *spent });
    if answer.granted >= need {
        return ruling::allowed(standings(), held.into());
    }
    // It rejects, so one of them has no room: were that not so, the safe reading is a short wait.
    ruling::refused(standings(), need)
        .unwrap_or_else(|| ruling::turned_away(0, spec.ids[0], CLOSED_WAIT))
}

/// What Redis said of a look, if that is no.
pub(crate) fn refused_by(spec: &Spec, need: u32, answer: &Answer) -> Option<Ruling> {
    let all = spec.ids.iter().zip(&spec.laws).zip(&answer.spent);
    let standings = all.map(|((id, law), spent)| Standing { id: *id, law: *law, spent: *spent });
    ruling::refused(standings, need)
}

/// What is to be given back of a grant.
pub(crate) fn returned(spec: &Spec, grant: Grant) -> Amend {
    let amounts = spec.laws.iter().map(|law| law.price(grant.left)).collect();
    Amend { kind: AmendKind::Return { granted_at: grant.granted_at }, amounts }
}

#[cfg(test)]
mod tests;
