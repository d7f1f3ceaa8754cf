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

/// Whether a statement on a connection of its own leaves something in the
/// session, as far as its first words tell. Statements that begin and end
/// transactions do not: whether one is open, the server says by itself.
pub(crate) fn leaves_traces(sql: &str) -> bool {
    let Some(keyword) = session_keyword(sql) else {
        return false;
    };
    let mut rest = sql;
    next_word(&mut rest);
    match keyword {
        "SET" => !is_any(next_word(&mut rest), &["LOCAL", "TRANSACTION", "CONSTRAINTS"]),
        keyword => !TRANSACTION_KEYWORDS.contains(&keyword),
    }
}

/// Whether a statement may leave something in its session though its first word
/// does not say so: a block or procedure, which can do anything, or a text that
/// names something lasting. Looks at the whole text; done once per statement
/// and connection.
pub(crate) fn may_leave_traces(sql: &str) -> bool {
    let mut rest = sql;
    is_any(next_word(&mut rest), &["DO", "CALL"])
        || LASTING.iter().any(|name| contains(sql, name))
        || selects_into_temporary(sql)
}

/// Whether an `INTO` is followed by `TEMP`.
fn selects_into_temporary(sql: &str) -> bool {
    let mut rest = sql;
    while let Some(at) = find(rest, "INTO") {
        rest = &rest[at + "INTO".len()..];
        let mut after = rest;
        if is_any(next_word(&mut after), &["TEMP", "TEMPORARY", "LOCAL", "GLOBAL"]) {
            return true;
        }
    }
    false
}

/// The words of a single statement that has nothing but words and commas, without those.
pub(crate) fn words(sql: &str) -> Option<Vec<&str>> {
    let (mut words, mut rest) = (Vec::new(), sql);
    loop {
        let before = rest;
        let word = next_word(&mut rest);
        if word.is_empty() {
            match rest.trim_start().strip_prefix(',') {
                Some(after) => rest = after,
                None => return rest.is_empty().then_some(words),
            }
            continue;
        }
        let skipped = &before[..before.len() - rest.len() - word.len()];
        if !words.is_empty() && skipped.contains([';', '(']) {
            return None;
        }
        words.push(word);
    }
}

fn is_any(word: &str, words: &[&str]) -> bool {
    words.iter().any(|other| other.eq_ignore_ascii_case(word))
}

fn contains(text: &str, ascii: &str) -> bool {
    find(text, ascii).is_some()
}

/// Where `ascii` first stands in `text`, in any case.
fn find(text: &str, ascii: &str) -> Option<usize> {
    text.as_bytes()
        .windows(ascii.len())
        .position(|window| window.eq_ignore_ascii_case(ascii.as_bytes()))
}

/// Whether what comes after `CREATE` makes something that lives in the session.
fn creates_temporary(mut rest: &str) -> bool {
    let mut words = std::iter::from_fn(|| Some(next_word(&mut rest))).take(4);
    words
        .find(|word| !is_any(word, &["OR", "REPLACE", "GLOBAL", "LOCAL"]))
        .is_some_and(|word| is_any(word, &["TEMP", "TEMPORARY"]))
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

/// Those of them that only move a transaction along.
const TRANSACTION_KEYWORDS: [&str; 10] = [
    "BEGIN",
    "START",
    "COMMIT",
    "END",
    "ROLLBACK",
    "ABORT",
    "SAVEPOINT",
    "RELEASE",
    "FETCH",
    "CLOSE",
];

/// Names of what outlives a statement. Locks that end with their transaction
/// (`pg_advisory_xact_lock`) are not among them.
const LASTING: [&str; 4] = ["set_config", "advisory_lock", "pg_temp", "dblink_connect"];

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
