//! Which other programs have a device open.

use std::fs;
use std::path::Path;

/// A program that has a device open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Its name.
    pub name: String,
}

/// The other programs that have a device open, as far as this user may see their open files.
#[must_use]
pub fn holders(path: &Path) -> Vec<Holder> {
    listed(Path::new("/proc"), path)
}

/// As [`holders`], with another folder for `/proc`.
fn listed(proc: &Path, path: &Path) -> Vec<Holder> {
    let Ok(device) = path.canonicalize() else {
        return vec![];
    };
    let own = std::process::id();
    let processes = fs::read_dir(proc).into_iter().flatten().flatten();
    processes
        .filter_map(|process| Some((process.file_name().to_str()?.parse().ok()?, process.path())))
        .filter(|(pid, folder)| *pid != own && has_open(folder, &device))
        .map(|(pid, folder)| Holder {
            pid,
            name: fs::read_to_string(folder.join("comm"))
                .map_or_else(|_| "a program".to_owned(), |name| name.trim().to_owned()),
        })
        .collect()
}

/// Whether the process of this folder of `/proc` has the device open.
fn has_open(folder: &Path, device: &Path) -> bool {
    let files = fs::read_dir(folder.join("fd"));
    let mut files = files.into_iter().flatten().flatten();
    files.any(|file| fs::read_link(file.path()).is_ok_and(|target| target == device))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn who_holds_a_device_is_named() {
        let root = tempfile::tempdir().unwrap();
        let device = root.path().join("video0");
        fs::write(&device, "").unwrap();
        let device = fs::canonicalize(device).unwrap();
        let files = root.path().join("proc/4242/fd");
        fs::create_dir_all(&files).unwrap();
        let proc = root.path().join("proc");
        assert_eq!(listed(&proc, &device), []);
        symlink(&device, files.join("7")).unwrap();
        fs::write(root.path().join("proc/4242/comm"), "cheese\n").unwrap();
        let cheese = Holder {
            pid: 4242,
            name: "cheese".to_owned(),
        };
        assert_eq!(listed(&proc, &device), [cheese]);
    }
}
