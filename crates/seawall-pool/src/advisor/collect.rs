//! Asking the nodes.

mod sql;

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use super::config::AdvisorConfig;
use super::evidence::{
    Column, Evidence, Index, Key, NodeEvidence, Statement, StatementSource, Table,
};
use super::{ask, primary};
use crate::aside::Aside;
use crate::error::Error;
use crate::node::Node;

/// Everything but plans.
pub(super) async fn all(nodes: &[Arc<Node>], config: &AdvisorConfig) -> Result<Evidence, Error> {
    let chief = ask(primary(nodes), config).await?;
    let mut evidence = catalogue(&chief, config).await?;
    // The primary's own counts on its own connection: it must not fail half-way unseen.
    let answers = join_all(nodes.iter().map(|node| async {
        if node.is_primary() {
            return counts(&chief, config).await;
        }
        counts(&ask(node, config).await?, config).await
    }))
    .await;
    let places: HashMap<i64, usize> =
        evidence.tables.iter().enumerate().map(|(at, table)| (table.oid, at)).collect();
    let indexes: HashMap<i64, usize> =
        evidence.indexes.iter().enumerate().map(|(at, index)| (index.oid, at)).collect();
    for (node, counts) in nodes.iter().zip(answers) {
        let mut seen = NodeEvidence {
            name: node.name.as_ref().to_owned(),
            primary: node.is_primary(),
            ..NodeEvidence::default()
        };
        match counts {
            Err(error) if node.is_primary() => return Err(error),
            Err(error) => seen.silent = Some(described(&error)),
            Ok(counts) => {
                seen.statistics_age = counts.age;
                evidence.standbys += counts.standbys;
                seen.statements = counts.source;
                seen.statements_age = counts.statements_age.unwrap_or(counts.age);
                merge(&mut evidence, counts, &seen.name, &places, &indexes);
            }
        }
        evidence.nodes.push(seen);
    }
    evidence.statements.sort_by(|a, b| b.total_ms.total_cmp(&a.total_ms));
    evidence.statements.truncate(config.statements);
    Ok(evidence)
}

/// What a node has counted.
struct Counts {
    age: f64,
    standbys: u64,
    source: StatementSource,
    statements_age: Option<f64>,
    tables: Vec<(i64, [u64; 3])>,
    indexes: Vec<(i64, u64)>,
    statements: Vec<(u64, Statement)>,
}

async fn counts(aside: &Aside, config: &AdvisorConfig) -> Result<Counts, Error> {
    let age = aside.query(sql::AGE, &[]).await?;
    let read = Read(aside);
    let age = age.first().map_or(Ok(0.0), |row| read.float(row, 0))?;
    let standbys = aside.query(sql::STANDBYS, &[]).await?;
    let standbys = standbys.first().map_or(Ok(0), |row| read.count(row, 0))?;
    let mut tables = Vec::new();
    for row in aside.query(sql::TABLE_SCANS, &[]).await? {
        let counts = [read.count(&row, 1)?, read.count(&row, 2)?, read.count(&row, 3)?];
        tables.push((read.get(&row, 0)?, counts));
    }
    let mut indexes = Vec::new();
    for row in aside.query(sql::INDEX_SCANS, &[]).await? {
        indexes.push((read.get(&row, 0)?, read.count(&row, 1)?));
    }
    let (source, statements) = statements(aside, config).await?;
    let statements_age = match source {
        StatementSource::Available => statements_age(aside).await?,
        _ => None,
    };
    Ok(Counts { age, standbys, source, statements_age, tables, indexes, statements })
}

/// Unknown before PostgreSQL 14.
async fn statements_age(aside: &Aside) -> Result<Option<f64>, Error> {
    let read = Read(aside);
    let found = aside.query(sql::INFO, &[]).await?;
    let Some(row) = found.first() else { return Ok(None) };
    let schema: String = read.get(row, 0)?;
    let rows = aside.query(&sql::STATEMENTS_AGE.replace("{schema}", &schema), &[]).await?;
    rows.first().map(|row| read.float(row, 0)).transpose()
}

async fn statements(
    aside: &Aside,
    config: &AdvisorConfig,
) -> Result<(StatementSource, Vec<(u64, Statement)>), Error> {
    let read = Read(aside);
    let found = aside.query(sql::EXTENSION, &[]).await?;
    let schema: Option<String> = match found.first() {
        Some(row) => read.get(row, 0)?,
        None => return Ok((StatementSource::NotInstalled, Vec::new())),
    };
    let Some(schema) = schema else { return Ok((StatementSource::NotCreated, Vec::new())) };
    let statements = sql::STATEMENTS.replace("{schema}", &schema);
    let limit = i64::try_from(config.statements).unwrap_or(i64::MAX);
    let rows = match aside.query(&statements, &[&limit]).await {
        Ok(rows) => rows,
        Err(Error::Query { source, .. })
            if source.code() == Some(&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE) =>
        {
            return Ok((StatementSource::NotLoaded, Vec::new()));
        }
        Err(Error::Query { source, .. })
            if source.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) =>
        {
            return Ok((StatementSource::NotPermitted, Vec::new()));
        }
        Err(error) => return Err(error),
    };
    let permitted = aside.query(sql::PERMITTED, &[]).await?;
    let permitted = permitted.first().map_or(Ok(false), |row| read.get(row, 0))?;
    let mut statements = Vec::new();
    for row in &rows {
        let statement = Statement {
            id: read.get(row, 0)?,
            text: read.get(row, 1)?,
            total_ms: read.float(row, 3)?,
            max_ms: read.float(row, 4)?,
            rows: read.count(row, 5)?,
            ..Statement::default()
        };
        statements.push((read.count(row, 2)?, statement));
    }
    let source = if permitted { StatementSource::Available } else { StatementSource::NotPermitted };
    Ok((source, statements))
}

fn merge(
    evidence: &mut Evidence,
    counts: Counts,
    node: &str,
    tables: &HashMap<i64, usize>,
    indexes: &HashMap<i64, usize>,
) {
    for (oid, [seq_scans, seq_rows, index_scans]) in counts.tables {
        if let Some(at) = tables.get(&oid) {
            let table = &mut evidence.tables[*at];
            table.seq_scans.insert(node.to_owned(), seq_scans);
            table.seq_rows.insert(node.to_owned(), seq_rows);
            table.index_scans.insert(node.to_owned(), index_scans);
        }
    }
    for (oid, scans) in counts.indexes {
        if let Some(at) = indexes.get(&oid) {
            evidence.indexes[*at].scans.insert(node.to_owned(), scans);
        }
    }
    for (calls, statement) in counts.statements {
        let known = evidence.statements.iter().position(|known| known.id == statement.id);
        let at = known.unwrap_or_else(|| {
            let Statement { id, text, .. } = &statement;
            let new = Statement { id: *id, text: text.clone(), ..Statement::default() };
            evidence.statements.push(new);
            evidence.statements.len() - 1
        });
        let known = &mut evidence.statements[at];
        known.calls.insert(node.to_owned(), calls);
        known.total_ms += statement.total_ms;
        known.max_ms = known.max_ms.max(statement.max_ms);
        known.rows += statement.rows;
    }
}

async fn catalogue(aside: &Aside, config: &AdvisorConfig) -> Result<Evidence, Error> {
    let read = Read(aside);
    let mut evidence = Evidence::default();
    if let Some(row) = aside.query(sql::SERVER, &[]).await?.first() {
        evidence.random_page_cost = read.float(row, 0)?;
        evidence.page_bytes = read.count(row, 1)?;
        evidence.hypopg = read.get(row, 2)?;
    }
    let limit = i64::try_from(config.tables).unwrap_or(i64::MAX);
    for row in aside.query(sql::TABLES, &[&limit]).await? {
        evidence.tables.push(Table {
            oid: read.get(&row, 0)?,
            schema: read.get(&row, 1)?,
            name: read.get(&row, 2)?,
            rows: read.float(&row, 3)?,
            pages: read.float(&row, 4)?,
            dead: read.float(&row, 5)?,
            writes: read.count(&row, 6)?,
            changed: read.float(&row, 7)?,
            analyzed: read.get(&row, 8)?,
            ..Table::default()
        });
    }
    let oids: Vec<i64> = evidence.tables.iter().map(|table| table.oid).collect();
    let places: HashMap<i64, usize> = oids.iter().enumerate().map(|(at, oid)| (*oid, at)).collect();
    for row in aside.query(sql::COLUMNS, &[&oids]).await? {
        let column = Column {
            name: read.get(&row, 1)?,
            sortable: read.get(&row, 2)?,
            n_distinct: read.get(&row, 3)?,
            null_share: read.float(&row, 4)?,
            top_share: read.float(&row, 5)?,
            width: read.float(&row, 6)?,
        };
        if let Some(at) = places.get(&read.get(&row, 0)?) {
            evidence.tables[*at].columns.push(column);
        }
    }
    for row in aside.query(sql::INDEXES, &[&oids]).await? {
        evidence.indexes.push(index(&read, &row)?);
    }
    Ok(evidence)
}

fn index(read: &Read<'_>, row: &Row) -> Result<Index, Error> {
    let texts: Vec<String> = read.get(row, 5)?;
    let columns: Vec<Option<String>> = read.get(row, 6)?;
    let kinds: Vec<String> = read.get(row, 7)?;
    let (mut keys, mut included) = (Vec::new(), Vec::new());
    for (at, (text, column)) in texts.into_iter().zip(columns).enumerate() {
        match kinds.get(at) {
            Some(kind) => keys.push(Key { text, column, kind: kind.clone() }),
            None => included.push(text),
        }
    }
    Ok(Index {
        oid: read.get(row, 0)?,
        table: read.get(row, 1)?,
        schema: read.get(row, 2)?,
        name: read.get(row, 3)?,
        method: read.get(row, 4)?,
        keys,
        included,
        condition: read.get(row, 8)?,
        definition: read.get(row, 9)?,
        unique: read.get(row, 10)?,
        immediate: read.get(row, 19)?,
        constraint: read.get(row, 11)?,
        replica_identity: read.get(row, 12)?,
        clustered: read.get(row, 13)?,
        partition: read.get(row, 14)?,
        foreign_key: read.get(row, 15)?,
        valid: read.get(row, 16)?,
        building: read.get(row, 17)?,
        bytes: read.count(row, 18)?,
        scans: Default::default(),
    })
}

/// Reads columns; what does not fit is an error of the query.
struct Read<'a>(&'a Aside);

impl Read<'_> {
    fn get<'r, T: tokio_postgres::types::FromSql<'r>>(
        &self,
        row: &'r Row,
        column: usize,
    ) -> Result<T, Error> {
        row.try_get(column).map_err(|source| self.0.failed(source))
    }

    fn count(&self, row: &Row, column: usize) -> Result<u64, Error> {
        let count: Option<i64> = self.get(row, column)?;
        Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
    }

    fn float(&self, row: &Row, column: usize) -> Result<f64, Error> {
        Ok(self.get::<Option<f64>>(row, column)?.unwrap_or(0.0))
    }
}

/// With its cause, which is what people look for.
fn described(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
