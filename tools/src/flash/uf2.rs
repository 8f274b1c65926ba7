//! An ELF image as UF2, which a board with a USB boot loader takes as a file.
//!
//! UF2 is blocks of 512 bytes, each with 256 bytes of payload and the address they belong at
//! (<https://github.com/microsoft/uf2>).

use anyhow::{Result, anyhow, bail};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, elf};

const BLOCK: usize = 512;
const PAYLOAD: usize = 256;
const MAGIC: [u32; 3] = [0x0a32_4655, 0x9e5d_5157, 0x0ab1_6f30];
const FAMILY_ID_PRESENT: u32 = 0x2000;

/// Bytes that a segment puts into flash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub address: u32,
    pub bytes: Vec<u8>,
}

/// What an ELF file loads, by address.
pub fn segments(image: &[u8]) -> Result<Vec<Segment>> {
    let header = elf::FileHeader32::<Endianness>::parse(image)
        .map_err(|error| anyhow!("not a 32-bit ELF image: {error}"))?;
    let endian = header
        .endian()
        .map_err(|error| anyhow!("not an ELF image: {error}"))?;
    let mut segments = Vec::new();
    for program in header.program_headers(endian, image)? {
        if program.p_type(endian) != elf::PT_LOAD || program.p_filesz(endian) == 0 {
            continue;
        }
        let bytes = program
            .data(endian, image)
            .map_err(|()| anyhow!("the ELF image is cut off"))?;
        segments.push(Segment {
            address: program.p_paddr(endian),
            bytes: bytes.to_vec(),
        });
    }
    segments.sort_by_key(|segment| segment.address);
    Ok(segments)
}

/// The UF2 file for a chip of this family.
pub fn convert(segments: &[Segment], family: u32) -> Result<Vec<u8>> {
    let pages = pages(segments)?;
    let mut file = Vec::with_capacity(pages.len() * BLOCK);
    for (index, (address, payload)) in pages.iter().enumerate() {
        let words = [
            MAGIC[0],
            MAGIC[1],
            FAMILY_ID_PRESENT,
            *address,
            PAYLOAD as u32,
            index as u32,
            pages.len() as u32,
            family,
        ];
        for word in words {
            file.extend(word.to_le_bytes());
        }
        file.extend(payload);
        file.resize((index + 1) * BLOCK - 4, 0);
        file.extend(MAGIC[2].to_le_bytes());
    }
    Ok(file)
}

/// Whole pages of flash, filled up with zeros.
fn pages(segments: &[Segment]) -> Result<Vec<(u32, [u8; PAYLOAD])>> {
    let mut pages: Vec<(u32, [u8; PAYLOAD])> = Vec::new();
    for segment in segments {
        for (index, byte) in segment.bytes.iter().enumerate() {
            let Some(at) = segment.address.checked_add(index as u32) else {
                bail!("a segment of the image lies beyond the end of memory");
            };
            let page = at - at % PAYLOAD as u32;
            match pages.last() {
                Some((last, _)) if *last == page => {}
                Some((last, _)) if *last > page => bail!("segments of the image overlap"),
                _ => pages.push((page, [0; PAYLOAD])),
            }
            if let Some((_, payload)) = pages.last_mut() {
                payload[(at - page) as usize] = *byte;
            }
        }
    }
    if pages.is_empty() {
        bail!("the image holds nothing to flash");
    }
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(file: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(file[at..at + 4].try_into().unwrap())
    }

    #[test]
    fn pages_are_whole_and_numbered() {
        let segments = [
            Segment {
                address: 0x1000_0000,
                bytes: vec![1; 300],
            },
            Segment {
                address: 0x1000_0150,
                bytes: vec![2; 4],
            },
            Segment {
                address: 0x1000_1000,
                bytes: vec![3],
            },
        ];
        let file = convert(&segments, 0xe48b_ff56).unwrap();
        assert_eq!(file.len(), 3 * BLOCK);
        let starts = [0x1000_0000, 0x1000_0100, 0x1000_1000];
        for (index, start) in starts.into_iter().enumerate() {
            let block = &file[index * BLOCK..][..BLOCK];
            assert_eq!((word(block, 0), word(block, 4)), (MAGIC[0], MAGIC[1]));
            assert_eq!((word(block, 8), word(block, 12)), (0x2000, start));
            assert_eq!((word(block, 16), word(block, 20)), (256, index as u32));
            assert_eq!((word(block, 24), word(block, 28)), (3, 0xe48b_ff56));
            assert_eq!(word(block, 508), MAGIC[2]);
        }
        let second = &file[BLOCK + 32..];
        assert_eq!((second[43], second[44], second[0x50]), (1, 0, 2));
    }

    #[test]
    fn what_cannot_be_flashed_is_refused() {
        assert!(convert(&[], 0).is_err());
        let segment = |address, length| Segment {
            address,
            bytes: vec![0; length],
        };
        assert!(convert(&[segment(0x1000, 600), segment(0x1000, 4)], 0).is_err());
        assert!(convert(&[segment(u32::MAX, 2)], 0).is_err());
        assert!(segments(b"\x7fELF nonsense").is_err());
    }
}
