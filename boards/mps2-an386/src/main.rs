//! The wink image for the MPS2 with a Cortex-M4, a board that is emulated more often than held. The README has its ports.

#![no_std]
#![no_main]

mod chip;

use core::convert::Infallible;
use core::panic::PanicInfo;

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{NVIC, SYST};
use cortex_m::singleton;
use cortex_m_rt::{entry, exception};
use defmt_rtt as _;
use wink_firmware::Core;
use wink_image::{BusLine, ByteRing, ControlLoop, Meter, Port, TickClock, arm, serve};

use chip::{CORE_MHZ, CmsdkUart, Interrupt, Watchdog, interrupt};

type Servos = arm::ArmServos<BusLine<256, 256>>;

const HOST_BAUD: u32 = 1_000_000;
const SERVO_BAUD: u32 = 1_000_000;
/// A loop that does not come round for so long has the board started anew.
const WATCHDOG_MS: u32 = 250;

static CLOCK: TickClock = TickClock::new(250);
static HOST_RX: ByteRing<512> = ByteRing::new();
static HOST_TX: ByteRing<1024> = ByteRing::new();
static SERVO_RX: ByteRing<256> = ByteRing::new();
static SERVO_TX: ByteRing<256> = ByteRing::new();
#[unsafe(no_mangle)]
static WINK_METER: Meter = Meter::new();

#[entry]
fn main() -> ! {
    let Err(why) = run();
    defmt::error!("cannot start: {=str}", why);
    stop()
}

fn run() -> Result<Infallible, &'static str> {
    let mut processor = cortex_m::Peripherals::take().ok_or("the processor is taken")?;
    CmsdkUart::HOST.start(HOST_BAUD);
    CmsdkUart::SERVO.start(SERVO_BAUD);
    // SAFETY: nothing relies on these interrupts being masked, nor on their priorities. The servos' come first: a byte of
    // theirs waits for 10 us only.
    unsafe {
        for interrupt in [Interrupt::UART1_RX, Interrupt::UART1_TX] {
            processor.NVIC.set_priority(interrupt, 0x20);
            NVIC::unmask(interrupt);
        }
        for interrupt in [Interrupt::UART0_RX, Interrupt::UART0_TX] {
            processor.NVIC.set_priority(interrupt, 0x40);
            NVIC::unmask(interrupt);
        }
    }
    processor.SYST.set_clock_source(SystClkSource::Core);
    processor.SYST.set_reload(CLOCK.reload(CORE_MHZ));
    processor.SYST.clear_current();
    processor.SYST.enable_counter();
    processor.SYST.enable_interrupt();

    let watchdog = Watchdog::start(WATCHDOG_MS);

    defmt::info!(
        "wink for {=str}: {=usize} servos, a tick every {=u32} us",
        arm::NAME,
        arm::SERVOS.len(),
        arm::PERIOD_US
    );

    let mut host = Port::new(&HOST_RX, &HOST_TX, || NVIC::pend(Interrupt::UART0_TX));
    let mut control = ControlLoop::new(core(), servos(), now_us, &WINK_METER);
    control.run(&mut host, || watchdog.feed(), cortex_m::asm::wfi)
}

/// The firmware core, where it stays.
// Functions of their own, so that what it takes to make these is gone from the stack when the loop runs.
#[inline(never)]
fn core() -> &'static mut Core {
    let made = || arm::core(env!("CARGO_PKG_NAME")).unwrap_or_else(|_| stop());
    singleton!(: Core = made()).unwrap_or_else(|| stop())
}

/// The servos, where they stay.
#[inline(never)]
fn servos() -> &'static mut Servos {
    let port = Port::new(&SERVO_RX, &SERVO_TX, || NVIC::pend(Interrupt::UART1_TX));
    let line = BusLine::new(port, now_us, &WINK_METER.waited_us);
    let made = || arm::servos(line, cfg!(feature = "echo")).unwrap_or_else(|_| stop());
    singleton!(: Servos = made()).unwrap_or_else(|| stop())
}

fn now_us() -> u64 {
    CLOCK.now_us(CORE_MHZ, SYST::get_current)
}

// Receive and transmit have an interrupt each, of the same priority, so that they do not interrupt each other.

#[interrupt]
fn UART0_RX() {
    serve_host();
}

#[interrupt]
fn UART0_TX() {
    serve_host();
}

#[interrupt]
fn UART1_RX() {
    serve_servos();
}

#[interrupt]
fn UART1_TX() {
    serve_servos();
}

fn serve_host() {
    let mut uart = CmsdkUart::HOST;
    uart.acknowledge();
    serve(&mut uart, &HOST_RX, &HOST_TX);
}

fn serve_servos() {
    let mut uart = CmsdkUart::SERVO;
    uart.acknowledge();
    serve(&mut uart, &SERVO_RX, &SERVO_TX);
}

/// Counts time, and ends the loop's wait.
#[exception]
fn SysTick() {
    CLOCK.count();
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    if let Some(place) = info.location() {
        defmt::error!("panicked at {=str}:{=u32}", place.file(), place.line());
    }
    stop()
}

/// The servos keep their torque and their last goals. The watchdog starts the board anew, which touches neither.
fn stop() -> ! {
    cortex_m::interrupt::disable();
    loop {
        core::hint::spin_loop();
    }
}
