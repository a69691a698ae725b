//! One test for each case, by one line.

use deriva_api::Result;

use crate::proof::Program;
use crate::{ExecutorFixture, Fixture, MaterializerFixture, Report, Subject, Suite};

/// Makes a module with one test for each case for blob stores:
/// `blob_store_conformance!(my_store, MyFixture::new());`. The expression, a [`crate::Fixture`], is
/// evaluated anew for each test.
#[macro_export]
macro_rules! blob_store_conformance {
    ($name:ident, $fixture:expr) => {
        mod $name {
            #[allow(unused_imports, reason = "the fixture may need nothing from around")]
            use super::*;
            $crate::each_blob_store_case! { $fixture }
        }
    };
}

/// Makes a module with one test for each case for DAG stores; see [`crate::blob_store_conformance`].
#[macro_export]
macro_rules! dag_store_conformance {
    ($name:ident, $fixture:expr) => {
        mod $name {
            #[allow(unused_imports, reason = "the fixture may need nothing from around")]
            use super::*;
            $crate::each_dag_store_case! { $fixture }
        }
    };
}

/// Makes a module with one test for each case for executors:
/// `executor_conformance!(my_executor, MyFixture);`. The expression is a [`crate::ExecutorFixture`].
#[macro_export]
macro_rules! executor_conformance {
    ($name:ident, $fixture:expr) => {
        mod $name {
            #[allow(unused_imports, reason = "the fixture may need nothing from around")]
            use super::*;
            $crate::each_executor_case! { $fixture }
        }
    };
}

/// Makes a module with one test for each case for materializers:
/// `materializer_conformance!(my_runtime, MyFixture);`. The expression is a [`crate::MaterializerFixture`].
#[macro_export]
macro_rules! materializer_conformance {
    ($name:ident, $fixture:expr) => {
        mod $name {
            #[allow(unused_imports, reason = "the fixture may need nothing from around")]
            use super::*;
            $crate::each_materializer_case! { $fixture }
        }
    };
}

/// Makes a module with one test for each proof about a store that lies in files:
/// `store_proofs!(my_proofs, MyFixture::new());`. The expression is a [`crate::Fixture`] with
/// [`crate::Fixture::open_in`]. The tests start their own binary again, as the process that is killed and as the one
/// that reads what is damaged; see [`crate::proof`].
#[macro_export]
macro_rules! store_proofs {
    ($name:ident, $fixture:expr) => {
        mod $name {
            #[allow(unused_imports, reason = "the fixture may need nothing from around")]
            use super::*;
            $crate::proof_test! { acknowledged_writes_survive_kills, Crash, $fixture }
            $crate::proof_test! { calls_that_are_killed_are_whole_or_absent, Calls, $fixture }
            $crate::proof_test! { damage_is_named_or_harmless, Damage, $fixture }
            $crate::proof_test! { durability_is_as_declared, Durability, $fixture }
            $crate::proof_test! { a_loss_of_power_takes_nothing_acknowledged, Power, $fixture }
        }
    };
}

/// One proof as a test.
#[doc(hidden)]
#[macro_export]
macro_rules! proof_test {
    ($name:ident, $proof:ident, $fixture:expr) => {
        #[test]
        fn $name() {
            let path = concat!(module_path!(), "::", stringify!($name));
            $crate::proof::test(path, $crate::proof::Proof::$proof, || $fixture);
        }
    };
}

/// One case as a test. A test is a call with a pointer to what makes its fixture, so that little is compiled for each:
/// stores have some hundred of them.
#[doc(hidden)]
#[macro_export]
macro_rules! case_test {
    ($name:ident, Executor, $fixture:expr) => {
        #[test]
        fn $name() {
            $crate::macros::executor_case(stringify!($name), || $fixture);
        }
    };
    ($name:ident, Materializer, $fixture:expr) => {
        #[test]
        fn $name() {
            $crate::macros::materializer_case(stringify!($name), || $fixture);
        }
    };
    ($name:ident, $subject:ident, $fixture:expr) => {
        #[test]
        fn $name() {
            let path = concat!(module_path!(), "::", stringify!($name));
            let subject = $crate::Subject::$subject;
            $crate::macros::store_case(stringify!($name), subject, path, || $fixture);
        }
    };
}

/// Runs a case for executors.
#[doc(hidden)]
pub fn executor_case<F: ExecutorFixture + 'static>(name: &str, fixture: fn() -> F) {
    let suite = Suite::new().subject(Subject::Executor).cases(&[name]);
    pass(suite.map(|suite| suite.run_executor(fixture)));
}

/// Runs a case for materializers.
#[doc(hidden)]
pub fn materializer_case<F: MaterializerFixture + 'static>(name: &str, fixture: fn() -> F) {
    let suite = Suite::new().subject(Subject::Materializer).cases(&[name]);
    pass(suite.map(|suite| suite.run_materializer(fixture)));
}

/// Runs a case for stores. One that needs a process of its own gets it: the test at `path`, started again.
#[doc(hidden)]
pub fn store_case<F: Fixture + 'static>(
    name: &str,
    subject: Subject,
    path: &str,
    fixture: fn() -> F,
) {
    let suite = Suite::new().subject(subject).cases(&[name]);
    let suite = suite.and_then(|suite| Ok(suite.apart(Program::this_test(path)?)));
    pass(suite.map(|suite| suite.run(fixture)));
}

/// Fails the test whose case did not hold.
#[allow(clippy::panic, reason = "a test fails by a panic")]
fn pass(report: Result<Report>) {
    match report {
        Err(error) => panic!("{error}"),
        Ok(report) if report.cases.len() != 1 => panic!("not one case: {report}"),
        Ok(report) => {
            if let Some(failed) = report.failed().next() {
                panic!("{failed}\n    {}", failed.case.promise);
            }
        }
    }
}
