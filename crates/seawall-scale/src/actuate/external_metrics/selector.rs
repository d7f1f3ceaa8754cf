use std::collections::BTreeMap;

/// A label selector: requirements that must all hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selector {
    requirements: Vec<Requirement>,
}

#[derive(Debug, PartialEq, Eq)]
enum Requirement {
    In(Box<str>, Vec<Box<str>>),
    NotIn(Box<str>, Vec<Box<str>>),
    Exists(Box<str>),
    Absent(Box<str>),
}

impl Selector {
    /// `a=b,c!=d,e in (f,g),h notin (i),j,!k`, as Kubernetes writes it. `None` if it is not one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut requirements = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let end = end_of_requirement(rest)?;
            requirements.push(Requirement::parse(rest[..end].trim())?);
            rest = rest[end..].trim_start_matches(',').trim_start();
        }
        Some(Self { requirements })
    }

    pub(super) fn matches(&self, labels: &BTreeMap<Box<str>, Box<str>>) -> bool {
        self.requirements.iter().all(|it| match it {
            Requirement::In(name, values) => {
                labels.get(name).is_some_and(|value| values.contains(value))
            }
            Requirement::NotIn(name, values) => {
                labels.get(name).is_none_or(|value| !values.contains(value))
            }
            Requirement::Exists(name) => labels.contains_key(name),
            Requirement::Absent(name) => !labels.contains_key(name),
        })
    }
}

impl Requirement {
    fn parse(text: &str) -> Option<Self> {
        if let Some((head, list)) = text.split_once('(') {
            let values = list.strip_suffix(')')?.split(',').map(word).collect::<Option<_>>()?;
            let (name, operator) = head.trim().rsplit_once(' ')?;
            return match operator {
                "in" => Some(Self::In(key(name)?, values)),
                "notin" => Some(Self::NotIn(key(name)?, values)),
                _ => None,
            };
        }
        if let Some((name, value)) = text.split_once("!=") {
            return Some(Self::NotIn(key(name)?, vec![word(value)?]));
        }
        if let Some((name, value)) = text.split_once('=') {
            let value = value.strip_prefix('=').unwrap_or(value);
            return Some(Self::In(key(name)?, vec![word(value)?]));
        }
        match text.strip_prefix('!') {
            Some(name) => Some(Self::Absent(key(name)?)),
            None => Some(Self::Exists(key(text)?)),
        }
    }
}

/// The comma that is not within brackets, or the end. `None` if brackets do not close.
fn end_of_requirement(text: &str) -> Option<usize> {
    let mut inside = false;
    for (index, it) in text.char_indices() {
        match it {
            '(' if !inside => inside = true,
            ')' if inside => inside = false,
            '(' | ')' => return None,
            ',' if !inside => return Some(index),
            _ => {}
        }
    }
    (!inside).then_some(text.len())
}

fn key(text: &str) -> Option<Box<str>> {
    word(text).filter(|word| !word.is_empty())
}

fn word(text: &str) -> Option<Box<str>> {
    let text = text.trim();
    let proper = |it: char| it.is_ascii_alphanumeric() || "-._/".contains(it);
    text.chars().all(proper).then(|| text.into())
}
