//! `--board`: what the episodes run on, and what went over its link.

use std::fmt;

use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use wink_emulate::{EmulatedBoard, Emulator, EmulatorError, Images};
use wink_runtime::arm::{ArmClient, RoundTrip};
use wink_runtime::rig::Shared;
use wink_sim::{Scene, SimBoard, SimOptions};

use crate::bad_input::as_bad_input;
use crate::rollout::{World, shared};

/// `--board`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BoardChoice {
    /// The firmware core in this program, ideal servos
    #[default]
    Sim,
    /// The Nucleo-F411's image in QEMU, simulated bus servos
    Qemu,
    /// The MPS2's image in QEMU, simulated bus servos
    QemuMps2,
    /// The Pico's image in rp2040js, simulated bus servos
    Rp2040js,
}

impl BoardChoice {
    /// Whether it is the firmware core itself, without an image.
    pub fn is_sim(&self) -> bool {
        *self == Self::Sim
    }

    /// A board of this kind that drives the arm of the scene's table.
    pub fn lay(self, scene: &Scene, options: SimOptions) -> Result<Shared<dyn World>> {
        let emulator = match self {
            Self::Sim => return Ok(shared(SimBoard::new(scene, options)?)),
            Self::Qemu => Emulator::NucleoF411,
            Self::QemuMps2 => Emulator::Mps2An386,
            Self::Rp2040js => Emulator::Pico,
        };
        match EmulatedBoard::new(emulator, &Images::find(), scene, options) {
            Ok(board) => Ok(shared(board)),
            Err(error @ (EmulatorError::NotBuilt { .. } | EmulatorError::NotInstalled { .. })) => {
                Err(as_bad_input(error))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// What went over the link, of one episode or of several together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkStats {
    /// Setpoints that the host sent.
    pub setpoints: u64,
    /// Setpoints that the board followed, as far as it had told.
    pub accepted: u64,
    /// Setpoints that it refused, for whatever reason.
    pub rejected: u64,
    /// Lines that the board could not read.
    pub bad_lines_board: u64,
    /// Messages that never reached the board.
    pub lost_to_board: u64,
    /// Telemetry lines that the host read.
    pub telemetry: u64,
    /// Lines that the host could not read.
    pub bad_lines_host: u64,
    /// Messages that never reached the host.
    pub lost_to_host: u64,
    /// Setpoints that came to the board again, or after a later one.
    pub repeated_to_board: u64,
    /// Messages that came to the host again, or after a later one.
    pub repeated_to_host: u64,
    /// Pings and their answers.
    pub round_trip_us: RoundTrips,
    /// Board time minus host time of the last episode.
    pub clock_offset_us: i64,
    /// The widest that such an offset may be off.
    pub clock_error_us: u64,
    /// Times that the board stopped for want of setpoints.
    pub starved: u64,
    /// Servo reads that failed.
    pub servo_reads_failed: u64,
    /// Servo writes that failed.
    pub servo_writes_failed: u64,
    /// Steps of the board's control loop.
    pub ticks: u64,
    /// Longest time from one to the next, microseconds of the board.
    pub longest_tick_us: u64,
}

/// Pings and their answers: how long they took, the board's own time not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundTrips {
    /// Answers.
    pub count: u64,
    /// The fastest.
    pub least: u64,
    /// The mean.
    pub mean: u64,
    /// The slowest.
    pub most: u64,
}

impl RoundTrips {
    fn of(trips: &RoundTrip) -> Self {
        Self {
            count: trips.count,
            least: trips.least_us,
            mean: trips.mean_us().unwrap_or(0),
            most: trips.most_us,
        }
    }

    fn and(self, other: Self) -> Self {
        let count = self.count + other.count;
        let total = self.mean * self.count + other.mean * other.count;
        let least = match (self.count, other.count) {
            (0, _) => other.least,
            (_, 0) => self.least,
            _ => self.least.min(other.least),
        };
        Self {
            count,
            least,
            mean: total.checked_div(count).unwrap_or(0),
            most: self.most.max(other.most),
        }
    }
}

impl LinkStats {
    /// What went over an episode's link.
    pub fn of(client: &ArmClient) -> Self {
        let host = client.counters();
        let board = client.telemetry().map(|telemetry| telemetry.counters);
        let board = board.unwrap_or_default();
        let (ticks, longest_tick_us) = client
            .health()
            .map_or((0, 0), |health| (health.ticks, health.longest_tick_us));
        Self {
            setpoints: host.setpoints,
            accepted: board.accepted.into(),
            rejected: board.rejected().into(),
            bad_lines_board: board.bad_lines.into(),
            lost_to_board: board.lost.into(),
            telemetry: host.telemetry,
            bad_lines_host: host.bad_lines,
            lost_to_host: host.lost,
            repeated_to_board: board.repeated.into(),
            repeated_to_host: host.repeated,
            round_trip_us: RoundTrips::of(client.round_trip()),
            clock_offset_us: client.round_trip().clock_offset_us,
            clock_error_us: client.round_trip().clock_error_us,
            starved: board.starved.into(),
            servo_reads_failed: board.servo_reads_failed.into(),
            servo_writes_failed: board.servo_writes_failed.into(),
            ticks: ticks.into(),
            longest_tick_us: longest_tick_us.into(),
        }
    }

    /// Several episodes together.
    pub fn sum(parts: impl Iterator<Item = Self>) -> Self {
        parts.fold(Self::default(), |sum, part| Self {
            setpoints: sum.setpoints + part.setpoints,
            accepted: sum.accepted + part.accepted,
            rejected: sum.rejected + part.rejected,
            bad_lines_board: sum.bad_lines_board + part.bad_lines_board,
            lost_to_board: sum.lost_to_board + part.lost_to_board,
            telemetry: sum.telemetry + part.telemetry,
            bad_lines_host: sum.bad_lines_host + part.bad_lines_host,
            lost_to_host: sum.lost_to_host + part.lost_to_host,
            repeated_to_board: sum.repeated_to_board + part.repeated_to_board,
            repeated_to_host: sum.repeated_to_host + part.repeated_to_host,
            round_trip_us: sum.round_trip_us.and(part.round_trip_us),
            clock_offset_us: part.clock_offset_us,
            clock_error_us: sum.clock_error_us.max(part.clock_error_us),
            starved: sum.starved + part.starved,
            servo_reads_failed: sum.servo_reads_failed + part.servo_reads_failed,
            servo_writes_failed: sum.servo_writes_failed + part.servo_writes_failed,
            ticks: sum.ticks + part.ticks,
            longest_tick_us: sum.longest_tick_us.max(part.longest_tick_us),
        })
    }
}

impl fmt::Display for LinkStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |us: u64| us as f64 / 1e3;
        writeln!(
            f,
            "Link to the board: {} setpoints sent, {} followed, {} refused; lines damaged {}, messages lost {}, repeated {}",
            self.setpoints,
            self.accepted,
            self.rejected,
            self.bad_lines_board,
            self.lost_to_board,
            self.repeated_to_board
        )?;
        writeln!(
            f,
            "Link to the host: {} telemetry lines; lines damaged {}, messages lost {}, repeated {}",
            self.telemetry, self.bad_lines_host, self.lost_to_host, self.repeated_to_host
        )?;
        let trips = &self.round_trip_us;
        writeln!(
            f,
            "Round trip of {} pings: {:.1} ms at least, {:.1} mean, {:.1} at most (answers are read once a tick); board's \
             clock minus host's {:.1} ms, within {:.1}",
            trips.count,
            ms(trips.least),
            ms(trips.mean),
            ms(trips.most),
            self.clock_offset_us as f64 / 1e3,
            ms(self.clock_error_us)
        )?;
        writeln!(
            f,
            "Board: {} ticks, {:.1} ms between two at most; stopped {} times for want of setpoints; servo reads failed {}, \
             writes {}",
            self.ticks,
            ms(self.longest_tick_us),
            self.starved,
            self.servo_reads_failed,
            self.servo_writes_failed
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_of_several_episodes_are_weighed_by_their_number() {
        let trips = |count, least, mean, most| RoundTrips {
            count,
            least,
            mean,
            most,
        };
        let none = RoundTrips::default();
        let cases = [
            (none, none, none),
            (none, trips(2, 5, 6, 7), trips(2, 5, 6, 7)),
            (trips(2, 5, 6, 7), none, trips(2, 5, 6, 7)),
            (trips(1, 10, 10, 10), trips(3, 2, 6, 8), trips(4, 2, 7, 10)),
        ];
        for (first, second, both) in cases {
            assert_eq!(first.and(second), both);
        }
    }
}
