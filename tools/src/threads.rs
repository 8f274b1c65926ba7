//! `--threads` and `--pin`: how many threads share an inference, and where they run.

use std::num::NonZeroUsize;

use clap::value_parser;
use wink_runtime::policy::Threads;

/// The arguments, for commands that run a policy.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct ThreadArgs {
    /// Threads that share the fused ops of an inference; all else runs on one
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u16).range(1..=1024))]
    threads: u16,

    /// Keep each of these threads to a processor of its own
    #[arg(long)]
    pin: bool,
}

impl ThreadArgs {
    /// For the runtime.
    pub fn threads(self) -> Threads {
        Threads {
            count: NonZeroUsize::new(self.threads.into()).unwrap_or(NonZeroUsize::MIN),
            pinned: self.pin,
        }
    }
}
