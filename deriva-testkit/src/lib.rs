//! deriva-testkit
