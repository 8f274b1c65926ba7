//! A whole bus driver whose servos say anything at all: every call ends, waits no longer than its
//! timeouts allow, and what it reads is finite.
//!
//! The first byte picks the protocol; then each packet sent is answered with a length byte and so
//! many bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wink_firmware::servo::dynamixel::DynamixelServos;
use wink_firmware::servo::feetech::FeetechServos;
use wink_firmware::servo::serial::{
    BusOptions, BusPort, BusServo, Protocol, SerialServos, ServoModel,
};
use wink_firmware::servo::{ServoBus, ServoState, TickCalibration};

struct Line<'a> {
    script: &'a [u8],
    coming: &'a [u8],
    waited_us: u32,
    sent: u32,
}

impl BusPort for Line<'_> {
    type Error = ();

    fn send(&mut self, _bytes: &[u8]) -> Result<(), ()> {
        self.sent += 1;
        let Some((length, rest)) = self.script.split_first() else {
            self.coming = &[];
            return Ok(());
        };
        let (coming, script) = rest.split_at(usize::from(*length).min(rest.len()));
        (self.coming, self.script) = (coming, script);
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], left_us: &mut u32) -> Result<usize, ()> {
        let count = self.coming.len().min(buffer.len());
        if count == 0 {
            self.waited_us += *left_us;
            *left_us = 0;
        }
        let (now, later) = self.coming.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.coming = later;
        Ok(count)
    }
}

fn servo(id: u8, joint: u8, model: ServoModel) -> BusServo {
    BusServo {
        id,
        model,
        joint,
        calibration: TickCalibration::CENTRED,
        max_ticks_per_s: 0,
        max_torque_permille: 1000,
    }
}

fn run<L: Protocol>(mut arm: SerialServos<Line<'_>, L>) {
    let mut states = [ServoState::default(); 2];
    for _ in 0..3 {
        let before = (arm.port_mut().waited_us, arm.port_mut().sent);
        if arm.read(&mut states).is_ok() {
            for state in &states {
                assert!(state.position.is_finite() && state.velocity.is_finite());
                assert!(state.load.is_finite());
            }
        }
        let _ = arm.set_torque(true);
        let sent = arm.port_mut().sent - before.1;
        let waited_us = arm.port_mut().waited_us - before.0;
        assert!(sent <= 24, "{sent} packets");
        // A sync read waits anew after each of its answers.
        assert!(waited_us <= (sent + 3) * BusOptions::default().answer_timeout_us);
        let _ = arm.write(&[0.5, -0.5]);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, script)) = bytes.split_first() else {
        return;
    };
    let line = Line {
        script,
        coming: &[],
        waited_us: 0,
        sent: 0,
    };
    let options = BusOptions::default();
    if first & 1 == 0 {
        let servos = [
            servo(1, 0, ServoModel::Sts3215),
            servo(2, 1, ServoModel::Sts3215),
        ];
        run(FeetechServos::new(line, &servos, options).expect("makes sense"));
    } else {
        let servos = [
            servo(1, 0, ServoModel::Xm430W350),
            servo(2, 1, ServoModel::Xl430W250),
        ];
        run(DynamixelServos::new(line, &servos, options).expect("makes sense"));
    }
});
