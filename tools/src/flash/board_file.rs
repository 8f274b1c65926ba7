//! `boards/NAME/board.toml`: which chip a board has, what is built for it and how it gets there.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Deserialize;
use wink_runtime::toml_file::complaint;

use super::plan::ArmSource;
use crate::bad_input::bad_input;

const FORMAT: u32 = 1;

/// A board and where its folder is.
#[derive(Debug, Clone, PartialEq)]
pub struct Board {
    /// Its folder's name, which is what it is asked for by.
    pub name: String,
    /// Its folder: a Cargo package.
    pub folder: PathBuf,
    pub file: BoardFile,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardFile {
    format: u32,
    /// For people.
    pub title: String,
    /// Rust's target triple.
    pub target: String,
    /// Name of the binary that Cargo builds.
    pub image: String,
    pub flash: Flash,
    pub host: Host,
}

/// How an image gets onto the board.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flash {
    pub method: Method,
    /// As probe-rs calls it.
    pub chip: Option<String>,
    /// USB ids of the probes that go with the board, `vid:pid`.
    #[serde(default)]
    pub probes: Vec<String>,
    /// Label of the drive that the board shows while its button is held.
    pub volume: Option<String>,
    /// UF2 family of the chip.
    pub family: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// A debug probe, by `probe-rs`.
    Probe,
    /// A UF2 file copied to the board's drive.
    Uf2,
    /// Not at all: it is emulated.
    None,
}

/// How a host talks to the flashed board.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    pub baud: u32,
}

impl Board {
    /// The board with this name under `boards`.
    pub fn find(boards: &Path, name: &str) -> Result<Self> {
        let known = known(boards);
        if !known.iter().any(|board| board == name) {
            return Err(bad_input(format!(
                "--board {name}: no {} (boards here: {})",
                boards.join(name).join("board.toml").display(),
                if known.is_empty() {
                    "none; run this in wink's repository or give --boards".to_owned()
                } else {
                    known.join(", ")
                }
            )));
        }
        let folder = boards.join(name);
        let path = folder.join("board.toml");
        let text = fs::read_to_string(&path)
            .map_err(|error| bad_input(format!("{}: {error}", path.display())))?;
        let file =
            parse(&text).map_err(|error| bad_input(format!("{}: {error}", path.display())))?;
        Ok(Self {
            name: name.to_owned(),
            folder,
            file,
        })
    }
}

impl Board {
    /// Where the board's image has an arm from: its package has a feature for the arms that come with wink, and takes any other as a
    /// file.
    pub fn arm_source(&self, name: &str, path: &Path) -> Result<ArmSource> {
        let feature = format!("arm-{name}");
        if self.features().contains(&feature) {
            return Ok(ArmSource::Feature(feature));
        }
        Ok(ArmSource::File(std::path::absolute(path)?))
    }

    /// Features of the board's package.
    fn features(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join("Cargo.toml")).unwrap_or_default();
        let package: toml::Table = toml::from_str(&text).unwrap_or_default();
        let features = package.get("features").and_then(toml::Value::as_table);
        features
            .into_iter()
            .flat_map(|table| table.keys().cloned())
            .collect()
    }
}

/// Names of all folders with a `board.toml`.
pub fn known(boards: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(boards)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join("board.toml").is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

fn parse(text: &str) -> Result<BoardFile, String> {
    let file: BoardFile = toml::from_str(text).map_err(|error| {
        let (line, message) = complaint(text, &error);
        format!("line {line}: {message}")
    })?;
    if file.format != FORMAT {
        return Err(format!(
            "format {} is not known, this version reads format {FORMAT}",
            file.format
        ));
    }
    let flash = &file.flash;
    let missing = match flash.method {
        Method::Probe => flash.chip.is_none().then_some("chip"),
        Method::Uf2 if flash.volume.is_none() => Some("volume"),
        Method::Uf2 => flash.family.is_none().then_some("family"),
        Method::None => None,
    };
    match missing {
        Some(field) => Err(format!(
            "[flash] needs `{field}` for method {:?}",
            flash.method
        )),
        None => Ok(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOARDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../boards");

    #[test]
    fn every_board_here_can_be_read() {
        let names = known(Path::new(BOARDS));
        assert!(names.len() >= 4, "{names:?}");
        for name in names {
            let board = Board::find(Path::new(BOARDS), &name).unwrap();
            assert_eq!(board.name, name);
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let good = "format = 1\ntitle = \"t\"\ntarget = \"t\"\nimage = \"i\"\n[flash]\nmethod = \"probe\"\nchip = \"c\"\n[host]\nbaud = 1\n";
        assert!(parse(good).is_ok());
        let cases = [
            ("format = 1", "format = 2", "format 2 is not known"),
            ("chip = \"c\"", "", "[flash] needs `chip`"),
            ("\"probe\"", "\"uf2\"", "[flash] needs `volume`"),
            ("\"probe\"", "\"magic\"", "line 6: unknown variant `magic`"),
            ("baud", "bauds", "line 9: unknown field `bauds`"),
        ];
        for (from, to, expected) in cases {
            let told = parse(&good.replace(from, to)).unwrap_err();
            assert!(told.contains(expected), "\"{told}\" lacks \"{expected}\"");
        }
        let told = Board::find(Path::new(BOARDS), "toaster").unwrap_err();
        assert!(told.to_string().contains("pico"), "{told}");
    }
}
