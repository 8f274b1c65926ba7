//! The image of both Picos, for the crate's own HAL and clock. Pins and wiring stand in the README.

use core::cell::Cell;
use core::convert::Infallible;
use core::panic::PanicInfo;

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{NVIC, SYST};
use cortex_m::singleton;
use cortex_m_rt::exception;
use critical_section::Mutex;
use defmt_rtt as _;
use wink_firmware::Core;
use wink_image::{BusLine, ByteRing, ControlLoop, Meter, Port, TickClock, arm, serve};

use crate::CORE_MHZ;
use crate::hal::clocks::init_clocks_and_plls;
use crate::hal::fugit::{ExtU32, RateExtU32};
use crate::hal::gpio::bank0::{Gpio0, Gpio1, Gpio4, Gpio5};
use crate::hal::gpio::{FunctionUart, Pin, Pins, PullDown, PullUp};
use crate::hal::pac::{self, Interrupt, interrupt};
use crate::hal::uart::{DataBits, StopBits, UartConfig, UartPeripheral};
use crate::hal::{Clock, Sio, Watchdog, entry};
use crate::uart::IrqUart;

const CRYSTAL_HZ: u32 = 12_000_000;
type Servos = arm::ArmServos<BusLine<256, 256>>;

const HOST_BAUD: u32 = 1_000_000;
const SERVO_BAUD: u32 = 1_000_000;
/// A loop that does not come round for so long has the board started anew.
const WATCHDOG_MS: u32 = 250;

type UartPin<I, P> = Pin<I, FunctionUart, P>;
/// An input that nobody drives must not look like bytes, so both receivers are pulled up.
type HostUart = IrqUart<pac::UART0, (UartPin<Gpio0, PullDown>, UartPin<Gpio1, PullUp>)>;
type ServoUart = IrqUart<pac::UART1, (UartPin<Gpio4, PullDown>, UartPin<Gpio5, PullUp>)>;

static CLOCK: TickClock = TickClock::new(250);
static HOST_RX: ByteRing<512> = ByteRing::new();
static HOST_TX: ByteRing<1024> = ByteRing::new();
static SERVO_RX: ByteRing<256> = ByteRing::new();
static SERVO_TX: ByteRing<256> = ByteRing::new();
static HOST_UART: Mutex<Cell<Option<HostUart>>> = Mutex::new(Cell::new(None));
static SERVO_UART: Mutex<Cell<Option<ServoUart>>> = Mutex::new(Cell::new(None));
#[unsafe(no_mangle)]
static WINK_METER: Meter = Meter::new();

#[entry]
fn main() -> ! {
    let Err(why) = run();
    defmt::error!("cannot start: {=str}", why);
    stop()
}

fn run() -> Result<Infallible, &'static str> {
    let mut chip = pac::Peripherals::take().ok_or("the peripherals are taken")?;
    let mut processor = cortex_m::Peripherals::take().ok_or("the processor is taken")?;
    let mut watchdog = Watchdog::new(chip.WATCHDOG);
    let clocks = init_clocks_and_plls(
        CRYSTAL_HZ,
        chip.XOSC,
        chip.CLOCKS,
        chip.PLL_SYS,
        chip.PLL_USB,
        &mut chip.RESETS,
        &mut watchdog,
    )
    .map_err(|_| "the clocks do not start")?;
    let rate = clocks.peripheral_clock.freq();

    let sio = Sio::new(chip.SIO);
    let pins = Pins::new(
        chip.IO_BANK0,
        chip.PADS_BANK0,
        sio.gpio_bank0,
        &mut chip.RESETS,
    );
    let config = |baud: u32| UartConfig::new(baud.Hz(), DataBits::Eight, None, StopBits::One);
    let host = (pins.gpio0.reconfigure(), pins.gpio1.reconfigure());
    let host = UartPeripheral::new(chip.UART0, host, &mut chip.RESETS)
        .enable(config(HOST_BAUD), rate)
        .map_err(|_| "the host's baud rate cannot be had")?;
    let servo = (pins.gpio4.reconfigure(), pins.gpio5.reconfigure());
    let servo = UartPeripheral::new(chip.UART1, servo, &mut chip.RESETS)
        .enable(config(SERVO_BAUD), rate)
        .map_err(|_| "the servos' baud rate cannot be had")?;
    critical_section::with(|cs| {
        HOST_UART.borrow(cs).set(Some(IrqUart::new(host)));
        SERVO_UART.borrow(cs).set(Some(IrqUart::new(servo)));
    });
    // SAFETY: nothing relies on these interrupts being masked, nor on their priorities. The servos' comes first: 32 bytes of
    // theirs wait for 320 us only.
    unsafe {
        processor.NVIC.set_priority(Interrupt::UART1_IRQ, 0x40);
        processor.NVIC.set_priority(Interrupt::UART0_IRQ, 0x80);
        NVIC::unmask(Interrupt::UART1_IRQ);
        NVIC::unmask(Interrupt::UART0_IRQ);
    }
    processor.SYST.set_clock_source(SystClkSource::Core);
    processor.SYST.set_reload(CLOCK.reload(CORE_MHZ));
    processor.SYST.clear_current();
    processor.SYST.enable_counter();
    processor.SYST.enable_interrupt();

    watchdog.start(WATCHDOG_MS.millis());

    defmt::info!(
        "wink for {=str}: {=usize} servos, a tick every {=u32} us",
        arm::NAME,
        arm::SERVOS.len(),
        arm::PERIOD_US
    );

    let mut host = Port::new(&HOST_RX, &HOST_TX, || NVIC::pend(Interrupt::UART0_IRQ));
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
    let port = Port::new(&SERVO_RX, &SERVO_TX, || NVIC::pend(Interrupt::UART1_IRQ));
    let line = BusLine::new(port, now_us, &WINK_METER.waited_us);
    let made = || arm::servos(line, cfg!(feature = "echo")).unwrap_or_else(|_| stop());
    singleton!(: Servos = made()).unwrap_or_else(|| stop())
}

fn now_us() -> u64 {
    CLOCK.now_us(CORE_MHZ, SYST::get_current)
}

#[interrupt]
fn UART0_IRQ() {
    static mut UART: Option<HostUart> = None;
    if UART.is_none() {
        *UART = critical_section::with(|cs| HOST_UART.borrow(cs).take());
    }
    if let Some(uart) = UART {
        serve(uart, &HOST_RX, &HOST_TX);
    }
}

#[interrupt]
fn UART1_IRQ() {
    static mut UART: Option<ServoUart> = None;
    if UART.is_none() {
        *UART = critical_section::with(|cs| SERVO_UART.borrow(cs).take());
    }
    if let Some(uart) = UART {
        serve(uart, &SERVO_RX, &SERVO_TX);
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
