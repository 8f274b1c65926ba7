//! A LeRobot checkpoint and the `meta/info.json` of its data set, as LeRobot writes them, to be changed by a test.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

/// The exporter's packages of tiny policies, and their data set.
pub fn policies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/policies")
}

/// A fixture's `policy.json`.
pub fn policy(name: &str) -> Value {
    read(&policies().join(name).join("policy.json"))
}

/// A JSON file.
pub fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
        .unwrap()
}

/// Statistics by key: shape and numbers.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// A checkpoint in memory.
pub struct Checkpoint {
    /// `config.json`.
    pub config: Value,
    /// `policy_preprocessor.json`; none in old checkpoints.
    pub before: Option<Value>,
    /// `policy_postprocessor.json`.
    pub after: Option<Value>,
    /// Statistics of the observations.
    pub inputs: Tensors,
    /// Statistics of the actions.
    pub outputs: Tensors,
    /// `model.safetensors`.
    pub model: Option<Tensors>,
    /// `meta/info.json` of the data set.
    pub info: Value,
}

impl Checkpoint {
    /// The checkpoint behind a fixture: its statistics are those of the package, `config` what its type needs.
    pub fn of(name: &str, config: Value) -> Self {
        let policy = policy(name);
        let mut features = serde_json::Map::new();
        let mut inputs = Tensors::new();
        let info = read(&policies().join("dataset/meta/info.json"));
        for camera in policy["observations"]["cameras"].as_array().unwrap() {
            let name = camera["name"].as_str().unwrap();
            let size = &info["features"][name]["shape"];
            features.insert(
                name.to_owned(),
                json!({"type": "VISUAL", "shape": [3, size[0], size[1]]}),
            );
            statistics(name, &camera["normalisation"], &mut inputs);
        }
        for state in policy["observations"]["states"].as_array().unwrap() {
            let name = state["name"].as_str().unwrap();
            let count = state["names"].as_array().unwrap().len();
            features.insert(name.to_owned(), json!({"type": "STATE", "shape": [count]}));
            statistics(name, &state["normalisation"], &mut inputs);
        }
        let mut outputs = Tensors::new();
        let action = &policy["action"];
        statistics("action", &action["normalisation"], &mut outputs);
        let count = action["names"].as_array().unwrap().len();
        let acts = json!({"action": {"type": "ACTION", "shape": [count]}});
        let mut config = config;
        config["input_features"] = Value::Object(features.clone());
        config["output_features"] = acts.clone();
        let modes = config["normalization_mapping"].clone();
        let normalise = json!({"eps": 1e-8, "features": features, "norm_map": modes});
        let undo = json!({"eps": 1e-8, "features": acts, "norm_map": modes});
        Self {
            config,
            before: Some(json!({"name": "policy_preprocessor", "steps": [
                {"registry_name": "rename_observations_processor", "config": {"rename_map": {}}},
                {"registry_name": "to_batch_processor", "config": {}},
                {"registry_name": "device_processor", "config": {"device": "cpu", "float_dtype": null}},
                {"registry_name": "normalizer_processor", "config": normalise, "state_file": "inputs.safetensors"},
            ]})),
            after: Some(json!({"name": "policy_postprocessor", "steps": [
                {"registry_name": "unnormalizer_processor", "config": undo, "state_file": "outputs.safetensors"},
                {"registry_name": "device_processor", "config": {"device": "cpu", "float_dtype": null}},
            ]})),
            inputs,
            outputs,
            model: None,
            info,
        }
    }

    /// Tiny ACT's.
    pub fn act() -> Self {
        Self::of(
            "act",
            json!({
                "type": "act", "n_obs_steps": 1, "chunk_size": 8, "n_action_steps": 4,
                "temporal_ensemble_coeff": null, "vision_backbone": "resnet_narrow", "device": "cpu",
                "normalization_mapping": {"VISUAL": "MEAN_STD", "STATE": "MEAN_STD", "ACTION": "MEAN_STD"},
            }),
        )
    }

    /// Tiny Diffusion's.
    pub fn diffusion() -> Self {
        Self::of(
            "diffusion",
            json!({
                "type": "diffusion", "n_obs_steps": 2, "horizon": 8, "n_action_steps": 4,
                "resize_shape": null, "crop_shape": [41, 56], "crop_ratio": 1.0,
                "noise_scheduler_type": "DDPM", "num_train_timesteps": 10, "num_inference_steps": null,
                "beta_schedule": "squaredcos_cap_v2", "beta_start": 0.0001, "beta_end": 0.02,
                "prediction_type": "epsilon", "clip_sample": true, "clip_sample_range": 1.0,
                "normalization_mapping": {"VISUAL": "MEAN_STD", "STATE": "MIN_MAX", "ACTION": "MIN_MAX"},
            }),
        )
    }

    /// Tiny SmolVLA's.
    pub fn smolvla() -> Self {
        let mut checkpoint = Self::of(
            "smolvla",
            json!({
                "type": "smolvla", "n_obs_steps": 1, "chunk_size": 8, "n_action_steps": 4, "num_steps": 4,
                "max_state_dim": 8, "max_action_dim": 8, "resize_imgs_with_padding": [32, 32],
                "tokenizer_max_length": 16, "empty_cameras": 0, "adapt_to_pi_aloha": false,
                "normalization_mapping": {"VISUAL": "IDENTITY", "STATE": "MEAN_STD", "ACTION": "MEAN_STD"},
            }),
        );
        checkpoint.tokenize("smolvla_new_line_processor", 16);
        checkpoint
    }

    /// Tiny pi0's or pi0.5's.
    pub fn pi(name: &str) -> Self {
        let (mode, state, tokens, prompt) = match name {
            "pi0" => ("MEAN_STD", 8, 16, "pi0_new_line_processor"),
            _ => (
                "QUANTILES",
                32,
                80,
                "pi05_prepare_state_tokenizer_processor_step",
            ),
        };
        let mut checkpoint = Self::of(
            name,
            json!({
                "type": name, "n_obs_steps": 1, "chunk_size": 8, "n_action_steps": 4, "num_inference_steps": 4,
                "max_state_dim": state, "max_action_dim": 8, "image_resolution": [14, 14],
                "tokenizer_max_length": tokens, "empty_cameras": 0, "dtype": "float32",
                "normalization_mapping": {"VISUAL": "IDENTITY", "STATE": mode, "ACTION": mode},
            }),
        );
        checkpoint.tokenize(prompt, tokens);
        checkpoint
    }

    /// Adds the steps of a prompt and its tokens.
    fn tokenize(&mut self, prompt: &str, tokens: usize) {
        let steps = self.before.as_mut().unwrap()["steps"]
            .as_array_mut()
            .unwrap();
        let tokenizer = json!({"max_length": tokens, "task_key": "task", "padding_side": "right",
            "padding": "max_length", "truncation": true, "tokenizer_name": "vlm"});
        steps.extend([
            json!({"registry_name": prompt, "config": {}}),
            json!({"registry_name": "tokenizer_processor", "config": tokenizer}),
        ]);
    }

    /// As checkpoints of 2024: statistics are buffers of the model, beside a weight.
    pub fn into_old(mut self) -> Self {
        let mut model = Tensors::new();
        for (prefix, statistics) in [
            ("normalize_inputs.buffer_", &self.inputs),
            ("unnormalize_outputs.buffer_", &self.outputs),
        ] {
            for (key, tensor) in statistics {
                let (feature, name) = key.rsplit_once('.').unwrap();
                let key = format!("{prefix}{}.{name}", feature.replace('.', "_"));
                model.insert(key, tensor.clone());
            }
        }
        model.insert(
            "model.weight".to_owned(),
            (vec![100, 100], vec![0.5; 10_000]),
        );
        self.model = Some(model);
        (self.before, self.after) = (None, None);
        self
    }

    /// The config of a normaliser's step.
    pub fn normaliser(&mut self) -> &mut Value {
        &mut self.before.as_mut().unwrap()["steps"][3]["config"]
    }

    /// Writes the folders `checkpoint` and `dataset`.
    pub fn write(&self, dir: &Path) {
        let checkpoint = dir.join("checkpoint");
        fs::create_dir_all(dir.join("dataset/meta")).unwrap();
        fs::create_dir_all(&checkpoint).unwrap();
        let json = |path: &Path, value: &Value| {
            fs::write(path, serde_json::to_string(value).unwrap()).unwrap();
        };
        json(&dir.join("dataset/meta/info.json"), &self.info);
        json(&checkpoint.join("config.json"), &self.config);
        if let (Some(before), Some(after)) = (&self.before, &self.after) {
            json(&checkpoint.join("policy_preprocessor.json"), before);
            json(&checkpoint.join("policy_postprocessor.json"), after);
            fs::write(checkpoint.join("inputs.safetensors"), bytes(&self.inputs)).unwrap();
            fs::write(checkpoint.join("outputs.safetensors"), bytes(&self.outputs)).unwrap();
        }
        if let Some(model) = &self.model {
            fs::write(checkpoint.join("model.safetensors"), bytes(model)).unwrap();
        }
    }
}

/// A safetensors file.
pub fn bytes(tensors: &Tensors) -> Vec<u8> {
    let data: BTreeMap<&String, Vec<u8>> = tensors
        .iter()
        .map(|(key, (_, values))| (key, values.iter().flat_map(|v| v.to_le_bytes()).collect()))
        .collect();
    let views = tensors.iter().map(|(key, (shape, _))| {
        let view = TensorView::new(Dtype::F32, shape.clone(), &data[key]).unwrap();
        (key.as_str(), view)
    });
    safetensors::serialize(views, None).unwrap()
}

/// LeRobot's statistics of a feature from the normalisation in a package.
fn statistics(feature: &str, normalisation: &Value, into: &mut Tensors) {
    let names = [
        ("mean_std", "mean", "mean"),
        ("mean_std", "std", "std"),
        ("min_max", "min", "min"),
        ("min_max", "max", "max"),
        ("quantiles", "low", "q01"),
        ("quantiles", "high", "q99"),
    ];
    for (mode, field, name) in names {
        let Some(values) = normalisation[mode][field].as_array() else {
            continue;
        };
        let values: Vec<f32> = values.iter().map(|v| v.as_f64().unwrap() as f32).collect();
        let shape = match values.len() {
            3 => vec![3, 1, 1],
            count => vec![count],
        };
        into.insert(format!("{feature}.{name}"), (shape, values));
    }
}
