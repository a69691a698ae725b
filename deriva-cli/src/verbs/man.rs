//! `deriva man`.

use clap::{Args, CommandFactory};
use deriva::{Error, Result};

use crate::args::Cli;
use crate::exit::Outcome;
use crate::store::StoreArgs;
use crate::term::Out;

/// Print the manual page
#[derive(Debug, Args)]
pub(crate) struct Man;

impl Man {
    pub(crate) async fn run(&self, _: &StoreArgs, out: &mut Out) -> Outcome {
        out.bytes(&page()?)
    }
}

/// The manual page, with every verb.
fn page() -> Result<Vec<u8>> {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    let write = |page: &mut Vec<u8>| {
        clap_mangen::Man::new(command.clone()).render(page)?;
        for verb in command
            .get_subcommands()
            .filter(|verb| verb.get_name() != "help")
        {
            let verb = clap_mangen::Man::new(verb.clone());
            verb.render_synopsis_section(page)?;
            verb.render_description_section(page)?;
            verb.render_options_section(page)?;
        }
        Ok::<(), std::io::Error>(())
    };
    write(&mut page).map_err(Error::io)?;
    Ok(page)
}
