//! Which policies a request meets.

use std::sync::OnceLock;

use http::Method;

use super::count::Count;
use super::path::Pattern;
use super::subject::{MAX_SUBJECTS, Source, Subject};
#[cfg(feature = "redis")]
use crate::cluster::{ClusterLimiter, ClusterSet};
use crate::error::{Error, in_range};
use crate::limiter::Limiter;
use crate::set::PolicySet;

/// Requests by path and method, and the policies that they meet.
///
/// Paths are compared segment by segment, as the layer gets them and without
/// decoding, as axum's router does; a trailing slash is ignored. `/api` as a
/// prefix covers `/api` and `/api/x`, not `/apix`. For a service that decodes
/// paths itself (files, a proxy) name the prefix that leads to it, and in a
/// router nested in another leave out the part that was cut off.
#[derive(Debug, Clone)]
#[must_use = "a rule does nothing until it is added to a layer"]
pub struct Rule {
    path: Path,
    methods: Vec<Method>,
    policies: Vec<Box<str>>,
    by: Subject,
    count: Count,
    exempt: bool,
}

#[derive(Debug, Clone)]
enum Path {
    Any,
    Exact(Box<str>),
    Prefix(Box<str>),
}

impl Rule {
    /// Every request.
    pub fn any() -> Self {
        Self::at(Path::Any)
    }

    /// Requests to one path. `{name}` stands for one segment, a last `{*name}`
    /// for one or more: the patterns of axum. As there, a segment may be empty
    /// if a slash follows: `/a/{id}/b` covers `/a//b`.
    pub fn path(pattern: &str) -> Self {
        Self::at(Path::Exact(pattern.into()))
    }

    /// Requests to a path and all below. `{name}` stands for one segment.
    pub fn path_prefix(pattern: &str) -> Self {
        Self::at(Path::Prefix(pattern.into()))
    }

    /// Only requests with this method; call again for more. GET includes HEAD,
    /// as it does in routers.
    pub fn method(mut self, method: Method) -> Self {
        if method == Method::GET {
            self.methods.push(Method::HEAD);
        }
        self.methods.push(method);
        self
    }

    /// Charges this policy, of the layer's limiter or its cluster-wide one; call again for more,
    /// most specific first.
    pub fn policy(mut self, name: impl Into<Box<str>>) -> Self {
        self.policies.push(name.into());
        self
    }

    /// Charges the rule's policies to this subject. Default: [`Subject::Client`].
    /// The rules of a layer can have six different ones, each tier counted.
    pub fn by(mut self, subject: Subject) -> Self {
        self.by = subject;
        self
    }

    /// What the rule's policies count. Default: [`Count::Requests`]. One policy
    /// counts one thing in all rules of a layer.
    pub fn count(mut self, count: Count) -> Self {
        self.count = count;
        self
    }

    /// Lets the requests pass uncharged, whatever other rules say: for health
    /// checks and the like.
    pub fn exempt(mut self) -> Self {
        self.exempt = true;
        self
    }

    const fn at(path: Path) -> Self {
        let (by, count) = (Subject::Client, Count::Requests);
        Self { path, methods: Vec::new(), policies: Vec::new(), by, count, exempt: false }
    }
}

/// Rules, with the policy sets of the combinations seen.
pub(crate) struct Rules {
    limiters: Limiters,
    sources: Vec<Source>,
    rules: Box<[Compiled]>,
    sets: OnceLock<Box<Node>>,
}

/// Where policies are looked up.
pub(crate) struct Limiters {
    pub(crate) local: Option<Limiter>,
    #[cfg(feature = "redis")]
    pub(crate) cluster: Option<ClusterLimiter>,
}

/// The policies that a request meets, by limiter.
pub(crate) struct Sets {
    /// By subject, the one with the most specific policy first.
    pub(crate) local: Box<[(Source, PolicySet)]>,
    /// What responses tell, with what they count in the same order.
    pub(crate) settled: Box<[(Source, PolicySet)]>,
    pub(crate) counts: Box<[Count]>,
    #[cfg(feature = "redis")]
    pub(crate) cluster: Option<ClusterSet>,
    #[cfg(feature = "redis")]
    pub(crate) cluster_settled: Box<[(ClusterSet, Count)]>,
}

struct Compiled {
    path: Pattern,
    methods: Vec<Method>,
    /// Subjects, by their place in the list of all, and policies.
    ids: Box<[(usize, u8)]>,
    #[cfg(feature = "redis")]
    cluster_ids: Box<[u8]>,
    count: Count,
    exempt: bool,
}

/// An append-only list: the combinations of rules that paths can meet are few,
/// and a look-up takes no lock.
struct Node {
    rules: u64,
    sets: Sets,
    next: OnceLock<Box<Node>>,
}

impl Path {
    fn pattern(&self) -> Option<&str> {
        match self {
            Self::Any => None,
            Self::Exact(pattern) | Self::Prefix(pattern) => Some(pattern),
        }
    }
}

impl Rules {
    pub(crate) fn compile(limiters: Limiters, rules: Vec<Rule>) -> Result<Self, Error> {
        if rules.is_empty() {
            return Err(Error::Empty { what: "a limit layer", of: "rule" });
        }
        in_range("rules", rules.len() as u64, 1, u64::BITS.into())?;
        limiters.validate()?;
        validate_counts(&rules)?;
        let mut sources = Vec::new();
        let rules = rules
            .into_iter()
            .map(|rule| Compiled::new(&limiters, &mut sources, rule))
            .collect::<Result<Box<[_]>, _>>()?;
        in_range("subjects", sources.len() as u64, 0, MAX_SUBJECTS as u64)?;
        let mut settled: Vec<(usize, &Count)> = Vec::new();
        for rule in rules.iter().filter(|rule| rule.count.is_settled()) {
            for (source, _) in &rule.ids {
                if !settled.contains(&(*source, &rule.count)) {
                    settled.push((*source, &rule.count));
                }
            }
        }
        in_range("subjects of responses", settled.len() as u64, 0, MAX_SUBJECTS as u64)?;
        Ok(Self { limiters, sources, rules, sets: OnceLock::new() })
    }

    /// The policies that a request meets, most specific first; `None` if it
    /// meets none or is exempt.
    pub(crate) fn policies(&self, method: &Method, path: &str) -> Option<&Sets> {
        let mut matching = 0_u64;
        for (index, rule) in self.rules.iter().enumerate() {
            if rule.matches(method, path) {
                if rule.exempt {
                    return None;
                }
                matching |= 1 << index;
            }
        }
        if matching == 0 {
            return None;
        }
        let mut link = &self.sets;
        loop {
            let node = link.get_or_init(|| self.node(matching));
            if node.rules == matching {
                return Some(&node.sets);
            }
            link = &node.next;
        }
    }

    pub(crate) const fn limiters(&self) -> &Limiters {
        &self.limiters
    }

    fn node(&self, matching: u64) -> Box<Node> {
        let met = || {
            let last_first = self.rules.iter().enumerate().rev();
            last_first.filter(|(index, _)| matching >> index & 1 == 1).map(|(_, rule)| rule)
        };
        let (at_once, settled): (Vec<_>, Vec<_>) =
            self.local(met()).into_iter().partition(|(count, _)| !count.is_settled());
        let sets = Sets {
            local: at_once.into_iter().map(|(_, set)| set).collect(),
            counts: settled.iter().map(|(count, _)| count.clone()).collect(),
            settled: settled.into_iter().map(|(_, set)| set).collect(),
            #[cfg(feature = "redis")]
            cluster: self.cluster(met(), &Count::Requests),
            #[cfg(feature = "redis")]
            cluster_settled: {
                let mut counts: Vec<&Count> = Vec::new();
                for rule in met().filter(|rule| rule.count.is_settled()) {
                    if !counts.contains(&&rule.count) {
                        counts.push(&rule.count);
                    }
                }
                let set = |count: &Count| Some((self.cluster(met(), count)?, count.clone()));
                counts.into_iter().filter_map(set).collect()
            },
        };
        Box::new(Node { rules: matching, sets, next: OnceLock::new() })
    }

    /// By what is counted and by subject.
    fn local<'a>(
        &self,
        met: impl Iterator<Item = &'a Compiled>,
    ) -> Vec<(Count, (Source, PolicySet))> {
        let Some(limiter) = &self.limiters.local else { return Vec::new() };
        let mut groups: Vec<(usize, &Count, Vec<u8>)> = Vec::new();
        for (rule, (source, id)) in met.flat_map(|rule| rule.ids.iter().map(move |it| (rule, it))) {
            let count = &rule.count;
            match groups.iter_mut().find(|it| it.0 == *source && it.1 == count) {
                Some((.., ids)) => ids.push(*id),
                None => groups.push((*source, count, vec![*id])),
            }
        }
        let set = |(source, count, ids): (usize, &Count, Vec<u8>)| {
            (count.clone(), (self.sources[source].clone(), limiter.set_of(ids)))
        };
        groups.into_iter().map(set).collect()
    }

    #[cfg(feature = "redis")]
    fn cluster<'a>(
        &self,
        met: impl Iterator<Item = &'a Compiled>,
        count: &Count,
    ) -> Option<ClusterSet> {
        let cluster = self.limiters.cluster.as_ref()?;
        let rules = met.filter(|rule| rule.count == *count);
        let ids: Vec<u8> = rules.flat_map(|rule| rule.cluster_ids.clone()).collect();
        (!ids.is_empty()).then(|| cluster.adopt(cluster.names().set_of(ids)))
    }
}

/// A policy that one rule charges at once and another by its response would be charged twice.
fn validate_counts(rules: &[Rule]) -> Result<(), Error> {
    let mut known: Vec<(&str, &Count)> = Vec::new();
    for rule in rules.iter().filter(|rule| !rule.exempt) {
        rule.count.validate()?;
        for name in &rule.policies {
            match known.iter().find(|(known, _)| **known == **name) {
                Some((_, count)) if **count != rule.count => {
                    return Err(Error::TwoCounts { policy: name.clone() });
                }
                Some(_) => {}
                None => known.push((name, &rule.count)),
            }
        }
    }
    Ok(())
}

impl Limiters {
    /// A name must say which limiter is meant.
    fn validate(&self) -> Result<(), Error> {
        #[cfg(feature = "redis")]
        if let (Some(local), Some(cluster)) = (&self.local, &self.cluster)
            && let Some(both) =
                local.policies().iter().find(|it| cluster.names().id(it.name()).is_ok())
        {
            return Err(Error::DuplicatePolicy { name: both.name().into() });
        }
        Ok(())
    }

    fn local_id(&self, name: &str) -> Result<u8, Error> {
        let unknown = || Err(Error::UnknownPolicy { name: name.into() });
        self.local.as_ref().map_or_else(unknown, |limiter| limiter.id(name))
    }
}

impl Compiled {
    fn new(limiters: &Limiters, sources: &mut Vec<Source>, rule: Rule) -> Result<Self, Error> {
        if rule.policies.is_empty() && !rule.exempt {
            return Err(Error::Empty { what: "a rule", of: "policy" });
        }
        let mut ids = Vec::new();
        #[cfg(feature = "redis")]
        let mut cluster_ids = Vec::new();
        for (position, name) in rule.policies.iter().enumerate() {
            let source = rule.by.source(position, rule.path.pattern())?;
            #[cfg(feature = "redis")]
            if let Some(id) = limiters.cluster.as_ref().and_then(|it| it.names().id(name).ok()) {
                if !source.is_client() {
                    return Err(Error::ClusterSubject { policy: name.clone() });
                }
                cluster_ids.push(id);
                continue;
            }
            let id = limiters.local_id(name)?;
            let known = sources.iter().position(|known| *known == source);
            ids.push((known.unwrap_or(sources.len()), id));
            if known.is_none() {
                sources.push(source);
            }
        }
        Ok(Self {
            path: match &rule.path {
                Path::Any => Pattern::Any,
                Path::Exact(pattern) => Pattern::exact(pattern)?,
                Path::Prefix(pattern) => Pattern::prefix(pattern)?,
            },
            methods: rule.methods,
            ids: ids.into(),
            #[cfg(feature = "redis")]
            cluster_ids: cluster_ids.into(),
            count: rule.count,
            exempt: rule.exempt,
        })
    }

    fn matches(&self, method: &Method, path: &str) -> bool {
        (self.methods.is_empty() || self.methods.contains(method)) && self.path.matches(path)
    }
}

#[cfg(test)]
mod tests;
