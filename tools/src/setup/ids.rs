//! Ids: the servos of a new kit all have the id 1, so that each is connected alone to get its own.

use anyhow::Result;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use wink_board_linux::registers::{BUS_BAUD, RegisterBus};
use wink_board_linux::survey::{Answer, Expected, ServoFault, Survey, expected, look, scan};

use super::{Dialogue, Place, check};
use crate::bad_input::as_bad_input;
use crate::progress;

pub fn run(place: &Place, dialogue: &mut Dialogue) -> Result<Value> {
    let arm = place.model()?;
    let servos = expected(&arm);
    let mut bus = place.bus(&arm)?;
    let there = check::look(&mut bus, servos.clone())?;
    let complete = there
        .servos
        .iter()
        .all(|(_, answer)| matches!(answer, Answer::Here(_)));
    if complete {
        dialogue.tell("Every servo has its id.")?;
        return Ok(json!({ "servos": [] }));
    }
    disconnect(&mut bus, &there, dialogue)?;
    dialogue.tell(
        "Each servo gets its own id, from the gripper's down to the base's. Connect them to the adapter one by one; those that \
         have their id may stay connected.",
    )?;
    let mut done: Vec<u8> = vec![];
    let mut report = vec![];
    for servo in servos.iter().rev() {
        let was = number(&mut bus, servo, &done, dialogue)?;
        done.push(servo.id);
        report.push(json!({ "joint": servo.joint, "id": servo.id, "was": was }));
    }
    dialogue.tell("Every servo has its id. Connect them all, as they are on the arm.")?;
    Ok(json!({ "servos": report }))
}

/// Begins with no servo on the bus, so that each that comes is known by its coming.
fn disconnect(bus: &mut RegisterBus, there: &Survey, dialogue: &mut Dialogue) -> Result<()> {
    let mut answers = there
        .servos
        .iter()
        .any(|(_, answer)| *answer != Answer::Silent)
        || !matches!(there.faults.as_slice(), [ServoFault::NoneAnswers]);
    while answers {
        dialogue.ask("Disconnect every servo from the adapter. Then press Enter.")?;
        let ids = scan(bus, |_| true, |_| ()).map_err(as_bad_input)?;
        answers = !ids.is_empty();
        if answers {
            dialogue.tell(&format!("Servos still answer, with the ids {ids:?}."))?;
        }
    }
    Ok(())
}

/// Gives the one servo that is new on the bus its id. Returns the one that it had.
fn number(
    bus: &mut RegisterBus,
    servo: &Expected,
    done: &[u8],
    dialogue: &mut Dialogue,
) -> Result<u8> {
    loop {
        dialogue.ask(&format!(
            "Connect the servo of {} (it gets the id {}). Then press Enter.",
            servo.joint, servo.id
        ))?;
        let bar = progress::waiting("looking for the servo");
        let new = new_on_bus(bus, servo, done, &bar);
        bar.finish_and_clear();
        match new? {
            New::None => dialogue.tell(
                "No new servo answers: is the arm's supply on, and the cable in the adapter?",
            )?,
            New::Several(id) => dialogue.tell(&format!(
                "Several servos answer to the id {id}: connect only the one of {}.",
                servo.joint
            ))?,
            New::Ids(ids) => dialogue.tell(&format!(
                "Several new servos answer, with the ids {ids:?}: connect only the one of {}.",
                servo.joint
            ))?,
            New::Model { id, found } => dialogue.tell(&format!(
                "The servo with the id {id} is of model {found}, {} has one of model {}.",
                servo.joint, servo.model
            ))?,
            New::One(id) => {
                bus.change_id(id, servo.id).map_err(as_bad_input)?;
                let said = if id == servo.id {
                    format!("{} has its id {id} already.", servo.joint)
                } else {
                    format!("{}: id {id} became {}.", servo.joint, servo.id)
                };
                dialogue.tell(&said)?;
                return Ok(id);
            }
        }
    }
}

/// What is new on the bus.
enum New {
    None,
    One(u8),
    /// One id that several servos have.
    Several(u8),
    Ids(Vec<u8>),
    Model {
        id: u8,
        found: u16,
    },
}

fn new_on_bus(
    bus: &mut RegisterBus,
    servo: &Expected,
    done: &[u8],
    bar: &ProgressBar,
) -> Result<New> {
    for baud in bus.speeds() {
        bus.set_baud(*baud).map_err(as_bad_input)?;
        // The ids that it most likely has are asked for with patience.
        let mut ids: Vec<u8> = vec![];
        for likely in [1, servo.id] {
            if !done.contains(&likely)
                && !ids.contains(&likely)
                && look(bus, likely).map_err(as_bad_input)? != Answer::Silent
            {
                ids.push(likely);
            }
        }
        if *baud == BUS_BAUD {
            // A second new servo, which this one would be mistaken for, has any id.
            let wanted = |id: u8| !done.contains(&id) && ![1, servo.id].contains(&id);
            let others = scan(bus, wanted, |id| bar.set_message(format!("asking id {id}")))
                .map_err(as_bad_input)?;
            ids.extend(others);
        }
        match ids.as_slice() {
            [] => {}
            [one] => {
                let new = match look(bus, *one).map_err(as_bad_input)? {
                    Answer::Here(reading) if reading.model != servo.model => New::Model {
                        id: *one,
                        found: reading.model,
                    },
                    Answer::Here(_) => New::One(*one),
                    Answer::Damaged => New::Several(*one),
                    Answer::Silent => continue,
                };
                return Ok(new);
            }
            several => return Ok(New::Ids(several.to_vec())),
        }
    }
    bus.set_baud(BUS_BAUD).map_err(as_bad_input)?;
    Ok(New::None)
}
