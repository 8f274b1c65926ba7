//! Result files that are there whole or not at all.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::NamedTempFile;

use crate::bad_input::{as_bad_input, bad_input};

/// A file being written under a temporary name next to where it will stand.
///
/// Nothing appears under the final name before [`PendingFile::publish`]; dropped earlier, everything written is removed.
pub struct PendingFile {
    staged: NamedTempFile,
    target: PathBuf,
    flag: &'static str,
}

impl PendingFile {
    /// Finds out that `target`, which the user named by `flag`, cannot be written before any work is done.
    pub fn create(flag: &'static str, target: &Path) -> Result<Self> {
        let told = target.display();
        if target.is_dir() {
            return Err(bad_input(format!(
                "{flag} {told}: is a folder; name a file"
            )));
        }
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let staged = builder
            .prefix(&format!(".{name}."))
            .suffix(".partial")
            .tempfile_in(folder)
            .map_err(|error| {
                as_bad_input(error).context(format!("{flag} {told}: cannot be written"))
            })?;
        Ok(Self {
            staged,
            target: target.to_owned(),
            flag,
        })
    }

    /// The file to write to.
    pub fn file(&mut self) -> &mut File {
        self.staged.as_file_mut()
    }

    /// Where it lies until it is published.
    pub fn path(&self) -> &Path {
        self.staged.path()
    }

    /// Writes all of the file, and publishes it.
    pub fn write_and_publish(mut self, bytes: &[u8]) -> Result<()> {
        let told = format!("{} {}", self.flag, self.target.display());
        let file = self.file();
        file.write_all(bytes)
            .and_then(|()| file.sync_all())
            .with_context(|| told)?;
        self.publish()
    }

    /// Gives the file its final name, replacing what stood there.
    pub fn publish(self) -> Result<()> {
        let told = self.target.display();
        self.staged
            .persist(&self.target)
            .with_context(|| format!("{} {told}: cannot be put in place", self.flag))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn appears_whole_and_only_at_the_end() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("result.bin");
        let count = || root.path().read_dir().unwrap().count();
        let mut pending = PendingFile::create("--out", &target).unwrap();
        pending.file().write_all(b"half").unwrap();
        assert!(!target.exists());
        drop(pending);
        assert_eq!(count(), 0);
        for content in ["first", "second"] {
            let pending = PendingFile::create("--out", &target).unwrap();
            pending.write_and_publish(content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&target).unwrap(), content);
        }
        assert_eq!(count(), 1);
    }

    #[test]
    fn where_no_file_can_be_is_bad_input() {
        let root = tempfile::tempdir().unwrap();
        for target in [root.path().to_owned(), root.path().join("no/such/folder")] {
            let error = PendingFile::create("--out", &target)
                .err()
                .expect("refused");
            assert_eq!(crate::bad_input::exit_code(&error), 2);
        }
    }
}
