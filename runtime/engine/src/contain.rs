//! Panics of tract on bad input become errors.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs code that may panic on bad input and turns a panic into a message, without a word on stderr.
///
/// Needs unwinding: in a build with `panic = "abort"` a panic still ends the process.
pub fn contain<T>(run: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let outer = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if CONTAINED.get() {
                let message = info.payload_as_str().unwrap_or("no message").to_owned();
                PANIC.with_borrow_mut(|panic| *panic = Some(message));
            } else {
                outer(info);
            }
        }));
    });
    let before = CONTAINED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    CONTAINED.set(before);
    result.unwrap_or_else(|_| {
        let message = PANIC.with_borrow_mut(Option::take).unwrap_or_default();
        Err(format!("the engine gave up on this file ({message})"))
    })
}
