//! The labels that tell the metrics of one pool, and of one of its nodes, from those of others.

use metrics::Label;

/// What a group of metrics is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Labels(Vec<Label>);

impl Labels {
    /// Of the pool of that name, if it has one: a pool without has no such label.
    pub(crate) fn of_pool(name: Option<&str>) -> Self {
        Self(name.map(|name| Label::new("pool", name.to_owned())).into_iter().collect())
    }

    /// Of one of its nodes.
    pub(crate) fn and_node(mut self, node: &str) -> Self {
        self.0.push(Label::new("node", node.to_owned()));
        self
    }

    pub(crate) fn all(&self) -> Vec<Label> {
        self.0.clone()
    }

    /// These and one more.
    pub(crate) fn and(&self, key: &'static str, value: &'static str) -> Vec<Label> {
        let mut labels = self.all();
        labels.push(Label::from_static_parts(key, value));
        labels
    }
}
