//! A CRC for lines that the fuzzer makes up.

/// `body` with the CRC trailer that makes it a line.
pub fn seal(body: &[u8]) -> Vec<u8> {
    let mut line = body.to_vec();
    line.extend(format!(r#","crc":"{:08x}"}}"#, crc32(body)).bytes());
    line
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |mut crc, byte| {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
        crc
    })
}
