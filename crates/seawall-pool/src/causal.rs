//! What one user has written and seen.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::Token;

/// What one user has written and seen so far, so that nothing he reads is older.
///
/// A route that is given one ([`Route::causal`](crate::Route::causal)) keeps it up to date: a write raises
/// it to its own commit, a read to the position that was read, so reads follow
/// writes (read-your-writes) and reads follow reads (monotonic reads). The positions
/// are read in the same flight as the statement. After a write of unknown outcome, or one whose
/// future was dropped, reads go to the primary until the next write that is done: it may be
/// running still. After one that was done and whose position could not be read, they go there until
/// one of them, or a write, gives a position.
///
/// Clones are the same one. One per user or session, for as long as it lasts;
/// between processes goes its [`token`](Self::token), by hand or in a cookie by
/// `CausalLayer` (feature `tower`).
#[derive(Clone, Debug, Default)]
pub struct Causal(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    token: Option<Token>,
    /// Whether the token is newer than the one it began with.
    advanced: bool,
    /// A write whose position is not known: only the primary is sure to have it.
    unknown: Option<Unknown>,
    /// Counts those, so that what was sent before one does not stand for it.
    unknowns: u64,
    /// Whether `unknown` is another than at the start.
    changed: bool,
}

/// A write whose position is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unknown {
    /// It is done: what the primary has reached later covers it.
    Done,
    /// It was done, or may be yet, or never.
    Open,
}

/// How many writes of unknown position there were when a statement was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Since(u64);

impl Causal {
    /// Has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Has seen what the token says.
    #[must_use]
    pub fn starting_at(token: Option<Token>) -> Self {
        Self::resuming(token, None)
    }

    pub(crate) fn resuming(token: Option<Token>, unknown: Option<Unknown>) -> Self {
        Self(Arc::new(Mutex::new(State { token, unknown, ..State::default() })))
    }

    /// What reads must at least see.
    #[must_use]
    pub fn token(&self) -> Option<Token> {
        self.0.lock().token
    }

    /// Whether the token has moved since the start.
    #[must_use]
    pub fn has_advanced(&self) -> bool {
        self.0.lock().advanced
    }

    /// Raises it to a token got elsewhere, such as from
    /// [`Transaction::commit_token`](crate::Transaction::commit_token). A token of another cluster
    /// takes the place of what there was.
    pub fn observe(&self, token: Token) {
        let mut state = self.0.lock();
        let merged = state.token.map_or(Some(token), |known| known.merge(token)).unwrap_or(token);
        state.advanced |= state.token != Some(merged);
        state.token = Some(merged);
    }

    /// A write was done whose position is not known.
    pub fn observe_unknown(&self) {
        self.forget(Unknown::Done);
    }

    /// A write was sent, and what becomes of it is not known.
    pub(crate) fn lost_sight(&self) {
        self.forget(Unknown::Open);
    }

    fn forget(&self, unknown: Unknown) {
        let mut state = self.0.lock();
        state.unknowns += 1;
        let worse = state.unknown.max(Some(unknown));
        state.changed |= state.unknown != worse;
        state.unknown = worse;
    }

    /// To be handed back with what a statement gives that is sent now.
    pub(crate) fn since(&self) -> Since {
        Since(self.0.lock().unknowns)
    }

    /// A write is done, which was sent then.
    pub(crate) fn wrote(&self, token: Token, since: Since) {
        self.observe(token);
        self.settle(since, Unknown::Open);
    }

    /// A read on the primary, which was sent then, gave its position.
    pub(crate) fn read_on_primary(&self, token: Token, since: Since) {
        self.observe(token);
        self.settle(since, Unknown::Done);
    }

    /// Takes back up to `most` of what was unknown then, if nothing has been added.
    fn settle(&self, since: Since, most: Unknown) {
        let mut state = self.0.lock();
        if state.unknowns == since.0 && state.unknown.is_some_and(|unknown| unknown <= most) {
            state.unknown = None;
            state.changed = true;
        }
    }

    pub(crate) fn unknown(&self) -> Option<Unknown> {
        self.0.lock().unknown
    }

    pub(crate) fn is_blind(&self) -> bool {
        self.unknown().is_some()
    }

    /// Whether whoever carries it on has something new to carry.
    #[cfg(feature = "tower")]
    pub(crate) fn has_news(&self) -> bool {
        let state = self.0.lock();
        state.advanced || state.changed
    }
}

#[cfg(test)]
mod tests {
    use super::Causal;
    use crate::{Lsn, Token};

    fn token(lsn: u64) -> Token {
        Token { system: 7, timeline: 1, lsn: Lsn(lsn) }
    }

    #[test]
    fn it_never_goes_back_and_tells_whether_it_moved() {
        let causal = Causal::starting_at(Some(token(5)));
        causal.observe(token(3));
        assert_eq!((causal.token(), causal.has_advanced()), (Some(token(5)), false));
        causal.clone().observe(token(9));
        assert_eq!((causal.token(), causal.has_advanced()), (Some(token(9)), true));
    }

    #[test]
    fn a_write_of_unknown_position_is_remembered_until_the_next_known_one() {
        let causal = Causal::new();
        causal.observe_unknown();
        causal.observe(token(1));
        assert!(causal.is_blind(), "a read elsewhere does not cover the write");
        causal.wrote(token(2), causal.since());
        assert!(!causal.is_blind());
    }

    #[test]
    fn a_read_on_the_primary_covers_a_write_that_is_done_and_not_one_that_may_run_yet() {
        let causal = Causal::new();
        causal.observe_unknown();
        causal.read_on_primary(token(1), causal.since());
        assert!(!causal.is_blind());
        causal.lost_sight();
        causal.observe_unknown();
        causal.read_on_primary(token(2), causal.since());
        assert!(causal.is_blind(), "it may come after the read");
        causal.wrote(token(3), causal.since());
        assert!(!causal.is_blind());
    }

    #[test]
    fn what_was_sent_before_a_write_does_not_stand_for_it() {
        let causal = Causal::new();
        let before = causal.since();
        causal.observe_unknown();
        causal.read_on_primary(token(1), before);
        causal.wrote(token(2), before);
        assert!(causal.is_blind());
    }
}
