//! A choice as files write it: a word, or one field with a value.
//!
//! TOML and JSON read such a map as a variant of an enum; most of YAML do not, and want a tag
//! (`!header x-api-key`). Here each format may write either.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, EnumAccess, Error, MapAccess, VariantAccess, Visitor};

use super::parts::{CountConfig, SubjectConfig};

/// A choice between words and fields.
trait Choice: Sized {
    const WORDS: &'static [&'static str];
    const FIELDS: &'static [&'static str];

    fn word(word: &str) -> Option<Self>;

    /// `None` for a field that there is not.
    fn field<'de, V: Value<'de>>(name: &str, value: V) -> Result<Option<Self>, V::Error>;
}

/// A value of whatever type the field has.
trait Value<'de> {
    type Error: Error;
    fn read<T: Deserialize<'de>>(self) -> Result<T, Self::Error>;
}

impl Choice for SubjectConfig {
    const WORDS: &'static [&'static str] = &["client", "address", "tiers", "everybody"];
    const FIELDS: &'static [&'static str] = &["header", "parameter"];

    fn word(word: &str) -> Option<Self> {
        Some(match word {
            "client" => Self::Client,
            "address" => Self::Address,
            "tiers" => Self::Tiers,
            "everybody" => Self::Everybody,
            _ => return None,
        })
    }

    fn field<'de, V: Value<'de>>(name: &str, value: V) -> Result<Option<Self>, V::Error> {
        Ok(Some(match name {
            "header" => Self::Header(value.read()?),
            "parameter" => Self::Parameter(value.read()?),
            _ => return Ok(None),
        }))
    }
}

impl Choice for CountConfig {
    const WORDS: &'static [&'static str] = &["requests"];
    const FIELDS: &'static [&'static str] = &["statuses", "bytes"];

    fn word(word: &str) -> Option<Self> {
        (word == "requests").then_some(Self::Requests)
    }

    fn field<'de, V: Value<'de>>(name: &str, value: V) -> Result<Option<Self>, V::Error> {
        Ok(Some(match name {
            "statuses" => Self::Statuses(value.read()?),
            "bytes" => Self::Bytes(value.read()?),
            _ => return Ok(None),
        }))
    }
}

impl<'de> Deserialize<'de> for SubjectConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

impl<'de> Deserialize<'de> for CountConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

struct Reader<C>(PhantomData<C>);

impl<'de, C: Choice> Visitor<'de> for Reader<C> {
    type Value = C;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "one of the words {:?}, or one of the fields {:?}", C::WORDS, C::FIELDS)
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<C, E> {
        C::word(word).ok_or_else(|| E::unknown_variant(word, C::WORDS))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<C, A::Error> {
        let name: String = map.next_key()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        let read = C::field(&name, Next(&mut map, PhantomData))?;
        let choice = read.ok_or_else(|| A::Error::unknown_field(&name, C::FIELDS))?;
        match map.next_key::<String>()? {
            None => Ok(choice),
            Some(_) => Err(A::Error::invalid_length(2, &self)),
        }
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<C, A::Error> {
        let (name, value): (String, _) = tagged.variant()?;
        if let Some(choice) = C::word(&name) {
            value.unit_variant()?;
            return Ok(choice);
        }
        let read = C::field(&name, Tagged(value))?;
        read.ok_or_else(|| A::Error::unknown_variant(&name, C::FIELDS))
    }
}

/// The value of the field that was read last.
struct Next<'a, 'de, A: MapAccess<'de>>(&'a mut A, PhantomData<&'de ()>);

impl<'de, A: MapAccess<'de>> Value<'de> for Next<'_, 'de, A> {
    type Error = A::Error;

    fn read<T: Deserialize<'de>>(self) -> Result<T, A::Error> {
        self.0.next_value()
    }
}

struct Tagged<V>(V);

impl<'de, V: VariantAccess<'de>> Value<'de> for Tagged<V> {
    type Error = V::Error;

    fn read<T: Deserialize<'de>>(self) -> Result<T, V::Error> {
        self.0.newtype_variant()
    }
}

#[cfg(test)]
mod tests {
    use serde::de::value::{Error, MapDeserializer, StrDeserializer};

    use super::*;

    type Read<C> = Result<C, Error>;

    /// As a format does whose maps are no enums.
    fn map<'a, C: Deserialize<'a>>(fields: &[(&'a str, &'a str)]) -> Read<C> {
        C::deserialize(MapDeserializer::new(fields.iter().copied()))
    }

    #[test]
    fn a_choice_reads_from_formats_whose_maps_are_no_enums() {
        let subject: Read<SubjectConfig> = map(&[("header", "x-api-key")]);
        assert_eq!(subject, Ok(SubjectConfig::Header("x-api-key".into())));
        let word = SubjectConfig::deserialize(StrDeserializer::<Error>::new("tiers"));
        assert_eq!(word, Ok(SubjectConfig::Tiers));
        let bytes = MapDeserializer::<_, Error>::new([("bytes", 1_024_u32)].into_iter());
        assert_eq!(CountConfig::deserialize(bytes), Ok(CountConfig::Bytes(1_024)));
    }

    #[test]
    fn what_is_no_choice_is_told_with_what_there_is() {
        let wrong: [&[(&str, &str)]; 3] =
            [&[("heder", "x")], &[], &[("header", "x"), ("parameter", "id")]];
        for fields in wrong {
            let error = map::<SubjectConfig>(fields).unwrap_err().to_string();
            assert!(error.contains("parameter"), "{error}");
        }
        let word = CountConfig::deserialize(StrDeserializer::<Error>::new("bites"));
        assert!(word.unwrap_err().to_string().contains("requests"));
    }
}
