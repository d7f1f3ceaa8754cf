//! The ways to Redis, and the questions that go over them.

use std::sync::Arc;
use std::time::Duration;

use fred::error::{Error, ErrorKind};
use fred::types::config::Config;
use fred::types::{FromValue, Value};
use futures_util::future::join_all;
use parking_lot::Mutex;
use seawall_redis::{Masters, Reach, Routes, Settings, Way};
use tokio::task::AbortHandle;

use super::config::ClusterConfig;
use super::protocol::{Amend, AmendKind, Answer, Mended, Spec, Want};
use super::script::Library;
use super::subject::Subject;

/// See the module.
pub(crate) struct Link {
    routes: Arc<Routes>,
    reach: Reach,
    pub(crate) settings: Settings,
    /// Follows the masters.
    task: Mutex<Option<AbortHandle>>,
    functions: bool,
    prefix: Box<str>,
    decide: Library,
    control: Library,
}

impl Link {
    /// Starts connecting, for ever again.
    pub(crate) fn start(config: &ClusterConfig) -> Result<Self, seawall_redis::Error> {
        let settings = config.settings();
        let masters = Masters::connect_lazy(&settings)?;
        let (routes, reach) = (masters.routes(), masters.reach());
        let task = tokio::spawn(masters.follow(|_, _| {})).abort_handle();
        Ok(Self {
            routes,
            reach,
            settings,
            task: Mutex::new(Some(task)),
            functions: config.functions,
            prefix: config.key_prefix.as_str().into(),
            decide: Library::decide(),
            control: Library::control(),
        })
    }

    /// Whether there is a connection to any node.
    pub(crate) fn is_up(&self) -> bool {
        self.routes.connected().0
    }

    /// Whether there is one to all nodes that serve slots.
    pub(crate) fn is_complete(&self) -> bool {
        self.routes.connected().1
    }

    pub(crate) fn is_connected(&self, node: u32) -> bool {
        self.routes.is_connected(node)
    }

    /// The nodes that serve slots.
    pub(crate) fn serving(&self) -> Vec<u32> {
        self.routes.topology().serving()
    }

    /// Which node, breaker and queue a subject has.
    pub(crate) fn node(&self, subject: Subject) -> u32 {
        let topology = self.routes.topology();
        if topology.is_cluster() { topology.node(subject.key("").as_bytes()) } else { 0 }
    }

    /// Subjects of one group may stand in one command.
    pub(crate) fn group(&self, subject: Subject) -> u16 {
        if self.routes.topology().is_cluster() {
            fred::util::redis_keyslot(subject.key("").as_bytes())
        } else {
            0
        }
    }

    /// How to connect to a node that is there, for who needs a connection of its own. What is
    /// published is told by any of them.
    pub(crate) fn any(&self) -> Option<Config> {
        let nodes = self.serving();
        let there = nodes.into_iter().find(|node| self.is_connected(*node))?;
        self.reach.to(there)
    }

    /// Decides on subjects of one group under one set: one command, and one answer each, told with
    /// the place of its subject as soon as it is there.
    pub(crate) async fn decide_each(
        &self,
        spec: &Spec,
        divisor: u32,
        asks: &[(Subject, Want)],
        tell: &(dyn Fn(usize, Result<Answer, Error>) + Sync),
    ) {
        match self.decide_together(spec, divisor, asks).await {
            Err(error) if asks.len() > 1 && is_split(&error) => {
                let each = asks.chunks(1).enumerate().map(async |(place, ask)| {
                    tell(place, only(self.decide_together(spec, divisor, ask).await));
                });
                join_all(each).await;
            }
            answers => {
                let answers = apart(answers, asks.len()).into_iter().enumerate();
                answers.for_each(|(place, answer)| tell(place, answer));
            }
        }
    }

    /// Decides on one subject.
    pub(crate) async fn decide(
        &self,
        spec: &Spec,
        divisor: u32,
        ask: (Subject, Want),
    ) -> Result<Answer, Error> {
        only(self.decide_together(spec, divisor, &[ask]).await)
    }

    /// Changes what subjects of one group have spent: one command, and one answer each.
    pub(crate) async fn amend(
        &self,
        spec: &Spec,
        amends: &[(Subject, Amend)],
    ) -> Vec<Result<Answer, Error>> {
        match self.amend_together(spec, amends).await {
            Err(error) if amends.len() > 1 && is_split(&error) => {
                let each = amends.chunks(1).map(|amend| self.amend_together(spec, amend));
                join_all(each).await.into_iter().map(only).collect()
            }
            answers => apart(answers, amends.len()),
        }
    }

    /// Forgets what a subject has spent.
    pub(crate) async fn forget(&self, subject: Subject) -> Result<(), Error> {
        let key = subject.key(&self.prefix);
        let node = self.routes.topology().node(key.as_bytes());
        let forget = |way: Way| {
            let key = key.as_str();
            async move { way.send::<Value>("DEL", vec![key.into()]).await }
        };
        Box::pin(self.routes.ask(node, forget)).await.map(drop)
    }

    /// Runs the control script.
    pub(crate) async fn control(&self, arguments: Vec<Value>) -> Result<Vec<Value>, Error> {
        let keys = ["nodes", "orders", "terms", "head"]
            .map(|part| [&*self.prefix, "{control}:", part].concat());
        self.run(&self.control, &keys, arguments).await
    }

    /// Where orders are told.
    pub(crate) fn channel(&self) -> String {
        [&*self.prefix, "orders"].concat()
    }

    pub(crate) async fn close(&self) {
        self.stop();
        let _ = tokio::time::timeout(CLOSING, self.routes.close()).await;
    }

    fn stop(&self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }

    async fn decide_together(
        &self,
        spec: &Spec,
        divisor: u32,
        asks: &[(Subject, Want)],
    ) -> Result<Vec<Answer>, Error> {
        let subjects = asks.iter().map(|(subject, _)| *subject);
        let mut arguments = self.head("decide", spec, divisor, 2 * asks.len());
        for (_, want) in asks {
            arguments.extend([i64::from(want.need).into(), i64::from(want.want).into()]);
        }
        self.about(spec, subjects, arguments).await
    }

    async fn amend_together(
        &self,
        spec: &Spec,
        amends: &[(Subject, Amend)],
    ) -> Result<Vec<Answer>, Error> {
        let subjects = amends.iter().map(|(subject, _)| *subject);
        let mut arguments = self.head("amend", spec, 1, amends.len() * (1 + spec.ids.len()));
        for (_, amend) in amends {
            arguments.push(match amend.kind {
                AmendKind::Charge => Value::Integer(-1),
                AmendKind::Refund => Value::Integer(0),
                AmendKind::Return { granted_at } => integer(granted_at),
            });
            arguments.extend(amend.amounts.iter().map(|amount| integer(*amount)));
        }
        self.about(spec, subjects, arguments).await
    }

    async fn run<R: FromValue>(
        &self,
        library: &Library,
        keys: &[String],
        arguments: Vec<Value>,
    ) -> Result<R, Error> {
        let node = keys.first().map_or(0, |key| self.routes.topology().node(key.as_bytes()));
        let run = |way: Way| {
            let arguments = arguments.clone();
            async move { library.run(&way, self.functions, keys, arguments).await }
        };
        // Boxed: fred's futures are large.
        Ok(Box::pin(self.routes.ask(node, run)).await?.0)
    }

    fn head(&self, op: &'static str, spec: &Spec, divisor: u32, more: usize) -> Vec<Value> {
        let mut arguments = Vec::with_capacity(3 + 3 * spec.ids.len() + more);
        arguments.push(Value::from_static_str(op));
        arguments.push(i64::from(divisor).into());
        arguments.push(integer(spec.ids.len() as u64));
        for (name, law) in spec.names.iter().zip(&spec.laws) {
            arguments.extend([(&**name).into(), integer(law.emission), integer(law.capacity)]);
        }
        arguments
    }

    async fn about(
        &self,
        spec: &Spec,
        subjects: impl Iterator<Item = Subject>,
        arguments: Vec<Value>,
    ) -> Result<Vec<Answer>, Error> {
        let keys: Vec<String> = subjects.map(|subject| subject.key(&self.prefix)).collect();
        let numbers: Vec<u64> = self.run(&self.decide, &keys, arguments).await?;
        answers(&numbers, spec.ids.len(), keys.len())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.stop();
    }
}

/// While a slot is on its way, keys of which only some have gone cannot be named together. Nothing was
/// done then, and each is asked about by itself.
fn is_split(error: &Error) -> bool {
    error.details().starts_with("TRYAGAIN")
}

/// The answers to one command, or its error for each that it was about.
fn apart(answers: Result<Vec<Answer>, Error>, count: usize) -> Vec<Result<Answer, Error>> {
    match answers {
        Ok(answers) => answers.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error); count],
    }
}

/// That of a command about one.
pub(crate) fn only(answers: Result<Vec<Answer>, Error>) -> Result<Answer, Error> {
    answers?.pop().ok_or_else(odd)
}

fn answers(numbers: &[u64], policies: usize, count: usize) -> Result<Vec<Answer>, Error> {
    let (now, rest) = numbers.split_first().ok_or_else(odd)?;
    if rest.len() != count * (2 + policies) {
        return Err(odd());
    }
    let answer = |part: &[u64]| Answer {
        now: *now,
        granted: u32::try_from(part[0]).unwrap_or(u32::MAX),
        mended: match part[1] {
            0 => Mended::Nothing,
            1 => Mended::Value,
            _ => Mended::Ttl,
        },
        spent: part[2..].to_vec(),
    };
    Ok(rest.chunks_exact(2 + policies).map(answer).collect())
}

fn odd() -> Error {
    Error::new(ErrorKind::Protocol, "another answer than the script gives")
}

pub(crate) fn integer(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

pub(crate) type SharedLink = Arc<Link>;

const CLOSING: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests;
