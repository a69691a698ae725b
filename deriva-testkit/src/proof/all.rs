//! All proofs, as tests and as a program.

use std::fmt::Write as _;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use deriva_api::{Error, ErrorKind, Result};

use super::{Broken, Calls, Crash, Damage, Program, Prover, serve_fixture};
use crate::Fixture;
use crate::power::Power;

/// What is proved of a store that lies in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// What was acknowledged survives kills at random moments.
    Crash,
    /// A step that is cut by a kill is there as a whole or not at all.
    Calls,
    /// Damaged files make typed errors or leave answers right.
    Damage,
    /// The store declares no more than what kills and traced syncs show.
    Durability,
    /// What was acknowledged, as far as the store declares it, is there in the disk states that a loss of power may
    /// leave.
    Power,
}

/// How much is done for a proof.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Kills, for [`Proof::Crash`] and of each sort for [`Proof::Calls`].
    pub kills: u64,
    /// Damages, for [`Proof::Damage`].
    pub damages: u64,
    /// Disk states, for [`Proof::Power`].
    pub states: u64,
    /// Where chance begins.
    pub seed: u64,
}

impl Effort {
    /// What tests do: seconds for each proof.
    pub const TEST: Self = Self {
        kills: 30,
        damages: 40,
        states: 60,
        seed: 1,
    };
    /// What [`main`] does if not told otherwise: minutes.
    pub const LONG: Self = Self {
        kills: 200,
        damages: 1000,
        states: 2000,
        seed: 1,
    };
}

impl Proof {
    /// All of them, in order.
    pub const ALL: &[Self] = &[
        Self::Crash,
        Self::Calls,
        Self::Damage,
        Self::Durability,
        Self::Power,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Calls => "calls",
            Self::Damage => "damage",
            Self::Durability => "durability",
            Self::Power => "power",
        }
    }

    /// Proves it, or says after `NOT CHECKED` what could not be proved here.
    ///
    /// # Errors
    /// What was found broken.
    pub fn prove(self, prover: &Prover, effort: Effort) -> Result<String, Broken> {
        let Effort {
            kills,
            damages,
            states,
            seed,
        } = effort;
        let prover = prover.clone();
        match self {
            Self::Crash => {
                let crash = Crash {
                    prover,
                    kills,
                    seed,
                };
                Ok(crash.run(|_| {})?.to_string())
            }
            Self::Calls => {
                let calls = Calls {
                    prover,
                    kills,
                    seed,
                };
                Ok(calls.run()?.to_string())
            }
            Self::Damage if !prover.notices_damage() => {
                Ok("NOT CHECKED: the store does not declare that it notices damage".to_owned())
            }
            Self::Damage => {
                let damage = Damage {
                    prover,
                    damages,
                    seed,
                };
                Ok(damage.run(|_| {})?.to_string())
            }
            Self::Durability => durability(&prover),
            Self::Power => power(Power::new(prover, states, seed)),
        }
    }
}

fn durability(prover: &Prover) -> Result<String, Broken> {
    let proved = prover.durability()?;
    let (declared, class) = (proved.declared, proved.class);
    let told = format!("declared: {declared}; proved: {class}: {}", proved.evidence);
    match proved.is_honest() {
        true => Ok(told),
        false => Err(Broken::new(told)),
    }
}

fn power(power: Power) -> Result<String, Broken> {
    match power.run(|_| {})? {
        Err(why) => Ok(format!("NOT CHECKED: {why}")),
        Ok(report) if report.held() => Ok(report.to_string().trim_end().to_owned()),
        Ok(report) => Err(Broken::new(report.to_string())),
    }
}

/// The proof as the test of this path, whose binary starts itself to be killed.
#[doc(hidden)]
#[allow(clippy::panic, reason = "a test fails by a panic")]
pub fn test<F: Fixture + 'static>(path: &str, proof: Proof, fixture: impl FnOnce() -> F) {
    let fixture: Arc<dyn Fixture> = Arc::new(fixture());
    serve_fixture(fixture.clone());
    let program = match Program::this_test(path) {
        Ok(program) => program,
        Err(error) => panic!("{error}"),
    };
    match proof.prove(&Prover::of_fixture(fixture, program), Effort::TEST) {
        Err(broken) => panic!("{broken}"),
        // Past the capture of test output: something was not learned.
        Ok(told) if told.contains("NOT CHECKED") => say(&format!("{path}: {told}")),
        Ok(_) => {}
    }
}

/// The proofs as a program: `fn main() -> ExitCode { deriva_testkit::proof::main(MyFixture::new()) }`. Its arguments
/// name proofs, if not all are wanted, and set `--kills`, `--damages`,
/// `--states` and `--seed`. 0: all held.
pub fn main(fixture: impl Fixture + 'static) -> ExitCode {
    let fixture: Arc<dyn Fixture> = Arc::new(fixture);
    serve_fixture(fixture.clone());
    let asked = asked(std::env::args().skip(1)).and_then(|asked| Ok((asked, Program::this()?)));
    let ((proofs, effort), program) = match asked {
        Ok(asked) => asked,
        Err(error) => {
            say(&format!("{error}"));
            return ExitCode::from(2);
        }
    };
    let prover = Prover::of_fixture(fixture, program);
    let mut held = true;
    for proof in proofs {
        let told = match proof.prove(&prover, effort) {
            Ok(told) => told,
            Err(broken) => {
                held = false;
                format!("BROKEN: {broken}")
            }
        };
        let line = format!("{}: {told}\n", proof.name());
        std::io::stdout().write_all(line.as_bytes()).ok();
    }
    match held {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn asked(args: impl Iterator<Item = String>) -> Result<(Vec<Proof>, Effort)> {
    let mut args = args.flat_map(|arg| {
        let (name, value) = match arg.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (arg, None),
        };
        [Some(name), value]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
    });
    let (mut proofs, mut effort) = (Vec::new(), Effort::LONG);
    while let Some(arg) = args.next() {
        let setting = match arg.as_str() {
            "--kills" => &mut effort.kills,
            "--damages" => &mut effort.damages,
            "--states" => &mut effort.states,
            "--seed" => &mut effort.seed,
            name => {
                let known = Proof::ALL.iter().find(|proof| proof.name() == name);
                proofs.push(*known.ok_or_else(|| unknown(name))?);
                continue;
            }
        };
        let given = args.next().unwrap_or_default();
        *setting = given.parse().map_err(|_| {
            Error::new(ErrorKind::Invalid, "this must be a number")
                .with("setting", &arg)
                .with("given", &given)
        })?;
    }
    if proofs.is_empty() {
        proofs = Proof::ALL.to_vec();
    }
    Ok((proofs, effort))
}

fn unknown(given: &str) -> Error {
    let mut known = String::new();
    for proof in Proof::ALL {
        write!(known, "{}, ", proof.name()).ok();
    }
    Error::new(ErrorKind::Invalid, "there is no such proof or setting")
        .with("given", given)
        .hint(format!(
            "known: {known}--kills N, --damages N, --states N, --seed N"
        ))
}

fn say(text: &str) {
    std::io::stderr()
        .write_all(format!("{text}\n").as_bytes())
        .ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(args: &[&str]) -> Result<(Vec<Proof>, Effort)> {
        asked(args.iter().map(|arg| arg.to_string()))
    }

    #[test]
    fn proofs_and_settings_are_read_and_others_refused() {
        let (proofs, effort) = given(&["calls", "--kills=7", "--seed", "3", "damage"]).unwrap();
        assert_eq!(proofs, [Proof::Calls, Proof::Damage]);
        assert_eq!((effort.kills, effort.seed), (7, 3));
        assert_eq!(given(&[]).unwrap().0, Proof::ALL);
        for wrong in [
            &["kill"][..],
            &["--kills"],
            &["--kills", "many"],
            &["--kills=-1"],
        ] {
            assert_eq!(given(wrong).unwrap_err().kind(), ErrorKind::Invalid);
        }
    }
}
