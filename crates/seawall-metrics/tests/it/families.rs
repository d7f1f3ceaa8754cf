//! The protobuf format, read by its published description (`io/prometheus/client/metrics.proto` of
//! client_model 0.6), apart from the crate's own messages.

use std::collections::BTreeMap;

use prost::Message;

/// The families by name; each may come once only.
pub(crate) fn read(mut body: &[u8]) -> BTreeMap<String, Family> {
    let mut all = BTreeMap::new();
    while !body.is_empty() {
        let family = Family::decode_length_delimited(&mut body).unwrap();
        let again = all.insert(family.name.clone(), family);
        assert!(again.is_none(), "family given twice: {again:?}");
    }
    all
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Family {
    #[prost(string, required, tag = "1")]
    pub(crate) name: String,
    #[prost(string, optional, tag = "2")]
    pub(crate) help: Option<String>,
    #[prost(int32, required, tag = "3")]
    pub(crate) kind: i32,
    #[prost(message, repeated, tag = "4")]
    pub(crate) metric: Vec<Metric>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Metric {
    #[prost(message, repeated, tag = "1")]
    pub(crate) label: Vec<Label>,
    #[prost(message, optional, tag = "2")]
    pub(crate) gauge: Option<Number>,
    #[prost(message, optional, tag = "3")]
    pub(crate) counter: Option<Number>,
    #[prost(message, optional, tag = "7")]
    pub(crate) histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Label {
    #[prost(string, required, tag = "1")]
    pub(crate) name: String,
    #[prost(string, required, tag = "2")]
    pub(crate) value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Number {
    #[prost(double, required, tag = "1")]
    pub(crate) value: f64,
    #[prost(message, optional, tag = "3")]
    pub(crate) created_timestamp: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Histogram {
    #[prost(uint64, required, tag = "1")]
    pub(crate) sample_count: u64,
    #[prost(double, required, tag = "2")]
    pub(crate) sample_sum: f64,
    #[prost(message, repeated, tag = "3")]
    pub(crate) bucket: Vec<Bucket>,
    #[prost(sint32, required, tag = "5")]
    pub(crate) schema: i32,
    #[prost(double, required, tag = "6")]
    pub(crate) zero_threshold: f64,
    #[prost(uint64, required, tag = "7")]
    pub(crate) zero_count: u64,
    #[prost(message, repeated, tag = "12")]
    pub(crate) positive_span: Vec<Span>,
    #[prost(sint64, repeated, tag = "13")]
    pub(crate) positive_delta: Vec<i64>,
    #[prost(message, optional, tag = "15")]
    pub(crate) created_timestamp: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Bucket {
    #[prost(uint64, required, tag = "1")]
    pub(crate) cumulative_count: u64,
    #[prost(double, required, tag = "2")]
    pub(crate) upper_bound: f64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Span {
    #[prost(sint32, required, tag = "1")]
    pub(crate) offset: i32,
    #[prost(uint32, required, tag = "2")]
    pub(crate) length: u32,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}
