use std::fmt;

use super::ast::{Comparison, Expr, Op};
use super::{Condition, MissingData};

/// The canonical text; parsing it gives an equal condition.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expr.fmt(f)?;
        if let Some(hold) = &self.hold {
            write!(f, " for {}", hold.literal)?;
        }
        match self.missing {
            MissingData::Unknown => Ok(()),
            other => write!(f, " missing {other}"),
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compare(comparison) => comparison.fmt(f),
            Self::Absent(signal) => write!(f, "absent({signal})"),
            Self::Not(inner) => {
                f.write_str("not ")?;
                inner.fmt_within(f, matches!(**inner, Self::And(_) | Self::Or(_)))
            }
            Self::And(parts) => {
                joined(f, parts, " and ", |p| matches!(p, Self::And(_) | Self::Or(_)))
            }
            Self::Or(parts) => joined(f, parts, " or ", |p| matches!(p, Self::Or(_))),
        }
    }
}

impl Expr {
    fn fmt_within(&self, f: &mut fmt::Formatter<'_>, parentheses: bool) -> fmt::Result {
        if parentheses { write!(f, "({self})") } else { fmt::Display::fmt(self, f) }
    }
}

fn joined(
    f: &mut fmt::Formatter<'_>,
    parts: &[Expr],
    word: &str,
    parentheses: impl Fn(&Expr) -> bool,
) -> fmt::Result {
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            f.write_str(word)?;
        }
        part.fmt_within(f, parentheses(part))?;
    }
    Ok(())
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.left, self.op, self.right)?;
        match self.clear {
            Some((op, literal)) => write!(f, " clear {op} {literal}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol())
    }
}
