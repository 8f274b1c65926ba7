//! Which image runs in which emulator, and where both lie.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::qemu::{MPS2_AN386, NUCLEO_F411, Qemu};
use crate::rp2040js::Rp2040js;
use crate::{EmulatorError, Image, Machine};

/// A board that can be emulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Emulator {
    /// The STM32F411 image in QEMU.
    NucleoF411,
    /// The MPS2 image in QEMU.
    Mps2An386,
    /// The Pico's image in rp2040js.
    Pico,
}

impl Emulator {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::NucleoF411, Self::Mps2An386, Self::Pico];

    /// The folder of its image under `boards/`, which is also the image's name.
    #[must_use]
    pub const fn board(self) -> &'static str {
        match self {
            Self::NucleoF411 => "nucleo-f411",
            Self::Mps2An386 => "mps2-an386",
            Self::Pico => "pico",
        }
    }

    /// The board of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|board| board.board() == name)
    }

    /// All names, for a message.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.map(Self::board).join(", ")
    }

    /// What passes in a microsecond of the image's own time: so many instructions, which are QEMU's time, or cycles, which are
    /// rp2040js's (flash without wait states).
    #[must_use]
    pub const fn count_of_us(self) -> (u32, &'static str) {
        match self {
            Self::NucleoF411 => (NUCLEO_F411.instructions_per_us, "instructions"),
            Self::Mps2An386 => (MPS2_AN386.instructions_per_us, "instructions"),
            Self::Pico => (125, "cycles"),
        }
    }

    /// Starts the board's image for the arm of that name, its processor before the first instruction.
    ///
    /// # Errors
    /// When the image was not built, or the emulator is not installed or does not start.
    pub fn start(
        self,
        arm: &str,
        images: &Images,
    ) -> Result<(Box<dyn Machine>, Image), EmulatorError> {
        let image = images.image(self, arm)?;
        let machine: Box<dyn Machine> = match self {
            Self::NucleoF411 => Box::new(Qemu::start(&image, &images.plugin(), &NUCLEO_F411)?),
            Self::Mps2An386 => Box::new(Qemu::start(&image, &images.plugin(), &MPS2_AN386)?),
            Self::Pico => Box::new(Rp2040js::start(&image, &images.rp2040js())?),
        };
        Ok((machine, image))
    }
}

impl fmt::Display for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.board())
    }
}

/// Where `boards/build.sh` leaves what it has built.
#[derive(Debug, Clone)]
pub struct Images {
    folder: PathBuf,
}

impl Images {
    /// What lies in `folder`.
    #[must_use]
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The folder that `boards/build.sh` uses: `WINK_IMAGES`, else `boards` in cargo's target folder.
    #[must_use]
    pub fn find() -> Self {
        let folder = std::env::var_os("WINK_IMAGES").map(PathBuf::from);
        let target = || std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        Self::new(folder.unwrap_or_else(|| {
            target()
                .unwrap_or_else(|| sources().join("../../target"))
                .join("boards")
        }))
    }

    /// All of them, in the order of their names.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn all(&self) -> std::io::Result<Vec<PathBuf>> {
        let mut found = vec![];
        for entry in self.folder.read_dir()? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "elf") {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }

    /// The image of a board for the arm of that name, the name of its file under `boards/arms/`.
    ///
    /// # Errors
    /// When it was not built, or is none.
    pub fn image(&self, emulator: Emulator, arm: &str) -> Result<Image, EmulatorError> {
        let board = emulator.board();
        Image::open(
            &self.folder.join(format!("{board}-{arm}.elf")),
            &format!("ARMS={arm} boards/build.sh {board}"),
        )
    }

    fn plugin(&self) -> PathBuf {
        self.folder.join("libwink_qemu_plugin.so")
    }

    /// The script and its packages lie with the sources.
    #[expect(clippy::unused_self, reason = "the images' folder may hold it one day")]
    fn rp2040js(&self) -> PathBuf {
        sources().join("rp2040js")
    }
}

fn sources() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
