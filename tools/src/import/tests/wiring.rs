//! Inputs that could be fed in several ways, or in none.

use super::*;

#[test]
fn wires_are_never_guessed() {
    let with = |change: &dyn Fn(&mut Vec<StageGraph>), feeds: &[(&str, &str)]| {
        let mut graphs = flow_graphs();
        change(&mut graphs);
        Wired::new(config(smolvla()), graphs, feeds)
    };
    let rename = |stage: usize, input: usize, name: &'static str| {
        move |graphs: &mut Vec<StageGraph>| name.clone_into(&mut graphs[stage].inputs[input].name)
    };
    // The right shape is not enough.
    let unnamed = rename(3, 1, "image_2");
    refused(
        with(&unnamed, &[]),
        &[
            "image_2",
            "--feed vision.image_2=VALUE",
            "observation.images.wrist",
        ],
    );
    with(&unnamed, &[("image_2", "observation.images.wrist")]).unwrap();
    with(&unnamed, &[("vision.image_2", "observation.images.wrist")]).unwrap();
    // The right name is not enough, either.
    let narrow = |graphs: &mut Vec<StageGraph>| graphs[0].inputs[3].shape[1] = Some(7);
    refused(
        with(&narrow, &[]),
        &["`state` f32[1, 7]", "f32[1, 6] or f32[1, 32]"],
    );
    let halved = |graphs: &mut Vec<StageGraph>| graphs[0].inputs[2].element = "f16".to_owned();
    refused(
        with(&halved, &[]),
        &["lang_masks", "f16", "bool/i64/i32/f32"],
    );
    let shorter = |graphs: &mut Vec<StageGraph>| graphs[1].inputs[2].shape[1] = Some(111);
    refused(
        with(&shorter, &[]),
        &["`keys` f32[1, 111, 8]", "`keys` f32[1, 112, 8]"],
    );
    let twice = |graphs: &mut Vec<StageGraph>| graphs[2].outputs[0].name = "features".to_owned();
    refused(
        with(&twice, &[]),
        &[
            "`features`",
            "text.features, vision.features",
            "--feed prefix.features=VALUE",
        ],
    );
    // One camera in two forms.
    let both = |graphs: &mut Vec<StageGraph>| {
        let mut wrist = graphs[3].inputs[1].clone();
        wrist.shape = [1, 256, 512, 3].map(Some).to_vec();
        graphs[1].inputs.push(wrist);
    };
    refused(
        with(&both, &[]),
        &["step.onnx", "vision.onnx", "different forms"],
    );
    // A graph that runs the loop itself has no time.
    let whole = |graphs: &mut Vec<StageGraph>| drop(graphs[1].inputs.remove(1));
    refused(
        with(&whole, &[]),
        &["no graph reads loop.time", "a step of it"],
    );
    let circle = [("vision.wrist", "prefix.keys")];
    let fed_back = |graphs: &mut Vec<StageGraph>| {
        graphs[3].inputs[1].shape = [1, 112, 8].map(Some).to_vec();
        let image = graphs[3].inputs[0].shape.clone();
        graphs[2].inputs.push(Tensor {
            name: "wrist".to_owned(),
            element: "f32".to_owned(),
            shape: image,
        });
    };
    refused(
        with(&fed_back, &circle),
        &["prefix, step, vision", "circle"],
    );
    let second = |graphs: &mut Vec<StageGraph>| {
        let (v, out) = (graphs[1].outputs[0].clone(), graphs[1].outputs[1].clone());
        let mut after = graph("after", &[], &[]);
        after.inputs.push(v);
        after.outputs.push(out);
        graphs.push(after);
    };
    refused(
        with(&second, &[]),
        &["after.onnx", "second graph in the loop"],
    );
    let same = [("x_t", "loop.sample"), ("step.x_t", "loop.sample")];
    refused(with(&|_| {}, &same), &["--feed x_t", "--feed step.x_t"]);
}

#[test]
fn the_output_of_a_loop_has_the_shape_of_its_sample() {
    let mut graphs = flow_graphs();
    graphs[1].outputs[0].shape[2] = Some(30);
    let wired = Wired::new(config(smolvla()), graphs.clone(), &[]).unwrap();
    let output = |wired: &Wired, option: Option<&str>| {
        let stages = Stages {
            config: &wired.config,
            graphs: &wired.graphs,
            values: &wired.values,
            wiring: &wired.wiring,
        };
        stages.output(option).map_err(|error| one_line(&error))
    };
    let error = output(&wired, None).unwrap_err();
    assert!(
        error.contains("[1, 50, 32]") && error.contains("step.`v`"),
        "{error}"
    );
    graphs[1].outputs[0].shape[2] = Some(32);
    graphs[1].outputs[1].shape[2] = Some(32);
    let wired = Wired::new(config(smolvla()), graphs, &[]).unwrap();
    assert!(output(&wired, None).unwrap_err().contains("--output"));
    assert_eq!(output(&wired, Some("step.debug")), Ok((1, 1)));
    assert_eq!(output(&wired, Some("v")), Ok((1, 0)));
    assert!(output(&wired, Some("keys")).is_err());
}
