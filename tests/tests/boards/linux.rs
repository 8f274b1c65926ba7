//! The Linux board's firmware thread, in real time, on simulated servos.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use wink_board_linux::FirmwareThread;
use wink_firmware::Core;
use wink_firmware::servo::{ServoBus, ServoState};
use wink_runtime::arm::{Link, LinkError};
use wink_runtime::camera::{Camera, CameraError, Frame};
use wink_runtime::clock::Clock;
use wink_sim::servos::Servos;
use wink_sim::setup::Setup;

const RATE_HZ: u32 = 100;

/// The board without a camera.
pub struct LinuxRig(FirmwareThread);

impl LinuxRig {
    /// With the arm at home, disarmed.
    pub fn start(setup: &'static Setup) -> Self {
        let arm = setup.arm();
        let servos = RealTime {
            servos: Servos::new(setup, &arm),
            substep: Duration::from_micros(setup.substep_us),
            due: Instant::now(),
        };
        let core = Core::new(arm.firmware_config()).expect("the arm's limits");
        Self(FirmwareThread::spawn(core, servos, RATE_HZ).expect("a thread"))
    }
}

impl Link for LinuxRig {
    fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.0.write(bytes)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LinkError> {
        self.0.read(buffer)
    }
}

impl Clock for LinuxRig {
    fn now_us(&self) -> u64 {
        self.0.now_us()
    }

    fn sleep_until(&mut self, time_us: u64) {
        self.0.sleep_until(time_us);
    }
}

impl Camera for LinuxRig {
    fn capture(&mut self, _: &mut Frame) -> Result<(), CameraError> {
        Err(CameraError::Device {
            message: "there is none".to_owned(),
        })
    }
}

/// Servos that move as time passes.
struct RealTime {
    servos: Servos,
    substep: Duration,
    /// The next substep.
    due: Instant,
}

impl ServoBus for RealTime {
    type Error = Infallible;

    fn read(&mut self, states: &mut [ServoState]) -> Result<(), Infallible> {
        while self.due <= Instant::now() {
            let steps = self.servos.drive();
            self.servos.advance(&steps);
            self.due += self.substep;
        }
        self.servos.read(states).expect("the arm's joints");
        Ok(())
    }

    fn write(&mut self, goals: &[f32]) -> Result<(), Infallible> {
        self.servos.write(goals).expect("the arm's joints");
        Ok(())
    }

    fn set_torque(&mut self, on: bool) -> Result<(), Infallible> {
        self.servos.set_torque(on).expect("the arm's joints");
        Ok(())
    }
}
