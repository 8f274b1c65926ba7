//! The same scene gives the same bits on every machine: digests that x86-64 and aarch64 both have to meet.
//!
//! A change of the picture on purpose changes them: look at the frames first, then write the new digest down. With the variable
//! WINK_GOLDEN_FRAMES set to a folder, the SO-101's frames are written there.

#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]

mod drive;
#[path = "golden/physics.rs"]
mod physics;

use nalgebra::{Isometry3, Translation3, UnitQuaternion, Vector3};
use sha2::{Digest, Sha256};
use wink_runtime::arm::{JointValues, LinkPoses};
use wink_sim::render::{Appearance, Renderer, Window};
use wink_sim::scene::{Scene, Split, base_in_world};
use wink_sim::setup::SO101;
use wink_sim::{DiverseScene, Table};

fn hex(digest: impl AsRef<[u8]>) -> String {
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Arm angles, finger travel and the objects' poses.
struct Pose {
    angles: JointValues,
    fingers_m: [f64; 2],
    objects: Vec<Isometry3<f64>>,
}

fn frame_digest(
    table: &Table,
    look: &Appearance,
    (width, height): (u32, u32),
    pose: &Pose,
) -> String {
    let base = base_in_world();
    let in_base = wink_sim::arm().link_poses(&pose.angles);
    let links: LinkPoses = in_base.iter().map(|link| base * link).collect();
    let mut renderer = Renderer::new(table, look, width, height).unwrap();
    let mut rgb = vec![0; (width * height * 3) as usize];
    renderer
        .render(&links, pose.fingers_m, &pose.objects, &mut rgb)
        .unwrap();
    hex(Sha256::digest(&rgb))
}

fn home(table: &Table) -> Pose {
    let standing = table.objects.iter().map(|object| {
        let [x, y, z] = object.centre_on(0.0);
        Isometry3::translation(x, y, z)
    });
    Pose {
        angles: wink_sim::arm().home(),
        fingers_m: [0.037; 2],
        objects: standing.collect(),
    }
}

fn carrying() -> Pose {
    Pose {
        angles: JointValues::from([0.25, 0.45, -0.1, 0.2, 1.2, -0.3]),
        fingers_m: [0.015, 0.016],
        objects: vec![Isometry3::from_parts(
            Translation3::new(0.13, 0.797, 0.17),
            UnitQuaternion::new(Vector3::new(0.4, -0.7, 0.2)),
        )],
    }
}

/// What a camera of the SO-101's table sees with the arm at home.
fn so101_digest(camera: usize) -> String {
    let table = Table::from(&Scene::on(&SO101, Split::Val, 3));
    let look = Appearance::benchmark();
    let base = SO101.base_in_world();
    let in_base = SO101.arm().link_poses(&SO101.arm().home());
    let links: LinkPoses = in_base.iter().map(|link| base * link).collect();
    let (width, height) = SO101.cameras[camera].frame_px;
    let window = Window::whole(width, height);
    let mut renderer = Renderer::of_camera(&table, &look, camera, (width, height), window).unwrap();
    let mut rgb = vec![0; (width * height * 3) as usize];
    let objects = home(&table).objects;
    renderer
        .render(&links, [0.05; 2], &objects, &mut rgb)
        .unwrap();
    if let Ok(folder) = std::env::var("WINK_GOLDEN_FRAMES") {
        let text = format!("P6 {width} {height} 255\n");
        let path = format!("{folder}/so101-{camera}.ppm");
        std::fs::write(path, [text.as_bytes(), &rgb].concat()).unwrap();
    }
    hex(Sha256::digest(&rgb))
}

#[test]
fn the_so101s_frames_are_the_same_on_every_machine() {
    let got = [so101_digest(0), so101_digest(1)];
    let want = [
        "e77d0bdd54e08b09130e0eaf2b5e475bfa0ef0d3a660f7f93c970312a296c8eb",
        "eecc3f3acf522afe035602cb5dcc1a7fd00ce3d2f3fd96e3e02c00ee18843153",
    ];
    assert_eq!(got, want, "front, wrist");
}

#[test]
fn frames_are_the_same_on_every_machine() {
    let (val, train) = (Scene::new(Split::Val, 3), Scene::demonstration(7));
    let (val, train) = (Table::from(&val), Table::from(&train));
    let other = DiverseScene::new(10).table;
    let benchmark = Appearance::benchmark();
    let cases = [
        (
            "home, as the policy sees it",
            frame_digest(&val, &benchmark, (224, 224), &home(&val)),
            "717df26ccaea81b82f4c4da80d3217b2be9ce264bd9d9f4ceed44b293b07c4d1",
        ),
        (
            "carrying",
            frame_digest(&val, &benchmark, (224, 224), &carrying()),
            "fc1b279d525a4c2811bbf54ad2c07ded1d166001aeb457afb51e1fab339cf15d",
        ),
        (
            "random look",
            frame_digest(&train, &Appearance::randomised(11), (224, 224), &carrying()),
            "f11ee5aca9ee920e14e380190c1d8e3403c225d8656f4f23f0e0cc12c9c0018b",
        ),
        (
            "wide",
            frame_digest(&train, &benchmark, (161, 90), &home(&train)),
            "6836800b9904a02685b534abcbdd88e93e6f58b565da6024da28cfa4ac98143e",
        ),
        (
            "other objects, seen from elsewhere",
            frame_digest(&other, &Appearance::roaming(10), (224, 224), &home(&other)),
            "b3eb26f1ed5f83b6b3a801fc1635184757ccca562354c1c18ce23a5142da05fb",
        ),
    ];
    let differing: Vec<_> = cases.iter().filter(|(_, got, want)| got != want).collect();
    assert!(
        differing.is_empty(),
        "frame, digest, digest wanted: {differing:#?}"
    );
}
