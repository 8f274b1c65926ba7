//! What flashing a board takes, step by step, before any of it is done.

use std::fmt;
use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;

use super::board_file::{Board, Method};
use crate::bad_input::bad_input;

/// One command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    pub program: &'static str,
    pub arguments: Vec<String>,
    /// Variables that it is given, with their values.
    pub environment: Vec<(&'static str, String)>,
    /// Folder that it runs in; the current one where there is none.
    pub folder: Option<PathBuf>,
}

/// How the image gets onto the board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Transfer {
    /// Written and read back by a debug probe, then started.
    Probe { write: Call, start: Call },
    /// Copied to a drive; `drive` is given or looked for by its label.
    Uf2 {
        volume: String,
        drive: Option<PathBuf>,
        family: u32,
    },
}

/// The steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    pub board: String,
    pub build: Call,
    pub image: PathBuf,
    pub transfer: Transfer,
    /// Serial port of the handshake; looked for where there is none.
    pub port: Option<String>,
    pub baud: u32,
}

/// Where an image's build has its arm from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArmSource {
    /// A feature of the board's package.
    Feature(String),
    /// A file, by its absolute path.
    File(PathBuf),
}

/// What the user asks for beyond the board.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    pub arm: Option<ArmSource>,
    /// Absolute path of the arm's calibration.
    pub calibration: Option<PathBuf>,
    /// Probe selector as `probe-rs list` prints it; empty for whichever is there.
    pub probe: Option<String>,
    pub drive: Option<PathBuf>,
    pub port: Option<String>,
    pub target_dir: PathBuf,
}

impl Plan {
    pub fn new(board: &Board, wishes: &Wishes) -> Result<Self> {
        let image = wishes
            .target_dir
            .join(&board.file.target)
            .join("release")
            .join(&board.file.image);
        Ok(Self {
            board: board.name.clone(),
            build: build(board, wishes),
            transfer: transfer(board, wishes, &image)?,
            image,
            port: wishes.port.clone(),
            baud: board.file.host.baud,
        })
    }
}

fn build(board: &Board, wishes: &Wishes) -> Call {
    let mut arguments = strings(&["build", "--release", "--target", &board.file.target]);
    arguments.extend(strings(&[
        "--target-dir",
        &wishes.target_dir.to_string_lossy(),
    ]));
    let mut environment = Vec::new();
    match &wishes.arm {
        Some(ArmSource::Feature(feature)) => arguments.extend(strings(&["--features", feature])),
        Some(ArmSource::File(path)) => {
            environment.push(("WINK_ARM", path.to_string_lossy().into_owned()))
        }
        None => {}
    }
    if let Some(path) = &wishes.calibration {
        environment.push(("WINK_CALIBRATION", path.to_string_lossy().into_owned()));
    }
    Call {
        program: "cargo",
        arguments,
        environment,
        folder: Some(board.folder.clone()),
    }
}

fn transfer(board: &Board, wishes: &Wishes, image: &std::path::Path) -> Result<Transfer> {
    let flash = &board.file.flash;
    // A probe that is asked for is used even where a drive would do.
    let method = if wishes.probe.is_some() && flash.chip.is_some() {
        Method::Probe
    } else {
        flash.method
    };
    match (method, &flash.chip, &flash.volume, flash.family) {
        (Method::Probe, Some(chip), _, _) => {
            let call = |verb: &[&str], last: &[&str]| {
                let mut arguments = strings(verb);
                arguments.extend(strings(&["--chip", chip]));
                if let Some(probe) = wishes.probe.as_ref().filter(|probe| !probe.is_empty()) {
                    arguments.extend(strings(&["--probe", probe]));
                }
                arguments.extend(strings(last));
                Call {
                    program: "probe-rs",
                    arguments,
                    environment: Vec::new(),
                    folder: None,
                }
            };
            Ok(Transfer::Probe {
                write: call(&["download", "--verify"], &[&image.to_string_lossy()]),
                start: call(&["reset"], &[]),
            })
        }
        (Method::Uf2, _, Some(volume), Some(family)) => Ok(Transfer::Uf2 {
            volume: volume.clone(),
            drive: wishes.drive.clone(),
            family,
        }),
        _ => Err(bad_input(format!(
            "--board {}: {} cannot be flashed, only emulated: see {}",
            board.name,
            board.file.title,
            board.folder.join("README.md").display()
        ))),
    }
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| match text.contains(' ') {
            true => format!("'{text}'"),
            false => text.to_owned(),
        };
        for (name, value) in &self.environment {
            write!(f, "{name}={} ", quoted(value))?;
        }
        write!(f, "{}", self.program)?;
        for argument in &self.arguments {
            write!(f, " {}", quoted(argument))?;
        }
        match &self.folder {
            Some(folder) => write!(f, "   (in {})", folder.display()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "1. build      {}", self.build)?;
        match &self.transfer {
            Transfer::Probe { write, start } => {
                writeln!(f, "2. flash      {write}")?;
                writeln!(f, "3. start      {start}")?;
            }
            Transfer::Uf2 {
                volume,
                drive,
                family,
            } => {
                writeln!(
                    f,
                    "2. convert    {} to UF2 (family {family:#010x})",
                    self.image.display()
                )?;
                match drive {
                    Some(drive) => writeln!(f, "3. flash      copy it to {}", drive.display())?,
                    None => writeln!(
                        f,
                        "3. flash      copy it to the drive {volume}, wherever that is mounted (hold BOOTSEL while plugging in)"
                    )?,
                }
            }
        }
        writeln!(
            f,
            "4. verify     {}",
            match self.transfer {
                Transfer::Probe { .. } => "the flash was read back in step 2",
                Transfer::Uf2 { .. } => "the drive goes away once the board has taken the image",
            }
        )?;
        write!(
            f,
            "5. handshake  {} at {} baud: protocol version, arm and joints",
            self.port
                .as_deref()
                .unwrap_or("the serial port that is there"),
            self.baud
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const BOARDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../boards");

    fn plan(name: &str, wishes: Wishes) -> Result<Plan> {
        let board = Board::find(Path::new(BOARDS), name)?;
        Plan::new(&board, &wishes)
    }

    #[test]
    fn each_board_is_flashed_its_own_way() {
        let wishes = Wishes {
            arm: Some(ArmSource::Feature("arm-so101".to_owned())),
            target_dir: "target".into(),
            ..Wishes::default()
        };
        let told = plan("nucleo-f411", wishes.clone()).unwrap().to_string();
        for expected in [
            "cargo build --release --target thumbv7em-none-eabihf --target-dir target --features arm-so101",
            "probe-rs download --verify --chip STM32F411RETx target/thumbv7em-none-eabihf/release/nucleo-f411",
            "probe-rs reset --chip STM32F411RETx",
        ] {
            assert!(told.contains(expected), "no `{expected}` in\n{told}");
        }
        let told = plan("pico", wishes.clone()).unwrap().to_string();
        assert!(
            told.contains("drive RPI-RP2") && told.contains("0xe48bff56"),
            "{told}"
        );
        let probed = Wishes {
            probe: Some("2e8a:000c:E66".to_owned()),
            ..wishes.clone()
        };
        let told = plan("pico", probed).unwrap().to_string();
        assert!(
            told.contains("--chip RP2040 --probe 2e8a:000c:E66"),
            "{told}"
        );
        let error = plan("mps2-an386", wishes).unwrap_err().to_string();
        assert!(error.contains("cannot be flashed"), "{error}");
    }
}
