//! Where a write goes, and what it does if there is no primary.

use std::sync::Arc;

use super::Search;
use crate::error::{Error, Outcome, classify};
use crate::route::Choice;

impl Search<'_> {
    /// The primary, for which a write waits if there is none.
    pub(super) async fn primary(&mut self) -> Result<Choice, Error> {
        let in_front = self.place.as_ref().is_some_and(|place| place.has_turn());
        if self.failure.is_some() || (self.pool.board.buffer.is_busy() && !in_front) {
            Box::pin(self.wait_for_primary()).await?;
        }
        loop {
            if let Some(choice) = self.pool.choose(&self.request) {
                return Ok(choice);
            }
            Box::pin(self.wait_for_primary()).await?;
        }
    }

    async fn wait_for_primary(&mut self) -> Result<(), Error> {
        let board = &self.pool.board;
        let not_writable = || Error::NotWritable { node: Arc::clone(&self.pool.primary().name) };
        let cause = self.failure.take().map_or_else(not_writable, |(_, error)| error);
        board.look();
        if !board.buffer.is_on() {
            return Err(cause);
        }
        // Whichever is the primary then.
        self.request.excluded = 0;
        let place = self.place.get_or_insert_default();
        board.wait_for_primary(place, self.patience.until(), cause).await
    }

    /// Whether a write that failed so was not sent, for want of a primary.
    pub(super) fn can_wait(&self, error: &Error) -> bool {
        let for_want_of_one = match error {
            Error::ConnectTimeout { .. } | Error::NotWritable { .. } => true,
            Error::Connect { source, .. } => !classify::is_full(source),
            Error::Query { outcome: Outcome::NotSent, source, .. } => {
                self.single && classify::is_connection_lost(source)
            }
            _ => false,
        };
        for_want_of_one && self.pool.board.buffer.is_on()
    }
}
