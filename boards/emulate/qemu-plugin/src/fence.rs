//! When the guest has to wait.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Rest of the guest at each look at its clock while bytes are on their way to it.
const REST: Duration = Duration::from_micros(20);

/// Bytes through the guest's UARTs since the start, wrapping.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Bytes {
    servo: u32,
    host: u32,
}

/// The guest's UARTs and clock, and the harness that it must not run away from.
pub struct Fence {
    harness: TcpStream,
    servo: u64,
    host: u64,
    clock: u64,
    sent: Bytes,
    taken: Bytes,
    /// What the guest was given, or will have been once it is let go.
    fed: Bytes,
    /// Bytes for servos that the harness has dealt with.
    dealt_with: u32,
}

impl Fence {
    /// Finds the harness and the registers to watch in the plugin's arguments.
    pub fn connect(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut harness, mut servo, mut host, mut clock) = (None, None, None, None);
        for argument in arguments {
            let (key, value) = argument.split_once('=').unwrap_or((&argument, ""));
            let address = || {
                u64::from_str_radix(value.trim_start_matches("0x"), 16)
                    .map_err(|error| format!("{argument}: {error}"))
            };
            match key {
                "harness" => harness = Some(value.to_owned()),
                "servo" => servo = Some(address()?),
                "host" => host = Some(address()?),
                "clock" => clock = Some(address()?),
                _ => return Err(format!("{argument}: no such argument")),
            }
        }
        let at = harness.ok_or("harness= is missing")?;
        let told = |error: std::io::Error| format!("harness at {at}: {error}");
        let harness = TcpStream::connect(&at).map_err(told)?;
        harness.set_nodelay(true).map_err(told)?;
        Ok(Self {
            harness,
            servo: servo.ok_or("servo= is missing")?,
            host: host.ok_or("host= is missing")?,
            clock: clock.ok_or("clock= is missing")?,
            sent: Bytes::default(),
            taken: Bytes::default(),
            fed: Bytes::default(),
            dealt_with: 0,
        })
    }

    /// The guest has loaded from a device, or stored to one.
    pub fn accessed(&mut self, address: u64, store: bool) {
        let bytes = if store {
            &mut self.sent
        } else {
            &mut self.taken
        };
        if address == self.servo {
            bytes.servo = bytes.servo.wrapping_add(1);
        } else if address == self.host {
            bytes.host = bytes.host.wrapping_add(1);
        } else if address == self.clock && !store {
            self.wait();
        }
    }

    fn wait(&mut self) {
        if self.sent.servo != self.dealt_with && self.report().is_err() {
            // The harness is gone, and nobody else would ever stop this guest.
            std::process::exit(1);
        }
        let ahead = |fed: u32, taken: u32| fed.wrapping_sub(taken) as i32 > 0;
        if ahead(self.fed.servo, self.taken.servo) || ahead(self.fed.host, self.taken.host) {
            std::thread::sleep(REST);
        }
    }

    /// Tells the harness what the guest did, and waits until it has dealt with that.
    fn report(&mut self) -> std::io::Result<()> {
        let words = [
            self.sent.servo,
            self.sent.host,
            self.taken.servo,
            self.taken.host,
        ];
        let message: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.harness.write_all(&message)?;
        let mut answer = [[0; 4]; 2];
        for word in &mut answer {
            self.harness.read_exact(word)?;
        }
        let [servo, host] = answer.map(u32::from_le_bytes);
        self.fed = Bytes { servo, host };
        self.dealt_with = self.sent.servo;
        Ok(())
    }
}
