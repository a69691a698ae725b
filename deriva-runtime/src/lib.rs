//! deriva-runtime

pub mod functions;
