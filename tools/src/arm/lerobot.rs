//! Calibrations into an arm's file: LeRobot's, and those taken by hand.
//!
//! LeRobot's file says of each joint by name `id`, `drive_mode`, `homing_offset`, `range_min` and
//! `range_max`, in ticks. The middle of the range is a joint's zero; a gripper is closed at the
//! range's beginning.

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use anyhow::{Result, anyhow};
use serde::Deserialize;
use toml_edit::{DocumentMut, InlineTable, Item, Table, TableLike, Value, value};
use wink_runtime::arm::ArmDescription;

use crate::bad_input::bad_input;

/// Ticks per turn.
const TURN: f64 = 4096.0;

/// One joint of LeRobot's file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Motor {
    id: u8,
    drive_mode: i32,
    homing_offset: i32,
    range_min: i32,
    range_max: i32,
}

/// What is known of a joint's servo after calibration. Ticks are those the servo tells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    pub zero_tick: f64,
    pub min_tick: f64,
    pub max_tick: f64,
    pub homing_offset: Option<i32>,
    pub reversed: bool,
}

/// Reads LeRobot's file and says what it means for each joint of the arm, the gripper last.
pub fn read(text: &str, arm: &ArmDescription) -> Result<Vec<Found>> {
    let mut motors: BTreeMap<String, Motor> = serde_json::from_str(text)
        .map_err(|error| bad_input(format!("not a LeRobot calibration: {error}")))?;
    let mut found = Vec::new();
    let parts = arm
        .joints()
        .iter()
        .map(|joint| (joint.name.as_str(), &joint.servo_ids))
        .chain([("gripper", &arm.gripper().servo_ids)]);
    for (name, ids) in parts {
        let motor = motors
            .remove(name)
            .ok_or_else(|| bad_input(format!("there is no \"{name}\", which the arm has")))?;
        check(name, &motor, ids)?;
        let (min_tick, max_tick) = (f64::from(motor.range_min), f64::from(motor.range_max));
        let reversed = motor.drive_mode != 0;
        let zero_tick = if name == "gripper" {
            let closed = gripper_ticks(arm)?;
            if reversed {
                max_tick + closed
            } else {
                min_tick - closed
            }
        } else {
            (min_tick + max_tick) / 2.0
        };
        found.push(Found {
            zero_tick,
            min_tick,
            max_tick,
            homing_offset: Some(motor.homing_offset),
            reversed,
        });
    }
    match motors.into_keys().next() {
        Some(name) => Err(bad_input(format!(
            "\"{name}\" is no joint of {}",
            arm.name()
        ))),
        None => Ok(found),
    }
}

fn check(name: &str, motor: &Motor, ids: &[u8]) -> Result<()> {
    let turn = 0..TURN as i32;
    let wrong = |what: String| Err(bad_input(format!("\"{name}\": {what}")));
    if !ids.contains(&motor.id) {
        return wrong(format!("id is {}, the arm's file has {ids:?}", motor.id));
    }
    if !turn.contains(&motor.range_min) || !turn.contains(&motor.range_max) {
        return wrong(format!(
            "range {} .. {} is not within 0 .. 4095",
            motor.range_min, motor.range_max
        ));
    }
    if motor.range_min >= motor.range_max {
        return wrong(format!(
            "range_min {} is not below range_max {}",
            motor.range_min, motor.range_max
        ));
    }
    if motor.homing_offset.abs() >= TURN as i32 / 2 {
        return wrong(format!(
            "homing_offset {} is more than half a turn",
            motor.homing_offset
        ));
    }
    Ok(())
}

/// Ticks from a jaw's zero to where it is closed.
fn gripper_ticks(arm: &ArmDescription) -> Result<f64> {
    let lever_m = arm.gripper_lever_m().ok_or_else(|| {
        bad_input("the arm's gripper is no jaw on a lever, as LeRobot's calibration takes it to be")
    })?;
    Ok(arm.gripper().closed_m / lever_m * TURN / TAU)
}

/// The arm's file with what was found, all else as it is written. Limits are narrowed to the ranges
/// found, never widened.
pub fn apply(text: &str, arm: &ArmDescription, found: &[Found]) -> Result<String> {
    let mut file: DocumentMut = text.parse()?;
    for (index, found) in found.iter().enumerate() {
        let part = match arm.joints().get(index) {
            Some(_) => file
                .get_mut("joint")
                .and_then(Item::as_array_of_tables_mut)
                .and_then(|joints| joints.get_mut(index)),
            None => file.get_mut("gripper").and_then(Item::as_table_mut),
        };
        let part = part.ok_or_else(|| anyhow!("the arm's file has another form"))?;
        set_servo(part, found)?;
        if let Some(joint) = arm.joints().get(index) {
            let angle = |tick: f64| {
                let angle = (tick - found.zero_tick) * TAU / TURN;
                if found.reversed { -angle } else { angle }
            };
            let ends = [angle(found.min_tick), angle(found.max_tick)];
            let (low, high) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
            set(part, "min_rad", joint.min_rad.max(low));
            set(part, "max_rad", joint.max_rad.min(high));
        }
    }
    let new = file.to_string();
    ArmDescription::from_toml(&new).map_err(|error| {
        bad_input(format!(
            "with this calibration the arm makes no sense: {error}"
        ))
    })?;
    Ok(new)
}

fn set_servo(part: &mut Table, found: &Found) -> Result<()> {
    let servo = part
        .entry("servo")
        .or_insert_with(|| value(InlineTable::new()))
        .as_table_like_mut()
        .ok_or_else(|| anyhow!("`servo` is no table"))?;
    put(servo, "zero_tick", rounded(found.zero_tick, 10.0));
    put(servo, "min_tick", found.min_tick.round());
    put(servo, "max_tick", found.max_tick.round());
    if let Some(offset) = found.homing_offset {
        put(servo, "homing_offset", f64::from(offset));
    }
    if found.reversed || servo.contains_key("reversed") {
        servo.insert("reversed", value(found.reversed));
    }
    Ok(())
}

fn put(servo: &mut dyn TableLike, key: &str, number: f64) {
    servo.insert(key, value(number));
}

/// Replaces a number and keeps the line's comment.
fn set(part: &mut Table, key: &str, number: f64) {
    let mut new = Value::from(rounded(number, 1e5));
    if let Some(old) = part.get(key).and_then(Item::as_value) {
        if old.as_float() == Some(number) {
            return;
        }
        *new.decor_mut() = old.decor().clone();
    }
    part.insert(key, Item::Value(new));
}

fn rounded(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}

#[cfg(test)]
mod tests {
    use super::*;

    const SO101: &str = include_str!("../../../boards/arms/so101.toml");

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

    #[test]
    fn lerobots_calibration_is_taken_over() {
        let arm = ArmDescription::from_toml(SO101).unwrap();
        let found = read(&calibration(), &arm).unwrap();
        assert_eq!(found[0].zero_tick, 2050.0);
        assert_eq!(found[1].homing_offset, Some(-150));
        // Closed is -10 degrees, 114 ticks below the jaw's zero.
        assert!(
            (found[5].zero_tick - 2113.8).abs() < 0.5,
            "{}",
            found[5].zero_tick
        );
        let text = apply(SO101, &arm, &found).unwrap();
        let new = ArmDescription::from_toml(&text).unwrap();
        assert_eq!(
            new.joints()[0].max_rad,
            arm.joints()[0].max_rad,
            "not widened"
        );
        assert!(
            (new.joints()[2].max_rad - 1.68739).abs() < 1e-4,
            "narrowed to 1100 ticks"
        );
        assert_ne!(new.hash(), arm.hash());
        for comment in SO101.lines().filter(|line| line.starts_with('#')) {
            assert!(text.contains(comment), "lost: {comment}");
        }
        // Once more changes nothing.
        assert_eq!(apply(&text, &new, &found).unwrap(), text);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let arm = ArmDescription::from_toml(SO101).unwrap();
        let cases = [
            ("\"wrist_roll\"", "\"wrist\"", "there is no \"wrist_roll\""),
            ("\"id\": 3", "\"id\": 9", "\"elbow_flex\": id is 9"),
            ("3200", "4200", "is not within 0 .. 4095"),
            ("950", "3950", "is not below"),
            ("-250", "-2250", "more than half a turn"),
            ("drive_mode", "drive", "not a LeRobot calibration"),
            (
                "{\"shoulder_pan",
                "{\"x\": {\"id\": 1, \"drive_mode\": 0, \"homing_offset\": 0, \"range_min\": 0, \"range_max\": 1}, \"shoulder_pan",
                "\"x\" is no joint",
            ),
        ];
        for (from, to, expected) in cases {
            let text = calibration().replacen(from, to, 1);
            let told = read(&text, &arm).unwrap_err().to_string();
            assert!(told.contains(expected), "\"{told}\" lacks \"{expected}\"");
        }
    }
}
