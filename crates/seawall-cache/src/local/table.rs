//! The fences of keys, and the loads in flight.
//!
//! Whoever will write an entry first takes a [`Hold`] on its key, which remembers what the key's
//! fences stood at. The entry goes in under the key's lock, and only if they still stand there, or
//! if L2 issued a version that settles the order. A key has fences only while someone holds it, so
//! idle keys cost nothing.
//!
//! Nothing here knows of time, of Tokio or of the cache around it, so that
//! `tests/loom_flights.rs` can include this file and try every interleaving.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

use crate::sync::Mutex;

/// Where the entries are. Its operations are atomic; it is called under the lock of the key.
pub(crate) trait Shelf<K> {
    type Item: Item;

    /// Shows the entry of `key` to `look`, if it has not expired: the very one that is held.
    fn peek<T>(&self, key: &K, look: impl FnOnce(&Self::Item) -> T) -> Option<T>;

    /// [`peek`](Self::peek), expired or not.
    fn peek_any<T>(&self, key: &K, look: impl FnOnce(&Self::Item) -> T) -> Option<T>;

    fn insert(&self, key: K, item: Self::Item);

    fn remove(&self, key: &K);
}

/// What the table asks of an entry. A clone is a snapshot, which shares nothing with the entry.
pub(crate) trait Item: Clone {
    /// Issued by L2; 0 if L2 had no word on it.
    fn version(&self) -> u64;

    /// The source version; 0 if unknown.
    fn source(&self) -> u64;

    /// From now on the entry is a write of ours whose echo L2 has still to send.
    fn await_echo(&self);

    /// Whether the echo was awaited. It is not any more.
    fn take_echo(&self) -> bool;

    /// Whether one is a snapshot of the other, or both are of one entry. Two that are alike may
    /// pass for one if what is right for the one is right for the other.
    fn is(&self, other: &Self) -> bool;
}

/// Wakes the loads of a key that wait for L2: for the lease of another node to end.
pub(crate) trait Landing: Clone + Default {
    fn wake(&self);
}

/// Fences and flights of all keys. `F` is what callers that join a load wait on.
pub(crate) struct Table<K, S, F, W, H> {
    shelf: S,
    stripes: Box<[Stripe<K, F, W, H>]>,
    hasher: H,
}

type Stripe<K, F, W, H> = Mutex<HashMap<K, Fences<F, W>, H>>;

/// What is known of a key that someone holds.
struct Fences<F, W> {
    holds: usize,
    /// Moved by every write and removal of ours: loads and back-fills that began before are void.
    turn: u64,
    /// Moved by removals of ours: writes that began before are void.
    removals: u64,
    /// Changes that L2 told of without their version.
    changes: u64,
    /// The newest version that L2 told of.
    told: u64,
    /// The newest version that a write of ours got.
    written: u64,
    /// Entries that went in.
    fills: u64,
    /// Counts flights.
    flights: u64,
    flight: Option<InFlight<F>>,
    landing: Option<W>,
    /// Of the lease in L2 that a load of this node was granted last.
    token: Option<u64>,
}

struct InFlight<F> {
    id: u64,
    waiters: F,
}

/// What the fences of a key stood at. Must go back through [`Table::release`].
#[derive(Debug)]
pub(crate) struct Hold {
    turn: u64,
    removals: u64,
    changes: u64,
    told: u64,
    written: u64,
    fills: u64,
    /// `changes` when its write was sent to L2.
    sent: Option<u64>,
    /// The flight it leads.
    leads: Option<u64>,
}

/// What became of an entry that was offered to L1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Kept {
    /// Overtaken.
    No,
    Yes,
    /// It is in, but L2 told of a change while it was on its way: ours, another's, or both in one
    /// message. Its version must be compared with L2's.
    Check,
}

/// What a change that L2 told of did.
#[derive(Debug)]
#[must_use]
pub(crate) enum Changed<T> {
    /// There was nothing older.
    Nothing,
    Removed,
    /// The entry is a write of ours, and this may have been its echo; but L2 may tell of two
    /// changes in one message. It stays, and its version must be compared with L2's.
    Check(T),
}

/// How a caller that missed goes on.
pub(crate) enum Joined<T, F> {
    /// Someone filled it in the meantime.
    Hit(T),
    /// A load is in flight.
    Wait(F),
    /// The caller leads a new one.
    Lead(Hold),
}

impl<K, S, F, W, H> Table<K, S, F, W, H>
where
    K: Hash + Eq + Clone,
    S: Shelf<K>,
    F: Clone,
    W: Landing,
    H: BuildHasher + Clone,
{
    pub(crate) fn new(shelf: S, stripes: usize, hasher: H) -> Self {
        let stripe = || Mutex::new(HashMap::with_hasher(hasher.clone()));
        let stripes = std::iter::repeat_with(stripe).take(stripes).collect();
        Self { shelf, stripes, hasher }
    }

    pub(crate) fn shelf(&self) -> &S {
        &self.shelf
    }

    /// A hold on `key`, for a back-fill or a write.
    pub(crate) fn hold(&self, key: &K) -> Hold {
        let mut stripe = self.stripe(key).lock();
        let fences = stripe.entry(key.clone()).or_insert_with(Fences::new);
        fences.hold()
    }

    /// The load of `key`: what `look` finds now, a load in flight, or else a new one, whose
    /// callers will wait on `flight`. `look` runs under the lock: it must not enter the table.
    ///
    /// A load commits before it leaves the table, so of all callers that miss at once one leads
    /// and the others find its flight or its entry. A flight that a write, a removal or a change
    /// displaced is not found: who comes after those never joins what began before them.
    pub(crate) fn join<T>(
        &self,
        key: &K,
        look: impl FnOnce() -> Option<T>,
        flight: impl FnOnce() -> F,
    ) -> Joined<T, F> {
        let mut stripe = self.stripe(key).lock();
        if let Some(flight) = stripe.get(key).and_then(|fences| fences.flight.as_ref()) {
            return Joined::Wait(flight.waiters.clone());
        }
        if let Some(found) = look() {
            return Joined::Hit(found);
        }
        let fences = stripe.entry(key.clone()).or_insert_with(Fences::new);
        let mut hold = fences.hold();
        fences.lead(&mut hold, flight());
        Joined::Lead(hold)
    }

    /// Takes the fences as they stand now: an entry that is read from L2 from here on may go in
    /// although the key was written, removed or changed since the hold was taken. A load that was
    /// displaced stands in the table again under `flight`, unless a younger one does. To be called
    /// before L2 is asked again, never between asking and filling.
    pub(crate) fn renew(&self, key: &K, hold: &mut Hold, flight: F) {
        self.with(key, |fences, _| {
            let leads = hold.leads;
            fences.holds -= 1;
            *hold = fences.hold();
            match &fences.flight {
                Some(there) if leads == Some(there.id) => hold.leads = leads,
                None if leads.is_some() => fences.lead(hold, flight),
                _ => {}
            }
        });
    }

    /// The write or fill of `hold` is about to be sent to L2: changes that L2 tells of from here
    /// on may be its own.
    pub(crate) fn send(&self, key: &K, hold: &mut Hold) {
        self.with(key, |fences, _| hold.sent = Some(fences.changes));
    }

    /// The load of `hold` was granted the lease in L2 under `token`.
    pub(crate) fn granted(&self, key: &K, token: u64) {
        self.with(key, |fences, _| fences.token = Some(token));
    }

    /// The token of the lease in L2 that an older load of this node may still hold, which was
    /// displaced by the one of `hold`. Once.
    pub(crate) fn take_over(&self, key: &K, hold: &Hold) -> Option<u64> {
        self.with(key, |fences, _| {
            let stands = |flight: &InFlight<F>| hold.leads == Some(flight.id);
            fences.token.take_if(|_| fences.flight.as_ref().is_some_and(stands))
        })
    }

    /// Keeps what a load or a back-fill brought, unless the key was written or removed on this
    /// node since the hold was taken, or L2 told of something newer, or has something newer in.
    ///
    /// An entry that L2 just stored (sent, and with a version) is newer than all that L2 told of
    /// before it was sent.
    pub(crate) fn fill(&self, key: &K, hold: &Hold, item: S::Item) -> Kept {
        self.with(key, |fences, shelf| {
            let version = item.version();
            let stored = version > 0 && hold.sent.is_some();
            if fences.turn != hold.turn || !stored && fences.changes != hold.changes {
                return Kept::No;
            }
            let overtaken = if version > 0 {
                version < fences.told
                    || shelf.peek(key, |known| known.version() > version) == Some(true)
            } else {
                // No version to compare: the first to come stays.
                fences.told != hold.told || fences.fills != hold.fills
            };
            if overtaken {
                return Kept::No;
            }
            fences.insert(shelf, key, hold, item)
        })
    }

    /// A write ended: keeps its entry, unless the key was removed on this node since the hold was
    /// taken, or a newer write is in. `issued`: L2 acknowledged it and issued its version, or
    /// there is no L2. Loads in flight are void: they may have read L2 before the write got there.
    pub(crate) fn end_write(&self, key: &K, hold: &Hold, item: S::Item, issued: bool) -> Kept {
        self.with(key, |fences, shelf| {
            fences.advance();
            // Removed or written before or after, or changed by another or by us? L2 knows. What
            // L1 has may be from before the write.
            if fences.removals != hold.removals
                || item.version() < fences.told
                || !issued && fences.is_overtaken(hold)
            {
                shelf.remove(key);
                return Kept::No;
            }
            let newer = |known: &S::Item| {
                issued && known.version() > item.version()
                    || item.source() > 0 && known.source() > item.source()
            };
            if item.version() < fences.written || shelf.peek(key, newer) == Some(true) {
                return Kept::No;
            }
            fences.written = item.version();
            fences.insert(shelf, key, hold, item)
        })
    }

    /// Removes the entry and voids all that is in flight.
    pub(crate) fn remove(&self, key: &K) {
        let mut stripe = self.stripe(key).lock();
        if let Some(fences) = stripe.get_mut(key) {
            fences.advance();
            fences.removals += 1;
        }
        self.shelf.remove(key);
    }

    /// Removes `item` if it is still the entry of `key`; voids nothing. Returns whether it was.
    pub(crate) fn discard(&self, key: &K, item: &S::Item) -> bool {
        let _stripe = self.stripe(key).lock();
        let is_there = self.shelf.peek_any(key, |known| known.is(item)) == Some(true);
        if is_there {
            self.shelf.remove(key);
        }
        is_there
    }

    /// L2 told that `key` was written, and which `version` it now has, if it says so. Afterwards
    /// the table lets in nothing older, nobody joins a load from before, and L1 has nothing older,
    /// except a write of ours whose echo this may be: see [`Changed::Check`].
    pub(crate) fn changed(&self, key: &K, version: Option<u64>) -> Changed<S::Item> {
        let mut stripe = self.stripe(key).lock();
        if let Some(fences) = stripe.get_mut(key) {
            match version {
                Some(version) => fences.told = fences.told.max(version),
                None => fences.changes += 1,
            }
            // Also one whose fill is on its way to L2: this may be its echo, but as well the write
            // that made L2 refuse it. If it is the echo, a younger flight finds the fill in L2.
            fences.flight = None;
            fences.wake();
        }
        let stays = self.shelf.peek(key, |known| match version {
            Some(version) if known.version() >= version => Some(Changed::Nothing),
            None if known.take_echo() => Some(Changed::Check(known.clone())),
            _ => None,
        });
        match stays {
            None => Changed::Nothing,
            Some(Some(changed)) => changed,
            Some(None) => {
                self.shelf.remove(key);
                Changed::Removed
            }
        }
    }

    /// Something happened to many keys: nobody joins the loads from before any more, though they
    /// may still be kept; and those that wait for L2 look again.
    pub(crate) fn displace(&self) {
        for stripe in &self.stripes {
            for fences in stripe.lock().values_mut() {
                fences.flight = None;
                fences.wake();
            }
        }
    }

    /// Shows `each` flight that can be joined.
    pub(crate) fn flights(&self, mut each: impl FnMut(&F)) {
        for stripe in &self.stripes {
            let stripe = stripe.lock();
            stripe.values().filter_map(|fences| fences.flight.as_ref()).for_each(|flight| {
                each(&flight.waiters);
            });
        }
    }

    /// The lease of another node on `key` may have ended: wakes the loads that wait for that.
    pub(crate) fn landed(&self, key: &K) {
        if let Some(fences) = self.stripe(key).lock().get(key) {
            fences.wake();
        }
    }

    /// Any lease may have ended: wakes all that wait for one.
    pub(crate) fn all_landed(&self) {
        for stripe in &self.stripes {
            stripe.lock().values().for_each(Fences::wake);
        }
    }

    /// What [`landed`](Self::landed) and [`changed`](Self::changed) wake.
    pub(crate) fn landing(&self, key: &K) -> W {
        self.with(key, |fences, _| fences.landing.get_or_insert_default().clone())
    }

    /// The newest version that a write of ours got while the key was held.
    pub(crate) fn written(&self, key: &K) -> u64 {
        self.with(key, |fences, _| fences.written)
    }

    /// Keys that are held: 0 when nothing is in flight.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.stripes.iter().map(|stripe| stripe.lock().len()).sum()
    }

    /// Under the lock of a key that the caller holds.
    fn with<T>(&self, key: &K, act: impl FnOnce(&mut Fences<F, W>, &S) -> T) -> T {
        let mut stripe = self.stripe(key).lock();
        // The hold itself keeps the fences there.
        act(stripe.entry(key.clone()).or_insert_with(Fences::new), &self.shelf)
    }
}

impl<K: Hash + Eq, S, F, W, H: BuildHasher> Table<K, S, F, W, H> {
    /// Gives `hold` back, and ends the load it leads: who comes later starts a new one.
    pub(crate) fn release(&self, key: &K, hold: &Hold) {
        let mut stripe = self.stripe(key).lock();
        let Some(fences) = stripe.get_mut(key) else {
            return;
        };
        if fences.flight.as_ref().is_some_and(|flight| hold.leads == Some(flight.id)) {
            fences.flight = None;
        }
        fences.holds -= 1;
        if fences.holds == 0 {
            stripe.remove(key);
        }
    }

    fn stripe(&self, key: &K) -> &Stripe<K, F, W, H> {
        let hash = self.hasher.hash_one(key);
        // The high half: the engine and the stripe's own map use the low bits.
        let index = ((hash >> 32) % self.stripes.len() as u64) as usize;
        &self.stripes[index]
    }
}

impl Hold {
    /// Whether its write or fill was sent to L2.
    pub(crate) fn is_sent(&self) -> bool {
        self.sent.is_some()
    }
}

impl<F, W: Landing> Fences<F, W> {
    fn new() -> Self {
        Self {
            holds: 0,
            turn: 0,
            removals: 0,
            changes: 0,
            told: 0,
            written: 0,
            fills: 0,
            flights: 0,
            flight: None,
            landing: None,
            token: None,
        }
    }

    fn hold(&mut self) -> Hold {
        self.holds += 1;
        Hold {
            turn: self.turn,
            removals: self.removals,
            changes: self.changes,
            told: self.told,
            written: self.written,
            fills: self.fills,
            sent: None,
            leads: None,
        }
    }

    fn lead(&mut self, hold: &mut Hold, waiters: F) {
        self.flights += 1;
        hold.leads = Some(self.flights);
        self.flight = Some(InFlight { id: self.flights, waiters });
    }

    /// Voids what is in flight; who comes next starts anew.
    fn advance(&mut self) {
        self.turn += 1;
        self.flight = None;
        self.wake();
    }

    /// Whether the key was changed while the write of `hold` was under way: by another write of
    /// ours that was acknowledged, or as L2 told.
    fn is_overtaken(&self, hold: &Hold) -> bool {
        self.written != hold.written || hold.sent.is_some_and(|changes| changes != self.changes)
    }

    fn insert<K, S>(&mut self, shelf: &S, key: &K, hold: &Hold, item: S::Item) -> Kept
    where
        K: Clone,
        S: Shelf<K>,
    {
        self.fills += 1;
        let version = item.version();
        let mut kept = Kept::Yes;
        if let Some(changes) = hold.sent
            && version > 0
        {
            if changes != self.changes {
                kept = Kept::Check;
            } else if version > self.told {
                item.await_echo();
            }
        }
        shelf.insert(key.clone(), item);
        kept
    }

    fn wake(&self) {
        if let Some(landing) = &self.landing {
            landing.wake();
        }
    }
}
