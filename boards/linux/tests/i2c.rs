//! A PWM arm on a real `/dev/i2c-N`: the PCA9685 is simulated behind a USB-I2C bridge that the kernel's own driver talks to.
//! `.ci/guest.sh` runs this as root in a virtual machine with the modules uhid, hid-mcp2221 and i2c-dev.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]
#![expect(clippy::print_stdout, reason = "what was measured is for people")]

mod mcp2221;

use std::path::Path;
use std::time::{Duration, Instant};

use linux_embedded_hal::I2cdev;
use mcp2221::{ADDRESS, Bridge};
use wink_board_linux::{BoardFile, LinuxBoard};
use wink_runtime::arm::{ArmClient, ArmDescription, Target};
use wink_runtime::clock::Clock;

/// With kernel 6.1 the driver waits 24 s for answers that HID does not deliver while it probes.
const PROBE: Duration = Duration::from_secs(60);
/// Longest wait for anything else, us.
const PATIENCE_US: u64 = 30_000_000;
/// Radians from the shortest to the longest pulse, 500 to 2500 us.
const TRAVEL: f64 = 6.4;

/// The WidowX 250S with hobby servos.
fn pwm_arm() -> ArmDescription {
    let text = include_str!("../../arms/wx250s.toml")
        .replace("\"dynamixel_xm430_w350\"", "\"pwm\"")
        .replace("servo = { reversed = true }\n", "")
        .replace("servo = { model = \"dynamixel_xl430_w250\" }\n", "")
        .replace("servo_ids = [2, 3]", "servo_ids = [2]")
        .replace("servo_ids = [4, 5]", "servo_ids = [4]")
        .replace(
            "servo = { model = \"dynamixel_xl430_w250\", horn_m = 0.014, rod_m = 0.024 }",
            "servo = { shortest = { pulse_us = 1000, position = 0.0 }, longest = { pulse_us = 2000, position = 0.04 } }",
        );
    let servo = "servo = { shortest = { pulse_us = 500, position = -3.2 }, longest = { pulse_us = 2500, position = 3.2 } }";
    let text: Vec<String> = text
        .lines()
        .map(|line| match line.starts_with("home_rad") {
            true => format!("{line}\n{servo}"),
            false => line.to_owned(),
        })
        .collect();
    ArmDescription::from_toml(&text.join("\n")).unwrap()
}

fn registers(bus: &Path, first: u8, count: usize) -> Result<Vec<u8>, String> {
    use linux_embedded_hal::i2cdev::core::{I2CMessage, I2CTransfer};
    use linux_embedded_hal::i2cdev::linux::{LinuxI2CDevice, LinuxI2CMessage};
    let mut device = LinuxI2CDevice::new(bus, ADDRESS.into()).map_err(|e| e.to_string())?;
    let (register, mut values) = ([first], vec![0; count]);
    let mut messages = [
        LinuxI2CMessage::write(&register),
        LinuxI2CMessage::read(&mut values),
    ];
    device.transfer(&mut messages).map_err(|e| e.to_string())?;
    Ok(values)
}

#[test]
#[ignore = "needs /dev/uhid, hid-mcp2221 and root: .ci/guest.sh runs it"]
fn a_pca9685_behind_a_real_i2c_bus_makes_the_pulses_of_a_moving_arm() {
    let start = Instant::now();
    let bridge = Bridge::plug_in().unwrap();
    let bus = loop {
        if let Some(bus) = Bridge::bus()
            && registers(&bus, 0, 1).is_ok()
        {
            break bus;
        }
        assert!(start.elapsed() < PROBE, "no bus of the MCP2221");
        std::thread::sleep(Duration::from_millis(200));
    };
    println!("{} after {:.0?}", bus.display(), start.elapsed());

    // An address at which there is no chip: the true cause is told.
    I2cdev::new(&bus).unwrap();
    let board = format!(
        "format = 1\nname = \"guest\"\nrate_hz = 50\n[i2c]\nbus = \"{}\"\naddress = {ADDRESS}\noscillator_hz = 25000000\n",
        bus.display()
    );
    let board = BoardFile::from_toml(&board).unwrap();
    let arm = pwm_arm();
    let mut board = LinuxBoard::start(&arm, &board).unwrap();
    let mut client = ArmClient::new(&arm);
    client.connect(&mut board, PATIENCE_US).unwrap();
    let mut targets = client.positions().unwrap();
    targets[0] += 0.4;
    let expected = {
        let pulse_us = 500.0 + 2000.0 * (targets[0] + TRAVEL / 2.0) / TRAVEL;
        // Steps of 122 oscillator periods.
        pulse_us / (122.0 / 25.0)
    };
    let end_us = board.now_us() + PATIENCE_US;
    loop {
        let steps = bridge.chip.lock().unwrap().pulse(1);
        if steps.is_some_and(|steps| (f64::from(steps) - expected).abs() <= 1.0) {
            break;
        }
        assert!(board.now_us() < end_us, "{steps:?}, not {expected:.1}");
        let now_us = board.now_us();
        client.poll(&mut board, now_us).unwrap();
        client
            .send_setpoint(&mut board, now_us, 200_000, &targets, Target::New)
            .unwrap();
        board.sleep_until(now_us + 50_000);
    }
    // The same over the bus, as any program reads it.
    let read = registers(&bus, 0x06 + 4, 4).unwrap();
    let steps = u16::from_le_bytes([read[2], read[3]]);
    assert!((f64::from(steps) - expected).abs() <= 1.0);
    println!(
        "pulse of channel 1 read back: {steps} of 4096 steps, {:.0} us for {:.3} rad",
        f64::from(steps) * 122.0 / 25.0,
        targets[0]
    );
}
