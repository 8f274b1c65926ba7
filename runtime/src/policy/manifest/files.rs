//! The list of a package's files: sizes, hashes and plain names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::fault::{FieldFault, fault};

const MAX_FILES: usize = 256;
/// ONNX is protobuf, which ends at 2 GiB; external data may be larger.
const MAX_GRAPH_BYTES: u64 = 2 << 30;
const MAX_PACKAGE_BYTES: u64 = 8 << 30;

/// Size and hash of a file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
}

impl FileRecord {
    /// The record of a file with this content.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self {
            bytes: content.len() as u64,
            sha256: hex(&Sha256::digest(content)),
        }
    }
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Checks names, sizes and the form of the hashes.
pub(super) fn check_files(files: &BTreeMap<String, FileRecord>) -> Result<(), FieldFault> {
    if files.len() > MAX_FILES {
        let message = format!("lists {} files, at most {MAX_FILES} are taken", files.len());
        return Err(fault("files", message));
    }
    let mut total = 0_u64;
    for (name, record) in files {
        let field = format!("files.{}", name.escape_debug());
        check_file_name(&field, name)?;
        let most = if name.ends_with(".onnx") {
            MAX_GRAPH_BYTES
        } else {
            MAX_PACKAGE_BYTES
        };
        if record.bytes == 0 || record.bytes > most {
            let message = format!("has {} bytes, must have 1 to {most}", record.bytes);
            return Err(fault(field, message));
        }
        total = total.saturating_add(record.bytes);
        if record.sha256.len() != 64 || !record.sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(fault(
                format!("{field}.sha256"),
                "is not 64 hexadecimal digits",
            ));
        }
    }
    if total > MAX_PACKAGE_BYTES {
        let message = format!("sum up to {total} bytes, at most {MAX_PACKAGE_BYTES} are taken");
        return Err(fault("files", message));
    }
    Ok(())
}

/// Checks that a file is named plainly and listed.
pub(super) fn check_listed(
    files: &BTreeMap<String, FileRecord>,
    field: &str,
    name: &str,
) -> Result<(), FieldFault> {
    check_file_name(field, name)?;
    if files.contains_key(name) {
        Ok(())
    } else {
        let message = format!("names \"{name}\", which `files` does not list");
        Err(fault(field, message))
    }
}

/// A file name is one plain component: nothing that leads out of the folder on any system.
fn check_file_name(field: &str, name: &str) -> Result<(), FieldFault> {
    let plain = !name.is_empty()
        && name.len() <= 255
        && name != "."
        && name != ".."
        && name != "policy.json"
        && !name
            .chars()
            .any(|c| matches!(c, '/' | '\\' | ':') || c.is_control());
    if plain {
        return Ok(());
    }
    let name = name.escape_debug();
    let message = format!("\"{name}\" is not a plain file name inside the package");
    Err(fault(field, message))
}
