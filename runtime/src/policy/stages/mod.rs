//! The stages of a policy on the engine: which value feeds which input, when each graph runs, and the loops around them.

mod load;
mod network;
mod repeat;
mod run;
mod tokens;
mod values;
mod watch;

pub(super) use load::Stage;
pub(super) use network::Network;
pub(super) use run::Runs;
pub(super) use values::ValueRef;
pub use values::observed;
pub use watch::StageRun;

use wink_engine::Rate;

use super::manifest::Run;

/// Most inputs of a graph.
const MAX_INPUTS: usize = 64;

/// The engine's rate of a value.
fn rate(run: Run) -> Rate {
    match run {
        Run::Episode => Rate(0),
        Run::Observation => Rate(1),
        Run::Loop => Rate(2),
    }
}
