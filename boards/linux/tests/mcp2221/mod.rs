//! A USB-I2C bridge MCP2221 and the PCA9685 behind it, played to the kernel through `/dev/uhid`: its driver `hid-mcp2221` makes a real
//! `/dev/i2c-N` of it. Facts: Microchip, "MCP2221 USB 2.0 to I2C/UART protocol converter", section 3.1; `linux/uhid.h`; NXP's data
//! sheet of the PCA9685, section 7.3.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// The chip's address.
pub const ADDRESS: u8 = 0x40;

const UHID_OUTPUT: u32 = 6;
const UHID_CREATE2: u32 = 11;
const UHID_INPUT2: u32 = 12;
/// Bytes of a report either way.
const REPORT: usize = 64;
/// At least those of the kernel's largest event.
const EVENT: usize = 8192;
const BUS_USB: u16 = 3;
const VENDOR: u32 = 0x04d8;
const PRODUCT: u32 = 0x00dd;

/// A vendor's page with 64 bytes in and 64 out.
const DESCRIPTOR: [u8; 34] = [
    0x06, 0x00, 0xff, 0x09, 0x01, 0xa1, 0x01, 0x09, 0x02, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08,
    0x95, 0x40, 0x81, 0x02, 0x09, 0x03, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95, 0x40, 0x91,
    0x02, 0xc0,
];

/// The chip's registers, as written over the bus.
pub struct Chip {
    pub registers: [u8; 256],
    pointer: u8,
}

impl Chip {
    fn new() -> Self {
        let mut registers = [0; 256];
        // After power-on: asleep, 200 Hz, every output off.
        registers[0x00] = 0x11;
        registers[0x01] = 0x04;
        registers[0xfe] = 0x1e;
        Self {
            registers,
            pointer: 0,
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let Some((&register, values)) = bytes.split_first() else {
            return;
        };
        self.pointer = register;
        for &value in values {
            let asleep = self.registers[0] & 0x10 != 0;
            match self.pointer {
                0xfe if !asleep => {}
                // ALL_LED_OFF_H.
                0xfd => (0..16).for_each(|channel| self.registers[9 + 4 * channel] = value),
                register => self.registers[usize::from(register)] = value,
            }
            self.advance();
        }
    }

    fn read(&mut self) -> u8 {
        let value = self.registers[usize::from(self.pointer)];
        self.advance();
        value
    }

    fn advance(&mut self) {
        // Auto-increment.
        if self.registers[0] & 0x20 != 0 {
            self.pointer = self.pointer.wrapping_add(1);
        }
    }

    /// Where a channel's pulse ends, of 4096 steps; `None` where there is no pulse.
    pub fn pulse(&self, channel: usize) -> Option<u16> {
        let [low, high] = [8, 9].map(|at| self.registers[at + 4 * channel]);
        let running = self.registers[0] & 0x10 == 0 && high & 0x10 == 0;
        running.then(|| u16::from_le_bytes([low, high]))
    }
}

/// A bridge that is plugged in while this lives.
pub struct Bridge {
    pub chip: Arc<Mutex<Chip>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Bridge {
    pub fn plug_in() -> io::Result<Self> {
        let mut uhid = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/uhid")?;
        uhid.write_all(&create())?;
        let chip = Arc::new(Mutex::new(Chip::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (chip, stop) = (Arc::clone(&chip), Arc::clone(&stop));
            move || serve(uhid, &chip, &stop)
        });
        Ok(Self {
            chip,
            stop,
            thread: Some(thread),
        })
    }

    /// Its `/dev/i2c-N`, once the driver has made it.
    pub fn bus() -> Option<PathBuf> {
        let buses = fs::read_dir("/sys/bus/i2c/devices").ok()?;
        buses.flatten().find_map(|bus| {
            let name = fs::read_to_string(bus.path().join("name")).ok()?;
            let device = PathBuf::from("/dev").join(bus.file_name());
            (name.contains("MCP2221") && device.exists()).then_some(device)
        })
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // The thread waits for the kernel; it ends with the program where the kernel asks no more.
        if let Some(thread) = self.thread.take()
            && thread.is_finished()
        {
            thread.join().unwrap();
        }
    }
}

fn create() -> Vec<u8> {
    let mut event = UHID_CREATE2.to_ne_bytes().to_vec();
    let mut name = b"simulated MCP2221".to_vec();
    // Name of 128 bytes, place and serial number of 64 each.
    name.resize(256, 0);
    event.extend(name);
    event.extend((DESCRIPTOR.len() as u16).to_ne_bytes());
    event.extend(BUS_USB.to_ne_bytes());
    for number in [VENDOR, PRODUCT, 0x0100, 0] {
        event.extend(number.to_ne_bytes());
    }
    event.extend(DESCRIPTOR);
    event
}

fn serve(mut uhid: File, chip: &Mutex<Chip>, stop: &AtomicBool) {
    let mut event = vec![0; EVENT];
    let mut fetched = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let Ok(count) = uhid.read(&mut event) else {
            return;
        };
        let kind = event.first_chunk().map(|kind| u32::from_ne_bytes(*kind));
        if kind != Some(UHID_OUTPUT) || count < 4 + REPORT {
            continue;
        }
        let answer = answer(
            &event[4..4 + REPORT],
            &mut chip.lock().unwrap(),
            &mut fetched,
        );
        let mut input = UHID_INPUT2.to_ne_bytes().to_vec();
        input.extend((REPORT as u16).to_ne_bytes());
        input.extend(answer);
        if uhid.write_all(&input).is_err() {
            return;
        }
    }
}

/// What the bridge answers to a command.
fn answer(command: &[u8], chip: &mut Chip, fetched: &mut Vec<u8>) -> [u8; REPORT] {
    let mut answer = [0; REPORT];
    answer[0] = command[0];
    let length = usize::from(u16::from_le_bytes([command[1], command[2]]));
    let absent = command[3] >> 1 != ADDRESS;
    match command[0] {
        // Status, or set-up: that the speed was set.
        0x10 => answer[3] = command[3],
        0x90..=0x94 if absent => [answer[1], answer[2]] = [1, 0x25],
        0x90 | 0x92 | 0x94 => chip.write(&command[4..4 + length.min(REPORT - 4)]),
        0x91 | 0x93 => *fetched = (0..length).map(|_| chip.read()).collect(),
        0x40 => {
            let count = fetched.len().min(REPORT - 4);
            answer[2] = 0x55;
            answer[3] = count as u8;
            for (to, from) in answer[4..].iter_mut().zip(fetched.drain(..count)) {
                *to = from;
            }
        }
        _ => answer[1] = 1,
    }
    answer
}
