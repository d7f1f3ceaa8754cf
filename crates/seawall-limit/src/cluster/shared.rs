//! What the clones of a cluster-wide limiter, its sets and its tasks share of one generation.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::core::Core;
use super::decision::Source;
use super::desk::{Ask, NoAnswer};
use super::law::Law;
use super::lease::{Grant, Terms};
use super::protocol::{Spec, Want};
use super::ruling::{self, Standing};
use super::state::{FailureMode, KeyState, Local, ruling_of};
use super::subject::Subject;
use super::table::{Place, Table};
use crate::decide::{Outcome, Ruling};

/// One generation of policies, and what this node knows of keys under them.
pub(crate) struct Shared {
    pub(crate) core: Arc<Core>,
    pub(crate) terms: Terms,
    /// What would be, and decides about nobody.
    pub(crate) is_twin: bool,
    /// Those with a name of their own.
    pub(crate) named: usize,
    /// Of them, and then of candidates.
    pub(crate) laws: Box<[Law]>,
    /// Of each the shortest time to refill that it has had, here or in a later generation.
    pub(crate) shortest: Box<[AtomicU64]>,
    /// By which Redis knows them. A candidate has the policy's.
    pub(crate) names: Box<[Box<str>]>,
    pub(crate) modes: Box<[FailureMode]>,
    pub(crate) exact: Box<[bool]>,
    pub(crate) table: Table,
    pub(crate) specs: Mutex<HashMap<u64, Arc<Spec>>>,
    /// Grants to give back: whose, and of which set.
    pub(crate) returns: Mutex<Vec<(Subject, u64, Grant)>>,
    /// Held for a round of settlement.
    pub(crate) sweeping: tokio::sync::Mutex<()>,
    /// Keys whose spending without Redis it has not heard of yet, at most.
    pub(crate) owing: AtomicU64,
    /// Units held, as of the last round.
    pub(crate) held_last: AtomicU64,
    /// Whether a task ends it, as it has a successor.
    pub(crate) retiring: AtomicBool,
}

impl Deref for Shared {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}

/// What there is to say at once, or what to ask.
pub(crate) enum Begun {
    Done(Said),
    Ask(Question),
}

/// A decision, and under which of a set's variants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Said {
    pub(crate) variant: usize,
    pub(crate) ruling: Ruling,
    pub(crate) source: Source,
}

/// Whose decision, under what.
pub(crate) struct About<'a, F> {
    pub(crate) spec: &'a Arc<Spec>,
    pub(crate) variant: usize,
    pub(crate) place: Place,
    /// Worked out where it is needed: it takes a hash.
    pub(crate) subject: F,
}

/// A decision that takes Redis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    pub(crate) variant: usize,
    place: Place,
    subject: Subject,
    want: Want,
    /// Whether the node remembers something of the key.
    known: bool,
}

impl Shared {
    /// Decides if that takes no Redis.
    pub(crate) fn begin<F: Fn() -> Subject>(
        self: &Arc<Self>,
        about: About<'_, F>,
        need: u32,
        now: Instant,
    ) -> Begun {
        let About { spec, variant, place, subject } = about;
        let now = self.micros(now);
        if spec.laws.iter().any(|law| law.never(need)) {
            return self.done(variant, too_large(spec, need), Source::Memory);
        }
        let decide = |state: &mut KeyState| {
            let subject = state.subject;
            let memory = || self.desk.is_reachable(self.desk.link.node(subject));
            (state.decide(spec, need, now, self.terms, memory), subject)
        };
        let make = || {
            let subject = subject();
            (subject, self.blocked_until(subject))
        };
        let Some((local, subject)) = self.table.with(place, (now, self.terms), make, decide) else {
            let subject = subject();
            let blocked = self.blocked_until(subject);
            if blocked > now {
                let ruling = ruling::turned_away(0, spec.ids[0], blocked - now);
                return self.done(variant, ruling, Source::Blocked);
            }
            let want = Want { need, want: 0 };
            return Begun::Ask(Question { variant, place, subject, want, known: false });
        };
        match local {
            Local::Leased { ruling, refill } => {
                if let Some(want) = refill {
                    self.refill(Arc::clone(spec), place, subject, want);
                }
                self.done(variant, ruling, Source::Lease)
            }
            Local::Remembered(ruling) => self.done(variant, ruling, Source::Memory),
            Local::Blocked(ruling) => self.done(variant, ruling, Source::Blocked),
            Local::Ask { want } => {
                let want = Want { need, want };
                Begun::Ask(Question { variant, place, subject, want, known: true })
            }
        }
    }

    /// Asks Redis, and decides without if there is no answer in time.
    pub(crate) async fn finish(self: Arc<Self>, spec: Arc<Spec>, question: Question) -> Said {
        if question.want.want == 0 {
            return self.asked(&spec, question).await;
        }
        // A caller that goes away would take with it what is taken ahead: far more than it asked
        // for, and from a quota that others may share.
        let (this, of) = (Arc::clone(&self), Arc::clone(&spec));
        let task = self.desk.runtime.spawn(async move { this.asked(&of, question).await });
        match task.await {
            Ok(decided) => decided,
            // The runtime is shutting down.
            Err(_) => {
                let need = question.want.need;
                let (ruling, source) = self.alone(&spec, question.place, need, self.now());
                Said { variant: question.variant, ruling, source }
            }
        }
    }

    async fn asked(&self, spec: &Arc<Spec>, question: Question) -> Said {
        let Question { variant, place, subject, want, known } = question;
        let asked = self.now();
        let answer = self.desk.ask(self.question(spec, subject, want)).await;
        let now = self.now();
        let (ruling, source) = match answer {
            Ok(answer) => {
                self.stats.mended(answer.mended);
                let hear = |state: &mut KeyState| {
                    state.heard(spec, want.need, &answer, (asked, now), self.terms)
                };
                let heard = if known { self.table.known(place, hear) } else { None };
                let (ruling, over) = heard.unwrap_or_else(|| {
                    // The node forgot the key meanwhile: nothing can be held for it.
                    let left = answer.granted.saturating_sub(want.need);
                    let over = Grant { left, asked, granted_at: answer.now };
                    (ruling_of(spec, want.need, &answer, 0), Some(over).filter(|it| it.left > 0))
                });
                self.give_back(subject, spec.mask, over);
                (ruling, Source::Redis)
            }
            Err(_) => self.alone(spec, place, want.need, now),
        };
        self.count(source, ruling.outcome == Outcome::Allowed);
        Said { variant, ruling, source }
    }

    /// What Redis says without charging.
    pub(crate) async fn look(
        &self,
        spec: &Arc<Spec>,
        subject: Subject,
        need: u32,
    ) -> Result<Ruling, NoAnswer> {
        let answer = self.desk.ask(self.question(spec, subject, Want { need: 0, want: 0 })).await?;
        let spent = || spec.ids.iter().zip(&spec.laws).zip(&answer.spent);
        let all =
            || spent().map(|((id, law), spent)| Standing { id: *id, law: *law, spent: *spent });
        Ok(ruling::refused(all(), need).unwrap_or_else(|| ruling::allowed(all(), 0)))
    }

    pub(crate) fn give_back(&self, subject: Subject, mask: u64, over: Option<Grant>) {
        if let Some(grant) = over {
            let mut returns = self.returns.lock();
            // What there is no place for is lost to everybody until it refills, never spent twice.
            if returns.len() < MOST_RETURNS {
                returns.push((subject, mask, grant));
            }
        }
    }

    /// The specification of a set; one for each combination of policies.
    pub(crate) fn spec(&self, ids: &[u8]) -> Arc<Spec> {
        let at = |id: &u8| usize::from(*id);
        Arc::new(Spec {
            ids: ids.into(),
            laws: ids.iter().map(|id| self.laws[at(id)]).collect(),
            names: ids.iter().map(|id| self.names[at(id)].clone()).collect(),
            mask: ids.iter().fold(0, |mask, id| mask | 1 << id),
            exact: ids.iter().any(|id| self.exact[at(id)]),
        })
    }

    /// Without Redis.
    fn alone(&self, spec: &Spec, place: Place, need: u32, now: u64) -> (Ruling, Source) {
        let nodes = self.live_nodes();
        let decide = |state: &mut KeyState| state.alone(spec, &self.modes, nodes, need, now, true);
        let alone =
            self.table.known(place, decide).unwrap_or_else(|| self.table.shared(place, decide));
        let source = match alone.by {
            FailureMode::Open => Source::Open,
            FailureMode::Closed => Source::Closed,
            FailureMode::Local => {
                self.owing.fetch_add(1, Ordering::Relaxed);
                Source::Local
            }
        };
        (alone.ruling, source)
    }

    /// Asks for more units while the last are being spent. Nobody waits for it.
    fn refill(self: &Arc<Self>, spec: Arc<Spec>, place: Place, subject: Subject, want: u32) {
        let this = Arc::clone(self);
        // Decisions that take no Redis are made on any thread.
        self.desk.runtime.spawn(async move {
            let asked = this.now();
            let want = Want { need: 1, want: want - 1 };
            let answer = this.desk.ask(this.question(&spec, subject, want)).await.ok();
            let now = this.now();
            let hear = |state: &mut KeyState| {
                state.refilled(&spec, answer.as_ref(), (asked, now), this.terms)
            };
            let over = this.table.known(place, hear).flatten();
            this.give_back(subject, spec.mask, over);
        });
    }

    pub(crate) fn question(&self, spec: &Arc<Spec>, subject: Subject, want: Want) -> Ask {
        // Each node may take half of its part of what is left: near the limit that is nothing
        // ahead, and the last units go one by one.
        let divisor = self.live_nodes().saturating_mul(2);
        Ask { subject, spec: Arc::clone(spec), want, divisor }
    }

    pub(crate) fn done(&self, variant: usize, ruling: Ruling, source: Source) -> Begun {
        self.count(source, ruling.outcome == Outcome::Allowed);
        Begun::Done(Said { variant, ruling, source })
    }

    /// What may have refilled of some policies since, as their laws here count it.
    pub(crate) fn refilled<'a>(
        &'a self,
        ids: &'a [u8],
        since: u64,
    ) -> impl Iterator<Item = u64> + use<'a> {
        ids.iter().map(move |id| {
            let id = usize::from(*id);
            let shortest = self.shortest[id].load(Ordering::Relaxed).max(1);
            let refilled = u128::from(since) * u128::from(self.laws[id].capacity);
            u64::try_from(refilled.div_ceil(u128::from(shortest))).unwrap_or(u64::MAX)
        })
    }

    /// Another generation refills what this one has charged.
    pub(crate) fn followed_by(&self, next: &Self) {
        for (name, shortest) in self.names.iter().zip(&self.shortest) {
            let all = next.names.iter().zip(&next.laws).filter(|(of, _)| *of == name);
            for (_, law) in all {
                shortest.fetch_min(law.capacity, Ordering::Relaxed);
            }
        }
    }

    /// A trial is no decision: nobody is let in or turned away by it.
    fn count(&self, source: Source, allowed: bool) {
        if !self.is_twin {
            self.stats.decided(source, allowed);
        }
    }
}

fn too_large(spec: &Spec, need: u32) -> Ruling {
    let all = spec.ids.iter().zip(&spec.laws);
    let fresh = all.map(|(id, law)| Standing { id: *id, law: *law, spent: 0 });
    ruling::refused(fresh, need).unwrap_or_else(|| ruling::turned_away(0, spec.ids[0], 0))
}

const MOST_RETURNS: usize = 65_536;
