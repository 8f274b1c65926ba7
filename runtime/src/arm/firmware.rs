//! What the firmware is told about an arm when it is built or simulated.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use wink_firmware::Config;
use wink_firmware::config::{JointGuard, JointLimits, ProofOfLife, StallLimit};

use super::{ArmDescription, Gripper, Joint, Protection};

/// Time between telemetry lines: five looks at the arm a control step at 20 Hz.
const TELEMETRY_PERIOD_US: u64 = 10_000;

impl ArmDescription {
    /// The firmware's configuration for this arm: limits and guards in wire order, and the
    /// [`hash`](Self::hash).
    #[must_use]
    pub fn firmware_config(&self) -> Config {
        let gripper = self.gripper.as_ref();
        let joints = self.joints.iter().map(limits_of_joint);
        let limits: Vec<JointLimits> = joints.chain(gripper.map(limits_of_gripper)).collect();
        let config = Config::new(&limits)
            .expect("a checked description holds finite limits the right way round")
            .named(&self.name, "");
        let mut guards = config.guards.clone();
        guards.fill(guard_of_joint(&self.protection));
        if let (Some(last), Some(gripper)) = (guards.last_mut(), gripper) {
            *last = guard_of_gripper(gripper, &self.protection);
        }
        Config {
            guards,
            workspace: self.firmware_workspace(),
            min_voltage_v: self.protection.min_voltage_v as f32,
            description_hash: self.hash(),
            telemetry_period_us: TELEMETRY_PERIOD_US,
            ..config
        }
    }

    /// The same for a board with servos, whose torque somebody must ask for with setpoints at rate.
    #[must_use]
    pub fn hardware_config(&self) -> Config {
        Config {
            proof: Some(ProofOfLife::BOARDS),
            ..self.firmware_config()
        }
    }

    /// Rust source with what [`firmware_config`](Self::firmware_config) says as constants, for a
    /// build script to write and an image to `include!`: no message can change them. It holds
    /// `NAME`, `JOINTS`, `GUARDS` and a function `config`, and needs the crate `wink_firmware`. Of an
    /// arm that says what its servos are, it also holds, for bus servos, `SERVOS`, `SETTINGS` and
    /// the driver as `Servos<P>`; for PWM servos, `CHANNELS`.
    #[must_use]
    pub fn firmware_source(&self) -> String {
        let config = self.firmware_config();
        let mut code = format!(
            "/// The arm's name.\npub const NAME: &str = {:?};\n",
            self.name
        );
        let mut line = |text: String| {
            code.push_str(&text);
            code.push('\n');
        };
        let count = config.joints.len();
        line(format!(
            "/// Limits in wire order.\npub const JOINTS: [wink_firmware::config::JointLimits; {count}] = ["
        ));
        for joint in &config.joints {
            line(format!(
                "    wink_firmware::config::JointLimits {{ min: {}, max: {}, velocity: {}, acceleration: {}, jerk: {} }},",
                number(joint.min),
                number(joint.max),
                number(joint.velocity),
                number(joint.acceleration),
                number(joint.jerk)
            ));
        }
        line(format!(
            "];\n/// Guards in wire order.\npub const GUARDS: [wink_firmware::config::JointGuard; {count}] = ["
        ));
        for guard in &config.guards {
            line(format!(
                "    wink_firmware::config::JointGuard {{ torque: {}, stall: {}, max_temperature_c: {}, start: {} }},",
                number(guard.torque),
                stall_source(guard.stall),
                number(guard.max_temperature_c),
                number(guard.start)
            ));
        }
        line("];".to_owned());
        let _ = write!(
            code,
            "/// The firmware's configuration for this arm.\n///\n/// # Errors\n\
             /// When the core refuses the limits, which were checked when this was written.\n\
             pub fn config() -> Result<wink_firmware::Config, wink_firmware::config::ConfigError> {{\n    \
                 let config = wink_firmware::Config::new(&JOINTS)?;\n    \
                 let mut guards = config.guards.clone();\n    \
                 for (slot, guard) in guards.iter_mut().zip(GUARDS) {{\n        \
                     *slot = guard;\n    \
                 }}\n    \
                 Ok(wink_firmware::Config {{\n        \
                     guards,\n        \
                     workspace: {},\n        \
                     min_voltage_v: {},\n        \
                     description_hash: {},\n        \
                     telemetry_period_us: {},\n        \
                     ..config\n    \
                 }})\n}}\n",
            self.workspace_source(),
            number(config.min_voltage_v),
            config.description_hash,
            config.telemetry_period_us
        );
        if let Some(servos) = &self.servos {
            servos.write_source(&mut code);
        }
        code
    }

    /// A number that differs between arms: host and board compare it when they connect. Comments
    /// and layout of the TOML do not change it, any value does. Never 0, which the firmware keeps
    /// for "unknown".
    #[must_use]
    pub fn hash(&self) -> u32 {
        let mut hash = Sha256::new();
        let mut text = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        text(&self.name);
        for joint in &self.joints {
            text(&joint.name);
        }
        let mut numbers = |numbers: &[f64]| {
            numbers
                .iter()
                .for_each(|number| hash.update(number.to_le_bytes()))
        };
        for joint in &self.joints {
            numbers(joint.offset_m.as_slice());
            numbers(joint.axis.as_slice());
            numbers(&[
                joint.min_rad,
                joint.max_rad,
                joint.velocity_rad_s,
                joint.acceleration_rad_s2,
                joint.jerk_rad_s3,
                joint.home_rad,
            ]);
        }
        numbers(self.tool.translation.vector.as_slice());
        if let Some(gripper) = &self.gripper {
            numbers(&[
                gripper.min_m,
                gripper.max_m,
                gripper.closed_m,
                gripper.open_m,
                gripper.home_m,
            ]);
            numbers(&[
                gripper.velocity_m_s,
                gripper.acceleration_m_s2,
                gripper.jerk_m_s3,
                gripper.torque_limit,
            ]);
        }
        let protection = self.protection;
        numbers(&[
            protection.stall_load,
            protection.stall_current_a,
            protection.stall_error_rad,
            protection.stall_time_ms.into(),
            protection.max_temperature_c,
            protection.min_voltage_v,
            protection.start_rad,
            protection.start_m,
        ]);
        for servo_ids in self
            .joints
            .iter()
            .map(|joint| &joint.servo_ids)
            .chain(self.gripper.as_ref().map(|gripper| &gripper.servo_ids))
        {
            hash.update((servo_ids.len() as u64).to_le_bytes());
            hash.update(servo_ids);
        }
        if let Some(servos) = &self.servos {
            servos.each_number(|number| hash.update(number.to_le_bytes()));
        }
        if let Some(space) = &self.workspace {
            let numbers = space.min_m.iter().chain(&space.max_m);
            numbers
                .chain([&space.tool_speed_m_s])
                .for_each(|number| hash.update(number.to_le_bytes()));
        }
        let digest = hash.finalize();
        digest
            .first_chunk()
            .map_or(1, |bytes| u32::from_le_bytes(*bytes))
            .max(1)
    }
}

fn limits_of_joint(joint: &Joint) -> JointLimits {
    JointLimits {
        min: joint.min_rad as f32,
        max: joint.max_rad as f32,
        velocity: joint.velocity_rad_s as f32,
        acceleration: joint.acceleration_rad_s2 as f32,
        jerk: joint.jerk_rad_s3 as f32,
    }
}

fn limits_of_gripper(gripper: &Gripper) -> JointLimits {
    JointLimits {
        min: gripper.min_m as f32,
        max: gripper.max_m as f32,
        velocity: gripper.velocity_m_s as f32,
        acceleration: gripper.acceleration_m_s2 as f32,
        jerk: gripper.jerk_m_s3 as f32,
    }
}

fn guard_of_joint(protection: &Protection) -> JointGuard {
    let stall = (protection.stall_time_ms > 0).then_some(StallLimit {
        load: protection.stall_load as f32,
        current_a: protection.stall_current_a as f32,
        error: protection.stall_error_rad as f32,
        time_us: protection.stall_time_ms * 1_000,
    });
    JointGuard {
        torque: f32::INFINITY,
        stall,
        max_temperature_c: protection.max_temperature_c as f32,
        start: protection.start_rad as f32,
    }
}

/// A gripper that squeezes what it holds is no stalled joint: its torque is capped instead.
fn guard_of_gripper(gripper: &Gripper, protection: &Protection) -> JointGuard {
    JointGuard {
        torque: gripper.torque_limit as f32,
        stall: None,
        max_temperature_c: protection.max_temperature_c as f32,
        start: protection.start_m as f32,
    }
}

/// A number as Rust source.
pub(super) fn number(value: f32) -> String {
    if value.is_infinite() {
        "f32::INFINITY".to_owned()
    } else {
        format!("{value:?}")
    }
}

fn stall_source(stall: Option<StallLimit>) -> String {
    stall.map_or_else(
        || "None".to_owned(),
        |stall| {
            format!(
                "Some(wink_firmware::config::StallLimit {{ load: {}, current_a: {}, error: {}, time_us: {} }})",
                number(stall.load),
                number(stall.current_a),
                number(stall.error),
                stall.time_us
            )
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    const GRIPPER: usize = 6;

    #[test]
    fn the_firmware_gets_the_limits_of_all_joints() {
        let config = ArmDescription::wx250s().firmware_config();
        assert_eq!(config.joints.len(), GRIPPER + 1);
        assert_eq!(config.joints[0].max, std::f32::consts::PI);
        assert_eq!(
            (config.joints[GRIPPER].min, config.joints[GRIPPER].max),
            (-0.01, 0.04)
        );
        assert_eq!(config.check(), Ok(()));
    }

    #[test]
    fn joints_are_watched_for_stalls_and_the_gripper_has_a_torque_cap() {
        let config = ArmDescription::wx250s().firmware_config();
        let (gripper, joints) = config.guards.split_last().unwrap();
        assert!(
            joints
                .iter()
                .all(|guard| guard.stall.is_some() && guard.torque.is_infinite())
        );
        assert_eq!((gripper.stall, gripper.torque), (None, 0.6));
        assert_eq!(
            (gripper.max_temperature_c, config.min_voltage_v),
            (70.0, 10.0)
        );
    }

    #[test]
    fn the_source_holds_every_number() {
        let arm = ArmDescription::wx250s();
        let source = arm.firmware_source();
        for expected in [
            "pub const NAME: &str = \"wx250s\";",
            "JointLimits { min: -1.8849556, max: 1.9896754, velocity: 3.1415927, acceleration: 40.0, jerk: 4000.0 },",
            "JointLimits { min: -0.01, max: 0.04, velocity: 1.0, acceleration: 40.0, jerk: 4000.0 },",
            "JointGuard { torque: f32::INFINITY, stall: Some(wink_firmware::config::StallLimit { load: 0.8, current_a: f32::INFINITY, error: 0.2, time_us: 500000 }), max_temperature_c: 70.0, start: 0.35 },",
            "JointGuard { torque: 0.6, stall: None, max_temperature_c: 70.0, start: f32::INFINITY },",
            "JointLimits; 7]",
            "pub const SERVOS: [wink_firmware::servo::serial::BusServo; 9] = [",
            "id: 3, model: wink_firmware::servo::serial::ServoModel::Xm430W350, joint: 1,",
            "Transmission::Crank { horn_m: 0.014, rod_m: 0.024 }",
            "pub type Servos<P> = wink_firmware::servo::dynamixel::DynamixelServos<P>;",
            "pub const SETTINGS: [(u8, wink_firmware::servo::serial::Setting); 0] = [",
            "min_voltage_v: 10.0,",
            &format!("description_hash: {},", arm.hash()),
        ] {
            assert!(source.contains(expected), "no `{expected}` in\n{source}");
        }
    }

    #[test]
    fn the_hash_follows_values_and_not_layout() {
        const WX250S: &str = include_str!("../../../boards/arms/wx250s.toml");
        let hash = |text: &str| ArmDescription::from_toml(text).unwrap().hash();
        let built_in = hash(WX250S);
        assert_ne!(built_in, 0);
        assert_eq!(built_in, hash(&format!("# another comment\n{WX250S}")));
        for (from, to) in [
            ("0.03865", "0.03866"),
            ("\"waist\"", "\"hip\""),
            ("[9]", "[10]"),
            ("home_m = 0.037", "home_m = 0.036"),
            ("stall_time_ms = 500", "stall_time_ms = 501"),
            ("start_rad = 0.35", "start_rad = 0.36"),
            ("torque_limit = 0.6", "torque_limit = 0.5"),
            ("xl430_w250", "xm430_w350"),
            ("rod_m = 0.024", "rod_m = 0.025"),
            ("reversed = true", "reversed = false"),
        ] {
            assert_ne!(built_in, hash(&WX250S.replace(from, to)), "{from} -> {to}");
        }
    }
}
