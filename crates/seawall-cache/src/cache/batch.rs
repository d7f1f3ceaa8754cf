//! Many keys at once: one look into L2, one call of the loader.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};
use tracing::Instrument as _;

use super::Inner;
use super::approach::{First, Joined};
use super::flight::{self, Ended, Failure};
use super::leader::{Leader, Wish};
use super::loader::{Answers, ManyLoader, one_of};
use super::look::Asked;
use super::turn::Wished;
use crate::error::Error;
use crate::key::CacheKey;
use crate::loaded::{LoadMany, Loaded};
use crate::local::{Join, Look};
use crate::outcome::{Got, Layer};
use crate::staleness::Use;

/// The keys of one call, each once, and what L1 says of them.
pub(super) struct Batch<K, V> {
    /// For each key of the call, where its answer stands.
    order: Vec<usize>,
    parts: Vec<(K, Part<V>)>,
    /// Hits whose reader was drawn to refresh them.
    early: Vec<(usize, crate::local::Entry<V>)>,
}

/// `Err`: L1 cannot answer alone.
type Part<V> = Result<Got<V>, Look<V>>;

impl<K, V> Batch<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    pub(super) fn new(inner: &Inner<K, V>, keys: &[K]) -> Self {
        let mut places = HashMap::with_capacity(keys.len());
        let mut batch =
            Self { order: Vec::with_capacity(keys.len()), parts: Vec::new(), early: Vec::new() };
        for key in keys {
            let next = batch.parts.len();
            let place = match places.entry(key) {
                Slot::Occupied(known) => *known.get(),
                Slot::Vacant(free) => {
                    let first = match inner.plain(key) {
                        Ok(plain) => First::Hit(plain.into_got()),
                        Err(looked) => inner.first(looked.0, looked.1),
                    };
                    let part = match first {
                        First::Hit(got) => Ok(got),
                        First::Early(got, entry) => {
                            batch.early.push((next, entry));
                            Ok(got)
                        }
                        First::Else(look) => Err(look),
                    };
                    batch.parts.push((key.clone(), part));
                    *free.insert(next)
                }
            };
            batch.order.push(place);
        }
        batch
    }

    /// Whether L1 has answered everything, and there is nothing else to do.
    pub(super) fn is_complete(&self) -> bool {
        self.early.is_empty() && self.parts.iter().all(|(_, part)| part.is_ok())
    }

    pub(super) fn into_answers(self) -> Vec<Ended<V>> {
        let parts = self.parts.into_iter();
        let answers: Vec<Ended<V>> =
            parts.map(|(_, part)| part.map_err(|_| Failure::Aborted)).collect();
        self.order.iter().map(|place| answers[*place].clone()).collect()
    }
}

impl<K, V> Inner<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    pub(super) async fn get_many(
        self: &Arc<Self>,
        keys: &[K],
    ) -> Vec<Result<Option<Got<V>>, Error>> {
        let Batch { order, parts, .. } = Batch::new(self, keys);
        let now = self.local.clock().now();
        let mut answers: Vec<_> = Vec::with_capacity(parts.len());
        let mut open = Vec::new();
        for (place, (key, part)) in parts.into_iter().enumerate() {
            answers.push(match part {
                Ok(got) => Ok(Some(got)),
                Err(look) => match self.stale(&look, Use::WhileRevalidating, now) {
                    Some(got) => {
                        self.counters.answered(&got);
                        Ok(Some(got))
                    }
                    None => {
                        open.push((place, key, look));
                        Ok(None)
                    }
                },
            });
        }
        if let Some(remote) = self.remote.as_ref().filter(|_| !open.is_empty()) {
            self.background.ensure(self);
            let began = Instant::now();
            let held: Vec<_> = open
                .into_iter()
                .map(|(place, key, look)| (place, self.text(&key), self.local.lease(key), look))
                .collect();
            let asked: Vec<_> = held
                .iter()
                .map(|(_, text, lease, look)| Asked {
                    key: lease.key(),
                    text,
                    min_source: self.sources.get(lease.key(), began),
                    known: look.entry(),
                })
                .collect();
            let looked = self.look_many(remote, &asked).await;
            drop(asked);
            for ((place, _, lease, look), looked) in held.iter().zip(looked) {
                answers[*place] = self.answer_get(lease, looked, look);
            }
        } else {
            open.iter().for_each(|_| self.counters.missed());
        }
        spread(&order, answers, again)
    }

    pub(super) async fn load_many(
        self: &Arc<Self>,
        batch: Batch<K, V>,
        loader: ManyLoader<K, V>,
    ) -> Vec<Ended<V>> {
        let Batch { order, parts, early } = batch;
        let now = self.local.clock().now();
        let (mut leading, mut refreshing) = (Vec::new(), Vec::new());
        let mut waiting = Vec::new();
        let mut answers = Vec::with_capacity(parts.len());
        let alone = |key: &K| self.throttle.holds(key, Instant::now());
        for (place, entry) in early {
            let key = &parts[place].0;
            if !alone(key)
                && let Join::Lead(lease, teller) = self.local.refresh(key.clone(), &entry)
            {
                self.counters.refreshing(true);
                refreshing.push(Leader::new(self, lease, teller, Wish::Early));
            }
        }
        for (place, (key, part)) in parts.into_iter().enumerate() {
            let look = match part {
                Ok(got) => {
                    answers.push(Ok(got));
                    continue;
                }
                Err(look) => look,
            };
            if let Some((got, refresh)) = self.serve_stale(&key, &look, now) {
                self.counters.answered(&got);
                answers.push(Ok(got));
                if let Some(entry) = refresh
                    && let Join::Lead(lease, teller) = self.local.refresh(key, entry)
                {
                    self.counters.refreshing(false);
                    refreshing.push(Leader::new(self, lease, teller, Wish::Stale));
                }
                continue;
            }
            answers.push(Err(Failure::Aborted));
            match self.join(key, now).await {
                Joined::Hit(got) => {
                    self.counters.answered(&got);
                    answers[place] = Ok(got);
                }
                Joined::Wait(flight) => waiting.push((place, flight)),
                Joined::Lead(leader) => {
                    waiting.push((place, leader.teller.subscribe()));
                    leading.push(*leader);
                }
            }
        }
        self.start_many(leading, &loader);
        self.start_many(refreshing, &loader);
        // Each flies on its own: that they are awaited one by one delays none.
        for (place, flight) in waiting {
            let ended = flight::wait(flight).await;
            self.counters.ended(&ended);
            answers[place] = ended;
        }
        spread(&order, answers, Clone::clone)
    }

    fn start_many(self: &Arc<Self>, leaders: Vec<Leader<K, V>>, loader: &ManyLoader<K, V>) {
        if leaders.is_empty() {
            return;
        }
        let alive = self.tasks.subscribe();
        let (inner, loader) = (Arc::clone(self), Arc::clone(loader));
        let span =
            tracing::debug_span!("cache_load_many", cache = &*self.namespace, keys = leaders.len());
        let load = async move {
            inner.fly_many(leaders, loader).await;
            drop(alive);
        };
        tokio::spawn(load.instrument(span));
    }

    async fn fly_many(self: &Arc<Self>, leaders: Vec<Leader<K, V>>, loader: ManyLoader<K, V>) {
        let leaders = self.look_for_many(leaders).await;
        let leaders = wish_for_many(leaders, &loader).await;
        if leaders.is_empty() {
            return;
        }
        let in_reach = leaders.iter().any(|leader| leader.seen.is_some());
        let namespace =
            if in_reach { self.namespace_stamp().await } else { self.last_namespace_stamp() };
        let keys: Vec<K> = leaders.iter().map(|leader| leader.lease.key().clone()).collect();
        let previous = leaders
            .iter()
            .filter_map(|leader| Some((leader.lease.key().clone(), leader.previous()?)));
        let load = LoadMany {
            min_source: leaders.iter().map(|leader| leader.min_source).max().unwrap_or(0),
            previous: previous.collect(),
        };
        let began = Instant::now();
        let answer = tokio::select! {
            biased;
            answer = self.run(async move { loader(keys, load).await }) => answer,
            never = hold_many(&leaders, self.config.lease_ttl / 3) => match never {},
            never = soften(&leaders, self.config.load_soft_timeout, Layer::Loader) => match never {},
        };
        let took = began.elapsed();
        match answer {
            Ok(answers) => self.settle_many(leaders, answers, namespace, began, took).await,
            Err(failure) => {
                for mut leader in leaders {
                    let ended = leader.fall_back(failure.clone());
                    leader.land(ended);
                }
            }
        }
    }

    /// Looks into L2 for all. Those that are answered land; returns the others.
    async fn look_for_many(&self, mut leaders: Vec<Leader<K, V>>) -> Vec<Leader<K, V>> {
        let now = Instant::now();
        for leader in &mut leaders {
            leader.min_source = self.sources.get(leader.lease.key(), now);
        }
        let mut rest = Vec::with_capacity(leaders.len());
        let mut looked = Vec::new();
        if let Some(remote) = &self.remote {
            let asked: Vec<_> = leaders.iter().map(Leader::asked).collect();
            let soften = soften(&leaders, self.config.l2_soft_timeout, Layer::L2);
            looked = tokio::select! {
                biased;
                looked = self.look_many(remote, &asked) => looked,
                never = soften => match never {},
            };
        }
        let mut looked = looked.into_iter();
        for mut leader in leaders {
            let answer = looked.next().and_then(|looked| leader.take(looked));
            match answer.or_else(|| leader.left_alone()) {
                Some(got) => leader.land(Ok(got)),
                None => rest.push(leader),
            }
        }
        rest
    }

    async fn settle_many(
        &self,
        leaders: Vec<Leader<K, V>>,
        mut answers: Answers<K, V>,
        namespace: Result<u64, u64>,
        began: Instant,
        took: Duration,
    ) {
        // The marks of all tags with one command; each entry then finds them known.
        let tags = answers.values().flatten().flat_map(|loaded| &loaded.tags);
        let mut cells: Vec<_> = tags.map(|tag| self.tag(tag)).collect();
        cells.sort_unstable_by(|a, b| a.text().cmp(b.text()));
        cells.dedup_by(|a, b| Arc::ptr_eq(a, b));
        let began_at = self.local.clock().tick(began);
        let unknown: Vec<_> = cells
            .iter()
            .filter(|cell| self.local.stamp(cell, began_at).is_none())
            .map(Arc::clone)
            .collect();
        let in_reach = leaders.iter().any(|leader| leader.seen.is_some());
        if let Some(remote) = self.remote.as_ref().filter(|_| in_reach && !unknown.is_empty()) {
            let _ = self.read_marks(remote, &unknown, began).await;
        }
        let landing = leaders.into_iter().map(|mut leader| {
            let answer = answers.remove(leader.lease.key());
            async move {
                let ended = match answer.unwrap_or_else(|| Ok(Loaded::absent())) {
                    Ok(loaded) => leader.settle(loaded, namespace, began, took).await,
                    Err(failure) => leader.fall_back(failure),
                };
                leader.land(ended);
            }
        });
        join_all(landing).await;
    }
}

/// Asks L2 for the leases of all. Keys that another node loads, or wrote meanwhile, go on alone;
/// returns the others.
async fn wish_for_many<K, V>(
    mut leaders: Vec<Leader<K, V>>,
    loader: &ManyLoader<K, V>,
) -> Vec<Leader<K, V>>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    let wished = join_all(leaders.iter_mut().map(Leader::wish_for_lease)).await;
    let mut ours = Vec::with_capacity(leaders.len());
    for (mut leader, wished) in leaders.into_iter().zip(wished) {
        match wished {
            Wished::Granted => ours.push(leader),
            Wished::Held { .. } | Wished::Moved => {
                leader.renew();
                let loader = one_of(Arc::clone(loader), leader.lease.key().clone());
                leader.start(loader);
            }
        }
    }
    ours
}

/// Renews the leases of all for as long as it is polled.
async fn hold_many<K, V>(leaders: &[Leader<K, V>], every: Duration) -> std::convert::Infallible
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    let mut held: Vec<_> = leaders.iter().filter(|leader| leader.token.is_some()).collect();
    while !held.is_empty() {
        sleep(every).await;
        let renewed = join_all(held.iter().map(|leader| leader.renew_lease())).await;
        let mut renewed = renewed.into_iter();
        held.retain(|_| renewed.next().unwrap_or(false));
    }
    std::future::pending().await
}

/// After `soft`, lets those who wait for any of them have the stale value.
async fn soften<K, V>(
    leaders: &[Leader<K, V>],
    soft: Option<Duration>,
    layer: Layer,
) -> std::convert::Infallible
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    if let Some(soft) = soft {
        sleep(soft).await;
        for leader in leaders {
            if leader.tell(true) {
                leader.inner.counters.soft_timeout(layer);
            }
        }
    }
    std::future::pending().await
}

/// An answer for each key of the call, of those for each key once.
fn spread<T>(order: &[usize], answers: Vec<T>, again: impl Fn(&T) -> T) -> Vec<T> {
    if order.len() == answers.len() {
        // Nothing stood twice, so the order is that of the call.
        return answers;
    }
    order.iter().map(|place| again(&answers[*place])).collect()
}

/// The answer of a key that stands twice.
fn again<V>(answer: &Result<Option<Got<V>>, Error>) -> Result<Option<Got<V>>, Error> {
    match answer {
        Ok(got) => Ok(got.clone()),
        Err(Error::Remote(error)) => Err(Error::Remote(error.again())),
        // A read fails in no other way.
        Err(_) => Ok(None),
    }
}
