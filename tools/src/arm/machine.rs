//! What an arm is connected to: a board on a serial port, this computer's own adapter, or the simulator kept to the wall clock.

use std::io::{self, ErrorKind, Read, Write};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use serialport::{SerialPort, SerialPortType};
use wink_board_linux::{LinuxBoard, check_free, refused};
use wink_runtime::arm::{Link, LinkError};
use wink_runtime::clock::{Clock, MonotonicClock};
use wink_sim::board::{SimBoard, SimOptions};
use wink_sim::scene::{Scene, Split};

use crate::bad_input::bad_input;

/// A link with a clock.
pub trait Machine: Link + Clock {
    /// What keeps the servos from being read right now, where that is known on this side of the link.
    fn trouble(&self) -> Option<String> {
        None
    }
}

/// Servos on an adapter of this computer, which drives them itself.
pub struct Adapter(LinuxBoard);

impl Adapter {
    /// The arm that this board drives.
    pub const fn new(board: LinuxBoard) -> Self {
        Self(board)
    }
}

impl Machine for Adapter {
    fn trouble(&self) -> Option<String> {
        self.0.trouble()
    }
}

impl Link for Adapter {
    fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.0.write(bytes)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LinkError> {
        self.0.read(buffer)
    }
}

impl Clock for Adapter {
    fn now_us(&self) -> u64 {
        self.0.now_us()
    }

    fn sleep_until(&mut self, time_us: u64) {
        self.0.sleep_until(time_us);
    }
}

/// A flashed board on a serial port.
pub struct SerialBoard {
    port: Box<dyn SerialPort>,
    clock: MonotonicClock,
}

impl SerialBoard {
    /// Opens the port.
    pub fn open(path: &str, baud: u32) -> Result<Self> {
        check_free(path).map_err(|error| bad_input(format!("--port {error}")))?;
        let port = serialport::new(path, baud)
            .timeout(Duration::from_millis(1))
            .open()
            .map_err(|error| bad_input(format!("--port {}", refused(path, "board", &error))))?;
        Ok(Self {
            port,
            clock: MonotonicClock::new(),
        })
    }

    /// The time of its setpoints.
    pub const fn clock(&self) -> &MonotonicClock {
        &self.clock
    }
}

impl Machine for SerialBoard {}

impl Link for SerialBoard {
    fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        Ok(self.port.write_all(bytes)?)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LinkError> {
        if self.port.bytes_to_read().map_err(io::Error::from)? == 0 {
            return Ok(0);
        }
        match self.port.read(buffer) {
            Ok(count) => Ok(count),
            Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) => {
                Ok(0)
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Clock for SerialBoard {
    fn now_us(&self) -> u64 {
        self.clock.now_us()
    }

    fn sleep_until(&mut self, time_us: u64) {
        self.clock.sleep_until(time_us);
    }
}

/// The USB serial ports that are there.
pub fn usb_ports() -> Result<Vec<String>> {
    let ports = serialport::available_ports()
        .map_err(|error| bad_input(format!("the serial ports cannot be listed: {error}")))?;
    Ok(ports
        .into_iter()
        .filter(|port| matches!(port.port_type, SerialPortType::UsbPort(_)))
        .map(|port| port.port_name)
        .collect())
}

/// The only USB serial port that is there.
pub fn only_port() -> Result<String> {
    let names = usb_ports()?;
    match names.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(bad_input(
            "no serial port of a board was found: plug it in, or give --port",
        )),
        several => Err(bad_input(format!(
            "several serial ports are there, choose one with --port: {}",
            several.join(", ")
        ))),
    }
}

/// The simulated arm, whose time passes no faster than a clock's.
struct Simulated {
    board: SimBoard,
    start: Instant,
}

pub fn simulated() -> Result<Box<dyn Machine>> {
    let board = SimBoard::new(&Scene::new(Split::Val, 0), SimOptions::default())?;
    Ok(Box::new(Simulated {
        board,
        start: Instant::now(),
    }))
}

impl Machine for Simulated {}

impl Link for Simulated {
    fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.board.write(bytes)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LinkError> {
        self.board.read(buffer)
    }
}

impl Clock for Simulated {
    fn now_us(&self) -> u64 {
        self.board.now_us()
    }

    fn sleep_until(&mut self, time_us: u64) {
        self.board.sleep_until(time_us);
        let ahead = Duration::from_micros(time_us).saturating_sub(self.start.elapsed());
        sleep(ahead);
    }
}
