//! Which policies a request meets.

use std::sync::OnceLock;

use http::Method;

use super::path::Pattern;
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

    /// Charges this policy; call again for more, most specific first.
    pub fn policy(mut self, name: impl Into<Box<str>>) -> Self {
        self.policies.push(name.into());
        self
    }

    /// Lets the requests pass uncharged, whatever other rules say: for health
    /// checks and the like.
    pub fn exempt(mut self) -> Self {
        self.exempt = true;
        self
    }

    const fn at(path: Path) -> Self {
        Self { path, methods: Vec::new(), policies: Vec::new(), exempt: false }
    }
}

/// Rules against one limiter, with the policy sets of the combinations seen.
pub(crate) struct Rules {
    limiter: Limiter,
    rules: Box<[Compiled]>,
    sets: OnceLock<Box<Node>>,
}

struct Compiled {
    path: Pattern,
    methods: Vec<Method>,
    ids: Box<[u8]>,
    exempt: bool,
}

/// An append-only list: the combinations of rules that paths can meet are few,
/// and a look-up takes no lock.
struct Node {
    rules: u64,
    set: PolicySet,
    next: OnceLock<Box<Node>>,
}

impl Rules {
    pub(crate) fn compile(limiter: Limiter, rules: Vec<Rule>) -> Result<Self, Error> {
        if rules.is_empty() {
            return Err(Error::Empty { what: "a limit layer", of: "rule" });
        }
        in_range("rules", rules.len() as u64, 1, u64::BITS.into())?;
        let rules = rules
            .into_iter()
            .map(|rule| Compiled::new(&limiter, rule))
            .collect::<Result<_, _>>()?;
        Ok(Self { limiter, rules, sets: OnceLock::new() })
    }

    /// The policies that a request meets, most specific first; `None` if it
    /// meets none or is exempt.
    pub(crate) fn policies(&self, method: &Method, path: &str) -> Option<&PolicySet> {
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
                return Some(&node.set);
            }
            link = &node.next;
        }
    }

    pub(crate) const fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    fn node(&self, matching: u64) -> Box<Node> {
        let last_first = self.rules.iter().enumerate().rev();
        let met = last_first.filter(|(index, _)| matching >> index & 1 == 1);
        let set = self.limiter.set_of(met.flat_map(|(_, rule)| rule.ids.iter().copied()));
        Box::new(Node { rules: matching, set, next: OnceLock::new() })
    }
}

impl Compiled {
    fn new(limiter: &Limiter, rule: Rule) -> Result<Self, Error> {
        if rule.policies.is_empty() && !rule.exempt {
            return Err(Error::Empty { what: "a rule", of: "policy" });
        }
        Ok(Self {
            path: match &rule.path {
                Path::Any => Pattern::Any,
                Path::Exact(pattern) => Pattern::exact(pattern)?,
                Path::Prefix(pattern) => Pattern::prefix(pattern)?,
            },
            methods: rule.methods,
            ids: rule.policies.iter().map(|name| limiter.id(name)).collect::<Result<_, _>>()?,
            exempt: rule.exempt,
        })
    }

    fn matches(&self, method: &Method, path: &str) -> bool {
        (self.methods.is_empty() || self.methods.contains(method)) && self.path.matches(path)
    }
}

#[cfg(test)]
mod tests;
