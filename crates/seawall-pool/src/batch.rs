//! Many rows in few statements.

use std::fmt;
use std::ops::ControlFlow;
use std::panic::Location;

use scopeguard::ScopeGuard;
use tokio_postgres::types::Type;

use crate::dispatch;
use crate::error::Error;
use crate::handle::Route;

mod copy;
pub(crate) mod each;
mod row;

pub use row::BatchRow;

/// Writes rows in chunks, each a statement that commits by itself. Made by
/// [`Route::in_chunks`](crate::Route::in_chunks).
///
/// If a chunk fails, [`Error::Chunk`] says which, how many rows the chunks before it
/// brought (they stay), and, by [`Error::outcome`], whether the chunk itself may have taken
/// effect. No chunk is sent twice. For all or nothing, use a transaction.
///
/// Rows are taken from their iterator a chunk at a time; a chunk is held in memory.
///
/// Cancel safety: dropped, the chunks that were acknowledged stay, and the one under way
/// may or may not have taken effect.
#[must_use = "nothing is sent before a method with rows is called"]
pub struct InChunks<'p> {
    route: Route<'p>,
    size: usize,
    progress: Option<Box<Report<'p>>>,
}

/// Told of the progress after each chunk.
type Report<'p> = dyn FnMut(Progress) -> ControlFlow<()> + Send + 'p;

/// How far a batch has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Chunks that took effect.
    pub chunks: u64,
    /// Rows in them.
    pub rows: u64,
    /// Rows that the server says it wrote: fewer than `rows` where a conflict is
    /// ignored.
    pub written: u64,
}

impl<'p> InChunks<'p> {
    pub(crate) fn new(route: Route<'p>, size: usize) -> Self {
        Self { route, size: size.clamp(1, LARGEST), progress: None }
    }

    /// Calls `report` after each chunk. If it breaks, no further chunk is sent.
    pub fn on_progress(
        mut self,
        report: impl FnMut(Progress) -> ControlFlow<()> + Send + 'p,
    ) -> Self {
        self.progress = Some(Box::new(report));
        self
    }

    /// Writes rows by a statement that takes an array a column, such as
    /// `INSERT INTO item (id, name) SELECT * FROM unnest($1::int8[], $2::text[])`.
    /// Conflict clauses and `RETURNING` are allowed; rows returned are not looked at. The
    /// arrays need their types written out.
    ///
    /// # Errors
    ///
    /// [`Error::Chunk`], in it what [`Route::execute`] returns.
    pub async fn insert_many<R: BatchRow>(
        mut self,
        sql: &str,
        rows: impl IntoIterator<Item = R, IntoIter: Send>,
    ) -> Result<Progress, Error> {
        let mut rows = rows.into_iter();
        let mut done = Progress::default();
        loop {
            let mut columns = R::Columns::default();
            let taken = rows.by_ref().take(self.size).map(|row| row.spread(&mut columns)).count();
            if taken == 0 {
                return Ok(done);
            }
            let written = self.route.execute(sql, &R::arrays(&columns)).await;
            if self.is_over(&mut done, taken, written)? {
                return Ok(done);
            }
        }
    }

    /// Writes rows by `COPY ... FROM STDIN (FORMAT binary)`, the fastest way. `types` are
    /// those of the columns. All chunks go over one connection.
    ///
    /// # Errors
    ///
    /// [`Error::Chunk`], in it what [`Route::execute`] returns;
    /// [`Error::ParameterCount`] if `types` are not as many as a row has columns, and
    /// then nothing is sent.
    #[track_caller]
    pub fn copy_many<R: BatchRow>(
        mut self,
        sql: &str,
        types: &[Type],
        rows: impl IntoIterator<Item = R, IntoIter: Send>,
    ) -> impl Future<Output = Result<Progress, Error>> + Send {
        let site = Location::caller();
        let mut rows = rows.into_iter();
        async move {
            let (expected, given) = (types.len(), R::COLUMNS);
            if expected != given {
                return Err(Error::ParameterCount { expected, given });
            }
            let mut done = Progress::default();
            let mut lease = None;
            loop {
                let chunk: Vec<R> = rows.by_ref().take(self.size).collect();
                if chunk.is_empty() {
                    return Ok(done);
                }
                let written = async {
                    let lease = match lease.take() {
                        Some(lease) => lease,
                        None => {
                            let (pool, request, limit) = self.route.parts()?;
                            dispatch::connection(pool, request, limit, site).await?.0
                        }
                    };
                    let limit = self.route.parts()?.2;
                    let written = lease.session().copy(sql, types, &chunk, limit).await?;
                    Ok((lease, written))
                };
                let unsettled = self.route.in_sight();
                let written = written.await;
                ScopeGuard::into_inner(unsettled);
                self.route.wrote_somewhere(&written);
                let written = written.map(|(kept, written)| {
                    lease = Some(kept);
                    written
                });
                if self.is_over(&mut done, chunk.len(), written)? {
                    return Ok(done);
                }
            }
        }
    }

    /// Enters the result of a chunk. True if no more is to be sent.
    fn is_over(
        &mut self,
        done: &mut Progress,
        rows: usize,
        written: Result<u64, Error>,
    ) -> Result<bool, Error> {
        match written {
            Ok(written) => {
                done.chunks += 1;
                done.rows += rows as u64;
                done.written += written;
                Ok(self.progress.as_mut().is_some_and(|report| report(*done).is_break()))
            }
            Err(source) => Err(Error::Chunk { done: *done, source: Box::new(source) }),
        }
    }
}

impl fmt::Debug for InChunks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InChunks")
            .field("route", &self.route)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// The most rows of a chunk.
const LARGEST: usize = 1_000_000;
