//! Order, loops and images of each kind of policy.

use wink_runtime::policy::manifest::{Betas, Fit, Run, Sampler, TimeShape, Transform, Vertical};

use super::super::values::Made;
use super::*;

#[test]
fn flow_stages_run_in_the_order_of_their_wires() {
    let wired = Wired::new(config(smolvla()), flow_graphs(), &[]).unwrap();
    let stages = wired.stages();
    let runs: Vec<(&str, Run)> = stages.iter().map(|s| (s.name.as_str(), s.run)).collect();
    assert_eq!(
        runs,
        [
            ("text", Run::Episode),
            ("vision", Run::Observation),
            ("prefix", Run::Observation),
            ("step", Run::Loop)
        ]
    );
    let step = &stages[3];
    assert_eq!(step.inputs["x_t"], "loop.sample");
    assert_eq!(step.inputs["timestep"], "loop.time");
    assert_eq!(step.inputs["keys"], "prefix.keys");
    assert_eq!(step.outputs, ["v"], "what nothing reads is not kept");
    let flow = step.repeat.as_ref().unwrap().flow.as_ref().unwrap();
    assert_eq!(
        (flow.steps, flow.from, flow.to),
        (Some(10), Some(1.0), Some(0.0))
    );
    assert_eq!(
        (flow.velocity.as_str(), flow.time),
        ("v", TimeShape::Scalar)
    );
    assert_eq!(stages[2].inputs["state"], "observation.state");
    let state = &wired.taken("observation.state").form.made;
    assert_eq!(*state, Made::Vector { pad_to: Some(32) });
    assert_eq!(wired.taken("mask").element, "bool");
    let (transform, framed) = wired.image("observation.images.wrist");
    let [Transform::Resize(resize)] = &transform[..] else {
        panic!("{transform:?}");
    };
    assert_eq!((resize.width, resize.height, framed), (512, 256, false));
    assert_eq!((resize.fit, resize.antialias), (Fit::Pad, false));
    let pad = resize.pad.unwrap();
    assert_eq!((pad.vertical, pad.value), (Vertical::Top, 0.0));
}

#[test]
fn a_time_may_be_one_for_each_step_of_the_chunk() {
    let mut graphs = flow_graphs();
    graphs[1].inputs[1].shape = vec![Some(1), Some(50)];
    let wired = Wired::new(config(smolvla()), graphs, &[]).unwrap();
    let stages = wired.stages();
    let flow = stages[3].repeat.as_ref().unwrap().flow.as_ref().unwrap();
    assert_eq!(flow.time, TimeShape::Chunk);
}

#[test]
fn graphs_that_resize_themselves_take_whole_frames() {
    let mut graphs = flow_graphs();
    for input in &mut graphs[3].inputs {
        input.shape = [1, 3, 48, 64].map(Some).to_vec();
    }
    let wired = Wired::new(config(smolvla()), graphs.clone(), &[]).unwrap();
    assert_eq!(wired.image("observation.images.top"), (Vec::new(), true));
    graphs[3].inputs[1].shape = [1, 48, 64, 3].map(Some).to_vec();
    Wired::new(config(smolvla()), graphs.clone(), &[]).unwrap();
    graphs[3].inputs[1].shape = [1, 3, 0, 0]
        .map(|axis| Some(axis).filter(|n| *n > 0))
        .to_vec();
    refused(
        Wired::new(config(smolvla()), graphs, &[]),
        &["`wrist` f32[1, 3, ?, ?]", "leaves open", "[1, 3, 256, 512]"],
    );
}

#[test]
fn pi_images_are_padded_on_both_sides_and_its_prompt_reads_the_state() {
    let mut graphs = flow_graphs();
    for input in &mut graphs[3].inputs {
        input.shape = [1, 3, 224, 112].map(Some).to_vec();
    }
    let wired = Wired::new(config(pi("pi0")), graphs.clone(), &[]).unwrap();
    let (transform, _) = wired.image("observation.images.top");
    let [Transform::Resize(resize)] = &transform[..] else {
        panic!("{transform:?}");
    };
    let pad = resize.pad.unwrap();
    assert_eq!((resize.width, resize.height), (112, 224));
    assert_eq!((pad.vertical, pad.value), (Vertical::Both, -1.0));

    // Only pi0.5 writes the state into the prompt, which then changes with every observation.
    graphs[0].inputs.pop();
    refused(
        Wired::new(config(pi("pi0")), graphs.clone(), &[]),
        &["no graph reads observation.state"],
    );
    let wired = Wired::new(config(pi("pi05")), graphs, &[]).unwrap();
    let stages = wired.stages();
    assert_eq!(
        (stages[0].name.as_str(), stages[0].run),
        ("text", Run::Observation)
    );
}

#[test]
fn what_is_done_to_images_outside_follows_from_the_size_that_the_graph_takes() {
    let encoder = |size: [usize; 2]| {
        let image = [1, 2, 3, size[0], size[1]];
        vec![
            graph(
                "encoder",
                &[
                    ("observation.state", "f32", &[1, 2, 6]),
                    ("images.top", "f32", &image),
                    ("images.wrist", "f32", &image),
                ],
                &[("global_cond", "f32", &[1, 140])],
            ),
            graph(
                "unet",
                &[
                    ("sample", "f32", &[0, 16, 6]),
                    ("timestep", "i64", &[0]),
                    ("global_cond", "f32", &[0, 140]),
                ],
                &[("noise_pred", "f32", &[0, 16, 6])],
            ),
        ]
    };
    for (size, count) in [([48, 64], 0), ([40, 32], 1), ([36, 28], 2)] {
        let wired = Wired::new(config(diffusion()), encoder(size), &[]).unwrap();
        let (transform, framed) = wired.image("observation.images.top");
        assert_eq!((transform.len(), framed), (count, true), "{size:?}");
        if let Some(Transform::Resize(resize)) = transform.first() {
            assert_eq!((resize.width, resize.height), (32, 40));
            assert_eq!((resize.fit, resize.antialias), (Fit::Stretch, true));
        }
    }
    refused(
        Wired::new(config(diffusion()), encoder([50, 50]), &[]),
        &["encoder.onnx", "`images.top`", "[1, 2, 3, 36, 28]"],
    );
    let wired = Wired::new(config(diffusion()), encoder([36, 28]), &[]).unwrap();
    let stages = wired.stages();
    let loops = stages[1].repeat.as_ref().unwrap();
    let spec = loops.diffusion.as_ref().unwrap();
    assert_eq!(
        (spec.sampler, spec.steps, spec.train_steps),
        (Sampler::Ddim, 10, 100)
    );
    assert_eq!(spec.betas, Betas::Squaredcos {});
    assert_eq!((spec.clip, spec.set_alpha_to_one), (Some(1.0), Some(true)));
    assert_eq!(spec.output, "noise_pred");
    assert_eq!(loops.sample.as_ref().unwrap().shape, [1, 16, 6]);
}
