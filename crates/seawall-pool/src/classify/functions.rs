//! Functions that change nothing.

use std::fmt;

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// Names of functions that a read may call: `IMMUTABLE` and `STABLE` ones in all their
/// forms, and some that are volatile and harmless, such as `random`. Whatever is not
/// among them counts as volatile.
#[derive(Clone)]
pub struct Functions {
    /// And whether each is a function, not only syntax that looks like one.
    harmless: HashMap<Box<str>, bool, RandomState>,
    /// Whether nothing is known of functions in schemas other than `pg_catalog`.
    built_in: bool,
}

impl Functions {
    /// The common ones of PostgreSQL. One of the same name that is called in another schema is
    /// not among them.
    #[must_use]
    pub fn common() -> Self {
        Self { built_in: true, ..Self::of(COMMON.split_whitespace()) }
    }

    /// These, in lower case unless their names are otherwise, and what is no
    /// function to PostgreSQL though it looks like one: `coalesce` and its like.
    pub fn of<N: Into<Box<str>>>(names: impl IntoIterator<Item = N>) -> Self {
        let syntax = SYNTAX.split_whitespace().map(|name| (name.into(), false));
        let functions = names.into_iter().map(|name| (name.into(), true));
        let mut harmless: HashMap<_, _, _> = syntax.chain(functions).collect();
        // Without quotes it is none, but calls another.
        harmless.remove("treat");
        Self { harmless, built_in: false }
    }

    /// By the rows of [`CATALOGUE`](Self::CATALOGUE).
    pub(crate) fn listed(rows: Vec<(String, bool)>) -> Self {
        let (harmless, volatile): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.1);
        let mut functions = Self::of(harmless.into_iter().map(|row| row.0));
        for (name, _) in volatile {
            functions.harmless.remove(name.as_str());
        }
        functions
    }

    /// These too.
    #[cfg(test)]
    pub(super) fn and(mut self, names: &[&str]) -> Self {
        self.harmless.extend(names.iter().map(|name| (Box::from(*name), true)));
        self
    }

    /// Whether the function of this name changes nothing, or is none.
    #[must_use]
    pub fn is_harmless(&self, name: &str) -> bool {
        self.harmless.contains_key(name)
    }

    /// The same for one that is called by a name in quotes or with its schema, which makes a
    /// function of any word.
    pub(super) fn is_harmless_function(&self, schema: Option<&str>, name: &str) -> bool {
        self.harmless.get(name) == Some(&true)
            && (!self.built_in || schema.is_none_or(|schema| schema == "pg_catalog"))
    }

    /// Lists them by the catalogue: one row for each name all of whose functions are
    /// harmless, and with `false` one for each of `$2` that has others. `$1` are the volatile ones of
    /// PostgreSQL that are. An aggregate is what the functions are that it is made of: its own
    /// volatility says nothing.
    pub(crate) const CATALOGUE: &str = "SELECT proname::text, bool_and(harmless) \
         FROM (SELECT proname, nspname = 'pg_catalog' AND proname::text = ANY($1) \
             OR provolatile <> 'v' AND a.aggfnoid IS NULL AS harmless \
             FROM pg_catalog.pg_proc AS p \
             JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace \
             LEFT JOIN (SELECT DISTINCT aggfnoid::oid FROM pg_catalog.pg_aggregate \
                 JOIN pg_catalog.pg_proc AS part ON part.oid IN (aggtransfn, aggfinalfn, \
                     aggcombinefn, aggserialfn, aggdeserialfn, aggmtransfn, aggminvtransfn, aggmfinalfn) \
                 WHERE part.provolatile = 'v') AS a ON a.aggfnoid = p.oid \
             WHERE prokind <> 'p') AS function \
         GROUP BY proname HAVING bool_and(harmless) OR proname::text = ANY($2)";

    /// Syntax that was none in older versions, in which there may be a function of that name.
    pub(crate) const NEWER: [&str; 9] = [
        "json_array",
        "json_arrayagg",
        "json_exists",
        "json_objectagg",
        "json_query",
        "json_scalar",
        "json_serialize",
        "json_value",
        "normalize",
    ];

    /// Volatile functions of PostgreSQL that change nothing outside of their call.
    pub(crate) const HARMLESS: [&str; 8] = [
        "clock_timestamp",
        "gen_random_uuid",
        "pg_sleep",
        "pg_sleep_for",
        "pg_sleep_until",
        "random",
        "timeofday",
        "uuidv7",
    ];
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Functions")
            .field("names", &self.harmless.values().filter(|function| **function).count())
            .finish()
    }
}

/// Looks like a function and is none. `treat` is not among them: `treat(a AS b)` calls `pg_catalog.b`.
const SYNTAX: &str = "all any array cast coalesce current_catalog current_date \
    current_role current_schema current_time current_timestamp current_user exists extract \
    greatest grouping json_array json_arrayagg json_exists json_object json_objectagg json_query \
    json_scalar json_serialize json_value least localtime localtimestamp normalize nullif position \
    row session_user some trim user xmlagg xmlconcat xmlelement \
    xmlexists xmlforest xmlparse xmlpi xmlserialize";

/// Known before the catalogue is.
const COMMON: &str = "abs age array_agg array_append array_cat array_length array_lower array_ndims \
    array_position array_prepend array_remove array_replace array_to_json array_to_string \
    array_upper ascii avg bit_and bit_length bit_or bool_and bool_or btrim cardinality cbrt ceil \
    ceiling char_length character_length chr clock_timestamp concat concat_ws corr count cume_dist \
    current_database current_setting date_bin date_part date_trunc decode degrees dense_rank div \
    encode every exp first_value floor format format_type gen_random_uuid generate_series \
    generate_subscripts initcap inet_server_port isfinite json_agg json_array_elements \
    json_array_length json_build_array json_build_object json_each json_extract_path \
    json_extract_path_text json_object_agg json_object_keys json_populate_record json_strip_nulls \
    json_to_record json_to_recordset json_typeof jsonb_agg jsonb_array_elements \
    jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each \
    jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_object_agg jsonb_object_keys \
    jsonb_path_exists jsonb_path_query jsonb_populate_record jsonb_pretty jsonb_set \
    jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_typeof justify_days justify_hours \
    justify_interval lag last_value lead left length ln log log10 lower lower_inc lpad ltrim \
    make_date make_interval make_time make_timestamp make_timestamptz max md5 min mod mode normalize \
    now nth_value ntile num_nonnulls num_nulls octet_length overlay percent_rank percentile_cont \
    percentile_disc pi plainto_tsquery phraseto_tsquery position power quote_ident quote_literal \
    quote_nullable radians random range_merge rank regexp_count regexp_like regexp_match \
    regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table repeat replace reverse \
    right round row_number row_to_json rpad rtrim sha256 sha512 sign split_part sqrt \
    starts_with statement_timestamp stddev stddev_pop stddev_samp string_agg string_to_array \
    string_to_table strpos substr substring sum timeofday timezone to_char to_date to_hex to_json to_jsonb \
    to_number to_timestamp to_tsquery to_tsvector transaction_timestamp translate trunc unnest ts_headline \
    ts_rank ts_rank_cd tsvector_to_array upper upper_inc var_pop var_samp variance version \
    websearch_to_tsquery width_bucket pg_sleep pg_typeof";
