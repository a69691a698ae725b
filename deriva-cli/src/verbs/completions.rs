//! `deriva completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::Outcome;
use crate::store::StoreArgs;
use crate::term::Out;

/// Print a script that completes this command in a shell
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) async fn run(&self, _: &StoreArgs, out: &mut Out) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "deriva", &mut script);
        out.bytes(&script)
    }
}
