//! The adapter's port: the device that goes when the adapter is unplugged, and comes when it is plugged in.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};
use wink_board_linux::check_free;

use super::{Dialogue, Place};
use crate::arm::usb_ports;
use crate::bad_input::{as_bad_input, bad_input};

/// Where Linux keeps names of serial ports that stay the same whatever else is plugged in.
pub const BY_ID: &str = "/dev/serial/by-id";
/// Longest wait for the device of an adapter that was plugged in.
const PATIENCE: Duration = Duration::from_secs(5);

pub fn run(place: &mut Place, dialogue: &mut Dialogue) -> Result<Value> {
    let port = match &place.port {
        Some(port) => port.clone(),
        None => find(place, dialogue)?,
    };
    if !Path::new(&port).exists() {
        return Err(bad_input(format!(
            "--port {port}: there is no such device: is the adapter plugged in?"
        )));
    }
    check_free(&port).map_err(as_bad_input)?;
    let mut found = place.found()?;
    found.port = Some(port.clone());
    let kept = place.keep(&found)?;
    dialogue.tell(&format!(
        "The adapter is {port}; kept in {}.",
        kept.display()
    ))?;
    place.port = Some(port.clone());
    Ok(json!({ "port": port, "kept_in": kept }))
}

fn find(place: &Place, dialogue: &mut Dialogue) -> Result<String> {
    loop {
        dialogue.ask("Unplug the adapter from this computer's USB. Then press Enter.")?;
        let without = listed(&place.devices)?;
        dialogue.ask("Plug it in again. Then press Enter.")?;
        let end = Instant::now() + PATIENCE;
        let new = loop {
            let new: Vec<String> = listed(&place.devices)?
                .difference(&without)
                .cloned()
                .collect();
            if !new.is_empty() || Instant::now() >= end {
                break new;
            }
            thread::sleep(Duration::from_millis(50));
        };
        match new.as_slice() {
            [one] => return Ok(one.clone()),
            [] => dialogue.tell(
                "No port came: does the USB cable carry data, and is the adapter's driver there (`dmesg`)? Once more.",
            )?,
            several => dialogue.tell(&format!(
                "Several ports came: {}. Plug in the adapter alone. Once more.",
                several.join(", ")
            ))?,
        }
    }
}

/// The only port that is there.
pub fn only(devices: &Path) -> Result<String> {
    let ports: Vec<String> = listed(devices)?.into_iter().collect();
    match ports.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(bad_input(
            "no serial port was found: plug the adapter in, or give --port",
        )),
        several => Err(bad_input(format!(
            "several serial ports are there: `wink setup port` finds the adapter's, or give --port: {}",
            several.join(", ")
        ))),
    }
}

/// The ports that are there, by their lasting names where they have any.
fn listed(devices: &Path) -> Result<BTreeSet<String>> {
    let named: BTreeSet<String> = fs::read_dir(devices)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().exists())
        .map(|entry| entry.path().display().to_string())
        .collect();
    if devices != Path::new(BY_ID) {
        return Ok(named);
    }
    let known: BTreeSet<_> = named
        .iter()
        .filter_map(|name| Path::new(name).canonicalize().ok())
        .collect();
    let unnamed = usb_ports()?
        .into_iter()
        .filter(|port| !known.contains(Path::new(port)));
    Ok(named.iter().cloned().chain(unnamed).collect())
}
