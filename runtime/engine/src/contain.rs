//! Panics of tract on bad input become errors.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Runs code that may panic on bad input and turns a panic into a message.
///
/// The panic hook still runs, which by default writes to stderr: a program that wants none of that calls [`quiet_panics`] first.
/// Needs unwinding: in a build with `panic = "abort"` a panic still ends the process.
///
/// # Errors
/// What `run` says, or the message of its panic.
pub fn contain<T>(run: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let before = CONTAINED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    CONTAINED.set(before);
    result.unwrap_or_else(|panic| {
        let message = message(&*panic);
        Err(format!("the engine gave up on this file ({message})"))
    })
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// Keeps panics that [`contain`] turns into errors from the hook that is installed now. For programs: it replaces the hook of the
/// whole process.
pub fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let outer = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !CONTAINED.get() {
                outer(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_message() {
        let fixed = contain(|| -> Result<(), String> { panic!("fixed") });
        assert_eq!(
            fixed.unwrap_err(),
            "the engine gave up on this file (fixed)"
        );
        let made = contain(|| -> Result<(), String> { panic!("made {}", 1) });
        assert_eq!(
            made.unwrap_err(),
            "the engine gave up on this file (made 1)"
        );
        assert_eq!(contain(|| Ok(3)), Ok(3));
        assert!(!CONTAINED.get());
    }
}
