use super::*;

const WX250S: &str = include_str!("../../../../boards/arms/wx250s.toml");

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
    assert_eq!(arm.gripper().unwrap().servo_ids, [9]);
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
            "line 33: there already is a joint \"waist\"",
        ),
        (
            edited(0, "[4, 5]", "[4, 2]"),
            "line 34: \"elbow\": servo id 2 is already taken by \"shoulder\"",
        ),
        (
            edited(0, "[4, 5]", "[4, 4]"),
            "line 34: \"elbow\": servo id 4 is already taken by \"elbow\"",
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
            "line 25: \"shoulder\": min_rad 2 is not below max_rad 1.98967",
        ),
        (
            edited(0, "max_rad = 1.9896753472735358", "max_rad = 114"),
            "line 26: \"shoulder\": max_rad is 114, outside of",
        ),
        (
            edited(0, "0.03865", "inf"),
            "line 23: \"shoulder\": offset_m is not a finite number",
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
            "line 84: [protection] needs all of stall_load, stall_error_rad and stall_time_ms",
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
            "line 24: ",
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
    assert_eq!(arm.gripper.unwrap().torque_limit, f64::INFINITY);
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
