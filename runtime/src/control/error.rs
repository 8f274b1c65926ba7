//! Why actions are not executed.

/// Why an action is not executed. The arm must hold its pose.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The policy moves or measures a gripper, and the arm has none.
    #[error("{what} has a gripper, the arm {arm} has none")]
    NoGripper {
        /// What has one: the policy's action space or its state.
        what: &'static str,
        /// The arm.
        arm: String,
    },
    /// The policy's actions have another length than its action space.
    #[error("the policy's actions have {found} values, those of its action space {} [{}]", names.len(), names.join(", "))]
    ActionDim {
        /// What the policy has.
        found: usize,
        /// What the space has.
        names: Vec<String>,
    },
    /// The policy was made for other joints.
    #[error(
        "the policy has the joints [{}], the arm {arm} has [{}]: they must be the same",
        policy.join(", "),
        joints.join(", ")
    )]
    Joints {
        /// The policy's names.
        policy: Vec<String>,
        /// The arm.
        arm: String,
        /// The arm's joints on the wire.
        joints: Vec<String>,
    },
    /// A unit that means nothing to a joint.
    #[error(
        "the policy counts \"{name}\" in {unit}, which the arm {arm} cannot: joints are counted in rad, degrees, lerobot_degrees or \
         lerobot_range, a gripper in m, fraction or percent (a gripper behind a crank in m)"
    )]
    JointUnit {
        /// The policy's name of the value.
        name: String,
        /// Its unit.
        unit: &'static str,
        /// The arm.
        arm: String,
    },
    /// The pose in other units than it is measured in.
    #[error(
        "the policy counts \"{name}\" of its state \"{state}\" in {unit}, it is measured in {expected}"
    )]
    StateUnit {
        /// The state vector.
        state: String,
        /// Its value.
        name: String,
        /// The policy's unit.
        unit: &'static str,
        /// The unit that it is measured in.
        expected: &'static str,
    },
    /// A state vector that the arm does not measure.
    #[error(
        "the policy needs the state \"{state}\" [{}], which the arm {arm} does not measure: it has the pose [{}] in m and rad with the \
         gripper as a fraction, and its joints [{}]",
        names.join(", "),
        super::PROPRIO_NAMES.join(", "),
        joints.join(", ")
    )]
    State {
        /// The state vector.
        state: String,
        /// Its values.
        names: Vec<String>,
        /// The arm.
        arm: String,
        /// The arm's joints on the wire.
        joints: Vec<String>,
    },
    /// The policy's chunks cannot be executed as it says.
    #[error(
        "the policy executes {execute} of {steps} actions: it must be at least 1 and at most all"
    )]
    Execute {
        /// Actions to execute.
        execute: usize,
        /// Actions in a chunk.
        steps: usize,
    },
    /// A chunk has another size than the policy announced.
    #[error(
        "the policy gave {values} values as {steps} x {dim} actions, it announced {expected_steps} x {expected_dim}"
    )]
    ChunkSize {
        /// Values in the chunk.
        values: usize,
        /// Steps it claims.
        steps: usize,
        /// Values per step it claims.
        dim: usize,
        /// Steps announced.
        expected_steps: usize,
        /// Values per step announced.
        expected_dim: usize,
    },
    /// A NaN or an infinity.
    #[error("the policy's action is not finite: {name}{} is {value}; the arm holds its pose", of_step(*step))]
    NotFinite {
        /// The first bad step of the chunk, where it is known.
        step: Option<usize>,
        /// The value's name.
        name: String,
        /// What it is.
        value: f32,
    },
    /// The policy's rate is no number of actions a second.
    #[error("the policy's control rate is {hz} Hz: it must be a positive number")]
    NoRate {
        /// The rate.
        hz: f64,
    },
    /// The board's clock cannot keep the policy's rate.
    #[error(
        "the policy runs at {hz} Hz, one action every {period_us} us, but the clock of this board advances in steps of {step_us} us: the rate must be {fastest_hz} Hz or that divided by a whole number",
        period_us = (1e6 / hz).round(),
        fastest_hz = 1e6 / *step_us as f64
    )]
    Rate {
        /// The rate.
        hz: f64,
        /// The clock's step.
        step_us: u64,
    },
    /// The board would hold the arm between two setpoints.
    #[error(
        "the policy runs at {hz} Hz, one action every {period_us} us, but the firmware holds the arm after {hold_after_us} us without a setpoint",
        period_us = (1e6 / hz).round()
    )]
    TooSlow {
        /// The rate.
        hz: f64,
        /// Time without a setpoint after which the firmware holds.
        hold_after_us: u64,
    },
}

fn of_step(step: Option<usize>) -> String {
    step.map_or_else(String::new, |step| format!(" of step {step}"))
}
