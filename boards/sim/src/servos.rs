//! The simulated servos: what the firmware's bus leads to, and what moves the joints.
//!
//! Each servo is a position drive. A drive with stiffness 1000 and damping 100 on a joint without inertia follows its goal
//! as a first-order lag with a time constant of damping / stiffness = 0.1 s; speed is limited to what the arm's description
//! says. Goals take effect one firmware tick after they were written. Positions are read through a 12-bit encoder.

use wink_firmware::servo::{ServoBus, ServoState};
use wink_runtime::arm::{ARM_JOINTS, ArmDescription, GRIPPER, WIRE_JOINTS};

/// Stiffness of a drive, torque (or force) per rad (or m).
const STIFFNESS: f64 = 1e3;
/// Damping of a drive.
const DAMPING: f64 = 1e2;
/// Greatest torque (or force) of a drive.
const FORCE_LIMIT: f64 = 100.0;
/// Time constant of the lag.
const TAU_S: f64 = DAMPING / STIFFNESS;
/// Steps of an encoder per turn of its servo.
const ENCODER_STEPS: f64 = 4096.0;
/// Travel of a finger per radian of the gripper's servo: the length of its crank.
const GRIPPER_CRANK_M: f64 = 0.012;
/// Greatest speed of a finger. Much faster and it is deep in the cube before a substep's contact forces are known.
const FINGER_SPEED_M_S: f64 = 0.15;
/// Greatest speed of a finger that meets resistance.
const LOADED_FINGER_SPEED_M_S: f64 = 0.05;
/// The simulated pads meet at this travel; the gripper's other stop is where the description has it wide open.
const PADS_MEET_M: f64 = 0.0;

/// Why the simulated bus refuses: a slice is shorter than the arm has joints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the simulated bus has {WIRE_JOINTS} servos, {0} were addressed")]
pub struct WrongJointCount(pub usize);

/// The arm's servos, gripper last.
#[derive(Debug, Clone)]
pub struct Servos {
    positions: [f64; WIRE_JOINTS],
    velocities: [f64; WIRE_JOINTS],
    loads: [f64; WIRE_JOINTS],
    goals: [f64; WIRE_JOINTS],
    /// Written, and in force from the next tick on.
    next_goals: [f64; WIRE_JOINTS],
    torque_on: bool,
    speed_limits: [f64; WIRE_JOINTS],
    stops: [[f64; 2]; WIRE_JOINTS],
    /// Share of the distance to the goal that the lag covers in one substep.
    share: f64,
    substep_s: f64,
}

impl Servos {
    /// The servos of an arm at rest at home, torque off.
    #[must_use]
    pub fn new(arm: &ArmDescription, substep_s: f64) -> Self {
        let gripper = arm.gripper();
        let mut positions = [gripper.home_m; WIRE_JOINTS];
        let mut speed_limits = [gripper.velocity_m_s.min(FINGER_SPEED_M_S); WIRE_JOINTS];
        let mut stops = [[PADS_MEET_M, gripper.open_m]; WIRE_JOINTS];
        for (index, joint) in arm.joints().iter().enumerate() {
            positions[index] = joint.home_rad;
            speed_limits[index] = joint.velocity_rad_s;
            stops[index] = [joint.min_rad, joint.max_rad];
        }
        Self {
            positions,
            velocities: [0.0; WIRE_JOINTS],
            loads: [0.0; WIRE_JOINTS],
            goals: positions,
            next_goals: positions,
            torque_on: false,
            speed_limits,
            stops,
            share: 1.0 - libm::exp(-substep_s / TAU_S),
            substep_s,
        }
    }

    /// True joint angles of the arm, radians.
    #[must_use]
    pub fn angles(&self) -> [f64; ARM_JOINTS] {
        std::array::from_fn(|joint| self.positions[joint])
    }

    /// True travel of one finger, metres.
    #[must_use]
    pub const fn finger_m(&self) -> f64 {
        self.positions[GRIPPER]
    }

    /// Greatest joint speed of the arm, radians per second.
    #[must_use]
    pub fn max_joint_speed(&self) -> f64 {
        self.velocities[..ARM_JOINTS].iter().fold(0.0, |most, speed| speed.abs().max(most))
    }

    /// The steps that the drives make in a substep if nothing is in the way.
    pub fn drive(&self) -> [f64; WIRE_JOINTS] {
        std::array::from_fn(|joint| {
            if !self.torque_on {
                return 0.0;
            }
            let most = self.speed_limits[joint] * self.substep_s;
            let step = ((self.goals[joint] - self.positions[joint]) * self.share).clamp(-most, most);
            let [low, high] = self.stops[joint];
            (self.positions[joint] + step).clamp(low, high) - self.positions[joint]
        })
    }

    /// What is left of a step of the closing gripper when the fingers meet resistance.
    #[must_use]
    pub fn loaded_finger_step(&self, step_m: f64) -> f64 {
        step_m.max(-LOADED_FINGER_SPEED_M_S * self.substep_s)
    }

    /// Moves the joints by the steps that were possible. Goals written since the last call come into force.
    pub fn advance(&mut self, steps: &[f64; WIRE_JOINTS]) {
        for joint in 0..WIRE_JOINTS {
            self.positions[joint] += steps[joint];
            self.velocities[joint] = steps[joint] / self.substep_s;
            let torque = STIFFNESS * (self.goals[joint] - self.positions[joint]) - DAMPING * self.velocities[joint];
            self.loads[joint] =
                if self.torque_on { torque.clamp(-FORCE_LIMIT, FORCE_LIMIT) / FORCE_LIMIT } else { 0.0 };
        }
        self.goals = self.next_goals;
    }

    /// Calls `visit` with every number that decides what happens next, in a fixed order.
    pub fn visit_state(&self, mut visit: impl FnMut(f64)) {
        for values in [&self.positions, &self.velocities, &self.goals, &self.next_goals] {
            values.iter().copied().for_each(&mut visit);
        }
    }

    /// What the encoder says of a joint.
    fn measured(&self, joint: usize) -> f32 {
        let turn = std::f64::consts::TAU * if joint == GRIPPER { GRIPPER_CRANK_M } else { 1.0 };
        let step = turn / ENCODER_STEPS;
        (libm::round(self.positions[joint] / step) * step) as f32
    }
}

impl ServoBus for Servos {
    type Error = WrongJointCount;

    fn read(&mut self, states: &mut [ServoState]) -> Result<(), WrongJointCount> {
        if states.len() != WIRE_JOINTS {
            return Err(WrongJointCount(states.len()));
        }
        for (joint, state) in states.iter_mut().enumerate() {
            *state = ServoState {
                position: self.measured(joint),
                velocity: self.velocities[joint] as f32,
                load: self.loads[joint] as f32,
            };
        }
        Ok(())
    }

    fn write(&mut self, goals: &[f32]) -> Result<(), WrongJointCount> {
        if goals.len() != WIRE_JOINTS {
            return Err(WrongJointCount(goals.len()));
        }
        for (goal, &wanted) in self.next_goals.iter_mut().zip(goals) {
            // A servo takes a register, not a float: what is no number never reaches it.
            if wanted.is_finite() {
                *goal = f64::from(wanted);
            }
        }
        Ok(())
    }

    fn set_torque(&mut self, on: bool) -> Result<(), WrongJointCount> {
        self.torque_on = on;
        Ok(())
    }
}
