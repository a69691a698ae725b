//! deriva-backends
