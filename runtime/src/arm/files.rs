//! Arm files and calibration files on disk: found by name, read within a budget, written whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// More than any arm's or calibration's file has, bytes.
const MOST_BYTES: u64 = 1 << 20;
/// Symbolic links that are followed, one after the other.
const MOST_LINKS: usize = 40;

/// A file that cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What is in the way.
    pub message: String,
}

impl FileError {
    fn new(path: &Path, message: impl ToString) -> Self {
        Self {
            path: path.to_owned(),
            message: message.to_string(),
        }
    }
}

/// The file that a user means: a path, where it ends with `.toml` or names a folder; else `NAME.toml` in `folder`.
#[must_use]
pub fn named_file(folder: &Path, name: &str) -> PathBuf {
    let direct = Path::new(name);
    let is_path =
        direct.extension().is_some_and(|end| end == "toml") || direct.components().count() > 1;
    if is_path {
        direct.to_owned()
    } else {
        folder.join(format!("{name}.toml"))
    }
}

/// The text of a file of at most 1 MiB.
///
/// # Errors
/// When it cannot be read, is longer, or is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    let refused = |error: io::Error| FileError::new(path, error);
    let file = File::open(path).map_err(refused)?;
    if file.metadata().map_err(refused)?.is_dir() {
        return Err(FileError::new(path, "this is a folder: name a file"));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(refused)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(FileError::new(
            path,
            "longer than 1 MiB: this is another file",
        ));
    }
    String::from_utf8(bytes).map_err(|_| FileError::new(path, "not text in UTF-8"))
}

/// Writes a file whole or not at all. A symbolic link stays one: what it leads to is written. A file that is there keeps its mode.
/// Missing folders are made.
///
/// # Errors
/// When the path is a folder or the file cannot be written. What was there is then as it was.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let refused = |error: io::Error| FileError::new(path, error);
    let ends_as_folder = path.as_os_str().as_encoded_bytes().ends_with(b"/");
    let target = behind_links(path).map_err(refused)?;
    match fs::metadata(&target) {
        Ok(found) if found.is_dir() => {
            Err(FileError::new(path, "this is a folder: name a file in it"))
        }
        // A device or a pipe takes bytes and is not replaced.
        Ok(found) if !found.is_file() => OpenOptions::new()
            .write(true)
            .open(&target)
            .and_then(|mut file| file.write_all(bytes))
            .map_err(refused),
        Ok(found) if found.permissions().readonly() => Err(FileError::new(
            path,
            "the file is read-only: it was not written",
        )),
        Ok(found) => replace(&target, bytes, Some(found.permissions())).map_err(refused),
        Err(_) if ends_as_folder => {
            Err(FileError::new(path, "this is a folder: name a file in it"))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            replace(&target, bytes, None).map_err(refused)
        }
        Err(error) => Err(refused(error)),
    }
}

/// What a path leads to, whether or not that is there.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_owned();
    for _ in 0..MOST_LINKS {
        let is_link = fs::symlink_metadata(&target).is_ok_and(|found| found.is_symlink());
        if !is_link {
            return Ok(target);
        }
        let next = fs::read_link(&target)?;
        target = target.parent().unwrap_or(Path::new("")).join(next);
    }
    Err(io::Error::other("too many symbolic links"))
}

fn replace(target: &Path, bytes: &[u8], mode: Option<fs::Permissions>) -> io::Result<()> {
    let folder = target
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".wink-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    // The name of the part would only puzzle.
    let in_folder = |error: io::Error| {
        let why = format!("its folder cannot be written: {}", error.kind());
        io::Error::new(error.kind(), why)
    };
    let mut part = builder.tempfile_in(folder).map_err(in_folder)?;
    part.write_all(bytes)?;
    if let Some(mode) = mode {
        part.as_file().set_permissions(mode)?;
    }
    part.as_file().sync_all()?;
    part.persist(target).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests;
