//! What a tool sees of a run: the tensors that went into a graph and came out of it.

use wink_engine::{Graph, State, View};

/// One run of a stage's graph, just after it ended.
#[derive(Debug)]
pub struct StageRun<'a> {
    pub(super) stage: &'a str,
    pub(super) step: usize,
    pub(super) graph: &'a Graph,
    pub(super) state: &'a State,
    pub(super) inputs: &'a [View<'a>],
}

impl<'a> StageRun<'a> {
    /// Name of the stage.
    #[must_use]
    pub fn stage(&self) -> &'a str {
        self.stage
    }

    /// Step of its loop, 0 outside of one.
    #[must_use]
    pub fn step(&self) -> usize {
        self.step
    }

    /// Each input of the file with what it was fed.
    pub fn inputs(&self) -> impl Iterator<Item = (&'a str, View<'a>)> {
        let names = self.graph.inputs().iter().map(|(name, _)| name.as_str());
        names.zip(self.inputs.iter().copied())
    }

    /// Each output that `policy.json` keeps, by its name in the file.
    pub fn outputs(&self) -> impl Iterator<Item = (&'a str, View<'a>)> {
        let names = self.graph.outputs().iter().enumerate();
        names.filter_map(|(index, (name, _))| {
            let view = self.graph.output(self.state, index).ok()?;
            Some((name.as_str(), view))
        })
    }
}
