//! Gathering keys into batches, without IO: who waits for which key, what goes
//! out together, and how many queries may be under way.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use crate::Token;

/// Someone who waits for a key.
pub(crate) trait Ear {
    /// Whether nobody listens any more.
    fn is_gone(&self) -> bool;
}

/// The bounds of a gathering.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The most keys of a batch.
    pub(crate) batch: usize,
    /// The most ears waiting for a batch to go out.
    pub(crate) waiting: usize,
    /// The queries under way that hold back the next.
    pub(crate) prompt: usize,
    /// The queries under way, slow ones included.
    pub(crate) queries: usize,
}

/// Batches that are forming, oldest first, and the queries under way.
///
/// A key that waits already is not asked twice, and one that was sent already is:
/// whoever asks after a commit gets an answer of a query that began after it.
pub(crate) struct Gather<K, E> {
    bounds: Bounds,
    forming: VecDeque<Batch<K, E>>,
    /// Ears in `forming`, those that are gone included.
    waiting: usize,
    prompt: usize,
    slow: usize,
    /// Queries begun that have not taken a batch: at most as many as that.
    coming: usize,
}

impl<K: Hash + Eq, E: Ear> Gather<K, E> {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, forming: VecDeque::new(), waiting: 0, prompt: 0, slow: 0, coming: 0 }
    }

    /// How many more ears may wait.
    pub(crate) fn room(&self) -> usize {
        self.bounds.waiting.saturating_sub(self.waiting)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Has `ear` wait for `key`, in the oldest batch that has room for it. To be
    /// asked for [`room`](Self::room) before.
    ///
    /// Reads that ask for a position gather by themselves, so that they neither
    /// wait for a node on behalf of those that do not ask, nor are served from an older
    /// one: their batch, of one cluster and timeline, asks for the highest position of its
    /// members.
    pub(crate) fn join(&mut self, key: K, after: Option<Token>, ear: E) {
        self.waiting += 1;
        let bound = self.bounds.batch;
        let mut alike = self.forming.iter_mut().filter(|batch| are_alike(batch.after, after));
        let batch = alike.find(|batch| batch.keys.len() < bound || batch.keys.contains_key(&key));
        if let Some(batch) = batch {
            batch.after = std::cmp::max_by_key(batch.after, after, |after| after.map(|it| it.lsn));
            batch.add(key, ear);
        } else {
            let mut batch = Batch { keys: HashMap::default(), after };
            batch.add(key, ear);
            self.forming.push_back(batch);
        }
    }

    /// Whether another query is to be begun. If so, it counts as under way:
    /// [`next`](Self::next) is to follow.
    pub(crate) fn begin(&mut self) -> bool {
        // What forms goes with those that are coming, a batch each.
        let begin = self.forming.len() > self.coming
            && self.prompt < self.bounds.prompt
            && self.prompt + self.slow < self.bounds.queries;
        self.prompt += usize::from(begin);
        self.coming += usize::from(begin);
        begin
    }

    /// The batch for the next query of one that was begun, or `None` if there is
    /// nothing to ask, and then it is over. Those who left are not asked for.
    pub(crate) fn next(&mut self) -> Option<Batch<K, E>> {
        self.coming = self.coming.saturating_sub(1);
        while let Some(mut batch) = self.forming.pop_front() {
            self.waiting -= batch.ears();
            batch.forget_gone();
            if !batch.keys.is_empty() {
                return Some(batch);
            }
        }
        self.prompt -= 1;
        None
    }

    /// A query takes long: it does not hold back the next any more.
    pub(crate) fn slowed(&mut self) {
        self.prompt -= 1;
        self.slow += 1;
    }

    /// A slow query is over.
    pub(crate) fn slow_ended(&mut self) {
        self.slow -= 1;
    }

    /// One that was begun came to nothing. What it leaves without a query to be
    /// sent by is returned.
    pub(crate) fn failed(&mut self, slow: bool) -> VecDeque<Batch<K, E>> {
        self.coming = self.coming.saturating_sub(1);
        if slow {
            self.slow -= 1;
        } else {
            self.prompt -= 1;
        }
        if self.prompt + self.slow > 0 {
            return VecDeque::new();
        }
        self.waiting = 0;
        std::mem::take(&mut self.forming)
    }

    /// Drops those who left. Looks at all who wait.
    pub(crate) fn purge(&mut self) {
        self.forming.iter_mut().for_each(Batch::forget_gone);
        self.forming.retain(|batch| !batch.keys.is_empty());
        self.waiting = self.forming.iter().map(Batch::ears).sum();
    }
}

/// Whether one query can see both. Of two clusters or timelines one may be refused, which is not
/// to fail the other.
fn are_alike(one: Option<Token>, other: Option<Token>) -> bool {
    let of = |after: Option<Token>| after.map(|token| (token.system, token.timeline));
    of(one) == of(other)
}

/// Keys to ask for in one query, and who waits for each.
pub(crate) struct Batch<K, E> {
    pub(crate) keys: HashMap<K, Ears<E>, foldhash::fast::RandomState>,
    /// The position the query is to see.
    pub(crate) after: Option<Token>,
}

impl<K: Hash + Eq, E: Ear> Batch<K, E> {
    fn add(&mut self, key: K, ear: E) {
        match self.keys.entry(key) {
            std::collections::hash_map::Entry::Occupied(mut ears) => ears.get_mut().more.push(ear),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(Ears { first: ear, more: Vec::new() });
            }
        }
    }

    /// How many wait.
    pub(crate) fn ears(&self) -> usize {
        self.keys.values().map(|ears| 1 + ears.more.len()).sum()
    }

    fn forget_gone(&mut self) {
        self.keys.retain(|_, ears| ears.forget_gone());
    }

    /// Two batches in place of one of at least two keys.
    pub(crate) fn halve(self) -> [Self; 2] {
        let Self { keys, after } = self;
        let half = keys.len() / 2;
        let mut keys = keys.into_iter();
        let first = keys.by_ref().take(half).collect();
        [Self { keys: first, after }, Self { keys: keys.collect(), after }]
    }
}

/// Who waits for one key: at least one.
pub(crate) struct Ears<E> {
    pub(crate) first: E,
    pub(crate) more: Vec<E>,
}

impl<E: Ear> Ears<E> {
    /// False if nobody is left.
    fn forget_gone(&mut self) -> bool {
        self.more.retain(|ear| !ear.is_gone());
        if self.first.is_gone() {
            let Some(next) = self.more.pop() else {
                return false;
            };
            self.first = next;
        }
        true
    }
}

#[cfg(test)]
mod tests;
