//! The questions. Each begins with a comment by which the advisor knows its own statements.

/// `pg_stat_bgwriter` says since when there are statistics at all: after a crash they begin anew without
/// a note in `pg_stat_database`.
pub(super) const AGE: &str = "/* seawall-advisor */ SELECT greatest(0, extract(epoch FROM now() - \
     greatest(d.stats_reset, b.stats_reset)))::float8 \
     FROM pg_catalog.pg_stat_database AS d, pg_catalog.pg_stat_bgwriter AS b \
     WHERE d.datname = current_database()";

pub(super) const TABLE_SCANS: &str = "/* seawall-advisor */ SELECT relid::int8, seq_scan::int8, \
     seq_tup_read::int8, coalesce(idx_scan, 0)::int8 FROM pg_catalog.pg_stat_user_tables";

pub(super) const INDEX_SCANS: &str = "/* seawall-advisor */ SELECT indexrelid::int8, idx_scan::int8 \
     FROM pg_catalog.pg_stat_user_indexes";

/// The schema that the extension is in, quoted; null if it was not created; no row if it is not there.
pub(super) const EXTENSION: &str = "/* seawall-advisor */ SELECT (SELECT quote_ident(n.nspname) \
     FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace \
     WHERE e.extname = 'pg_stat_statements') \
     FROM pg_catalog.pg_available_extensions WHERE name = 'pg_stat_statements'";

/// The schema of the view that tells since when statements are counted.
pub(super) const INFO: &str = "/* seawall-advisor */ SELECT quote_ident(n.nspname) \
     FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
     WHERE c.relname = 'pg_stat_statements_info' AND c.relkind = 'v'";

pub(super) const STATEMENTS_AGE: &str = "/* seawall-advisor */ SELECT \
     extract(epoch FROM now() - stats_reset)::float8 FROM {schema}.pg_stat_statements_info";

pub(super) const PERMITTED: &str =
    "/* seawall-advisor */ SELECT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')";

/// Utility statements are left out, which older servers keep with their values, passwords included.
pub(super) const STATEMENTS: &str = "/* seawall-advisor */ SELECT queryid, min(query), sum(calls)::int8, \
     sum(total_exec_time)::float8, max(max_exec_time)::float8, sum(rows)::int8 \
     FROM {schema}.pg_stat_statements \
     WHERE dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) \
     AND queryid IS NOT NULL \
     AND query !~ 'seawall-advisor|pg_(catalog\\.|stat|last_wal|current_|backend_)' \
     AND query ~* '^\\s*((/\\*.*?\\*/|--[^\\n]*\\n)\\s*)*\\(*\\s*(select|with|insert|update|delete|merge|values|table)\\M' \
     GROUP BY queryid ORDER BY 4 DESC LIMIT $1";

pub(super) const SERVER: &str = "/* seawall-advisor */ SELECT current_setting('random_page_cost')::float8, \
     current_setting('block_size')::int8, \
     EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'hypopg')";

/// Replicas that are fed by the node that is asked; replicas feed others too.
pub(super) const STANDBYS: &str = "/* seawall-advisor */ \
     SELECT count(*) FROM pg_catalog.pg_stat_replication AS r \
     WHERE coalesce(r.state, 'streaming') IN ('streaming', 'catchup') \
     AND r.application_name <> 'pg_receivewal' \
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_replication_slots AS s \
                     WHERE s.active_pid = r.pid AND s.slot_type = 'logical')";

/// Sizes as of the last vacuum or analyze: asking for those of now waits for locks.
pub(super) const TABLES: &str = "/* seawall-advisor */ SELECT c.oid::int8, n.nspname::text, c.relname::text, \
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

pub(super) const COLUMNS: &str = "/* seawall-advisor */ SELECT a.attrelid::int8, a.attname::text, \
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

pub(super) const INDEXES: &str = "/* seawall-advisor */ SELECT i.indexrelid::int8, i.indrelid::int8, \
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
     c.relpages::int8 * current_setting('block_size')::int8, \
     i.indimmediate \
     FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid \
     JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
     JOIN pg_catalog.pg_am AS m ON m.oid = c.relam \
     WHERE i.indrelid::int8 = ANY($1) ORDER BY i.indexrelid";
