//! Every call of the protocol, with every sort of token.

use std::path::PathBuf;

use deriva_proto::{FILE_DESCRIPTOR_SET, v1};
use deriva_server::{Role, Server};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tempfile::TempDir;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use super::common::{Running, deriva, serve};

const READ: &str = "read-token-0123456789";
const WRITE: &str = "write-token-0123456789";
const ADMIN: &str = "admin-token-0123456789";
const EXPIRED: &str = "expired-token-0123456789";

fn tokens(dir: &TempDir) -> PathBuf {
    let path = dir.path().join("tokens.toml");
    let mut text = String::new();
    for (role, secret) in [("read", READ), ("write", WRITE), ("admin", ADMIN)] {
        text += &format!("[[token]]\nrole = \"{role}\"\nsecret = \"{secret}\"\n");
    }
    text += &format!(
        "[[token]]\nrole = \"admin\"\nsecret = \"{EXPIRED}\"\nexpires = 2020-01-01T00:00:00Z\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

async fn guarded(dir: &TempDir) -> Running {
    serve(Server::new(deriva().await).tokens(tokens(dir))).await
}

/// What each call needs, as its documentation says.
fn needed(service: &str, method: &str) -> Option<Role> {
    let read = |known: &[&str]| known.contains(&method).then_some(Role::Read);
    let write = |known: &[&str]| known.contains(&method).then_some(Role::Write);
    let admin = |known: &[&str]| known.contains(&method).then_some(Role::Admin);
    match service {
        "deriva.v1.Blobs" => read(&["Get", "Stat", "Missing", "Verify", "List", "Usage"])
            .or(write(&["Put", "Flush"]))
            .or(admin(&["Remove"])),
        "deriva.v1.Graph" => read(&[
            "Get",
            "Outputs",
            "Dependents",
            "ByFunction",
            "List",
            "Walk",
            "Find",
            "Show",
            "States",
            "Functions",
            "Roots",
            "Usage",
        ])
        .or(write(&[
            "Insert",
            "Record",
            "SetRoot",
            "RemoveRoot",
            "Flush",
        ]))
        .or(admin(&["Forget", "Remove"])),
        "deriva.v1.Materialize" => read(&["Explain", "Diff", "Why"]).or(write(&["Run", "Lease"])),
        "deriva.v1.Admin" => read(&["Ledger", "Quarantine", "Status", "Digest"]).or(admin(&[
            "Invalidate",
            "Collect",
            "Scrub",
            "Audit",
            "Release",
        ])),
        _ => None,
    }
}

/// How a call begins that sends one empty message.
async fn code(channel: &Channel, path: &str, token: Option<&str>) -> Code {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let mut request = Request::new(v1::Null {});
    if let Some(token) = token {
        let header = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", header);
    }
    let path = PathAndQuery::try_from(path).unwrap();
    let codec = ProstCodec::<v1::Null, v1::Null>::default();
    match grpc.server_streaming(request, path, codec).await {
        Err(status) => status.code(),
        // What is wrong with the message itself shows there.
        Ok(answer) => match answer.into_inner().message().await {
            Err(status) => status.code(),
            Ok(_) => Code::Ok,
        },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_let_in_as_its_role_says_and_no_other_is() {
    let dir = tempfile::tempdir().unwrap();
    let running = guarded(&dir).await;
    let channel = running.channel().await;
    let described = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let mut calls = 0;
    for file in &described.file {
        for service in &file.service {
            let service_name = format!("{}.{}", file.package(), service.name());
            for method in &service.method {
                calls += 1;
                let path = format!("/{service_name}/{}", method.name());
                let needed = needed(&service_name, method.name());
                let needed = needed.unwrap_or_else(|| panic!("nothing is said of {path}"));
                for token in [
                    None,
                    Some("no-such-token-0123456789"),
                    Some(EXPIRED),
                    Some(""),
                ] {
                    let code = code(&channel, &path, token).await;
                    assert_eq!(code, Code::Unauthenticated, "{path} with {token:?}");
                }
                for (role, token) in [
                    (Role::Read, READ),
                    (Role::Write, WRITE),
                    (Role::Admin, ADMIN),
                ] {
                    let code = code(&channel, &path, Some(token)).await;
                    match role >= needed {
                        true => assert!(
                            !matches!(code, Code::Unauthenticated | Code::PermissionDenied),
                            "{path} refuses {role}: {code:?}"
                        ),
                        false => assert_eq!(code, Code::PermissionDenied, "{path} with {role}"),
                    }
                }
            }
        }
    }
    assert!(calls > 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_deriva_keeps_for_itself_only_admins_take_away() {
    let dir = tempfile::tempdir().unwrap();
    let running = guarded(&dir).await;
    let mut graph = running.graph().await;
    let remove = |name: &str, token: &str| {
        let mut request = Request::new(v1::RemoveRootRequest {
            name: name.to_owned(),
        });
        let header = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", header);
        request
    };
    let refused = graph.remove_root(remove("deriva:ledger/x", WRITE)).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    let done = graph.remove_root(remove("deriva:ledger/x", ADMIN)).await;
    assert!(!done.unwrap().into_inner().removed);
    let done = graph.remove_root(remove("mine", WRITE)).await;
    assert!(!done.unwrap().into_inner().removed);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_read_again_and_a_file_that_is_wrong_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let running = guarded(&dir).await;
    let channel = running.channel().await;
    let path = dir.path().join("tokens.toml");
    let stat = "/deriva.v1.Blobs/Stat";
    assert_eq!(code(&channel, stat, Some(READ)).await, Code::Ok);

    std::fs::write(
        &path,
        "[[token]]\nrole = \"king\"\nsecret = \"another-token-0123\"\n",
    )
    .unwrap();
    let error = running.reload.reload().unwrap_err();
    assert_eq!(error.kind(), deriva::ErrorKind::Invalid);
    assert_eq!(code(&channel, stat, Some(READ)).await, Code::Ok);

    std::fs::write(
        &path,
        "[[token]]\nrole = \"read\"\nsecret = \"another-token-0123\"\n",
    )
    .unwrap();
    running.reload.reload().unwrap();
    assert_eq!(
        code(&channel, stat, Some(READ)).await,
        Code::Unauthenticated
    );
    let another = Some("another-token-0123");
    assert_eq!(code(&channel, stat, another).await, Code::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tokens_everybody_may_do_everything_but_only_here() {
    let running = serve(Server::new(deriva().await)).await;
    let channel = running.channel().await;
    assert_eq!(
        code(&channel, "/deriva.v1.Blobs/Stat", None).await,
        Code::Ok
    );
    for addr in ["0.0.0.0:0", "[::]:0"] {
        let refused = Server::new(deriva().await)
            .bind(addr.parse().unwrap())
            .await;
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), deriva::ErrorKind::Invalid, "{addr}");
        assert!(error.advice().is_some());
    }
    // Tokens without TLS can be read by whoever sees the bytes pass.
    let dir = tempfile::tempdir().unwrap();
    let server = Server::new(deriva().await).tokens(tokens(&dir));
    assert!(server.bind("0.0.0.0:0".parse().unwrap()).await.is_err());
    let server = Server::new(deriva().await).exposed_without_protection();
    assert!(server.bind("0.0.0.0:0".parse().unwrap()).await.is_ok());
}

#[tokio::test]
async fn what_is_said_of_one_protocol_is_not_said_of_the_other() {
    let (own, everywhere) = (super::common::loopback(), "0.0.0.0:0".parse().unwrap());
    let refused = |server: &Server<()>, addr| -> Vec<String> {
        let wrong = server.mistakes(addr);
        let protocols = wrong.iter().map(|error| error.context("protocol").unwrap());
        protocols.map(str::to_owned).collect()
    };
    let server = || Server::unopened().http(everywhere);
    assert_eq!(refused(&server(), own), ["HTTP"]);
    assert_eq!(refused(&server(), everywhere), ["gRPC", "HTTP"]);
    let exposed = server().exposed_without_protection();
    assert_eq!(refused(&exposed, own), ["HTTP"]);
    assert!(exposed.listen(own).await.is_err());
    let exposed = server().http_exposed_without_protection();
    assert!(refused(&exposed, own).is_empty());
    assert_eq!(refused(&exposed, everywhere), ["gRPC"]);
    let exposed = exposed.exposed_without_protection();
    assert!(refused(&exposed, everywhere).is_empty());
    let bound = exposed
        .listen(everywhere)
        .await
        .unwrap()
        .over(deriva().await);
    assert!(bound.http_addr().unwrap().is_some());
}
