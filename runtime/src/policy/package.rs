//! The policy package: a folder with `policy.json` and the files it lists.
//!
//! A package is untrusted input. Opening one reads and hashes every listed file; nothing outside the folder is ever opened.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::manifest::{FORMAT, FileRecord, Manifest, hex};

const MANIFEST: &str = "policy.json";
const MAX_MANIFEST_BYTES: u64 = 1 << 20;
/// Bytes that are read and hashed at once.
const PART: usize = 1 << 20;

/// Why a package is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// The folder or one of its files cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Folder or file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },

    /// `policy.json` is not the JSON that it should be.
    #[error("{}: {message}", file.display())]
    Manifest {
        /// `policy.json`.
        file: PathBuf,
        /// What is wrong, with line and column.
        message: String,
    },

    /// `policy.json` was written for another version of the format.
    #[error("{}: format {found} is not the format {FORMAT} that this version reads", file.display())]
    Format {
        /// `policy.json`.
        file: PathBuf,
        /// Its format version.
        found: u64,
    },

    /// A field of `policy.json` has a value that cannot be.
    #[error("{}: `{field}` {message}", file.display())]
    Field {
        /// `policy.json`.
        file: PathBuf,
        /// Path of the field.
        field: String,
        /// What is wrong with it.
        message: String,
    },

    /// A listed file is a link out of the folder, or no file at all.
    #[error("{}: is not a plain file inside the package", file.display())]
    NotInside {
        /// The file.
        file: PathBuf,
    },

    /// A file is larger than can be.
    #[error("{}: larger than {limit} bytes", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// The limit.
        limit: u64,
    },

    /// A file is longer or shorter than listed.
    #[error("{}: {found} bytes instead of the {expected} that policy.json lists: truncated or replaced", file.display())]
    WrongSize {
        /// The file.
        file: PathBuf,
        /// Size in `policy.json`.
        expected: u64,
        /// Size on disk.
        found: u64,
    },

    /// A file's content is not what was listed.
    #[error("{}: SHA-256 is {found}, policy.json lists {expected}: corrupt or replaced", file.display())]
    WrongHash {
        /// The file.
        file: PathBuf,
        /// Hash in `policy.json`.
        expected: String,
        /// Hash of the content.
        found: String,
    },
}

/// A package whose manifest and files were checked.
#[derive(Debug, Clone)]
pub struct Package {
    dir: PathBuf,
    manifest: Manifest,
}

impl Package {
    /// Opens the package in `dir` and checks manifest, sizes and hashes of all files.
    ///
    /// # Errors
    /// The first thing that is wrong, with the file or the field of `policy.json`.
    pub fn open(dir: &Path) -> Result<Self, PackageError> {
        let folder = dir.canonicalize().map_err(|source| PackageError::Read {
            path: dir.to_path_buf(),
            source,
        })?;
        if !folder.is_dir() {
            let source = std::io::Error::other(
                "is not a folder; a policy package is a folder with policy.json",
            );
            return Err(PackageError::Read {
                path: dir.to_path_buf(),
                source,
            });
        }
        let file = dir.join(MANIFEST);
        let manifest = read_manifest(&folder, &file)?;
        let package = Package {
            dir: dir.to_path_buf(),
            manifest,
        };
        for (name, record) in &package.manifest.files {
            package.visit(name, record, |_| {})?;
        }
        Ok(package)
    }

    /// The folder, as given.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The content of `policy.json`.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where a file of this name lies in the package.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The bytes of a listed file, whose hash is checked again: a file may have changed since the package was opened.
    ///
    /// # Errors
    /// When the file is not listed, or is no longer what it was.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, PackageError> {
        let mut content = Vec::new();
        self.visit(name, self.record(name)?, |part| {
            content.extend_from_slice(part)
        })?;
        Ok(content)
    }

    /// The same in parts that can be freed one by one.
    ///
    /// # Errors
    /// As for [`Package::read`].
    pub fn read_parts(&self, name: &str) -> Result<Vec<Vec<u8>>, PackageError> {
        let mut parts = Vec::new();
        self.visit(name, self.record(name)?, |part| parts.push(part.to_vec()))?;
        Ok(parts)
    }

    fn record(&self, name: &str) -> Result<&FileRecord, PackageError> {
        let record = self.manifest.files.get(name);
        record.ok_or_else(|| PackageError::Field {
            file: self.path(MANIFEST),
            field: "files".into(),
            message: format!("does not list \"{}\"", name.escape_debug()),
        })
    }

    /// Reads a file in parts while checking size and hash.
    fn visit(
        &self,
        name: &str,
        record: &FileRecord,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), PackageError> {
        let path = self.path(name);
        let failed = |source| PackageError::Read {
            path: path.clone(),
            source,
        };
        let folder = self.dir.canonicalize().map_err(failed)?;
        let mut file = open_inside(&folder, &path)?;
        let found = file.metadata().map_err(failed)?.len();
        if found != record.bytes {
            return Err(PackageError::WrongSize {
                file: path,
                expected: record.bytes,
                found,
            });
        }
        let mut hash = Sha256::new();
        let mut part = vec![0; PART];
        let mut total = 0_u64;
        loop {
            let count = file.read(&mut part).map_err(failed)?;
            if count == 0 {
                break;
            }
            total += count as u64;
            if total > record.bytes {
                break;
            }
            hash.update(&part[..count]);
            take(&part[..count]);
        }
        if total != record.bytes {
            return Err(PackageError::WrongSize {
                file: path,
                expected: record.bytes,
                found: total,
            });
        }
        let found = hex(&hash.finalize());
        if found.eq_ignore_ascii_case(&record.sha256) {
            Ok(())
        } else {
            Err(PackageError::WrongHash {
                file: path,
                expected: record.sha256.clone(),
                found,
            })
        }
    }
}

/// Opens a plain file that lies in `folder` (canonical); a link may point to another file of the folder, not out of it.
fn open_inside(folder: &Path, path: &Path) -> Result<File, PackageError> {
    let failed = |source| PackageError::Read {
        path: path.to_path_buf(),
        source,
    };
    let real = path.canonicalize().map_err(failed)?;
    if real.parent() != Some(folder) || !real.metadata().map_err(failed)?.is_file() {
        return Err(PackageError::NotInside {
            file: path.to_path_buf(),
        });
    }
    File::open(real).map_err(failed)
}

fn read_manifest(folder: &Path, path: &Path) -> Result<Manifest, PackageError> {
    let file = path.to_path_buf();
    let mut content = Vec::new();
    open_inside(folder, path)?
        .take(MAX_MANIFEST_BYTES + 1)
        .read_to_end(&mut content)
        .map_err(|source| PackageError::Read {
            path: file.clone(),
            source,
        })?;
    if content.len() as u64 > MAX_MANIFEST_BYTES {
        return Err(PackageError::TooLarge {
            file,
            limit: MAX_MANIFEST_BYTES,
        });
    }
    Manifest::parse(&content, &file)
}

impl Manifest {
    /// Reads and checks the content of `policy.json`; errors name `file`.
    ///
    /// # Errors
    /// When it is not the JSON that it should be, or a field has a value that cannot be.
    pub fn parse(content: &[u8], file: &Path) -> Result<Self, PackageError> {
        /// The version decides how the rest is read, so it is read first.
        #[derive(Deserialize)]
        struct Head {
            format: u64,
        }
        let refused = |error: serde_json::Error| PackageError::Manifest {
            file: file.to_owned(),
            message: one_line(&error.to_string()),
        };
        let head: Head = serde_json::from_slice(content).map_err(refused)?;
        if head.format != u64::from(FORMAT) {
            return Err(PackageError::Format {
                file: file.to_owned(),
                found: head.format,
            });
        }
        let manifest: Self = serde_json::from_slice(content).map_err(refused)?;
        match manifest.check() {
            Ok(()) => Ok(manifest),
            Err(fault) => Err(PackageError::Field {
                file: file.to_owned(),
                field: fault.field,
                message: fault.message,
            }),
        }
    }
}

/// Errors quote names of the file, which may hold line ends.
fn one_line(message: &str) -> String {
    const MAX_CHARS: usize = 300;
    let mut line = String::new();
    for c in message.chars().take(MAX_CHARS) {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}
