//! Arm files that must not reach a servo: each is refused when it is read, with the line of what is wrong.
//!
//! An image's build script reads the same files the same way, so what is refused here does not build either.

#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]

use wink_runtime::arm::ArmDescription;

const ARMS: [(&str, &str); 2] = [
    ("so101", include_str!("../../boards/arms/so101.toml")),
    ("wx250s", include_str!("../../boards/arms/wx250s.toml")),
];

/// Index, from 0, of the first line that starts with `start`, from line `from` on.
fn find(lines: &[&str], from: usize, start: &str) -> usize {
    let found = lines[from..]
        .iter()
        .position(|line| line.starts_with(start));
    from + found.unwrap_or_else(|| panic!("no line starts with {start}"))
}

fn refusal(text: &str) -> String {
    ArmDescription::from_toml(text)
        .err()
        .unwrap_or_else(|| panic!("nothing is wrong with\n{text}"))
        .to_string()
}

/// The line that a message is about.
fn told_line(message: &str) -> usize {
    let (line, _) = message
        .strip_prefix("line ")
        .and_then(|rest| rest.split_once(": "))
        .unwrap_or_else(|| panic!("no line in \"{message}\""));
    line.parse().unwrap()
}

#[test]
fn the_shipped_arms_are_accepted() {
    for (name, text) in ARMS {
        assert_eq!(ArmDescription::from_toml(text).unwrap().name(), name);
    }
}

#[test]
fn a_limit_that_is_missing_is_named_with_its_part() {
    const OF_A_JOINT: [&str; 8] = [
        "name",
        "servo_ids",
        "axis",
        "min_rad",
        "max_rad",
        "velocity_rad_s",
        "acceleration_rad_s2",
        "home_rad",
    ];
    const OF_THE_GRIPPER: [&str; 8] = [
        "servo_ids",
        "min_m",
        "max_m",
        "closed_m",
        "open_m",
        "velocity_m_s",
        "acceleration_m_s2",
        "home_m",
    ];
    for (name, text) in ARMS {
        let lines: Vec<&str> = text.lines().collect();
        let second_joint = find(&lines, find(&lines, 0, "[[joint]]") + 1, "[[joint]]");
        let gripper = find(&lines, 0, "[gripper]");
        let cases = [(second_joint, OF_A_JOINT), (gripper, OF_THE_GRIPPER)];
        for (part, field) in cases
            .iter()
            .flat_map(|(part, fields)| fields.iter().map(move |field| (*part, *field)))
        {
            let mut without = lines.clone();
            without.remove(find(&lines, part, &format!("{field} = ")));
            let message = refusal(&without.join("\n"));
            assert!(
                message.contains(&format!("missing field `{field}`")),
                "{name}: {message}"
            );
            assert_eq!(told_line(&message), part + 1, "{name}, {field}: {message}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused_at_its_line() {
    let cases: [(&str, &str, &str, &str); 19] = [
        // Part, line to replace, by what, and what is said.
        (
            "[[joint]]",
            "min_rad",
            "min_rad = 3.5",
            "min_rad 3.5 is not below max_rad",
        ),
        (
            "[[joint]]",
            "max_rad",
            "max_rad = 110",
            "max_rad is 110, outside of",
        ),
        (
            "[[joint]]",
            "max_rad",
            "max_rad = nan",
            "max_rad is not a finite number",
        ),
        (
            "[[joint]]",
            "min_rad",
            "min_rad = -inf",
            "min_rad is not a finite number",
        ),
        (
            "[[joint]]",
            "min_rad",
            "min_rad = \"-1\"",
            "invalid type: string",
        ),
        (
            "[[joint]]",
            "velocity_rad_s",
            "velocity_rad_s = 0",
            "velocity_rad_s is 0, outside of",
        ),
        (
            "[[joint]]",
            "velocity_rad_s",
            "velocity_rad_s = -3.0",
            "velocity_rad_s is -3, outside of",
        ),
        (
            "[[joint]]",
            "acceleration_rad_s2",
            "acceleration_rad_s2 = 1e9",
            "acceleration_rad_s2 is 1000000000, outside of",
        ),
        (
            "[[joint]]",
            "jerk_rad_s3",
            "jerk_rad_s3 = 0",
            "jerk_rad_s3 is 0, outside of",
        ),
        (
            "[[joint]]",
            "home_rad",
            "home_rad = 6.0",
            "home_rad is 6, outside of",
        ),
        (
            "[[joint]]",
            "servo_ids",
            "servo_ids = []",
            "servo_ids holds 0 ids",
        ),
        (
            "[[joint]]",
            "servo_ids",
            "servo_ids = [1, 1]",
            "servo id 1 is already taken by",
        ),
        (
            "[[joint]]",
            "servo_ids",
            "servo_ids = [300]",
            "invalid value: integer `300`",
        ),
        (
            "[[joint]]",
            "servo_ids",
            "servo_ids = [-1]",
            "invalid value: integer `-1`",
        ),
        (
            "[gripper]",
            "min_m",
            "min_m = 0.4",
            "min_m 0.4 is not below max_m",
        ),
        (
            "[gripper]",
            "servo_ids",
            "servo_ids = [1]",
            "servo id 1 is already taken by",
        ),
        (
            "[gripper]",
            "torque_limit",
            "torque_limit = 50",
            "is it in percent?",
        ),
        (
            "[servos]",
            "model",
            "model = \"sts3125\"",
            "servo model \"sts3125\" is not known; these are: feetech_sts3215",
        ),
        (
            "[servos]",
            "model",
            "model = \"sts3125",
            "invalid basic string",
        ),
    ];
    for (name, text) in ARMS {
        let lines: Vec<&str> = text.lines().collect();
        for (part, field, replacement, expected) in cases {
            let at = find(&lines, find(&lines, 0, part), &format!("{field} = "));
            let mut edited = lines.clone();
            edited[at] = replacement;
            let message = refusal(&edited.join("\n"));
            assert!(
                message.contains(expected),
                "{name}, {replacement}: \"{message}\" does not say \"{expected}\""
            );
            assert_eq!(
                told_line(&message),
                at + 1,
                "{name}, {replacement}: {message}"
            );
        }
    }
}

#[test]
fn two_joints_on_one_servo_and_a_servo_of_another_make_are_refused() {
    for (name, text) in ARMS {
        let lines: Vec<&str> = text.lines().collect();
        let first = find(&lines, 0, "[[joint]]");
        let ids = find(&lines, find(&lines, first + 1, "[[joint]]"), "servo_ids = ");
        let mut edited = lines.clone();
        edited[ids] = lines[find(&lines, first, "servo_ids = ")];
        let message = refusal(&edited.join("\n"));
        assert!(message.contains("is already taken by"), "{name}: {message}");
        assert_eq!(told_line(&message), ids + 1, "{name}: {message}");

        let home = find(&lines, first, "home_rad = ");
        for (model, expected) in [
            ("sg90", "servo model \"sg90\" is not known"),
            ("pwm", "its model and that of [servos] do not go on one bus"),
        ] {
            let mut edited = lines.clone();
            let servo = format!("servo = {{ model = \"{model}\" }}");
            edited.insert(home + 1, &servo);
            let message = refusal(&edited.join("\n"));
            assert!(message.contains(expected), "{name}: {message}");
            assert_eq!(told_line(&message), home + 2, "{name}: {message}");
        }
    }
}

/// An arm's file with the first `from` behind `after` replaced.
fn edited(text: &str, after: &str, from: &str, to: &str) -> String {
    let start = text.find(after).unwrap();
    let at = start + text[start..].find(from).unwrap();
    format!("{}{to}{}", &text[..at], &text[at + from.len()..])
}

/// An arm of one joint on a hobby servo whose pulses lead from -1.5 to 1.5 rad.
fn pwm_arm(min: f64, max: f64, velocity: f64) -> String {
    format!(
        "format = 1\nname = \"p\"\n[[joint]]\nname = \"a\"\nservo_ids = [0]\noffset_m = [0.0, 0.0, 0.0]\naxis = [0.0, 0.0, 1.0]\n\
         min_rad = {min:?}\nmax_rad = {max:?}\nvelocity_rad_s = {velocity:?}\nacceleration_rad_s2 = 9.0\nhome_rad = 0.0\n\
         servo = {{ shortest = {{ pulse_us = 500, position = 1.5 }}, longest = {{ pulse_us = 2500, position = -1.5 }} }}\n\
         [tool]\noffset_m = [0.0, 0.0, 0.0]\n[servos]\nmodel = \"pwm\"\n"
    )
}

#[test]
fn names_can_be_shown_and_no_joint_is_called_gripper() {
    for (name, text) in ARMS {
        let lines: Vec<&str> = text.lines().collect();
        let joint = find(&lines, find(&lines, 0, "[[joint]]"), "name = ");
        let arm = find(&lines, 0, "name = ");
        for (at, new, expected) in [
            (
                joint,
                "name = \"gripper\"",
                "a joint has the name \"gripper\": this is what the [gripper] is called",
            ),
            (
                joint,
                "name = \"pan\\n\\u001b[31mred\"",
                "\"pan\\n\\u{1b}[31mred\": it holds control characters",
            ),
            (joint, "name = \"a\\u202eb\"", "use letters, digits"),
            (joint, "name = \" pan\"", "use letters, digits"),
            (joint, "name = \"\"", "a joint has an empty name"),
            (arm, "name = \"a\\u0000b\"", "the arm has the name"),
            (
                arm,
                "name = \"../x\"",
                "use letters, digits and punctuation other than quotes and slashes",
            ),
        ] {
            let mut edited = lines.clone();
            edited[at] = new;
            let message = refusal(&edited.join("\n"));
            assert!(message.contains(expected), "{name}, {new}: {message}");
            assert!(!message.contains(char::is_control), "{message:?}");
            assert_eq!(told_line(&message), at + 1, "{name}, {new}: {message}");
        }
        let long = text.replacen("name = ", &format!("name = \"{}\" # ", "x".repeat(65)), 1);
        assert!(refusal(&long).contains("longer than 64 characters"));
    }
}

#[test]
fn no_joint_is_faster_than_its_servo() {
    let so101 = ARMS[0].1;
    let message = refusal(&edited(
        so101,
        "\"shoulder_pan\"",
        "velocity_rad_s = 3.0",
        "velocity_rad_s = 60.0",
    ));
    assert!(
        message.contains("velocity_rad_s is 60, 573 turns a minute"),
        "{message}"
    );
    assert_eq!(
        told_line(&message),
        1 + so101
            .lines()
            .position(|line| line == "velocity_rad_s = 3.0")
            .unwrap()
    );
    let message = refusal(&edited(
        so101,
        "[gripper]",
        "velocity_m_s = 0.25",
        "velocity_m_s = 2.5",
    ));
    assert!(
        message.contains("velocity_m_s is 2.5, 320 turns a minute"),
        "{message}"
    );
    let message = refusal(&edited(
        ARMS[1].1,
        "\"waist\"",
        "velocity_rad_s = 3.141592653589793",
        "velocity_rad_s = 9",
    ));
    assert!(message.contains("its servo does 57 at most"), "{message}");
    let message = refusal(&pwm_arm(-1.0, 1.0, 60.0));
    assert!(message.contains("velocity_rad_s is 60"), "{message}");
    for model in ["dynamixel_xl330_m288", "dynamixel_xl330_m077"] {
        let text = so101.replace("\"feetech_sts3215\"", &format!("\"{model}\""));
        let text = text.replace(", protection_current_a = 1.625, overload_torque = 0.25", "");
        let fast = edited(
            &text,
            "\"shoulder_pan\"",
            "velocity_rad_s = 3.0",
            "velocity_rad_s = 30.0",
        );
        assert!(ArmDescription::from_toml(&text).is_ok());
        assert_eq!(
            ArmDescription::from_toml(&fast).is_ok(),
            model == "dynamixel_xl330_m077"
        );
    }
}

#[test]
fn limits_lie_within_what_the_pulses_reach() {
    assert!(ArmDescription::from_toml(&pwm_arm(-1.5, 1.5, 2.0)).is_ok());
    for (min, max, expected) in [
        (
            -3.0,
            1.4,
            "\"a\": its lower limit -3 is beyond what the pulses reach, -1.5 .. 1.5",
        ),
        (
            -1.4,
            1.6,
            "\"a\": its upper limit 1.6 is beyond what the pulses reach",
        ),
    ] {
        let message = refusal(&pwm_arm(min, max, 2.0));
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn numbers_of_registers_are_whole() {
    for (name, text) in ARMS {
        let gains = format!("{text}\n")
            .replace("\ni_gain = 0\n", "\n")
            .replace("\nd_gain = 32\n", "\n");
        for field in ["p_gain", "i_gain", "d_gain"] {
            let without = gains.replace("\np_gain = 16\n", "\n");
            let message = refusal(&format!("{without}{field} = 16.5\n"));
            assert!(
                message.contains(&format!(
                    "\"servos\": {field} is 16.5, which is not a whole number"
                )),
                "{name}: {message}"
            );
            assert!(ArmDescription::from_toml(&format!("{without}{field} = 16.0\n")).is_ok());
        }
        for field in ["min_tick", "max_tick", "homing_offset"] {
            let first = text.find("home_rad = 0.0\n").unwrap();
            let (before, after) = text.split_at(first);
            let message = refusal(&format!("{before}servo = {{ {field} = 10.5 }}\n{after}"));
            assert!(
                message.contains(&format!("{field} is 10.5, which is not a whole number")),
                "{name}: {message}"
            );
        }
    }
}

#[test]
fn a_zero_far_from_the_middle_is_said_by_a_homing_offset() {
    let so101 = ARMS[0].1;
    let with = |servo: &str| {
        edited(
            so101,
            "\"shoulder_pan\"",
            "home_rad = 0.0",
            &format!("home_rad = 0.0\nservo = {{ {servo} }}"),
        )
    };
    let message = refusal(&with("zero_tick = 3500"));
    assert!(
        message.contains("outside of the servo's 0 .. 4095"),
        "{message}"
    );
    let (_, advice) = message
        .split_once("zero_tick = 2048 and homing_offset = ")
        .unwrap();
    assert_eq!(advice, "1452");
    let arm = ArmDescription::from_toml(&with(&format!(
        "zero_tick = 2048, homing_offset = {advice}"
    )))
    .unwrap();
    assert_eq!(arm.homing_offset(0), Some(1452));
    assert_eq!(arm.homing_offset(1), None);
}

#[test]
fn line_ends_and_tables_are_written_either_way() {
    for (name, text) in ARMS {
        let plain = ArmDescription::from_toml(text).unwrap();
        let crlf = ArmDescription::from_toml(&text.replace('\n', "\r\n")).unwrap();
        assert_eq!(crlf, plain, "{name}");
        let bom = ArmDescription::from_toml(&format!("\u{feff}{text}"));
        assert_eq!(bom.unwrap(), plain, "{name}");
    }
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_known_one() {
    let so101 = ARMS[0].1;
    for (from, to, line, expected) in [
        (
            "velocity_rad_s = 3.0",
            "velocity_rads = 3.0",
            "velocity_rad_s = 3.0",
            "did you mean `velocity_rad_s`?",
        ),
        (
            "p_gain = 16",
            "pgain = 16",
            "p_gain = 16",
            "did you mean `p_gain`?",
        ),
        (
            "lever_m = 0.0747",
            "lever = 0.0747",
            "servo = { lever_m",
            "did you mean `lever_m`?",
        ),
    ] {
        let message = refusal(&so101.replacen(from, to, 1));
        assert!(message.contains(expected), "{message}");
        let at = so101
            .lines()
            .position(|found| found.starts_with(line))
            .unwrap();
        assert_eq!(told_line(&message), at + 1, "{message}");
    }
}

#[test]
fn an_arm_may_have_no_gripper() {
    for (name, text) in ARMS {
        let start = text.find("[gripper]").unwrap();
        let end = text.find("[servos]").unwrap();
        let arm =
            ArmDescription::from_toml(&format!("{}{}", &text[..start], &text[end..])).unwrap();
        assert!(arm.gripper().is_none(), "{name}");
        let joints = arm.joints().len();
        assert_eq!((arm.wire_joints(), arm.wire_home().len()), (joints, joints));
        assert_eq!(arm.wire_names().count(), joints);
        assert_eq!(arm.clamp_wire(&[9.0; 8][..joints]).len(), joints);
        let config = arm.firmware_config();
        assert_eq!((config.joints.len(), config.guards.len()), (joints, joints));
        config.check().unwrap();
        assert!(
            config.guards.iter().all(|guard| guard.stall.is_some()),
            "no joint is taken for a gripper"
        );
        assert_ne!(arm.hash(), ArmDescription::from_toml(text).unwrap().hash());
        assert_eq!(arm.gripper_lever_m(), None);
        assert_eq!(arm.tick_calibrations().unwrap().len(), joints);
        assert!(
            arm.firmware_source()
                .contains(&format!("JointLimits; {joints}]"))
        );
    }
}
