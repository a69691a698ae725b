//! deriva-runtime
