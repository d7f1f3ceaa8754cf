//! From a request's head to a decision.

use std::cell::Cell;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Extensions, HeaderMap, Method, Request, Response, Uri};
use metrics::{Counter, counter, describe_counter};
use tokio::time::Instant;

#[cfg(feature = "redis")]
use super::cluster;
use super::open::{Held, Open};
use super::reload::Said;
use super::rule::{Rules, Sets};
use super::subject::{self, MAX_SUBJECTS, Owner, Source};
use crate::answer::{self, Answers, Fields, Manner};
use crate::body::LimitBody;
use crate::client::{Networks, Resolver};
use crate::decision::Decision;
use crate::key::Key;
use crate::limiter::Limiter;
use crate::lists::{Access, Desk};
use crate::set::PolicySet;

/// A request without its body.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target.
    pub uri: &'a Uri,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// What earlier layers and the server attached.
    pub extensions: &'a Extensions,
}

impl<'a> Head<'a> {
    fn of<B>(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }
}

pub(crate) type KeyFn = dyn for<'a> Fn(&Head<'a>) -> Option<Key<'a>> + Send + Sync;

/// Who sent a request.
struct Client<'a> {
    head: Head<'a>,
    address: Option<IpAddr>,
    /// Whether it was counted that nobody knows who it is.
    counted: Cell<bool>,
}

/// A request's client before anything is charged.
pub(crate) struct Met<'a> {
    lists: Option<&'a Desk>,
    pub(crate) access: Option<Access>,
    /// `None` if nobody looked yet.
    pub(crate) address: Option<Option<IpAddr>>,
}

impl<'a> Met<'a> {
    /// The lists that turn it away.
    pub(crate) fn refused_by(&self) -> Option<&'a Desk> {
        self.lists.filter(|_| self.access == Some(Access::Deny))
    }

    /// Counts it: once a request, however many gates it comes to.
    pub(crate) fn count(&self) {
        if let Some(lists) = self.lists {
            lists.count(self.access);
        }
    }
}

/// What there is to do about the response of a request that was let in.
#[derive(Default)]
pub(crate) struct Admitted {
    /// It gets these, of the local policies and of the cluster-wide ones.
    pub(crate) fields: [Option<Fields>; 2],
    /// It tells what to charge.
    pub(crate) open: Option<Box<Open>>,
}

/// How a request fares of which others were asked.
#[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "only Redis is asked"))]
pub(crate) enum Verdict<B> {
    Admit(Admitted),
    /// This is the answer.
    Reject(Box<Response<LimitBody<B>>>),
}

/// What the gate says of a request.
pub(crate) enum Judged<B> {
    /// What there is to do about the response was written to where it was said.
    Admit,
    /// This is the answer.
    Reject(Box<Response<LimitBody<B>>>),
    /// It takes asking others.
    #[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "only Redis is asked"))]
    Later(Asked<B>),
    /// Another gate has taken over: it is to be asked.
    Moved,
}

pub(crate) type Asked<B> = Pin<Box<dyn Future<Output = Verdict<B>> + Send>>;

impl Admitted {
    /// The request was not let in after all.
    pub(crate) fn dismiss(&mut self) {
        if let Some(open) = self.open.take() {
            open.dismiss();
        }
    }
}

/// Everything that services of one layer share.
pub(crate) struct Gate {
    client: Resolver,
    key: Option<Arc<KeyFn>>,
    allowed: Networks,
    rules: Rules,
    lists: Option<Arc<Desk>>,
    answers: Answers,
    /// For the next gate.
    said: Said,
    unidentified: Counter,
    warned: AtomicBool,
}

impl Gate {
    pub(crate) fn new(
        client: Resolver,
        key: Option<Arc<KeyFn>>,
        allowed: Networks,
        rules: Rules,
        lists: Option<Arc<Desk>>,
        (answers, said): (Answers, Said),
    ) -> Self {
        describe_counter!(
            UNIDENTIFIED,
            "Requests whose server told no peer address; they share one quota."
        );
        Self {
            client,
            key,
            allowed,
            rules,
            lists,
            answers,
            said,
            unidentified: counter!(UNIDENTIFIED),
            warned: AtomicBool::new(false),
        }
    }

    /// What lists say of the client, if there are any. It is not counted yet.
    pub(crate) fn meet<A>(&self, request: &Request<A>) -> Met<'_> {
        let Some(lists) = &self.lists else {
            return Met { lists: None, access: None, address: None };
        };
        let address = self.client.address(request.headers(), request.extensions());
        let access = lists.decide_on(address);
        Met { lists: Some(&**lists), access, address: Some(address) }
    }

    /// Decides on a request, or says how to find out. `met` is its client's address, if it was
    /// found already; `moved` tells whether another gate is in its place. What there is to do about the
    /// response goes into `admitted`, which is empty: it is too large to be handed on from call to call.
    pub(crate) fn judge<A, B>(
        &self,
        request: &Request<A>,
        met: Option<Option<IpAddr>>,
        moved: impl FnOnce() -> bool,
        admitted: &mut Admitted,
    ) -> Judged<B> {
        let head = Head::of(request);
        let Some(sets) = self.rules.policies(head.method, head.uri.path()) else {
            return Judged::Admit;
        };
        let Some(client) = self.client(&head, met, true) else { return Judged::Admit };
        let now = Instant::now();
        let has_moved = || {
            let has_left = |limiter: &Limiter| limiter.shared().heritage.has_left();
            self.limiter().is_some_and(has_left) && moved()
        };
        if !sets.settled.is_empty() {
            match self.admit(&client, sets, now) {
                Ok(open) => admitted.open = Some(open),
                Err(decision) => return self.rejected(request, &decision),
            }
        }
        if let Some(decision) = self.decide(&client, sets, now) {
            if has_moved() {
                admitted.dismiss();
                return Judged::Moved;
            }
            if !decision.is_allowed() {
                admitted.dismiss();
                return self.rejected(request, &decision);
            }
            if decision.is_enforced() {
                admitted.fields[0] = Some(Fields::of(&decision, self.answers));
            }
        }
        #[cfg(feature = "redis")]
        if sets.cluster.is_some() || !sets.cluster_settled.is_empty() {
            let manner = Manner::of(request, self.answers);
            let judged = cluster::judge(sets, self.key(&client), now, manner, admitted);
            if let Judged::Reject(_) = &judged {
                self.refund_client(&client, sets);
            }
            return judged;
        }
        Judged::Admit
    }

    fn rejected<A, B>(&self, request: &Request<A>, decision: &Decision<'_>) -> Judged<B> {
        let manner = Manner::of(request, self.answers);
        Judged::Reject(Box::new(answer::rejection(decision, &manner)))
    }

    /// Lets in what responses tell the cost of, if all policies have a unit left. Charges nothing.
    fn admit<'s>(
        &self,
        client: &Client<'_>,
        sets: &'s Sets,
        now: Instant,
    ) -> Result<Box<Open>, Decision<'s>> {
        let mut open = Box::new(Open::new(self.answers));
        let Some(limiter) = self.limiter() else { return Ok(open) };
        let admitted = self.with_owners(client, &sets.settled, |subjects| {
            for (key, set) in subjects {
                let reservation = limiter.admit(*key, set, now)?;
                let mut of = sets.settled.iter().zip(&sets.counts);
                let its = of.find(|((_, known), _)| std::ptr::eq(known, *set));
                if let Some((_, count)) = its {
                    open.hold(Held::Local(reservation), count);
                }
            }
            Ok(())
        });
        match admitted {
            Ok(()) => Ok(open),
            Err(decision) => {
                open.dismiss();
                Err(decision)
            }
        }
    }

    /// What code said of this gate, which a file cannot: it stays at a reload.
    pub(crate) fn said(&self) -> Said {
        Said {
            key: self.key.clone(),
            lists: self.lists.clone(),
            peer: self.client.peer(),
            #[cfg(feature = "redis")]
            cluster: self.rules.limiters().cluster.clone(),
            ..self.said.clone()
        }
    }

    pub(crate) const fn limiter(&self) -> Option<&Limiter> {
        self.rules.limiters().local.as_ref()
    }

    /// Takes back what the local policies were charged for a request that the cluster-wide ones
    /// reject.
    pub(crate) fn refund<A>(&self, request: &Request<A>) {
        let head = Head::of(request);
        if let Some(sets) = self.rules.policies(head.method, head.uri.path())
            && let Some(client) = self.client(&head, None, false)
        {
            self.refund_client(&client, sets);
        }
    }

    fn decide<'s>(
        &self,
        client: &Client<'_>,
        sets: &'s Sets,
        now: Instant,
    ) -> Option<Decision<'s>> {
        let limiter = self.rules.limiters().local.as_ref()?;
        match &*sets.local {
            [] => None,
            [(Source::Client, set)] => Some(limiter.check(self.key(client), set, now)),
            all => self.with_owners(client, all, |subjects| {
                subject::decide(limiter, subjects, now.into())
            }),
        }
    }

    fn refund_client(&self, client: &Client<'_>, sets: &Sets) {
        let Some(limiter) = &self.rules.limiters().local else { return };
        self.with_owners(client, &sets.local, |subjects| {
            for (key, set) in subjects {
                limiter.refund(*key, set, 1);
            }
        });
    }

    /// Calls back with the subjects that there are.
    fn with_owners<'s, R>(
        &self,
        client: &Client<'_>,
        sets: &'s [(Source, PolicySet)],
        decide: impl FnOnce(&[(Key<'_>, &'s PolicySet)]) -> R,
    ) -> R {
        let tiers = client.address.map(|address| self.client.tiers(address));
        let mut owners: [Option<(Owner<'_>, &PolicySet)>; MAX_SUBJECTS] = [const { None }; _];
        for (owner, (source, set)) in owners.iter_mut().zip(sets) {
            let own = || self.key(client);
            let group = || self.group(client);
            *owner =
                source.owner(&client.head, own, group, tiers.as_ref()).map(|owner| (owner, set));
        }
        let Some((_, any)) = sets.first() else { return decide(&[]) };
        let mut subjects = [(Key::Unknown, any); MAX_SUBJECTS];
        let mut count = 0;
        for (owner, set) in owners.iter().flatten() {
            subjects[count] = (owner.key(), *set);
            count += 1;
        }
        decide(&subjects[..count])
    }

    /// Who it is; `None` if it is one of those that pass. `first`: nobody asked before.
    fn client<'a>(
        &self,
        head: &Head<'a>,
        met: Option<Option<IpAddr>>,
        first: bool,
    ) -> Option<Client<'a>> {
        let address = met.unwrap_or_else(|| self.client.address(head.headers, head.extensions));
        if address.is_some_and(|address| self.allowed.contains(address)) {
            return None;
        }
        Some(Client { head: *head, address, counted: Cell::new(!first) })
    }

    /// Whom to charge, unless a rule says otherwise.
    fn key<'a>(&self, client: &Client<'a>) -> Key<'a> {
        let told = self.key.as_ref().and_then(|key| key(&client.head));
        told.unwrap_or_else(|| self.group(client))
    }

    fn group<'a>(&self, client: &Client<'a>) -> Key<'a> {
        match client.address {
            Some(address) => Key::Ip(self.client.group(address)),
            None => {
                if !client.counted.replace(true) {
                    self.unidentified();
                }
                Key::Unknown
            }
        }
    }

    fn unidentified(&self) {
        self.unidentified.increment(1);
        if !self.warned.load(Ordering::Relaxed) && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a request has no peer address: such clients share one quota; see ClientIp::peer"
            );
        }
    }
}

const UNIDENTIFIED: &str = "seawall_limit_unidentified_total";
