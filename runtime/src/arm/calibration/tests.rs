use std::f64::consts::TAU;

use wink_firmware::servo::feetech;

use super::*;
use crate::arm::{ArmDescription, ArmServos, GRIPPER_NAME};

const SO101: &str = include_str!("../../../../boards/arms/so101.toml");

fn joint(name: &str, servo_id: u8, range: [i32; 2]) -> JointCalibration {
    JointCalibration {
        name: name.to_owned(),
        servo_id,
        reversed: false,
        homing_offset: 100 * i32::from(servo_id) - 350,
        range_min: range[0],
        range_max: range[1],
    }
}

/// A calibration of a SO-101 that was swept as far as it goes.
fn calibration() -> Calibration {
    Calibration {
        arm: "so101".to_owned(),
        joints: vec![
            joint("shoulder_pan", 1, [600, 3500]),
            joint("shoulder_lift", 2, [900, 3200]),
            joint("elbow_flex", 3, [950, 3150]),
            joint("wrist_flex", 4, [900, 3200]),
            joint("wrist_roll", 5, [0, 4095]),
            joint(GRIPPER_NAME, 6, [2000, 3400]),
        ],
    }
}

fn edited(index: usize, edit: impl FnOnce(&mut JointCalibration)) -> Calibration {
    let mut calibration = calibration();
    edit(&mut calibration.joints[index]);
    calibration
}

/// Ticks of the first servo on a joint where its position is `position`.
fn tick(arm: &ArmDescription, index: usize, position: f64) -> f64 {
    let calibration = arm.tick_calibrations().unwrap()[index];
    f64::from(calibration.tick(position as f32))
}

#[test]
fn zero_is_the_middle_and_limits_are_those_that_both_allow() {
    let model = ArmDescription::so101();
    let arm = calibration().apply(&model).unwrap();
    let (pan, elbow) = (&arm.joints()[0], &arm.joints()[2]);
    assert_eq!(tick(&arm, 0, 0.0), 2050.0);
    assert_eq!(pan.max_rad, model.joints()[0].max_rad, "not widened");
    let half = 1100.0 * TAU / 4096.0;
    assert!((elbow.max_rad - half).abs() < 1e-9 && (elbow.min_rad + half).abs() < 1e-9);
    assert_eq!(
        (tick(&arm, 2, elbow.min_rad), tick(&arm, 2, elbow.max_rad)),
        (950.0, 3150.0)
    );
    let roll = &arm.joints()[4];
    assert_eq!(roll.max_rad, model.joints()[4].max_rad);
    assert_ne!(arm.hash(), model.hash());
    arm.firmware_config().check().unwrap();
    let Some(ArmServos::Bus { settings, .. }) = arm.servos() else {
        panic!("not a bus");
    };
    for expected in [
        (feetech::HOMING_OFFSET, 50 | 1 << 11),
        (feetech::MIN_POSITION, 950),
        (feetech::MIN_POSITION + 2, 3150),
    ] {
        let found: Vec<u32> = settings
            .iter()
            .filter(|(id, setting)| *id == 3 && setting.address == expected.0)
            .map(|(_, setting)| setting.value)
            .collect();
        assert_eq!(found, [expected.1]);
    }
    assert!(arm.is_calibrated() && !model.is_calibrated());
}

#[test]
fn a_gripper_is_closed_at_the_lowest_tick_or_at_the_highest_where_it_is_reversed() {
    let model = ArmDescription::so101();
    let closed = model.gripper().unwrap().closed_m;
    let arm = calibration().apply(&model).unwrap();
    assert_eq!(tick(&arm, 5, closed), 2000.0);
    let gripper = arm.gripper().unwrap();
    let travel = 1400.0 * TAU / 4096.0 * 0.0747;
    assert!(
        (gripper.open_m - (closed + travel)).abs() < 1e-6,
        "{gripper:?}"
    );
    assert!((tick(&arm, 5, gripper.open_m) - 3400.0).abs() <= 1.0);

    let arm = edited(5, |gripper| gripper.reversed = true)
        .apply(&model)
        .unwrap();
    assert_eq!(tick(&arm, 5, closed), 3400.0);
    let open = arm.gripper().unwrap().open_m;
    assert!((tick(&arm, 5, open) - 2000.0).abs() <= 1.0);
    // The share that it is open is counted from the closed end in both.
    let [first, last] = arm.calibrated_range(5).unwrap();
    assert!((first - open).abs() < 1e-4 && (last - closed).abs() < 1e-4);
}

#[test]
fn a_gripper_may_lie_anywhere_in_the_turn() {
    let model = ArmDescription::so101();
    for range in [[0, 1400], [2695, 4095], [48, 3637]] {
        let arm = edited(5, |gripper| [gripper.range_min, gripper.range_max] = range)
            .apply(&model)
            .unwrap();
        let closed = model.gripper().unwrap().closed_m;
        assert_eq!(tick(&arm, 5, closed), f64::from(range[0]));
    }
}

#[test]
fn a_reversed_joint_turns_the_other_way() {
    let model = ArmDescription::so101();
    let arm = edited(1, |lift| lift.reversed = true)
        .apply(&model)
        .unwrap();
    let up = tick(&arm, 1, 0.5);
    assert_eq!(up, 2050.0 - (0.5_f64 / TAU * 4096.0).round());
}

#[test]
fn home_follows_into_the_limits_and_a_wider_calibration_widens_again() {
    let model = ArmDescription::so101();
    let narrow = edited(3, |wrist| [wrist.range_min, wrist.range_max] = [1766, 2335]);
    let arm = narrow.apply(&model).unwrap();
    let wrist = &arm.joints()[3];
    assert!((wrist.max_rad - 284.5 * TAU / 4096.0).abs() < 1e-9);
    assert_eq!(
        wrist.home_rad, wrist.max_rad,
        "the model's home is 90 degrees"
    );
    let arm = calibration().apply(&model).unwrap();
    let wrist = &arm.joints()[3];
    assert!((wrist.max_rad - 1150.0 * TAU / 4096.0).abs() < 1e-9);
    assert_eq!(wrist.home_rad, model.joints()[3].home_rad);
}

#[test]
fn an_offset_of_a_dynamixel_is_a_register_of_four_bytes() {
    let text = SO101
        .replace("\"feetech_sts3215\"", "\"dynamixel_xl330_m288\"")
        .replace(", protection_current_a = 1.625, overload_torque = 0.25", "");
    let model = ArmDescription::from_toml(&text).unwrap();
    let arm = edited(0, |pan| pan.reversed = true).apply(&model).unwrap();
    let Some(ArmServos::Bus { settings, servos }) = arm.servos() else {
        panic!("not a bus");
    };
    let offset = settings
        .iter()
        .find(|(id, setting)| *id == 1 && setting.address == 20)
        .unwrap()
        .1;
    assert_eq!((offset.bytes, offset.value.cast_signed()), (4, -250));
    // It counts backwards by itself, so its ticks rise with the joint.
    assert!(servos[0].calibration.reversed);
    let [first, last] = arm.calibrated_range(0).unwrap();
    assert!(first < 0.0 && last > 0.0);
}

#[test]
fn the_second_servo_of_a_joint_mirrors_the_first() {
    let model =
        ArmDescription::from_toml(&SO101.replace("servo_ids = [2]", "servo_ids = [2, 7]")).unwrap();
    let arm = calibration().apply(&model).unwrap();
    let Some(ArmServos::Bus { servos, settings }) = arm.servos() else {
        panic!("not a bus");
    };
    let [one, other] = [2, 7].map(|id| {
        servos
            .iter()
            .find(|servo| servo.id == id)
            .unwrap()
            .calibration
    });
    assert_eq!((one.reversed, other.reversed), (false, true));
    for position in [-1.0, 0.0, 0.7] {
        let sum = one.tick(position) + other.tick(position);
        assert!(sum.abs_diff(4100) <= 1, "{sum}");
    }
    let offsets = settings
        .iter()
        .filter(|(id, setting)| *id == 7 && setting.address == feetech::HOMING_OFFSET);
    assert_eq!(offsets.count(), 0, "its own offset is not known");
}

#[test]
fn a_calibration_is_written_and_read_again() {
    let mut calibration = edited(5, |gripper| gripper.reversed = true);
    assert_eq!(
        Calibration::from_toml(&calibration.to_toml()),
        Ok(calibration.clone())
    );
    calibration.arm = "a \"b\" \\ \u{1b}".to_owned();
    assert_eq!(
        Calibration::from_toml(&calibration.to_toml()),
        Ok(calibration.clone())
    );
    let crlf = calibration.to_toml().replace('\n', "\r\n");
    assert_eq!(Calibration::from_toml(&crlf), Ok(calibration));
}

#[test]
fn what_cannot_be_right_is_refused_by_name() {
    let model = ArmDescription::so101();
    let range =
        |index, range: [i32; 2]| edited(index, |joint| [joint.range_min, joint.range_max] = range);
    let mut missing = calibration();
    missing.joints.remove(2);
    let mut extra = calibration();
    extra.joints.push(joint("elbow", 9, [1000, 3000]));
    let mut twice = calibration();
    twice.joints.push(joint("elbow_flex", 9, [1000, 3000]));
    let mut other = calibration();
    other.arm = "so100".to_owned();
    let cases = [
        (
            missing,
            "there is no \"elbow_flex\", which the arm so101 has",
        ),
        (extra, "\"elbow\" is no joint of so101"),
        (twice, "\"elbow_flex\" is there twice"),
        (
            other,
            "a calibration of the arm \"so100\", not of \"so101\"",
        ),
        (
            edited(2, |joint| joint.servo_id = 2),
            "servo id 2 is given to both \"shoulder_lift\" and \"elbow_flex\"",
        ),
        (
            edited(2, |joint| joint.servo_id = 9),
            "\"elbow_flex\": id is 9, the arm's file has 3 (this file: shoulder_pan 1, shoulder_lift 2, elbow_flex 9,",
        ),
        (
            range(1, [900, 4200]),
            "\"shoulder_lift\": range 900 .. 4200 is not within 0 .. 4095",
        ),
        (range(1, [-3, 900]), "is not within 0 .. 4095"),
        (
            range(2, [3254, 3254]),
            "\"elbow_flex\": range_min 3254 is not below range_max 3254",
        ),
        (
            edited(2, |joint| joint.homing_offset = -2048),
            "homing_offset -2048 is more than half a turn",
        ),
        (
            range(0, [1996, 2047]),
            "\"shoulder_pan\" has a range of 51 ticks, 4 degrees: it was not moved",
        ),
        (
            range(5, [2000, 2010]),
            "\"gripper\" has a range of 10 ticks",
        ),
        (
            range(2, [0, 4095]),
            "\"elbow_flex\" spans 0 .. 4095, the servo's whole turn",
        ),
        (range(3, [130, 4040]), "\"wrist_flex\" spans 130 .. 4040"),
        (range(5, [2, 4093]), "\"gripper\" spans 2 .. 4093"),
    ];
    for (calibration, expected) in cases {
        let told = calibration.apply(&model).expect_err(expected).to_string();
        assert!(told.contains(expected), "\"{told}\" lacks \"{expected}\"");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    let told = calibration()
        .apply(&ArmDescription::wx250s())
        .unwrap_err()
        .to_string();
    assert!(told.contains("not of \"wx250s\""), "{told}");
}

#[test]
fn files_that_are_no_calibrations_are_refused_with_the_line() {
    let text = calibration().to_toml();
    for (from, to, expected) in [
        (
            "format = 1",
            "format = 2",
            "format 2 is not known, this version reads format 1",
        ),
        (
            "servo_id = 1",
            "servoid = 1",
            "line 8: unknown field `servoid`",
        ),
        ("servo_id = 1", "servoid = 1", "did you mean `servo_id`?"),
        (
            "servo_id = 1",
            "servo_id = 300",
            "line 8: invalid value: integer `300`",
        ),
        ("range_max = 3400\n", "", "missing field `range_max`"),
        (
            "range_min = 600",
            "range_min = 600.5",
            "line 11: invalid type: floating point `600.5`",
        ),
        ("range_min = 600", "range_min = ", "line 11: "),
        ("arm = \"so101\"", "", "missing field `arm`"),
    ] {
        let told = Calibration::from_toml(&text.replacen(from, to, 1))
            .expect_err(expected)
            .to_string();
        assert!(told.contains(expected), "\"{told}\" lacks \"{expected}\"");
    }
    let half = &text[..text.len() / 2];
    let told = Calibration::from_toml(half)
        .and_then(|half| half.check(&ArmDescription::so101()))
        .unwrap_err();
    assert_eq!(told.to_string().lines().count(), 1);
    assert!(Calibration::from_toml("").is_err());
}

#[test]
fn an_arm_without_servos_on_a_bus_has_nothing_to_calibrate() {
    let start = SO101.find("[servos]").unwrap();
    let text = SO101[..start].replace(
        "servo = { lever_m = 0.0747, max_torque = 0.5, protection_current_a = 1.625, overload_torque = 0.25 }",
        "",
    );
    let model = ArmDescription::from_toml(&text).unwrap();
    let told = calibration().apply(&model).unwrap_err().to_string();
    assert!(told.contains("names no servos on a serial bus"), "{told}");
}

#[test]
fn one_joint_is_checked_by_itself() {
    let model = ArmDescription::so101();
    assert!(joint("elbow_flex", 3, [950, 3150]).check(&model).is_ok());
    assert!(matches!(
        joint("elbow_flex", 3, [2040, 2060]).check(&model),
        Err(CalibrationError::NotMoved { .. })
    ));
    assert!(joint("elbow", 3, [950, 3150]).check(&model).is_err());
}

#[test]
fn a_calibration_is_found_by_file_or_by_name_and_never_guessed() {
    // The environment is this process's own: paths are given here, and the folder's rule is tested through the tool.
    let folder = tempfile::tempdir().unwrap();
    let model = ArmDescription::so101();
    let path = folder.path().join("left.toml");
    calibration().save(&path).unwrap();
    let applied = Calibration::applied(model.clone(), Some(&path), None);
    assert_eq!(applied, calibration().apply(&model));
    let told = Calibration::applied(ArmDescription::wx250s(), Some(&path), None)
        .unwrap_err()
        .to_string();
    assert!(told.starts_with(&path.display().to_string()), "{told}");
    for bad in ["../x", "", ".hidden", "a/b", "a\nb"] {
        assert!(
            matches!(
                calibration_path("so101", bad),
                Err(CalibrationError::BadName { .. })
            ),
            "{bad:?}"
        );
    }
}
