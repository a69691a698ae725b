//! The `deriva` command; what it does is in the library beside this file.

use std::process::ExitCode;

fn main() -> ExitCode {
    deriva_cli::run()
}
