//! Weights that lie in a file beside the graph, as today's exporters write them.

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;
use tract_onnx::pb::tensor_proto::DataLocation;
use tract_onnx::pb::{GraphProto, TensorProto};

use super::element::Element;
use super::value::volume;

/// Bytes up to which a weight is read at once; larger ones are read when tract makes its tensors.
const SMALL: usize = 1 << 18;

/// Whether a tensor's data lie in another file.
pub(crate) fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location == Some(DataLocation::External as i32)
}

/// Checks where each weight lies and how long it is, and reads those that are small or of a type that tract lacks.
///
/// # Errors
/// With the tensor's name, when its file is not in `folder` by plain name, or too short.
pub(crate) fn resolve(graph: &mut GraphProto, folder: &Path) -> Result<(), String> {
    let mut open: Option<(String, Mmap)> = None;
    each_tensor(graph, &mut |tensor| {
        if !is_external(tensor) {
            return Ok(());
        }
        let name = tensor.name.escape_debug().to_string();
        read(tensor, folder, &mut open).map_err(|message| format!("weight \"{name}\": {message}"))
    })
}

fn each_tensor(
    graph: &mut GraphProto,
    visit: &mut impl FnMut(&mut TensorProto) -> Result<(), String>,
) -> Result<(), String> {
    graph.initializer.iter_mut().try_for_each(&mut *visit)?;
    for attribute in graph.node.iter_mut().flat_map(|node| &mut node.attribute) {
        let tensors = attribute.t.iter_mut().chain(&mut attribute.tensors);
        for tensor in tensors {
            visit(tensor)?;
        }
        for inner in attribute.g.iter_mut().chain(&mut attribute.graphs) {
            each_tensor(inner, visit)?;
        }
    }
    Ok(())
}

fn read(
    tensor: &mut TensorProto,
    folder: &Path,
    open: &mut Option<(String, Mmap)>,
) -> Result<(), String> {
    let entry = |key: &str| {
        tensor
            .external_data
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| entry.value.clone())
    };
    let location = entry("location").ok_or("external data without a location")?;
    // The folder itself, as some exporters spell it out.
    let location = location.strip_prefix("./").unwrap_or(&location).to_owned();
    let number = |key: &str| -> Result<Option<usize>, String> {
        let given = entry(key).map(|text| {
            text.parse()
                .map_err(|_| format!("external data: {key} \"{}\"", text.escape_debug()))
        });
        given.transpose()
    };
    let offset = number("offset")?.unwrap_or(0);
    let element = Element::of_onnx(tensor.data_type);
    let element =
        element.ok_or_else(|| format!("element type {} is not supported", tensor.data_type))?;
    let shape: Option<Vec<usize>> = tensor
        .dims
        .iter()
        .map(|&axis| usize::try_from(axis).ok())
        .collect();
    let count = shape
        .as_deref()
        .and_then(volume)
        .ok_or_else(|| format!("impossible shape {:?}", tensor.dims))?;
    let wanted = match element {
        Element::I4 | Element::U4 => count.div_ceil(2),
        _ => count
            .checked_mul(element.size())
            .ok_or("a shape that overflows")?,
    };
    let length = number("length")?.unwrap_or(wanted);
    if length != wanted {
        return Err(format!(
            "external data of {length} bytes for shape {:?} of {element}",
            tensor.dims
        ));
    }
    if open.as_ref().is_none_or(|(name, _)| *name != location) {
        *open = Some((location.clone(), map(&location, folder)?));
    }
    let Some((_, map)) = open else {
        return Ok(());
    };
    let range = offset
        .checked_add(length)
        .and_then(|end| map.get(offset..end));
    let bytes = range.ok_or_else(|| {
        format!(
            "external data at {offset}, {length} bytes, in {} of {} bytes",
            location.escape_debug(),
            map.len()
        )
    })?;
    let half = matches!(element, Element::F16 | Element::BF16);
    let unknown = half || element.stored().is_some();
    if length <= SMALL || unknown || tensor.name.is_empty() {
        tensor.raw_data = bytes.to_vec();
        tensor.data_location = None;
        tensor.external_data.clear();
        return Ok(());
    }
    for entry in &mut tensor.external_data {
        if entry.key == "location" {
            entry.value.clone_from(&location);
        }
    }
    Ok(())
}

/// Maps a file of the folder itself into memory.
fn map(location: &str, folder: &Path) -> Result<Mmap, String> {
    let shown = location.escape_debug();
    let plain = Path::new(location)
        .file_name()
        .is_some_and(|name| name == location);
    if !plain {
        return Err(format!(
            "external data \"{shown}\": only files beside the graph are read"
        ));
    }
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let path = folder.join(location);
    let kind =
        std::fs::symlink_metadata(&path).map_err(|e| format!("external data \"{shown}\": {e}"))?;
    if !kind.is_file() {
        return Err(format!("external data \"{shown}\" is not a plain file"));
    }
    let file = File::open(&path).map_err(|e| format!("external data \"{shown}\": {e}"))?;
    // SAFETY: the map is only read. A file that another process cuts short meanwhile ends this one, as it would for any program that
    // maps it; nothing but bytes is made of its content.
    let map = unsafe { Mmap::map(&file) };
    map.map_err(|e| format!("external data \"{shown}\": {e}"))
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::StringStringEntryProto;

    use super::*;

    fn weight(entries: &[(&str, &str)]) -> GraphProto {
        let entry = |(key, value): &(&str, &str)| StringStringEntryProto {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
        };
        GraphProto {
            initializer: vec![TensorProto {
                name: "w".to_owned(),
                data_type: Element::F32.onnx(),
                dims: vec![2],
                data_location: Some(DataLocation::External as i32),
                external_data: entries.iter().map(entry).collect(),
                ..TensorProto::default()
            }],
            ..GraphProto::default()
        }
    }

    #[test]
    fn read_from_the_folder_only() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("w.data"), [0_u8, 1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
        let mut graph = weight(&[("location", "w.data"), ("offset", "1")]);
        resolve(&mut graph, folder.path()).unwrap();
        assert_eq!(graph.initializer[0].raw_data, [1, 2, 3, 4, 5, 6, 7, 8]);
        let mut graph = weight(&[("location", "./w.data"), ("offset", "1")]);
        resolve(&mut graph, folder.path()).unwrap();
        assert_eq!(graph.initializer[0].raw_data, [1, 2, 3, 4, 5, 6, 7, 8]);
        let refused: [&[(&str, &str)]; 9] = [
            &[("location", "../w.data")],
            &[("location", "./../w.data")],
            &[("location", "inside/w.data")],
            &[("location", "/etc/passwd")],
            &[("location", "missing")],
            &[("location", "w.data"), ("offset", "2")],
            &[("location", "w.data"), ("offset", "18446744073709551615")],
            &[("location", "w.data"), ("length", "4")],
            &[("offset", "0")],
        ];
        for entries in refused {
            let told = resolve(&mut weight(entries), folder.path()).unwrap_err();
            assert!(told.starts_with("weight \"w\": external data"), "{told}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("w.data")).unwrap();
        let told = resolve(&mut weight(&[("location", "w.data")]), folder.path()).unwrap_err();
        assert!(told.contains("not a plain file"), "{told}");
    }
}
