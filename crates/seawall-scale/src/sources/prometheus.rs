use std::time::Duration;

use seawall_signal::Unit;
use serde::Deserialize;

use super::{Probe, Reading, SourceError};
use crate::Http;
use crate::actuate::Boxed;

/// An instant query to Prometheus, or to what speaks as it does, as one signal.
///
/// The time that stands in the answer is that of the question: Prometheus repeats a value for five
/// minutes after its target has gone. To see the age of the sample itself, ask for that as well,
/// with [`sampled_at`](Self::sampled_at).
///
/// ```
/// use seawall_scale::Http;
/// use seawall_scale::sources::{Prometheus, Series};
/// use seawall_signal::Unit;
///
/// let http = Http::plain("http://prometheus:9090")?;
/// let backlog = Prometheus::new(http, "backlog", "queue_depth", Unit::Count)
///     .series(Series::Sum)
///     .sampled_at("min(timestamp(queue_depth))");
/// # drop(backlog);
/// # Ok::<_, seawall_scale::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Prometheus {
    http: Http,
    signal: Box<str>,
    query: Box<str>,
    unit: Unit,
    series: Series,
    sampled_at: Option<Box<str>>,
}

/// What to make of an answer with several series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Series {
    /// It is an error: the query was to give one number.
    #[default]
    One,
    /// Their sum.
    Sum,
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// Their mean.
    Mean,
}

impl Prometheus {
    /// `query` in PromQL; its numbers in the base unit of `unit`.
    #[must_use]
    pub fn new(http: Http, signal: &str, query: &str, unit: Unit) -> Self {
        Self {
            http,
            signal: signal.into(),
            query: query.into(),
            unit,
            series: Series::default(),
            sampled_at: None,
        }
    }

    /// What to make of several series. Default [`Series::One`].
    #[must_use]
    pub fn series(self, series: Series) -> Self {
        Self { series, ..self }
    }

    /// A query for the time of the sample, in seconds since 1970, such as
    /// `min(timestamp(queue_depth))`. Asked before the other; both times are the server's.
    #[must_use]
    pub fn sampled_at(self, query: &str) -> Self {
        Self { sampled_at: Some(query.into()), ..self }
    }

    async fn ask(&self) -> Result<Vec<Reading>, SourceError> {
        let mut age = Duration::ZERO;
        if let Some(query) = &self.sampled_at {
            let (asked_at, sampled_at) = self.number(query, Series::Min).await?;
            // A sample of the future has another clock than the server: it is young.
            let seconds = (asked_at - sampled_at).max(0.0);
            age = Duration::try_from_secs_f64(seconds).map_err(|_| self.senseless())?;
        }
        let (_, value) = self.number(&self.query, self.series).await?;
        Ok(vec![Reading::new(&self.signal, value, self.unit).aged(age)])
    }

    /// When it was asked, by the server's clock, and the number.
    async fn number(&self, query: &str, series: Series) -> Result<(f64, f64), SourceError> {
        let query =
            form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
        let answer = self.http.get(&format!("/api/v1/query?{query}")).await;
        let answer = answer.map_err(|source| SourceError::Unreachable { source })?;
        if !answer.status().is_success() {
            return Err(SourceError::Refused { status: answer.status().as_u16() });
        }
        let answer: Answer = serde_json::from_slice(answer.body())
            .map_err(|error| SourceError::Answer { source: Some(Box::new(error)) })?;
        let points = match answer.data {
            Data::Vector { result } => result.into_iter().map(|it| it.value).collect(),
            Data::Scalar { result } => vec![result],
        };
        let mut asked_at = 0.0;
        let mut values = Vec::with_capacity(points.len());
        for Point(at, text) in points {
            asked_at = at;
            let value: f64 = text.parse().map_err(|_| self.senseless())?;
            if !value.is_finite() {
                return Err(SourceError::NotANumber { signal: self.signal.clone() });
            }
            values.push(value);
        }
        let found = values.len();
        if found == 0 {
            return Err(SourceError::Empty { signal: self.signal.clone() });
        }
        let value = match series {
            Series::One if found > 1 => {
                return Err(SourceError::Ambiguous { signal: self.signal.clone(), found });
            }
            Series::One | Series::Sum => values.iter().sum(),
            Series::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Series::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
            #[expect(clippy::cast_precision_loss, reason = "an answer has 4 MiB at most")]
            Series::Mean => values.iter().sum::<f64>() / found as f64,
        };
        Ok((asked_at, value))
    }

    fn senseless(&self) -> SourceError {
        SourceError::Answer { source: None }
    }
}

impl Probe for Prometheus {
    fn name(&self) -> &str {
        &self.signal
    }

    fn read(&self) -> Boxed<'_, Result<Vec<Reading>, SourceError>> {
        Box::pin(self.ask())
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", rename_all = "lowercase")]
enum Data {
    Vector { result: Vec<OfSeries> },
    Scalar { result: Point },
}

#[derive(Deserialize)]
struct OfSeries {
    value: Point,
}

/// When, and what, as text: JSON has no NaN.
#[derive(Deserialize)]
struct Point(f64, String);
