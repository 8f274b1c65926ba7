//! Policies of each kind, on graphs that are only described.

mod files;
mod stages;
mod wiring;

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use serde_json::{Value as Json, json};
use wink_runtime::policy::manifest::{StageSpec, Transform};

use super::config::Config;
use super::graphs::{StageGraph, Tensor};
use super::stages::Stages;
use super::values::{self, Made, Value};
use super::wiring::{Taken, Wiring, wire};
use crate::bad_input::{exit_code, one_line};

/// An input or output: name, element type and shape, 0 being an open axis.
type Described<'a> = (&'a str, &'a str, &'a [usize]);

fn graph(name: &str, inputs: &[Described<'_>], outputs: &[Described<'_>]) -> StageGraph {
    let tensor = |(name, element, shape): &Described<'_>| Tensor {
        name: (*name).to_owned(),
        element: (*element).to_owned(),
        shape: shape
            .iter()
            .map(|axis| Some(*axis).filter(|axis| *axis > 0))
            .collect(),
    };
    StageGraph {
        name: name.to_owned(),
        file: PathBuf::from(format!("{name}.onnx")),
        inputs: inputs.iter().map(tensor).collect(),
        outputs: outputs.iter().map(tensor).collect(),
    }
}

fn config(particular: Json) -> Config {
    try_config(particular).unwrap()
}

/// Two cameras of 64 x 48, a state and an action of 6 numbers, and what is particular to a kind of policy.
fn try_config(particular: Json) -> Result<Config> {
    let mut config = json!({
        "n_obs_steps": 1, "n_action_steps": 4,
        "input_features": {
            "observation.state": {"type": "STATE", "shape": [6]},
            "observation.images.top": {"type": "VISUAL", "shape": [3, 48, 64]},
            "observation.images.wrist": {"type": "VISUAL", "shape": [3, 48, 64]},
        },
        "output_features": {"action": {"type": "ACTION", "shape": [6]}},
        "normalization_mapping": {"VISUAL": "IDENTITY", "STATE": "MEAN_STD", "ACTION": "MEAN_STD"},
    });
    let fields = particular.as_object().unwrap().clone();
    config.as_object_mut().unwrap().extend(fields);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    Config::read(dir.path())
}

fn smolvla() -> Json {
    json!({
        "type": "smolvla", "chunk_size": 50, "num_steps": 10, "max_state_dim": 32, "max_action_dim": 32,
        "tokenizer_max_length": 48, "resize_imgs_with_padding": [512, 256],
    })
}

fn pi(kind: &str) -> Json {
    json!({
        "type": kind, "chunk_size": 50, "num_inference_steps": 10, "max_state_dim": 32, "max_action_dim": 32,
        "tokenizer_max_length": 48, "image_resolution": [224, 112],
    })
}

fn diffusion() -> Json {
    json!({
        "type": "diffusion", "n_obs_steps": 2, "horizon": 16, "resize_shape": [40, 32], "crop_shape": [36, 28],
        "noise_scheduler_type": "DDIM", "num_train_timesteps": 100, "num_inference_steps": 10,
        "beta_schedule": "squaredcos_cap_v2", "beta_start": 0.0001, "beta_end": 0.02,
        "prediction_type": "epsilon", "clip_sample": true, "clip_sample_range": 1.0,
    })
}

/// A flow policy in three graphs and one that only reads text, listed in the order of a shell.
fn flow_graphs() -> Vec<StageGraph> {
    let image: &[usize] = &[1, 3, 256, 512];
    vec![
        graph(
            "prefix",
            &[
                ("features", "f32", &[1, 64, 8]),
                ("words", "f32", &[1, 48, 8]),
                ("lang_masks", "bool", &[1, 48]),
                ("state", "f32", &[1, 32]),
            ],
            &[("keys", "f32", &[1, 112, 8])],
        ),
        graph(
            "step",
            &[
                ("x_t", "f32", &[1, 50, 32]),
                ("timestep", "f32", &[1]),
                ("keys", "f32", &[1, 112, 8]),
            ],
            &[("v", "f32", &[1, 50, 32]), ("debug", "f32", &[1, 50, 31])],
        ),
        graph(
            "text",
            &[("lang_tokens", "i64", &[1, 48])],
            &[("words", "f32", &[1, 48, 8])],
        ),
        graph(
            "vision",
            &[
                ("observation_images_top", "f32", image),
                ("wrist", "f32", image),
            ],
            &[("features", "f32", &[1, 64, 8])],
        ),
    ]
}

struct Wired {
    config: Config,
    graphs: Vec<StageGraph>,
    values: Vec<Value>,
    wiring: Wiring,
}

impl Wired {
    fn new(config: Config, graphs: Vec<StageGraph>, feeds: &[(&str, &str)]) -> Result<Self> {
        let values = values::of(&config, &std::collections::BTreeMap::new(), true);
        let feeds: Vec<(String, String)> = feeds
            .iter()
            .map(|(tensor, value)| ((*tensor).to_owned(), (*value).to_owned()))
            .collect();
        let wiring = wire(&graphs, &values, &feeds)?;
        Ok(Self {
            config,
            graphs,
            values,
            wiring,
        })
    }

    fn stages(&self) -> Vec<StageSpec> {
        let stages = Stages {
            config: &self.config,
            graphs: &self.graphs,
            values: &self.values,
            wiring: &self.wiring,
        };
        stages.build(stages.output(None).unwrap()).unwrap()
    }

    fn taken(&self, name: &str) -> &Taken {
        let place = self.values.iter().position(|value| value.name == name);
        self.wiring.taken[place.unwrap()].as_ref().unwrap()
    }

    /// Transforms and frame of a camera.
    fn image(&self, name: &str) -> (Vec<Transform>, bool) {
        match &self.taken(name).form.made {
            Made::Image {
                transform, frame, ..
            } => (transform.clone(), frame.is_some()),
            made => panic!("{name} is {made:?}"),
        }
    }
}

fn refused(result: Result<Wired>, words: &[&str]) {
    let Err(error) = result else {
        panic!("{words:?} was wired");
    };
    assert_eq!(exit_code(&error), 2);
    for word in words {
        let line = one_line(&error);
        assert!(line.contains(word), "no `{word}` in {line}");
    }
}
