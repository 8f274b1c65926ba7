#!/usr/bin/env python3
"""Says whether a panic can be reached from functions of a Cortex-M image.

    reach.py IMAGE.elf ROOT...      ROOT: (part of) a function's name, such as ControlLoop

Follows calls and jumps, and every word or move that holds a function's address, so it finds too much rather than too little.
Exits 1 with the way to the panic, 2 when a root is not there. Needs the symbol table that release images keep.
"""
import struct
import sys

PANICS = ("core::panicking", "core9panicking", "panic_impl", "rust_begin_unwind", "panic_bounds_check", "panic_const")


def read_elf(path):
    data = open(path, "rb").read()
    if data[:5] != b"\x7fELF\x01":
        sys.exit(f"{path}: not a 32-bit ELF image")
    offset, = struct.unpack_from("<I", data, 32)
    size, count, _ = struct.unpack_from("<HHH", data, 46)
    sections = [struct.unpack_from("<10I", data, offset + index * size) for index in range(count)]
    symbols = {}
    for section in sections:
        if section[1] != 2:
            continue
        names = sections[section[6]][4]
        for at in range(section[4], section[4] + section[5], 16):
            name, value, length, info, _, _ = struct.unpack_from("<IIIBBH", data, at)
            end = data.index(b"\0", names + name)
            if info & 15 in (1, 2) and length:
                symbols[value & ~1] = (data[names + name:end].decode(), length, info & 15 == 2)

    def memory(address, length):
        for section in sections:
            if section[1] == 1 and section[3] <= address and address + length <= section[3] + section[5]:
                start = section[4] + address - section[3]
                return data[start:start + length]
        return b""

    return symbols, memory


def targets(address, code):
    """Addresses that this code calls, jumps to or holds."""
    halves = struct.unpack(f"<{len(code) // 2}H", code[: len(code) // 2 * 2])
    found = set()
    low = {}
    for index, half in enumerate(halves):
        at = address + 2 * index
        if index + 1 < len(halves):
            second = halves[index + 1]
            if half >> 11 == 0b11110 and second >> 14 in (2, 3) and second & 0x1000:
                # BL and B.W
                sign = half >> 10 & 1
                i1, i2 = (~((second >> shift & 1) ^ sign) & 1 for shift in (13, 11))
                way = sign << 24 | i1 << 23 | i2 << 22 | (half & 0x3FF) << 12 | (second & 0x7FF) << 1
                found.add(at + 4 + way - (sign << 25))
            if half & 0xFBF0 in (0xF240, 0xF2C0):
                # MOVW and MOVT
                value = (half & 15) << 12 | (half >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | second & 255
                register = second >> 8 & 15
                if half & 0xFBF0 == 0xF240:
                    low[register] = value
                elif register in low:
                    found.add(value << 16 | low[register])
        if half >> 12 == 0b1101 and half >> 8 & 15 < 14:
            way = half & 255
            found.add(at + 4 + 2 * (way - 256 if way > 127 else way))
        if half >> 11 == 0b11100:
            way = half & 0x7FF
            found.add(at + 4 + 2 * (way - 2048 if way > 1023 else way))
    # Words in the code: addresses of functions, of tables, of constants.
    aligned = code[-address % 4:]
    found.update(struct.unpack(f"<{len(aligned) // 4}I", aligned[: len(aligned) // 4 * 4]))
    return {target & ~1 for target in found}


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    symbols, memory = read_elf(sys.argv[1])
    way = {}
    for root in sys.argv[2:]:
        roots = [address for address, (name, _, function) in symbols.items() if function and root in name]
        if not roots:
            print(f"{sys.argv[1]}: no function is called like {root}", file=sys.stderr)
            sys.exit(2)
        way.update(dict.fromkeys(roots))
    starts = sorted(symbols)
    waiting = list(way)
    while waiting:
        address = waiting.pop()
        name, length, function = symbols[address]
        if any(panic in name for panic in PANICS):
            trail = []
            while address is not None:
                trail.append(symbols[address][0])
                address = way[address]
            print("a panic can be reached:\n  " + "\n  -> ".join(reversed(trail)))
            sys.exit(1)
        body = memory(address, length)
        if function:
            next_ones = targets(address, body)
        else:
            next_ones = {word & ~1 for word in struct.unpack(f"<{len(body) // 4}I", body[: len(body) // 4 * 4])}
        for target in next_ones:
            if target in symbols and target not in way:
                way[target] = address
                waiting.append(target)
    functions = sum(1 for address in way if symbols[address][2])
    print(f"no panic can be reached from {', '.join(sys.argv[2:])}: {functions} functions looked at, of {len(starts)} symbols")


main()
