use super::*;

const SO101: &str = include_str!("../../../../boards/arms/so101.toml");

fn motor(id: u8, range: [i32; 2]) -> String {
    format!(
        r#"{{"id": {id}, "drive_mode": 0, "homing_offset": {}, "range_min": {}, "range_max": {}}}"#,
        100 * i32::from(id) - 350,
        range[0],
        range[1]
    )
}

fn calibration() -> String {
    format!(
        r#"{{"shoulder_pan": {}, "shoulder_lift": {}, "elbow_flex": {}, "wrist_flex": {}, "wrist_roll": {}, "gripper": {}}}"#,
        motor(1, [600, 3500]),
        motor(2, [900, 3200]),
        motor(3, [950, 3150]),
        motor(4, [900, 3200]),
        motor(5, [0, 4095]),
        motor(6, [2000, 3400])
    )
}

fn so101() -> ArmDescription {
    ArmDescription::from_toml(SO101).unwrap()
}

fn refusal(text: &str) -> String {
    let error = read(text, &so101())
        .err()
        .unwrap_or_else(|| panic!("nothing is wrong with {text}"));
    crate::bad_input::one_line(&error)
}

#[test]
fn a_file_is_taken_over_and_written_again() {
    let taken = read(&calibration(), &so101()).unwrap();
    let pan = &taken.calibration.joints[0];
    assert_eq!(
        (pan.homing_offset, pan.range_min, pan.range_max),
        (-250, 600, 3500)
    );
    assert!(taken.left_out.is_empty());
    let written = write(&taken.calibration);
    assert_eq!(read(&written, &so101()).unwrap(), taken);
    assert!(
        written.starts_with(
            "{\n    \"shoulder_pan\": {\n        \"id\": 1,\n        \"drive_mode\": 0,\n"
        ),
        "{written}"
    );
    let reversed = calibration().replacen("\"drive_mode\": 0", "\"drive_mode\": 1", 1);
    let taken = read(&reversed, &so101()).unwrap();
    assert_eq!(
        (
            taken.calibration.joints[0].reversed,
            taken.calibration.joints[1].reversed
        ),
        (true, false)
    );
    assert!(write(&taken.calibration).contains("\"drive_mode\": 1"));
}

#[test]
fn what_other_tools_write_is_read() {
    let plain = read(&calibration(), &so101()).unwrap().calibration;
    for text in [
        format!("\u{feff}{}", calibration()),
        calibration().replace("\"drive_mode\": 0, ", ""),
        calibration().replace("\"range_min\": 600", "\"range_min\": 600.0"),
        calibration().replace(", ", ",\r\n"),
    ] {
        assert_eq!(read(&text, &so101()).unwrap().calibration, plain, "{text}");
    }
}

#[test]
fn entries_that_are_no_joints_are_left_out_and_named() {
    for extra in [
        format!("\"base_left_wheel\": {}", motor(7, [0, 4095])),
        "\"velocity_limits\": {\"min\": 1, \"max\": [2, null, true, \"x\"]}".to_owned(),
        "\"note\": \"on the bench\"".to_owned(),
    ] {
        let text = calibration().replacen('{', &format!("{{{extra}, "), 1);
        let taken = read(&text, &so101()).unwrap();
        let name = extra.split('"').nth(1).unwrap();
        assert_eq!(taken.left_out, [name]);
        assert_eq!(
            taken.calibration,
            read(&calibration(), &so101()).unwrap().calibration
        );
    }
}

#[test]
fn the_arm_of_a_mobile_base_is_read() {
    let text = calibration()
        .replace("\"shoulder", "\"arm_shoulder")
        .replace("\"elbow", "\"arm_elbow")
        .replace("\"wrist", "\"arm_wrist")
        .replace("\"gripper", "\"arm_gripper");
    let wheel = format!("{{\"base_left_wheel\": {}, ", motor(7, [0, 4095]));
    let taken = read(&text.replacen('{', &wheel, 1), &so101()).unwrap();
    assert_eq!(
        taken.calibration,
        read(&calibration(), &so101()).unwrap().calibration
    );
    assert_eq!(taken.left_out, ["base_left_wheel"]);
    let both = text.replacen(
        '{',
        &format!("{{\"gripper\": {}, ", motor(6, [2000, 3400])),
        1,
    );
    let told = refusal(&both);
    assert!(
        told.contains("\"arm_gripper\" is no joint of so101, and has the servo id 6"),
        "{told}"
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    let cases = [
        ("\"wrist_roll\"", "\"wrist\"", "there is no \"wrist_roll\""),
        (
            "\"id\": 3",
            "\"id\": 9",
            "\"elbow_flex\": id is 9, the arm's file has 3",
        ),
        (
            "\"id\": 3",
            "\"id\": 9",
            "shoulder_lift 2, elbow_flex 9, wrist_flex 4",
        ),
        (
            "\"id\": 3",
            "\"id\": 9",
            "so101: shoulder_pan 1, shoulder_lift 2, elbow_flex 3",
        ),
        (
            "\"id\": 3",
            "\"id\": 2",
            "servo id 2 is given to both \"shoulder_lift\" and \"elbow_flex\"",
        ),
        (
            "\"id\": 3",
            "\"id\": 300",
            "\"elbow_flex\": id is 300, it must be a whole number from 0 to 252",
        ),
        ("3200", "4200", "is not within 0 .. 4095"),
        ("3200", "1e99", "range_max is 1"),
        ("900", "-900", "is not within 0 .. 4095"),
        ("950", "3950", "is not below"),
        ("950", "3150", "is not below"),
        (
            "950",
            "950.5",
            "\"elbow_flex\": range_min is 950.5, it must be a whole number",
        ),
        (
            "950",
            "\"950\"",
            "\"elbow_flex\": range_min is \"950\", it must be a whole number",
        ),
        (
            "950",
            "null",
            "range_min is null, it must be a whole number",
        ),
        ("-250", "-2250", "more than half a turn"),
        ("drive_mode", "drive", "not a LeRobot calibration"),
        (
            "\"drive_mode\": 0",
            "\"drive_mode\": 7",
            "\"shoulder_pan\": drive_mode is 7, it must be a whole number from 0 to 1",
        ),
        (
            "\"drive_mode\": 0",
            "\"drive_mode\": true",
            "drive_mode is true",
        ),
        (
            ", \"range_max\": 3150",
            "",
            "\"elbow_flex\" has no range_max",
        ),
        (
            "{\"shoulder_pan",
            "{\"x\": {\"id\": 1, \"drive_mode\": 0, \"homing_offset\": 0, \"range_min\": 0, \"range_max\": 1}, \"shoulder_pan",
            "\"x\" is no joint",
        ),
        (
            "{\"shoulder_pan",
            "{\"gripper\": {}, \"shoulder_pan",
            "\"gripper\" is there twice",
        ),
        (
            "\"range_min\": 950",
            "\"range_min\": 950, \"range_min\": 960",
            "\"range_min\" is there twice",
        ),
    ];
    for (from, to, expected) in cases {
        let told = refusal(&calibration().replacen(from, to, 1));
        assert!(told.contains(expected), "\"{told}\" lacks \"{expected}\"");
        assert_eq!(told.lines().count(), 1);
    }
}

#[test]
fn ranges_that_were_not_swept_are_refused() {
    let range = |id: u8, range: [i32; 2]| {
        let whole = [
            [600, 3500],
            [900, 3200],
            [950, 3150],
            [900, 3200],
            [0, 4095],
            [2000, 3400],
        ];
        let from = motor(id, whole[usize::from(id) - 1]);
        calibration().replace(&from, &motor(id, range))
    };
    for (id, ticks, expected) in [
        (1, [1996, 2047], "was not moved"),
        (6, [2000, 2010], "was not moved"),
        (2, [0, 4095], "whole turn"),
        (4, [0, 4094], "whole turn"),
        (6, [1, 4090], "whole turn"),
        (
            2,
            [2047, 3148],
            "\"shoulder_lift\" has the range 2047 .. 3148, and its calibration began at 2047: it was moved to one side only",
        ),
        (3, [952, 2048], "moved to one side only"),
    ] {
        let told = refusal(&range(id, ticks));
        assert!(told.contains(expected), "\"{told}\" lacks \"{expected}\"");
    }
    // A gripper's calibration may begin where it is closed, and a full turn anywhere.
    for (id, ticks) in [(6, [2047, 3499]), (6, [48, 3637]), (5, [2040, 4000])] {
        read(&range(id, ticks), &so101()).unwrap();
    }
}

#[test]
fn other_formats_are_named() {
    let old = r#"{"homing_offset": [-1985, 0], "drive_mode": [0, 0], "start_pos": [0, 1007], "end_pos": [0, 2448], "calib_mode": ["DEGREE", "LINEAR"], "motor_names": ["shoulder_pan", "gripper"]}"#;
    let half = calibration();
    let rows = calibration().replace(&motor(1, [600, 3500]), "[1, 0, -250, 600, 3500]");
    for (text, expected) in [
        (old, "LeRobot's format of before May 2025"),
        (old, "`lerobot-calibrate`"),
        ("", "the file is empty"),
        (" \n", "the file is empty"),
        ("\u{feff}", "the file is empty"),
        (&half[..half.len() / 2], "the file ends in the middle"),
        (
            &rows,
            "\"shoulder_pan\" is a list, it must be an object with id, drive_mode",
        ),
        ("[]", "it is a list, it must be an object"),
        ("{}", "there is no \"shoulder_pan\""),
        ("format = 1", "not a LeRobot calibration"),
    ] {
        let told = refusal(text);
        assert!(told.contains(expected), "\"{told}\" lacks \"{expected}\"");
        assert_eq!(told.lines().count(), 1);
    }
}
