use seawall_signal::Unit;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config, Error, Row, Socket};

use super::{Probe, Reading, SourceError};
use crate::actuate::Boxed;
use crate::postgres::Link;

/// A query to PostgreSQL that gives one number, as one signal.
///
/// It runs in a transaction that may only read, with a `statement_timeout` of 10 s, over a
/// connection of its own. A row whose number is null counts as no number.
#[derive(Debug)]
pub struct Postgres {
    link: Link,
    signal: Box<str>,
    query: Box<str>,
    unit: Unit,
}

impl Postgres {
    /// `query` gives one row; its first column is an integer or a float (`numeric` must be cast).
    /// `tls` is `tokio_postgres::NoTls`, or a connector of a TLS library.
    #[must_use]
    pub fn new<T>(config: Config, tls: T, signal: &str, query: &str, unit: Unit) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + 'static,
        T::TlsConnect: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        Self { link: Link::new(config, tls), signal: signal.into(), query: query.into(), unit }
    }

    /// The share of `max_connections` that is used, as a ratio.
    #[must_use]
    pub fn connections_used<T>(config: Config, tls: T, signal: &str) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + 'static,
        T::TlsConnect: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        Self::new(config, tls, signal, CONNECTIONS_USED, Unit::Ratio)
    }

    async fn ask(&self) -> Result<Vec<Reading>, SourceError> {
        let query = self.query.clone();
        let rows = self.link.with(move |client| Box::pin(read(client, query))).await;
        let rows = rows.map_err(|error| {
            let source = Box::new(error);
            if source.as_db_error().is_some() {
                SourceError::Failed { source }
            } else {
                SourceError::Unreachable { source }
            }
        })?;
        let signal = || self.signal.clone();
        let [row] = &rows[..] else {
            return Err(match rows.len() {
                0 => SourceError::Empty { signal: signal() },
                found => SourceError::Ambiguous { signal: signal(), found },
            });
        };
        let value = number(row)
            .map_err(|error| SourceError::Answer { source: Some(Box::new(error)) })?
            .ok_or_else(|| SourceError::Empty { signal: signal() })?;
        if !value.is_finite() {
            return Err(SourceError::NotANumber { signal: signal() });
        }
        Ok(vec![Reading::new(&self.signal, value, self.unit)])
    }
}

async fn read(client: &mut Client, query: Box<str>) -> Result<Vec<Row>, Error> {
    let transaction = client.build_transaction().read_only(true).start().await?;
    transaction.batch_execute("SET LOCAL statement_timeout = 10000").await?;
    let rows = transaction.query(&*query, &[]).await?;
    transaction.commit().await?;
    Ok(rows)
}

/// The first column, whatever kind of number it is.
#[expect(clippy::cast_precision_loss, reason = "a signal is a float")]
fn number(row: &Row) -> Result<Option<f64>, Error> {
    match row.columns().first().map(tokio_postgres::Column::type_) {
        Some(&Type::INT2) => Ok(row.try_get::<_, Option<i16>>(0)?.map(f64::from)),
        Some(&Type::INT4) => Ok(row.try_get::<_, Option<i32>>(0)?.map(f64::from)),
        Some(&Type::INT8) => Ok(row.try_get::<_, Option<i64>>(0)?.map(|it| it as f64)),
        Some(&Type::FLOAT4) => Ok(row.try_get::<_, Option<f32>>(0)?.map(f64::from)),
        // Of another type, or no column at all: the error says so.
        _ => row.try_get::<_, Option<f64>>(0),
    }
}

impl Probe for Postgres {
    fn name(&self) -> &str {
        &self.signal
    }

    fn read(&self) -> Boxed<'_, Result<Vec<Reading>, SourceError>> {
        Box::pin(self.ask())
    }
}

const CONNECTIONS_USED: &str = "SELECT count(*)::float8 / current_setting('max_connections')::float8 \
     FROM pg_stat_activity WHERE backend_type = 'client backend'";
