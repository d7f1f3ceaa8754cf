use super::{Need, of};
use crate::advisor::evidence::{Column, Table};

fn table(schema: &str, name: &str, columns: &[&str]) -> Table {
    let column =
        |name: &&str| Column { name: (*name).to_owned(), sortable: true, ..Column::default() };
    Table {
        schema: schema.to_owned(),
        name: name.to_owned(),
        columns: columns.iter().map(column).collect(),
        ..Table::default()
    }
}

fn tables() -> Vec<Table> {
    vec![
        table("public", "bid", &["id", "auction_id", "amount", "created_at"]),
        table("public", "auction", &["id", "seller_id", "status", "Title"]),
        table("public", "twice", &["id"]),
        table("other", "twice", &["id"]),
    ]
}

/// In short: `bid: = auction_id; > created_at; by created_at limit`.
fn read(sql: &str) -> String {
    let tables = tables();
    let needs = of(sql, &tables).unwrap_or_else(|| panic!("cannot be read: {sql}"));
    let text = |Need { table, equal, joined, ranges, order, limited }: &Need| {
        let mut parts = Vec::new();
        for (column, values) in equal {
            let values = if *values == 1.0 { String::new() } else { format!("({values})") };
            parts.push(format!("= {column}{values}"));
        }
        let joins =
            joined.iter().map(|(column, other)| format!("~ {column} {}", tables[*other].name));
        parts.extend(joins);
        let ends = |both: &bool| if *both { "<>" } else { ">" };
        parts.extend(ranges.iter().map(|(column, both)| format!("{} {column}", ends(both))));
        if !order.is_empty() {
            let limited = if *limited { " limit" } else { "" };
            parts.push(format!("by {}{limited}", order.join(",")));
        }
        format!("{}: {}", tables[*table].name, parts.join("; "))
    };
    needs.iter().map(text).collect::<Vec<_>>().join(" | ")
}

#[test]
fn what_a_statement_compares_sorts_and_restricts_is_found() {
    let cases = [
        ("SELECT * FROM bid WHERE auction_id = $1", "bid: = auction_id"),
        (
            "SELECT * FROM bid WHERE $1 = bid.auction_id AND (amount > $2)",
            "bid: = auction_id; > amount",
        ),
        (
            "SELECT * FROM bid b WHERE b.auction_id = $1 ORDER BY b.created_at DESC, id DESC LIMIT $2",
            "bid: = auction_id; by created_at,id limit",
        ),
        ("SELECT * FROM bid WHERE amount > $1 AND amount <= $2", "bid: <> amount"),
        ("SELECT * FROM bid WHERE amount BETWEEN $1 AND $2", "bid: <> amount"),
        ("SELECT * FROM bid WHERE id IN ($1, $2, $3)", "bid: = id(3)"),
        ("SELECT * FROM bid WHERE id = ANY($1)", "bid: = id(10)"),
        ("SELECT * FROM PUBLIC.Bid WHERE ID = $1", "bid: = id"),
        ("SELECT * FROM auction WHERE \"Title\" = $1", "auction: = Title"),
        ("UPDATE auction SET status = $1 WHERE seller_id = $2", "auction: = seller_id"),
        ("DELETE FROM bid WHERE created_at < now() - $1", "bid: > created_at"),
        (
            "SELECT * FROM bid ORDER BY created_at FETCH FIRST 5 ROWS ONLY",
            "bid: by created_at limit",
        ),
        ("SELECT * FROM bid WHERE id = $1 FOR UPDATE", "bid: = id"),
    ];
    for (sql, expected) in cases {
        assert_eq!(read(sql), expected, "{sql}");
    }
}

#[test]
fn what_is_known_spreads_over_joins_and_the_rest_of_a_join_is_told_apart() {
    let cases = [
        (
            "SELECT * FROM auction a JOIN bid b ON b.auction_id = a.id WHERE a.id = $1",
            "auction: = id | bid: = auction_id",
        ),
        (
            "SELECT * FROM auction a LEFT JOIN bid b ON b.auction_id = a.id WHERE a.seller_id = $1",
            "auction: = seller_id; ~ id bid | bid: ~ auction_id auction",
        ),
        ("SELECT * FROM auction JOIN bid USING (id)", "auction: ~ id bid | bid: ~ id auction"),
        (
            "SELECT * FROM auction a WHERE EXISTS (SELECT FROM bid b WHERE b.auction_id = a.id)",
            "auction:  | bid: = auction_id",
        ),
        (
            "DELETE FROM bid USING auction a WHERE auction_id = a.id AND a.status = $1",
            "bid: ~ auction_id auction | auction: = status; ~ id bid",
        ),
    ];
    for (sql, expected) in cases {
        assert_eq!(read(sql), expected, "{sql}");
    }
}

#[test]
fn what_an_index_cannot_serve_is_not_claimed() {
    let cases = [
        ("SELECT * FROM bid WHERE auction_id = $1 OR amount = $2", "bid: "),
        ("SELECT * FROM bid WHERE NOT auction_id = $1 AND amount <> $2", "bid: "),
        ("SELECT * FROM bid WHERE auction_id::text = $1 AND lower(amount) = $2", "bid: "),
        ("SELECT * FROM bid WHERE amount = id + 1", "bid: "),
        ("SELECT * FROM bid WHERE id NOT IN ($1)", "bid: "),
        // Two columns of both tables: whose is meant is not known.
        ("SELECT * FROM auction, bid WHERE id = $1", "auction:  | bid: "),
        ("SELECT * FROM bid ORDER BY created_at DESC, id LIMIT 1", "bid: "),
        ("SELECT * FROM bid ORDER BY created_at DESC NULLS LAST LIMIT 1", "bid: "),
        ("SELECT auction_id FROM bid GROUP BY auction_id ORDER BY auction_id LIMIT 1", "bid: "),
        ("SELECT DISTINCT amount FROM bid ORDER BY amount LIMIT 1", "bid: "),
        ("SELECT * FROM twice WHERE id = $1", ""),
        ("SELECT * FROM other.twice WHERE id = $1", "twice: = id"),
        ("WITH bid AS (SELECT 1 AS id) SELECT * FROM bid WHERE id = $1", ""),
        ("SELECT * FROM unknown WHERE id = $1", ""),
        ("SELECT * FROM unknown u, bid WHERE amount = $1", "bid: "),
        ("INSERT INTO bid VALUES ($1)", ""),
    ];
    for (sql, expected) in cases {
        assert_eq!(read(sql), expected, "{sql}");
    }
}

#[test]
fn what_cannot_be_read_is_said() {
    for sql in ["SELEC id FROM bid", "SELECT 1; SELECT 2", "", &"(".repeat(5_000)] {
        assert!(of(sql, &tables()).is_none(), "{sql}");
    }
    let deep = format!("SELECT * FROM bid WHERE id = 1{}", " AND id = 1".repeat(5_000));
    assert!(of(&deep, &tables()).is_none());
}
