//! What the arm did, whatever the board says: where its joints were, and what its servos were told.

use wink_runtime::arm::{ARM_JOINTS, ArmDescription, GRIPPER, WIRE_JOINTS};
use wink_sim::bus::{BusServo, ServoBus};
use wink_sim::servos::Servos;

/// Radians per tick of a servo's encoder.
const TICK_RAD: f64 = std::f64::consts::TAU / 4096.0;
/// Over so many looks, 10 ms apart, a speed is taken: on a single one a tick more or less counts double.
const LOOKS: usize = 10;
/// Between two looks.
const LOOK_S: f64 = 0.01;
/// How much longer than it should the time between two looks may have been: the board ticks in its own rhythm.
const SLACK_S: f64 = 0.008;

/// Looks at every step of the physics.
#[derive(Debug, Clone)]
pub struct Witness {
    limits: [[f64; 2]; WIRE_JOINTS],
    speed_caps: [f64; WIRE_JOINTS],
    /// The last goals of each joint's first servo, in rad or ticks of the gripper's; `None` where it had no torque.
    goals: [Vec<Option<f64>>; WIRE_JOINTS],
    looks: u64,
    overstep_rad: f64,
    fastest_share: f64,
    moved: bool,
}

impl Witness {
    /// A witness who has seen nothing.
    #[must_use]
    pub fn new(arm: &ArmDescription) -> Self {
        let gripper = arm.gripper();
        let mut limits = [[gripper.min_m, gripper.max_m]; WIRE_JOINTS];
        let mut speed_caps = [gripper.velocity_m_s; WIRE_JOINTS];
        for (index, joint) in arm.joints().iter().enumerate() {
            limits[index] = [joint.min_rad, joint.max_rad];
            speed_caps[index] = joint.velocity_rad_s;
        }
        Self {
            limits,
            speed_caps,
            goals: Default::default(),
            looks: 0,
            overstep_rad: 0.0,
            fastest_share: 0.0,
            moved: false,
        }
    }

    /// Forgets what was seen.
    pub fn forget(&mut self) {
        self.looks = 0;
        self.overstep_rad = 0.0;
        self.fastest_share = 0.0;
        self.moved = false;
    }

    /// Times looked.
    #[must_use]
    pub const fn looks(&self) -> u64 {
        self.looks
    }

    /// How far outside of its limits an arm joint has been or was told to go, rad, at most; 0 where none ever was.
    #[must_use]
    pub const fn overstep_rad(&self) -> f64 {
        self.overstep_rad
    }

    /// Greatest speed that a goal of an arm joint moved with, as a share of the joint's limit.
    #[must_use]
    pub const fn fastest_share(&self) -> f64 {
        self.fastest_share
    }

    /// Whether any arm joint moved by more than a tick a look.
    #[must_use]
    pub const fn moved(&self) -> bool {
        self.moved
    }

    /// Whether the arm kept its limits, to a tick of its encoders.
    #[must_use]
    pub fn kept_limits(&self) -> bool {
        self.overstep_rad <= TICK_RAD
    }

    /// Whether no goal ever moved faster than its joint may.
    #[must_use]
    pub fn kept_speed(&self) -> bool {
        self.fastest_share <= 1.0
    }

    pub(crate) fn look(&mut self, arm: &ArmDescription, joints: &Servos, bus: &ServoBus) {
        self.looks += 1;
        for joint in 0..ARM_JOINTS {
            let [low, high] = self.limits[joint];
            let mut keep = |position: f64| {
                self.overstep_rad = self.overstep_rad.max(low - position).max(position - high);
            };
            keep(joints.position(joint));
            self.moved |= joints.velocity(joint).abs() * LOOK_S > TICK_RAD;
            let id = arm.joints()[joint].servo_ids.first();
            let servo = id.and_then(|id| bus.servos().iter().find(|servo| servo.id() == *id));
            let goal = servo.filter(|servo| servo.has_torque()).map(goal_rad);
            if let Some(goal) = goal {
                keep(goal);
            }
            self.note_goal(joint, goal);
        }
    }

    fn note_goal(&mut self, joint: usize, goal: Option<f64>) {
        let goals = &mut self.goals[joint];
        goals.push(goal);
        if goals.len() <= LOOKS {
            return;
        }
        let first = goals.remove(0);
        // Where torque was off in between, a goal may be set anew.
        if let (Some(first), true, Some(last)) = (first, goals.iter().all(Option::is_some), goal) {
            let way = ((last - first).abs() - TICK_RAD).max(0.0);
            let speed = way / (LOOKS as f64 * LOOK_S + SLACK_S);
            self.fastest_share = self.fastest_share.max(speed / self.speed_caps[joint]);
        }
    }
}

/// Where the servo was told to be, on a joint that it turns directly.
fn goal_rad(servo: &BusServo) -> f64 {
    let registers = servo.registers();
    let number = |at: usize| {
        registers.get(at..at + 2).map_or(0.0, |bytes| {
            f64::from(u16::from_le_bytes([bytes[0], bytes[1]]))
        })
    };
    // Goal position: 42 of a Feetech STS, 116 of a Dynamixel, which have other sizes.
    let ticks = if registers.len() > 116 + 2 {
        number(116)
    } else {
        number(42)
    };
    (ticks - 2048.0) * TICK_RAD
}

const _: () = assert!(GRIPPER == ARM_JOINTS, "the gripper is the last on the wire");
