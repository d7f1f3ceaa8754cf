//! A strict reader of the text format 0.0.4 and of OpenMetrics 1.0, written from their descriptions and
//! sharing no code with the crate.

use std::collections::BTreeMap;

#[derive(Clone, Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) types: BTreeMap<String, String>,
    pub(crate) help: BTreeMap<String, String>,
    pub(crate) samples: BTreeMap<(String, Labels), f64>,
    /// As they stand behind a sample.
    pub(crate) exemplars: BTreeMap<(String, Labels), String>,
    /// It ended as OpenMetrics does.
    pub(crate) open: bool,
}

pub(crate) type Labels = BTreeMap<String, String>;

pub(crate) fn parse(text: &str) -> Parsed {
    assert!(text.is_empty() || text.ends_with('\n'), "no final newline");
    let mut parsed = Parsed::default();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect(line);
            let again = parsed.types.insert(name.into(), kind.into());
            assert_eq!(again, None, "second TYPE: {line}");
        } else if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect(line);
            let again = parsed.help.insert(name.into(), unescape(help).0);
            assert_eq!(again, None, "second HELP: {line}");
        } else if let Some(rest) = line.strip_prefix("# UNIT ") {
            let (name, unit) = rest.split_once(' ').expect(line);
            assert!(name.ends_with(&format!("_{unit}")), "unit is no suffix: {line}");
        } else if line == "# EOF" {
            assert!(text.ends_with("\n# EOF\n"), "something after the end");
            parsed.open = true;
        } else {
            let (name, labels, value, exemplar) = sample(line);
            if let Some(exemplar) = exemplar {
                parsed.exemplars.insert((name.clone(), labels.clone()), exemplar);
            }
            let again = parsed.samples.insert((name, labels), value);
            assert_eq!(again, None, "sample given twice: {line}");
        }
    }
    parsed
}

fn sample(line: &str) -> (String, Labels, f64, Option<String>) {
    let end = line.find(['{', ' ']).expect(line);
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name, true), "name of {line}");
    let mut labels = Labels::new();
    if let Some(list) = rest.strip_prefix('{') {
        rest = list;
        loop {
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            let (label, after) = rest.split_once("=\"").expect(line);
            assert!(is_name(label, false), "label {label} of {line}");
            let (value, taken) = unescape(after);
            let again = labels.insert(label.into(), value);
            assert_eq!(again, None, "label given twice: {line}");
            rest = after.get(taken + 1..).expect(line);
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
    }
    let value = rest.strip_prefix(' ').expect(line);
    let (value, exemplar) = match value.split_once(" # ") {
        Some((value, exemplar)) => (value, Some(exemplar.to_owned())),
        None => (value, None),
    };
    let value = match value {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        "NaN" => f64::NAN,
        number => number.parse().unwrap_or_else(|_| panic!("{line}")),
    };
    (name.into(), labels, value, exemplar)
}

/// Reads to the closing quote, or to the end; also says how many bytes.
fn unescape(text: &str) -> (String, usize) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, at),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, c @ ('\\' | '"'))) => value.push(c),
                other => panic!("escape {other:?} in {text}"),
            },
            c => value.push(c),
        }
    }
    (value, text.len())
}

fn is_name(name: &str, metric: bool) -> bool {
    let mut chars = name.chars();
    let start = |c: char| c.is_ascii_alphabetic() || c == '_' || (metric && c == ':');
    chars.next().is_some_and(start) && chars.all(|c| start(c) || c.is_ascii_digit())
}
