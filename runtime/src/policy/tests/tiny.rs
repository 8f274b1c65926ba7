//! A package of a few hundred bytes with both graph roles, made in code so that tests can break any part of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use prost::Message;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};

pub(super) const TOKENS: usize = 4;
pub(super) const SIDE: usize = 2;
pub(super) const STEPS: usize = 2;
pub(super) const DIM: usize = 7;
/// Flattened image, state, text, text mask.
pub(super) const FEATURES: usize = 3 * SIDE * SIDE + DIM + 2 * TOKENS;

pub(super) struct Tiny {
    pub(super) manifest: Value,
    pub(super) files: BTreeMap<String, Vec<u8>>,
}

impl Tiny {
    pub(super) fn new() -> Self {
        let mut files = BTreeMap::new();
        files.insert("text.onnx".to_owned(), text_graph().encode_to_vec());
        files.insert("act.onnx".to_owned(), act_graph().encode_to_vec());
        files.insert(
            "tokenizer.json".to_owned(),
            tokenizer().to_string().into_bytes(),
        );
        Self {
            manifest: manifest(),
            files,
        }
    }

    /// Decodes a graph, lets `edit` change it and puts it back.
    pub(super) fn edit(&mut self, name: &str, edit: impl FnOnce(&mut ModelProto)) {
        let bytes = self.files.get_mut(name).unwrap();
        let mut model = ModelProto::decode(bytes.as_slice()).unwrap();
        edit(&mut model);
        *bytes = model.encode_to_vec();
    }

    /// Writes the files, and lists those in `policy.json` that it does not list already.
    pub(super) fn write(&self, dir: &Path) {
        let mut manifest = self.manifest.clone();
        for (name, bytes) in &self.files {
            fs::write(dir.join(name), bytes).unwrap();
            if manifest["files"].get(name).is_none() {
                let hash: String = Sha256::digest(bytes)
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect();
                manifest["files"][name] = json!({"bytes": bytes.len(), "sha256": hash});
            }
        }
        fs::write(dir.join("policy.json"), manifest.to_string()).unwrap();
    }
}

/// The act graph's weight from feature to output: small, different everywhere.
pub(super) fn weight(feature: usize, output: usize) -> f32 {
    ((feature * 31 + output * 17) % 23) as f32 / 64.0 - 0.171875
}

/// Features of [`act_graph`] that the text graph makes of tokens: token plus its rank among the tokens, then the mask.
pub(super) fn text_features(tokens: [i64; TOKENS]) -> Vec<f32> {
    let mut rank = 0;
    let text = tokens.map(|token| {
        rank += i64::from(token != 0);
        (token + rank) as f32
    });
    let mask = tokens.map(|token| f32::from(u8::from(token != 0)));
    text.into_iter().chain(mask).collect()
}

fn manifest() -> Value {
    let resize = json!({"width": SIDE, "height": SIDE, "fit": "stretch", "filter": "bilinear", "antialias": true,
                        "on": "floats"});
    json!({
        "format": 2, "name": "tiny", "version": "0.0.1", "licence": "MIT", "control_hz": 20,
        "observations": {
            "cameras": [{"name": "front", "transform": [{"resize": resize}], "channels": "rgb", "layout": "nchw",
                         "history": 1,
                         "normalisation": {"mean_std": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "epsilon": 0}}}],
            "states": [{"name": "state", "names": ["x", "y", "z", "roll", "pitch", "yaw", "gripper"],
                        "units": ["m", "m", "m", "rad", "rad", "rad", "fraction"], "history": 1,
                        "normalisation": {"mean_std": {"mean": [0.25, 0, 0, 0, 0, 0, 0], "std": [0.5, 1, 1, 1, 1, 1, 1],
                                                       "epsilon": 0}}}],
            "text": {"name": "tokens", "tokenizer": "tokenizer.json", "template": "{instruction}", "clean": [],
                     "special_tokens": true, "max_tokens": TOKENS, "padding": "right", "pad_id": 0, "element": "i64"}
        },
        "stages": [
            {"name": "text", "run": "episode", "inputs": {"tokens": "tokens"}, "outputs": ["text", "text_mask"]},
            {"name": "act", "run": "observation",
             "inputs": {"image": "front", "state": "state", "text": "text.text", "text_mask": "text.text_mask"},
             "outputs": ["action"]}
        ],
        "action": {"from": "act.action", "space": "ee_delta", "reference": "relative",
                   "names": ["dx", "dy", "dz", "droll", "dpitch", "dyaw", "gripper"],
                   "units": ["decimetre", "decimetre", "decimetre", "decirad", "decirad", "decirad", "fraction"],
                   "chunk": STEPS, "first": 0, "execute": 1, "width": DIM,
                   "normalisation": {"mean_std": {"mean": [0.5, 0, 0, 0, 0, 0, 0.5], "std": [2, 1, 1, 1, 1, 1, 0.5],
                                                  "epsilon": 0}},
                   "threshold": {"gripper": 0.5}},
        "auxiliary": [],
        "default_precision": "f32",
        "precisions": {"f32": {"text": "text.onnx", "act": "act.onnx"}},
        "files": {}
    })
}

/// Words become ids; it asks to be cut to two tokens, which the runtime must not do.
fn tokenizer() -> Value {
    json!({
        "version": "1.0", "added_tokens": [], "normalizer": null, "post_processor": null, "decoder": null,
        "truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
        "padding": null,
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "unk_token": "[UNK]",
                  "vocab": {"[PAD]": 0, "[UNK]": 1, "pick": 2, "the": 3, "block": 4}}
    })
}

fn text_graph() -> ModelProto {
    let nodes = vec![
        node(
            "Cast",
            &["tokens"],
            "tokens_f32",
            &[int("to", DataType::Float as i64)],
        ),
        node("Equal", &["tokens", "zero"], "is_padding", &[]),
        node("Not", &["is_padding"], "is_token", &[]),
        node(
            "Cast",
            &["is_token"],
            "text_mask",
            &[int("to", DataType::Float as i64)],
        ),
        node(
            "Cast",
            &["is_token"],
            "ones",
            &[int("to", DataType::Int64 as i64)],
        ),
        node("CumSum", &["ones", "axis"], "rank", &[]),
        node(
            "Cast",
            &["rank"],
            "rank_f32",
            &[int("to", DataType::Float as i64)],
        ),
        node("Add", &["tokens_f32", "rank_f32"], "text", &[]),
    ];
    let weights = vec![integers("zero", &[], &[0]), integers("axis", &[], &[1])];
    let outputs = [
        value("text", DataType::Float, &[1, 4]),
        value("text_mask", DataType::Float, &[1, 4]),
    ];
    model(
        nodes,
        weights,
        &[value("tokens", DataType::Int64, &[1, TOKENS as i64])],
        &outputs,
    )
}

fn act_graph() -> ModelProto {
    let nodes = vec![
        node("Flatten", &["image"], "pixels", &[int("axis", 1)]),
        node(
            "Concat",
            &["pixels", "state", "text", "text_mask"],
            "features",
            &[int("axis", 1)],
        ),
        node("MatMul", &["features", "weight"], "flat", &[]),
        node("Reshape", &["flat", "shape"], "action", &[]),
    ];
    let values: Vec<f32> = (0..FEATURES * STEPS * DIM)
        .map(|i| weight(i / (STEPS * DIM), i % (STEPS * DIM)))
        .collect();
    let weights = vec![
        floats("weight", &[FEATURES as i64, (STEPS * DIM) as i64], &values),
        integers("shape", &[3], &[1, STEPS as i64, DIM as i64]),
    ];
    let inputs = [
        value("image", DataType::Float, &[1, 3, SIDE as i64, SIDE as i64]),
        value("state", DataType::Float, &[1, DIM as i64]),
        value("text", DataType::Float, &[1, TOKENS as i64]),
        value("text_mask", DataType::Float, &[1, TOKENS as i64]),
    ];
    model(
        nodes,
        weights,
        &inputs,
        &[value(
            "action",
            DataType::Float,
            &[1, STEPS as i64, DIM as i64],
        )],
    )
}

pub(super) fn model(
    node: Vec<NodeProto>,
    initializer: Vec<TensorProto>,
    input: &[ValueInfoProto],
    output: &[ValueInfoProto],
) -> ModelProto {
    let graph = GraphProto {
        name: "tiny".to_owned(),
        node,
        initializer,
        input: input.to_vec(),
        output: output.to_vec(),
        ..GraphProto::default()
    };
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: 17,
        }],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

pub(super) fn node(
    op: &str,
    inputs: &[&str],
    output: &str,
    attributes: &[AttributeProto],
) -> NodeProto {
    NodeProto {
        name: format!("make_{output}"),
        op_type: op.to_owned(),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        attribute: attributes.to_vec(),
        ..NodeProto::default()
    }
}

pub(super) fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: 2,
        i,
        ..AttributeProto::default()
    }
}

pub(super) fn value(name: &str, element: DataType, shape: &[i64]) -> ValueInfoProto {
    let dim = shape.iter().map(|&size| Dimension {
        value: Some(dimension::Value::DimValue(size)),
        ..Dimension::default()
    });
    let tensor = type_proto::Tensor {
        elem_type: element as i32,
        shape: Some(TensorShapeProto { dim: dim.collect() }),
    };
    let value = Some(type_proto::Value::TensorType(tensor));
    let r#type = Some(TypeProto {
        value,
        ..TypeProto::default()
    });
    ValueInfoProto {
        name: name.to_owned(),
        r#type,
        ..ValueInfoProto::default()
    }
}

pub(super) fn floats(name: &str, shape: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: shape.to_vec(),
        data_type: DataType::Float as i32,
        raw_data: values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect(),
        ..TensorProto::default()
    }
}

pub(super) fn integers(name: &str, shape: &[i64], values: &[i64]) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: shape.to_vec(),
        data_type: DataType::Int64 as i32,
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}
