//! Where a profile was measured.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::ordered::default_jobs;

/// The machine in a few words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's own name, where the system tells it.
    pub cpu: Option<String>,
    /// Cores that this process may use.
    pub cores: usize,
    pub arch: String,
    pub os: String,
}

impl Machine {
    /// The one that this runs on.
    pub fn this() -> Self {
        Self {
            cpu: cpu(),
            cores: default_jobs(),
            arch: std::env::consts::ARCH.to_owned(),
            os: std::env::consts::OS.to_owned(),
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cpu = self.cpu.as_deref().unwrap_or("unknown processor");
        write!(f, "{cpu}, {} cores, {} {}", self.cores, self.os, self.arch)
    }
}

/// x86 names its processor, boards with a device tree name themselves.
fn cpu() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map(|rest| rest.trim_start_matches([' ', '\t', ':']).to_owned());
    let board = || fs::read_to_string("/proc/device-tree/model").ok();
    let name = model.or_else(board)?;
    Some(name.trim_matches(['\0', ' ', '\n']).to_owned())
}
