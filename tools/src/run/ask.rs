//! What the operator confirms before the arm is armed: what will run, on what, and what the cameras see.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use image::{ExtendedColorType, save_buffer};
use wink_runtime::arm::{Link, LinkError};
use wink_runtime::camera::Frame;
use wink_runtime::clock::MonotonicClock;
use wink_runtime::policy::manifest::Manifest;
use wink_runtime::rig::Rig;
use wink_runtime::session::Session;

use super::Args;
use crate::arm::joints;
use crate::bad_input::{as_bad_input, bad_input};
use crate::hardware::Hardware;

/// What will run.
pub struct Proposal<'a> {
    pub args: &'a Args,
    pub sha256: &'a str,
    pub first: bool,
    pub speed: f64,
    pub instruction: &'a str,
    pub policy: &'a Manifest,
}

/// A picture of each camera, saved where the operator can look at it.
///
/// # Errors
/// When a camera gives none.
pub fn stills(hardware: &mut Hardware) -> Result<Vec<PathBuf>> {
    let folder = std::env::temp_dir();
    let mut stills = Vec::new();
    for camera in &mut hardware.rig.cameras {
        let mut frame = Frame::default();
        camera
            .camera
            .capture(&mut frame)
            .map_err(|error| bad_input(format!("camera {}: {error}", camera.name)))?;
        let path = folder.join(format!("wink-{}-{}.jpg", std::process::id(), camera.name));
        save_buffer(
            &path,
            &frame.rgb,
            frame.width,
            frame.height,
            ExtendedColorType::Rgb8,
        )
        .with_context(|| path.display().to_string())
        .map_err(as_bad_input)?;
        stills.push(path);
    }
    Ok(stills)
}

impl Proposal<'_> {
    /// Tells what will run, and asks unless told not to. Whether it may.
    pub fn confirm(
        &self,
        hardware: &Hardware,
        session: &Session,
        stills: &[PathBuf],
    ) -> Result<bool> {
        let mut out = io::stderr().lock();
        let arm = session.arm();
        writeln!(
            out,
            "policy       {} {} ({}), {}{:.12}",
            self.policy.name,
            self.policy.version,
            self.args.policy,
            if self.first && !hardware.is_simulated() {
                "which drives an arm for the first time, "
            } else {
                ""
            },
            self.sha256
        )?;
        writeln!(out, "instruction  \"{}\"", self.instruction)?;
        writeln!(out, "board        {}", hardware.board)?;
        writeln!(
            out,
            "arm          {}, {}",
            arm.name(),
            match &hardware.calibration {
                Some(path) => format!("calibrated by {}", path.display()),
                None => "simulated".to_owned(),
            }
        )?;
        for still in stills {
            writeln!(out, "camera       {}", still.display())?;
        }
        let measured = session.client().measured().unwrap_or_default();
        for (joint, position) in joints(arm).iter().zip(measured) {
            writeln!(
                out,
                "joint        {:<14} {:.3} .. {:.3} {}, at most {:.2} {}/s, now at {position:.3}",
                joint.name, joint.min, joint.max, joint.unit, joint.velocity, joint.unit
            )?;
        }
        writeln!(out, "speed        {:.0}%", self.speed * 100.0)?;
        if self.args.shadow {
            writeln!(out, "shadow       the arm stays as it is")?;
        }
        if self.args.yes {
            return Ok(true);
        }
        write!(out, "Enter arms the arm, anything else ends: ")?;
        out.flush()?;
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer)?;
        Ok(read > 0 && answer.trim().is_empty())
    }
}

/// A rig of nothing, in the place of one that was handed on.
pub fn no_rig() -> Rig {
    Rig {
        cameras: vec![],
        link: Box::new(Nowhere),
        clock: Box::new(MonotonicClock::new()),
    }
}

struct Nowhere;

impl Link for Nowhere {
    fn write(&mut self, _: &[u8]) -> Result<(), LinkError> {
        Err(LinkError::Closed)
    }

    fn read(&mut self, _: &mut [u8]) -> Result<usize, LinkError> {
        Err(LinkError::Closed)
    }
}
