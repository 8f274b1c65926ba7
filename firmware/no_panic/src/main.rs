//! The firmware's whole loop with nothing around it, for a microcontroller: it links only where no
//! panic can be reached. What goes in and out is hidden from the optimiser, so that it leaves
//! nothing out. It is not for running.

#![no_std]
#![no_main]

use core::convert::Infallible;
use core::hint::black_box;
use core::panic::PanicInfo;

use wink_firmware::config::{JointGuard, JointLimits, StallLimit};
use wink_firmware::servo::dynamixel::DynamixelServos;
use wink_firmware::servo::feetech::FeetechServos;
use wink_firmware::servo::serial::{BusOptions, BusPort, BusServo, ServoModel};
use wink_firmware::servo::{ServoBus, TickCalibration};
use wink_firmware::wire::MAX_LINE;
use wink_firmware::{Config, Core};

unsafe extern "C" {
    /// Defined nowhere: the linker says so when it is needed.
    fn a_panic_can_be_reached() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: never runs, since nothing that calls it links.
    unsafe { a_panic_can_be_reached() }
}

/// A servo bus of which nothing is known.
struct Line;

impl BusPort for Line {
    type Error = ();

    fn send(&mut self, bytes: &[u8]) -> Result<(), ()> {
        black_box(bytes);
        black_box(Ok(()))
    }

    fn receive(&mut self, buffer: &mut [u8], left_us: &mut u32) -> Result<usize, ()> {
        buffer.fill_with(|| black_box(0));
        *left_us = black_box(*left_us);
        black_box(Ok(buffer.len()))
    }
}

/// Where a chip starts; the linker is told to.
#[unsafe(no_mangle)]
extern "C" fn start() -> ! {
    loop {
        let feetech = servos(ServoModel::Sts3215);
        if let Ok(bus) = FeetechServos::new(Line, &feetech, BusOptions::default()) {
            let _ = run(bus);
        }
        let dynamixel = servos(ServoModel::Xm430W350);
        if let Ok(bus) = DynamixelServos::new(Line, &dynamixel, BusOptions::default()) {
            let _ = run(bus);
        }
    }
}

fn servos(model: ServoModel) -> [BusServo; 7] {
    let mut id = 0;
    [(); 7].map(|()| {
        id += 1;
        black_box(BusServo {
            id,
            model,
            joint: id - 1,
            calibration: TickCalibration::CENTRED,
            max_ticks_per_s: 0,
            max_torque_permille: 1000,
        })
    })
}

fn run<S: ServoBus>(mut servos: S) -> Result<Infallible, ()> {
    #[cfg(feature = "broken")]
    black_box([1, 2, 3][black_box(1_usize)]);
    let joint = black_box(JointLimits {
        min: -1.0,
        max: 1.0,
        velocity: 3.0,
        acceleration: 40.0,
        jerk: 4_000.0,
    });
    let mut config = Config::new(&[joint; 7])
        .map_err(|_| ())?
        .named("arm", "image");
    for guard in &mut config.guards {
        *guard = black_box(JointGuard {
            torque: 0.5,
            stall: Some(StallLimit {
                load: 0.8,
                current_a: 1.0,
                error: 0.2,
                time_us: 500_000,
            }),
            max_temperature_c: 70.0,
            start: f32::INFINITY,
        });
    }
    let mut core = Core::new(config).map_err(|_| ())?;
    let mut line = [0; MAX_LINE];
    loop {
        let now_us = black_box(0_u64);
        let bytes = black_box([0_u8; 64]);
        core.receive(bytes.get(..black_box(64)).unwrap_or_default(), now_us);
        core.tick(now_us, &mut servos);
        while let Some(length) = core.telemetry(now_us, &mut line) {
            black_box(line.get(..length));
        }
    }
}
