//! A remote that fails on purpose.

use std::fmt;
use std::future::pending;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::config::ChaosConfig;
use super::dice::Dice;
use super::link::Link;
use crate::error::ConfigError;
use crate::marks::{Mark, MarkChange};
use crate::remote::{
    Fetched, Fill, Leased, MarkRead, Put, Remote, RemoteError, RemoteFuture, Seen, Swept, Ticket,
    Watcher,
};

/// A [`Remote`] with faults: refused, unanswered, slow and late operations, and a message link that
/// can be cut. Clones share the faults, so keep one to change them while the cache runs.
///
/// ```
/// use seawall_cache::{Cache, Chaos, ChaosConfig, MemoryRemote};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let chaos = Chaos::new(MemoryRemote::default(), 7);
/// let cache: Cache<u64, String> = Cache::builder("page").remote(chaos.clone()).build()?;
///
/// chaos.set(ChaosConfig::gone())?;
/// let got = cache.get_or_load(&1, |_load| async { Ok::<_, std::io::Error>("a page".to_owned()) });
/// assert!(got.await?.degraded);
/// chaos.set(ChaosConfig::calm())?;
/// # Ok(())
/// # }
/// ```
pub struct Chaos<R> {
    inner: Arc<R>,
    shared: Arc<Shared>,
}

/// What the clones share.
pub(super) struct Shared {
    config: Mutex<ChaosConfig>,
    dice: Dice,
    links: Mutex<Vec<Arc<Link>>>,
}

impl<R: Remote> Chaos<R> {
    /// Without faults, until [`set`](Self::set) brings some. Draws come from `seed`.
    pub fn new(inner: R, seed: u64) -> Self {
        let shared = Shared {
            config: Mutex::default(),
            dice: Dice::new(seed),
            links: Mutex::default(),
        };
        Self { inner: Arc::new(inner), shared: Arc::new(shared) }
    }

    /// From now on operations fail like this. Those under way go on as they began.
    ///
    /// # Errors
    /// If a probability is not one; nothing is changed then.
    pub fn set(&self, config: ChaosConfig) -> Result<(), ConfigError> {
        config.validate()?;
        *self.shared.config.lock() = config;
        Ok(())
    }

    /// Cuts the message link: watchers are told that it is down, and what happens meanwhile is not
    /// told to them.
    pub fn cut_link(&self) {
        for link in self.shared.live_links() {
            link.cut();
        }
    }

    /// Mends the message link: watchers are told that it is up and that messages were lost.
    pub fn mend_link(&self) {
        for link in self.shared.live_links() {
            link.mend();
        }
    }

    /// One operation. `late`: it may take effect after its caller has given up.
    fn act<'a, T: Send + 'static>(
        &'a self,
        late: bool,
        operation: impl FnOnce(Arc<R>) -> Detached<T> + Send + 'a,
    ) -> RemoteFuture<'a, T> {
        Box::pin(async move {
            let fate = self.shared.draw();
            match fate.fault {
                Some(Fault::Refuse) => {
                    return Err(RemoteError::Disconnected("refused by chaos".into()));
                }
                Some(Fault::Hang) => return pending().await,
                Some(Fault::Late) => {
                    if late {
                        let operation = operation(Arc::clone(&self.inner));
                        tokio::spawn(async move {
                            sleep(LATE).await;
                            let _ = operation.await;
                        });
                    }
                    return pending().await;
                }
                Some(Fault::LoseAnswer) | None => {}
            }
            wait(fate.before).await;
            let answer = operation(Arc::clone(&self.inner)).await;
            if fate.fault.is_some() {
                return pending().await;
            }
            wait(fate.after).await;
            answer
        })
    }
}

impl<R: Remote> Remote for Chaos<R> {
    fn node(&self, text: &str) -> u32 {
        self.inner.node(text)
    }

    fn read<'a>(&'a self, text: &'a str) -> RemoteFuture<'a, Fetched> {
        let text = text.to_owned();
        self.act(false, move |inner| Box::pin(async move { inner.read(&text).await }))
    }

    fn versions<'a>(&'a self, texts: &'a [String]) -> RemoteFuture<'a, Vec<u64>> {
        let texts = texts.to_vec();
        self.act(false, move |inner| Box::pin(async move { inner.versions(&texts).await }))
    }

    fn lease<'a>(
        &'a self,
        text: &'a str,
        seen: Seen,
        token: u64,
        hold: Duration,
    ) -> RemoteFuture<'a, Leased> {
        let text = text.to_owned();
        self.act(true, move |inner| {
            Box::pin(async move { inner.lease(&text, seen, token, hold).await })
        })
    }

    fn renew<'a>(&'a self, text: &'a str, token: u64, hold: Duration) -> RemoteFuture<'a, bool> {
        let text = text.to_owned();
        self.act(true, move |inner| Box::pin(async move { inner.renew(&text, token, hold).await }))
    }

    fn release<'a>(&'a self, text: &'a str, token: u64) -> RemoteFuture<'a, ()> {
        let text = text.to_owned();
        self.act(true, move |inner| Box::pin(async move { inner.release(&text, token).await }))
    }

    fn fill<'a>(
        &'a self,
        text: &'a str,
        ticket: Ticket,
        record: Bytes,
        ttl: Duration,
    ) -> RemoteFuture<'a, Fill> {
        let text = text.to_owned();
        self.act(true, move |inner| {
            Box::pin(async move { inner.fill(&text, ticket, record, ttl).await })
        })
    }

    fn put<'a>(
        &'a self,
        text: &'a str,
        record: Bytes,
        ttl: Duration,
        keep: Duration,
    ) -> RemoteFuture<'a, Put> {
        let text = text.to_owned();
        self.act(false, move |inner| {
            Box::pin(async move { inner.put(&text, record, ttl, keep).await })
        })
    }

    fn remove<'a>(&'a self, text: &'a str, source: u64, keep: Duration) -> RemoteFuture<'a, u64> {
        let text = text.to_owned();
        self.act(true, move |inner| {
            Box::pin(async move { inner.remove(&text, source, keep).await })
        })
    }

    fn marks<'a>(&'a self, texts: &'a [String], since: Instant) -> RemoteFuture<'a, Vec<MarkRead>> {
        let texts = texts.to_vec();
        self.act(false, move |inner| Box::pin(async move { inner.marks(&texts, since).await }))
    }

    fn advance<'a>(&'a self, text: &'a str, change: MarkChange) -> RemoteFuture<'a, Mark> {
        let text = text.to_owned();
        self.act(true, move |inner| Box::pin(async move { inner.advance(&text, change).await }))
    }

    fn sweep<'a>(
        &'a self,
        pattern: &'a str,
        before: u64,
        keep: Duration,
        progress: &'a (dyn Fn(Swept) + Send + Sync),
    ) -> RemoteFuture<'a, Swept> {
        let begin = self.act(false, |_| Box::pin(async { Ok(()) }));
        Box::pin(async move {
            begin.await?;
            self.inner.sweep(pattern, before, keep, progress).await
        })
    }

    fn watch(&self, namespace: &str, watcher: Weak<dyn Watcher>) -> bool {
        let link = Link::new(&self.shared, watcher);
        let weak: Weak<Link> = Arc::downgrade(&link);
        self.shared.links.lock().push(link);
        self.inner.watch(namespace, weak)
    }

    fn close(&self) -> RemoteFuture<'_, ()> {
        self.inner.close()
    }
}

impl<R> Clone for Chaos<R> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), shared: Arc::clone(&self.shared) }
    }
}

impl<R> fmt::Debug for Chaos<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chaos").field("config", &*self.shared.config.lock()).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn message_delay(&self) -> Duration {
        let longest = self.config.lock().message_delay;
        self.dice.delay(longest)
    }

    /// The links whose cache still lives; the others are forgotten.
    fn live_links(&self) -> Vec<Arc<Link>> {
        let mut links = self.links.lock();
        links.retain(|link| link.is_live());
        links.clone()
    }

    fn draw(&self) -> Fate {
        let config = self.config.lock().clone();
        let faults = [
            (config.refuse, Fault::Refuse),
            (config.hang, Fault::Hang),
            (config.lose_answer, Fault::LoseAnswer),
            (config.late, Fault::Late),
        ];
        let struck = faults.into_iter().find(|(probability, _)| self.dice.strikes(*probability));
        Fate {
            fault: struck.map(|(_, fault)| fault),
            before: self.dice.delay(config.delay),
            after: self.dice.delay(config.delay),
        }
    }
}

struct Fate {
    fault: Option<Fault>,
    before: Duration,
    after: Duration,
}

#[derive(Clone, Copy)]
enum Fault {
    Refuse,
    Hang,
    LoseAnswer,
    Late,
}

type Detached<T> = RemoteFuture<'static, T>;

async fn wait(delay: Duration) {
    if !delay.is_zero() {
        sleep(delay).await;
    }
}

/// How late an operation is that nobody waits for any more.
const LATE: Duration = Duration::from_millis(250);
