//! The live view.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::Result;
use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, poll, read};
use crossterm::style::Print;
use crossterm::terminal::{Clear, ClearType};
use crossterm::{cursor, queue};
use wink_firmware::wire::State;
use wink_runtime::arm::{ArmClient, ArmDescription, Target};

use super::drive::{inside, measured, outside};
use super::panel::{JointInfo, joints, lines};
use super::screen::Screen;
use super::{Machine, PATIENCE_US, listen};

/// Time between two pictures, which is also that between setpoints.
const PICTURE_US: u64 = 50_000;
/// How far a key moves a joint: 1 degree, or 1 mm.
const STEP_RAD: f64 = std::f64::consts::PI / 180.0;
const STEP_M: f64 = 0.001;

const KEYS: &str =
    "up/down joint   left/right move   a arm   h hold   p power down   c clear fault   q quit";

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Quit,
    Choose(isize),
    Move(i8),
    Arm,
    Hold,
    PowerDown,
    ClearFault,
}

pub fn run(arm: &ArmDescription, client: &mut ArmClient, machine: &mut dyn Machine) -> Result<()> {
    let all = joints(arm);
    let mut chosen = 0_usize;
    let mut targets: Option<Vec<f64>> = None;
    let mut notice = String::new();
    let screen = Screen::enter()?;
    loop {
        while poll(Duration::ZERO)? {
            let Event::Key(key) = read()? else { continue };
            let Some(wish) = wish(&key) else { continue };
            notice.clear();
            match wish {
                Wish::Quit => {
                    if targets.is_some() {
                        client.hold(machine)?;
                    }
                    drop(screen);
                    return Ok(());
                }
                Wish::Choose(by) => {
                    chosen = chosen.saturating_add_signed(by).min(all.len() - 1);
                }
                Wish::Move(by) => match &mut targets {
                    Some(targets) => step(&mut targets[chosen], &all[chosen], by),
                    None => "arm first (a)".clone_into(&mut notice),
                },
                Wish::Arm => match client.arm(machine, PATIENCE_US) {
                    Ok(()) => {
                        let now = measured(client)?;
                        notice = outside(&all, &now).join("; ");
                        targets = Some(inside(&all, &now));
                    }
                    Err(error) => notice = error.to_string(),
                },
                Wish::Hold => {
                    targets = None;
                    client.hold(machine)?;
                }
                Wish::PowerDown => {
                    targets = None;
                    client.power_down(machine)?;
                }
                Wish::ClearFault => client.clear_fault(machine)?,
            }
        }
        let now_us = machine.now_us();
        if let Some(positions) = &targets {
            let sent = client.check(now_us, PATIENCE_US).and_then(|()| {
                client.send_setpoint(machine, now_us, PICTURE_US, positions, Target::New)
            });
            if let Err(error) = sent {
                notice = error.to_string();
                targets = None;
            }
        } else {
            client.ping(machine, now_us)?;
        }
        listen(client, machine, PICTURE_US)?;
        if let Some(trouble) = machine.trouble() {
            notice = trouble;
        }
        let holds = client
            .telemetry()
            .is_some_and(|telemetry| telemetry.state == State::Armed)
            == targets.is_some();
        let status = if notice.is_empty() && !holds {
            "..."
        } else {
            &notice
        };
        draw(&lines(client, arm, Some(chosen)), status)?;
    }
}

fn step(target: &mut f64, joint: &JointInfo<'_>, by: i8) {
    let step = if joint.unit == "m" { STEP_M } else { STEP_RAD };
    let wanted = *target + step * f64::from(by);
    // A joint outside its limits is not pulled in at once.
    *target = wanted.clamp(joint.min.min(*target), joint.max.max(*target));
}

fn wish(key: &KeyEvent) -> Option<Wish> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    Some(match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Wish::Quit,
        KeyCode::Char('q') | KeyCode::Esc => Wish::Quit,
        KeyCode::Up => Wish::Choose(-1),
        KeyCode::Down => Wish::Choose(1),
        KeyCode::Left => Wish::Move(-1),
        KeyCode::Right => Wish::Move(1),
        KeyCode::Char('a') => Wish::Arm,
        KeyCode::Char('h') | KeyCode::Char(' ') => Wish::Hold,
        KeyCode::Char('p') => Wish::PowerDown,
        KeyCode::Char('c') => Wish::ClearFault,
        _ => return None,
    })
}

fn draw(lines: &[String], notice: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let all = lines.iter().map(String::as_str).chain(["", KEYS, notice]);
    for (row, line) in all.enumerate() {
        queue!(
            out,
            cursor::MoveTo(0, row as u16),
            Print(line),
            Clear(ClearType::UntilNewLine)
        )?;
    }
    queue!(out, Clear(ClearType::FromCursorDown))?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_do_what_the_line_below_says() {
        let cases = [
            (KeyCode::Char('q'), Some(Wish::Quit)),
            (KeyCode::Down, Some(Wish::Choose(1))),
            (KeyCode::Left, Some(Wish::Move(-1))),
            (KeyCode::Char(' '), Some(Wish::Hold)),
            (KeyCode::Char('p'), Some(Wish::PowerDown)),
            (KeyCode::Char('x'), None),
        ];
        for (code, expected) in cases {
            assert_eq!(wish(&KeyEvent::new(code, KeyModifiers::NONE)), expected);
        }
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(wish(&interrupt), Some(Wish::Quit));
    }

    #[test]
    fn steps_stay_within_limits() {
        let joint = JointInfo {
            name: "gripper",
            unit: "m",
            min: 0.0,
            max: 0.04,
            velocity: 1.0,
        };
        for (from, by, to) in [
            (0.02, 1, 0.021),
            (0.0395, 1, 0.04),
            (0.0, -1, 0.0),
            (0.05, 1, 0.05),
            (0.05, -1, 0.049),
        ] {
            let mut target = from;
            step(&mut target, &joint, by);
            assert!((target - to).abs() < 1e-9, "{from} {by}: {target}");
        }
    }
}
