//! What the arm did, whatever the board says: where its joints were, and what its servos were told.

use wink_firmware::servo::TickCalibration;
use wink_runtime::arm::{ArmDescription, ArmServos};
use wink_sim::bus::{BusServo, ServoBus};
use wink_sim::servos::Servos;

/// Radians per tick of a servo's encoder.
const TICK_RAD: f64 = std::f64::consts::TAU / 4096.0;
/// A speed is taken over this time: from one look to the next a tick more or less counts double.
const SPAN_US: u64 = 100_000;
/// How much longer than it should the time between two looks may have been: the board ticks in its own rhythm.
const SLACK_S: f64 = 0.008;

/// What is to be known of a joint of the arm itself.
#[derive(Debug, Clone)]
struct Joint {
    limits_rad: [f64; 2],
    speed_cap: f64,
    /// Its first servo, and what that one's ticks mean.
    servo: Option<(u8, TickCalibration)>,
    /// Its servo's last goals, rad; `None` where it had no torque.
    goals: Vec<Option<f64>>,
}

/// Looks at every step of the physics.
#[derive(Debug, Clone)]
pub struct Witness {
    joints: Vec<Joint>,
    look_s: f64,
    /// Looks in [`SPAN_US`].
    span: usize,
    looks: u64,
    overstep_rad: f64,
    fastest_share: f64,
    moved: bool,
}

impl Witness {
    /// A witness that has seen nothing and looks every `look_us`.
    #[must_use]
    pub fn new(arm: &ArmDescription, look_us: u64) -> Self {
        let servos = match arm.servos() {
            Some(ArmServos::Bus { servos, .. }) => servos.as_slice(),
            _ => &[],
        };
        let joints = arm.joints().iter().enumerate().map(|(index, joint)| {
            let servo = servos
                .iter()
                .find(|servo| usize::from(servo.joint) == index);
            Joint {
                limits_rad: [joint.min_rad, joint.max_rad],
                speed_cap: joint.velocity_rad_s,
                servo: servo.map(|servo| {
                    let mut calibration = servo.calibration;
                    // A Dynamixel turns its own counting round.
                    calibration.reversed &= !servo.model.is_dynamixel();
                    (servo.id, calibration)
                }),
                goals: vec![],
            }
        });
        Self {
            joints: joints.collect(),
            look_s: look_us as f64 * 1e-6,
            span: (SPAN_US / look_us.max(1)).max(1) as usize,
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

    pub(crate) fn look(&mut self, servos: &Servos, bus: &ServoBus) {
        self.looks += 1;
        for (index, joint) in self.joints.iter_mut().enumerate() {
            let goal = joint.servo.and_then(|(id, calibration)| {
                let servo = bus.servos().iter().find(|servo| servo.id() == id)?;
                let tick = servo.has_torque().then(|| goal_tick(servo))?;
                Some(f64::from(calibration.position(tick)))
            });
            let [low, high] = joint.limits_rad;
            for position in [Some(servos.position(index)), goal].into_iter().flatten() {
                let overstep = (low - position).max(position - high);
                self.overstep_rad = self.overstep_rad.max(overstep);
            }
            self.moved |= servos.velocity(index).abs() * self.look_s > TICK_RAD;
            let span_s = self.span as f64 * self.look_s;
            let way_rad = joint.note_goal(goal, self.span);
            let share = way_rad / (span_s + SLACK_S) / joint.speed_cap;
            self.fastest_share = self.fastest_share.max(share);
        }
    }
}

impl Joint {
    /// Takes in a goal; how far the goals of the last `span` looks have moved, without a tick of the encoder, rad.
    fn note_goal(&mut self, goal: Option<f64>, span: usize) -> f64 {
        self.goals.push(goal);
        if self.goals.len() <= span {
            return 0.0;
        }
        let first = self.goals.remove(0);
        // Where torque was off in between, a goal may be set anew.
        let (Some(first), true, Some(last)) = (first, self.goals.iter().all(Option::is_some), goal)
        else {
            return 0.0;
        };
        ((last - first).abs() - TICK_RAD).max(0.0)
    }
}

/// Where the servo was told to be, in its own ticks.
fn goal_tick(servo: &BusServo) -> i32 {
    /// Size of a Dynamixel's registers; a Feetech has fewer.
    const DYNAMIXEL: usize = 200;
    let registers = servo.registers();
    let address = if registers.len() > DYNAMIXEL { 116 } else { 42 };
    match registers.get(address..address + 2) {
        Some(&[low, high]) => i32::from(u16::from_le_bytes([low, high])),
        _ => 0,
    }
}
