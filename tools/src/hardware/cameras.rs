//! Which of a board's cameras a policy looks through.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use wink_board_linux::BoardFile;
use wink_camera::{CameraConfig, LiveCamera, open_all};
use wink_runtime::camera::Camera;
use wink_runtime::clock::{Clock, MonotonicClock};
use wink_runtime::policy::manifest::Manifest;
use wink_runtime::rig::NamedCamera;

use super::OpenCameras;
use crate::bad_input::{as_bad_input, bad_input};

/// Within this time a camera gives two pictures that differ.
const ALIVE_WITHIN_US: u64 = 2_000_000;

/// What data sets put before the name of a camera.
pub const PREFIX: &str = "observation.images.";

/// The name that a board's file has for a policy's camera: without the prefix of data sets.
fn plain(name: &str) -> &str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

/// The cameras that a policy names, in its order, each with the policy's name for it.
///
/// # Errors
/// When the board lacks one: with the cameras of both.
pub fn wanted(policy: &Manifest, board: &BoardFile) -> Result<Vec<(String, CameraConfig)>> {
    let cameras = policy.observations.cameras.iter();
    cameras
        .map(|camera| {
            let config = board
                .cameras
                .iter()
                .find(|config| config.name == plain(&camera.name))
                .cloned();
            match config {
                Some(config) => Ok((camera.name.clone(), config)),
                None => Err(bad_input(format!(
                    "the policy looks through the cameras {}, the board {} has {}: give its file a [cameras.{}]",
                    list(policy.observations.cameras.iter().map(|camera| plain(&camera.name))),
                    board.name,
                    list(board.cameras.iter().map(|config| &*config.name)),
                    plain(&camera.name)
                ))),
            }
        })
        .collect()
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    match &names[..] {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}

/// Waits until a camera has given two pictures that differ.
///
/// # Errors
/// When it gives the same one again and again.
fn is_alive(camera: &LiveCamera, clock: &MonotonicClock) -> Result<()> {
    let start_us = clock.now_us();
    loop {
        let (counts, fresh) = (camera.counts(), camera.freshness());
        if counts.frames > 1 && fresh.repeated + 1 < counts.frames {
            return Ok(());
        }
        let waited_us = clock.now_us() - start_us;
        if waited_us > ALIVE_WITHIN_US {
            return Err(bad_input(format!(
                "camera {} gave {} pictures in {} s, all the same: it is frozen; unplug it and plug it in again",
                camera.name(),
                counts.frames,
                waited_us / 1_000_000
            )));
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Opens them on the time of the loop.
pub fn open(wanted: &[(String, CameraConfig)], clock: &MonotonicClock) -> Result<OpenCameras> {
    let configs: Vec<CameraConfig> = wanted.iter().map(|(_, config)| config.clone()).collect();
    let cameras = open_all(&configs, clock).map_err(as_bad_input)?;
    cameras
        .iter()
        .try_for_each(|camera| is_alive(camera, clock))?;
    let pinned = cameras
        .iter()
        .map(|camera| camera.pinned().to_vec())
        .collect();
    let named = wanted.iter().zip(cameras);
    let named = named.map(|((name, _), camera)| NamedCamera {
        name: name.clone().into(),
        camera: Box::new(camera),
    });
    Ok((named.collect(), pinned))
}
