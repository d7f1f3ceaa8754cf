//! What is measured.

use std::fmt;

use serde::Serialize;

/// Where a subject stands in the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "the three words of the bench file's schema")]
pub enum Role {
    /// A crate of this workspace.
    Ours,
    /// The bare library underneath, or the least work that could be right.
    Floor,
    /// What a team would pick instead.
    Peer,
}

/// One way to do the work of a case.
pub struct Subject<'a> {
    pub(crate) name: &'a str,
    pub(crate) role: Role,
    pub(crate) run: Box<dyn FnMut(u64) + 'a>,
}

impl<'a> Subject<'a> {
    /// `run` does the work as many times as it is told.
    pub fn new(name: &'a str, role: Role, run: impl FnMut(u64) + 'a) -> Self {
        Self { name, role, run: Box::new(run) }
    }
}

impl fmt::Debug for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("name", &self.name)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}
