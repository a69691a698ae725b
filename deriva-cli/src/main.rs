//! deriva-cli
fn main() {}
