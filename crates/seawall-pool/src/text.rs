//! What the first words of a statement give away.

/// The first word of a statement that changes the state of its session, in
/// capitals (or `CREATE TEMP`), or `None` for any other statement.
///
/// Such a statement needs a connection of its own: `BEGIN` on a pooled one
/// would leave a transaction open for the next borrower. Only the first word
/// is looked at (after `CREATE` the next ones too), so a function that changes
/// settings or takes an advisory lock goes unseen.
pub(crate) fn session_keyword(sql: &str) -> Option<&'static str> {
    let mut rest = sql;
    let first = next_word(&mut rest);
    if first.eq_ignore_ascii_case("CREATE") {
        return creates_temporary(rest).then_some("CREATE TEMP");
    }
    SESSION_KEYWORDS.iter().copied().find(|keyword| keyword.eq_ignore_ascii_case(first))
}

/// Whether a statement inside a transaction leaves something behind after the
/// transaction has ended.
pub(crate) fn outlives_transaction(sql: &str) -> bool {
    let Some(keyword) = session_keyword(sql) else {
        return false;
    };
    let mut rest = sql;
    next_word(&mut rest);
    match keyword {
        "SET" => {
            let second = next_word(&mut rest);
            !["LOCAL", "TRANSACTION", "CONSTRAINTS"]
                .iter()
                .any(|word| word.eq_ignore_ascii_case(second))
        }
        "SAVEPOINT" | "RELEASE" => false,
        "ROLLBACK" => !next_word(&mut rest).eq_ignore_ascii_case("TO"),
        _ => true,
    }
}

/// Whether what comes after `CREATE` makes something that lives in the session.
fn creates_temporary(mut rest: &str) -> bool {
    let mut words = std::iter::from_fn(|| Some(next_word(&mut rest))).take(4);
    words
        .find(|word| {
            !["OR", "REPLACE", "GLOBAL", "LOCAL"].iter().any(|w| w.eq_ignore_ascii_case(word))
        })
        .is_some_and(|word| ["TEMP", "TEMPORARY"].iter().any(|w| w.eq_ignore_ascii_case(word)))
}

/// Statements that begin with one of these belong on a connection of their own.
const SESSION_KEYWORDS: [&str; 19] = [
    "BEGIN",
    "START",
    "COMMIT",
    "END",
    "ROLLBACK",
    "ABORT",
    "SAVEPOINT",
    "RELEASE",
    "SET",
    "RESET",
    "LISTEN",
    "UNLISTEN",
    "DECLARE",
    "PREPARE",
    "DEALLOCATE",
    "DISCARD",
    "LOAD",
    "FETCH",
    "CLOSE",
];

/// Takes the next word off `rest`, skipping blanks, comments, semicolons and
/// opening brackets.
fn next_word<'a>(rest: &mut &'a str) -> &'a str {
    let mut text = *rest;
    loop {
        text = text.trim_start_matches(|c: char| c.is_whitespace() || c == ';' || c == '(');
        if let Some(comment) = text.strip_prefix("--") {
            text = comment.find(['\n', '\r']).map_or("", |end| &comment[end..]);
        } else if text.starts_with("/*") {
            text = after_block_comment(text);
        } else {
            break;
        }
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let (word, after) = text.split_at(end);
    *rest = after;
    word
}

/// The text behind a block comment; PostgreSQL's comments nest.
fn after_block_comment(text: &str) -> &str {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0usize, 0);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return &text[at..];
        }
    }
    ""
}

#[cfg(test)]
mod tests;
