//! `deriva completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::Outcome;
use crate::term::Out;

/// Prints a script that completes the command in a shell.
pub(crate) fn completions(shell: Shell, out: &mut Out) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "deriva", &mut script);
    out.bytes(&script)
}
