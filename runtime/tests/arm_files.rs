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
