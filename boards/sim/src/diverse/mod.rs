//! Other robot data of the same arm at the same table: other objects, other tasks, other words, and no emoji anywhere.
//!
//! Blocks and cylinders of many sizes and colours lie among cards of plain colours and geometric figures. The arm sets one
//! down on or beside a card or another object, stacks it, lifts it or pushes it. Observation, action space and control rate
//! are the benchmark's, so that a policy can learn from these demonstrations before it sees the benchmark's own.

mod expert;
mod layout;
mod scene;
mod task;
mod words;

pub use expert::TaskExpert;
pub use scene::DiverseScene;
pub use task::{Side, Task};
