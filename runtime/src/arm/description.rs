//! An arm, read from TOML and checked before anything moves.

use nalgebra::{Isometry3, Unit, Vector3};

use super::parse::parse;
use super::{ArmError, ArmServos, GRIPPER_NAME, JointValues};

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
    };
}

/// An arm of 1 to 7 revolute joints and a gripper: chain, limits, servos. What a file under `boards/arms` says.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmDescription {
    pub(super) name: String,
    pub(super) joints: Vec<Joint>,
    pub(super) tool: Isometry3<f64>,
    pub(super) gripper: Gripper,
    pub(super) protection: Protection,
    pub(super) servos: Option<ArmServos>,
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

    /// Joints on the wire: those of the arm in its order, then the gripper.
    #[must_use]
    pub fn wire_joints(&self) -> usize {
        self.joints.len() + 1
    }

    /// Names of the joints on the wire; the last is `gripper`.
    pub fn wire_names(&self) -> impl Iterator<Item = &str> {
        let joints = self.joints.iter().map(|joint| joint.name.as_str());
        joints.chain([GRIPPER_NAME])
    }

    /// From the last joint's frame to the point between the fingertips; x runs along the gripper.
    #[must_use]
    pub fn tool(&self) -> &Isometry3<f64> {
        &self.tool
    }

    /// The gripper.
    #[must_use]
    pub fn gripper(&self) -> &Gripper {
        &self.gripper
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

    /// What an episode starts from on the wire: angles, then the gripper.
    #[must_use]
    pub fn wire_home(&self) -> JointValues {
        self.home().and(self.gripper.home_m)
    }

    /// The angles (rad) of the arm's joints brought inside of their limits.
    #[must_use]
    pub fn clamp(&self, angles: &[f64]) -> JointValues {
        let joints = self.joints.iter().zip(angles);
        joints
            .map(|(joint, angle)| angle.clamp(joint.min_rad, joint.max_rad))
            .collect()
    }

    /// Positions on the wire brought inside of the limits of joints and gripper.
    #[must_use]
    pub fn clamp_wire(&self, positions: &[f64]) -> JointValues {
        let Gripper { min_m, max_m, .. } = self.gripper;
        match positions.split_last() {
            Some((gripper, angles)) => self.clamp(angles).and(gripper.clamp(min_m, max_m)),
            None => JointValues::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WX250S: &str = include_str!("../../../boards/arms/wx250s.toml");

    /// The WidowX 250S with the `nth` (from 0) occurrence of `from` replaced.
    fn edited(nth: usize, from: &str, to: &str) -> String {
        let (at, _) = WX250S
            .match_indices(from)
            .nth(nth)
            .expect("the text to replace is there");
        format!("{}{to}{}", &WX250S[..at], &WX250S[at + from.len()..])
    }

    #[test]
    fn the_wx250s_is_valid_and_has_the_manufacturers_servos() {
        let arm = ArmDescription::wx250s();
        assert_eq!(arm.name(), "wx250s");
        let ids: Vec<u8> = arm
            .joints()
            .iter()
            .flat_map(|joint| joint.servo_ids.clone())
            .collect();
        assert_eq!(ids, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(arm.gripper().servo_ids, [9]);
        let degrees: Vec<_> = arm
            .joints()
            .iter()
            .map(|j| {
                (
                    j.min_rad.to_degrees().round(),
                    j.max_rad.to_degrees().round(),
                )
            })
            .collect();
        assert_eq!(
            degrees,
            [
                (-180., 180.),
                (-108., 114.),
                (-123., 92.),
                (-180., 180.),
                (-100., 123.),
                (-180., 180.)
            ]
        );
    }

    #[test]
    fn bad_descriptions_are_refused_with_the_line_and_the_name() {
        let without_joints = {
            let start = WX250S.find("[[joint]]").expect("there is a joint");
            let end = WX250S.find("[tool]").expect("there is a tool");
            format!("{}{}", &WX250S[..start], &WX250S[end..])
        };
        let cases = [
            (
                edited(0, "format = 1", "format = 2"),
                "line 4: format 2 is not known, this version reads format 1",
            ),
            (
                edited(0, "\"wx250s\"", "\" \""),
                "line 5: the arm has an empty name",
            ),
            (
                without_joints,
                "the arm has 0 joints [], this version drives arms of 1 to 7",
            ),
            (
                edited(0, "\"elbow\"", "\"waist\""),
                "line 32: there already is a joint \"waist\"",
            ),
            (
                edited(0, "[4, 5]", "[4, 2]"),
                "line 33: \"elbow\": servo id 2 is already taken by \"shoulder\"",
            ),
            (
                edited(0, "[4, 5]", "[4, 4]"),
                "line 33: \"elbow\": servo id 4 is already taken by \"elbow\"",
            ),
            (
                edited(0, "[9]", "[8]"),
                "\"gripper\": servo id 8 is already taken by \"wrist_rotate\"",
            ),
            (
                edited(0, "[6]", "[]"),
                "\"forearm_roll\": servo_ids holds 0 ids",
            ),
            (
                edited(0, "[0.0, 0.0, 1.0]", "[0.0, 0.0, 2.0]"),
                "line 11: joint \"waist\": axis has length 2, it must be a unit vector",
            ),
            (
                edited(0, "[0.0, 0.0, 1.0]", "[0.0, 0.0, nan]"),
                "joint \"waist\": axis has length NaN",
            ),
            (
                edited(0, "min_rad = -1.8849555921538759", "min_rad = 2.0"),
                "line 24: \"shoulder\": min_rad 2 is not below max_rad 1.98967",
            ),
            (
                edited(0, "max_rad = 1.9896753472735358", "max_rad = 114"),
                "line 25: \"shoulder\": max_rad is 114, outside of",
            ),
            (
                edited(0, "0.03865", "inf"),
                "line 22: \"shoulder\": offset_m is not a finite number",
            ),
            (edited(0, "0.03865", "38.65"), "is it in millimetres?"),
            (
                edited(2, "acceleration_rad_s2 = 40.0", "acceleration_rad_s2 = 0.0"),
                "\"elbow\": acceleration_rad_s2 is 0, outside of",
            ),
            (
                edited(0, "home_rad = 1.5707963267948966", "home_rad = 3.0"),
                "\"wrist_angle\": home_rad is 3, outside of",
            ),
            (
                edited(0, "jerk_rad_s3 = 4000.0", "jerk_rad_s3 = 100.0"),
                "\"waist\": jerk_rad_s3 is 100, outside of 1250",
            ),
            (
                edited(0, "torque_limit = 0.6", "torque_limit = 60"),
                "\"gripper\": torque_limit is 60, outside of 0.01 .. 1: is it in percent?",
            ),
            (
                edited(0, "stall_error_rad = 0.2\n", ""),
                "line 81: [protection] needs all of stall_load, stall_error_rad and stall_time_ms",
            ),
            (
                edited(0, "max_temperature_c = 70.0", "max_temperature_c = 343.0"),
                "\"protection\": max_temperature_c is 343, outside of",
            ),
            (
                edited(0, "closed_m = 0.015", "closed_m = 0.039"),
                "\"gripper\": closed_m 0.039 is not below open_m 0.037",
            ),
            (
                edited(0, "open_m = 0.037", "open_m = 0.05"),
                "\"gripper\": open_m is 0.05, outside of -0.01 .. 0.04",
            ),
            (
                edited(0, "velocity_m_s", "velocity_mm_s"),
                "unknown field `velocity_mm_s`",
            ),
            (
                edited(0, "axis = [0.0, 1.0, 0.0]\n", ""),
                "missing field `axis`",
            ),
            (
                edited(0, "axis = [0.0, 1.0, 0.0]", "axis = [0.0, 1.0]"),
                "line 23: ",
            ),
            (
                edited(0, "axis = [0.0, 1.0, 0.0]", "axis = [0.0, 1.0, 0.0"),
                "line 2",
            ),
            (String::new(), "line 1: missing field `format`"),
        ];
        for (text, expected) in cases {
            let message = ArmDescription::from_toml(&text)
                .expect_err(expected)
                .to_string();
            assert!(
                message.contains(expected),
                "\"{message}\" does not say \"{expected}\""
            );
        }
    }

    #[test]
    fn arms_of_one_to_seven_joints_are_read() {
        let start = WX250S.find("[[joint]]").expect("there is a joint");
        let end = WX250S.find("[protection]").expect("there is a protection");
        let joint = |number: usize| {
            let first = &WX250S[start..start + WX250S[start + 1..].find("[[joint]]").expect("two")];
            first
                .replace("waist", &format!("joint_{number}"))
                .replace("[1]", &format!("[{}]", 20 + number))
        };
        let arm = |count: usize| {
            let joints: String = (0..count).map(joint).collect();
            ArmDescription::from_toml(&format!("{}{joints}{}", &WX250S[..start], &WX250S[end..]))
        };
        for count in 1..=7 {
            let arm = arm(count).expect("so many joints will do");
            assert_eq!((arm.joints().len(), arm.wire_joints()), (count, count + 1));
            assert_eq!(arm.firmware_config().joints.len(), count + 1);
            assert_eq!(
                (arm.home().len(), arm.wire_home().len()),
                (count, count + 1)
            );
            assert_eq!(arm.wire_names().last(), Some("gripper"));
        }
        let message = arm(8).expect_err("eight are too many").to_string();
        assert_eq!(
            message,
            "the arm has 8 joints [joint_0, joint_1, joint_2, joint_3, joint_4, joint_5, joint_6, joint_7], this version drives \
             arms of 1 to 7 (the gripper apart)"
        );
    }

    #[test]
    fn without_protection_nothing_is_watched() {
        let start = WX250S.find("[protection]").expect("there is a protection");
        let end = WX250S.find("[tool]").expect("there is a tool");
        let text = format!("{}{}", &WX250S[..start], &WX250S[end..])
            .replace("jerk_rad_s3 = 4000.0\n", "")
            .replace("torque_limit = 0.6", "");
        let arm = ArmDescription::from_toml(&text).expect("all of it is optional");
        assert_eq!(arm.protection, Protection::OFF);
        assert_eq!(arm.joints[0].jerk_rad_s3, f64::INFINITY);
        assert_eq!(arm.gripper.torque_limit, f64::INFINITY);
    }

    #[test]
    fn clamping_keeps_inside_and_changes_nothing_else() {
        let arm = ArmDescription::wx250s();
        assert_eq!(arm.clamp(&arm.home()), arm.home());
        let clamped = arm.clamp(&[9.0, -9.0, 0.5, 0.0, 9.0, -9.0]);
        let joints = arm.joints();
        assert_eq!(
            clamped,
            [
                joints[0].max_rad,
                joints[1].min_rad,
                0.5,
                0.0,
                joints[4].max_rad,
                joints[5].min_rad
            ]
        );
    }
}
