//! Frames looked at as pixels: are things where, and as, the benchmark puts them?

use nalgebra::{Isometry3, UnitQuaternion, Vector3};

use super::*;
use crate::scene::{
    CARD_HALF_SIZE_M, CARD_HALF_THICKNESS_M, CUBE_EDGE_M, Scene, Split, base_in_world,
};

struct Pose {
    links: [Isometry3<f64>; 7],
    fingers_m: [f64; 2],
    cube: Isometry3<f64>,
}

/// The arm with the given waist, elbow and wrist angles (the other joints at 0), written down from the maker's offsets.
fn arm(waist: f64, elbow: f64, wrist: f64) -> [Isometry3<f64>; 7] {
    let turned = |offset: [f64; 3], axis: Vector3<f64>, angle: f64| {
        Isometry3::from_parts(
            Vector3::from(offset).into(),
            UnitQuaternion::new(axis * angle),
        )
    };
    let steps = [
        turned([0.0, 0.0, 0.072], Vector3::z(), waist),
        turned([0.0, 0.0, 0.03865], Vector3::y(), 0.0),
        turned([0.04975, 0.0, 0.25], Vector3::y(), elbow),
        turned([0.175, 0.0, 0.0], Vector3::x(), 0.0),
        turned([0.075, 0.0, 0.0], Vector3::y(), wrist),
        turned([0.065, 0.0, 0.0], Vector3::x(), 0.0),
    ];
    let mut links = [base_in_world(); 7];
    for (index, step) in steps.iter().enumerate() {
        links[index + 1] = links[index] * step;
    }
    links
}

fn home(scene: &Scene) -> Pose {
    Pose {
        links: arm(0.0, 0.0, std::f64::consts::FRAC_PI_2),
        fingers_m: [0.037; 2],
        cube: Isometry3::translation(scene.cube_xy[0], scene.cube_xy[1], 0.5 * CUBE_EDGE_M),
    }
}

/// Arm and cube behind the camera.
fn away() -> Pose {
    let behind = Isometry3::translation(-4.0, 0.0, 0.5);
    Pose {
        links: [behind; 7],
        fingers_m: [0.037; 2],
        cube: behind,
    }
}

fn frame(renderer: &mut Renderer, pose: &Pose) -> Vec<u8> {
    let (width, height) = renderer.camera().size();
    let mut rgb = vec![0; (width * height * 3) as usize];
    renderer
        .render(&pose.links, pose.fingers_m, &[pose.cube], &mut rgb)
        .unwrap();
    rgb
}

/// A world point's pixel by the benchmark's own numbers, independently of [`PinholeCamera`].
fn pinhole(point: [f64; 3], side: f64) -> [f64; 2] {
    let sub = |a: [f64; 3], b: [f64; 3]| [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    let dot = |a: [f64; 3], b: [f64; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    let unit = |a: [f64; 3]| a.map(|x| x / dot(a, a).sqrt());
    let eye = [-0.15, 0.49, 0.564];
    let forward = unit(sub([0.15, 0.65, 0.0], eye));
    // forward x up
    let right = unit([forward[1], -forward[0], 0.0]);
    let up = [
        right[1] * forward[2] - right[2] * forward[1],
        right[2] * forward[0] - right[0] * forward[2],
        right[0] * forward[1] - right[1] * forward[0],
    ];
    let ray = sub(point, eye);
    let half = (1.2_f64 / 2.0).tan();
    let place = |axis: [f64; 3]| dot(ray, axis) / dot(ray, forward) / half;
    [
        (1.0 + place(right)) * side / 2.0,
        (1.0 - place(up)) * side / 2.0,
    ]
}

/// Groups of touching pixels for which `belongs` holds, as pixel centres; small ones are dropped.
fn blobs(side: usize, belongs: impl Fn(usize) -> bool) -> Vec<Vec<[f64; 2]>> {
    let mut seen = vec![false; side * side];
    let mut blobs = Vec::new();
    for start in 0..side * side {
        if seen[start] || !belongs(start) {
            continue;
        }
        seen[start] = true;
        let (mut open, mut blob) = (vec![start], Vec::new());
        while let Some(at) = open.pop() {
            let (x, y) = (at % side, at / side);
            blob.push([x as f64 + 0.5, y as f64 + 0.5]);
            let left = (x > 0).then(|| at - 1);
            let right = (x + 1 < side).then_some(at + 1);
            let above = (y > 0).then(|| at - side);
            let below = (y + 1 < side).then_some(at + side);
            for next in [left, right, above, below].into_iter().flatten() {
                if !seen[next] && belongs(next) {
                    seen[next] = true;
                    open.push(next);
                }
            }
        }
        if blob.len() > 200 {
            blobs.push(blob);
        }
    }
    blobs
}

/// The corners of a quadrilateral blob: the two points farthest apart, and the farthest from their line on each side.
fn corners(blob: &[[f64; 2]]) -> [[f64; 2]; 4] {
    let farthest = |score: &dyn Fn([f64; 2]) -> f64| {
        blob.iter()
            .copied()
            .max_by(|&a, &b| score(a).total_cmp(&score(b)))
            .unwrap()
    };
    let square = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2);
    let a = farthest(&|p| square(p, blob[0]));
    let c = farthest(&|p| square(p, a));
    let a = farthest(&|p| square(p, c));
    let across = move |p: [f64; 2]| (c[0] - a[0]) * (p[1] - a[1]) - (c[1] - a[1]) * (p[0] - a[0]);
    [a, farthest(&across), c, farthest(&|p| -across(p))]
}

#[test]
fn card_corners_land_where_the_benchmarks_pinhole_camera_puts_them() {
    const SIDE: usize = 896;
    // Nothing but the cards is bright.
    let look = Appearance {
        table_pattern: TablePattern::Plain,
        table_colours: [[0.02; 3]; 2],
        back_wall: [0.02; 3],
        left_wall: [0.02; 3],
        ..Appearance::benchmark()
    };
    for seed in [1, 2, 3] {
        let scene = Scene::new(Split::Val, seed);
        let mut renderer =
            Renderer::new(&Table::from(&scene), &look, SIDE as u32, SIDE as u32).unwrap();
        let rgb = frame(&mut renderer, &away());
        let found = blobs(SIDE, |pixel| {
            rgb[3 * pixel..3 * pixel + 3]
                .iter()
                .all(|&value| value > 150)
        });
        let mut found: Vec<_> = found.iter().map(|blob| corners(blob)).collect();
        // An emoji may hold bright islands of its own; the three cards are the largest.
        let size = |c: &[[f64; 2]; 4]| (c[2][0] - c[0][0]).powi(2) + (c[2][1] - c[0][1]).powi(2);
        found.sort_by(|a, b| size(b).total_cmp(&size(a)));
        found.truncate(3);
        assert_eq!(found.len(), 3);
        for card in scene.cards {
            let [x, y] = card.centre_xy;
            for (sx, sy) in [(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)] {
                let corner = [
                    x + sx * CARD_HALF_SIZE_M,
                    y + sy * CARD_HALF_SIZE_M,
                    2.0 * CARD_HALF_THICKNESS_M,
                ];
                let want = pinhole(corner, SIDE as f64);
                let error = found
                    .iter()
                    .flatten()
                    .map(|got| ((got[0] - want[0]).powi(2) + (got[1] - want[1]).powi(2)).sqrt())
                    .fold(f64::INFINITY, f64::min);
                // Three quarters of a pixel of the policy's frame; the card's edge, 2 mm thick, is seen too.
                assert!(
                    error < 3.0,
                    "seed {seed}: corner {corner:?} is {error:.1} px from {want:?}"
                );
            }
        }
    }
}

#[test]
fn emojis_stand_upright_as_the_camera_sees_them() {
    const SIDE: u32 = 448;
    for seed in 0..4 {
        let scene = Scene::new(Split::Val, seed);
        let mut renderer =
            Renderer::new(&Table::from(&scene), &Appearance::benchmark(), SIDE, SIDE).unwrap();
        let rgb = frame(&mut renderer, &away());
        for card in scene.cards {
            // `right` and `down` of the picture, and the same with each flip.
            let difference = |swap: bool, flip_u: bool, flip_v: bool| {
                let mut sum = 0.0;
                for (i, j) in (0..24).flat_map(|i| (0..24).map(move |j| (i, j))) {
                    let (u, v) = ((f64::from(i) + 0.5) / 24.0, (f64::from(j) + 0.5) / 24.0);
                    // Seen from behind the arm, +x is up and +y is left.
                    let side = 2.0 * 0.92 * CARD_HALF_SIZE_M;
                    let place = [
                        card.centre_xy[0] + (0.5 - v) * side,
                        card.centre_xy[1] + (0.5 - u) * side,
                        2.0 * CARD_HALF_THICKNESS_M,
                    ];
                    let [x, y] = pinhole(place, f64::from(SIDE));
                    let pixel = 3 * (y as usize * SIDE as usize + x as usize);
                    let (u, v) = if swap { (v, u) } else { (u, v) };
                    let u = if flip_u { 1.0 - u } else { u } as f32;
                    let v = if flip_v { 1.0 - v } else { v } as f32;
                    let print = emoji::art(card.emoji).on_white().sample(u, v, 1.0 / 24.0);
                    let seen = rgb[pixel..pixel + 3]
                        .iter()
                        .map(|&code| colour::srgb_to_linear(code));
                    sum += seen
                        .zip([print.x, print.y, print.z])
                        .map(|(seen, print)| (seen - print).abs())
                        .sum::<f32>();
                }
                sum
            };
            let upright = difference(false, false, false);
            for turned in 1..8 {
                let other = difference(turned & 4 != 0, turned & 1 != 0, turned & 2 != 0);
                assert!(
                    upright <= other,
                    "{}: {upright} upright, {other} turned by {turned}",
                    card.label()
                );
            }
        }
    }
}

#[test]
fn bounds_and_shortcuts_change_no_pixel() {
    for seed in 0..6 {
        let scene = Scene::new(Split::Train, seed);
        let look = if seed % 2 == 0 {
            Appearance::benchmark()
        } else {
            Appearance::randomised(seed)
        };
        let mut renderer = Renderer::new(&Table::from(&scene), &look, 150, 110).unwrap();
        let pose = Pose {
            links: arm(seed as f64 * 0.3 - 0.9, 0.5, 0.9),
            cube: Isometry3::translation(0.05, 0.72, 0.06 * seed as f64),
            ..home(&scene)
        };
        let bounded = frame(&mut renderer, &pose);
        renderer.caster.unbound();
        let mut unbounded = vec![0; bounded.len()];
        renderer.draw(&mut unbounded);
        let differing = bounded
            .iter()
            .zip(&unbounded)
            .filter(|(a, b)| a != b)
            .count();
        assert_eq!(differing, 0, "seed {seed}");
    }
}

#[test]
fn a_window_shows_the_same_pixels() {
    let scene = Scene::new(Split::Train, 4);
    let (table, look) = (Table::from(&scene), Appearance::benchmark());
    let whole = frame(
        &mut Renderer::new(&table, &look, 120, 90).unwrap(),
        &home(&scene),
    );
    for (left, top, width, height) in [(0, 0, 120, 90), (33, 21, 50, 47), (119, 89, 1, 1)] {
        let window = Window {
            left,
            top,
            width,
            height,
        };
        assert!(window.fits(120, 90));
        let mut renderer = Renderer::windowed(&table, &look, 120, 90, window).unwrap();
        let part = frame(&mut renderer, &home(&scene));
        for y in top..top + height {
            let start = 3 * (y * 120 + left) as usize;
            let row = start..start + 3 * width as usize;
            assert!(part[row.clone()] == whole[row], "{window:?}, row {y}");
        }
    }
    for (left, top, width, height) in [(71, 0, 50, 9), (0, 80, 1, 11), (u32::MAX, 0, 2, 1)] {
        let window = Window {
            left,
            top,
            width,
            height,
        };
        assert!(!window.fits(120, 90));
    }
}

#[test]
fn objects_and_printed_cards_show_their_colours() {
    const SIDE: u32 = 224;
    let scene = Scene::new(Split::Train, 0);
    let object = |solid, xy, rgb| Object {
        solid,
        centre_xy: xy,
        yaw_rad: 0.0,
        rgb: Some(rgb),
    };
    let mut table = Table::from(&scene);
    let cylinder = Solid::Cylinder {
        radius_m: 0.018,
        half_height_m: 0.01,
    };
    table.objects = vec![
        object(cylinder, [0.02, 0.6], [0.6, 0.02, 0.02]),
        object(
            Solid::Box { half_m: [0.02; 3] },
            [0.05, 0.5],
            [0.02, 0.5, 0.02],
        ),
    ];
    table.cards[1].print = Print::Blank;
    table.cards[1].tint = [0.02, 0.02, 0.6];
    table.cards[2].print = Print::Mark(Mark {
        figure: Figure::Circle,
        rgb: [240, 230, 20],
    });
    let mut renderer = Renderer::new(&table, &Appearance::benchmark(), SIDE, SIDE).unwrap();
    let poses: Vec<_> = table
        .objects
        .iter()
        .map(|object| {
            Isometry3::translation(
                object.centre_xy[0],
                object.centre_xy[1],
                object.centre_on(0.0)[2],
            )
        })
        .collect();
    let mut rgb = vec![0; (SIDE * SIDE * 3) as usize];
    renderer
        .render(&away().links, [0.037; 2], &poses, &mut rgb)
        .unwrap();
    let top = |index: usize| {
        let [x, y] = table.objects[index].centre_xy;
        [x, y, 2.0 * table.objects[index].solid.half_extents_m()[2]]
    };
    let centre = |card: usize| {
        [
            table.cards[card].centre_xy[0],
            table.cards[card].centre_xy[1],
            0.002,
        ]
    };
    // Channels from strongest to weakest, as far as they are told apart.
    for (what, place, strong, weak) in [
        ("red cylinder", top(0), vec![0], vec![1, 2]),
        ("green box", top(1), vec![1], vec![0, 2]),
        ("blue card", centre(1), vec![2], vec![0, 1]),
        ("yellow circle", centre(2), vec![0, 1], vec![2]),
    ] {
        let seen = colour_at(&rgb, SIDE as usize, place);
        let least = strong
            .iter()
            .map(|&channel| seen[channel])
            .fold(f64::INFINITY, f64::min);
        let most = weak
            .iter()
            .map(|&channel| seen[channel])
            .fold(0.0, f64::max);
        assert!(least > most + 60.0, "{what}: {seen:?}");
    }
    let refused = renderer.render(&away().links, [0.037; 2], &poses[..1], &mut rgb);
    assert_eq!(refused, Err(RenderError::ObjectPoses { want: 2, got: 1 }));
    table.objects = vec![table.objects[0]; MAX_OBJECTS + 1];
    let refused = Renderer::new(&table, &Appearance::benchmark(), 8, 8).err();
    assert_eq!(refused, Some(RenderError::TooManyObjects(MAX_OBJECTS + 1)));
}

#[test]
fn a_frame_depends_on_its_pose_alone() {
    let scene = Scene::new(Split::Val, 5);
    let mut renderer =
        Renderer::new(&Table::from(&scene), &Appearance::benchmark(), 96, 96).unwrap();
    let first = frame(&mut renderer, &home(&scene));
    let other = frame(&mut renderer, &away());
    assert_ne!(first, other);
    assert_eq!(frame(&mut renderer, &home(&scene)), first);
    let mut fresh = Renderer::new(&Table::from(&scene), &Appearance::benchmark(), 96, 96).unwrap();
    assert_eq!(frame(&mut fresh, &home(&scene)), first);
}

/// Mean colour of a few pixels around a world point.
fn colour_at(rgb: &[u8], side: usize, point: [f64; 3]) -> [f64; 3] {
    let [x, y] = pinhole(point, side as f64).map(|at| at as usize);
    let mut sum = [0.0; 3];
    for (dx, dy) in (0..3).flat_map(|dx| (0..3).map(move |dy| (dx, dy))) {
        let pixel = 3 * ((y + dy - 1) * side + x + dx - 1);
        for channel in 0..3 {
            sum[channel] += f64::from(rgb[pixel + channel]) / 9.0;
        }
    }
    sum
}

#[test]
fn the_cube_is_told_from_table_and_fingers() {
    const SIDE: usize = 224;
    for (name, look) in (0..12)
        .map(|seed| (format!("look {seed}"), Appearance::randomised(seed)))
        .chain([("benchmark".to_owned(), Appearance::benchmark())])
    {
        // The camera stays put, so that the pixels are known.
        let base = Appearance::benchmark();
        let look = Appearance {
            eye_shift_m: base.eye_shift_m,
            look_at_shift_m: base.look_at_shift_m,
            fov_shift_rad: base.fov_shift_rad,
            ..look
        };
        let scene = Scene::new(Split::Val, 1);
        let mut renderer =
            Renderer::new(&Table::from(&scene), &look, SIDE as u32, SIDE as u32).unwrap();
        let top = [scene.cube_xy[0], scene.cube_xy[1], CUBE_EDGE_M];
        let table = frame(&mut renderer, &away());
        let cube = Pose {
            links: away().links,
            ..home(&scene)
        };
        let cube = frame(&mut renderer, &cube);
        let (table, cube) = (colour_at(&table, SIDE, top), colour_at(&cube, SIDE, top));
        let difference: f64 = (0..3).map(|i| (table[i] - cube[i]).abs()).sum();
        assert!(
            difference > 30.0,
            "{name}: cube {cube:?} on table {table:?}"
        );
        let blueness = cube[2] - 0.5 * (cube[0] + cube[1]);
        assert!(blueness > 25.0, "{name}: cube {cube:?}");
    }
}

#[test]
fn impossible_frames_are_refused() {
    let scene = Scene::new(Split::Val, 1);
    let look = Appearance::benchmark();
    for (width, height) in [(0, 10), (10, 0), (2049, 10), (10, u32::MAX)] {
        let refused = Renderer::new(&Table::from(&scene), &look, width, height).err();
        assert_eq!(refused, Some(RenderError::FrameSize { width, height }));
    }
    let mut wrong = scene;
    wrong.cards[1].emoji = 328;
    assert_eq!(
        Renderer::new(&Table::from(&wrong), &look, 8, 8)
            .err()
            .unwrap()
            .to_string(),
        "card 1 shows emoji 328, but there are only 328"
    );
    let mut renderer = Renderer::new(&Table::from(&scene), &look, 3, 5).unwrap();
    let pose = home(&scene);
    let refused = renderer.render(&pose.links, pose.fingers_m, &[pose.cube], &mut [0; 44]);
    assert_eq!(refused, Err(RenderError::BufferSize { want: 45, got: 44 }));
    assert_eq!(frame(&mut renderer, &pose).len(), 45);
}
