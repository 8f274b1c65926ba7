//! Arm and table as the firmware's servo wires see them: one substep of drives, contact and physics.

use crate::moving::{CardSpeed, Slide};
use crate::outcome::{Outcome, Tracker, Truth};
use crate::servos::Servos;
use crate::table::Table;
use crate::world::guard::{self, ArmPose};
use crate::world::{HandPose, World};
use nalgebra::{Isometry3, Point3};
use wink_runtime::arm::{ArmDescription, JointValues};

/// So deep contact may be: it pushes the cube away within the next substeps.
const EASY_DEPTH_M: f64 = 0.003;
/// Halvings of a step that goes too deep; then the hand waits.
const EASE_ROUNDS: usize = 4;

/// The arm, its servos and the table it works on.
pub(crate) struct Plant {
    arm: ArmDescription,
    /// With the cards where they are.
    table: Table,
    slide: Option<Slide>,
    base_in_world: Isometry3<f64>,
    pub(crate) servos: Servos,
    world: World,
    tracker: Tracker,
}

impl Plant {
    pub(crate) fn new(mut table: Table, card_speed: CardSpeed) -> Self {
        let slide = Slide::new(&table, card_speed);
        if let Some(slide) = &slide {
            slide.place(&mut table);
        }
        let arm = table.setup.arm();
        let servos = Servos::new(table.setup, &arm);
        let base_in_world = table.setup.base_in_world();
        let tool = ArmPose::new(&arm, &base_in_world, &servos.angles()).tool;
        let world = World::new(
            &table,
            &HandPose {
                tool,
                finger_m: servos.finger_m(),
            },
            slide.is_some(),
        );
        Self {
            arm,
            table,
            slide,
            base_in_world,
            servos,
            world,
            tracker: Tracker::default(),
        }
    }

    /// Lets a substep pass.
    pub(crate) fn substep(&mut self) {
        let mut steps = self.servos.drive();
        let gripper = self.servos.gripper();
        let contacts = self.world.contacts();
        if steps[gripper] < 0.0 && contacts.fingers_hold() {
            steps[gripper] = 0.0;
        } else if contacts.fingers_touch() {
            steps[gripper] = self.servos.loaded_finger_step(steps[gripper]);
        }
        let wanted = JointValues::from(&steps[..gripper]);
        let possible = guard::yield_to_contact(
            self.table.setup,
            &self.arm,
            &self.base_in_world,
            &self.servos.angles(),
            self.servos.finger_m(),
            wanted,
            contacts,
        );
        steps[..gripper].copy_from_slice(&possible);
        let hand = self.ease_into_objects(&mut steps);
        self.servos.advance(&steps);
        if let Some(slide) = &mut self.slide {
            slide.advance();
            slide.place(&mut self.table);
            self.world.move_cards(&self.table);
        }
        self.world.step(&hand);
        self.tracker
            .observe(self.world.cube().translation.vector.into(), self.grasped());
    }

    /// Cuts the steps so that the hand comes no deeper into an object than contact can push it away in a substep, and
    /// returns where the hand then is.
    ///
    /// Without this, a kinematic finger is a centimetre inside of an object before any force is known.
    fn ease_into_objects(&self, steps: &mut [f64]) -> HandPose {
        let gripper = self.servos.gripper();
        let after = |steps: &[f64]| {
            let angles = self.servos.angles();
            let angles = JointValues::from_fn(gripper, |joint| angles[joint] + steps[joint]);
            HandPose {
                tool: ArmPose::new(&self.arm, &self.base_in_world, &angles).tool,
                finger_m: self.servos.finger_m() + steps[gripper],
            }
        };
        let wanted = after(steps);
        // A held object goes where the fingers go, and counts for nothing here.
        if self.world.depth_m(&wanted) <= EASY_DEPTH_M {
            return wanted;
        }
        let allowed_m = self
            .world
            .depth_m(&after(&JointValues::filled(0.0, steps.len())))
            .max(EASY_DEPTH_M);
        for _ in 0..EASE_ROUNDS {
            for step in steps.iter_mut() {
                *step *= 0.5;
            }
            let eased = after(steps);
            if self.world.depth_m(&eased) <= allowed_m {
                return eased;
            }
        }
        steps.fill(0.0);
        after(steps)
    }

    /// Whether the fingers hold the object that the episode is about.
    fn grasped(&self) -> bool {
        self.world.contacts().held == Some(0)
    }

    /// The arm's frames in the world.
    pub(crate) fn pose(&self) -> ArmPose {
        ArmPose::new(&self.arm, &self.base_in_world, &self.servos.angles())
    }

    pub(crate) const fn table(&self) -> &Table {
        &self.table
    }

    pub(crate) const fn moves_cards(&self) -> bool {
        self.slide.is_some()
    }

    pub(crate) const fn world(&self) -> &World {
        &self.world
    }

    pub(crate) fn truth(&self) -> Truth {
        let contacts = self.world.contacts();
        Truth {
            cube_in_world: self.world.cube(),
            cube_speed: self.world.cube_speed(),
            tool_in_world: self.pose().tool,
            joint_angles: self.servos.angles(),
            max_joint_speed: self.servos.max_joint_speed(),
            finger_m: self.servos.finger_m(),
            finger_force_n: contacts.finger_n,
            grasped: self.grasped(),
            others_in_world: self.world.objects().skip(1).collect(),
            card_centres: self.table.cards.map(|card| Point3::from(card.centre())),
            target: self.table.target,
        }
    }

    pub(crate) fn outcome(&self) -> Outcome {
        self.tracker.outcome(&self.truth(), &self.table)
    }

    /// Calls `visit` with the bits of every number that decides what happens next.
    pub(crate) fn visit_state(&self, mut visit: impl FnMut(u64)) {
        self.servos.visit_state(|value| visit(value.to_bits()));
        if let Some(slide) = &self.slide {
            visit(slide.offset_m().to_bits());
        }
        self.world
            .visit_state(|value| visit(u64::from(value.to_bits())));
    }
}
