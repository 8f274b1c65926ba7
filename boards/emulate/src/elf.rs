//! An image as the linker left it: what goes into flash, and where its symbols are.

use std::fs;
use std::path::{Path, PathBuf};

use object::{Object, ObjectSymbol};

use crate::EmulatorError;

/// An image in memory.
#[derive(Debug, Clone)]
pub struct Image {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Image {
    /// Reads an image, which `command` builds.
    ///
    /// # Errors
    /// When there is none, or it is no ELF file.
    pub fn open(path: &Path, command: &str) -> Result<Self, EmulatorError> {
        let bytes = fs::read(path).map_err(|_| EmulatorError::NotBuilt {
            command: command.to_owned(),
            path: path.to_owned(),
        })?;
        let image = Self {
            path: path.to_owned(),
            bytes,
        };
        image.file().map(|_| ())?;
        Ok(image)
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is loaded, and where to.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn segments(&self) -> Result<Vec<(u32, Vec<u8>)>, EmulatorError> {
        use object::read::elf::{FileHeader, ProgramHeader};

        let damaged = |error: object::read::Error| self.bad(&error.to_string());
        let data = self.bytes.as_slice();
        let header =
            object::elf::FileHeader32::<object::LittleEndian>::parse(data).map_err(damaged)?;
        let endian = header.endian().map_err(damaged)?;
        let mut segments = vec![];
        // The physical address is where initial values of RAM are kept in flash.
        for segment in header.program_headers(endian, data).map_err(damaged)? {
            if segment.p_type(endian) == object::elf::PT_LOAD && segment.p_filesz(endian) > 0 {
                let bytes = segment
                    .data(endian, data)
                    .map_err(|()| self.bad("a segment lies outside of it"))?;
                segments.push((segment.p_paddr(endian), bytes.to_vec()));
            }
        }
        Ok(segments)
    }

    /// Address and size of a symbol.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<(u32, usize)> {
        let file = self.file().ok()?;
        let symbol = file.symbols().find(|symbol| symbol.name() == Ok(name))?;
        Some((
            u32::try_from(symbol.address()).ok()?,
            usize::try_from(symbol.size()).ok()?,
        ))
    }

    pub(crate) fn file(&self) -> Result<object::File<'_>, EmulatorError> {
        object::File::parse(self.bytes.as_slice()).map_err(|error| self.bad(&error.to_string()))
    }

    fn bad(&self, why: &str) -> EmulatorError {
        EmulatorError::BadImage {
            path: self.path.clone(),
            why: why.to_owned(),
        }
    }
}
