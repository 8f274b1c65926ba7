//! Loops, histories and auxiliary values, on graphs that can be computed by hand.

use prost::Message;
use serde_json::{Value, json};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, NodeProto};

use super::tiny::{DIM, Tiny, floats, int, integers, model, node, value};
use super::{STATE, state};
use crate::policy::{
    ActionChunk, Condition, Conditioning, Observation, OnnxPolicy, Package, Policy, PolicyError,
};

const STEPS: usize = 2;

/// A policy without camera and text whose actions are the chunk as it is.
fn policy(stages: Value, graphs: &[(&str, ModelProto)]) -> Tiny {
    let mut tiny = Tiny::new();
    let manifest = &mut tiny.manifest;
    manifest["observations"]["cameras"] = json!([]);
    manifest["observations"]
        .as_object_mut()
        .unwrap()
        .remove("text");
    manifest["observations"]["states"][0]["normalisation"] = json!({"identity": {}});
    manifest["action"]["normalisation"] = json!({"identity": {}});
    manifest["action"]["threshold"] = json!({});
    manifest["stages"] = stages;
    manifest["precisions"] = json!({"f32": {}});
    tiny.files.clear();
    for (stage, graph) in graphs {
        let file = format!("{stage}.onnx");
        tiny.manifest["precisions"]["f32"][*stage] = json!(file);
        tiny.files.insert(file, graph.encode_to_vec());
    }
    tiny
}

fn load(tiny: &Tiny) -> Result<OnnxPolicy, PolicyError> {
    let dir = tempfile::tempdir().unwrap();
    tiny.write(dir.path());
    let mut policy = OnnxPolicy::load(&Package::open(dir.path())?, None)?;
    policy.begin_episode("go")?;
    Ok(policy)
}

fn act(policy: &mut OnnxPolicy, values: &[f32]) -> Result<Vec<f32>, PolicyError> {
    let mut chunk = ActionChunk::default();
    let observation = Observation {
        states: &[state(values)],
        ..Observation::default()
    };
    policy.act(&observation, &mut chunk)?;
    Ok(chunk.data)
}

const SAMPLE: [i64; 3] = [1, STEPS as i64, DIM as i64];

/// The condition is twice the state.
fn condition() -> ModelProto {
    model(
        vec![node("Mul", &["state", "two"], "condition", &[])],
        vec![floats("two", &[], &[2.0])],
        &[value("state", DataType::Float, &[1, DIM as i64])],
        &[value("condition", DataType::Float, &[1, DIM as i64])],
    )
}

/// The output is x / 2 + t + condition.
fn step(time: DataType) -> ModelProto {
    let cast = node("Cast", &["time"], "t", &[int("to", DataType::Float as i64)]);
    let nodes = vec![
        cast,
        node("Mul", &["x", "half"], "scaled", &[]),
        node("Add", &["scaled", "t"], "moved", &[]),
        node("Add", &["moved", "condition"], "output", &[]),
    ];
    model(
        nodes,
        vec![floats("half", &[], &[0.5])],
        &[
            value("x", DataType::Float, &SAMPLE),
            value("time", time, &[1]),
            value("condition", DataType::Float, &[1, DIM as i64]),
        ],
        &[value("output", DataType::Float, &SAMPLE)],
    )
}

fn refined(method: Value, noise: Value) -> Value {
    let mut repeat = method;
    repeat["sample"] = json!({"shape": SAMPLE, "noise": noise});
    json!([
        {"name": "vision", "run": "observation", "inputs": {"state": "state"}, "outputs": ["condition"]},
        {"name": "step", "run": "loop", "outputs": ["output"], "loop": repeat,
         "inputs": {"x": "loop.sample", "time": "loop.time", "condition": "vision.condition"}}
    ])
}

pub(super) fn flow(noise: Value) -> Tiny {
    let method = json!({"flow": {"steps": 4, "from": 1.0, "to": 0.0, "velocity": "output", "time": "scalar"}});
    let graphs = [("vision", condition()), ("step", step(DataType::Float))];
    let mut tiny = policy(refined(method, noise), &graphs);
    tiny.manifest["action"]["from"] = json!("step.sample");
    tiny
}

pub(super) fn ones() -> Value {
    json!({"uniform": {"low": 1.0, "high": 1.0}})
}

#[test]
fn a_flow_goes_from_noise_to_actions_by_eulers_method() {
    let mut policy = load(&flow(ones())).unwrap();
    // Twice, so that nothing of an earlier observation is left over.
    for values in [STATE, [0.5; DIM]] {
        let found = act(&mut policy, &values).unwrap();
        let expected = values.map(|state| {
            let mut x = 1.0_f32;
            for t in [1.0, 0.75, 0.5, 0.25] {
                x += -0.25 * (x / 2.0 + t + 2.0 * state);
            }
            x
        });
        for (index, value) in found.iter().enumerate() {
            let expected = expected[index % DIM];
            assert!(
                (value - expected).abs() < 1e-5,
                "{value} instead of {expected}"
            );
        }
    }
}

#[test]
fn noise_follows_from_the_seed() {
    let normal = json!({"normal": {"mean": 0.0, "std": 1.0}});
    let mut policy = load(&flow(normal)).unwrap();
    let mut of_seed = |seed| {
        policy.seed(seed);
        [
            act(&mut policy, &STATE).unwrap(),
            act(&mut policy, &STATE).unwrap(),
        ]
    };
    let (first, other, again) = (of_seed(1), of_seed(2), of_seed(1));
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert_ne!(first[0], first[1], "the generator goes on");
}

/// DDIM with products of alphas a and steps from time 5 to 0, by hand.
#[test]
fn a_diffusion_is_fed_its_timesteps_and_clips() {
    let method = json!({"diffusion": {"sampler": "ddim", "train_steps": 10, "steps": 2, "betas": {"list": vec![0.1; 10]},
        "prediction": "sample", "clip": 3.0, "set_alpha_to_one": true, "steps_offset": 0, "output": "output"}});
    let graphs = [("vision", condition()), ("step", step(DataType::Int64))];
    let mut tiny = policy(refined(method, ones()), &graphs);
    tiny.manifest["action"]["from"] = json!("step.sample");
    let found = act(&mut load(&tiny).unwrap(), &STATE).unwrap();
    for (index, value) in found.iter().enumerate() {
        let condition = 2.0 * STATE[index % DIM];
        let mut x = 1.0_f32;
        for (time, after) in [(5.0_f32, 0.9_f32.powi(1)), (0.0, 1.0)] {
            let at = 0.9_f32.powi(time as i32 + 1);
            let output = x / 2.0 + time + condition;
            let epsilon = (x - at.sqrt() * output) / (1.0 - at).sqrt();
            x = after.sqrt() * output.clamp(-3.0, 3.0) + (1.0 - after).sqrt() * epsilon;
        }
        assert!((value - x).abs() < 1e-4, "{value} instead of {x}");
    }
}

/// The next token is the sum of all tokens so far, the cache holding the earlier ones.
pub(super) fn summing(end: Value) -> Tiny {
    let cast = |from, to| node("Cast", &[from], to, &[int("to", DataType::Float as i64)]);
    let nodes: Vec<NodeProto> = vec![
        cast("token", "t"),
        node("Reshape", &["t", "cube"], "new", &[]),
        node("ReduceSum", &["past", "all"], "sum", &[int("keepdims", 1)]),
        node("Add", &["sum", "new"], "next", &[]),
        node("Sub", &["places", "next"], "off", &[]),
        node("Mul", &["off", "off"], "square", &[]),
        node("Neg", &["square"], "logits", &[]),
    ];
    let places: Vec<f32> = (0..32).map(|place| place as f32).collect();
    let weights = vec![
        integers("cube", &[3], &[1, 1, 1]),
        integers("all", &[2], &[1, 2]),
        floats("places", &[1, 1, 32], &places),
    ];
    let decoder = model(
        nodes,
        weights,
        &[
            value("token", DataType::Int64, &[1, 1]),
            value("past", DataType::Float, &[1, 6, 1]),
        ],
        &[
            value("logits", DataType::Float, &[1, 1, 32]),
            value("new", DataType::Float, &[1, 1, 1]),
        ],
    );
    let prefix = model(
        vec![node("Mul", &["state", "zero"], "nothing", &[])],
        vec![floats("zero", &[], &[0.0])],
        &[value("state", DataType::Float, &[1, DIM as i64])],
        &[value("nothing", DataType::Float, &[1, DIM as i64])],
    );
    let stages = json!([
        {"name": "prefix", "run": "observation", "inputs": {"state": "state"}, "outputs": ["nothing"]},
        {"name": "decoder", "run": "loop", "inputs": {"token": "loop.token", "past": "loop.past"}, "outputs": ["logits", "new"],
         "loop": {"tokens": {"max_tokens": 4, "end": end, "first": {"token": 1}, "logits": "logits",
                             "cache": {"past": {"output": "new", "axis": 1}},
                             "decode": {"bins": {"first_token": 0, "descending": false, "bins": 16, "low": 0.0, "high": 16.0,
                                                 "steps": 2, "dim": 2}}}}}
    ]);
    let mut tiny = policy(stages, &[("prefix", prefix), ("decoder", decoder)]);
    tiny.manifest["action"] = json!({
        "from": "decoder.sample", "space": "joint_position", "reference": "absolute", "names": ["a", "b"],
        "units": ["rad", "rad"], "chunk": 2, "first": 0, "execute": 1, "width": 2, "normalisation": {"identity": {}},
        "threshold": {}
    });
    tiny.manifest["auxiliary"] =
        json!([{"name": "rest", "from": "prefix.nothing", "meaning": "value", "grid": [7, 1]}]);
    tiny
}

#[test]
fn tokens_are_decoded_with_their_cache_and_become_actions() {
    let mut policy = load(&summing(Value::Null)).unwrap();
    for _ in 0..2 {
        let found = act(&mut policy, &STATE).unwrap();
        assert_eq!(found, [1.5, 2.5, 4.5, 8.5]);
    }
    let (spec, values) = policy.auxiliary("rest").unwrap();
    assert_eq!(
        (spec.to_string().as_str(), values),
        ("f32[1, 7]", &[0.0; 7][..])
    );
    let error = policy.auxiliary("pointer").unwrap_err();
    assert!(error.to_string().contains("it has rest"), "{error}");
}

#[test]
fn tokens_that_end_too_early_or_never_are_refused() {
    for (end, words) in [
        (4, "2 numbers instead of 4"),
        (5, "no end token within 4 tokens"),
    ] {
        let mut policy = load(&summing(json!(end))).unwrap();
        let error = act(&mut policy, &STATE).unwrap_err().to_string();
        assert!(
            error.contains("\"decoder\"") && error.contains(words),
            "{error}"
        );
    }
}

#[test]
fn an_open_end_takes_what_was_decoded() {
    let mut tiny = summing(json!(5));
    let tokens = |tiny: &mut Tiny, edit: fn(&mut Value)| {
        edit(&mut tiny.manifest["stages"][1]["loop"]["tokens"]);
    };
    tokens(&mut tiny, |tokens| tokens["open_end"] = json!(true));
    tokens(&mut tiny, |tokens| tokens["starts_with"] = json!([1, 2]));
    let mut policy = load(&tiny).unwrap();
    assert_eq!(act(&mut policy, &STATE).unwrap(), [1.5, 2.5, 4.5, 8.5]);

    tokens(&mut tiny, |tokens| tokens["remove"] = json!([2, 4]));
    let error = act(&mut load(&tiny).unwrap(), &STATE).unwrap_err();
    assert!(
        error.to_string().contains("2 numbers instead of 4"),
        "{error}"
    );
    tokens(&mut tiny, |tokens| tokens["starts_with"] = json!([2]));
    let error = act(&mut load(&tiny).unwrap(), &STATE).unwrap_err();
    assert!(
        error.to_string().contains("begin with [1] instead of [2]"),
        "{error}"
    );
    tokens(&mut tiny, |tokens| tokens["end"] = Value::Null);
    let error = load(&tiny).unwrap_err().to_string();
    assert!(error.contains("tokens.open_end"), "{error}");
}

/// A graph that takes noise as an input.
pub(super) fn noisy() -> Tiny {
    let graph = model(
        vec![node("Add", &["noise", "state"], "action", &[])],
        vec![],
        &[
            value("noise", DataType::Float, &SAMPLE),
            value("state", DataType::Float, &[1, DIM as i64]),
        ],
        &[value("action", DataType::Float, &SAMPLE)],
    );
    let stages = json!([{"name": "act", "run": "observation", "inputs": {"noise": "noise", "state": "state"}, "outputs": ["action"]}]);
    let mut tiny = policy(stages, &[("act", graph)]);
    tiny.manifest["observations"]["noise"] =
        json!([{"name": "noise", "shape": SAMPLE, "draw": {"normal": {"mean": 0, "std": 1}}}]);
    tiny
}

#[test]
fn noise_that_a_graph_takes_is_drawn_for_each_observation() {
    let tiny = noisy();
    let mut policy = load(&tiny).unwrap();
    let zero = [0.0; DIM];
    let (first, second) = (
        act(&mut policy, &zero).unwrap(),
        act(&mut policy, &zero).unwrap(),
    );
    assert_ne!(first, second);
    policy.seed(0);
    assert_eq!(act(&mut policy, &zero).unwrap(), first);
    policy.seed(1);
    assert_ne!(act(&mut policy, &zero).unwrap(), first);

    let mut uniform = noisy();
    uniform.manifest["observations"]["noise"][0]["draw"] =
        json!({"uniform": {"low": 2.0, "high": 2.0}});
    let found = act(&mut load(&uniform).unwrap(), &[0.5; DIM]).unwrap();
    assert_eq!(found, [2.5; STEPS * DIM]);
}

/// Tokens without a mask, then noise: what follows the tokens is no mask.
#[test]
fn noise_beside_text_is_left_to_itself() {
    let mut tiny = noisy();
    let mut other = Tiny::new();
    for file in ["text.onnx", "tokenizer.json"] {
        tiny.files
            .insert(file.to_owned(), other.files.remove(file).unwrap());
    }
    let manifest = &mut tiny.manifest;
    manifest["observations"]["text"] = other.manifest["observations"]["text"].take();
    let text = json!({"name": "text", "run": "episode", "inputs": {"tokens": "tokens"}, "outputs": ["text"]});
    manifest["stages"].as_array_mut().unwrap().push(text);
    manifest["precisions"]["f32"]["text"] = json!("text.onnx");
    manifest["auxiliary"] = json!([{"name": "words", "from": "text.text", "meaning": "value"}]);
    let mut policy = load(&tiny).unwrap();
    policy.begin_episode("pick block").unwrap();
    let alone = act(&mut load(&noisy()).unwrap(), &STATE).unwrap();
    assert_eq!(act(&mut policy, &STATE).unwrap(), alone);
    assert_eq!(policy.auxiliary("words").unwrap().1, [3.0, 6.0, 2.0, 2.0]);
}

#[test]
fn noise_that_cannot_be_is_refused_by_name() {
    type Edit = fn(&mut Value);
    let cases: [(Edit, &str); 6] = [
        (|noise| noise[0]["shape"] = json!([1, 3, 7]), "act.onnx"),
        (
            |noise| noise[0]["shape"] = json!([1, 0]),
            "observations.noise[0].shape",
        ),
        (
            |noise| noise[0]["shape"] = json!([1 << 11, 1 << 11]),
            "observations.noise[0].shape",
        ),
        (
            |noise| noise[0]["draw"] = json!({"normal": {"mean": 0, "std": -1}}),
            "observations.noise[0].draw.normal",
        ),
        (
            |noise| noise[0]["name"] = json!("state"),
            "observations.noise[0].name",
        ),
        (
            |noise| noise[0]["name"] = json!("other"),
            "stages[0].inputs.noise",
        ),
    ];
    for (edit, words) in cases {
        let mut tiny = noisy();
        edit(&mut tiny.manifest["observations"]["noise"]);
        let error = load(&tiny).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
}

/// The chunk is the history of the state.
#[test]
fn a_history_holds_every_tick_and_begins_with_the_first() {
    let graph = model(
        vec![node("Mul", &["states", "one"], "action", &[])],
        vec![floats("one", &[], &[1.0])],
        &[value("states", DataType::Float, &SAMPLE)],
        &[value("action", DataType::Float, &SAMPLE)],
    );
    let stages = json!([{"name": "act", "run": "observation", "inputs": {"states": "state"}, "outputs": ["action"]}]);
    let mut tiny = policy(stages, &[("act", graph)]);
    tiny.manifest["observations"]["states"][0]["history"] = json!(2);
    let mut policy = load(&tiny).unwrap();
    assert!(policy.keeps_history());
    let rows = |chunk: &[f32]| (chunk[0], chunk[DIM]);
    assert_eq!(rows(&act(&mut policy, &[1.0; DIM]).unwrap()), (1.0, 1.0));
    assert_eq!(rows(&act(&mut policy, &[2.0; DIM]).unwrap()), (1.0, 2.0));
    let observation = Observation {
        states: &[state(&[3.0; DIM])],
        ..Observation::default()
    };
    policy.see(&observation).unwrap();
    assert!(act(&mut policy, &[f32::NAN; DIM]).is_err());
    assert_eq!(rows(&act(&mut policy, &[4.0; DIM]).unwrap()), (3.0, 4.0));
    policy.begin_episode("again").unwrap();
    assert_eq!(rows(&act(&mut policy, &[5.0; DIM]).unwrap()), (5.0, 5.0));
}

#[test]
fn loops_that_do_not_fit_are_refused_by_name() {
    type Edit = fn(&mut Value);
    let cases: &[(Edit, &[&str])] = &[
        (
            |m| m["stages"][1]["loop"]["flow"]["steps"] = json!(0),
            &["stages[1].loop.flow.steps"],
        ),
        (
            |m| m["stages"][1]["loop"]["flow"]["grid"] = json!([1, 0]),
            &["stages[1].loop.flow", "grid"],
        ),
        (
            |m| m["stages"][1]["loop"]["flow"]["to"] = json!(1.0),
            &["loop.flow.to", "rise"],
        ),
        (
            |m| m["stages"][1]["loop"]["flow"]["velocity"] = json!("v"),
            &["loop.flow.velocity", "\"v\""],
        ),
        (
            |m| m["stages"][1]["loop"]["sample"]["shape"] = json!([2, 2, 7]),
            &["loop.sample.shape"],
        ),
        (
            |m| m["stages"][1]["loop"]["sample"]["shape"] = json!([1, 3, 7]),
            &["step.onnx", "\"x\"", "f32[1, 3, 7]"],
        ),
        (
            |m| {
                m["stages"][1]["loop"]["sample"]["noise"] =
                    json!({"normal": {"mean": 0, "std": -1}})
            },
            &["noise.normal"],
        ),
        (
            |m| m["stages"][1]["loop"]["sample"]["noise"] = json!({"gumbel": {}}),
            &["gumbel"],
        ),
        (
            |m| m["stages"][1]["run"] = json!("observation"),
            &["stages[1].loop", "is given"],
        ),
        (
            |m| m["stages"][1]["inputs"]["time"] = json!("loop.clock"),
            &["stages[1].inputs.time", "loop.sample"],
        ),
        (
            |m| m["stages"][1]["inputs"]["time"] = json!("vision.condition"),
            &["stages[1].inputs", "\"loop.time\""],
        ),
        (
            |m| m["stages"][0]["run"] = json!("episode"),
            &["stages[0].inputs.state", "more often"],
        ),
        (
            |m| m["stages"][0]["inputs"]["state"] = json!("step.sample"),
            &["stages[0].inputs.state", "no value"],
        ),
        (
            |m| m["action"]["from"] = json!("vision.condition"),
            &["stages", "step.sample"],
        ),
        (
            |m| m["action"]["chunk"] = json!(3),
            &["action.chunk", "2 steps"],
        ),
        (
            |m| m["action"]["width"] = json!(8),
            &["action.from", "f32[1, steps, 8]"],
        ),
        (
            |m| m["stages"][1]["loop"]["flow"]["time"] = json!("chunk"),
            &["step.onnx", "\"time\"", "f32[1, 2]"],
        ),
    ];
    for (index, (edit, words)) in cases.iter().enumerate() {
        let mut tiny = flow(ones());
        edit(&mut tiny.manifest);
        let error = load(&tiny).err();
        let message = error
            .unwrap_or_else(|| panic!("case {index} was accepted"))
            .to_string();
        for word in *words {
            assert!(
                message.contains(word),
                "case {index}: {word:?} is not in: {message}"
            );
        }
        assert!(!message.contains('\n'), "{message}");
    }
}

/// The output is x / 2 + t + condition, t being of each row.
fn step_with_times() -> ModelProto {
    let nodes = vec![
        node("Unsqueeze", &["time", "last"], "t", &[]),
        node("Mul", &["x", "half"], "scaled", &[]),
        node("Add", &["scaled", "t"], "moved", &[]),
        node("Add", &["moved", "condition"], "output", &[]),
    ];
    model(
        nodes,
        vec![floats("half", &[], &[0.5]), integers("last", &[1], &[2])],
        &[
            value("x", DataType::Float, &SAMPLE),
            value("time", DataType::Float, &[1, STEPS as i64]),
            value("condition", DataType::Float, &[1, DIM as i64]),
        ],
        &[value("output", DataType::Float, &SAMPLE)],
    )
}

fn act_on(policy: &mut OnnxPolicy, condition: &Condition) -> Result<Vec<f32>, PolicyError> {
    let mut chunk = ActionChunk::default();
    let observation = Observation {
        states: &[state(&STATE)],
        ..Observation::default()
    };
    policy.act_on(&observation, condition, &mut chunk)?;
    Ok(chunk.data)
}

fn rest_of(how: Conditioning) -> Condition {
    Condition {
        how,
        rest: ActionChunk {
            steps: 1,
            dim: DIM,
            data: vec![3.0; DIM],
        },
        delay: 1,
        execute: 1,
    }
}

#[test]
fn a_guided_flow_follows_the_formulas() {
    let mut policy = load(&flow(ones())).unwrap();
    let plain = act(&mut policy, &STATE).unwrap();
    let guided = act_on(&mut policy, &rest_of(Conditioning::Guided)).unwrap();
    for (index, found) in guided.iter().enumerate() {
        let state = STATE[index % DIM];
        // Row 0 is steered towards 3 with weight 1, row 1 not at all.
        let weight = if index < DIM { 1.0 } else { 0.0 };
        let mut x = 1.0_f32;
        for (step, t) in [1.0_f32, 0.75, 0.5, 0.25].into_iter().enumerate() {
            let v = x / 2.0 + t + 2.0 * state;
            let tau = step as f32 / 4.0;
            let gain = match step {
                0 => 4.0,
                _ => ((1.0 - tau) / tau * ((1.0 - tau).powi(2) + tau * tau) / (1.0 - tau).powi(2))
                    .min(4.0),
            };
            let error = (3.0 - (x - t * v)) * weight;
            x += -0.25 * (v - gain * error);
        }
        assert!((found - x).abs() < 1e-4, "{index}: {found} instead of {x}");
    }
    // The condition is forgotten.
    assert_eq!(act(&mut policy, &STATE).unwrap(), plain);
}

#[test]
fn a_prefix_stays_as_it_is_and_has_the_time_of_clean_actions() {
    let mut tiny = flow(ones());
    tiny.files
        .insert("step.onnx".to_owned(), step_with_times().encode_to_vec());
    let method = &mut tiny.manifest["stages"][1]["loop"]["flow"];
    method["time"] = json!("chunk");
    let refused = load(&tiny).unwrap();
    let told = refused.check_conditioning(Conditioning::Prefix, 1);
    assert!(told.unwrap_err().to_string().contains("no `prefix`"));
    tiny.manifest["stages"][1]["loop"]["flow"]["prefix"] = json!(1);
    let mut policy = load(&tiny).unwrap();
    let plain = act(&mut policy, &STATE).unwrap();
    let found = act_on(&mut policy, &rest_of(Conditioning::Prefix)).unwrap();
    assert_eq!(found[..DIM], [3.0; DIM]);
    assert_eq!(found[DIM..], plain[DIM..]);
    assert!(plain[..DIM] != found[..DIM]);
    let told = policy.check_conditioning(Conditioning::Prefix, 2);
    assert!(told.unwrap_err().to_string().contains("at most 1 actions"));

    tiny.manifest["stages"][1]["loop"]["flow"]["time"] = json!("scalar");
    let told = load(&tiny).unwrap_err().to_string();
    assert!(told.contains("prefix") && told.contains("`time`"), "{told}");
}

#[test]
fn a_policy_without_a_flow_is_not_conditioned() {
    let mut policy = load(&Tiny::new()).unwrap();
    for how in [Conditioning::Guided, Conditioning::Prefix] {
        let told = policy.check_conditioning(how, 0).unwrap_err().to_string();
        assert!(told.contains("needs actions that a flow makes"), "{told}");
        assert!(act_on(&mut policy, &rest_of(how)).is_err());
    }
}
