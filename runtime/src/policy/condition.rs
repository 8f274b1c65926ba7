//! What a chunk is conditioned on: the rest of the chunk before it, which the arm goes on with while inference runs.

use super::ActionChunk;

/// How a policy takes the rest of the chunk before into account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Conditioning {
    /// Not at all.
    #[default]
    None,
    /// Guided real-time chunking: a flow is steered towards it (arXiv 2506.07339).
    Guided,
    /// Trained real-time chunking: its first actions are given and the flow fills in the others (arXiv 2512.05964).
    Prefix,
}

impl Conditioning {
    /// What it is called in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "no conditioning",
            Self::Guided => "guided real-time chunking",
            Self::Prefix => "trained real-time chunking",
        }
    }
}

/// The condition of one inference.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Condition {
    /// How it is taken into account.
    pub how: Conditioning,
    /// Actions of the chunk before that are not executed yet, in the policy's units; the first is due when the observation was
    /// taken.
    pub rest: ActionChunk,
    /// How many of them are executed before the new chunk is there, d.
    pub delay: usize,
    /// Actions executed from one inference to the next, s.
    pub execute: usize,
}

impl Condition {
    /// No condition. Allocates nothing.
    pub fn clear(&mut self) {
        let dim = self.rest.dim;
        self.how = Conditioning::None;
        self.rest.reset(0, dim);
        (self.delay, self.execute) = (0, 0);
    }
}
