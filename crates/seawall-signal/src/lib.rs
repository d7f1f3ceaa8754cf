//! Named signals with units and ages, and the condition language that alerts and scaling share.
