//! How often inputs change, which decides what is computed again.

/// How often an input changes: 0 changes least often. The numbers have no meaning but their order, which the caller gives them.
///
/// A node changes as often as the fastest of its inputs, and constants not at all. A run says from which rate on inputs may have
/// changed; nodes that depend only on slower ones keep the values of an earlier run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Rate(pub u8);
