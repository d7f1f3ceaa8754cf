//! Asking the nodes.

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
    source: StatementSource,
    statements_age: Option<f64>,
    tables: Vec<(i64, [u64; 3])>,
    indexes: Vec<(i64, u64)>,
    statements: Vec<(u64, Statement)>,
}

async fn counts(aside: &Aside, config: &AdvisorConfig) -> Result<Counts, Error> {
    let age = aside.query(AGE, &[]).await?;
    let read = Read(aside);
    let age = age.first().map_or(Ok(0.0), |row| read.float(row, 0))?;
    let mut tables = Vec::new();
    for row in aside.query(TABLE_SCANS, &[]).await? {
        let counts = [read.count(&row, 1)?, read.count(&row, 2)?, read.count(&row, 3)?];
        tables.push((read.get(&row, 0)?, counts));
    }
    let mut indexes = Vec::new();
    for row in aside.query(INDEX_SCANS, &[]).await? {
        indexes.push((read.get(&row, 0)?, read.count(&row, 1)?));
    }
    let (source, statements) = statements(aside, config).await?;
    let statements_age = match source {
        StatementSource::Available => statements_age(aside).await?,
        _ => None,
    };
    Ok(Counts { age, source, statements_age, tables, indexes, statements })
}

/// Unknown before PostgreSQL 14.
async fn statements_age(aside: &Aside) -> Result<Option<f64>, Error> {
    let read = Read(aside);
    let found = aside.query(INFO, &[]).await?;
    let Some(row) = found.first() else { return Ok(None) };
    let schema: String = read.get(row, 0)?;
    let rows = aside.query(&STATEMENTS_AGE.replace("{schema}", &schema), &[]).await?;
    rows.first().map(|row| read.float(row, 0)).transpose()
}

async fn statements(
    aside: &Aside,
    config: &AdvisorConfig,
) -> Result<(StatementSource, Vec<(u64, Statement)>), Error> {
    let read = Read(aside);
    let found = aside.query(EXTENSION, &[]).await?;
    let schema: Option<String> = match found.first() {
        Some(row) => read.get(row, 0)?,
        None => return Ok((StatementSource::NotInstalled, Vec::new())),
    };
    let Some(schema) = schema else { return Ok((StatementSource::NotCreated, Vec::new())) };
    let sql = STATEMENTS.replace("{schema}", &schema);
    let limit = i64::try_from(config.statements).unwrap_or(i64::MAX);
    let rows = match aside.query(&sql, &[&limit]).await {
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
    let permitted = aside.query(PERMITTED, &[]).await?;
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
    if let Some(row) = aside.query(SERVER, &[]).await?.first() {
        evidence.random_page_cost = read.float(row, 0)?;
        evidence.page_bytes = read.count(row, 1)?;
        evidence.standbys = read.count(row, 2)?;
        evidence.hypopg = read.get(row, 3)?;
    }
    let limit = i64::try_from(config.tables).unwrap_or(i64::MAX);
    for row in aside.query(TABLES, &[&limit]).await? {
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
    for row in aside.query(COLUMNS, &[&oids]).await? {
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
    for row in aside.query(INDEXES, &[&oids]).await? {
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

/// `pg_stat_bgwriter` says since when there are statistics at all: after a crash they begin anew without
/// a note in `pg_stat_database`.
const AGE: &str = "/* seawall-advisor */ SELECT greatest(0, extract(epoch FROM now() - \
     greatest(d.stats_reset, b.stats_reset)))::float8 \
     FROM pg_catalog.pg_stat_database AS d, pg_catalog.pg_stat_bgwriter AS b \
     WHERE d.datname = current_database()";

const TABLE_SCANS: &str = "/* seawall-advisor */ SELECT relid::int8, seq_scan::int8, \
     seq_tup_read::int8, coalesce(idx_scan, 0)::int8 FROM pg_catalog.pg_stat_user_tables";

const INDEX_SCANS: &str = "/* seawall-advisor */ SELECT indexrelid::int8, idx_scan::int8 \
     FROM pg_catalog.pg_stat_user_indexes";

/// The schema that the extension is in, quoted; null if it was not created; no row if it is not there.
const EXTENSION: &str = "/* seawall-advisor */ SELECT (SELECT quote_ident(n.nspname) \
     FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace \
     WHERE e.extname = 'pg_stat_statements') \
     FROM pg_catalog.pg_available_extensions WHERE name = 'pg_stat_statements'";

/// The schema of the view that tells since when statements are counted.
const INFO: &str = "/* seawall-advisor */ SELECT quote_ident(n.nspname) \
     FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
     WHERE c.relname = 'pg_stat_statements_info' AND c.relkind = 'v'";

const STATEMENTS_AGE: &str = "/* seawall-advisor */ SELECT \
     extract(epoch FROM now() - stats_reset)::float8 FROM {schema}.pg_stat_statements_info";

const PERMITTED: &str =
    "/* seawall-advisor */ SELECT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')";

/// Utility statements are left out, which older servers keep with their values, passwords included.
const STATEMENTS: &str = "/* seawall-advisor */ SELECT queryid, min(query), sum(calls)::int8, \
     sum(total_exec_time)::float8, max(max_exec_time)::float8, sum(rows)::int8 \
     FROM {schema}.pg_stat_statements \
     WHERE dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) \
     AND queryid IS NOT NULL \
     AND query !~ 'seawall-advisor|pg_(catalog\\.|stat|last_wal|current_|backend_)' \
     AND query ~* '^\\s*((/\\*.*?\\*/|--[^\\n]*\\n)\\s*)*\\(*\\s*(select|with|insert|update|delete|merge|values|table)\\M' \
     GROUP BY queryid ORDER BY 4 DESC LIMIT $1";

const SERVER: &str = "/* seawall-advisor */ SELECT current_setting('random_page_cost')::float8, \
     current_setting('block_size')::int8, \
     (SELECT count(*) FROM pg_catalog.pg_stat_replication AS r \
      WHERE coalesce(r.state, 'streaming') IN ('streaming', 'catchup') \
      AND r.application_name <> 'pg_receivewal' \
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_replication_slots AS s \
                      WHERE s.active_pid = r.pid AND s.slot_type = 'logical')), \
     EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'hypopg')";

/// Sizes as of the last vacuum or analyze: asking for those of now waits for locks.
const TABLES: &str = "/* seawall-advisor */ SELECT c.oid::int8, n.nspname::text, c.relname::text, \
     greatest(c.reltuples, s.n_live_tup, 0)::float8, c.relpages::float8, \
     coalesce(s.n_dead_tup, 0)::float8, \
     coalesce(s.n_tup_ins + s.n_tup_upd + s.n_tup_del, 0)::int8, \
     coalesce(s.n_mod_since_analyze, 0)::float8, \
     coalesce(s.last_analyze, s.last_autoanalyze) IS NOT NULL \
     FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
     LEFT JOIN pg_catalog.pg_stat_user_tables AS s ON s.relid = c.oid \
     WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' \
     AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' \
     ORDER BY c.relpages DESC, 4 DESC, c.oid LIMIT $1";

const COLUMNS: &str = "/* seawall-advisor */ SELECT a.attrelid::int8, a.attname::text, \
     t.typname NOT IN ('json', 'xml', 'point', 'line', 'lseg', 'box', 'path', 'polygon', 'circle', \
                       'xid', 'cid', 'aclitem', 'refcursor'), \
     p.n_distinct::float8, p.null_frac::float8, p.most_common_freqs[1]::float8, \
     p.avg_width::float8 \
     FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid \
     JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid \
     JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
     LEFT JOIN pg_catalog.pg_stats AS p ON p.schemaname = n.nspname AND p.tablename = c.relname \
     AND p.attname = a.attname AND NOT p.inherited \
     WHERE a.attrelid::int8 = ANY($1) AND a.attnum > 0 AND NOT a.attisdropped \
     ORDER BY a.attrelid, a.attnum";

const INDEXES: &str = "/* seawall-advisor */ SELECT i.indexrelid::int8, i.indrelid::int8, \
     n.nspname::text, c.relname::text, m.amname::text, \
     ARRAY(SELECT pg_get_indexdef(i.indexrelid, k, true) FROM generate_series(1, i.indnatts::int4) AS k \
           ORDER BY k), \
     ARRAY(SELECT (SELECT a.attname::text FROM pg_catalog.pg_attribute AS a \
                   WHERE a.attrelid = i.indrelid AND a.attnum = i.indkey[k - 1] AND a.attnum > 0) \
           FROM generate_series(1, i.indnatts::int4) AS k ORDER BY k), \
     ARRAY(SELECT i.indclass[k - 1] || ' ' || i.indcollation[k - 1] || ' ' || i.indoption[k - 1] \
           FROM generate_series(1, i.indnkeyatts::int4) AS k ORDER BY k), \
     pg_get_expr(i.indpred, i.indrelid), pg_get_indexdef(i.indexrelid), \
     i.indisunique, \
     i.indisprimary OR i.indisexclusion \
     OR EXISTS (SELECT FROM pg_catalog.pg_constraint AS o WHERE o.conindid = i.indexrelid), \
     i.indisreplident, i.indisclustered, \
     c.relispartition, \
     EXISTS (SELECT FROM pg_catalog.pg_constraint AS f \
             WHERE f.contype = 'f' AND f.conrelid = i.indrelid AND f.conkey[1] = i.indkey[0]), \
     i.indisvalid AND i.indisready AND i.indislive, \
     EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index AS b \
             WHERE b.relid = i.indrelid), \
     c.relpages::int8 * current_setting('block_size')::int8 \
     FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid \
     JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
     JOIN pg_catalog.pg_am AS m ON m.oid = c.relam \
     WHERE i.indrelid::int8 = ANY($1) ORDER BY i.indexrelid";
