//! What an image takes of its chip, and whether anything in it can panic.

use std::fmt;

use object::{Object, ObjectSection, ObjectSymbol, SectionFlags};

use crate::calls::calls;
use crate::{EmulatorError, Image};

/// Flash that an image may take.
pub const FLASH_LIMIT: u64 = 64 * 1024;
/// RAM that an image may take, its stack included.
pub const RAM_LIMIT: u64 = 16 * 1024;
/// What is left of that for the stack must be at least this.
pub const STACK_LEAST: u64 = 6 * 1024;

/// Functions that may call a panic. All but the first two do so in case of what cannot be.
const MAY_PANIC: [&str; 5] = [
    // Sets the board up, before anything can move; the loop is a function of its own.
    "__cortex_m_rt_main",
    // Of the RP2040's and RP2350's clocks, when they are set up.
    "fractional_div",
    // A lock that is held by a third core of two.
    "_critical_section_1_0_acquire",
    // A log within a log: an interrupt that logs. None does.
    "_defmt_acquire",
    "_defmt_release",
];

/// The loop, which must be found for its panics to be looked for.
const LOOP: [&str; 2] = ["ControlLoop", "3run"];

/// What was found out about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Name of its file.
    pub name: String,
    /// Code, constants and the initial values of variables.
    pub flash: u64,
    /// Variables.
    pub ram: u64,
    /// Functions that call something in `core::panicking` and are not known to be harmless.
    pub panics: Vec<String>,
    /// Whether the control loop is there as a function of its own.
    pub has_loop: bool,
}

impl Report {
    /// Looks at an image.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn of(image: &Image) -> Result<Self, EmulatorError> {
        const WRITE_AND_ALLOC: u64 = 0b11;

        let file = image.file()?;
        let flash = image
            .segments()?
            .iter()
            .map(|(_, bytes)| bytes.len() as u64)
            .sum();
        let ram = file.sections().filter(|section| match section.flags() {
            SectionFlags::Elf { sh_flags } => sh_flags & WRITE_AND_ALLOC == WRITE_AND_ALLOC,
            _ => false,
        });
        let mut panics: Vec<String> = calls(&file)
            .into_iter()
            .filter(|(caller, callee)| is_panicking(callee) && !is_panicking(caller))
            .map(|(caller, _)| caller)
            .filter(|caller| !MAY_PANIC.iter().any(|name| caller.contains(name)))
            .collect();
        panics.dedup();
        let is_loop = |name: &str| LOOP.iter().all(|part| name.contains(part));
        let has_loop = file
            .symbols()
            .any(|symbol| symbol.name().is_ok_and(is_loop));
        Ok(Self {
            name: image
                .path()
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            flash,
            ram: ram.map(|section| section.size()).sum(),
            panics,
            has_loop,
        })
    }

    /// What is left of the RAM that the image may take.
    #[must_use]
    pub const fn stack(&self) -> u64 {
        RAM_LIMIT.saturating_sub(self.ram)
    }

    /// What is wrong with it.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = vec![];
        if !self.has_loop {
            complaints.push("the control loop is not to be found as a function of its own".into());
        }
        if self.flash > FLASH_LIMIT {
            complaints.push(format!(
                "{} bytes of flash, {FLASH_LIMIT} are allowed",
                self.flash
            ));
        }
        if self.stack() < STACK_LEAST {
            complaints.push(format!(
                "{} bytes left for the stack, {STACK_LEAST} are needed",
                self.stack()
            ));
        }
        complaints.extend(
            self.panics
                .iter()
                .map(|caller| format!("{caller} can panic")),
        );
        complaints
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |part: u64, whole: u64| part * 100 / whole;
        write!(
            f,
            "{:<22} flash {:>6} ({:>3} %)  variables {:>6} ({:>3} %)  left for the stack {:>6}  {}",
            self.name,
            self.flash,
            share(self.flash, FLASH_LIMIT),
            self.ram,
            share(self.ram, RAM_LIMIT),
            self.stack(),
            if self.panics.is_empty() {
                "cannot panic"
            } else {
                "CAN PANIC"
            }
        )
    }
}

/// Symbols of both mangling schemes; the handler as well, which a panic that was inlined calls itself.
fn is_panicking(symbol: &str) -> bool {
    ["4core9panicking", "rust_begin_unwind"]
        .iter()
        .any(|name| symbol.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complains_of_what_is_too_large_can_panic_or_has_no_loop() {
        let fine = Report {
            name: "image".to_owned(),
            flash: FLASH_LIMIT,
            ram: RAM_LIMIT - STACK_LEAST,
            panics: vec![],
            has_loop: true,
        };
        assert!(fine.complaints().is_empty());
        let bad = Report {
            flash: FLASH_LIMIT + 1,
            ram: RAM_LIMIT,
            panics: vec!["_RNvMNtCs_6safety4tick".to_owned()],
            has_loop: false,
            ..fine
        };
        let complaints = bad.complaints().join("; ");
        for part in ["control loop", "flash", "stack", "4tick can panic"] {
            assert!(complaints.contains(part), "no {part} in {complaints}");
        }
    }

    #[test]
    fn panics_are_told_by_their_symbols() {
        for (symbol, panics) in [
            ("_RNvNtNtCscSmOAlAQlcP_4core9panicking9panic_fmt", true),
            ("_RNvCsfgHYwM92fyn_7___rustc17rust_begin_unwind", true),
            ("_RNvNtCs_13wink_firmware6safety4tick", false),
        ] {
            assert_eq!(is_panicking(symbol), panics, "{symbol}");
        }
    }
}
