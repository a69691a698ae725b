//! `deriva man`.

use clap::CommandFactory;
use deriva::api::Error;

use crate::args::Cli;
use crate::exit::Outcome;
use crate::term::Out;

/// Prints the manual page, with every verb.
pub(crate) fn man(out: &mut Out) -> Outcome {
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
    out.bytes(&page)
}
