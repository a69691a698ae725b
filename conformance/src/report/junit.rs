//! JUnit XML, as CI systems read it.

use std::time::Duration;

use deriva_api::{Error, ErrorKind, Result};
use deriva_testkit::Outcome;
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::class;
use crate::results::{Cell, Results, Row};

/// A suite for each store, a test for each case. What is `unsupported` is there as skipped, with the
/// reason; JUnit knows no other word for it.
///
/// # Errors
/// [`ErrorKind::Internal`] when a text cannot be written as XML.
pub fn junit(results: &Results) -> Result<String> {
    let mut report = Report::new("deriva conformance");
    report.set_time(Duration::from_secs_f64(results.seconds));
    for (i, column) in results.columns.iter().enumerate() {
        let mut suite = TestSuite::new(column.title());
        suite.set_time(Duration::from_secs_f64(results.seconds_of(i)));
        suite.add_property(Property::new("store", column.store.as_str()));
        suite.add_property(Property::new("layers", column.layers.as_str()));
        suite.add_property(Property::new("durability.declared", class(column.declared)));
        if let Some(proved) = &column.proved {
            suite.add_property(Property::new("durability.proved", class(proved.class)));
        }
        for row in &results.rows {
            if let Some(Some(cell)) = row.cells.get(i) {
                suite.add_test_case(test_case(row, cell, &column.title()));
            }
        }
        report.add_test_suite(suite);
    }
    report.to_string().map_err(|source| {
        Error::new(ErrorKind::Internal, "the results cannot be written as XML").caused_by(source)
    })
}

fn test_case(row: &Row, cell: &Cell, store: &str) -> TestCase {
    let promise = row.promise.trim();
    let mut status = match cell.outcome {
        Outcome::Held => TestCaseStatus::success(),
        Outcome::Unsupported => TestCaseStatus::skipped(),
        Outcome::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
    };
    if cell.outcome != Outcome::Held {
        status.set_message(promise);
        status.set_description(cell.detail.as_deref().unwrap_or_default());
    }
    let mut case = TestCase::new(row.case.as_str(), status);
    case.set_classname(format!("{store}.{}", row.level));
    case.set_time(Duration::from_secs_f64(cell.seconds));
    if let (Outcome::Held, Some(detail)) = (cell.outcome, &cell.detail) {
        case.set_system_out(detail.as_str());
    }
    case
}
