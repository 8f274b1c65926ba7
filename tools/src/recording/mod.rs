//! Recordings of runs: what the cameras, the arm and the policy did, as MCAP files that any viewer of that format opens.
//!
//! The control loop hands over what happened and never waits: a thread writes, at least twice a second, so that a run that is
//! cut off loses less than a second. What the thread cannot keep up with is left out and counted; memory has a bound.

mod event;
mod export;
mod facts;
mod messages;
mod queue;
mod read;
mod recorder;
mod sink;
mod tap;
#[cfg(test)]
mod tests;
mod writer;

pub use event::Event;
pub use export::{decode, export};
pub use facts::{Facts, PolicyFacts};
pub use messages::{Chunk, Tick};
pub use read::{Entry, Picture, Reader};
pub use recorder::Recorder;
pub use tap::Tap;
