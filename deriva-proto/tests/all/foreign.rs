//! What a status without our detail means.

use deriva_api::ErrorKind;
use deriva_proto::error_of;
use prost::Message;
use tonic::{Code, Status, TimeoutExpired};

#[test]
fn each_code_is_something_that_a_user_can_act_on() {
    for (code, kind, has_hint) in [
        (Code::Unauthenticated, ErrorKind::Invalid, true),
        (Code::PermissionDenied, ErrorKind::Invalid, true),
        (Code::Unavailable, ErrorKind::Unavailable, true),
        (Code::ResourceExhausted, ErrorKind::Full, true),
        (Code::OutOfRange, ErrorKind::Invalid, true),
        (Code::Unimplemented, ErrorKind::Unsupported, true),
        (Code::DeadlineExceeded, ErrorKind::Timeout, true),
        (Code::Cancelled, ErrorKind::Cancelled, false),
        (Code::Unknown, ErrorKind::Internal, true),
        (Code::Internal, ErrorKind::Internal, true),
        (Code::NotFound, ErrorKind::NotFound, false),
        (Code::InvalidArgument, ErrorKind::Invalid, false),
        (Code::FailedPrecondition, ErrorKind::Conflict, false),
        (Code::Aborted, ErrorKind::Locked, false),
        (Code::AlreadyExists, ErrorKind::Nondeterministic, false),
        (Code::DataLoss, ErrorKind::Corrupt, false),
        (Code::Ok, ErrorKind::Internal, false),
    ] {
        let error = error_of(Status::new(code, "said the proxy"));
        assert_eq!(error.kind(), kind, "{code:?}: {error}");
        assert_eq!(error.advice().is_some(), has_hint, "{code:?}: {error}");
        assert_eq!(error.context("said"), Some("said the proxy"));
        assert_eq!(error.context("code"), Some(&*format!("{code:?}")));
    }
}

#[test]
fn what_the_library_says_of_connections_and_deadlines_is_told_apart() {
    let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let error = error_of(Status::from_error(Box::new(broken)));
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let cause = std::error::Error::source(&error).unwrap();
    assert!(cause.to_string().contains("reset"), "{cause}");

    // What comes of a connection that the other end, or something between, gave up.
    for code in [Code::Cancelled, Code::Internal, Code::ResourceExhausted] {
        let mut status = Status::new(code, "h2 protocol error");
        let broken = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        status.set_source(std::sync::Arc::new(broken));
        let error = error_of(status);
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{code:?}");
        assert!(error.advice().is_some());
    }

    let refused = tonic::ConnectError("refused".into());
    let error = error_of(Status::from_error(Box::new(refused)));
    assert_eq!(error.kind(), ErrorKind::Unavailable);

    let late = Status::from_error(Box::new(TimeoutExpired(())));
    assert_eq!(
        (late.code(), error_of(late).kind()),
        (Code::Cancelled, ErrorKind::Timeout)
    );
    let late = Status::cancelled("Timeout expired");
    assert_eq!(error_of(late).kind(), ErrorKind::Timeout);
}

#[test]
fn advice_of_others_to_try_again_makes_a_full_server_one_that_is_busy() {
    let busy = deriva_api::Error::new(ErrorKind::Full, "busy");
    let status = deriva_proto::status_with_retry(&busy, std::time::Duration::from_secs(1));
    // Without what only a deriva server says.
    let answer = tonic_types::pb::Status::decode(status.details()).unwrap();
    let others = answer.details.into_iter();
    let others = others.filter(|any| !any.type_url.contains("deriva"));
    let answer = tonic_types::pb::Status {
        details: others.collect(),
        ..Default::default()
    };
    let status = Status::with_details(status.code(), "slow down", answer.encode_to_vec().into());
    assert_eq!(error_of(status).kind(), ErrorKind::Unavailable);
}

#[test]
fn a_detail_of_a_kind_that_is_not_known_has_that_of_the_code() {
    let detail = deriva_proto::v1::ErrorDetail {
        kind: 77,
        message: "from the future".to_owned(),
        ..Default::default()
    };
    let any = prost_types::Any {
        type_url: "type.googleapis.com/deriva.v1.ErrorDetail".to_owned(),
        value: detail.encode_to_vec(),
    };
    let answer = tonic_types::pb::Status {
        details: vec![any],
        ..Default::default()
    };
    for (code, kind) in [
        (Code::DataLoss, ErrorKind::Corrupt),
        (Code::OutOfRange, ErrorKind::Internal),
    ] {
        let error = error_of(Status::with_details(
            code,
            "",
            answer.encode_to_vec().into(),
        ));
        assert_eq!((error.kind(), error.message()), (kind, "from the future"));
    }
}
