//! Weights that lie in files beside the graph, as today's exporters write them.

use std::collections::HashMap;
use std::path::{Component, Path};

use tract_onnx::pb::tensor_proto::DataLocation;
use tract_onnx::pb::{GraphProto, TensorProto};

use crate::QuantizeError;

/// Takes weights from other files into the graph. `read` gives the content of a file of this plain name.
pub(crate) fn resolve(
    graph: &mut GraphProto,
    mut read: impl FnMut(&str) -> Result<Vec<u8>, QuantizeError>,
) -> Result<(), QuantizeError> {
    let mut files: HashMap<String, Vec<u8>> = HashMap::new();
    let constants = graph.node.iter_mut().flat_map(|node| &mut node.attribute);
    let constants = constants.filter_map(|attribute| attribute.t.as_mut());
    for tensor in graph.initializer.iter_mut().chain(constants) {
        if tensor.data_location != Some(DataLocation::External as i32) {
            continue;
        }
        let entry = |key: &str| {
            let mut entries = tensor.external_data.iter();
            entries
                .find(|entry| entry.key == key)
                .map(|e| e.value.clone())
        };
        let wrong = |tensor: &TensorProto, message: &str| QuantizeError::Weight {
            tensor: tensor.name.clone(),
            message: message.to_owned(),
        };
        let Some(file) = entry("location").filter(|file| is_plain(file)) else {
            return Err(wrong(tensor, "does not name a file in the graph's folder"));
        };
        let number = |key: &str| entry(key).map(|text| text.parse::<usize>()).transpose();
        let (Ok(offset), Ok(length)) = (number("offset"), number("length")) else {
            return Err(wrong(tensor, "has no number as its offset or length"));
        };
        if !files.contains_key(&file) {
            files.insert(file.clone(), read(&file)?);
        }
        let start = offset.unwrap_or(0);
        let bytes = files.get(&file).and_then(|content| {
            let end = match length {
                Some(length) => start.checked_add(length)?,
                None => content.len(),
            };
            content.get(start..end)
        });
        let Some(bytes) = bytes else {
            return Err(wrong(tensor, "reaches over the end of its file"));
        };
        tensor.raw_data = bytes.to_vec();
        tensor.data_location = None;
        tensor.external_data.clear();
    }
    Ok(())
}

fn is_plain(file: &str) -> bool {
    let mut parts = Path::new(file).components();
    matches!(parts.next(), Some(Component::Normal(_))) && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::StringStringEntryProto;

    use super::*;

    fn graph(entries: &[(&str, &str)]) -> GraphProto {
        let entry = |(key, value): &(&str, &str)| StringStringEntryProto {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
        };
        GraphProto {
            initializer: vec![TensorProto {
                name: "w".to_owned(),
                data_location: Some(DataLocation::External as i32),
                external_data: entries.iter().map(entry).collect(),
                ..TensorProto::default()
            }],
            ..GraphProto::default()
        }
    }

    fn resolved(entries: &[(&str, &str)]) -> Result<Vec<u8>, QuantizeError> {
        let mut graph = graph(entries);
        resolve(&mut graph, |name| {
            assert_eq!(name, "w.data");
            Ok(vec![1, 2, 3, 4])
        })?;
        assert!(graph.initializer[0].data_location.is_none());
        Ok(graph.initializer[0].raw_data.clone())
    }

    #[test]
    fn weights_come_from_their_place_in_the_file() {
        let file = ("location", "w.data");
        assert_eq!(resolved(&[file]).unwrap(), [1, 2, 3, 4]);
        assert_eq!(
            resolved(&[file, ("offset", "1"), ("length", "2")]).unwrap(),
            [2, 3]
        );
    }

    #[test]
    fn what_leads_elsewhere_or_over_the_end_is_refused_by_name() {
        let file = ("location", "w.data");
        for entries in [
            &[][..],
            &[("location", "../w.data")],
            &[("location", "/w.data")],
            &[("location", "a/w.data")],
            &[file, ("offset", "x")],
            &[file, ("offset", "3"), ("length", "2")],
            &[file, ("offset", "18446744073709551615"), ("length", "2")],
        ] {
            let error = resolved(entries).unwrap_err();
            assert!(error.to_string().contains("\"w\""), "{entries:?}: {error}");
        }
    }
}
