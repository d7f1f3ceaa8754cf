//! Words that mean something to who tells reads from writes by their words.

/// What a word is, as far as that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Any other: a name, or a keyword that no expression follows.
    Name,
    /// Never the name of a function by PostgreSQL's table of keywords ("reserved", and "non-reserved,
    /// cannot be function or type"), in all versions.
    Reserved,
    /// Perhaps the name of a function, and perhaps a keyword that a bracket or an expression
    /// follows.
    Odd,
    As,
    By,
    /// It changes data where it begins a statement.
    Change,
    Distinct,
    Explain,
    For,
    Group,
    Grouping,
    Into,
    /// Of a locking clause.
    Lock,
    Materialized,
    Not,
    On,
    Operator,
    /// `ORDER`.
    Order,
    Partition,
    /// `ROLLUP` or `CUBE`.
    Rollup,
    Recursive,
    /// `ANALYZE`.
    Runs,
    Sample,
    Select,
    Sets,
    /// Of a join.
    Side,
    Join,
    Table,
    /// A type that may be `VARYING`.
    Text,
    Values,
    Varying,
    Verbose,
    With,
}

impl Word {
    /// The word of this [`key`].
    #[inline]
    pub(super) fn of(key: u128) -> Self {
        let mut at = slot(key);
        loop {
            match TABLE[at] {
                (other, word) if other == key => return word,
                (0, _) => return Self::Name,
                _ => at = (at + 1) % SLOTS,
            }
        }
    }

    /// Whether it is never the name of a function.
    #[inline]
    pub(super) const fn is_reserved(self) -> bool {
        matches!(
            self,
            Self::Reserved
                | Self::As
                | Self::Distinct
                | Self::For
                | Self::Group
                | Self::Into
                | Self::Not
                | Self::On
                | Self::Order
                | Self::Runs
                | Self::Select
                | Self::Table
                | Self::Text
                | Self::Values
                | Self::With
        )
    }

    /// Whether a bracket may follow it though it is no function: if it is not known to be a harmless
    /// one, nothing is known of it.
    #[inline]
    pub(super) const fn is_odd(self) -> bool {
        matches!(
            self,
            Self::Odd
                | Self::By
                | Self::Join
                | Self::Operator
                | Self::Partition
                | Self::Rollup
                | Self::Sample
                | Self::Sets
                | Self::Varying
        )
    }
}

/// A word of at most 16 bytes as a number: of all of its letters, in lower case.
pub(super) const fn key(word: &str) -> u128 {
    let (bytes, mut at, mut key) = (word.as_bytes(), 0, 0);
    while at < bytes.len() {
        key = key << 8 | bytes[at] as u128;
        at += 1;
    }
    key
}

const fn slot(key: u128) -> usize {
    let folded = (key as u64) ^ (key >> 64) as u64;
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55) as usize
}

/// Four times the words, so that most are found where they are looked for first.
static TABLE: [(u128, Word); SLOTS] = {
    let mut table = [(0, Word::Name); SLOTS];
    let mut at = 0;
    while at < WORDS.len() {
        let (word, meaning) = WORDS[at];
        assert!(word.len() <= 16);
        let mut free = slot(key(word));
        while table[free].0 != 0 {
            free = (free + 1) % SLOTS;
        }
        table[free] = (key(word), meaning);
        at += 1;
    }
    table
};

const SLOTS: usize = 512;

pub(super) const WORDS: [(&str, Word); 123] = [
    ("all", Word::Reserved),
    ("analyse", Word::Runs),
    ("analyze", Word::Runs),
    ("and", Word::Reserved),
    ("any", Word::Reserved),
    ("array", Word::Reserved),
    ("as", Word::As),
    ("asymmetric", Word::Reserved),
    ("between", Word::Reserved),
    ("bit", Word::Text),
    ("both", Word::Reserved),
    ("by", Word::By),
    ("case", Word::Reserved),
    ("cast", Word::Reserved),
    ("char", Word::Text),
    ("character", Word::Text),
    ("columns", Word::Odd),
    ("content", Word::Odd),
    ("cross", Word::Side),
    ("cube", Word::Rollup),
    ("dec", Word::Reserved),
    ("decimal", Word::Reserved),
    ("default", Word::Reserved),
    ("delete", Word::Change),
    ("distinct", Word::Distinct),
    ("document", Word::Odd),
    ("else", Word::Reserved),
    ("end", Word::Reserved),
    ("escape", Word::Odd),
    ("except", Word::Reserved),
    ("exists", Word::Reserved),
    ("explain", Word::Explain),
    ("fetch", Word::Reserved),
    ("filter", Word::Odd),
    ("first", Word::Odd),
    ("float", Word::Reserved),
    ("for", Word::For),
    ("from", Word::Reserved),
    ("full", Word::Side),
    ("group", Word::Group),
    ("grouping", Word::Grouping),
    ("groups", Word::Odd),
    ("having", Word::Reserved),
    ("ilike", Word::Odd),
    ("in", Word::Reserved),
    ("inner", Word::Side),
    ("insert", Word::Change),
    ("intersect", Word::Reserved),
    ("into", Word::Into),
    ("join", Word::Join),
    ("json_table", Word::Odd),
    ("key", Word::Lock),
    ("keys", Word::Odd),
    ("lateral", Word::Reserved),
    ("leading", Word::Reserved),
    ("left", Word::Side),
    ("like", Word::Odd),
    ("limit", Word::Reserved),
    ("materialized", Word::Materialized),
    ("merge", Word::Change),
    ("natural", Word::Side),
    ("nchar", Word::Text),
    ("next", Word::Odd),
    ("no", Word::Lock),
    ("not", Word::Not),
    ("nulls", Word::Odd),
    ("numeric", Word::Reserved),
    ("offset", Word::Reserved),
    ("on", Word::On),
    ("only", Word::Reserved),
    ("operator", Word::Operator),
    ("or", Word::Reserved),
    ("order", Word::Order),
    ("ordinality", Word::Odd),
    ("outer", Word::Side),
    ("over", Word::Odd),
    ("overlaps", Word::Odd),
    ("partition", Word::Partition),
    ("passing", Word::Odd),
    ("path", Word::Odd),
    ("placing", Word::Reserved),
    ("range", Word::Odd),
    ("recursive", Word::Recursive),
    ("ref", Word::Odd),
    ("repeatable", Word::Odd),
    ("returning", Word::Reserved),
    ("right", Word::Side),
    ("rollup", Word::Rollup),
    ("row", Word::Reserved),
    ("rows", Word::Odd),
    ("second", Word::Odd),
    ("select", Word::Select),
    ("sets", Word::Sets),
    ("share", Word::Lock),
    ("similar", Word::Odd),
    ("some", Word::Reserved),
    ("symmetric", Word::Reserved),
    ("table", Word::Table),
    ("tablesample", Word::Sample),
    ("then", Word::Reserved),
    ("ties", Word::Odd),
    ("time", Word::Reserved),
    ("timestamp", Word::Reserved),
    ("to", Word::Reserved),
    ("trailing", Word::Reserved),
    ("union", Word::Reserved),
    ("update", Word::Change),
    ("using", Word::Reserved),
    ("value", Word::Odd),
    ("values", Word::Values),
    ("varchar", Word::Reserved),
    ("variadic", Word::Reserved),
    ("varying", Word::Varying),
    ("verbose", Word::Verbose),
    ("version", Word::Odd),
    ("when", Word::Reserved),
    ("where", Word::Reserved),
    ("window", Word::Reserved),
    ("with", Word::With),
    ("within", Word::Odd),
    ("wrapper", Word::Odd),
    ("xmltable", Word::Reserved),
    ("zone", Word::Odd),
];

/// The words that are never the name of a function.
#[cfg(test)]
pub(crate) fn reserved() -> Vec<&'static str> {
    WORDS.iter().filter(|(_, word)| word.is_reserved()).map(|(name, _)| *name).collect()
}
