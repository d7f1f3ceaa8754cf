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
/// future was dropped, reads go to the primary until the next write that is done.
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
    /// A write was done, or may have been, whose position could not be read: only the
    /// primary is sure to have it.
    blind: bool,
}

impl Causal {
    /// Has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Has seen what the token says.
    #[must_use]
    pub fn starting_at(token: Option<Token>) -> Self {
        Self(Arc::new(Mutex::new(State { token, ..State::default() })))
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
        self.0.lock().blind = true;
    }

    pub(crate) fn wrote(&self, token: Token) {
        self.observe(token);
        self.0.lock().blind = false;
    }

    pub(crate) fn is_blind(&self) -> bool {
        self.0.lock().blind
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
        causal.wrote(token(2));
        assert!(!causal.is_blind());
    }
}
