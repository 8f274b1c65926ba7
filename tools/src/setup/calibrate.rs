//! Calibration by hand: the middle, then every joint from stop to stop; what comes of it goes into the servos and into a file.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};
use wink_board_linux::registers::{RegisterBus, ServoError};
use wink_board_linux::survey::{Answer, ServoFault, expected};
use wink_board_linux::travel::{JointKind, Placement, Travel, TravelFault};
use wink_firmware::servo::serial::BusOptions;
use wink_runtime::arm::{
    ArmDescription, ArmServos, Calibration, GRIPPER_NAME, JointCalibration, write_whole,
};

use super::{Dialogue, Place, check};
use crate::bad_input::{as_bad_input, bad_input};

const TURN: i32 = wink_firmware::servo::TICKS_PER_TURN as i32;

#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Only this joint; the others keep their calibration. Can be given several times
    #[arg(long, value_name = "NAME")]
    joint: Vec<String>,

    /// Save here instead of in the arm's own calibration
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Whether calibrating takes a fault away.
pub fn mends(fault: &ServoFault) -> bool {
    matches!(
        fault,
        ServoFault::CountsTurns { .. } | ServoFault::Offset { .. }
    )
}

/// A joint that is calibrated.
struct Part {
    name: String,
    id: u8,
    kind: JointKind,
    /// Whether the servo's ticks fall while the joint's position rises, as the arm's file has it.
    falls: bool,
    /// A Dynamixel adds its offset, a Feetech servo takes it off.
    adds_offset: bool,
    /// The offset that the servo held before.
    offset: i32,
    travel: Travel,
}

/// Calibrates all joints and stores what comes of it in the servos; it is to be saved in the file `out`.
pub fn by_hand(place: &Place, out: &Path) -> Result<Calibration> {
    let mut dialogue = Dialogue::new(false);
    calibrate(&[], place, out, None, &mut dialogue)
}

pub fn run(args: &Args, place: &Place, dialogue: &mut Dialogue) -> Result<Value> {
    let model = place.model()?;
    let path = match &args.out {
        Some(out) => out.clone(),
        None => place.calibration_path(&model)?,
    };
    let before = earlier(args, place, &model)?;
    let calibration = calibrate(&args.joint, place, &path, before, dialogue)?;
    calibration.save(&path).map_err(as_bad_input)?;
    for joint in &calibration.joints {
        dialogue.tell(&format!(
            "  {:<14} ticks {:>4} to {:>4}, homing offset {:>5}",
            joint.name, joint.range_min, joint.range_max, joint.homing_offset
        ))?;
    }
    dialogue.tell(&format!(
        "The servos hold their offsets; the calibration is saved in {}.",
        path.display()
    ))?;
    Ok(json!({
        "saved_in": path,
        "joints": calibration.joints.iter().map(|joint| json!({
            "joint": joint.name,
            "id": joint.servo_id,
            "range_min": joint.range_min,
            "range_max": joint.range_max,
            "homing_offset": joint.homing_offset,
            "drive_mode": u8::from(joint.reversed),
        })).collect::<Vec<_>>(),
    }))
}

/// Calibrates the joints that are named, or all, beside those of an earlier calibration.
fn calibrate(
    named: &[String],
    place: &Place,
    out: &Path,
    before: Option<Calibration>,
    dialogue: &mut Dialogue,
) -> Result<Calibration> {
    let model = place.model()?;
    let mut bus = place.bus(&model)?;
    let survey = check::look(&mut bus, expected(&model))?;
    let others: Vec<String> = survey
        .faults
        .iter()
        .filter(|fault| !mends(fault))
        .map(ServoFault::to_string)
        .collect();
    if !others.is_empty() {
        return Err(bad_input(others.join("; ")));
    }
    let mut parts = vec![];
    for (servo, answer) in &survey.servos {
        if let Answer::Here(reading) = answer
            && (named.is_empty() || named.contains(&servo.joint))
        {
            parts.push(part(&model, &servo.joint, servo.id, reading.offset)?);
        }
    }
    writable(out)?;
    dialogue.ask("Hold the arm: its torque goes off when you press Enter.")?;
    for (servo, _) in &survey.servos {
        bus.release(servo.id).map_err(as_bad_input)?;
    }
    for fault in &survey.faults {
        if let ServoFault::CountsTurns { id, joint } = fault {
            bus.count_no_turns(*id).map_err(as_bad_input)?;
            dialogue.tell(&format!(
                "Servo {id} ({joint}) counted whole turns (register 18, bit 4): set back."
            ))?;
        }
    }
    let placements = sweep(&mut bus, &model, &mut parts, dialogue)?;
    let joints: Vec<JointCalibration> = parts
        .iter()
        .zip(&placements)
        .map(|(part, placement)| calibrated(part, placement))
        .collect();
    let calibration = merged(before, &model, joints);
    calibration.check(&model).map_err(as_bad_input)?;
    for (part, placement) in parts.iter().zip(&placements) {
        store(&mut bus, part, placement)?;
    }
    Ok(calibration)
}

/// The calibration that joints that are not asked for keep.
fn earlier(args: &Args, place: &Place, model: &ArmDescription) -> Result<Option<Calibration>> {
    let Some(first) = args.joint.first() else {
        return Ok(None);
    };
    let names: Vec<&str> = model.wire_names().collect();
    if let Some(unknown) = args
        .joint
        .iter()
        .find(|name| !names.contains(&name.as_str()))
    {
        return Err(bad_input(format!(
            "--joint {unknown}: the arm has {}",
            names.join(", ")
        )));
    }
    let Some(path) = place.calibration_file(model)? else {
        return Err(bad_input(format!(
            "--joint {first}: the other joints are not calibrated yet: leave --joint out"
        )));
    };
    Calibration::load(&path).map(Some).map_err(as_bad_input)
}

/// Whether the file can be written, before anybody moves a joint for it. What stands there stays.
fn writable(path: &Path) -> Result<()> {
    if path.exists() {
        let old = std::fs::read(path)
            .map_err(|error| bad_input(format!("{}: {error}", path.display())))?;
        write_whole(path, &old).map_err(as_bad_input)
    } else {
        write_whole(path, b"").map_err(as_bad_input)?;
        std::fs::remove_file(path)
            .map_err(|error| bad_input(format!("{}: {error}", path.display())))
    }
}

fn part(model: &ArmDescription, joint: &str, id: u8, offset: i32) -> Result<Part> {
    let servo = match model.servos() {
        Some(ArmServos::Bus { servos, .. }) => servos.iter().find(|servo| servo.id == id),
        _ => None,
    };
    let (Some(servo), Some(ArmServos::Bus { servos, .. })) = (servo, model.servos()) else {
        return Err(bad_input(format!(
            "{joint}: its servo {id} is none on a bus"
        )));
    };
    let on_joint = servos.iter().filter(|other| other.joint == servo.joint);
    if on_joint.count() > 1 {
        return Err(bad_input(format!(
            "{joint} has two servos, which must agree: its calibration is its maker's"
        )));
    }
    let full_turn = model
        .joints()
        .iter()
        .any(|described| described.name == joint && described.full_turn);
    Ok(Part {
        name: joint.to_owned(),
        id,
        kind: match joint {
            GRIPPER_NAME => JointKind::Gripper,
            _ if full_turn => JointKind::FullTurn,
            _ => JointKind::Limited,
        },
        falls: servo.calibration.reversed && !servo.model.is_dynamixel(),
        adds_offset: servo.model.is_dynamixel(),
        offset,
        travel: Travel::at(0),
    })
}

/// Takes the middle and the ranges, of joints that say nothing again and again.
fn sweep(
    bus: &mut RegisterBus,
    model: &ArmDescription,
    parts: &mut [Part],
    dialogue: &mut Dialogue,
) -> Result<Vec<Placement>> {
    let mut open: Vec<usize> = (0..parts.len()).collect();
    let mut placements: Vec<Option<Placement>> = vec![None; parts.len()];
    while !open.is_empty() {
        let names = named(parts, &open);
        let first = dialogue.ask_while(
            &format!(
                "Put {names} in the middle of the range (the gripper: closed). Then press Enter."
            ),
            || positions(bus, parts, &open),
        )?;
        goes_on(&first)?;
        for index in &open {
            let part = &mut parts[*index];
            let position = bus.position(part.id).map_err(as_bad_input)?;
            part.travel = Travel::at(position + part.offset);
        }
        let options = bus.options();
        // While a joint moves, its next reading is worth more than this one's repetition.
        bus.set_options(BusOptions {
            retries: 0,
            ..options
        });
        let answer = dialogue.ask_while(
            &format!("Move {names} from stop to stop and back. Then press Enter."),
            || watch(bus, parts, &open),
        );
        bus.set_options(options);
        goes_on(&answer?)?;
        let mut still = vec![];
        for index in open {
            let part = &parts[index];
            match place(part, model) {
                Ok(placement) => placements[index] = Some(placement),
                Err(told) => {
                    dialogue.tell(&format!("{} {told}.", part.name))?;
                    still.push(index);
                }
            }
        }
        if !still.is_empty() {
            dialogue.tell(&format!(
                "The other joints are done. Once more: {} (or answer `stop`).",
                named(parts, &still)
            ))?;
        }
        open = still;
    }
    Ok(placements.into_iter().flatten().collect())
}

fn goes_on(answer: &str) -> Result<()> {
    match answer {
        "" => Ok(()),
        "stop" | "q" => Err(bad_input("stopped: nothing was stored or saved")),
        other => Err(bad_input(format!(
            "\"{other}\" is no answer here: Enter goes on, `stop` ends; nothing was stored or saved"
        ))),
    }
}

fn named(parts: &[Part], which: &[usize]) -> String {
    if which.len() == parts.len() && parts.len() > 1 {
        return "every joint".to_owned();
    }
    let names: Vec<&str> = which
        .iter()
        .filter_map(|index| parts.get(*index))
        .map(|part| part.name.as_str())
        .collect();
    names.join(", ")
}

/// Reads every joint that is put in its middle once, and says where it is.
fn positions(bus: &mut RegisterBus, parts: &[Part], open: &[usize]) -> Result<Vec<String>> {
    let mut lines = vec![];
    for part in open.iter().filter_map(|index| parts.get(*index)) {
        let said = match bus.position(part.id) {
            Ok(position) => position.to_string(),
            Err(ServoError::Silent { .. } | ServoError::Damaged { .. } | ServoError::Line(_)) => {
                "-".to_owned()
            }
            Err(error) => return Err(as_bad_input(error)),
        };
        lines.push(format!("  {:<14}{said:>8}", part.name));
    }
    Ok(lines)
}

/// Reads every joint that is moved once, and says how far it went.
fn watch(bus: &mut RegisterBus, parts: &mut [Part], open: &[usize]) -> Result<Vec<String>> {
    let mut lines = vec![format!(
        "  {:<14}{:>8}{:>8}{:>8}{:>8}",
        "joint", "lowest", "now", "highest", "ticks"
    )];
    for index in open {
        let part = &mut parts[*index];
        match bus.position(part.id) {
            Ok(position) => part.travel.see(position + part.offset),
            // Read again at the next look; how far it went meanwhile decides whether that is known.
            Err(ServoError::Silent { .. } | ServoError::Damaged { .. } | ServoError::Line(_)) => {}
            Err(error) => return Err(as_bad_input(error)),
        }
        let [lowest, now, highest] = part.travel.from_start();
        lines.push(format!(
            "  {:<14}{lowest:>8}{now:>8}{highest:>8}{:>8}",
            part.name,
            part.travel.ticks()
        ));
    }
    Ok(lines)
}

/// Where a joint lies within its servo's turn, or what its travel does not say.
fn place(part: &Part, model: &ArmDescription) -> Result<Placement, String> {
    let placement = part
        .travel
        .placed(part.kind)
        .map_err(|fault: TravelFault| fault.to_string())?;
    calibrated(part, &placement)
        .check(model)
        .map_err(|error| format!("cannot be right ({error}): move it once more"))?;
    Ok(placement)
}

fn calibrated(part: &Part, placement: &Placement) -> JointCalibration {
    let offset = i32::from(placement.offset);
    let falls = match part.kind {
        // A gripper was closed where it began, and opens from there.
        JointKind::Gripper => part.travel.begun_high(),
        JointKind::Limited | JointKind::FullTurn => part.falls,
    };
    JointCalibration {
        name: part.name.clone(),
        servo_id: part.id,
        reversed: falls != part.falls,
        homing_offset: if part.adds_offset { -offset } else { offset },
        range_min: placement.range_min.into(),
        range_max: placement.range_max.into(),
    }
}

/// The joints in the arm's order: new ones, and of the others those of an earlier calibration.
fn merged(
    before: Option<Calibration>,
    model: &ArmDescription,
    new: Vec<JointCalibration>,
) -> Calibration {
    let old = before.map_or_else(Vec::new, |before| before.joints);
    let joints = model
        .wire_names()
        .filter_map(|name| {
            let named = |joint: &&JointCalibration| joint.name == name;
            new.iter()
                .find(named)
                .or_else(|| old.iter().find(named))
                .cloned()
        })
        .collect();
    Calibration {
        arm: model.name().to_owned(),
        joints,
    }
}

/// Stores a joint's offset and range in its servo, and checks that the servo then says what it should.
fn store(bus: &mut RegisterBus, part: &Part, placement: &Placement) -> Result<()> {
    /// A joint that nobody holds sags a little.
    const SAGS: i32 = 40;
    /// Longest until a servo takes a new offset off its position.
    const TAKES: Duration = Duration::from_millis(500);

    let before = bus.position(part.id).map_err(as_bad_input)? + part.offset;
    bus.store_offset(part.id, placement.offset)
        .map_err(as_bad_input)?;
    bus.store_range(part.id, [placement.range_min, placement.range_max])
        .map_err(as_bad_input)?;
    let end = Instant::now() + TAKES;
    loop {
        let now = bus.position(part.id).map_err(as_bad_input)? + i32::from(placement.offset);
        let gap = (now - before + TURN / 2).rem_euclid(TURN) - TURN / 2;
        if gap.abs() <= SAGS {
            return Ok(());
        }
        if Instant::now() >= end {
            return Err(bad_input(format!(
                "servo {} ({}) holds the offset {} and does not take it off its position: nothing was saved",
                part.id, part.name, placement.offset
            )));
        }
    }
}
