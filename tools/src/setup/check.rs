//! Every servo at a look, and all that is wrong at once.

use anyhow::Result;
use serde_json::{Value, json};
use wink_board_linux::registers::{RegisterBus, ServoReading};
use wink_board_linux::survey::{Answer, Expected, Survey, expected, survey};
use wink_firmware::servo::serial::ServoModel;
use wink_runtime::arm::ArmDescription;

use super::{Dialogue, Place};
use crate::bad_input::{as_bad_input, bad_input};
use crate::progress;

/// Models by the number that they tell.
const MODELS: [(ServoModel, &str); 5] = [
    (ServoModel::Sts3215, "STS3215"),
    (ServoModel::Xm430W350, "XM430-W350"),
    (ServoModel::Xl430W250, "XL430-W250"),
    (ServoModel::Xl330M077, "XL330-M077"),
    (ServoModel::Xl330M288, "XL330-M288"),
];

/// Looks once; what is wrong is an error.
pub fn run(place: &Place, dialogue: &mut Dialogue) -> Result<Value> {
    let survey = look(&mut place.bus(&place.model()?)?, expected(&known(place)?))?;
    show(&survey, dialogue)?;
    let report = report(&survey);
    if survey.faults.is_empty() {
        return Ok(report);
    }
    dialogue.report(&report)?;
    Err(bad_input(survey.told()))
}

/// Looks until nothing that keeps the arm from being calibrated is wrong.
pub fn until_right(place: &Place, dialogue: &mut Dialogue) -> Result<Value> {
    let model = place.model()?;
    let mut bus = place.bus(&model)?;
    loop {
        let survey = look(&mut bus, expected(&model))?;
        show(&survey, dialogue)?;
        if survey.faults.iter().all(super::calibrate::mends) {
            return Ok(report(&survey));
        }
        dialogue.ask("Put that right. Then press Enter to look again.")?;
    }
}

/// All servos, with a sign of life where that takes its time.
pub fn look(bus: &mut RegisterBus, servos: Vec<Expected>) -> Result<Survey> {
    let bar = progress::waiting("asking the servos");
    let found = survey(bus, servos, |id| bar.set_message(format!("asking id {id}")));
    bar.finish_and_clear();
    found.map_err(as_bad_input)
}

/// The arm as far as it is known: with its calibration where there is one.
fn known(place: &Place) -> Result<ArmDescription> {
    let model = place.model()?;
    match place.calibration_file(&model)? {
        Some(_) => place.calibrated(),
        None => Ok(model),
    }
}

fn show(survey: &Survey, dialogue: &mut Dialogue) -> Result<()> {
    dialogue.tell(&format!(
        "  {:<14}{:>3}  {:<12}{:>8}{:>7}{:>10}{:>8}",
        "joint", "id", "model", "supply", "temp", "position", "offset"
    ))?;
    for (servo, answer) in &survey.servos {
        let said = match answer {
            Answer::Silent => "does not answer".to_owned(),
            Answer::Damaged => "answers damaged: several servos with this id".to_owned(),
            Answer::Here(reading) => format!(
                "{:<12}{:>6.1} V{:>5.0} C{:>10}{:>8}",
                model(reading.model),
                reading.voltage_v,
                reading.temperature_c,
                reading.position,
                reading.offset
            ),
        };
        dialogue.tell(&format!("  {:<14}{:>3}  {said}", servo.joint, servo.id))?;
    }
    if survey.faults.is_empty() {
        dialogue.tell("Nothing is wrong.")?;
    }
    for fault in &survey.faults {
        dialogue.tell(&format!("Wrong: {fault}."))?;
    }
    Ok(())
}

fn model(number: u16) -> String {
    MODELS
        .iter()
        .find(|(known, _)| known.number() == number)
        .map_or_else(|| format!("model {number}"), |(_, name)| (*name).to_owned())
}

fn report(survey: &Survey) -> Value {
    let servos: Vec<Value> = survey
        .servos
        .iter()
        .map(|(servo, answer)| {
            let (answers, reading) = match answer {
                Answer::Silent => ("no", None),
                Answer::Damaged => ("damaged", None),
                Answer::Here(reading) => ("yes", Some(reading)),
            };
            let of = |value: fn(&ServoReading) -> Value| reading.map(value);
            json!({
                "joint": servo.joint,
                "id": servo.id,
                "answers": answers,
                "model": reading.map(|reading| model(reading.model)),
                "supply_v": of(|reading| json!(reading.voltage_v)),
                "made_for_v": of(|reading| json!(reading.supply_limits_v)),
                "temperature_c": of(|reading| json!(reading.temperature_c)),
                "position": of(|reading| json!(reading.position)),
                "homing_offset": of(|reading| json!(reading.offset)),
                "counts_turns": of(|reading| json!(reading.counts_turns)),
                "torque": of(|reading| json!(reading.torque)),
            })
        })
        .collect();
    let faults: Vec<Value> = survey
        .faults
        .iter()
        .map(|fault| json!({ "kind": fault.kind(), "told": fault.to_string() }))
        .collect();
    json!({ "servos": servos, "faults": faults })
}
