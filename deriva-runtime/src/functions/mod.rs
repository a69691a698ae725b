//! The functions that recipes apply: a registry of them, a way to make one from a closure, and the
//! built-in library.
//!
//! A [`FunctionRegistry`] is a plain value. Whoever builds a runtime fills one, usually starting from
//! [`FunctionRegistry::builtin`]. An [`FnFunction`] declares its inputs and params once; what a call
//! has to look like is checked from that declaration alone, so no function checks by hand.

mod arity;
mod builtin;
mod fn_function;
mod registry;

pub use arity::Arity;
pub use fn_function::{Body, FnFunction, Within};
pub use registry::FunctionRegistry;
