//! One test for each case, by one line.

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

/// One case as a test.
#[doc(hidden)]
#[macro_export]
macro_rules! case_test {
    ($name:ident, Executor, $fixture:expr) => {
        #[test]
        fn $name() {
            let suite = $crate::Suite::new().subject($crate::Subject::Executor);
            let suite = suite.cases(&[stringify!($name)]);
            let report = suite.map(|suite| suite.run_executor(|| $fixture));
            $crate::macros::pass(report);
        }
    };
    ($name:ident, Materializer, $fixture:expr) => {
        #[test]
        fn $name() {
            let suite = $crate::Suite::new().subject($crate::Subject::Materializer);
            let suite = suite.cases(&[stringify!($name)]);
            let report = suite.map(|suite| suite.run_materializer(|| $fixture));
            $crate::macros::pass(report);
        }
    };
    ($name:ident, $subject:ident, $fixture:expr) => {
        #[test]
        fn $name() {
            let suite = $crate::Suite::new().subject($crate::Subject::$subject);
            let suite = suite.cases(&[stringify!($name)]);
            let report = suite.map(|suite| suite.run(|| $fixture));
            $crate::macros::pass(report);
        }
    };
}

/// Fails the test whose case did not hold.
#[doc(hidden)]
#[allow(clippy::panic, reason = "a test fails by a panic")]
pub fn pass(report: deriva_api::Result<crate::Report>) {
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
