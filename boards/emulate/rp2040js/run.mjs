// A Raspberry Pi Pico that runs only when told to. On standard input come orders, on standard output go answers; numbers are
// 32 bits, little-endian.
//
//   1 load  address, length, bytes
//   2 reset
//   3 run   microseconds at most, length, bytes for UART0 (the host), count, { after so many microseconds, byte } for UART1
//           (the servos)                       -> microseconds passed, length, bytes from UART0, length, bytes from UART1
//   4 peek  address, length                    -> bytes
//   5 jump  address: the program goes on from there
//
// A run ends early once the board has sent a packet on UART1, so that the answer comes in time.
import { readSync, writeSync } from 'node:fs';
import { RP2040 } from 'rp2040js';

const FLASH = 0x10000000;
const VECTORS = FLASH + 0x100; // after the second stage of the boot loader
const SILENCE_NS = 5_000; // the board writes a packet's bytes faster than that
const BYTE_NS = 10_000; // one byte at 1 Mbaud

console.log = console.info = console.warn = () => {};

const image = [];
let mcu, hostOut, servoOut, servoIn, hostIn, hostDue, quietAt;

function reset() {
  mcu = new RP2040();
  mcu.logger = { debug() {}, info() {}, warn() {}, error: (part, text) => console.error(part, text) };
  for (const { address, bytes } of image) mcu.flash.set(bytes, address - FLASH);
  mcu.core.VTOR = VECTORS;
  mcu.core.reset();
  mcu.watchdogBit = false;
  const watchdog = mcu.peripherals[0x40058];
  watchdog.onWatchdogTrigger = () => {
    mcu.watchdogBit = true;
    watchdog.timer.enable = false; // else rp2040js lets it bite again at once, for ever
  };
  [hostOut, servoOut, servoIn, hostIn, hostDue, quietAt] = [[], [], [], [], 0, Infinity];
  mcu.uart[0].onByte = (byte) => hostOut.push(byte);
  mcu.uart[1].onByte = (byte) => {
    servoOut.push(byte);
    quietAt = mcu.clock.nanos + SILENCE_NS;
  };
}

function run(limitNs) {
  const { core, clock } = mcu;
  const start = clock.nanos;
  const end = start + limitNs;
  quietAt = Infinity;
  while (clock.nanos < end && clock.nanos < quietAt && !mcu.watchdogBit) {
    while (servoIn.length && servoIn[0].at <= clock.nanos) mcu.uart[1].feedByte(servoIn.shift().byte);
    if (hostIn.length && hostDue <= clock.nanos) {
      mcu.uart[0].feedByte(hostIn.shift());
      hostDue = Math.max(hostDue, clock.nanos - BYTE_NS) + BYTE_NS;
    }
    const next = Math.min(end, servoIn.length ? servoIn[0].at : end, hostIn.length ? hostDue : end);
    if (core.waiting) {
      const { nanosToNextAlarm } = clock;
      const left = next - clock.nanos;
      clock.tick(nanosToNextAlarm > 0 ? Math.min(nanosToNextAlarm, left) : left);
      // rp2040js does not wake a waiting processor up for its SysTick.
      if (core.interruptsUpdated && core.checkForInterrupts()) core.waiting = false;
    } else {
      const cycleNs = 1e9 / mcu.clkSys;
      while (!core.waiting && clock.nanos < next && clock.nanos < quietAt) {
        clock.tick(core.executeInstruction() * cycleNs);
      }
    }
  }
  const passed = clock.nanos - start;
  if (mcu.watchdogBit) reset();
  return passed;
}

function take(length) {
  const buffer = Buffer.alloc(length);
  for (let count = 0; count < length; ) {
    const more = readSync(0, buffer, count, length - count, null);
    if (more === 0) process.exit(0);
    count += more;
  }
  return buffer;
}

const number = () => take(4).readUInt32LE();

function say(...parts) {
  const out = Buffer.concat(
    parts.map((part) => {
      if (typeof part !== 'number') return part;
      const word = Buffer.alloc(4);
      word.writeUInt32LE(part);
      return word;
    }),
  );
  for (let count = 0; count < out.length; ) count += writeSync(1, out, count);
}

let residueNs = 0; // what a run took beyond whole microseconds
const orders = {
  1: () => {
    const address = number();
    image.push({ address, bytes: take(number()) });
  },
  2: reset,
  3: () => {
    const limitNs = number() * 1000;
    hostIn.push(...take(number()));
    for (let count = number(); count > 0; count--) {
      const at = mcu.clock.nanos + number() * 1000;
      servoIn.push({ at, byte: number() });
    }
    servoIn.sort((a, b) => a.at - b.at);
    const passedNs = run(limitNs) + residueNs;
    const us = Math.floor(passedNs / 1000);
    residueNs = passedNs - us * 1000;
    say(us, hostOut.length, Buffer.from(hostOut), servoOut.length, Buffer.from(servoOut));
    [hostOut, servoOut] = [[], []];
  },
  4: () => {
    const address = number();
    say(Buffer.from(Array.from({ length: number() }, (_, index) => mcu.readUint8(address + index))));
  },
  5: () => {
    mcu.core.PC = number() & ~1; // the lowest bit says that it is Thumb code
    mcu.core.waiting = false;
  },
};

for (;;) orders[number()]();
