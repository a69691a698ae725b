//! The guard around foreign code: functions, executors, and what they give and hold.
//!
//! Foreign code may panic where it is called, where what it gave is let go of, and where the payload of its
//! panic is. On a thread of a pool such a panic would end the process. So whatever is foreign is called, and
//! let go of, inside [`guarded`], and comes out as an error.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use deriva_api::{Bytes, CallContext, ComputeFunction, Error, ErrorKind, Params, Result};
use futures::FutureExt;

/// Calls a function. A panic in it becomes an error; either names the function.
///
/// The output is the runtime's own: it is held, cached and let go of anywhere, so no owner that the function
/// made for its bytes may come along ([`own`]).
pub(crate) fn invoke(
    function: &dyn ComputeFunction,
    inputs: &[Bytes],
    params: &Params,
) -> Result<Bytes> {
    called(function, inputs, params, || function.call(inputs, params))
}

/// As [`invoke`], of a function that may ask the context whether it is still wanted.
pub(crate) fn invoke_within(
    function: &dyn ComputeFunction,
    inputs: &[Bytes],
    params: &Params,
    context: &CallContext,
) -> Result<Bytes> {
    called(function, inputs, params, || {
        function.call_within(inputs, params, context)
    })
}

#[inline]
fn called(
    function: &dyn ComputeFunction,
    inputs: &[Bytes],
    params: &Params,
    call: impl FnOnce() -> Result<Bytes>,
) -> Result<Bytes> {
    let work = || {
        function.check(inputs.len(), params)?;
        call().map(|output| own(output, inputs))
    };
    let called = guarded(ErrorKind::Function, "the function panicked", work);
    called
        .and_then(|output| output)
        .map_err(|error| error.with("function", function.id()))
}

/// Asks a function whether it takes this number of inputs and these params, as [`invoke`] does.
pub(crate) fn check(function: &dyn ComputeFunction, inputs: usize, params: &Params) -> Result<()> {
    let work = || function.check(inputs, params);
    let checked = guarded(ErrorKind::Function, "the function panicked", work);
    checked
        .and_then(|checked| checked)
        .map_err(|error| error.with("function", function.id()))
}

/// Does what may panic, as may the end of what it takes with it: then it is an error.
pub(crate) fn guarded<T>(
    kind: ErrorKind,
    message: &'static str,
    work: impl FnOnce() -> T,
) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| panicked(kind, message, panic))
}

/// As [`guarded`], of what is awaited.
pub(crate) async fn guarded_async<T>(
    kind: ErrorKind,
    message: &'static str,
    work: impl Future<Output = T>,
) -> Result<T> {
    let ended = AssertUnwindSafe(work).catch_unwind().await;
    ended.map_err(|panic| panicked(kind, message, panic))
}

/// Lets go of what may panic while it goes; nobody is left to be told.
pub(crate) fn let_go<T>(of: T) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(of))) {
        // Its end might panic as well, and so on: a leak is better than that.
        std::mem::forget(again);
    }
}

/// The error of a panic, whose payload is let go of.
fn panicked(kind: ErrorKind, message: &'static str, panic: Box<dyn Any + Send>) -> Error {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let error = Error::new(kind, message).with("panic", text.unwrap_or("no message"));
    let_go(panic);
    error
}

/// The same bytes without an owner that a function made for them.
///
/// Bytes that nobody shares lie in memory of their own; those of an input become a part of that input. The
/// rest is copied: static bytes, what the function keeps a share of, and what has an owner of a foreign type,
/// which cannot be told apart. That costs one pass over such outputs; functions that return what they have just
/// made, or a part of an input, pay nothing.
fn own(output: Bytes, inputs: &[Bytes]) -> Bytes {
    if output.is_unique() {
        return output;
    }
    let part = output.as_ptr_range();
    let holds = |input: &&Bytes| {
        let whole = input.as_ptr_range();
        whole.start <= part.start && part.end <= whole.end
    };
    match inputs.iter().find(holds) {
        Some(input) => input.slice_ref(&output),
        None => Bytes::copy_from_slice(&output),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes whose owner panics when it goes.
    struct Owner(Vec<u8>);

    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    impl Drop for Owner {
        fn drop(&mut self) {
            panic!("the owner");
        }
    }

    #[test]
    fn an_output_has_no_owner_of_the_functions() {
        let input = Bytes::from(b"some input".to_vec());
        let inputs = std::slice::from_ref(&input);
        let fresh = Bytes::from(b"fresh".to_vec());
        let at = fresh.as_ptr();
        assert_eq!(own(fresh, inputs).as_ptr(), at, "not copied");
        let part = own(input.slice(5..), inputs);
        assert_eq!(part.as_ptr(), input[5..].as_ptr(), "not copied");
        let kept = Bytes::from(b"kept".to_vec());
        let copy = own(kept.clone(), inputs);
        assert!(copy == kept && copy.is_unique());
        let around = Bytes::from_owner(Owner(b"x".to_vec()));
        let owned = guarded(ErrorKind::Function, "panicked", || own(around, inputs));
        assert_eq!(owned.unwrap_err().context("panic"), Some("the owner"));
        assert!(own(Bytes::new(), &[]).is_empty());
    }
}
