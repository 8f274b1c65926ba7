//! Which policies have driven an arm from this computer before.

use std::fs;
use std::path::PathBuf;

/// The mark of one policy, by the digest of its package.
#[derive(Debug, Clone)]
pub struct Known {
    /// `None` where the environment names no folder: then every run is a first one.
    mark: Option<PathBuf>,
}

impl Known {
    /// In the folder of the XDG base directory specification for state.
    pub fn open(sha256: &str) -> Self {
        let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let state = folder("XDG_STATE_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(folder("HOME")?).join(".local/state")));
        Self {
            mark: state.map(|state| state.join("wink/policies").join(sha256)),
        }
    }

    /// Whether the policy has driven an arm to the end of a run.
    pub fn has_run(&self) -> bool {
        self.mark.as_ref().is_some_and(|mark| mark.exists())
    }

    /// It has.
    pub fn remember(&self) {
        if let Some(mark) = &self.mark
            && let Some(folder) = mark.parent()
        {
            // Where this cannot be kept, the next run is slow again.
            let _ = fs::create_dir_all(folder).and_then(|()| fs::write(mark, ""));
        }
    }
}
