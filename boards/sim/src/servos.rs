//! The simulated servos: what the firmware's bus leads to, and what moves the joints.
//!
//! Each servo is a position drive. A drive with stiffness 1000 and damping 100 on a joint without inertia follows its goal
//! as a first-order lag with a time constant of damping / stiffness = 0.1 s; speed is limited to what the arm's description
//! says. Goals take effect one firmware tick after they were written. Positions are read through a 12-bit encoder.

use wink_firmware::servo::{ServoBus, ServoState};
use wink_runtime::arm::{ArmDescription, JointValues, Row};

use crate::setup::Setup;

/// Stiffness of a drive, torque (or force) per rad (or m).
const STIFFNESS: f64 = 1e3;
/// Damping of a drive.
const DAMPING: f64 = 1e2;
/// Greatest torque (or force) of a drive.
const FORCE_LIMIT: f64 = 100.0;
/// Time constant of the lag.
pub(crate) const TAU_S: f64 = DAMPING / STIFFNESS;
/// Steps of an encoder per turn of its servo.
const ENCODER_STEPS: f64 = 4096.0;
/// Travel of a finger per radian of the gripper's servo where a crank moves it: the crank's length.
const GRIPPER_CRANK_M: f64 = 0.012;
/// Greatest speed of a finger. Much faster and it is deep in the cube before a substep's contact forces are known.
const FINGER_SPEED_M_S: f64 = 0.15;
/// Greatest speed of a finger that meets resistance.
const LOADED_FINGER_SPEED_M_S: f64 = 0.05;

/// Why the simulated bus refuses: a slice has not as many values as the arm has joints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the simulated bus has {servos} servos, {addressed} were addressed")]
pub struct WrongJointCount {
    /// Those on the bus.
    pub servos: usize,
    /// Those in the slice.
    pub addressed: usize,
}

/// The arm's servos, that of a gripper last.
#[derive(Debug, Clone)]
pub struct Servos {
    positions: JointValues,
    velocities: JointValues,
    loads: JointValues,
    /// Whether something kept the joint from the last step of its drive.
    resisted: Row<bool>,
    goals: JointValues,
    /// Written, and in force from the next tick on.
    next_goals: JointValues,
    torque_on: Row<bool>,
    speed_limits: JointValues,
    /// Joints of the arm, without the gripper.
    joints: usize,
    stops: Row<[f64; 2]>,
    /// Way of the gripper for a radian of its servo, m.
    gripper_m_per_rad: f64,
    /// Share of the distance to the goal that the lag covers in one substep.
    share: f64,
    substep_s: f64,
}

impl Servos {
    /// The servos of a cell's arm at rest at home, torque off. The gripper's stops are where its pads meet and where its
    /// description has it wide open.
    #[must_use]
    pub fn new(setup: &Setup, arm: &ArmDescription) -> Self {
        let substep_s = setup.substep_s();
        let gripper = arm.gripper();
        let finger_speed = gripper.map(|gripper| gripper.velocity_m_s.min(FINGER_SPEED_M_S));
        let finger_stops = gripper.map(|gripper| [setup.hand.pads_meet_m, gripper.open_m]);
        let joints = arm.joints().iter();
        let speeds = joints.clone().map(|joint| joint.velocity_rad_s);
        let stops = joints.map(|joint| [joint.min_rad, joint.max_rad]);
        let positions = arm.wire_home();
        let still = JointValues::filled(0.0, positions.len());
        Self {
            positions,
            velocities: still,
            loads: still,
            resisted: Row::filled(false, positions.len()),
            goals: positions,
            next_goals: positions,
            torque_on: Row::filled(false, positions.len()),
            speed_limits: speeds.chain(finger_speed).collect(),
            joints: arm.joints().len(),
            stops: stops.chain(finger_stops).collect(),
            gripper_m_per_rad: arm.gripper_lever_m().unwrap_or(GRIPPER_CRANK_M),
            share: 1.0 - libm::exp(-substep_s / TAU_S),
            substep_s,
        }
    }

    /// True joint angles of the arm, radians.
    #[must_use]
    pub fn angles(&self) -> JointValues {
        JointValues::from(&self.positions[..self.gripper()])
    }

    /// Joints on the wire, a gripper among them.
    #[must_use]
    pub fn count(&self) -> usize {
        self.positions.len()
    }

    /// Index of the gripper on the wire: behind the arm's joints.
    #[must_use]
    pub fn gripper(&self) -> usize {
        self.joints
    }

    /// True travel of one finger, metres; 0 for an arm without a gripper.
    #[must_use]
    pub fn finger_m(&self) -> f64 {
        self.positions
            .get(self.gripper())
            .copied()
            .unwrap_or_default()
    }

    /// True position of a joint on the wire, rad or m.
    #[must_use]
    pub fn position(&self, joint: usize) -> f64 {
        self.positions[joint]
    }

    /// True velocity of a joint on the wire, rad/s or m/s.
    #[must_use]
    pub fn velocity(&self, joint: usize) -> f64 {
        self.velocities[joint]
    }

    /// Share of its greatest torque that a joint's drive gives, -1 to 1.
    #[must_use]
    pub fn load(&self, joint: usize) -> f64 {
        self.loads[joint]
    }

    /// What is left of the way to the goal of a joint that something kept from the last step of its drive: contact, a stop. `None`
    /// where the joint moves freely or has no torque.
    #[must_use]
    pub(crate) fn resisted_gap(&self, joint: usize) -> Option<f64> {
        self.resisted[joint].then(|| self.goals[joint] - self.positions[joint])
    }

    /// Drives one joint towards `goal` from the next tick on, or takes its torque away.
    pub fn drive_joint(&mut self, joint: usize, goal: Option<f64>) {
        self.torque_on[joint] = goal.is_some();
        if let Some(goal) = goal.filter(|goal| goal.is_finite()) {
            self.next_goals[joint] = goal;
        }
    }

    /// Where a joint's stops are, rad or m.
    #[must_use]
    pub fn stops(&self, joint: usize) -> [f64; 2] {
        self.stops[joint]
    }

    /// Moves a joint's stops, rad or m.
    pub fn set_stops(&mut self, joint: usize, stops: [f64; 2]) {
        self.stops[joint] = stops;
    }

    /// Moves a joint without torque by hand, as far as its stops let it. One with torque stays where it is.
    pub fn move_by_hand(&mut self, joint: usize, position: f64) {
        if self.torque_on[joint] {
            return;
        }
        let [low, high] = self.stops[joint];
        self.positions[joint] = position.max(low).min(high);
        self.goals[joint] = self.positions[joint];
        self.next_goals[joint] = self.positions[joint];
    }

    /// Greatest joint speed of the arm, radians per second.
    #[must_use]
    pub fn max_joint_speed(&self) -> f64 {
        self.velocities[..self.gripper()]
            .iter()
            .fold(0.0, |most, speed| speed.abs().max(most))
    }

    /// The steps that the drives make in a substep if nothing is in the way.
    pub fn drive(&self) -> JointValues {
        JointValues::from_fn(self.count(), |joint| {
            if !self.torque_on[joint] {
                return 0.0;
            }
            let [low, high] = self.stops[joint];
            let wanted = self.positions[joint] + self.free_step(joint);
            wanted.clamp(low, high) - self.positions[joint]
        })
    }

    /// The step of a drive with torque that nothing resists.
    fn free_step(&self, joint: usize) -> f64 {
        let most = self.speed_limits[joint] * self.substep_s;
        ((self.goals[joint] - self.positions[joint]) * self.share).clamp(-most, most)
    }

    /// What is left of a step of the closing gripper when the fingers meet resistance.
    #[must_use]
    pub fn loaded_finger_step(&self, step_m: f64) -> f64 {
        step_m.max(-LOADED_FINGER_SPEED_M_S * self.substep_s)
    }

    /// Moves the joints by the steps that were possible. Goals written since the last call come into force.
    pub fn advance(&mut self, steps: &[f64]) {
        /// What rounding makes of a step, rad or m.
        const ROUNDING: f64 = 1e-9;

        for (joint, step) in steps.iter().enumerate() {
            let missing = self.free_step(joint) - step;
            self.resisted[joint] = self.torque_on[joint] && missing.abs() > ROUNDING;
            self.positions[joint] += step;
            self.velocities[joint] = step / self.substep_s;
            let torque = STIFFNESS * (self.goals[joint] - self.positions[joint])
                - DAMPING * self.velocities[joint];
            self.loads[joint] = if self.torque_on[joint] {
                torque.clamp(-FORCE_LIMIT, FORCE_LIMIT) / FORCE_LIMIT
            } else {
                0.0
            };
        }
        self.goals = self.next_goals;
    }

    /// Calls `visit` with every number that decides what happens next, in a fixed order.
    pub fn visit_state(&self, mut visit: impl FnMut(f64)) {
        for values in [
            &self.positions,
            &self.velocities,
            &self.goals,
            &self.next_goals,
        ] {
            values.iter().copied().for_each(&mut visit);
        }
    }

    fn check_count(&self, addressed: usize) -> Result<(), WrongJointCount> {
        let servos = self.count();
        if addressed == servos {
            Ok(())
        } else {
            Err(WrongJointCount { servos, addressed })
        }
    }

    /// What the encoder says of a joint.
    fn measured(&self, joint: usize) -> f32 {
        let turn = std::f64::consts::TAU
            * if joint == self.gripper() {
                self.gripper_m_per_rad
            } else {
                1.0
            };
        let step = turn / ENCODER_STEPS;
        (libm::round(self.positions[joint] / step) * step) as f32
    }
}

impl ServoBus for Servos {
    type Error = WrongJointCount;

    fn read(&mut self, states: &mut [ServoState]) -> Result<(), WrongJointCount> {
        self.check_count(states.len())?;
        for (joint, state) in states.iter_mut().enumerate() {
            *state = ServoState {
                position: self.measured(joint),
                velocity: self.velocities[joint] as f32,
                load: self.loads[joint] as f32,
                ..ServoState::default()
            };
        }
        Ok(())
    }

    fn write(&mut self, goals: &[f32]) -> Result<(), WrongJointCount> {
        self.check_count(goals.len())?;
        for (goal, &wanted) in self.next_goals.iter_mut().zip(goals) {
            // A servo takes a register, not a float: what is no number never reaches it.
            if wanted.is_finite() {
                *goal = f64::from(wanted);
            }
        }
        Ok(())
    }

    fn set_torque(&mut self, on: bool) -> Result<(), WrongJointCount> {
        self.torque_on.fill(on);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::WX250S;

    const WIRE_JOINTS: usize = 7;
    const GRIPPER: usize = 6;
    const HOME: [f32; WIRE_JOINTS] = [0.0, 0.0, 0.0, 0.0, std::f32::consts::FRAC_PI_2, 0.0, 0.037];

    fn servos(goals: [f32; WIRE_JOINTS]) -> Servos {
        let mut servos = Servos::new(&WX250S, &crate::arm());
        servos.write(&goals).unwrap();
        servos.set_torque(true).unwrap();
        servos
    }

    fn pass(servos: &mut Servos, substeps: usize) {
        for _ in 0..substeps {
            servos.advance(&servos.drive());
        }
    }

    fn goal(joint: usize, value: f32) -> [f32; WIRE_JOINTS] {
        let mut goals = HOME;
        goals[joint] = value;
        goals
    }

    #[test]
    fn a_joint_lags_its_goal_by_a_tenth_of_a_second_and_one_tick() {
        let mut servos = servos(goal(1, 0.1));
        pass(&mut servos, 1);
        assert_eq!(servos.angles()[1], 0.0, "a goal takes effect a tick late");
        pass(&mut servos, 10);
        let left = 0.1 - servos.angles()[1];
        assert!(
            (left / 0.1 - libm::exp(-1.0)).abs() < 1e-6,
            "{left} left after one time constant"
        );
    }

    #[test]
    fn speed_ends_at_the_limits() {
        for (joint, value, limit) in [
            (0, 3.0, std::f64::consts::PI),
            (GRIPPER, 0.0, FINGER_SPEED_M_S),
        ] {
            let mut servos = servos(goal(joint, value));
            pass(&mut servos, 2);
            assert!(
                (servos.velocities[joint].abs() - limit).abs() < 1e-9,
                "joint {joint}: {}",
                servos.velocities[joint]
            );
        }
    }

    #[test]
    fn stops_end_the_travel_and_load_says_so() {
        for (joint, value, stop) in [
            (1, -9.0, -1.884_955_592_153_875_9),
            (GRIPPER, -0.01, 0.0),
            (GRIPPER, 0.04, 0.037),
        ] {
            let mut servos = servos(goal(joint, value));
            pass(&mut servos, 300);
            assert!(
                (servos.positions[joint] - stop).abs() < 1e-9,
                "joint {joint} at {}",
                servos.positions[joint]
            );
            let mut states = [ServoState::default(); WIRE_JOINTS];
            servos.read(&mut states).unwrap();
            assert!(
                states[joint].load * value.signum() > 0.0,
                "joint {joint}: {:?}",
                states[joint]
            );
            assert!(states[joint].load.abs() <= 1.0);
        }
    }

    #[test]
    fn without_torque_nothing_moves() {
        let mut servos = servos(goal(0, 1.0));
        servos.set_torque(false).unwrap();
        pass(&mut servos, 50);
        assert_eq!(servos.angles()[0], 0.0);
    }

    #[test]
    fn encoders_have_4096_steps_a_turn() {
        let mut servos = servos(goal(0, 0.5));
        let mut states = [ServoState::default(); WIRE_JOINTS];
        for _ in 0..40 {
            pass(&mut servos, 1);
            servos.read(&mut states).unwrap();
            let steps = f64::from(states[0].position) / std::f64::consts::TAU * ENCODER_STEPS;
            assert!((steps - steps.round()).abs() < 1e-3, "{steps}");
            assert!(
                (f64::from(states[0].position) - servos.angles()[0]).abs()
                    <= std::f64::consts::PI / ENCODER_STEPS + 1e-6
            );
        }
    }

    #[test]
    fn what_is_no_number_or_no_joint_is_refused() {
        let mut servos = servos(goal(0, 0.1));
        servos.write(&goal(0, f32::NAN)).unwrap();
        pass(&mut servos, 100);
        assert!((servos.angles()[0] - 0.1).abs() < 1e-4);
        assert_eq!(
            servos.write(&[0.0; 6]),
            Err(WrongJointCount {
                servos: 7,
                addressed: 6
            })
        );
        assert_eq!(
            servos.read(&mut [ServoState::default(); 8]),
            Err(WrongJointCount {
                servos: 7,
                addressed: 8
            })
        );
    }
}
