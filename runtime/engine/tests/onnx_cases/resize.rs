//! Resizes in every form, with the values that ONNX Runtime gives.

use wink_engine::OnnxElement as Element;

use super::build::{Model, f32s, float, i64s, int, near, text};

/// How the last axis is resized.
#[derive(Clone, Copy)]
enum Size {
    To(i64),
    By(f32),
}

use Size::{By, To};

const X: [f32; 6] = [1.0, 3.0, -2.0, 5.0, 4.0, 7.0];

fn resize(attributes: &str, size: Size) -> Model {
    let attributes = attributes.split(' ').map(|word| {
        let (name, value) = word.split_once('=').expect("a name and a value");
        match name {
            "antialias" | "exclude_outside" => int(name, value.parse().expect("a number")),
            "cubic_coeff_a" | "extrapolation_value" => {
                float(name, value.parse().expect("a number"))
            }
            _ => text(name, value),
        }
    });
    let model = Model::new(18)
        .input("x", Element::F32, &[Some(1), Some(1), Some(1), Some(6)])
        .output("y", Element::F32);
    match size {
        To(to) => model.weight("z", &i64s(&[4], &[1, 1, 1, to])).op(
            "Resize",
            "x,,,z",
            "y",
            attributes.collect(),
        ),
        By(by) => model.weight("s", &f32s(&[4], &[1.0, 1.0, 1.0, by])).op(
            "Resize",
            "x,,s",
            "y",
            attributes.collect(),
        ),
    }
}

/// Attributes, the size, and what becomes of [`X`].
#[rustfmt::skip]
const CASES: [(&str, Size, &[f64]); 63] = [
    ("mode=nearest nearest_mode=round_prefer_floor coordinate_transformation_mode=half_pixel", By(1.5), &[1.0, 1.0, 3.0, -2.0, -2.0, 5.0, 4.0, 4.0, 7.0]),
    ("mode=nearest nearest_mode=round_prefer_ceil coordinate_transformation_mode=half_pixel", By(1.5), &[1.0, 3.0, 3.0, -2.0, 5.0, 5.0, 4.0, 7.0, 7.0]),
    ("mode=nearest nearest_mode=floor coordinate_transformation_mode=half_pixel", By(1.5), &[1.0, 1.0, 3.0, 3.0, -2.0, 5.0, 5.0, 4.0, 7.0]),
    ("mode=nearest nearest_mode=ceil coordinate_transformation_mode=half_pixel", By(1.5), &[1.0, 3.0, -2.0, -2.0, 5.0, 4.0, 4.0, 7.0, 7.0]),
    ("mode=linear coordinate_transformation_mode=half_pixel", By(0.6), &[1.66667, -2.0, 4.33333]),
    ("mode=linear coordinate_transformation_mode=half_pixel", To(9), &[1.0, 2.0, 2.16667, -1.16667, 1.5, 4.83333, 4.16667, 5.5, 7.0]),
    ("mode=cubic coordinate_transformation_mode=half_pixel", By(0.6), &[1.90741, -2.0, 4.37037]),
    ("mode=cubic cubic_coeff_a=-0.5 exclude_outside=1 coordinate_transformation_mode=half_pixel", To(8), &[0.89552, 2.6043, 1.11035, -1.64453, 4.42578, 4.43359, 5.04958, 7.15672]),
    ("mode=nearest nearest_mode=round_prefer_floor coordinate_transformation_mode=half_pixel_symmetric", By(1.5), &[1.0, 1.0, 3.0, -2.0, -2.0, 5.0, 4.0, 4.0, 7.0]),
    ("mode=nearest nearest_mode=round_prefer_ceil coordinate_transformation_mode=half_pixel_symmetric", By(1.5), &[1.0, 3.0, 3.0, -2.0, 5.0, 5.0, 4.0, 7.0, 7.0]),
    ("mode=nearest nearest_mode=floor coordinate_transformation_mode=half_pixel_symmetric", By(1.5), &[1.0, 1.0, 3.0, 3.0, -2.0, 5.0, 5.0, 4.0, 7.0]),
    ("mode=nearest nearest_mode=ceil coordinate_transformation_mode=half_pixel_symmetric", By(1.5), &[1.0, 3.0, -2.0, -2.0, 5.0, 4.0, 4.0, 7.0, 7.0]),
    ("mode=linear coordinate_transformation_mode=half_pixel_symmetric", By(0.6), &[2.66667, 1.5, 4.5]),
    ("mode=linear coordinate_transformation_mode=half_pixel_symmetric", To(9), &[1.0, 2.0, 2.16667, -1.16667, 1.5, 4.83333, 4.16667, 5.5, 7.0]),
    ("mode=cubic coordinate_transformation_mode=half_pixel_symmetric", By(0.6), &[3.14699, 1.125, 4.34375]),
    ("mode=cubic cubic_coeff_a=-0.5 exclude_outside=1 coordinate_transformation_mode=half_pixel_symmetric", To(8), &[0.89552, 2.6043, 1.11035, -1.64453, 4.42578, 4.43359, 5.04958, 7.15672]),
    ("mode=nearest nearest_mode=round_prefer_floor coordinate_transformation_mode=pytorch_half_pixel", By(1.5), &[1.0, 1.0, 3.0, -2.0, -2.0, 5.0, 4.0, 4.0, 7.0]),
    ("mode=nearest nearest_mode=round_prefer_ceil coordinate_transformation_mode=pytorch_half_pixel", By(1.5), &[1.0, 3.0, 3.0, -2.0, 5.0, 5.0, 4.0, 7.0, 7.0]),
    ("mode=nearest nearest_mode=floor coordinate_transformation_mode=pytorch_half_pixel", By(1.5), &[1.0, 1.0, 3.0, 3.0, -2.0, 5.0, 5.0, 4.0, 7.0]),
    ("mode=nearest nearest_mode=ceil coordinate_transformation_mode=pytorch_half_pixel", By(1.5), &[1.0, 3.0, -2.0, -2.0, 5.0, 4.0, 4.0, 7.0, 7.0]),
    ("mode=linear coordinate_transformation_mode=pytorch_half_pixel", By(0.6), &[1.66667, -2.0, 4.33333]),
    ("mode=linear coordinate_transformation_mode=pytorch_half_pixel", To(9), &[1.0, 2.0, 2.16667, -1.16667, 1.5, 4.83333, 4.16667, 5.5, 7.0]),
    ("mode=cubic coordinate_transformation_mode=pytorch_half_pixel", By(0.6), &[1.90741, -2.0, 4.37037]),
    ("mode=cubic cubic_coeff_a=-0.5 exclude_outside=1 coordinate_transformation_mode=pytorch_half_pixel", To(8), &[0.89552, 2.6043, 1.11035, -1.64453, 4.42578, 4.43359, 5.04958, 7.15672]),
    ("mode=nearest nearest_mode=round_prefer_floor coordinate_transformation_mode=align_corners", By(1.5), &[1.0, 3.0, 3.0, -2.0, -2.0, 5.0, 4.0, 4.0, 7.0]),
    ("mode=nearest nearest_mode=round_prefer_ceil coordinate_transformation_mode=align_corners", By(1.5), &[1.0, 3.0, 3.0, -2.0, 5.0, 5.0, 4.0, 4.0, 7.0]),
    ("mode=nearest nearest_mode=floor coordinate_transformation_mode=align_corners", By(1.5), &[1.0, 1.0, 3.0, 3.0, -2.0, 5.0, 5.0, 4.0, 7.0]),
    ("mode=nearest nearest_mode=ceil coordinate_transformation_mode=align_corners", By(1.5), &[1.0, 3.0, -2.0, -2.0, 5.0, 4.0, 4.0, 7.0, 7.0]),
    ("mode=linear coordinate_transformation_mode=align_corners", By(0.6), &[1.0, 1.5, 7.0]),
    ("mode=linear coordinate_transformation_mode=align_corners", To(9), &[1.0, 2.25, 1.75, -1.375, 1.5, 4.875, 4.25, 5.125, 7.0]),
    ("mode=cubic coordinate_transformation_mode=align_corners", By(0.6), &[1.0, 1.125, 7.0]),
    ("mode=cubic cubic_coeff_a=-0.5 exclude_outside=1 coordinate_transformation_mode=align_corners", To(8), &[1.0, 2.8272, 0.7172, -1.55977, 4.31487, 4.56851, 4.71955, 7.0]),
    ("mode=nearest nearest_mode=round_prefer_floor coordinate_transformation_mode=asymmetric", By(1.5), &[1.0, 3.0, 3.0, -2.0, 5.0, 5.0, 4.0, 7.0, 7.0]),
    ("mode=nearest nearest_mode=round_prefer_ceil coordinate_transformation_mode=asymmetric", By(1.5), &[1.0, 3.0, 3.0, -2.0, 5.0, 5.0, 4.0, 7.0, 7.0]),
    ("mode=nearest nearest_mode=floor coordinate_transformation_mode=asymmetric", By(1.5), &[1.0, 1.0, 3.0, -2.0, -2.0, 5.0, 4.0, 4.0, 7.0]),
    ("mode=nearest nearest_mode=ceil coordinate_transformation_mode=asymmetric", By(1.5), &[1.0, 3.0, -2.0, -2.0, 5.0, 4.0, 4.0, 7.0, 7.0]),
    ("mode=linear coordinate_transformation_mode=asymmetric", By(0.6), &[1.0, -0.33333, 4.66667]),
    ("mode=linear coordinate_transformation_mode=asymmetric", To(9), &[1.0, 2.33333, 1.33333, -2.0, 2.66667, 4.66667, 4.0, 6.0, 7.0]),
    ("mode=cubic coordinate_transformation_mode=asymmetric", By(0.6), &[1.0, -1.09259, 5.2963]),
    ("mode=cubic cubic_coeff_a=-0.5 exclude_outside=1 coordinate_transformation_mode=asymmetric", To(8), &[1.0, 2.90076, 0.1875, -0.90625, 5.0, 4.15625, 5.52941, 7.26471]),
    ("mode=nearest nearest_mode=round_prefer_floor coordinate_transformation_mode=tf_half_pixel_for_nn", By(1.5), &[1.0, 3.0, -2.0, -2.0, 5.0, 4.0, 4.0, 7.0, 7.0]),
    ("mode=nearest nearest_mode=round_prefer_ceil coordinate_transformation_mode=tf_half_pixel_for_nn", By(1.5), &[1.0, 3.0, -2.0, -2.0, 5.0, 4.0, 4.0, 7.0, 7.0]),
    ("mode=nearest nearest_mode=floor coordinate_transformation_mode=tf_half_pixel_for_nn", By(1.5), &[1.0, 3.0, 3.0, -2.0, 5.0, 5.0, 4.0, 7.0, 7.0]),
    ("mode=nearest nearest_mode=ceil coordinate_transformation_mode=tf_half_pixel_for_nn", By(1.5), &[3.0, 3.0, -2.0, 5.0, 5.0, 4.0, 7.0, 7.0, 7.0]),
    ("mode=linear coordinate_transformation_mode=tf_half_pixel_for_nn", By(0.6), &[2.66667, 1.5, 4.5]),
    ("mode=linear coordinate_transformation_mode=tf_half_pixel_for_nn", To(9), &[1.66667, 3.0, -0.33333, 0.33333, 5.0, 4.33333, 5.0, 7.0, 7.0]),
    ("mode=cubic coordinate_transformation_mode=tf_half_pixel_for_nn", By(0.6), &[3.14699, 1.125, 4.34375]),
    ("mode=cubic cubic_coeff_a=-0.5 exclude_outside=1 coordinate_transformation_mode=tf_half_pixel_for_nn", To(8), &[1.84895, 2.62793, -1.90137, 2.43359, 5.03516, 4.22308, 6.75303, 7.38136]),
    ("mode=linear antialias=1 exclude_outside=0", To(3), &[1.375, 2.0, 5.625]),
    ("mode=linear antialias=1 exclude_outside=0", By(0.7), &[1.62069, 0.2963, 3.64516, 5.5]),
    ("mode=linear antialias=1 exclude_outside=0", To(9), &[1.0, 2.0, 2.16667, -1.16667, 1.5, 4.83333, 4.16667, 5.5, 7.0]),
    ("mode=linear antialias=1 exclude_outside=1", To(3), &[1.42857, 2.0, 5.42857]),
    ("mode=linear antialias=1 exclude_outside=1", By(0.7), &[1.69231, 0.2963, 3.64516, 5.5]),
    ("mode=linear antialias=1 exclude_outside=1", To(9), &[1.0, 2.0, 2.16667, -1.16667, 1.5, 4.83333, 4.16667, 5.5, 7.0]),
    ("mode=cubic antialias=1 exclude_outside=0", To(3), &[1.22266, 1.67188, 5.96484]),
    ("mode=cubic antialias=1 exclude_outside=0", By(0.7), &[1.95237, 0.06184, 3.4384, 5.6249]),
    ("mode=cubic antialias=1 exclude_outside=0", To(9), &[0.82639, 2.46875, 2.33449, -1.85533, 1.125, 5.41204, 4.00463, 5.40625, 7.26042]),
    ("mode=cubic antialias=1 exclude_outside=1", To(3), &[1.23701, 1.75094, 5.89813]),
    ("mode=cubic antialias=1 exclude_outside=1", By(0.7), &[1.99293, 0.0712, 3.4384, 5.68871]),
    ("mode=cubic antialias=1 exclude_outside=1", To(9), &[0.7973, 2.34286, 2.33449, -1.85533, 1.125, 5.41204, 4.00463, 5.54286, 7.30405]),
    ("mode=linear", To(1), &[1.5]),
    ("mode=linear coordinate_transformation_mode=pytorch_half_pixel", To(1), &[1.0]),
    ("mode=nearest coordinate_transformation_mode=align_corners", To(1), &[1.0]),
];

#[test]
fn every_form_gives_the_values_of_the_reference() {
    for (attributes, size, wanted) in CASES {
        let found = resize(attributes, size).one(&[("x", f32s(&[1, 1, 1, 6], &X))]);
        eprintln!("{attributes}");
        near(&found, &[1, 1, 1, wanted.len()], wanted, 2e-5);
    }
}

#[test]
fn a_region_that_is_cut_out() {
    for (mode, [start, end], wanted) in [
        ("linear", [0.25, 1.25], [1.75, 4.41667, 5.75, 9.0]),
        ("nearest", [-0.25, 0.5], [9.0, 1.0, 3.0, -2.0]),
        ("cubic", [0.25, 0.75], [1.83203, -1.78588, 4.55671, 4.15625]),
    ] {
        let region = f32s(&[8], &[0.0, 0.0, 0.0, start, 1.0, 1.0, 1.0, end]);
        let attributes = vec![
            text("mode", mode),
            text("coordinate_transformation_mode", "tf_crop_and_resize"),
            float("extrapolation_value", 9.0),
        ];
        let model = Model::new(18)
            .input("x", Element::F32, &[Some(1), Some(1), Some(1), Some(6)])
            .weight("r", &region)
            .weight("z", &i64s(&[4], &[1, 1, 1, 4]))
            .op("Resize", "x,r,,z", "y", attributes)
            .output("y", Element::F32);
        let found = model.one(&[("x", f32s(&[1, 1, 1, 6], &X))]);
        near(&found, &[1, 1, 1, 4], &wanted, 2e-5);
    }
}

#[test]
fn axes_and_the_ratio_of_a_picture() {
    let x = f32s(&[1, 1, 2, 4], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    for (policy, shape) in [
        ("stretch", [1, 1, 4, 4]),
        ("not_larger", [1, 1, 2, 4]),
        ("not_smaller", [1, 1, 4, 8]),
    ] {
        let attributes = vec![
            text("mode", "nearest"),
            text("keep_aspect_ratio_policy", policy),
            super::build::ints("axes", &[3, 2]),
        ];
        let found = Model::new(18)
            .input("x", Element::F32, &[Some(1), Some(1), Some(2), Some(4)])
            .weight("z", &i64s(&[2], &[4, 4]))
            .op("Resize", "x,,,z", "y", attributes)
            .output("y", Element::F32)
            .one(&[("x", x.clone())]);
        assert_eq!(found.shape, shape, "{policy}");
    }
}

#[test]
fn the_older_forms() {
    let x = || f32s(&[1, 1, 1, 6], &X);
    let old = |op: &str, opset, attributes| {
        Model::new(opset)
            .input("x", Element::F32, &[Some(1), Some(1), Some(1), Some(6)])
            .weight("s", &f32s(&[4], &[1.0, 1.0, 1.0, 1.5]))
            .op(op, "x,s", "y", attributes)
            .output("y", Element::F32)
            .one(&[("x", x())])
    };
    for (op, opset) in [("Resize", 10), ("Upsample", 9)] {
        let nearest = old(op, opset, vec![]);
        near(
            &nearest,
            &[1, 1, 1, 9],
            &[1.0, 1.0, 3.0, -2.0, -2.0, 5.0, 4.0, 4.0, 7.0],
            0.0,
        );
        let linear = old(op, opset, vec![text("mode", "linear")]);
        let wanted = [1.0, 2.33333, 1.33333, -2.0, 2.66667, 4.66667, 4.0, 6.0, 7.0];
        near(&linear, &[1, 1, 1, 9], &wanted, 2e-5);
    }
}
