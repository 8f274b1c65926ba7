//! NumPy's file format, version 1.0, as far as writing C-ordered arrays goes.
//!
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>

/// Data starts at a multiple of this, so that it can be mapped into memory.
const ALIGNMENT: usize = 64;
const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";

/// Everything before the data of an array of `shape`, whose elements are `dtype` (`|u1`, `<i8`).
pub fn header(dtype: &str, shape: &[usize]) -> Vec<u8> {
    let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let dict = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({sizes}), }}");
    let unpadded = MAGIC.len() + 2 + dict.len() + 1;
    let padding = unpadded.next_multiple_of(ALIGNMENT) - unpadded;
    let text = format!("{dict}{}\n", " ".repeat(padding));
    let mut bytes = MAGIC.to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.into_bytes());
    bytes
}

/// An integer matrix with rows of `COLUMNS`, whole.
pub fn integers<const COLUMNS: usize>(rows: &[[i64; COLUMNS]]) -> Vec<u8> {
    let mut bytes = header("<i8", &[rows.len(), COLUMNS]);
    bytes.extend(rows.iter().flatten().flat_map(|value| value.to_le_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_aligned_and_say_their_length() {
        for shape in [
            &[3_usize][..],
            &[0, 2],
            &[1_400_000, 224, 224, 3],
            &[usize::MAX; 4],
        ] {
            let bytes = header("|u1", shape);
            assert_eq!(bytes.len() % ALIGNMENT, 0);
            assert_eq!(bytes.last(), Some(&b'\n'));
            let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
            assert_eq!(length + 10, bytes.len());
        }
        // As numpy.save writes it, but for the spaces.
        let text = String::from_utf8_lossy(&header("|u1", &[5, 2])[10..]).into_owned();
        assert_eq!(
            text.trim_end(),
            "{'descr': '|u1', 'fortran_order': False, 'shape': (5, 2, ), }"
        );
    }

    #[test]
    fn integers_are_little_endian_rows() {
        let bytes = integers(&[[1, -1], [2, 0x0102]]);
        let data = &bytes[bytes.len() - 32..];
        assert_eq!(data[..9], [1, 0, 0, 0, 0, 0, 0, 0, 0xff]);
        assert_eq!(data[24..26], [2, 1]);
    }
}
