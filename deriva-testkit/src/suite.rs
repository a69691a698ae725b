//! Running cases as a program.

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use deriva_api::{Clock, Error, ErrorKind, Result, SystemClock, nearest};

use crate::apart;
use crate::case::Run;
use crate::cases;
use crate::proof::Program;
use crate::trial::{Fixtures, Trial};
use crate::{
    Case, CaseReport, ExecutorFixture, Fixture, Level, MaterializerFixture, Outcome, Report,
    Subject,
};

/// Which cases are run, and for how long each may run. At first: all, five minutes each.
///
/// ```
/// use deriva_testkit::{Level, ModelFixture, Suite};
/// let report = Suite::new().levels(&[Level::Core]).run(|| ModelFixture);
/// assert!(report.held(), "{report}");
/// ```
#[derive(Clone, Debug)]
pub struct Suite {
    levels: Vec<Level>,
    subject: Option<Subject>,
    names: Option<BTreeSet<String>>,
    limit: Duration,
    program: Option<Program>,
}

impl Default for Suite {
    fn default() -> Self {
        Self::new()
    }
}

impl Suite {
    /// All cases.
    #[must_use]
    pub fn new() -> Self {
        Self {
            levels: Level::ALL.to_vec(),
            subject: None,
            names: None,
            limit: Duration::from_secs(300),
            program: None,
        }
    }

    /// Only the cases of these levels.
    #[must_use]
    pub fn levels(mut self, levels: &[Level]) -> Self {
        self.levels = levels.to_vec();
        self
    }

    /// Only the cases of this subject. A fixture that opens no such store then fails them; without
    /// this setting they come out as [`Outcome::Unsupported`].
    #[must_use]
    pub fn subject(mut self, subject: Subject) -> Self {
        self.subject = Some(subject);
        self
    }

    /// Only the cases of these names.
    ///
    /// # Errors
    /// `Invalid` for a name that no case has, listing those that are.
    pub fn cases<S: AsRef<str>>(mut self, names: &[S]) -> Result<Self> {
        for name in names.iter().map(AsRef::as_ref) {
            if !cases::all().any(|case| case.name == name) {
                return Err(unknown(name));
            }
        }
        self.names = Some(names.iter().map(|name| name.as_ref().to_owned()).collect());
        Ok(self)
    }

    /// How long a case may run; one that runs longer has failed, and is left on its thread.
    /// Default: five minutes.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs cases in which a broken store may end the process, those that damage its files, in processes of their
    /// own: a process that is killed by a signal is a failed case that names the signal. The processes are those of
    /// `program`, which has to come to the same suite, with the same fixture: [`Program::this`] where `main` runs the
    /// suite, [`Program::this_test`] where a test does. Cases about kills use it as well. The macros set this.
    #[must_use]
    pub fn apart(mut self, program: Program) -> Self {
        self.program = Some(program);
        self
    }

    /// The cases that would be run.
    pub fn selected(&self) -> impl Iterator<Item = &'static Case> {
        cases::all().filter(|case| {
            self.levels.contains(&case.level)
                && self.subject.is_none_or(|subject| subject == case.subject)
                && self
                    .names
                    .as_ref()
                    .is_none_or(|names| names.contains(case.name))
        })
    }

    /// Runs the cases for stores, one after the other, each on a new fixture.
    pub fn run<F: Fixture + 'static>(
        &self,
        fixture: impl Fn() -> F + Send + Sync + 'static,
    ) -> Report {
        self.run_with(fixture, |_| ())
    }

    /// Runs the cases for stores and tells of each as it ends.
    pub fn run_with<F: Fixture + 'static>(
        &self,
        fixture: impl Fn() -> F + Send + Sync + 'static,
        mut progress: impl FnMut(&CaseReport),
    ) -> Report {
        let fixtures: Fixtures<dyn Fixture> = Arc::new(move || Arc::new(fixture()));
        self.run_stores(&fixtures, &mut progress)
    }

    // What does the work knows no fixture's type: otherwise every test of every store would compile it anew.
    fn run_stores(
        &self,
        fixtures: &Fixtures<dyn Fixture>,
        progress: &mut dyn FnMut(&CaseReport),
    ) -> Report {
        // What this process was started for, if by a suite.
        let job = self.program.as_ref().and_then(|_| apart::job(fixtures));
        let run_here = |case: &'static Case| match case.run {
            Run::Executor(_) | Run::Materializer(_) => None,
            Run::Store(run) => {
                let mut trial = Trial::new(fixtures);
                trial.program.clone_from(&self.program);
                Some(self.run_one(case, trial, move |trial| {
                    in_tokio(|runtime| runtime.block_on(run(trial)))
                }))
            }
        };
        match (job, &self.program) {
            (Some(name), _) => {
                if let Some(case) = self.selected().find(|case| case.name == name)
                    && let Some(report) = run_here(case)
                {
                    apart::answer(&report);
                }
                // Another suite of this program has the case.
                Report::default()
            }
            (None, Some(program)) => self.run_each(progress, |case| {
                // Without files there is nothing that could be damaged.
                match case.deadly && fixtures().folder().is_some() {
                    true => Some(apart::run(case, program, self.limit)),
                    false => run_here(case),
                }
            }),
            (None, None) => self.run_each(progress, run_here),
        }
    }

    /// Runs the cases for executors, one after the other, each on a new fixture.
    pub fn run_executor<F: ExecutorFixture + 'static>(
        &self,
        fixture: impl Fn() -> F + Send + Sync + 'static,
    ) -> Report {
        self.run_executor_with(fixture, |_| ())
    }

    /// Runs the cases for executors and tells of each as it ends.
    pub fn run_executor_with<F: ExecutorFixture + 'static>(
        &self,
        fixture: impl Fn() -> F + Send + Sync + 'static,
        mut progress: impl FnMut(&CaseReport),
    ) -> Report {
        let fixtures: Fixtures<dyn ExecutorFixture> = Arc::new(move || Arc::new(fixture()));
        self.run_executors(&fixtures, &mut progress)
    }

    fn run_executors(
        &self,
        fixtures: &Fixtures<dyn ExecutorFixture>,
        progress: &mut dyn FnMut(&CaseReport),
    ) -> Report {
        self.run_each(progress, |case| match case.run {
            Run::Store(_) | Run::Materializer(_) => None,
            Run::Executor(run) => Some(self.run_one(case, Trial::new(fixtures), move |trial| {
                in_tokio(|runtime| runtime.block_on(run(trial)))
            })),
        })
    }

    /// Runs the cases for materializers, one after the other, each on a new fixture.
    pub fn run_materializer<F: MaterializerFixture + 'static>(
        &self,
        fixture: impl Fn() -> F + Send + Sync + 'static,
    ) -> Report {
        self.run_materializer_with(fixture, |_| ())
    }

    /// Runs the cases for materializers and tells of each as it ends.
    pub fn run_materializer_with<F: MaterializerFixture + 'static>(
        &self,
        fixture: impl Fn() -> F + Send + Sync + 'static,
        mut progress: impl FnMut(&CaseReport),
    ) -> Report {
        let fixtures: Fixtures<dyn MaterializerFixture> = Arc::new(move || Arc::new(fixture()));
        self.run_materializers(&fixtures, &mut progress)
    }

    fn run_materializers(
        &self,
        fixtures: &Fixtures<dyn MaterializerFixture>,
        progress: &mut dyn FnMut(&CaseReport),
    ) -> Report {
        self.run_each(progress, |case| match case.run {
            Run::Store(_) | Run::Executor(_) => None,
            Run::Materializer(run) => {
                Some(self.run_one(case, Trial::new(fixtures), move |trial| {
                    in_tokio(|runtime| runtime.block_on(run(trial)))
                }))
            }
        })
    }

    fn run_each(
        &self,
        progress: &mut dyn FnMut(&CaseReport),
        run: impl Fn(&'static Case) -> Option<CaseReport>,
    ) -> Report {
        let told = |report: &CaseReport| progress(report);
        let cases = self.selected().filter_map(run).inspect(told).collect();
        Report { cases }
    }

    /// Runs a case on a thread of its own, so that a hang or a panic ends no other.
    fn run_one<T: ?Sized + Send + Sync + 'static>(
        &self,
        case: &'static Case,
        trial: Trial<T>,
        run: impl FnOnce(&Trial<T>) -> Result<()> + Send + 'static,
    ) -> CaseReport {
        let clock = SystemClock::new();
        let strict = self.subject.is_some();
        let (sender, receiver) = mpsc::channel();
        let body = move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| run(&trial)));
            let judged = judge(outcome, &trial, strict);
            // Fixtures tidy up when they go; the next case waits for that.
            drop(trial);
            sender.send(judged).ok();
        };
        let thread = std::thread::Builder::new().name(case.name.to_owned());
        let judged = match thread.spawn(body) {
            Err(source) => Err((Outcome::Failed, Some(format!("no thread: {source}")))),
            Ok(_) => receiver
                .recv_timeout(self.limit)
                .map_err(|gone| match gone {
                    RecvTimeoutError::Timeout => {
                        let seconds = self.limit.as_secs_f64();
                        (
                            Outcome::Failed,
                            Some(format!("it hangs: no end after {seconds} s")),
                        )
                    }
                    RecvTimeoutError::Disconnected => (
                        Outcome::Failed,
                        Some("closing the store panicked".to_owned()),
                    ),
                }),
        };
        let (outcome, detail) = judged.unwrap_or_else(|failed| failed);
        CaseReport {
            case,
            outcome,
            seconds: clock.now().as_secs_f64(),
            detail,
        }
    }
}

type Judged = (Outcome, Option<String>);

fn judge<T: ?Sized>(
    outcome: std::thread::Result<Result<()>>,
    trial: &Trial<T>,
    strict: bool,
) -> Judged {
    let notes = std::mem::take(&mut *trial.notes.lock());
    match outcome {
        Ok(Ok(())) => {
            let held = match notes.unsupported {
                true => Outcome::Unsupported,
                false => Outcome::Held,
            };
            let detail = (!notes.lines.is_empty()).then(|| notes.lines.join("; "));
            (held, detail)
        }
        Ok(Err(error)) if notes.missing && !strict => {
            (Outcome::Unsupported, Some(error.to_string()))
        }
        Ok(Err(error)) => (Outcome::Failed, Some(format!("{error:?}"))),
        Err(panic) => (Outcome::Failed, Some(message(&*panic))),
    }
}

/// The longest text of a panic that a report keeps, in characters.
const LONGEST: usize = 2000;

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("a panic without a message");
    let mut short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Cases run in tokio, as applications do; one case asks for other runtimes.
fn in_tokio<T>(run: impl FnOnce(&tokio::runtime::Runtime) -> Result<T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Error::io)?;
    let outcome = catch_unwind(AssertUnwindSafe(|| run(&runtime)));
    runtime.shutdown_background();
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn unknown(name: &str) -> Error {
    let known: Vec<&str> = cases::all().map(|case| case.name).collect();
    let near = nearest(name, known.iter().copied());
    let near = near.map(|near| format!("did you mean `{near}`? "));
    let near = near.unwrap_or_default();
    Error::new(ErrorKind::Invalid, "there is no such case")
        .with("given", name)
        .hint(format!("{near}The cases are: {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ModelFixture;

    #[test]
    fn the_model_keeps_every_promise() {
        let report = Suite::new().run(|| ModelFixture);
        assert!(report.held(), "{report}");
        assert!(report.count(Outcome::Held) > 30, "{report}");
    }

    #[test]
    fn every_case_has_a_name_of_its_own_and_a_promise() {
        let mut names = BTreeSet::new();
        for case in cases::all() {
            assert!(names.insert(case.name), "{case:?} is there twice");
            assert!(
                case.number().len() >= 2 && case.promise.len() > 30,
                "{case:?}"
            );
        }
    }

    #[test]
    fn an_unknown_case_is_invalid_with_a_suggestion_and_the_list() {
        let error = Suite::new().cases(&["absent_is_nome"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let advice = error.advice().unwrap();
        assert!(advice.contains("did you mean `absent_is_none`"), "{advice}");
        assert!(advice.contains("dag_usage_is_exact"), "{advice}");
    }
}
