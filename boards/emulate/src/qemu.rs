//! A board in QEMU.
//!
//! Time is QEMU's `-icount`: the guest's instructions are its clock, so that it does not depend on the computer's speed, and
//! waiting for an interrupt (`sleep=off`) takes no real time at all. The plugin in `qemu-plugin/` holds the guest still while
//! the servos' answer is made up, which real time would not do: on two busy cores an answer can take 50 ms, a hundred times
//! what a servo takes.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::machine::{Feed, Heard, Machine};
use crate::qmp::Qmp;
use crate::{EmulatorError, Image};

/// Longest real time between two things that the board says.
const SILENCE: Duration = Duration::from_secs(60);
/// Longest that QEMU takes to start.
const START: Duration = Duration::from_secs(60);
const NAME: &str = "qemu-system-arm";

/// What QEMU must be told of a board.
#[derive(Debug, Clone, Copy)]
pub struct Model {
    /// Its name for the machine.
    pub machine: &'static str,
    /// Which of its serial ports is the host's, 0 or 1; the servos have the other.
    pub host_port: usize,
    /// Data register of the host's UART.
    pub host_data: u32,
    /// Data register of the servos' UART.
    pub servo_data: u32,
    /// Instructions take two to the power of this nanoseconds.
    pub icount_shift: u32,
    /// Instructions in a microsecond of the image's time.
    pub instructions_per_us: u32,
}

/// The STM32F411 boards: QEMU's STM32F405 has the same peripherals where the image uses them. Its processor's clock is twice
/// what the image makes it, so that an instruction of 1 ns takes 2 ns of the image's time.
pub const NUCLEO_F411: Model = Model {
    machine: "netduinoplus2",
    host_port: 1,
    host_data: 0x4000_4404,
    servo_data: 0x4001_1004,
    icount_shift: 0,
    instructions_per_us: 500,
};

/// Arm's MPS2 board with the Cortex-M4 of application note 386.
pub const MPS2_AN386: Model = Model {
    machine: "mps2-an386",
    host_port: 0,
    host_data: 0x4000_4000,
    servo_data: 0x4000_5000,
    icount_shift: 1,
    instructions_per_us: 500,
};

/// SysTick's current value, from which all images read the time.
const CLOCK: u32 = 0xe000_e018;

/// A running QEMU.
pub struct Qemu {
    process: Child,
    qmp: Qmp,
    fence: TcpStream,
    host: TcpStream,
    servo: TcpStream,
    folder: TempDir,
    started: bool,
    /// The board was reset: what it was fed before will never be taken.
    resync: bool,
    /// Bytes sent by the board that were read, wrapping as the plugin's counts do.
    read: [u32; 2],
    /// Bytes that the board was fed.
    fed: [u32; 2],
}

impl Qemu {
    /// Starts QEMU with an image, its processor stopped.
    ///
    /// # Errors
    /// When QEMU is not installed, or does not start.
    pub fn start(image: &Image, plugin: &Path, model: &Model) -> Result<Self, EmulatorError> {
        if !plugin.is_file() {
            return Err(EmulatorError::NotBuilt {
                command: "boards/build.sh qemu-plugin".to_owned(),
                path: plugin.to_owned(),
            });
        }
        let folder = tempfile::tempdir()?;
        let listeners = [(); 4].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let [fence, qmp, first, second] = listeners;
        let [fence, qmp, first, second] = [fence?, qmp?, first?, second?];
        let at = |listener: &TcpListener| listener.local_addr().map(|address| address.to_string());
        let port = |name: &str, listener: &TcpListener| -> io::Result<String> {
            let number = listener.local_addr()?.port();
            // Behind `mux` several bytes can wait for the board; one would wake QEMU up for every single one.
            Ok(format!(
                "socket,id={name},host=127.0.0.1,port={number},nodelay=on,mux=on"
            ))
        };
        let plugin = format!(
            "{},harness={},servo={:x},host={:x},clock={CLOCK:x}",
            plugin.display(),
            at(&fence)?,
            model.servo_data,
            model.host_data
        );
        let mut process = Command::new(NAME)
            .args([
                "-machine",
                model.machine,
                "-display",
                "none",
                "-monitor",
                "none",
                "-S",
            ])
            // No byte is an escape character.
            .args(["-echr", "256"])
            .args([
                "-icount",
                &format!("shift={},sleep=off", model.icount_shift),
            ])
            .args([
                "-chardev",
                &port("uart0", &first)?,
                "-serial",
                "chardev:uart0",
            ])
            .args([
                "-chardev",
                &port("uart1", &second)?,
                "-serial",
                "chardev:uart1",
            ])
            .args(["-qmp", &format!("tcp:{}", at(&qmp)?)])
            .args(["-plugin", &plugin])
            .arg("-kernel")
            .arg(image.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.path().join("stderr"))?)
            .spawn()
            .map_err(|source| EmulatorError::NotInstalled {
                program: NAME,
                hint: "on Debian: apt-get install qemu-system-arm",
                source,
            })?;
        let connected = (|| {
            let mut accept = |listener: &TcpListener| accept(listener, &mut process, folder.path());
            Ok([
                accept(&fence)?,
                accept(&first)?,
                accept(&second)?,
                accept(&qmp)?,
            ])
        })();
        let [fence, first, second, qmp] = match connected {
            Ok(streams) => streams,
            Err(error) => {
                stop(&mut process);
                return Err(error);
            }
        };
        for stream in [&fence, &first, &second] {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(SILENCE))?;
        }
        let (host, servo) = if model.host_port == 0 {
            (first, second)
        } else {
            (second, first)
        };
        Ok(Self {
            qmp: Qmp::greet(qmp).inspect_err(|_| stop(&mut process))?,
            process,
            fence,
            host,
            servo,
            folder,
            started: false,
            resync: false,
            read: [0; 2],
            fed: [0; 2],
        })
    }

    /// Writes bytes to a UART and counts them.
    fn feed(&mut self, feed: Feed<'_>) -> io::Result<()> {
        let servo: Vec<u8> = feed.servo.iter().map(|(_, byte)| *byte).collect();
        self.servo.write_all(&servo)?;
        self.host.write_all(feed.host)?;
        for (count, bytes) in self.fed.iter_mut().zip([servo.as_slice(), feed.host]) {
            *count = count.wrapping_add(bytes.len() as u32);
        }
        Ok(())
    }

    /// Lets the guest go and waits until it waits again.
    fn go(&mut self) -> io::Result<[u32; 4]> {
        if self.started {
            let words: Vec<u8> = self
                .fed
                .iter()
                .flat_map(|word| word.to_le_bytes())
                .collect();
            self.fence.write_all(&words)?;
        }
        self.started = true;
        let mut report = [[0; 4]; 4];
        for word in &mut report {
            self.fence.read_exact(word)?;
        }
        Ok(report.map(u32::from_le_bytes))
    }

    fn hear(stream: &mut TcpStream, sent: u32, read: &mut u32) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; sent.wrapping_sub(*read) as usize];
        stream.read_exact(&mut bytes)?;
        *read = sent;
        Ok(bytes)
    }

    fn exchange_bytes(&mut self, feed: Feed<'_>) -> io::Result<Heard> {
        self.feed(feed)?;
        let [servo_sent, host_sent, servo_taken, host_taken] = self.go()?;
        if std::mem::take(&mut self.resync) {
            self.fed = [servo_taken, host_taken];
        }
        let [servo_read, host_read] = &mut self.read;
        Ok(Heard {
            servo: Self::hear(&mut self.servo, servo_sent, servo_read)?,
            host: Self::hear(&mut self.host, host_sent, host_read)?,
            passed_us: None,
        })
    }

    /// What a failed exchange means.
    fn explain(&mut self, error: io::Error) -> EmulatorError {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => EmulatorError::Silent {
                seconds: SILENCE.as_secs(),
            },
            _ => ended(self.folder.path()),
        }
    }
}

impl Machine for Qemu {
    fn exchange(&mut self, feed: Feed<'_>, _limit_us: u64) -> Result<Heard, EmulatorError> {
        if !self.started {
            self.qmp.run("cont", &json!({}))?;
        }
        self.exchange_bytes(feed)
            .map_err(|error| self.explain(error))
    }

    fn power_cycle(&mut self) -> Result<(), EmulatorError> {
        // QEMU carries it out once the guest is let go, with the next exchange.
        self.qmp.start("system_reset", &json!({}))?;
        self.resync = true;
        Ok(())
    }

    fn peek(&mut self, address: u32, length: usize) -> Result<Vec<u8>, EmulatorError> {
        let path = self.folder.path().join("memory");
        let arguments = json!({ "val": address, "size": length, "filename": path });
        self.qmp.run("pmemsave", &arguments)?;
        Ok(fs::read(&path)?)
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        stop(&mut self.process);
    }
}

fn stop(process: &mut Child) {
    // It may have ended already.
    let _ = process.kill();
    let _ = process.wait();
}

fn accept(
    listener: &TcpListener,
    process: &mut Child,
    folder: &Path,
) -> Result<TcpStream, EmulatorError> {
    const LOOK: Duration = Duration::from_millis(5);

    listener.set_nonblocking(true)?;
    let start = Instant::now();
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error.into()),
            Err(_) if process.try_wait()?.is_some() => return Err(ended(folder)),
            Err(_) if start.elapsed() > START => {
                return Err(EmulatorError::Protocol {
                    program: NAME,
                    what: format!("it has not connected within {} s", START.as_secs()),
                });
            }
            Err(_) => std::thread::sleep(LOOK),
        }
    }
}

fn ended(folder: &Path) -> EmulatorError {
    let said = fs::read_to_string(folder.join("stderr")).unwrap_or_default();
    let said: Vec<&str> = said.lines().rev().take(3).collect();
    EmulatorError::Ended {
        program: NAME,
        said: match said.as_slice() {
            [] => "it said nothing".to_owned(),
            lines => lines.iter().rev().copied().collect::<Vec<_>>().join("; "),
        },
    }
}
