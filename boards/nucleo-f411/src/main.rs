//! The wink image for STM32F411 boards. Pins and wiring stand in the README.

#![no_std]
#![no_main]

mod clocks;
mod uart;

use core::cell::Cell;
use core::convert::Infallible;
use core::panic::PanicInfo;

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{NVIC, SYST};
use cortex_m::singleton;
use cortex_m_rt::{entry, exception};
use critical_section::Mutex;
use defmt_rtt as _;
use stm32f4xx_hal::pac::{self, Interrupt, interrupt};
use stm32f4xx_hal::prelude::*;
use stm32f4xx_hal::serial::{Serial, config::Config};
use stm32f4xx_hal::watchdog::IndependentWatchdog;
use wink_firmware::Core;
use wink_image::{BusLine, ByteRing, ControlLoop, Meter, Port, TickClock, arm, serve};

use clocks::CORE_MHZ;
use uart::IrqUart;

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
static HOST_UART: Mutex<Cell<Option<IrqUart<pac::USART2>>>> = Mutex::new(Cell::new(None));
static SERVO_UART: Mutex<Cell<Option<IrqUart<pac::USART1>>>> = Mutex::new(Cell::new(None));
#[unsafe(no_mangle)]
static WINK_METER: Meter = Meter::new();

#[entry]
fn main() -> ! {
    let Err(why) = run();
    defmt::error!("cannot start: {=str}", why);
    stop()
}

fn run() -> Result<Infallible, &'static str> {
    let chip = pac::Peripherals::take().ok_or("the peripherals are taken")?;
    let mut processor = cortex_m::Peripherals::take().ok_or("the processor is taken")?;
    let mut rcc = clocks::start(chip.RCC, &chip.FLASH);

    let pins = chip.GPIOA.split(&mut rcc);
    let rate = Config::default().baudrate(clocks::apb1_baud(HOST_BAUD).bps());
    let host = Serial::new(chip.USART2, (pins.pa2, pins.pa3), rate, &mut rcc)
        .map_err(|_| "the host's baud rate cannot be had")?;
    let rate = Config::default().baudrate(clocks::apb2_baud(SERVO_BAUD).bps());
    let servo = Serial::new(chip.USART1, (pins.pa9, pins.pa10), rate, &mut rcc)
        .map_err(|_| "the servos' baud rate cannot be had")?;
    critical_section::with(|cs| {
        HOST_UART.borrow(cs).set(Some(IrqUart::new(host)));
        SERVO_UART.borrow(cs).set(Some(IrqUart::new(servo)));
    });
    // SAFETY: nothing relies on these interrupts being masked, nor on their priorities. The servos' comes first: a byte of
    // theirs waits for 10 us only.
    unsafe {
        processor.NVIC.set_priority(Interrupt::USART1, 0x10);
        processor.NVIC.set_priority(Interrupt::USART2, 0x20);
        NVIC::unmask(Interrupt::USART1);
        NVIC::unmask(Interrupt::USART2);
    }
    processor.SYST.set_clock_source(SystClkSource::Core);
    processor.SYST.set_reload(CLOCK.reload(CORE_MHZ));
    processor.SYST.clear_current();
    processor.SYST.enable_counter();
    processor.SYST.enable_interrupt();

    let mut watchdog = IndependentWatchdog::new(chip.IWDG);
    watchdog.start(WATCHDOG_MS.millis());

    defmt::info!(
        "wink for {=str}: {=usize} servos, a tick every {=u32} us",
        arm::NAME,
        arm::SERVOS.len(),
        arm::PERIOD_US
    );

    let mut host = Port::new(&HOST_RX, &HOST_TX, || NVIC::pend(Interrupt::USART2));
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
    let port = Port::new(&SERVO_RX, &SERVO_TX, || NVIC::pend(Interrupt::USART1));
    let line = BusLine::new(port, now_us, &WINK_METER.waited_us);
    let made = || arm::servos(line, cfg!(feature = "echo")).unwrap_or_else(|_| stop());
    singleton!(: Servos = made()).unwrap_or_else(|| stop())
}

fn now_us() -> u64 {
    CLOCK.now_us(CORE_MHZ, SYST::get_current)
}

#[interrupt]
fn USART1() {
    static mut UART: Option<IrqUart<pac::USART1>> = None;
    if UART.is_none() {
        *UART = critical_section::with(|cs| SERVO_UART.borrow(cs).take());
    }
    if let Some(uart) = UART {
        serve(uart, &SERVO_RX, &SERVO_TX);
    }
}

#[interrupt]
fn USART2() {
    static mut UART: Option<IrqUart<pac::USART2>> = None;
    if UART.is_none() {
        *UART = critical_section::with(|cs| HOST_UART.borrow(cs).take());
    }
    if let Some(uart) = UART {
        serve(uart, &HOST_RX, &HOST_TX);
    }
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
