//! Which cameras are looked at.

use std::path::Path;

use anyhow::Result;
use wink_camera::{CameraConfig, HAS_DEVICES, HOW_TO_GET_DEVICES, PixelFormat, Source};

use super::Args;
use super::measure::Wanted;
use crate::bad_input::bad_input;
use crate::hardware::read_board;

/// A device that was found: its file, and what it is, where it could be asked.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Found {
    /// The name that a restart does not change, or the file where there is none.
    pub device: String,
    /// The file.
    pub node: String,
    /// What it calls itself.
    pub card: String,
    /// The kernel's driver.
    pub driver: String,
    /// What it offers.
    pub formats: Vec<Offered>,
    /// Why it could not be asked.
    pub error: Option<String>,
}

/// A format that a device offers.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Offered {
    /// V4L2's four characters.
    pub format: String,
    /// Whether it is decoded here.
    pub decoded: bool,
    /// Width, height and rates, frames a second.
    pub sizes: Vec<(u32, u32, Vec<f64>)>,
}

/// What is looked at.
pub struct Chosen {
    /// Devices of this machine, where no camera was named.
    pub found: Vec<Found>,
    /// Cameras that are open at the same time.
    pub groups: Vec<Vec<Wanted>>,
}

pub fn choose(args: &Args) -> Result<Chosen> {
    let mut cameras = Vec::new();
    if let Some(board) = &args.board {
        let board = read_board(&args.boards, board)?;
        if board.cameras.is_empty() {
            let name = board.name;
            return Err(bad_input(format!(
                "--board {name}: its file has no [cameras.NAME]"
            )));
        }
        cameras.extend(board.cameras.into_iter().map(Wanted::Live));
    }
    for device in &args.device {
        let name = file_name(device);
        let source = Source::Device(device.clone());
        cameras.push(Wanted::Live(configured(args, &name, source, args.format)));
    }
    for (place, command) in args.pipe.iter().enumerate() {
        let name = numbered("pipe", place, args.pipe.len());
        let format = args.format.or(Some(PixelFormat::Mjpg));
        let source = Source::Pipe(command.clone());
        cameras.push(Wanted::Live(configured(args, &name, source, format)));
    }
    if args.sim {
        cameras.push(Wanted::Simulator);
    }
    if let Some(data) = &args.episode {
        cameras.extend(super::episode::cameras(data, args.number)?);
    }
    if !cameras.is_empty() {
        return Ok(Chosen {
            found: Vec::new(),
            groups: vec![cameras],
        });
    }
    if !HAS_DEVICES {
        return Err(bad_input(HOW_TO_GET_DEVICES));
    }
    let found = devices()?;
    if found.is_empty() {
        return Err(bad_input(
            "no camera was found: plug one in, or give a command with --pipe",
        ));
    }
    let groups = found.iter().map(|found| {
        let source = Source::Device(found.device.clone().into());
        let name = file_name(Path::new(&found.device));
        vec![Wanted::Live(configured(args, &name, source, args.format))]
    });
    Ok(Chosen {
        groups: groups.collect(),
        found,
    })
}

/// The end of a path, by which a camera without a name is called.
fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

fn numbered(kind: &str, place: usize, of: usize) -> String {
    if of == 1 {
        kind.to_owned()
    } else {
        format!("{kind}{}", place + 1)
    }
}

fn configured(
    args: &Args,
    name: &str,
    source: Source,
    format: Option<PixelFormat>,
) -> CameraConfig {
    let (width, height) = args.size;
    CameraConfig {
        format,
        ..CameraConfig::new(name, source, width, height, args.fps)
    }
}

/// A board's file, by its name or path.
#[cfg(not(feature = "camera"))]
fn devices() -> Result<Vec<Found>> {
    Ok(Vec::new())
}

#[cfg(feature = "camera")]
fn devices() -> Result<Vec<Found>> {
    let devices = wink_camera::v4l::devices()
        .map_err(|error| bad_input(format!("/dev cannot be read: {error}")))?;
    let found = devices.into_iter().map(|(node, info)| {
        let node = node.display().to_string();
        match info {
            Ok(info) => Found {
                device: info
                    .name
                    .map_or_else(|| node.clone(), |name| name.display().to_string()),
                node,
                card: info.card,
                driver: info.driver,
                formats: info
                    .formats
                    .into_iter()
                    .map(|format| Offered {
                        decoded: format.decoded().is_some(),
                        format: format.fourcc,
                        sizes: format.sizes,
                    })
                    .collect(),
                error: None,
            },
            Err(error) => Found {
                device: node.clone(),
                node,
                card: String::new(),
                driver: String::new(),
                formats: Vec::new(),
                error: Some(error.to_string()),
            },
        }
    });
    Ok(found.collect())
}
