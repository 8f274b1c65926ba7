//! Transforms against PIL and torch (`reference.py`), and normalisation there and back.

use serde::Deserialize;

use super::{ImagePreprocessor, Normaliser};
use crate::camera::Frame;
use crate::policy::PolicyError;
use crate::policy::manifest::{CameraSpec, Normalisation};

#[derive(Deserialize)]
struct Reference {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    camera: CameraSpec,
    frame: FrameSpec,
    tolerance: f32,
    shape: Vec<usize>,
    /// One value in so many is there.
    every: usize,
    values: Vec<f32>,
}

#[derive(Deserialize)]
struct FrameSpec {
    width: u32,
    height: u32,
    seed: u32,
}

impl FrameSpec {
    fn make(&self) -> Frame {
        let mut frame = Frame::default();
        frame.resize(self.width, self.height);
        let mut state = self.seed;
        for byte in &mut frame.rgb {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            [*byte, ..] = state.to_be_bytes();
        }
        frame
    }
}

fn cases() -> Vec<Case> {
    let reference: Reference = serde_json::from_str(include_str!("reference.json")).unwrap();
    reference.cases
}

fn camera(transform: &str) -> CameraSpec {
    let json = format!(
        r#"{{"name": "front", "transform": {transform}, "channels": "rgb", "layout": "nchw", "history": 1,
             "normalisation": {{"identity": {{}}}}}}"#
    );
    serde_json::from_str(&json).unwrap()
}

#[test]
fn transforms_are_those_of_pil_and_torch() {
    let cases = cases();
    assert!(cases.len() >= 57);
    for case in cases {
        case.camera.check().unwrap();
        assert_eq!(case.camera.shape(), case.shape, "{}", case.name);
        let mut preprocessor = ImagePreprocessor::new(&case.camera);
        let mut out = vec![f32::NAN; preprocessor.len()];
        preprocessor.run(&case.frame.make(), &mut out).unwrap();
        let out: Vec<f32> = out.into_iter().step_by(case.every).collect();
        assert_eq!(out.len(), case.values.len(), "{}", case.name);
        for (index, (value, expected)) in out.iter().zip(&case.values).enumerate() {
            let off = (value - expected).abs();
            assert!(
                off <= case.tolerance + 1e-6,
                "{} at {index}: {value} instead of {expected}",
                case.name
            );
        }
    }
}

/// Frames of other sizes in between leave no trace.
#[test]
fn a_size_that_comes_back_gives_the_same_bits() {
    for case in cases().into_iter().filter(|c| c.camera.frame.is_none()) {
        let mut preprocessor = ImagePreprocessor::new(&case.camera);
        let mut out = [vec![0.0; preprocessor.len()], vec![0.0; preprocessor.len()]];
        preprocessor.run(&case.frame.make(), &mut out[0]).unwrap();
        let other = FrameSpec {
            width: 16,
            height: 24,
            seed: 9,
        };
        let _ = preprocessor.run(&other.make(), &mut out[1]);
        preprocessor.run(&case.frame.make(), &mut out[1]).unwrap();
        assert_eq!(out[0], out[1], "{}", case.name);
    }
}

#[test]
fn a_window_of_the_same_size_is_copied_byte_by_byte() {
    let frame = FrameSpec {
        width: 8,
        height: 8,
        seed: 1,
    }
    .make();
    let part = r#"{"left": 0.5, "top": 0.25, "width": 0.5, "height": 0.5}"#;
    let resize = format!(
        r#"[{{"resize": {{"width": 4, "height": 4, "fit": "stretch", "filter": "bilinear", "antialias": true, "on": "floats", "box": {part}}}}}]"#
    );
    let mut out = [vec![0.0; 48], vec![0.0; 48]];
    for (transform, out) in [format!(r#"[{{"crop": {part}}}]"#), resize]
        .iter()
        .zip(&mut out)
    {
        let mut spec = camera(transform);
        spec.frame = Some(serde_json::from_str(r#"{"width": 8, "height": 8}"#).unwrap());
        ImagePreprocessor::new(&spec).run(&frame, out).unwrap();
    }
    for (index, value) in out[0].iter().enumerate() {
        let (channel, y, x) = (index / 16, index / 4 % 4, index % 4);
        let byte = frame.rgb[((y + 2) * 8 + x + 4) * 3 + channel];
        assert_eq!(*value, f32::from(byte) / 255.0, "at {index}");
    }
    assert_eq!(out[0], out[1]);
}

#[test]
fn frames_that_lie_about_their_size_are_refused() {
    let resize = r#"[{"resize": {"width": 4, "height": 4, "fit": "stretch", "filter": "bilinear", "antialias": true, "on": "floats"}}]"#;
    let mut out = vec![0.0; 4 * 4 * 3];
    let mut preprocessor = ImagePreprocessor::new(&camera(resize));
    for (width, height, bytes) in [(4, 4, 47), (4, 4, 49), (0, 0, 0), (u32::MAX, u32::MAX, 12)] {
        let frame = Frame {
            width,
            height,
            rgb: vec![0; bytes],
            ..Frame::default()
        };
        let error = preprocessor.run(&frame, &mut out).unwrap_err();
        assert!(matches!(error, PolicyError::BadFrame { .. }), "{error}");
    }
}

#[test]
fn frames_of_a_size_that_the_policy_does_not_take_are_refused_by_name() {
    let frame = FrameSpec {
        width: 6,
        height: 4,
        seed: 1,
    }
    .make();
    let cases = [
        ("[]", Some((5, 4)), "6 x 4: the policy takes 5 x 4 only"),
        (
            r#"[{"centre_crop": {"width": 4, "height": 5}}]"#,
            None,
            "centre crop of 4 x 5",
        ),
        (
            r#"[{"crop": {"left": 0.3, "top": 0, "width": 0.5, "height": 1}}, {"centre_crop": {"width": 2, "height": 2}}]"#,
            None,
            "whole pixels",
        ),
    ];
    for (transform, size, words) in cases {
        let mut spec = camera(transform);
        spec.frame = size.map(|(width, height)| crate::policy::manifest::Size { width, height });
        let mut preprocessor = ImagePreprocessor::new(&spec);
        let mut out = vec![0.0; preprocessor.len()];
        let error = preprocessor.run(&frame, &mut out).unwrap_err().to_string();
        assert!(
            error.contains(words) && error.contains("\"front\""),
            "{words}: {error}"
        );
    }
}

/// Formulas of LeRobot's normalizer, by hand.
#[test]
fn normalisations_are_computed_and_undone() {
    let cases = [
        (r#"{"identity": {}}"#, [3.0, -1.0], [3.0, -1.0]),
        (
            r#"{"mean_std": {"mean": [1, 1], "std": [2, 0.5], "epsilon": 0}}"#,
            [3.0, -1.0],
            [1.0, -4.0],
        ),
        (
            r#"{"mean_std": {"mean": [1, 1], "std": [2, 0], "epsilon": 0.5}}"#,
            [3.5, 1.0],
            [1.0, 0.0],
        ),
        (
            r#"{"min_max": {"min": [0, 5], "max": [4, 5], "epsilon": 0.5}}"#,
            [3.0, 5.25],
            [0.5, 0.0],
        ),
        (
            r#"{"quantiles": {"low": [-1, 0], "high": [1, 8], "epsilon": 1e-8}}"#,
            [0.5, 10.0],
            [0.5, 1.5],
        ),
        (
            r#"{"affine": {"scale": [2, -4], "offset": [-1, 1]}}"#,
            [0.25, 0.5],
            [-0.5, -1.0],
        ),
    ];
    for (json, physical, normalised) in cases {
        let spec: Normalisation = serde_json::from_str(json).unwrap();
        spec.check(2).unwrap();
        let normaliser = Normaliser::new(&spec, 2);
        let mut out = [0.0; 2];
        normaliser.forward(&physical, &mut out);
        assert_eq!(out, normalised, "{json}");
        let mut back = [0.0; 2];
        normaliser.back(&out, &mut back);
        // A spread of 0 has no way back but to the mean.
        if !json.contains("[2, 0]") {
            assert_eq!(back, physical, "{json}");
        }
    }
}
