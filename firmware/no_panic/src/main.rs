//! The firmware's whole loop with nothing around it, for a microcontroller: it links only where no
//! panic can be reached. What goes in and out is hidden from the optimiser, so that it leaves
//! nothing out. It is not for running.

#![no_std]
#![no_main]

use core::convert::Infallible;
use core::hint::black_box;
use core::panic::PanicInfo;

use wink_firmware::config::{JointGuard, JointLimits, StallLimit};
use wink_firmware::servo::{ServoBus, ServoState};
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

/// Servos of which nothing is known.
struct Servos;

impl ServoBus for Servos {
    type Error = ();

    fn read(&mut self, states: &mut [ServoState]) -> Result<(), ()> {
        states.fill_with(|| black_box(ServoState::default()));
        black_box(Ok(()))
    }

    fn write(&mut self, goals: &[f32]) -> Result<(), ()> {
        black_box(goals);
        black_box(Ok(()))
    }

    fn set_torque(&mut self, on: bool) -> Result<(), ()> {
        black_box(on);
        black_box(Ok(()))
    }
}

/// Where a chip starts; the linker is told to.
#[unsafe(no_mangle)]
extern "C" fn start() -> ! {
    loop {
        if let Ok(never) = run() {
            match never {}
        }
    }
}

fn run() -> Result<Infallible, ()> {
    let joint = black_box(JointLimits {
        min: -1.0,
        max: 1.0,
        velocity: 3.0,
        acceleration: 40.0,
        jerk: 4_000.0,
    });
    let mut config = Config::new(&[joint; 7]).map_err(|_| ())?.named("arm", "image");
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
        });
    }
    let mut core = Core::new(config).map_err(|_| ())?;
    let mut line = [0; MAX_LINE];
    loop {
        let now_us = black_box(0_u64);
        let bytes = black_box([0_u8; 64]);
        core.receive(bytes.get(..black_box(64)).unwrap_or_default(), now_us);
        core.tick(now_us, &mut Servos);
        while let Some(length) = core.telemetry(now_us, &mut line) {
            black_box(line.get(..length));
        }
    }
}
