//! An arm, read from TOML and checked before anything moves.

use std::path::Path;

use nalgebra::{Isometry3, Unit, Vector3};

use super::parse::parse;
use super::{ArmError, ArmFileError, ArmServos, GRIPPER_NAME, JointValues, Workspace, read_text};

/// A revolute joint.
#[derive(Debug, Clone, PartialEq)]
pub struct Joint {
    /// Its name, unique in the arm.
    pub name: String,
    /// Servo ids on the bus; the second, where there is one, mirrors the first.
    pub servo_ids: Vec<u8>,
    /// From the previous joint's frame (the base for the first) to this one's at angle zero.
    pub offset_m: Vector3<f64>,
    /// The axis it turns about, right-handed.
    pub axis: Unit<Vector3<f64>>,
    /// Lower limit.
    pub min_rad: f64,
    /// Upper limit.
    pub max_rad: f64,
    /// Greatest speed.
    pub velocity_rad_s: f64,
    /// Greatest acceleration.
    pub acceleration_rad_s2: f64,
    /// Greatest jerk; infinite where the file has none.
    pub jerk_rad_s3: f64,
    /// Where an episode starts.
    pub home_rad: f64,
    /// Whether its travel may be its servo's whole turn: it has no stops.
    pub full_turn: bool,
    /// First and last tick of the range that its servo was calibrated over; `None` where the file does not say.
    pub calibrated_ticks: Option<[f64; 2]>,
}

/// A parallel gripper of two mirrored fingers. All lengths are those of ONE finger from the middle.
#[derive(Debug, Clone, PartialEq)]
pub struct Gripper {
    /// Servo ids on the bus.
    pub servo_ids: Vec<u8>,
    /// Least command; below `closed_m` it squeezes.
    pub min_m: f64,
    /// Greatest command.
    pub max_m: f64,
    /// Where the finger is when closed on nothing.
    pub closed_m: f64,
    /// Where the finger is when wide open.
    pub open_m: f64,
    /// Greatest speed.
    pub velocity_m_s: f64,
    /// Greatest acceleration.
    pub acceleration_m_s2: f64,
    /// Greatest jerk; infinite where the file has none.
    pub jerk_m_s3: f64,
    /// Greatest load, 1 at the servo's rated load; infinite where the file has none.
    pub torque_limit: f64,
    /// Where an episode starts.
    pub home_m: f64,
    /// As [`Joint::calibrated_ticks`].
    pub calibrated_ticks: Option<[f64; 2]>,
}

/// What the firmware watches on the arm; infinite (voltage: 0) where it does not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Protection {
    /// A joint that is loaded so (1: its servo's rated load), ...
    pub stall_load: f64,
    /// (or draws so much where its servo measures the current), ...
    pub stall_current_a: f64,
    /// and is so far from its goal ...
    pub stall_error_rad: f64,
    /// for so long, is stalled.
    pub stall_time_ms: u32,
    /// A servo as hot as this is too hot.
    pub max_temperature_c: f64,
    /// A supply below this is too weak.
    pub min_voltage_v: f64,
    /// A first target with a joint further than this from where it is measured is approached slowly.
    pub start_rad: f64,
    /// The same for the gripper.
    pub start_m: f64,
}

impl Protection {
    /// Nothing is watched.
    pub const OFF: Self = Self {
        stall_load: f64::INFINITY,
        stall_current_a: f64::INFINITY,
        stall_error_rad: f64::INFINITY,
        stall_time_ms: 0,
        max_temperature_c: f64::INFINITY,
        min_voltage_v: 0.0,
        start_rad: f64::INFINITY,
        start_m: f64::INFINITY,
    };
}

/// An arm of 1 to 7 revolute joints, with or without a gripper: chain, limits, servos. What a file under `boards/arms` says.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmDescription {
    pub(super) name: String,
    pub(super) joints: Vec<Joint>,
    pub(super) tool: Isometry3<f64>,
    pub(super) gripper: Option<Gripper>,
    /// Whether the way the arm is put together says where its joints' zeros are.
    pub(super) zeros_by_assembly: bool,
    pub(super) protection: Protection,
    pub(super) servos: Option<ArmServos>,
    pub(super) workspace: Option<Workspace>,
}

impl ArmDescription {
    /// Reads and checks an arm.
    ///
    /// # Errors
    /// With the line, and the joint and field where there is one: syntax, missing or unknown
    /// fields, too many joints or none, names or servo ids given twice, an axis that is not a unit
    /// vector, reversed limits, values that are not finite or make no sense.
    pub fn from_toml(text: &str) -> Result<Self, ArmError> {
        parse(text)
    }

    /// Reads and checks an arm's file.
    ///
    /// # Errors
    /// With the file: it cannot be read, or as [`from_toml`](Self::from_toml).
    pub fn load(path: &Path) -> Result<Self, ArmFileError> {
        let text = read_text(path)?;
        Self::from_toml(&text).map_err(|error| ArmFileError::Arm {
            path: path.to_owned(),
            error,
        })
    }

    /// The WidowX 250S, an arm for tests.
    #[cfg(test)]
    pub(crate) fn wx250s() -> Self {
        Self::from_toml(include_str!("../../../boards/arms/wx250s.toml")).unwrap()
    }

    /// The SO-101, an arm of five joints for tests.
    #[cfg(test)]
    pub(crate) fn so101() -> Self {
        Self::from_toml(include_str!("../../../boards/arms/so101.toml")).unwrap()
    }

    /// The arm's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The joints from the base outwards, 1 to 7.
    #[must_use]
    pub fn joints(&self) -> &[Joint] {
        &self.joints
    }

    /// Joints on the wire: those of the arm in its order, then the gripper, where there is one.
    #[must_use]
    pub fn wire_joints(&self) -> usize {
        self.joints.len() + usize::from(self.gripper.is_some())
    }

    /// Names of the joints on the wire; that of a gripper is `gripper`.
    pub fn wire_names(&self) -> impl Iterator<Item = &str> {
        let joints = self.joints.iter().map(|joint| joint.name.as_str());
        joints.chain(self.gripper.as_ref().map(|_| GRIPPER_NAME))
    }

    /// From the last joint's frame to the tool: the point between the fingertips, where there is a gripper, along which x runs.
    #[must_use]
    pub fn tool(&self) -> &Isometry3<f64> {
        &self.tool
    }

    /// The gripper; `None` for an arm without one.
    #[must_use]
    pub const fn gripper(&self) -> Option<&Gripper> {
        self.gripper.as_ref()
    }

    /// Whether it is known where the joints' zeros are: from a calibration, from pulses measured for the arm's file, or from the way
    /// the arm is put together.
    #[must_use]
    pub fn is_calibrated(&self) -> bool {
        let of_bus = matches!(self.servos, Some(ArmServos::Bus { .. }));
        let joints = self.joints.iter().map(|joint| joint.calibrated_ticks);
        let gripper = self.gripper.as_ref().filter(|_| !self.has_crank());
        !of_bus
            || self.zeros_by_assembly
            || joints
                .chain(gripper.map(|gripper| gripper.calibrated_ticks))
                .all(|ticks| ticks.is_some())
    }

    /// What drives the joints; `None` where the arm's file does not say.
    #[must_use]
    pub const fn servos(&self) -> Option<&ArmServos> {
        self.servos.as_ref()
    }

    /// The angles of the arm's joints that an episode starts from, rad.
    #[must_use]
    pub fn home(&self) -> JointValues {
        self.joints.iter().map(|joint| joint.home_rad).collect()
    }

    /// What an episode starts from on the wire: angles, then that of a gripper.
    #[must_use]
    pub fn wire_home(&self) -> JointValues {
        let gripper = self.gripper.as_ref().map(|gripper| gripper.home_m);
        self.home().iter().copied().chain(gripper).collect()
    }

    /// The fastest that each joint on the wire may go: rad/s, the gripper m/s of one finger.
    #[must_use]
    pub fn wire_speeds(&self) -> JointValues {
        let joints = self.joints.iter().map(|joint| joint.velocity_rad_s);
        let gripper = self.gripper.as_ref().map(|gripper| gripper.velocity_m_s);
        joints.chain(gripper).collect()
    }

    /// The angles (rad) of the arm's joints brought inside of their limits.
    #[must_use]
    pub fn clamp(&self, angles: &[f64]) -> JointValues {
        let joints = self.joints.iter().zip(angles);
        joints
            .map(|(joint, angle)| angle.clamp(joint.min_rad, joint.max_rad))
            .collect()
    }

    /// Positions on the wire brought inside of the limits of the joints and of a gripper.
    #[must_use]
    pub fn clamp_wire(&self, positions: &[f64]) -> JointValues {
        let joints = self
            .joints
            .iter()
            .map(|joint| (joint.min_rad, joint.max_rad));
        let gripper = self
            .gripper
            .as_ref()
            .map(|gripper| (gripper.min_m, gripper.max_m));
        let limits = joints.chain(gripper).zip(positions);
        limits
            .map(|((min, max), position)| position.clamp(min, max))
            .collect()
    }
}

#[cfg(test)]
mod tests;
