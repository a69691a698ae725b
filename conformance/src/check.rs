//! Runs the cases on stores.

use std::path::{Path, PathBuf};

use deriva_api::{Clock, DurabilityClass, Error, ErrorKind, Result, SystemClock};
use deriva_testkit::proof::Program;
use deriva_testkit::{Case, CaseReport, Fixture, Level, Outcome, Subject, Suite};
use futures::executor::block_on;

use crate::proof::{self, Proved};
use crate::results::{Cell, Column, Results, Row};
use crate::runtime::DerivaFixture;
use crate::stacks::Stack;
use crate::stores::Store;

/// The row of what each store's durability was seen to be. No case of the testkit: it takes processes to
/// kill, and their system calls to trace.
pub const PROOF: &str = "durability_is_as_declared";

const PROOF_PROMISE: &str = "X1: what acknowledged writes were seen to survive, in killed processes \
    and traced system calls, is no less than the store declares.";

/// Which stores are checked, and for what.
#[derive(Clone, Debug)]
pub struct Check {
    /// The stores.
    pub stores: Vec<Store>,
    /// The stacks of layers, each over each store.
    pub stacks: Vec<Stack>,
    /// The cases.
    pub suite: Suite,
    /// The `conformance` command, whose children prove durability, and run the cases that may end a process; `None`:
    /// durability is not proved, and all cases run here.
    pub prover: Option<PathBuf>,
}

/// How far a check is.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The store that is being checked.
    pub store: &'a str,
    /// The case that ended.
    pub case: &'a str,
    /// What came of it.
    pub outcome: Outcome,
}

impl Check {
    /// How many steps [`Check::run`] tells of.
    #[must_use]
    pub fn steps(&self) -> usize {
        let proofs = usize::from(self.prover.is_some());
        (self.cases().count() * self.stacks.len() + proofs) * self.stores.len()
    }

    /// Runs everything in folders below `scratch`, one case after the other, and tells `progress` of
    /// each.
    ///
    /// # Errors
    /// What a store says that cannot be opened, before any case is run.
    pub fn run(&self, scratch: &Path, mut progress: impl FnMut(Step<'_>)) -> Result<Results> {
        let clock = SystemClock::new();
        // What is wrong with a store is known before the others have worked for minutes.
        let declared = self.stores.iter().map(|store| declared(store, scratch));
        let declared: Vec<_> = declared.collect::<Result<_>>()?;
        let mut results = Results {
            columns: Vec::new(),
            rows: self.rows(),
            seconds: 0.0,
        };
        for (store, declared) in self.stores.iter().zip(declared) {
            for stack in &self.stacks {
                let mut column = Column {
                    store: store.to_string(),
                    layers: stack.name.to_owned(),
                    declared,
                    proved: None,
                };
                let mut cells = self.run_cases(store, *stack, scratch, &column, &mut progress);
                if let Some(program) = &self.prover {
                    // Layers make nothing more durable, nor less.
                    let first = self.stacks.first() == Some(stack);
                    let proof = first.then(|| prove(store, program));
                    cells.push(proof.map(|(proved, cell)| {
                        let (store, outcome) = (&column.title(), cell.outcome);
                        progress(Step {
                            store,
                            case: PROOF,
                            outcome,
                        });
                        column.proved = proved;
                        cell
                    }));
                }
                for (row, cell) in results.rows.iter_mut().zip(cells) {
                    row.cells.push(cell);
                }
                results.columns.push(column);
            }
        }
        // The proof came last and belongs to the cases about durability.
        results.rows.sort_by_key(|row| row.level);
        results.seconds = clock.now().as_secs_f64();
        Ok(results)
    }

    fn run_cases(
        &self,
        store: &Store,
        stack: Stack,
        scratch: &Path,
        column: &Column,
        progress: &mut impl FnMut(Step<'_>),
    ) -> Vec<Option<Cell>> {
        let title = column.title();
        let mut tell = |report: &CaseReport| {
            let (case, outcome) = (report.case.name, report.outcome);
            progress(Step {
                store: &title,
                case,
                outcome,
            });
        };
        let mut suite = self.suite.clone();
        if let Some(program) = &self.prover {
            suite = suite.apart(case_program(program, store, stack));
        }
        let (store, scratch) = (store.clone(), scratch.to_owned());
        let fixture = move || store.fixture(stack, &scratch);
        let over = fixture.clone();
        let stores = suite.run_with(fixture, &mut tell);
        let runtimes = (self.suite).run_materializer_with(move || DerivaFixture(over()), &mut tell);
        let cell = |case: &Case| {
            let mut reports = stores.cases.iter().chain(&runtimes.cases);
            let report = reports.find(|report| report.case.name == case.name)?;
            Some(Cell {
                outcome: report.outcome,
                seconds: report.seconds,
                detail: report.detail.clone(),
            })
        };
        self.cases().map(cell).collect()
    }

    fn cases(&self) -> impl Iterator<Item = &'static Case> {
        let cases = self.suite.selected();
        cases.filter(|case| case.subject != Subject::Executor)
    }

    fn rows(&self) -> Vec<Row> {
        let rows = self.cases().map(|case| Row {
            case: case.name.to_owned(),
            promise: case.promise.to_owned(),
            level: case.level,
            subject: case.subject,
            cells: Vec::new(),
        });
        let proof = self.prover.as_ref().map(|_| Row {
            case: PROOF.to_owned(),
            promise: PROOF_PROMISE.to_owned(),
            level: Level::Durability,
            subject: Subject::Blobs,
            cells: Vec::new(),
        });
        rows.chain(proof).collect()
    }
}

/// The process for a case that may end it: this command, with a hidden verb that comes to [`run_case`].
fn case_program(program: &Path, store: &Store, stack: Stack) -> Program {
    let program = Program::new(program).arg(CASE);
    program.arg(store.to_string()).arg(stack.name)
}

/// The verb of a process that runs one case.
pub const CASE: &str = "__case";

/// Runs the case that this process was started for, on the store of this name under the stack of this name, and
/// ends the process.
///
/// # Errors
/// When there is no such store or stack, or the process was started for no case.
pub fn run_case(store: &str, stack: &str) -> Result<()> {
    let (store, stack): (Store, Stack) = (store.parse()?, Stack::named(stack)?);
    let suite = Suite::new().apart(Program::this()?);
    suite.run(move || store.fixture(stack, &std::env::temp_dir()));
    let message = "a check starts this, and tells which case to run";
    Err(Error::new(ErrorKind::Invalid, message))
}

/// What a store says that acknowledged writes survive; of a split one, what its weaker half says.
fn declared(store: &Store, scratch: &Path) -> Result<DurabilityClass> {
    let fixture = store.fixture(Stack::default(), scratch);
    let opened = block_on(fixture.open())?;
    let blobs = opened.blobs.iter().map(|blobs| blobs.capabilities());
    let dag = opened.dag.iter().map(|dag| dag.capabilities());
    let classes = blobs.chain(dag).map(|capabilities| capabilities.durability);
    Ok(classes.min().unwrap_or(DurabilityClass::None))
}

/// Proves the durability of each half of a store; a split one is worth what its weaker half is.
fn prove(store: &Store, program: &Path) -> (Option<Proved>, Cell) {
    let clock = SystemClock::new();
    let halves = store.uris().iter();
    let halves = halves.map(|uri| proof::prover(program, &uri.to_string()).durability());
    let proved = halves.reduce(|dag, blobs| {
        let (dag, blobs) = (dag?, blobs?);
        Ok(Proved {
            declared: dag.declared.min(blobs.declared),
            class: dag.class.min(blobs.class),
            traced: dag.traced && blobs.traced,
            evidence: format!("graph: {}; blobs: {}", dag.evidence, blobs.evidence),
        })
    });
    let (outcome, detail, proved) = match proved {
        None => {
            let why = "a mutant is no process that could be killed";
            (Outcome::Unsupported, why.to_owned(), None)
        }
        Some(Err(broken)) => (Outcome::Failed, broken.to_string(), None),
        Some(Ok(mut proved)) => {
            if proved.declared.max(proved.class) == DurabilityClass::None {
                proved.evidence =
                    "a killed process loses acknowledged writes, as declared".to_owned();
            }
            let outcome = match proved.is_honest() {
                true => Outcome::Held,
                false => Outcome::Failed,
            };
            (outcome, proved.evidence.clone(), Some(proved))
        }
    };
    let cell = Cell {
        outcome,
        seconds: clock.now().as_secs_f64(),
        detail: Some(detail),
    };
    (proved, cell)
}
