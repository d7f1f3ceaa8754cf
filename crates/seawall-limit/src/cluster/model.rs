//! Redis as the script makes it: the same decisions in Rust, for the simulation. That they are the
//! same is tested against the real one.

use std::collections::BTreeMap;

use super::protocol::{Amend, AmendKind, Answer, Mended, Spec, Want};
use super::subject::Subject;

/// What one server keeps: of each subject and policy the TAT, in microseconds of its clock.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) keys: BTreeMap<Subject, BTreeMap<Box<str>, u64>>,
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
            self.keep(now, subject, spec, &spent);
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
        self.keep(now, subject, spec, &spent);
        Answer { now, granted: 0, mended: Mended::Nothing, spent }
    }

    fn spent(&self, now: u64, subject: Subject, spec: &Spec) -> Vec<u64> {
        let tats = self.keys.get(&subject);
        let tat = |name: &str| tats.and_then(|tats| tats.get(name)).copied().unwrap_or(0);
        spec.names.iter().zip(&spec.laws).map(|(name, law)| law.spent(tat(name), now)).collect()
    }

    fn keep(&mut self, now: u64, subject: Subject, spec: &Spec, spent: &[u64]) {
        let tats = self.keys.entry(subject).or_default();
        for (name, spent) in spec.names.iter().zip(spent) {
            match tats.get_mut(name) {
                Some(tat) => *tat = now + spent,
                None => drop(tats.insert(name.clone(), now + spent)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
