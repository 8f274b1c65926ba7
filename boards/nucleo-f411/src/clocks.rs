//! The processor's clock: 84 MHz from the internal oscillator.

use stm32f4xx_hal::pac;
use stm32f4xx_hal::rcc::{Config, Rcc, RccExt};

/// Clock of the processor and of APB2; APB1 has half of it.
pub const CORE_MHZ: u32 = 84;
/// The internal oscillator, which both boards have and no solder bridge changes. Trimmed to 1% at room temperature, it is
/// good enough for the UARTs.
const HSI_MHZ: u32 = 16;

/// Looks at a ready bit before it is no longer waited for: the PLL locks within 300 us.
const PATIENCE: u32 = 20_000;

/// The rate to ask of the HAL, which believes in the internal oscillator, for a UART on APB1 to run at `baud`.
pub const fn apb1_baud(baud: u32) -> u32 {
    baud / (CORE_MHZ / 2) * HSI_MHZ
}

/// The same for a UART on APB2.
pub const fn apb2_baud(baud: u32) -> u32 {
    baud / CORE_MHZ * HSI_MHZ
}

/// Starts the PLL: 16 MHz / 8 * 168 / 4 = 84 MHz, the most that the voltage regulator's setting after reset allows.
///
/// The HAL would wait for ever for a PLL that does not lock. Here the board goes on, at a fifth of its speed and so at baud
/// rates that nobody understands: it is mute and moves nothing. In QEMU, which has no PLL, it goes on as well.
pub fn start(rcc: pac::RCC, flash: &pac::FLASH) -> Rcc {
    let rcc = rcc.freeze(Config::hsi());
    rcc.pllcfgr().modify(|_, w| {
        w.pllsrc().hsi();
        w.pllp().div4();
        // SAFETY: dividers and factor are within the ranges of the reference manual (RM0383, 6.3.2).
        unsafe {
            w.pllm().bits(8);
            w.plln().bits(168);
            w.pllq().bits(7)
        }
    });
    rcc.cr().modify(|_, w| w.pllon().on());
    wait_for(|| rcc.cr().read().pllrdy().is_ready());
    // SAFETY: two wait states are what 84 MHz needs at 2.7 to 3.6 V (RM0383, table 5).
    flash.acr().modify(|_, w| unsafe { w.latency().bits(2) });
    rcc.cfgr().modify(|_, w| {
        w.ppre1().div2();
        w.sw().pll()
    });
    wait_for(|| rcc.cfgr().read().sws().is_pll());
    rcc
}

fn wait_for(ready: impl Fn() -> bool) {
    for _ in 0..PATIENCE {
        if ready() {
            return;
        }
    }
}
