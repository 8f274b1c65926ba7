//! Puts bodies and colliders into the physics.

use super::shape::HandBox;
use super::{HandPose, pose_of};
use crate::scene::{
    BACK_WALL_X_M, CARD_HALF_THICKNESS_M, FLOOR_Z_M, LEFT_WALL_Y_M, TABLE_THICKNESS_M, TABLE_X_M,
    TABLE_Y_M, WALL_HEIGHT_M, WALL_THICKNESS_M,
};
use crate::table::{FlatCard, Object, Solid, Table};
use rapier3d::math::{Pose, Rotation, Vector};
use rapier3d::prelude::{
    ColliderBuilder, ColliderHandle, IntegrationParameters, PhysicsWorld, RigidBodyBuilder,
    RigidBodyHandle,
};

/// Density of the objects in kg/m3: the benchmark's cube has 27 g.
const DENSITY: f32 = 1000.0;
/// Friction of objects, table and cards; rapier takes the mean of the two surfaces.
const PLAIN_FRICTION: f32 = 0.5;
/// Friction of the fingers' rubber pads.
const PAD_FRICTION: f32 = 1.5;
/// Half the side of the pedestal under the arm's base.
const PEDESTAL_HALF_M: f64 = 0.06;
/// Half the side of the floor.
const FLOOR_HALF_M: f64 = 5.0;

/// What has to be found again.
pub(super) struct Handles {
    pub objects: Vec<(RigidBodyHandle, ColliderHandle)>,
    /// Palm, left finger, right finger.
    pub hand: [RigidBodyHandle; 3],
    pub hand_colliders: [ColliderHandle; 3],
    /// Of cards that move; else none.
    pub cards: Vec<RigidBodyHandle>,
}

pub(super) fn build(table: &Table, hand: &HandPose, cards_move: bool) -> (PhysicsWorld, Handles) {
    let mut physics = PhysicsWorld {
        gravity: Vector::new(0.0, 0.0, -9.81),
        integration_parameters: IntegrationParameters {
            dt: table.setup.substep_s() as f32,
            num_solver_iterations: 4,
            // The scene's objects are centimetres: at 1.0 the tolerances are as large as the cube is held deep.
            length_unit: 0.1,
            ..IntegrationParameters::default()
        },
        ..PhysicsWorld::new()
    };
    furniture(&mut physics, table);
    let cards = table.cards.iter();
    let cards = cards.filter_map(|card| put_card(&mut physics, card, cards_move));
    let cards = cards.collect();

    let objects = table
        .objects
        .iter()
        .map(|object| {
            physics.insert(
                RigidBodyBuilder::dynamic()
                    .pose(standing(object))
                    .can_sleep(false),
                solid(object.solid)
                    .density(DENSITY)
                    .friction(PLAIN_FRICTION),
            )
        })
        .collect();

    let shapes = table.setup.hand.shapes();
    let frictions = [PLAIN_FRICTION, PAD_FRICTION, PAD_FRICTION];
    let poses = table.setup.hand.bodies(&hand.tool, hand.finger_m);
    let parts: [_; 3] = std::array::from_fn(|part| {
        let (shape, friction) = (shapes[part], frictions[part]);
        physics.insert(
            RigidBodyBuilder::kinematic_position_based().pose(pose_of(&poses[part])),
            cuboid(shape).friction(friction),
        )
    });
    let handles = Handles {
        objects,
        hand: parts.map(|(body, _)| body),
        hand_colliders: parts.map(|(_, collider)| collider),
        cards,
    };
    (physics, handles)
}

/// Everything that never moves: table, walls, pedestal, floor.
fn furniture(physics: &mut PhysicsWorld, table: &Table) {
    let mut fixed = |min: [f64; 3], max: [f64; 3]| {
        let centre_m = std::array::from_fn(|axis| (min[axis] + max[axis]) / 2.0);
        let half_m = std::array::from_fn(|axis| (max[axis] - min[axis]) / 2.0);
        physics.insert_collider(
            cuboid(HandBox { centre_m, half_m }).friction(PLAIN_FRICTION),
            None,
        );
    };
    let ([x0, x1], [y0, y1]) = (TABLE_X_M, TABLE_Y_M);
    fixed([x0, y0, -TABLE_THICKNESS_M], [x1, y1, 0.0]);
    fixed(
        [BACK_WALL_X_M, y0, -TABLE_THICKNESS_M],
        [
            BACK_WALL_X_M + WALL_THICKNESS_M,
            LEFT_WALL_Y_M + WALL_THICKNESS_M,
            WALL_HEIGHT_M,
        ],
    );
    fixed(
        [x0, LEFT_WALL_Y_M, -TABLE_THICKNESS_M],
        [
            BACK_WALL_X_M,
            LEFT_WALL_Y_M + WALL_THICKNESS_M,
            WALL_HEIGHT_M,
        ],
    );
    let [bx, by, bz] = table.setup.base_in_world_m;
    if bz > 0.0 {
        fixed(
            [bx - PEDESTAL_HALF_M, by - PEDESTAL_HALF_M, 0.0],
            [bx + PEDESTAL_HALF_M, by + PEDESTAL_HALF_M, bz],
        );
    }
    fixed(
        [-FLOOR_HALF_M, -FLOOR_HALF_M, FLOOR_Z_M - 0.1],
        [FLOOR_HALF_M, FLOOR_HALF_M, FLOOR_Z_M],
    );
}

/// A card; where it can be moved, its body.
fn put_card(physics: &mut PhysicsWorld, card: &FlatCard, moves: bool) -> Option<RigidBodyHandle> {
    let [x, y] = card.centre_xy;
    let half = card.half_size_m;
    let (min, max) = (
        [x - half, y - half, 0.0],
        [x + half, y + half, 2.0 * CARD_HALF_THICKNESS_M],
    );
    let placed = HandBox {
        centre_m: std::array::from_fn(|axis| (min[axis] + max[axis]) / 2.0),
        half_m: std::array::from_fn(|axis| (max[axis] - min[axis]) / 2.0),
    };
    if !moves {
        physics.insert_collider(cuboid(placed).friction(PLAIN_FRICTION), None);
        return None;
    }
    let own = HandBox {
        centre_m: [0.0; 3],
        ..placed
    };
    let (body, _) = physics.insert(
        RigidBodyBuilder::kinematic_position_based().pose(card_pose(card)),
        cuboid(own).friction(PLAIN_FRICTION),
    );
    Some(body)
}

/// Where a card's middle is.
pub(super) fn card_pose(card: &FlatCard) -> Pose {
    Pose::from_parts(vector(card.centre()), Rotation::IDENTITY)
}

fn standing(object: &Object) -> Pose {
    let (sine, cosine) = (
        libm::sin(object.yaw_rad / 2.0),
        libm::cos(object.yaw_rad / 2.0),
    );
    Pose::from_parts(
        vector(object.centre_on(0.0)),
        Rotation::from_xyzw(0.0, 0.0, sine as f32, cosine as f32),
    )
}

fn solid(solid: Solid) -> ColliderBuilder {
    match solid {
        Solid::Box { half_m } => cuboid(HandBox {
            centre_m: [0.0; 3],
            half_m,
        }),
        Solid::Cylinder {
            radius_m,
            half_height_m,
        } => {
            // rapier's cylinders lie along y.
            const HALF_SQRT: f32 = std::f32::consts::FRAC_1_SQRT_2;
            let upright = Rotation::from_xyzw(HALF_SQRT, 0.0, 0.0, HALF_SQRT);
            ColliderBuilder::cylinder(half_height_m as f32, radius_m as f32)
                .position(Pose::from_parts(Vector::ZERO, upright))
        }
    }
}

fn cuboid(HandBox { centre_m, half_m }: HandBox) -> ColliderBuilder {
    let [hx, hy, hz] = half_m.map(|half| half as f32);
    ColliderBuilder::cuboid(hx, hy, hz).translation(vector(centre_m))
}

fn vector([x, y, z]: [f64; 3]) -> Vector {
    Vector::new(x as f32, y as f32, z as f32)
}
