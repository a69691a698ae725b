//! A remote error equals the embedded one.

use std::collections::HashSet;
use std::error::Error as StdError;
use std::time::Duration;

use deriva_api::{Answer, Blob, CAddr, Error, ErrorKind, Violation};
use deriva_proto::errors::{RETRY_AFTER, code_of, kind_of};
use deriva_proto::v1;
use deriva_proto::{error_of, retry_after, status_of, status_with_retry};
use proptest::prelude::*;
use tonic::{Code, Status};

use crate::any;

/// Bytes that proxies give the headers of an answer.
const HEADERS: usize = 8192;

/// An error with all that one may have.
fn full(kind: ErrorKind) -> Error {
    let path = (0..5u8).map(|n| CAddr::of_blob(&[n])).collect();
    let inner = Error::new(ErrorKind::NotFound, "no such folder")
        .with("folder", "./data")
        .caused_by(std::io::Error::other("a disk\nis gone"));
    Error::new(kind, "it did not work: é")
        .during("put")
        .with("store", "sled:./data")
        .with("addr", CAddr::MIN)
        .with("empty", "")
        .along(path)
        .caused_by(inner)
        .hint("try something else")
}

/// What arrives of a status: it goes through the headers of an answer.
fn arrived(sent: &Error) -> Status {
    let mut headers = tonic::codegen::http::HeaderMap::new();
    status_of(sent).add_header(&mut headers).unwrap();
    Status::from_header_map(&headers).unwrap()
}

fn assert_same(found: &Error, sent: &Error) {
    assert_eq!(found.to_string(), sent.to_string());
    assert_eq!(format!("{found:#}"), format!("{sent:#}"));
    assert_eq!(format!("{found:?}"), format!("{sent:?}"));
    assert_eq!(found.kind(), sent.kind());
    assert_eq!(found.is_retryable(), sent.is_retryable());
    assert_eq!(found.message(), sent.message());
    assert_eq!(found.operation(), sent.operation());
    assert_eq!(found.path(), sent.path());
    assert_eq!(found.advice(), sent.advice());
    assert!(found.contexts().eq(sent.contexts()));
}

#[test]
fn every_kind_comes_back_as_it_went() {
    for kind in ErrorKind::ALL {
        for sent in [
            full(kind),
            Error::new(kind, ""),
            Error::new(kind, "x").caused_by("y"),
        ] {
            let status = arrived(&sent);
            assert_eq!(kind_of(status.code()), Some(kind));
            assert_eq!(
                retry_after(&status),
                sent.is_retryable().then_some(RETRY_AFTER)
            );
            assert_same(&error_of(status), &sent);
        }
    }
}

#[test]
fn every_kind_has_a_code_of_its_own() {
    let codes: HashSet<i32> = ErrorKind::ALL.map(|kind| code_of(kind).into()).into();
    assert_eq!(codes.len(), ErrorKind::ALL.len());
    for kind in ErrorKind::ALL {
        assert_eq!(kind_of(code_of(kind)), Some(kind));
        // It is the one code that clients and proxies try again by themselves.
        assert_eq!(
            code_of(kind) == Code::Unavailable,
            kind == ErrorKind::Unavailable
        );
    }
    // What a library or a proxy says is not taken for what a deriva says.
    for code in [
        Code::Ok,
        Code::OutOfRange,
        Code::Unauthenticated,
        Code::PermissionDenied,
    ] {
        assert_eq!(kind_of(code), None);
    }
}

#[test]
fn the_causes_are_there_each_as_what_it_was() {
    let found = error_of(status_of(&full(ErrorKind::Invalid)));
    let cause = StdError::source(&found).unwrap();
    let ours = cause.downcast_ref::<Error>().unwrap();
    assert_eq!(
        (ours.kind(), ours.context("folder")),
        (ErrorKind::NotFound, Some("./data"))
    );
    assert_eq!(cause.source().unwrap().to_string(), "a disk\nis gone");

    let (one, other) = (Blob::new("one"), Blob::new("other"));
    let answers = [one, other].map(|blob| Answer::output(blob.addr(), blob.len()));
    let violation = Violation::new(
        CAddr::MIN,
        CAddr::MIN,
        "f/1".parse().unwrap(),
        answers.into(),
    );
    let sent = violation.clone().into_error();
    let found = error_of(status_of(&sent));
    assert_same(&found, &sent);
    let source = StdError::source(&found).unwrap();
    assert_eq!(source.downcast_ref::<Violation>(), Some(&violation));
}

#[test]
fn who_knows_better_says_when_to_try_again() {
    let busy = Error::new(ErrorKind::Full, "too many requests");
    for after in [Duration::ZERO, Duration::from_millis(1500), Duration::MAX] {
        let status = status_with_retry(&busy, after);
        let most = Duration::new(i64::MAX as u64, after.subsec_nanos());
        assert_eq!(retry_after(&status), Some(after.min(most)));
        assert_same(&error_of(status), &busy);
    }
}

#[test]
fn clients_without_the_detail_have_a_line_with_all_that_people_need() {
    let status = status_of(&full(ErrorKind::Conflict));
    assert_eq!(status.code(), Code::FailedPrecondition);
    for part in [
        "it did not work",
        "store=sled:./data",
        "next: try something else",
    ] {
        assert!(status.message().contains(part), "{}", status.message());
    }
}

/// Bytes of the headers that a status makes.
fn header_bytes(sent: &Error) -> usize {
    let mut headers = tonic::codegen::http::HeaderMap::new();
    status_of(sent).add_header(&mut headers).unwrap();
    let each = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 32);
    each.sum()
}

#[test]
fn what_is_too_long_for_a_header_is_cut_and_says_so() {
    let long = "é".repeat(20_000);
    let path: Vec<CAddr> = (0..10_000u32)
        .map(|n| CAddr::of_blob(&n.to_le_bytes()))
        .collect();
    let mut cause = Error::new(ErrorKind::Internal, long.clone());
    for _ in 0..100 {
        cause = Error::new(ErrorKind::Internal, "and so on").caused_by(cause);
    }
    let mut sent = Error::new(ErrorKind::Unavailable, "it is away")
        .along(path.clone())
        .caused_by(cause)
        .with("store", "sled:./data")
        .hint("wait");
    for n in 0..1000 {
        sent = sent.with(format!("key{n}"), &long);
    }
    for (sent, message) in [
        (sent.clone(), "it is away"),
        (
            Error::new(ErrorKind::Unavailable, long.clone()),
            &long[..1000],
        ),
        (
            Error::new(ErrorKind::Unavailable, "it is away")
                .during(long.clone())
                .hint(long.clone()),
            "it is away",
        ),
    ] {
        assert!(header_bytes(&sent) < HEADERS, "{}", header_bytes(&sent));
        let status = arrived(&sent);
        assert_eq!(
            (status.code(), retry_after(&status)),
            (Code::Unavailable, Some(RETRY_AFTER))
        );
        let found = error_of(status);
        assert_eq!(found.kind(), ErrorKind::Unavailable);
        assert!(found.message().starts_with(message), "{found}");
    }
    let found = error_of(status_of(&sent));
    assert_eq!(found.context("store"), Some("sled:./data"));
    assert_eq!(found.advice(), Some("wait"));
    assert!(
        found.context("key0").unwrap().contains("bytes more"),
        "{found}"
    );
    let left_out: usize = found.context("path_left_out").unwrap().parse().unwrap();
    assert_eq!(found.path().len() + left_out, path.len());
    assert!(found.path().len() > 1);
    assert_eq!(
        (found.path().first(), found.path().last()),
        (path.first(), path.last())
    );
    assert!(format!("{found:#}").contains(" more"), "{found:#}");
}

#[test]
fn a_long_path_alone_is_cut_in_its_middle() {
    let path: Vec<CAddr> = (0..200u32)
        .map(|n| CAddr::of_blob(&n.to_le_bytes()))
        .collect();
    let sent = Error::new(ErrorKind::Function, "it failed").along(path.clone());
    let found = error_of(status_of(&sent));
    let left_out: usize = found.context("path_left_out").unwrap().parse().unwrap();
    let kept = found.path().len();
    assert_eq!(kept + left_out, 200);
    assert!(kept > 40, "{kept}");
    assert_eq!(found.path()[..kept / 2], path[..kept / 2]);
    assert_eq!(found.path()[kept - kept / 2..], path[200 - kept / 2..]);
}

#[test]
fn a_path_as_deep_as_a_graph_may_be_is_cut_in_messages_too() {
    let path: Vec<CAddr> = (0..5000u32)
        .map(|n| CAddr::of_blob(&n.to_le_bytes()))
        .collect();
    let detail =
        v1::ErrorDetail::from(&Error::new(ErrorKind::Function, "it failed").along(path.clone()));
    assert_eq!((detail.path.len(), detail.path_left_out), (1000, 4000));
    let found = Error::from(detail);
    assert_eq!(found.path()[..500], path[..500]);
    assert_eq!(found.path()[500..], path[4500..]);
    assert_eq!(found.context("path_left_out"), Some("4000"));
}

proptest! {
    #![proptest_config(any::cases(256))]

    #[test]
    fn any_error_comes_back(sent in any::error()) {
        // Some have too many causes for a header.
        prop_assume!(format!("{sent:?}").len() < 1500);
        assert_same(&error_of(arrived(&sent)), &sent);
    }

    #[test]
    fn any_error_fits_into_a_header(sent in any::error(), text in "\\PC{0,2000}", path in any::addrs()) {
        let sent = Error::new(sent.kind(), text.clone()).hint(text.clone()).with("text", text).along(path).caused_by(sent);
        prop_assert!(header_bytes(&sent) < HEADERS);
    }
}
