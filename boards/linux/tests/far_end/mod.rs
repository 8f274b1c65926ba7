//! The far end of a board's servo bus: simulated servos behind a pseudo-terminal, in real time.

#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "a failing helper fails its test, and each test binary uses a part of it"
)]

use std::io::{ErrorKind, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serialport::{SerialPort, TTYPort};
use wink_runtime::arm::ArmDescription;
use wink_sim::bus::{ServoBus, ServoFaults};
use wink_sim::servos::Servos;
use wink_sim::setup::WX250S;

const SUBSTEP: Duration = Duration::from_millis(10);

/// Simulated servos behind a pseudo-terminal, with joints that move in real time.
pub struct FarEnd {
    joints: Arc<Mutex<Servos>>,
    pub faults: Sender<(u8, ServoFaults)>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FarEnd {
    pub fn start(mut port: TTYPort, mut bus: ServoBus) -> Self {
        let joints = Arc::new(Mutex::new(Servos::new(&WX250S, &wink_sim::arm())));
        bus.exchange(&mut joints.lock().unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let (faults, told): (_, Receiver<(u8, ServoFaults)>) = channel();
        port.set_timeout(Duration::from_millis(1)).unwrap();
        let thread = std::thread::spawn({
            let (joints, stop) = (Arc::clone(&joints), Arc::clone(&stop));
            move || {
                let start = Instant::now();
                let mut due = Duration::ZERO;
                let (mut heard, mut said) = ([0; 256], vec![]);
                while !stop.load(Ordering::Relaxed) {
                    for (id, faults) in told.try_iter() {
                        *bus.faults_mut(id).unwrap() = faults;
                    }
                    let now_us = || start.elapsed().as_micros() as u64;
                    match port.read(&mut heard) {
                        Ok(count) => bus.receive(now_us(), &heard[..count]),
                        Err(error) if error.kind() == ErrorKind::TimedOut => {}
                        // No board has the device open.
                        Err(_) => std::thread::sleep(Duration::from_millis(1)),
                    }
                    bus.send(now_us(), &mut said);
                    let _ = port.write_all(&said);
                    said.clear();
                    while start.elapsed() >= due {
                        let mut joints = joints.lock().unwrap();
                        bus.exchange(&mut joints);
                        let steps = joints.drive();
                        joints.advance(&steps);
                        due += SUBSTEP;
                    }
                }
            }
        });
        Self {
            joints,
            faults,
            stop,
            thread: Some(thread),
        }
    }

    /// Where a joint is.
    pub fn position(&self, joint: usize) -> f64 {
        self.joints.lock().unwrap().position(joint)
    }
}

impl Drop for FarEnd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// The WidowX 250S with its own servos (`dynamixel`), or with one Feetech servo a joint.
pub fn wx250s(model: &str) -> ArmDescription {
    let text = include_str!("../../../arms/wx250s.toml");
    if model == "dynamixel" {
        return ArmDescription::from_toml(text).unwrap();
    }
    // The same arm on seven Feetech servos, one a joint.
    let text = text
        .replace("\"dynamixel_xm430_w350\"", "\"feetech_sts3215\"")
        .replace("\"dynamixel_xl430_w250\"", "\"feetech_sts3215\"")
        .replace("[2, 3]", "[2]")
        .replace("[4, 5]", "[4]");
    ArmDescription::from_toml(&text).unwrap()
}
