//! Sending what was gathered, and dealing out the answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::WrongType;

use crate::error::{Error, Outcome, classify};
use crate::exec::Shape;
use crate::handle::Route;
use crate::loader::gather::{Batch, Ear, Ears, Gather};
use crate::loader::{Key, Shared};
use crate::route::Intent;

/// What a caller is told through.
pub(crate) type Teller = oneshot::Sender<Result<Rows, Error>>;

impl Ear for Teller {
    fn is_gone(&self) -> bool {
        self.is_closed()
    }
}

/// The rows of one key.
#[derive(Clone, Default)]
pub(crate) enum Rows {
    #[default]
    None,
    One(Row),
    Many(Vec<Row>),
}

impl Rows {
    fn push(&mut self, row: Row) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(row),
            Self::One(first) => Self::Many(vec![first, row]),
            Self::Many(mut rows) => {
                rows.push(row);
                Self::Many(rows)
            }
        }
    }
}

/// A place among the queries under way. Should it go away before its end (its
/// runtime was shut down, or the function for keys panicked), those who depend on
/// it are told by their tellers being dropped.
pub(crate) struct Turn<K: Key> {
    shared: Arc<Shared<K>>,
    slow: bool,
    over: bool,
}

impl<K: Key> Turn<K> {
    /// For a query that was begun in the books.
    pub(crate) fn new(shared: Arc<Shared<K>>) -> Self {
        Self { shared, slow: false, over: false }
    }

    /// Sends batches until there are none left.
    pub(crate) async fn run(mut self) {
        // Those who are ready to ask, ask now and go along.
        tokio::task::yield_now().await;
        while let Some(batch) = self.next() {
            let shared = Arc::clone(&self.shared);
            let mut answering = std::pin::pin!(answer(&shared, batch));
            if timeout(shared.config.max_wait, &mut answering).await.is_err() {
                self.step_aside();
                answering.await;
            }
        }
    }

    fn next(&mut self) -> Option<Batch<K, Teller>> {
        let mut gather = self.shared.gather.lock();
        if std::mem::take(&mut self.slow) {
            gather.slow_ended();
            if !gather.begin() {
                self.over = true;
                return None;
            }
        }
        let batch = gather.next();
        self.over = batch.is_none();
        batch
    }

    /// Lets the next query go while this one is still under way.
    fn step_aside(&mut self) {
        self.slow = true;
        let mut gather = self.shared.gather.lock();
        gather.slowed();
        let another = gather.begin();
        drop(gather);
        if another {
            self.shared.start();
        }
    }
}

impl<K: Key> Drop for Turn<K> {
    fn drop(&mut self) {
        if !self.over {
            let lost = self.shared.gather.lock().failed(self.slow);
            drop(lost);
        }
    }
}

/// Asks for all keys of a batch. If that fails in a way that may be the fault of
/// one key, its halves are asked for by themselves.
async fn answer<K: Key>(shared: &Shared<K>, batch: Batch<K, Teller>) {
    shared.metrics.loads.increment(batch.ears() as u64);
    let mut parts = vec![batch];
    while let Some(part) = parts.pop() {
        match query(shared, &part).await {
            Ok(rows) => deal(part, rows),
            Err(error) if part.keys.len() > 1 && may_be_of_one_key(&error) => {
                shared.metrics.splits.increment(1);
                parts.extend(part.halve());
            }
            Err(error) => fail(part, error),
        }
    }
}

async fn query<K: Key>(
    shared: &Shared<K>,
    batch: &Batch<K, Teller>,
) -> Result<Vec<(K, Row)>, Error> {
    let keys: Vec<&K> = batch.keys.keys().collect();
    shared.metrics.keys.increment(keys.len() as u64);
    shared.metrics.queries.increment(1);
    let route = Route::of_loader(shared.way(), batch.after);
    let (node, answer) = route.run_as_said(&shared.sql, &[&keys], Shape::All, false).await?;
    let keyed = answer.rows.into_iter().map(|row| Ok(((shared.key)(&row)?, row)));
    keyed.collect::<Result<_, _>>().map_err(|source| Error::Query {
        node: Arc::clone(&node.name),
        outcome: if_lost(shared.intent),
        source,
    })
}

/// Hands out the rows. A row of a key that nobody asked for is dropped.
fn deal<K: Key>(batch: Batch<K, Teller>, rows: Vec<(K, Row)>) {
    let unanswered = |(key, ears)| (key, (ears, Rows::None));
    let mut found: std::collections::HashMap<_, _, foldhash::fast::RandomState> =
        batch.keys.into_iter().map(unanswered).collect();
    for (key, row) in rows {
        if let Some((_, rows)) = found.get_mut(&key) {
            rows.push(row);
        }
    }
    for (Ears { first, more }, rows) in found.into_values() {
        for ear in more {
            drop(ear.send(Ok(rows.clone())));
        }
        drop(first.send(Ok(rows)));
    }
}

fn fail<K: Key>(batch: Batch<K, Teller>, error: Error) {
    let (keys, alone) = (batch.keys.len(), batch.ears() == 1);
    let ears = batch.keys.into_values();
    let mut ears = ears.flat_map(|Ears { first, more }| std::iter::once(first).chain(more));
    if alone {
        drop(ears.next().map(|ear| ear.send(Err(error))));
        return;
    }
    let source = Arc::new(error);
    for ear in ears {
        drop(ear.send(Err(Error::Batch { keys, source: Arc::clone(&source) })));
    }
}

/// What a lost answer means.
fn if_lost(intent: Intent) -> Outcome {
    if intent == Intent::Write { Outcome::Unknown } else { Outcome::NoEffect }
}

/// Whether one key may have spoilt the query: the server objects to a value or
/// to what a function made of it, or a key cannot be sent.
fn may_be_of_one_key(error: &Error) -> bool {
    let Error::Query { source, .. } = error else {
        return false;
    };
    let code = source.code().map_or("", |code| code.code());
    let of_a_value = KEY_CLASSES.iter().any(|class| code.starts_with(class));
    (classify::is_refusal(source) && of_a_value)
        || (classify::is_unsent(source) && !is_wrong_type(source))
}

/// All keys have the same type.
fn is_wrong_type(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<WrongType>)
}

/// Classes of SQLSTATE: cardinality, data, functions (SQL, external), PL/pgSQL,
/// limits.
const KEY_CLASSES: [&str; 7] = ["21", "22", "2F", "38", "39", "P0", "54"];

impl<K: Key> Shared<K> {
    /// Starts a query that was begun in the books.
    pub(crate) fn start(self: &Arc<Self>) {
        self.pool.nodes[0].spawn_at_home(Turn::new(Arc::clone(self)).run());
    }

    /// Makes room by dropping those who left, if there are enough of them to be
    /// worth a look at all.
    pub(crate) fn make_room(&self, gather: &mut Gather<K, Teller>) {
        let gone = self.gone.load(Ordering::Relaxed);
        if gone > 0 && gone >= gather.waiting() / 8 {
            self.gone.store(0, Ordering::Relaxed);
            gather.purge();
        }
    }
}
