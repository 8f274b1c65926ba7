//! Runs a graph without allocating: a list of steps over buffers that were laid out when it was loaded.
//!
//! Tract allocates each op's output anew, a few hundred times an inference. Here the ops of [`crate::ops`] write into buffers that
//! tensors of different times share; reshapes are nothing at all; and nodes that depend only on inputs that stay the same for many
//! runs are computed once and kept ([`Rate`]). An op that only tract knows still runs, by tract, on a copy of its inputs.

mod buffers;
mod profile;
mod program;
mod rate;
mod run;
mod threads;

pub use profile::{LoadTimes, OpInfo, OpTime};
pub(crate) use profile::{macs, plain_ops, run_plain};
pub(crate) use program::Program;
pub use rate::Rate;
pub(crate) use run::{Memory, with_values};
pub use threads::Threads;
