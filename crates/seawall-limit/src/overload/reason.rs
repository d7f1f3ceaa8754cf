//! Why a request was turned away.

/// Why there was no slot for a request. In each case it was not begun, so that trying again,
/// later, is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Its priority is below what can be served at present.
    Priority,
    /// Too many wait already.
    QueueFull,
    /// It waited for too long.
    QueueDelay,
    /// It could not be done by its deadline.
    Deadline,
    /// There was no free slot, and it was not to wait.
    NoSlot,
}

impl Reason {
    /// As in the metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Priority => "priority",
            Self::QueueFull => "queue_full",
            Self::QueueDelay => "queue_delay",
            Self::Deadline => "deadline",
            Self::NoSlot => "no_slot",
        }
    }

    /// All of them, in the order of their discriminants.
    pub(crate) const ALL: [Self; 5] =
        [Self::Priority, Self::QueueFull, Self::QueueDelay, Self::Deadline, Self::NoSlot];
}
