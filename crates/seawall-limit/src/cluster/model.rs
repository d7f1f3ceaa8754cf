//! Redis as the script makes it: the same decisions in Rust, for the simulation. That they are the
//! same is tested against the real one.

use std::collections::BTreeMap;

use super::law::Law;
use super::protocol::{Amend, AmendKind, Answer, Mended, Spec, Want};
use super::subject::Subject;

/// What one server keeps: of each subject and policy the TAT, in microseconds of its clock, and the
/// law by which it was written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) keys: BTreeMap<Subject, BTreeMap<Box<str>, (u64, Law)>>,
}

impl Model {
    pub(crate) fn decide(
        &mut self,
        now: u64,
        subject: Subject,
        spec: &Spec,
        divisor: u32,
        want: Want,
    ) -> Answer {
        let mut spent = self.spent(now, subject, spec);
        let units = spec.units(&spent);
        let need = u64::from(want.need);
        let mut granted = 0;
        if need > 0 && units >= need {
            granted = need + u64::from(want.want).min((units - need) / u64::from(divisor));
            for (spent, law) in spent.iter_mut().zip(&spec.laws) {
                *spent += granted * law.emission;
            }
            self.keep(now, subject, spec, &spent, |_| true);
        } else if self.has_changed(now, subject, spec) {
            self.keep(now, subject, spec, &spent, |_| true);
        }
        let granted = u32::try_from(granted).unwrap_or(u32::MAX);
        Answer { now, granted, mended: Mended::Nothing, spent }
    }

    pub(crate) fn amend(
        &mut self,
        now: u64,
        subject: Subject,
        spec: &Spec,
        amend: &Amend,
    ) -> Answer {
        let mut spent = self.spent(now, subject, spec);
        for ((spent, law), amount) in spent.iter_mut().zip(&spec.laws).zip(&amend.amounts) {
            *spent = match amend.kind {
                AmendKind::Charge => (*spent + amount).min(law.capacity),
                AmendKind::Refund => spent.saturating_sub(*amount),
                AmendKind::Return { granted_at } => {
                    spent.saturating_sub(amount.saturating_sub(now.saturating_sub(granted_at)))
                }
            };
        }
        self.keep(now, subject, spec, &spent, |place| amend.amounts[place] > 0);
        Answer { now, granted: 0, mended: Mended::Nothing, spent }
    }

    fn spent(&self, now: u64, subject: Subject, spec: &Spec) -> Vec<u64> {
        let tats = self.keys.get(&subject);
        let spent = |(name, law): (&str, &Law)| {
            let (tat, from) = tats.and_then(|tats| tats.get(name)).copied().unwrap_or((0, *law));
            law.carried(from, tat.saturating_sub(now))
        };
        spec.names.iter().map(|name| &**name).zip(&spec.laws).map(spent).collect()
    }

    /// Whether a state was written by another law, and says something yet.
    fn has_changed(&self, now: u64, subject: Subject, spec: &Spec) -> bool {
        let tats = self.keys.get(&subject);
        spec.names.iter().zip(&spec.laws).any(|(name, law)| {
            let written = tats.and_then(|tats| tats.get(name));
            written.is_some_and(|(tat, from)| *tat > now && from != law)
        })
    }

    /// Those that are not `meant` stay as they are.
    fn keep(
        &mut self,
        now: u64,
        subject: Subject,
        spec: &Spec,
        spent: &[u64],
        meant: impl Fn(usize) -> bool,
    ) {
        let tats = self.keys.entry(subject).or_default();
        let all = spec.names.iter().zip(&spec.laws).zip(spent).enumerate();
        for (_, ((name, law), spent)) in all.filter(|(place, _)| meant(*place)) {
            match tats.get_mut(name) {
                Some(tat) => *tat = (now + spent, *law),
                None => drop(tats.insert(name.clone(), (now + spent, *law))),
            }
        }
    }
}

#[cfg(test)]
mod tests;
