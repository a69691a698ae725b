//! Calls whose messages lie, are too large, too deep, packed or senseless: each is told so by its status, and costs little.

use std::time::Instant;

use deriva::Blob;
use deriva::stores::BlobStore;
use deriva_proto::{FILE_DESCRIPTOR_SET, bytes_of, v1};
use prost::Message as _;
use prost_types::FileDescriptorSet;

use super::caller::Caller;
use super::chance::{Chance, is_long, seed};
use super::served::{Served, mib};
use super::wire::message;

const GROWTH: u64 = 64 << 20;
const INSERT: &str = "/deriva.v1.Graph/Insert";
const PUT: &str = "/deriva.v1.Blobs/Put";

// Codes of gRPC.
const INVALID_ARGUMENT: i32 = 3;
const OUT_OF_RANGE: i32 = 11;
const UNIMPLEMENTED: i32 = 12;
const INTERNAL: i32 = 13;

/// A field of bytes, as protocol buffers write it.
fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut field = Vec::with_capacity(bytes.len() + 12);
    prost::encoding::encode_key(
        number,
        prost::encoding::WireType::LengthDelimited,
        &mut field,
    );
    prost::encoding::encode_varint(bytes.len() as u64, &mut field);
    field.extend_from_slice(bytes);
    field
}

/// The message of an insert of one recipe with one param of these bytes.
fn with_param(value: &[u8]) -> Vec<u8> {
    let function = [field(1, b"bench.mix"), field(2, b"1")].concat();
    let entry = [field(1, b"deep"), field(2, value)].concat();
    let parts = [field(1, &function), field(3, &entry)].concat();
    field(1, &field(2, &parts))
}

/// A list in a list in a list.
fn nested(depth: usize) -> Vec<u8> {
    let mut value = vec![24, 2];
    for _ in 0..depth {
        value = field(7, &field(1, &value));
    }
    value
}

fn recipe_of(inputs: usize) -> v1::InsertRequest {
    let parts = v1::RecipeParts {
        function: Some(v1::FunctionId {
            name: "bench.mix".into(),
            version: "1".into(),
        }),
        inputs: vec![bytes_of(Blob::new("x").addr()); inputs],
        ..v1::RecipeParts::default()
    };
    v1::InsertRequest {
        recipes: vec![v1::Recipe {
            form: Some(v1::recipe::Form::Parts(parts)),
        }],
    }
}

fn put_of(expect: v1::BlobStat, chunk: &[u8]) -> Vec<u8> {
    let frame = v1::PutRequest {
        begin: Some(v1::PutBegin {
            expect: Some(expect),
        }),
        chunk: chunk.to_vec().into(),
        end: true,
    };
    message(&frame.encode_to_vec())
}

/// What is told of each of them: name, path, headers, body, the codes that it may be answered with.
type Case = (
    &'static str,
    &'static str,
    Vec<(&'static str, &'static str)>,
    Vec<u8>,
    &'static [i32],
);

fn cases() -> Vec<Case> {
    let right = Blob::new("right");
    let stat = |len| v1::BlobStat {
        addr: bytes_of(right.addr()),
        len,
    };
    let deep_cbor = [vec![0x81; 1_000_000], vec![0]].concat();
    let many = v1::StatRequest {
        addrs: vec![bytes_of(right.addr()); 400_000],
    };
    let targets = v1::RunRequest {
        targets: vec![bytes_of(right.addr()); 400_000],
        ..v1::RunRequest::default()
    };
    let gzip = vec![("grpc-encoding", "gzip")];
    let packed = |bytes: &[u8]| [&[1], &message(bytes)[1..]].concat();
    let asked = message(&v1::StatRequest::default().encode_to_vec());
    vec![
        (
            "a message of 4 GiB",
            PUT,
            vec![],
            vec![0, 255, 255, 255, 255, 1, 2, 3],
            &[OUT_OF_RANGE],
        ),
        (
            "a message over the limit",
            PUT,
            vec![],
            message(&vec![0; 17 << 20]),
            &[OUT_OF_RANGE],
        ),
        (
            "a message that is shorter than it says",
            INSERT,
            vec![],
            [&[0, 0, 0, 4, 0][..], b"less"].concat(),
            &[INTERNAL],
        ),
        (
            "no message",
            INSERT,
            vec![],
            vec![],
            &[INTERNAL, INVALID_ARGUMENT],
        ),
        (
            "other bytes than were stated",
            PUT,
            vec![],
            put_of(stat(5), b"wrong"),
            &[INVALID_ARGUMENT],
        ),
        (
            "fewer bytes than were stated",
            PUT,
            vec![],
            put_of(stat(6), b"right"),
            &[INVALID_ARGUMENT],
        ),
        (
            "more bytes than were stated",
            PUT,
            vec![],
            put_of(stat(4), b"right"),
            &[INVALID_ARGUMENT],
        ),
        (
            "bytes for an exabyte",
            PUT,
            vec![],
            put_of(stat(1 << 60), b"right"),
            &[INVALID_ARGUMENT],
        ),
        (
            "a param 40 deep",
            INSERT,
            vec![],
            message(&with_param(&nested(40))),
            &[0, INVALID_ARGUMENT, INTERNAL],
        ),
        (
            "a param 3000 deep",
            INSERT,
            vec![],
            message(&with_param(&nested(3000))),
            &[INVALID_ARGUMENT, INTERNAL],
        ),
        (
            "a param a million deep",
            INSERT,
            vec![],
            message(&with_param(&field(9, &deep_cbor))),
            &[INVALID_ARGUMENT],
        ),
        (
            "a recipe a million deep",
            INSERT,
            vec![],
            message(&field(1, &field(1, &deep_cbor))),
            &[INVALID_ARGUMENT],
        ),
        (
            "a million inputs",
            INSERT,
            vec![],
            message(&recipe_of(1_000_000).encode_to_vec()),
            &[OUT_OF_RANGE],
        ),
        (
            "more addresses than a call may have",
            "/deriva.v1.Blobs/Stat",
            vec![],
            message(&many.encode_to_vec()),
            &[INVALID_ARGUMENT],
        ),
        (
            "more targets than a call may have",
            "/deriva.v1.Materialize/Run",
            vec![],
            message(&targets.encode_to_vec()),
            &[INVALID_ARGUMENT],
        ),
        (
            "a packed message",
            "/deriva.v1.Blobs/Stat",
            gzip.clone(),
            packed(&[0x1f; 100]),
            &[UNIMPLEMENTED],
        ),
        (
            "a packed message in a stream",
            PUT,
            gzip,
            packed(&[0x1f; 100]),
            &[UNIMPLEMENTED],
        ),
        (
            "a packed message, packed by nothing",
            "/deriva.v1.Blobs/Stat",
            vec![],
            packed(&[0x1f; 100]),
            &[INTERNAL, UNIMPLEMENTED],
        ),
        (
            "a flag that there is not",
            "/deriva.v1.Blobs/Stat",
            vec![],
            [&[7], &asked[1..]].concat(),
            &[INTERNAL, UNIMPLEMENTED],
        ),
        (
            "a call that there is not",
            "/deriva.v1.Blobs/Give",
            vec![],
            asked.clone(),
            &[UNIMPLEMENTED],
        ),
        (
            "a service that there is not",
            "/deriva.v9.Blobs/Stat",
            vec![],
            asked.clone(),
            &[UNIMPLEMENTED],
        ),
        (
            "a time that is none",
            "/deriva.v1.Blobs/Stat",
            vec![("grpc-timeout", "soon")],
            asked,
            &[0, INVALID_ARGUMENT, INTERNAL],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_lie_or_are_too_much_are_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut served = Served::begin(dir.path(), "sled:data", &[]);
    let client = served.client().await;
    let all = cases();
    let number = all.len();
    let mut most = 0;
    for (what, path, headers, body, codes) in all {
        let memory = served.memory();
        let caller = Caller::new(&served).await;
        let (len, began) = (body.len(), Instant::now());
        let answered = caller.call(path, &headers, body.into()).await;
        let grown = memory.grown();
        most = most.max(grown);
        eprintln!(
            "{what}, {len} bytes: {answered:?} in {:?}, {:.1} MiB more",
            began.elapsed(),
            mib(grown)
        );
        let (code, _) = answered.unwrap_or_else(|| panic!("{what} was not answered"));
        assert!(codes.contains(&code), "{what}: {code}");
        assert!(grown < GROWTH, "{what}: {} MiB", mib(grown));
    }
    // Nothing of it is there.
    let right = BlobStore::stat(&client, &[Blob::new("right").addr()]).await;
    assert_eq!(right.unwrap(), [None]);
    served.serves_others(9).await;
    eprintln!("{number} cases, at most {:.1} MiB more", mib(most));
    served.runs();
}

#[tokio::test(flavor = "multi_thread")]
async fn senseless_messages_of_every_call_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let mut served = Served::begin(dir.path(), "memory:", &[]);
    let described = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let mut paths = Vec::new();
    for file in &described.file {
        for service in &file.service {
            for method in &service.method {
                let service = format!("{}.{}", file.package(), service.name());
                paths.push(format!("/{service}/{}", method.name()));
            }
        }
    }
    // It never ends by itself.
    paths.retain(|path| !path.ends_with("/Lease"));
    let memory = served.memory();
    let mut chance = Chance::new(seed());
    let rounds = if is_long() { 5_000 } else { 200 };
    let (mut inputs, mut taken) = (0, 0);
    let caller = Caller::new(&served).await;
    for _ in 0..rounds {
        for path in &paths {
            let len = chance.below(200) as usize;
            let mut bytes = chance.bytes(len);
            // Half of them have fields that are known, of lengths that are right.
            if chance.once_in(2) {
                let inner = chance.below(40) as usize;
                let inner = chance.bytes(inner);
                let inner = field(1 + chance.below(4) as u32, &inner);
                bytes = field(1 + chance.below(6) as u32, &inner);
            }
            let answered = caller.call(path, &[], message(&bytes).into()).await;
            let (code, _) = answered.unwrap_or_else(|| panic!("{path} was not answered"));
            inputs += 1;
            taken += u64::from(code == 0);
        }
    }
    let grown = memory.grown();
    served.serves_others(10).await;
    eprintln!(
        "{inputs} senseless messages for {} calls, {taken} made sense, {:.1} MiB more",
        paths.len(),
        mib(grown)
    );
    assert!(grown < GROWTH);
    served.runs();
}
