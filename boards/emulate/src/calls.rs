//! Who calls whom in an image, as far as its instructions tell.

use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

/// A function of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Function {
    name: String,
    start: u64,
    end: u64,
}

/// Calls and jumps from one function to another, by their symbols' names. A call through a pointer does not show.
pub fn calls(file: &object::File<'_>) -> Vec<(String, String)> {
    let mut functions: Vec<Function> = file
        .symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0)
        .map(|symbol| {
            // The lowest bit says that the function is in Thumb instructions.
            let start = symbol.address() & !1;
            Function {
                name: symbol.name().unwrap_or_default().to_owned(),
                start,
                end: start + symbol.size(),
            }
        })
        .collect();
    functions.sort_by_key(|function| function.start);
    let at = |address: u64| {
        let next = functions.partition_point(|function| function.start <= address);
        let function = functions.get(next.checked_sub(1)?)?;
        (address < function.end).then_some(function)
    };
    let mut calls = vec![];
    for section in file.sections() {
        let Ok(code) = section.data() else { continue };
        for caller in &functions {
            let Some(offset) = caller.start.checked_sub(section.address()) else {
                continue;
            };
            let range = offset as usize..(caller.end - section.address()) as usize;
            let Some(code) = code.get(range).filter(|_| section.size() > 0) else {
                continue;
            };
            for (target, _) in branches(code, caller.start) {
                if let Some(callee) = at(target).filter(|callee| callee.start != caller.start) {
                    calls.push((caller.name.clone(), callee.name.clone()));
                }
            }
        }
    }
    calls.sort();
    calls.dedup();
    calls
}

/// Targets of the branches with link (`BL`) and without (`B.W`) in Thumb code, with their own addresses. A word of data that
/// looks like a branch counts as one.
fn branches(code: &[u8], start: u64) -> Vec<(u64, u64)> {
    let half = |at: usize| {
        code.get(at..at + 2)
            .map(|half| u32::from(u16::from_le_bytes([half[0], half[1]])))
    };
    let mut found = vec![];
    let mut at = 0;
    while let (Some(first), second) = (half(at), half(at + 2)) {
        // Architecture reference manual ARMv7-M, A5.3: these prefixes start a 32-bit instruction.
        let wide = first >> 11 >= 0b11101;
        if let (true, Some(second)) = (first >> 11 == 0b11110, second) {
            let link = second & 0xd000 == 0xd000;
            let jump = second & 0xd000 == 0x9000;
            if link || jump {
                let sign = first >> 10 & 1;
                let i1 = 1 ^ (second >> 13 & 1) ^ sign;
                let i2 = 1 ^ (second >> 11 & 1) ^ sign;
                let raw = sign << 24
                    | i1 << 23
                    | i2 << 22
                    | (first & 0x3ff) << 12
                    | (second & 0x7ff) << 1;
                let offset = i64::from((raw << 7).cast_signed() >> 7);
                let from = start + at as u64;
                found.push(((from + 4).wrapping_add_signed(offset), from));
            }
        }
        at += if wide { 4 } else { 2 };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_are_found_forwards_and_backwards() {
        // Assembled with GNU as: nop; bl .+0x100; ldr.w r0, [r1]; b.w .-0x20; bx lr.
        let code = [
            0x00, 0xbf, 0x00, 0xf0, 0x7e, 0xf8, 0xd1, 0xf8, 0x00, 0x00, 0xff, 0xf7, 0xee, 0xbf,
            0x70, 0x47,
        ];
        let found = branches(&code, 0x1000);
        assert_eq!(found, [(0x1102, 0x1002), (0x0fea, 0x100a)]);
        assert_eq!(branches(&code[..5], 0), []);
    }
}
