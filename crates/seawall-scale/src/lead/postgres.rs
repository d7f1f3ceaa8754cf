use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Config, Error, Socket};

use super::{LeaseError, LeaseStore, holder};
use crate::actuate::Boxed;
use crate::postgres::Link;

/// A lease in a row of the table `seawall_lease`, by the clock of the database.
///
/// Each clone of the engine makes its own, with its own connection to the primary. It holds no
/// session lock, so it works through a pooler such as PgBouncer. A replica that is promoted without
/// the last commits may have missed the lease: where that matters, replicate synchronously.
#[derive(Debug)]
pub struct PostgresLease {
    link: Link,
    name: Arc<str>,
    holder: Arc<str>,
}

impl PostgresLease {
    /// The lease `name`. `tls` is `tokio_postgres::NoTls`, or a connector of a TLS library.
    #[must_use]
    pub fn new<T>(config: Config, tls: T, name: &str) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + 'static,
        T::TlsConnect: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        Self { link: Link::new(config, tls), name: name.into(), holder: holder() }
    }

    /// Makes the table, if it is not there. Several may do so at once.
    ///
    /// # Errors
    /// The database could not be asked, or the right to make tables is missing.
    pub async fn prepare(&self) -> Result<(), LeaseError> {
        let made = self.link.with(|client| Box::pin(client.batch_execute(TABLE))).await;
        match made {
            // Somebody else was just faster.
            Err(error) if is(&error, &[SqlState::UNIQUE_VIOLATION, SqlState::DUPLICATE_TABLE]) => {
                Ok(())
            }
            made => made.map_err(store),
        }
    }

    /// The first column of the first row of a statement about this lease and holder.
    async fn first(
        &self,
        statement: &'static str,
        parameter: Parameter,
    ) -> Result<Option<i64>, LeaseError> {
        let (name, holder) = (Arc::clone(&self.name), Arc::clone(&self.holder));
        let row = self.link.with(move |client| {
            Box::pin(async move {
                let (name, holder) = (&*name, &*holder);
                let row = match &parameter {
                    Parameter::None => client.query_opt(statement, &[&name, &holder]).await?,
                    Parameter::Seconds(it) => {
                        client.query_opt(statement, &[&name, &holder, it]).await?
                    }
                    Parameter::Term(it) => {
                        client.query_opt(statement, &[&name, &holder, it]).await?
                    }
                };
                row.map(|row| row.try_get(0)).transpose()
            })
        });
        row.await.map_err(store)
    }
}

enum Parameter {
    None,
    Seconds(f64),
    Term(i64),
}

impl LeaseStore for PostgresLease {
    fn take(&self, ttl: Duration) -> Boxed<'_, Result<Option<u64>, LeaseError>> {
        Box::pin(async move {
            let term = self.first(TAKE, Parameter::Seconds(ttl.as_secs_f64())).await?;
            Ok(term.and_then(|term| u64::try_from(term).ok()))
        })
    }

    fn holds(&self, term: u64) -> Boxed<'_, Result<bool, LeaseError>> {
        Box::pin(async move {
            let Ok(term) = i64::try_from(term) else { return Ok(false) };
            Ok(self.first(HOLDS, Parameter::Term(term)).await?.is_some())
        })
    }

    fn release(&self) -> Boxed<'_, Result<(), LeaseError>> {
        Box::pin(async move { self.first(RELEASE, Parameter::None).await.map(|_| ()) })
    }
}

fn store(error: Error) -> LeaseError {
    LeaseError::Store { source: Box::new(error) }
}

fn is(error: &Error, states: &[SqlState]) -> bool {
    error.code().is_some_and(|code| states.contains(code))
}

const TABLE: &str = "CREATE TABLE IF NOT EXISTS seawall_lease (
  name text PRIMARY KEY, holder text NOT NULL, term bigint NOT NULL, expires_at timestamptz NOT NULL)";

const TAKE: &str = "INSERT INTO seawall_lease AS it (name, holder, term, expires_at)
VALUES ($1, $2, 1, clock_timestamp() + make_interval(secs => $3))
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at,
  term = it.term + CASE WHEN it.holder = excluded.holder AND it.expires_at > clock_timestamp()
                        THEN 0 ELSE 1 END
WHERE it.holder = excluded.holder OR it.expires_at <= clock_timestamp()
RETURNING term";

const HOLDS: &str = "SELECT term FROM seawall_lease
WHERE name = $1 AND holder = $2 AND term = $3 AND expires_at > clock_timestamp()";

/// The row stays: its term must go on.
const RELEASE: &str = "UPDATE seawall_lease SET expires_at = '-infinity'
WHERE name = $1 AND holder = $2 RETURNING term";
