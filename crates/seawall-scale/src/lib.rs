//! Scaling decisions as a pure function: target tracking and rules in, a target and its reasons out.
