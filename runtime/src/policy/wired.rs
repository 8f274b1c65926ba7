//! A graph of a package with the feeds that `policy.json` names.

use std::path::Path;
use std::time::Instant;

use wink_engine::{EngineError, Execution, Feed, Graph, Rate, Source, TensorSpec};

use super::manifest::GraphSpec;
use super::{Package, PolicyError};

/// A loaded graph, whose inputs and outputs go by the names of their feeds.
#[derive(Debug)]
pub(super) struct WiredGraph {
    pub(super) graph: Graph,
    /// The feed of each input of the graph.
    pub(super) inputs: Vec<String>,
    /// What each output of the graph is called.
    pub(super) outputs: Vec<String>,
}

/// What is fed to an input.
pub(super) struct Fed {
    pub(super) spec: TensorSpec,
    /// How often it changes.
    pub(super) rate: Rate,
}

impl WiredGraph {
    /// Loads the graph of `spec`; `fed` says what each feed looks like.
    pub(super) fn load(
        package: &Package,
        spec: &GraphSpec,
        execution: Execution,
        fed: impl Fn(&str) -> Option<Fed>,
    ) -> Result<Self, PolicyError> {
        let clock = Instant::now();
        let bytes = package.read(&spec.file)?;
        let source = Source {
            file: package.path(&spec.file),
            bytes,
            read: clock.elapsed(),
        };
        let refused = |message| PolicyError::Graph {
            file: package.path(&spec.file),
            message,
        };
        let mut feeds = Vec::new();
        for (feed, tensor) in &spec.inputs {
            let Some(Fed { spec, rate }) = fed(feed) else {
                return Err(refused(format!("nothing feeds \"{feed}\"")));
            };
            feeds.push(Feed {
                tensor: tensor.clone(),
                spec,
                rate,
            });
        }
        let tensors: Vec<String> = spec.outputs.values().cloned().collect();
        let graph = Graph::load(source, execution, feeds, &tensors)
            .map_err(|error| explain(error, spec, &package.path(&spec.file)))?;
        let named = |tensor: &str| {
            let feed = spec.inputs.iter().find(|(_, name)| *name == tensor);
            feed.map_or_else(String::new, |(feed, _)| feed.clone())
        };
        let inputs = graph.inputs().iter().map(|(name, _)| named(name)).collect();
        Ok(Self {
            graph,
            inputs,
            outputs: spec.outputs.keys().cloned().collect(),
        })
    }

    /// Type and shape of the output of this name.
    pub(super) fn output(&self, name: &str) -> Option<&TensorSpec> {
        let index = self.outputs.iter().position(|output| output == name)?;
        self.graph.outputs().get(index).map(|(_, spec)| spec)
    }
}

/// The engine's error with what `policy.json` says of the tensor.
fn explain(error: EngineError, spec: &GraphSpec, file: &Path) -> PolicyError {
    let feed_of = |tensor: &String, feeds: &std::collections::BTreeMap<String, String>| {
        let feed = feeds.iter().find(|(_, name)| *name == tensor);
        feed.map_or_else(String::new, |(feed, _)| feed.clone())
    };
    let message = match &error {
        EngineError::NoInput { tensor, .. } => format!(
            "has no input \"{}\", to which policy.json feeds \"{}\"",
            tensor.escape_debug(),
            feed_of(tensor, &spec.inputs)
        ),
        EngineError::NoOutput { tensor, .. } => format!(
            "has no output \"{}\", which policy.json takes as \"{}\"",
            tensor.escape_debug(),
            feed_of(tensor, &spec.outputs)
        ),
        EngineError::Unfed { tensor, .. } => format!(
            "input \"{}\" is fed by nothing in policy.json",
            tensor.escape_debug()
        ),
        EngineError::Unfit {
            tensor, found, fed, ..
        } => format!(
            "input \"{}\" is {found} in the graph, policy.json makes it {fed}",
            tensor.escape_debug()
        ),
        _ => return error.into(),
    };
    PolicyError::Graph {
        file: file.to_owned(),
        message,
    }
}
