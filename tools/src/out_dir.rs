//! Result folders that are there whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::bad_input::{as_bad_input, bad_input};

/// A folder being written under a temporary name next to where it will stand.
///
/// Nothing appears under the final name before [`OutDir::publish`]; dropped earlier, everything written is removed.
pub struct OutDir {
    staging: TempDir,
    target: PathBuf,
}

impl OutDir {
    /// Prepares to write `target`, and finds out now rather than after an hour that it cannot be written.
    ///
    /// An existing folder with something in it is refused unless `force` is set and `marker`, the file that tells one
    /// of our own results from somebody's home folder, lies in it.
    pub fn create(target: &Path, force: bool, marker: &str) -> Result<Self> {
        let told = target.display();
        if target.exists() {
            let mut entries = fs::read_dir(target)
                .map_err(|error| bad_input(format!("--out {told}: {error}; name a folder")))?;
            if entries.next().is_some() {
                if !force {
                    return Err(bad_input(format!(
                        "--out {told}: not empty; name another folder, or replace it with --force"
                    )));
                }
                if !target.join(marker).is_file() {
                    return Err(bad_input(format!(
                        "--out {told}: holds no {marker}, so it is not one of ours and --force does not replace it"
                    )));
                }
            }
        }
        let parent = parent_of(target);
        let stage = || -> Result<TempDir> {
            fs::create_dir_all(&parent)?;
            let name = target
                .file_name()
                .context("has no folder name")?
                .to_string_lossy()
                .into_owned();
            let mut builder = tempfile::Builder::new();
            let prefix = format!(".{name}.");
            builder.prefix(&prefix).suffix(".partial");
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                builder.permissions(fs::Permissions::from_mode(0o777));
            }
            Ok(builder.tempdir_in(&parent)?)
        };
        let staging = stage().map_err(|error| {
            as_bad_input(error.context(format!("--out {told}: cannot be written")))
        })?;
        Ok(Self {
            staging,
            target: target.to_owned(),
        })
    }

    /// Where to write for now.
    pub fn path(&self) -> &Path {
        self.staging.path()
    }

    /// Gives the folder its final name, replacing what stood there.
    pub fn publish(self) -> Result<PathBuf> {
        let told = self.target.display().to_string();
        let publish = || -> std::io::Result<()> {
            if !self.target.exists() {
                return fs::rename(self.staging.path(), &self.target);
            }
            // Two renames: a crash between them leaves the old folder under its temporary name, never a mixture.
            let aside = tempfile::Builder::new()
                .prefix(".replaced.")
                .tempdir_in(parent_of(&self.target))?;
            let old = aside.path().join("old");
            fs::rename(&self.target, &old)?;
            let renamed = fs::rename(self.staging.path(), &self.target);
            if renamed.is_err() {
                fs::rename(&old, &self.target)?;
            }
            renamed
        };
        publish().with_context(|| format!("--out {told}: cannot be put in place"))?;
        // The staged folder has moved: nothing is left under its temporary name to remove.
        let _ = self.staging.keep();
        Ok(self.target)
    }
}

/// The folder that holds `target`; `.` for a bare name.
fn parent_of(target: &Path) -> PathBuf {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn appears_whole_and_only_at_the_end() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("deep/result");
        let out = OutDir::create(&target, false, "report.json").unwrap();
        fs::write(out.path().join("report.json"), "{}").unwrap();
        assert!(!target.exists());
        out.publish().unwrap();
        assert_eq!(names(&target), ["report.json"]);
        assert_eq!(names(&root.path().join("deep")), ["result"]);
    }

    #[test]
    fn dropped_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let out = OutDir::create(&root.path().join("result"), false, "report.json").unwrap();
        fs::write(out.path().join("half"), "x").unwrap();
        drop(out);
        assert!(names(root.path()).is_empty());
    }

    #[test]
    fn full_folders_need_force_and_must_be_ours() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("result");
        fs::create_dir(&target).unwrap();
        OutDir::create(&target, false, "report.json").expect("an empty folder is fine");
        fs::write(target.join("thesis.txt"), "x").unwrap();
        for force in [false, true] {
            assert!(
                OutDir::create(&target, force, "report.json").is_err(),
                "force {force}"
            );
        }
        fs::write(target.join("report.json"), "{}").unwrap();
        assert!(OutDir::create(&target, false, "report.json").is_err());
        let out = OutDir::create(&target, true, "report.json").unwrap();
        fs::write(out.path().join("report.json"), "new").unwrap();
        out.publish().unwrap();
        assert_eq!(names(&target), ["report.json"]);
        assert_eq!(names(root.path()), ["result"]);
    }

    #[test]
    fn a_file_in_the_way_is_bad_input() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "x").unwrap();
        for target in [file.clone(), file.join("result")] {
            let error = OutDir::create(&target, true, "report.json")
                .err()
                .expect("refused");
            assert_eq!(crate::bad_input::exit_code(&error), 2);
        }
    }
}
