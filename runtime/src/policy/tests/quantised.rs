//! Foreign quantised graphs: what is fused gives the engine's actions, and what makes no sense is refused by name.

use std::num::NonZeroUsize;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, OperatorSetIdProto, TensorProto};

use super::tiny::{DIM, FEATURES, STEPS, Tiny, floats, int, integers, node};
use super::{act, load};
use crate::policy::{Execution, OnnxPolicy, Package, PolicyError, Threads};

const OUTPUTS: usize = STEPS * DIM;

/// Scales of the activations and of each column of the weights.
struct Scales {
    activations: f32,
    columns: Vec<f32>,
}

impl Scales {
    fn good() -> Self {
        Self {
            activations: 0.04,
            columns: (0..OUTPUTS)
                .map(|column| 0.001 + 1e-5 * column as f32)
                .collect(),
        }
    }

    /// The tiny policy with quantised features and weights in front of its product.
    fn policy(&self) -> Tiny {
        let mut tiny = Tiny::new();
        tiny.edit("act.onnx", |model| self.quantise(model));
        tiny
    }

    fn quantise(&self, model: &mut ModelProto) {
        let graph = model.graph.as_mut().unwrap();
        let product = graph
            .node
            .iter()
            .position(|node| node.op_type == "MatMul")
            .unwrap();
        graph.node[product].input = vec!["features_back".into(), "weight_back".into()];
        let activations = |input| [input, "scale", "zero"];
        let nodes = [
            node(
                "QuantizeLinear",
                &activations("features"),
                "features_8",
                &[],
            ),
            node(
                "DequantizeLinear",
                &activations("features_8"),
                "features_back",
                &[],
            ),
            node(
                "DequantizeLinear",
                &["weight_8", "column_scales"],
                "weight_back",
                &[int("axis", 1)],
            ),
        ];
        graph.node.splice(product..product, nodes);
        let bytes = (0..FEATURES * OUTPUTS).map(|i| (i * 89 % 256) as u8);
        graph.initializer = vec![
            eight_bits(
                "weight_8",
                DataType::Int8,
                &[FEATURES, OUTPUTS],
                bytes.collect(),
            ),
            eight_bits("zero", DataType::Uint8, &[], vec![77]),
            floats("scale", &[], &[self.activations]),
            floats("column_scales", &[self.columns.len() as i64], &self.columns),
            integers("shape", &[3], &[1, STEPS as i64, DIM as i64]),
        ];
    }
}

/// The tiny policy with a product of 64 values, its features again and again, and 4-bit weights, with zero points and a bias.
fn four_bits(weight_bytes: usize) -> Tiny {
    const K: usize = 64;
    let mut tiny = Tiny::new();
    tiny.edit("act.onnx", |model| {
        model.opset_import.push(OperatorSetIdProto {
            domain: "com.microsoft".to_owned(),
            version: 1,
        });
        let graph = model.graph.as_mut().unwrap();
        let product = graph.node.iter().position(|n| n.op_type == "MatMul");
        let thrice = ["features"; 3];
        let repeat = node("Concat", &thrice, "repeated", &[int("axis", 1)]);
        let slice = node("Slice", &["repeated", "first", "last", "axis"], "some", &[]);
        let inputs = ["some", "weight_4", "scales", "zeros", "", "bias"];
        let sizes = [
            int("K", K as i64),
            int("N", OUTPUTS as i64),
            int("bits", 4),
            int("block_size", 32),
        ];
        let mut nbits = node("MatMulNBits", &inputs, "flat", &sizes);
        nbits.domain = "com.microsoft".to_owned();
        let at = product.unwrap();
        graph.node.splice(at..=at, [repeat, slice, nbits]);
        // Of few bits, so that they are the same in half precision.
        let scales: Vec<f32> = (0..2 * OUTPUTS).map(|i| (i + 3) as f32 / 1024.0).collect();
        let bias: Vec<f32> = (0..OUTPUTS).map(|i| i as f32 * 0.01 - 0.05).collect();
        let bytes = |count: usize, by: usize| (0..count).map(move |i| (i * by % 256) as u8);
        graph.initializer = vec![
            eight_bits(
                "weight_4",
                DataType::Uint8,
                &[OUTPUTS, 2, weight_bytes / 2 / OUTPUTS],
                bytes(weight_bytes, 89).collect(),
            ),
            eight_bits(
                "zeros",
                DataType::Uint8,
                &[OUTPUTS],
                bytes(OUTPUTS, 71).collect(),
            ),
            floats("scales", &[2 * OUTPUTS as i64], &scales),
            floats("bias", &[OUTPUTS as i64], &bias),
            integers("first", &[1], &[0]),
            integers("last", &[1], &[K as i64]),
            integers("axis", &[1], &[1]),
            integers("shape", &[3], &[1, STEPS as i64, DIM as i64]),
        ];
    });
    tiny
}

fn eight_bits(name: &str, element: DataType, shape: &[usize], bytes: Vec<u8>) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: shape.iter().map(|&size| size as i64).collect(),
        data_type: element as i32,
        raw_data: bytes,
        ..TensorProto::default()
    }
}

fn load_with(tiny: &Tiny, execution: Execution) -> Result<OnnxPolicy, PolicyError> {
    let dir = tempfile::tempdir().unwrap();
    tiny.write(dir.path());
    OnnxPolicy::load_with(&Package::open(dir.path()).unwrap(), None, execution)
}

#[test]
fn a_product_with_odd_sizes_is_fused_and_right() {
    let tiny = Scales::good().policy();
    let mut fused = load(&tiny);
    let fusion = fused.stages()[1].fusion.clone().unwrap();
    assert_eq!(fusion.fused.get("FusedLinear"), Some(&1), "{fusion:?}");
    let mut plain = load_with(&tiny, Execution::Plain).unwrap();
    let wanted = act(&mut plain, "pick the block").unwrap();
    let found = act(&mut fused, "pick the block").unwrap();
    for (found, wanted) in found.iter().zip(&wanted) {
        assert!((found - wanted).abs() < 1e-4, "{found} for {wanted}");
    }
    let threads = Threads {
        count: NonZeroUsize::new(3).unwrap(),
        pinned: false,
    };
    fused.use_threads(threads).unwrap();
    assert_eq!(act(&mut fused, "pick the block").unwrap(), found);
}

#[test]
fn four_bit_weights_stay_packed_and_are_right() {
    let tiny = four_bits(OUTPUTS * 32);
    let mut fused = load(&tiny);
    let fusion = fused.stages()[1].fusion.clone().unwrap();
    assert_eq!(fusion.fused.get("FusedLinearW4"), Some(&1), "{fusion:?}");
    assert_eq!(fusion.engine.len(), 0, "{fusion:?}");
    let mut plain = load_with(&tiny, Execution::Plain).unwrap();
    let wanted = act(&mut plain, "pick the block").unwrap();
    let found = act(&mut fused, "pick the block").unwrap();
    for (found, wanted) in found.iter().zip(&wanted) {
        assert!((found - wanted).abs() < 1e-4, "{found} for {wanted}");
    }
}

#[test]
fn four_bit_weights_of_another_size_are_refused() {
    let error = load_with(&four_bits(OUTPUTS * 30), Execution::Fused).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("make_flat") && message.contains("bytes of weights"),
        "{message}"
    );
}

#[test]
fn scales_that_are_not_positive_run() {
    for odd in [0.0, -0.1, 1e-40] {
        let mut activations = Scales::good();
        activations.activations = odd;
        let mut weights = Scales::good();
        weights.columns[5] = odd;
        for scales in [activations, weights] {
            assert!(
                load_with(&scales.policy(), Execution::Fused).is_ok(),
                "{odd}"
            );
        }
    }
}

#[test]
fn scales_of_another_number_than_columns_are_refused() {
    let mut scales = Scales::good();
    scales.columns.pop();
    let message = load_with(&scales.policy(), Execution::Fused)
        .unwrap_err()
        .to_string();
    assert!(message.contains("weight_back"), "{message}");
}
