//! What every board must do for its host, through nothing but the runtime's traits.

mod cases;
mod linux;

use cases::CASES;
use linux::LinuxRig;
use wink_emulate::{Arm, EmulatedBoard, Emulator, Images};
use wink_runtime::episode::Board;
use wink_sim::board::{SimBoard, SimOptions};
use wink_sim::scene::{Scene, Split};

/// A kind of board, how to make a fresh one, and the cases it cannot pass, each with the reason.
struct Backend {
    name: &'static str,
    make: fn() -> Box<dyn Board>,
    exceptions: &'static [(&'static str, &'static str)],
}

const BACKENDS: &[Backend] = &[
    Backend {
        name: "sim",
        make: || {
            let board = SimBoard::new(&scene(), SimOptions::default());
            Box::new(board.expect("the benchmark's own board"))
        },
        exceptions: &[],
    },
    Backend {
        name: "linux",
        make: || Box::new(LinuxRig::start()),
        exceptions: &[("frames_are_whole_and_repeatable", "it has no camera")],
    },
];

/// An image that is flashed, in its emulator.
macro_rules! emulated {
    ($($test:ident: $emulator:ident;)*) => {$(
        #[test]
        #[ignore = "needs images and emulators, see .ci/firmware.sh"]
        fn $test() {
            passes_every_case(&Backend {
                name: stringify!($emulator),
                make: || emulated(Emulator::$emulator),
                exceptions: &[],
            });
        }
    )*};
}

emulated! {
    the_emulated_nucleo_f411_passes_every_case: NucleoF411;
    the_emulated_mps2_an386_passes_every_case: Mps2An386;
    the_emulated_pico_passes_every_case: Pico;
}

fn scene() -> Scene {
    Scene::new(Split::Train, 7)
}

fn emulated(emulator: Emulator) -> Box<dyn Board> {
    let (images, options) = (Images::find(), SimOptions::default());
    let board = EmulatedBoard::new(emulator, &images, Arm::Wx250s, &scene(), options);
    Box::new(board.expect("images and emulators, see .ci/firmware.sh"))
}

fn passes_every_case(backend: &Backend) {
    for (case, run) in CASES {
        match backend.exceptions.iter().find(|(name, _)| name == case) {
            Some((_, why)) => eprintln!("{}: {case}: skipped: {why}", backend.name),
            None => {
                eprintln!("{}: {case}", backend.name);
                run((backend.make)().as_mut());
            }
        }
    }
}

#[test]
fn every_board_passes_every_case() {
    BACKENDS.iter().for_each(passes_every_case);
}
