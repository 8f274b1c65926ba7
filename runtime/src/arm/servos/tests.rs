use wink_firmware::servo::feetech;

use super::*;
use crate::arm::ArmDescription;

const WX250S: &str = include_str!("../../../../boards/arms/wx250s.toml");
const SO101: &str = include_str!("../../../../boards/arms/so101.toml");

fn bus(text: &str) -> (Vec<BusServo>, Vec<(u8, Setting)>) {
    match ArmDescription::from_toml(text).unwrap().servos.unwrap() {
        ArmServos::Bus { servos, settings } => (servos, settings),
        ArmServos::Pwm(_) => panic!("not a bus"),
    }
}

/// The first `from` behind `after` becomes `to`.
fn edited(text: &str, after: &str, from: &str, to: &str) -> String {
    let start = text.find(after).expect("the place is there");
    let at = start
        + text[start..]
            .find(from)
            .expect("the text to replace is there");
    format!("{}{to}{}", &text[..at], &text[at + from.len()..])
}

#[test]
fn the_widowx_has_nine_dynamixels_as_the_factory_sets_them_up() {
    let (servos, settings) = bus(WX250S);
    let rows: Vec<_> = servos
        .iter()
        .map(|servo| (servo.id, servo.joint, servo.calibration.reversed))
        .collect();
    assert_eq!(
        rows,
        [
            (1, 0, false),
            (2, 1, false),
            (3, 1, true),
            (4, 2, false),
            (5, 2, true),
            (6, 3, false),
            (7, 4, true),
            (8, 5, false),
            (9, 6, false),
        ]
    );
    assert!(
        servos[..7]
            .iter()
            .all(|servo| servo.model == ServoModel::Xm430W350)
    );
    assert!(
        servos[7..]
            .iter()
            .all(|servo| servo.model == ServoModel::Xl430W250)
    );
    assert!(settings.is_empty());
    // A quarter more than pi rad/s.
    assert_eq!(servos[0].max_ticks_per_s, 2560);
    // The fingers at their ends.
    let gripper = servos[8].calibration;
    assert_eq!((gripper.tick(0.04), gripper.tick(-0.01)), (3072, 1024));
}

#[test]
fn the_so101_has_six_feetech_servos_and_lerobots_settings() {
    let file = ArmDescription::from_toml(SO101).unwrap();
    assert_eq!(file.wire_joints(), 6);
    file.firmware_config().check().unwrap();
    let (servos, settings) = bus(SO101);
    assert_eq!(servos.len(), 6);
    for (servo, id) in servos.iter().zip(1..) {
        assert_eq!((servo.id, servo.joint), (id, id - 1));
        assert_eq!(servo.model, ServoModel::Sts3215);
    }
    assert_eq!(servos[5].max_torque_permille, 500);
    // At -10 and 100 degrees.
    let gripper = servos[5].calibration;
    assert_eq!(
        (gripper.tick(-0.01304), gripper.tick(0.13037)),
        (1934, 3186)
    );
    let of = |id: u8| -> Vec<(u16, u32)> {
        settings
            .iter()
            .filter(|(for_id, _)| *for_id == id)
            .map(|(_, setting)| (setting.address, setting.value))
            .collect()
    };
    assert_eq!(of(1), [(21, 16), (22, 32), (23, 0)]);
    assert_eq!(of(6), [(21, 16), (22, 32), (23, 0), (28, 250), (36, 25)]);
}

#[test]
fn calibration_reaches_the_drivers() {
    let text = edited(
        SO101,
        "\"elbow_flex\"",
        "home_rad = 0.0",
        "home_rad = 0.0\nservo = { zero_tick = 2010.5, reversed = true, homing_offset = -1234, min_tick = 900, max_tick = 3200 }",
    );
    let (servos, settings) = bus(&text);
    let calibration = servos[2].calibration;
    assert_eq!(
        (calibration.zero_tick, calibration.reversed),
        (2010.5, true)
    );
    assert_eq!((calibration.min_tick, calibration.max_tick), (900, 3200));
    for expected in [
        (feetech::HOMING_OFFSET, 1234 | 1 << 11),
        (feetech::MIN_POSITION, 900),
        (feetech::MIN_POSITION + 2, 3200),
    ] {
        let found = settings
            .iter()
            .any(|(id, setting)| *id == 3 && (setting.address, setting.value) == expected);
        assert!(found, "{expected:?}");
    }
    let dynamixel = edited(
        WX250S,
        "\"waist\"",
        "home_rad = 0.0",
        "home_rad = 0.0\nservo = { homing_offset = -2 }",
    );
    let (_, settings) = bus(&dynamixel);
    assert_eq!(settings[0].1.value, 0xffff_fffe);
}

/// The WidowX with hobby servos.
fn pwm_arm() -> String {
    let mut text = WX250S
        .replace("\"dynamixel_xm430_w350\"", "\"pwm\"")
        .replace("servo = { reversed = true }\n", "")
        .replace("servo = { model = \"dynamixel_xl430_w250\" }\n", "")
        .replace("servo_ids = [2, 3]", "servo_ids = [2]")
        .replace("servo_ids = [4, 5]", "servo_ids = [4]");
    let servo = "servo = { shortest = { pulse_us = 500, position = -3.2 }, longest = { pulse_us = 2500, position = 3.2 } }";
    text = edited(
        &text,
        "[gripper]",
        "servo = { model = \"dynamixel_xl430_w250\", horn_m = 0.014, rod_m = 0.024 }",
        "servo = { shortest = { pulse_us = 1000, position = 0.0 }, longest = { pulse_us = 2000, position = 0.04 } }",
    );
    for home in [
        "home_rad = 0.0\n",
        "home_rad = 1.5707963267948966 # gripper down\n",
    ] {
        text = text.replace(home, &format!("{home}{servo}\n"));
    }
    text
}

#[test]
fn an_arm_of_hobby_servos_names_channels_and_pulses() {
    let file = ArmDescription::from_toml(&pwm_arm()).unwrap();
    let Some(ArmServos::Pwm(channels)) = &file.servos else {
        panic!("not PWM");
    };
    let numbers: Vec<u8> = channels.iter().map(|servo| servo.channel).collect();
    assert_eq!(numbers, [1, 2, 4, 6, 7, 8, 9]);
    assert_eq!(channels[6].calibration.longest.position, 0.04);
    assert_eq!(channels[4].rest_position, std::f32::consts::FRAC_PI_2);
    let source = file.firmware_source();
    assert!(source.contains("CHANNELS: [wink_firmware::servo::pca9685::ChannelServo; 7]"));
    assert!(source.contains("PulsePoint { pulse_us: 500.0, position: -3.2 }"));
}

#[test]
fn what_does_not_fit_is_refused_with_the_line() {
    let line_of = |text: &str, what: &str| {
        1 + text[..text.find(what).expect("is there")]
            .matches('\n')
            .count()
    };
    let model_line = line_of(WX250S, "model = \"dynamixel_xm430_w350\"");
    let ids_line = |text: &str, name: &str| line_of(text, &format!("name = \"{name}\"")) + 1;
    let waist = |servo: &str| {
        edited(
            WX250S,
            "\"waist\"",
            "home_rad = 0.0",
            &format!("home_rad = 0.0\nservo = {{ {servo} }}"),
        )
    };
    let waist_line = line_of(WX250S, "home_rad") + 1;
    let gripper = |servo: &str| edited(WX250S, "[gripper]", "horn_m = 0.014, rod_m = 0.024", servo);
    let gripper_line = line_of(WX250S, "horn_m = 0.014");
    let so101_waist = |servo: &str| {
        edited(
            SO101,
            "\"shoulder_pan\"",
            "home_rad = 0.0",
            &format!("home_rad = 0.0\nservo = {{ {servo} }}"),
        )
    };
    let cases = [
        (
            WX250S.replace("\"dynamixel_xm430_w350\"", "\"sg90\""),
            format!(
                "line {model_line}: servo model \"sg90\" is not known; these are: feetech_sts3215, dynamixel_xm430_w350, dynamixel_xl430_w250, pwm"
            ),
        ),
        (
            WX250S.replace("model = \"dynamixel_xm430_w350\"", "modle = \"x\""),
            format!("line {model_line}: unknown field `modle`"),
        ),
        (
            WX250S[..WX250S.find("[servos]").unwrap()].to_owned(),
            "\"wrist_angle\": there is no [servos] with a model for it".to_owned(),
        ),
        (
            waist("model = \"feetech_sts3215\""),
            format!(
                "line {waist_line}: \"waist\": its model and that of [servos] do not go on one bus"
            ),
        ),
        (
            waist("zero_tick = 1000"),
            format!(
                "line {waist_line}: \"waist\": its lower limit is at tick -1048, outside of the servo's 0 .. 4095: calibrate it"
            ),
        ),
        (
            waist("zero_tick = nan"),
            format!("line {waist_line}: \"waist\": zero_tick is not a finite number"),
        ),
        (
            waist("min_tick = 3000, max_tick = 2000"),
            format!("line {waist_line}: \"waist\": min_tick 3000 is not below max_tick 2000"),
        ),
        (
            waist("max_tick = 5000"),
            format!("line {waist_line}: \"waist\": max_tick is 5000, outside of 0 .. 4095"),
        ),
        (
            waist("max_torque = 50"),
            format!(
                "line {waist_line}: \"waist\": max_torque is 50, outside of 0.001 .. 1: is it in percent?"
            ),
        ),
        (
            waist("overload_torque = 0.25"),
            format!("line {waist_line}: \"waist\": overload_torque is for Feetech's servos"),
        ),
        (
            waist("shortest = { pulse_us = 500, position = 0 }"),
            format!("line {waist_line}: \"waist\": pulses are for servos of model \"pwm\""),
        ),
        (
            waist("torque = 1"),
            format!("line {waist_line}: unknown field `torque`"),
        ),
        (
            so101_waist("homing_offset = 3000"),
            "\"shoulder_pan\": homing_offset is 3000, outside of -2047 .. 2047".to_owned(),
        ),
        (
            gripper("horn_m = 0.014"),
            format!(
                "line {gripper_line}: \"gripper\": a gripper has lever_m, or both horn_m and rod_m"
            ),
        ),
        (
            gripper("horn_m = 0.024, rod_m = 0.014"),
            format!("line {gripper_line}: \"gripper\": horn_m 0.024 is not below rod_m 0.014"),
        ),
        (
            gripper("lever_m = 75"),
            format!(
                "line {gripper_line}: \"gripper\": lever_m is 75, outside of 0.001 .. 0.5: is it in millimetres?"
            ),
        ),
        (
            WX250S.replace("servo_ids = [9]", "servo_ids = [253]"),
            "\"gripper\": servo id 253 is above 252".to_owned(),
        ),
        (
            pwm_arm().replace("servo_ids = [2]", "servo_ids = [2, 3]"),
            format!(
                "line {}: \"shoulder\": a joint has one PWM servo",
                ids_line(&pwm_arm(), "shoulder")
            ),
        ),
        (
            pwm_arm().replace("servo_ids = [9]", "servo_ids = [16]"),
            "\"gripper\": servo id 16 is its PWM channel, 0 to 15".to_owned(),
        ),
        (
            edited(
                &pwm_arm(),
                "\"waist\"",
                ", longest = { pulse_us = 2500, position = 3.2 }",
                "",
            ),
            format!(
                "line {}: \"waist\": a PWM servo needs `shortest` and `longest`",
                ids_line(&pwm_arm(), "waist")
            ),
        ),
        (
            edited(&pwm_arm(), "\"waist\"", "pulse_us = 2500", "pulse_us = 400"),
            "\"waist\": the shortest pulse is not shorter than the longest".to_owned(),
        ),
        (
            edited(&pwm_arm(), "\"waist\"", "pulse_us = 500", "pulse_us = 0.5"),
            "\"waist\": pulse_us is 0.5, outside of 100 .. 5000: is it in milliseconds?".to_owned(),
        ),
    ];
    for (text, expected) in cases {
        let message = ArmDescription::from_toml(&text)
            .err()
            .unwrap_or_else(|| panic!("nothing is wrong instead of: {expected}"))
            .to_string();
        assert!(
            message.contains(&expected),
            "\"{message}\" does not say \"{expected}\""
        );
    }
}
