//! The connection to Redis, and the questions that go over it.

use std::sync::Arc;
use std::time::Duration;

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike;
use fred::types::config::{
    Config, ConnectionConfig, PerformanceConfig, ReconnectError, ReconnectPolicy, TcpConfig,
    UnresponsiveConfig,
};
use fred::types::{ClientState, ConnectHandle, Value};
use parking_lot::Mutex;

use super::breaker::SECTIONS;
use super::config::ClusterConfig;
use super::protocol::{Amend, AmendKind, Answer, Mended, Spec, Want};
use super::script::Library;
use super::subject::Subject;

/// See the module.
pub(crate) struct Link {
    client: Client,
    task: Mutex<Option<ConnectHandle>>,
    pub(crate) clustered: bool,
    functions: bool,
    prefix: Box<str>,
    decide: Library,
    control: Library,
}

impl Link {
    /// Starts connecting, for ever again.
    pub(crate) fn start(config: &ClusterConfig) -> Result<Self, Error> {
        let client = client(config)?;
        let task = Mutex::new(Some(client.connect()));
        Ok(Self {
            clustered: client.is_clustered(),
            client,
            task,
            functions: config.functions,
            prefix: config.key_prefix.as_str().into(),
            decide: Library::decide(),
            control: Library::control(),
        })
    }

    pub(crate) fn is_up(&self) -> bool {
        self.client.state() == ClientState::Connected
    }

    /// fred reconnects for ever, but some errors of a cluster end its task.
    pub(crate) fn revive(&self) {
        let mut task = self.task.lock();
        if task.as_ref().is_some_and(ConnectHandle::is_finished) {
            tracing::warn!("the connection to Redis ended by itself, connecting again");
            *task = Some(self.client.connect());
        }
    }

    /// Which breaker and queue a subject has.
    pub(crate) fn section(&self, subject: Subject) -> usize {
        if self.clustered { usize::from(self.slot(subject)) * SECTIONS / 16_384 } else { 0 }
    }

    /// Subjects of one group may stand in one command.
    pub(crate) fn group(&self, subject: Subject) -> u16 {
        if self.clustered { self.slot(subject) } else { 0 }
    }

    fn slot(&self, subject: Subject) -> u16 {
        fred::util::redis_keyslot(subject.key("").as_bytes())
    }

    /// Decides on subjects of one group under one set: one command.
    pub(crate) async fn decide(
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

    /// Changes what subjects of one group have spent: one command.
    pub(crate) async fn amend(
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

    /// Forgets what a subject has spent.
    pub(crate) async fn forget(&self, subject: Subject) -> Result<(), Error> {
        use fred::interfaces::KeysInterface as _;
        self.client.del(subject.key(&self.prefix)).await
    }

    /// Runs the control script.
    pub(crate) async fn control(&self, arguments: Vec<Value>) -> Result<Vec<Value>, Error> {
        let keys = ["nodes", "orders", "terms", "head"]
            .map(|part| [&*self.prefix, "{control}:", part].concat());
        self.control.run(&self.client, self.functions, &keys, arguments).await
    }

    /// Where orders are told.
    pub(crate) fn channel(&self) -> String {
        [&*self.prefix, "orders"].concat()
    }

    pub(crate) async fn close(&self) {
        let task = self.task.lock().take();
        let _ = tokio::time::timeout(CLOSING, self.client.quit()).await;
        if let Some(task) = task {
            task.abort();
        }
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
        let numbers: Vec<u64> =
            self.decide.run(&self.client, self.functions, &keys, arguments).await?;
        answers(&numbers, spec.ids.len(), keys.len())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }
}

/// A client with none of fred's defaults that wait for ever.
pub(crate) fn client(config: &ClusterConfig) -> Result<Client, Error> {
    let mut server = Config::from_url(&config.url)?;
    server.fail_fast = false;
    let unresponsive = (config.deadline * 20).max(Duration::from_secs(1));
    let performance = PerformanceConfig {
        // Who waits has a deadline of its own; this is for what nobody waits for.
        default_command_timeout: (config.deadline * 4).max(Duration::from_millis(200)),
        ..PerformanceConfig::default()
    };
    let connection = ConnectionConfig {
        connection_timeout: config.connect_timeout,
        internal_command_timeout: config.connect_timeout,
        max_command_attempts: 1,
        reconnect_errors: vec![ReconnectError::ReadOnly],
        max_command_buffer_len: config.max_queued,
        unresponsive: UnresponsiveConfig {
            max_timeout: Some(unresponsive),
            interval: unresponsive / 4,
        },
        tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
        ..ConnectionConfig::default()
    };
    let policy = ReconnectPolicy::new_exponential(0, 50, 1_000, 2);
    Ok(Client::new(server, Some(performance), Some(connection), Some(policy)))
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
