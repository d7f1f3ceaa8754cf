use std::ops::Range;
use std::time::Duration;

use super::ast::{Comparison, Expr, Op};
use super::error::{ParseError, ParseErrorKind};
use super::lexer::{Token, token};
use super::literal::{BadLiteral, Literal};
use super::missing::MissingData;
use super::term::Term;
use super::{Condition, HoldFor, MAX_DEPTH, MAX_HOLD};
use crate::{Unit, Units};

mod terms;

use terms::Item;

/// Recursive descent, one token ahead, linear in the text.
///
/// ```text
/// condition  = or { "for" duration | "clear" OP literal | "missing" policy }
/// or         = and { "or" and }
/// and        = not { "and" not }
/// not        = "not" not | "(" or ")" | "absent" "(" signal ")" | comparison
/// comparison = sum OP sum [ "clear" OP literal ]
/// sum        = product { ("+" | "-") product }
/// product    = factor { ("*" | "/") factor }
/// factor     = signal | literal | "(" sum ")"
/// signal     = NAME [ "(" argument { "," argument } ")" ]
/// argument   = signal | literal
/// policy     = "unknown" | "true" | "false" | "keep"
/// ```
pub(super) fn parse(input: &str, units: Option<&Units>) -> Result<Condition, ParseError> {
    let (token, at) = token(input, 0);
    let mut parser = Parser { input, units, token, at, end: 0, depth: 0, below_not: 0 };
    parser.condition()
}

struct Parser<'a> {
    input: &'a str,
    units: Option<&'a Units>,
    token: Token<'a>,
    at: Range<usize>,
    /// Where the token before ended.
    end: usize,
    depth: usize,
    below_not: usize,
}

type Parsed<T> = Result<T, ParseError>;

impl<'a> Parser<'a> {
    fn condition(&mut self) -> Parsed<Condition> {
        let item = self.or()?;
        let mut expr = self.whole(item)?;
        let (mut hold, mut missing) = (None, None);
        loop {
            if hold.is_none() && self.take_word("for") {
                hold = Some(self.hold()?);
            } else if missing.is_none() && self.take_word("missing") {
                missing = Some(self.missing()?);
            } else if self.token == Token::Name("clear") {
                let Expr::Compare(comparison) = &mut expr else {
                    return Err(self.fail(ParseErrorKind::ClearOfMany));
                };
                if comparison.clear.is_some() {
                    return Err(self.fail(ParseErrorKind::ExpectedTail));
                }
                comparison.clear = self.clear(comparison.op, &comparison.right)?;
            } else if self.token == Token::End {
                return Ok(Condition { expr, hold, missing: missing.unwrap_or_default() });
            } else if hold.is_some() || missing.is_some() {
                return Err(self.fail(ParseErrorKind::ExpectedTail));
            } else {
                return Err(self.fail(ParseErrorKind::ExpectedEnd));
            }
        }
    }

    fn or(&mut self) -> Parsed<Item> {
        self.chain("or", Self::and, Expr::Or)
    }

    fn and(&mut self) -> Parsed<Item> {
        self.chain("and", Self::not, Expr::And)
    }

    /// One operand stays itself; several become one node, so that a long
    /// chain is wide and not deep.
    fn chain(
        &mut self,
        word: &str,
        operand: fn(&mut Self) -> Parsed<Item>,
        node: fn(Vec<Expr>) -> Expr,
    ) -> Parsed<Item> {
        let first = operand(self)?;
        if self.token != Token::Name(word) {
            return Ok(first);
        }
        let mut parts = vec![self.whole(first)?];
        while self.take_word(word) {
            let part = operand(self)?;
            parts.push(self.whole(part)?);
        }
        Ok(Item::Condition(node(parts)))
    }

    fn not(&mut self) -> Parsed<Item> {
        match self.token {
            Token::Name("not") => {
                self.below_not += 1;
                let inner = self.nested(Self::not)?;
                let inner = self.whole(inner)?;
                self.below_not -= 1;
                Ok(Item::Condition(Expr::Not(Box::new(inner))))
            }
            Token::Name("absent") => {
                self.next();
                if self.token != Token::Open {
                    return Err(self.fail(ParseErrorKind::ExpectedCondition));
                }
                let signal = self.nested(Self::signal)?;
                self.close(ParseErrorKind::ExpectedClose)?;
                Ok(Item::Condition(Expr::Absent(signal.into())))
            }
            Token::Name(name) if !is_keyword(name) => self.comparison(),
            Token::Open | Token::Number(_) | Token::BadNumber(_) => self.comparison(),
            _ => Err(self.fail(ParseErrorKind::ExpectedCondition)),
        }
    }

    /// A comparison; or its left side alone, which is one if it stands in
    /// parentheses and an operator follows; or what is a condition already.
    fn comparison(&mut self) -> Parsed<Item> {
        let (left, left_unit, first) = match self.sum(ParseErrorKind::ExpectedCondition)? {
            Item::Term { term, unit, first } => (term, unit, first),
            condition @ Item::Condition(_) => return Ok(condition),
        };
        if !matches!(self.token, Token::Op(_)) {
            return Ok(Item::Term { term: left, unit: left_unit, first });
        }
        if !left.has_signal() {
            return Err(self.fail_at(first, ParseErrorKind::ExpectedCondition));
        }
        let op = self.op()?;
        let start = self.at.start;
        let (right, right_unit) = self.value(ParseErrorKind::ExpectedNumber)?;
        let left_unit = left_unit.unwrap_or_default();
        let fits = match (&right, right_unit) {
            (Term::Number(literal), _) => literal.against(left_unit).is_some(),
            (_, Some(unit)) => unit == left_unit || [unit, left_unit].contains(&Unit::None),
            (_, None) => true,
        };
        if !fits {
            let kind = ParseErrorKind::OtherUnit { left: left_unit };
            return Err(self.fail_at(start..self.end, kind));
        }
        let text = left.to_string().into();
        let clear = self.clear(op, &right)?;
        Ok(Item::Condition(Expr::Compare(Comparison { text, left, op, right, clear })))
    }

    /// Refuses the side of a comparison where a condition must stand.
    fn whole(&self, item: Item) -> Parsed<Expr> {
        match item {
            Item::Condition(expr) => Ok(expr),
            Item::Term { term, .. } if term.has_signal() => {
                Err(self.fail(ParseErrorKind::ExpectedOperator))
            }
            Item::Term { first, .. } => Err(self.fail_at(first, ParseErrorKind::ExpectedCondition)),
        }
    }

    /// The canonical name: one space after each comma, none elsewhere, spans
    /// in their largest whole unit.
    fn signal(&mut self) -> Parsed<String> {
        let Token::Name(name) = self.token else {
            return Err(self.fail(ParseErrorKind::ExpectedSignal));
        };
        if is_keyword(name) {
            return Err(self.fail(ParseErrorKind::ExpectedSignal));
        }
        self.next();
        let mut canonical = name.to_owned();
        if self.token == Token::Open {
            canonical.push('(');
            canonical.push_str(&self.nested(Self::arguments)?);
            self.close(ParseErrorKind::ExpectedCommaOrClose)?;
            canonical.push(')');
        }
        Ok(canonical)
    }

    fn arguments(&mut self) -> Parsed<String> {
        let mut all = self.argument()?;
        while self.token == Token::Comma {
            self.next();
            all.push_str(", ");
            all.push_str(&self.argument()?);
        }
        Ok(all)
    }

    fn argument(&mut self) -> Parsed<String> {
        match self.token {
            Token::Name(name) if !is_keyword(name) => self.signal(),
            _ => Ok(self.literal(ParseErrorKind::ExpectedArgument)?.canonical().to_string()),
        }
    }

    fn op(&mut self) -> Parsed<Op> {
        let Token::Op(op) = self.token else {
            return Err(self.fail(ParseErrorKind::ExpectedOperator));
        };
        self.next();
        Ok(op)
    }

    fn literal(&mut self, expected: ParseErrorKind) -> Parsed<Literal> {
        match self.token {
            Token::Number(literal) => {
                self.next();
                Ok(literal)
            }
            Token::BadNumber(BadLiteral::UnknownUnit) => {
                Err(self.fail(ParseErrorKind::UnknownUnit))
            }
            Token::BadNumber(BadLiteral::OutOfRange) => {
                Err(self.fail(ParseErrorKind::NumberOutOfRange))
            }
            _ => Err(self.fail(expected)),
        }
    }

    fn hold(&mut self) -> Parsed<HoldFor> {
        let at = self.at.clone();
        let literal = self.literal(ParseErrorKind::ExpectedDuration)?;
        if literal.unit() != Some(Unit::Seconds) {
            return Err(self.fail_at(at, ParseErrorKind::ExpectedDuration));
        }
        match Duration::try_from_secs_f64(literal.value()) {
            Ok(duration) if duration <= MAX_HOLD => Ok(HoldFor { literal, duration }),
            _ => Err(self.fail_at(at, ParseErrorKind::HoldOutOfRange { max: MAX_HOLD })),
        }
    }

    fn missing(&mut self) -> Parsed<MissingData> {
        let policy = match self.token {
            Token::Name(name) => MissingData::named(name),
            _ => None,
        };
        let policy = policy.ok_or_else(|| self.fail(ParseErrorKind::ExpectedMissing))?;
        self.next();
        Ok(policy)
    }

    /// `clear OP literal`, if it comes next. It must leave no value that both
    /// raises and clears.
    fn clear(&mut self, op: Op, raise: &Term) -> Parsed<Option<(Op, Literal)>> {
        if self.token != Token::Name("clear") {
            return Ok(None);
        }
        if self.below_not > 0 {
            return Err(self.fail(ParseErrorKind::ClearBelowNot));
        }
        let Some(raise) = raise.literal() else {
            return Err(self.fail(ParseErrorKind::ClearOfExpression));
        };
        self.next();
        let at = self.at.clone();
        let clear_op = self.op()?;
        let clear = self.literal(ParseErrorKind::ExpectedNumber)?;
        if clear.unit() != raise.unit() {
            return Err(self.fail_at(at, ParseErrorKind::ClearOtherUnit));
        }
        if op.is_apart(raise.value(), clear_op, clear.value()) {
            Ok(Some((clear_op, clear)))
        } else {
            Err(self.fail_at(at, ParseErrorKind::ClearWrongSide))
        }
    }

    /// Steps over the current token and parses what it opens, one level down.
    fn nested<T>(&mut self, inner: fn(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == MAX_DEPTH {
            return Err(self.fail(ParseErrorKind::TooDeep { max: MAX_DEPTH }));
        }
        self.depth += 1;
        self.next();
        let parsed = inner(self);
        self.depth -= 1;
        parsed
    }

    fn close(&mut self, expected: ParseErrorKind) -> Parsed<()> {
        if self.token != Token::Close {
            return Err(self.fail(expected));
        }
        self.next();
        Ok(())
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.token == Token::Name(word);
        if found {
            self.next();
        }
        found
    }

    fn next(&mut self) {
        self.end = self.at.end;
        (self.token, self.at) = token(self.input, self.at.end);
    }

    fn fail(&self, kind: ParseErrorKind) -> ParseError {
        self.fail_at(self.at.clone(), kind)
    }

    fn fail_at(&self, at: Range<usize>, kind: ParseErrorKind) -> ParseError {
        ParseError { input: self.input.into(), at, kind }
    }
}

fn is_keyword(name: &str) -> bool {
    matches!(name, "and" | "or" | "not" | "for" | "clear" | "absent" | "missing")
}
