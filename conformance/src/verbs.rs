//! What the command does.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use conformance::check::{Check, Step};
use conformance::stacks::{STACKS, Stack};
use conformance::stores::Store;
use conformance::{reference, report};
use deriva_api::{Error, ErrorKind, Result};
use deriva_testkit::{Level, Outcome, Suite};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::{CheckArgs, Report};
use crate::scratch::Scratch;

/// Runs the cases and reports; answers whether nothing failed.
pub(crate) fn check(args: &CheckArgs) -> Result<bool> {
    let check = asked(args)?;
    let scratch = Scratch::new()?;
    let bar = progress_bar(check.steps());
    // What a case says when it fails is in the report.
    std::panic::set_hook(Box::new(|_| {}));
    let mut failed = 0;
    let results = check.run(
        scratch.path(),
        |Step {
             store,
             case,
             outcome,
         }| {
            failed += usize::from(outcome == Outcome::Failed);
            let broken = match failed {
                0 => String::new(),
                n => format!("{n} failed, "),
            };
            bar.set_message(format!("{broken}{store} {case}"));
            bar.inc(1);
        },
    );
    drop(std::panic::take_hook());
    bar.finish_and_clear();
    let results = results?;
    let colour = args.output.is_none() && coloured();
    let text = match args.report {
        Report::Table => report::table(&results, colour),
        Report::Json => report::json(&results),
        Report::Junit => report::junit(&results)?,
        Report::Html => report::html(&results),
    };
    match &args.output {
        None => print(&text)?,
        Some(file) => write(file, &text)?,
    }
    Ok(results.held())
}

/// Prints the cases.
pub(crate) fn list(json: bool) -> Result<bool> {
    print(&match json {
        true => reference::json(),
        false => reference::list(),
    })?;
    Ok(true)
}

/// What the arguments ask for.
fn asked(args: &CheckArgs) -> Result<Check> {
    let all = |list: &[String]| list.iter().any(|name| name == "all");
    let stores = match args.stores.as_slice() {
        [] => Store::compiled_in(),
        names if all(names) => Store::every(),
        names => names
            .iter()
            .map(|name| name.parse())
            .collect::<Result<_>>()?,
    };
    let stacks = match all(&args.layers) {
        true => STACKS.to_vec(),
        false => args
            .layers
            .iter()
            .map(|name| Stack::named(name))
            .collect::<Result<_>>()?,
    };
    let levels = match all(&args.level) {
        true => Level::ALL.to_vec(),
        false => args
            .level
            .iter()
            .map(|name| name.parse())
            .collect::<Result<_>>()?,
    };
    let prove = args.cases.is_empty() && levels.contains(&Level::Durability);
    let program = || std::env::current_exe().map_err(Error::io);
    let prover = prove.then(program).transpose()?;
    let suite = Suite::new().levels(&levels);
    let suite = match args.cases.is_empty() {
        true => suite,
        false => suite.cases(&args.cases)?,
    };
    let check = Check {
        stores,
        stacks,
        suite,
        prover,
    };
    match check.steps() {
        0 => Err(
            Error::new(ErrorKind::Invalid, "no case of these is at this level")
                .hint("`list` tells the level of each case; leave out --level for all of them"),
        ),
        _ => Ok(check),
    }
}

/// A bar on stderr, where that is a terminal.
pub(crate) fn progress_bar(steps: usize) -> ProgressBar {
    const TEMPLATE: &str = "{spinner:.cyan} [{bar:30.cyan/dim}] {pos}/{len}  {elapsed}  {wide_msg}";
    // Hidden by itself where stderr is no terminal.
    let bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stderr());
    // The template is a constant; a bar without style is no reason to fail.
    if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(120));
    bar
}

/// Whether stdout is a terminal that shows colours, and they are wanted.
fn coloured() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stdout().is_terminal() && !set("NO_COLOR") && !dumb
}

/// Prints a text. That nobody reads it is no failure.
pub(crate) fn print(text: &str) -> Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::io(error).with("file", "stdout"))
        }
        _ => Ok(()),
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).map_err(|source| {
        Error::io(source)
            .with("file", file.display())
            .hint("give a file that can be written to")
    })
}
