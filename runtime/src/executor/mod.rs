//! Runs a graph without allocating: a list of steps over buffers that were laid out when it was loaded.
//!
//! The engine allocates each op's output anew, a few hundred times an inference. Here the ops of [`crate::ops`] and
//! [`crate::fused`] write into buffers that tensors of different times share; reshapes are nothing at all; and what hangs on
//! inputs that stay the same during an episode (the text) is computed once. An op that only the engine knows still runs, by the
//! engine, on a copy of its inputs.

mod buffers;
mod program;
mod run;

pub(crate) use program::Program;
pub(crate) use run::Memory;
