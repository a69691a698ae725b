//! Compiles the protocol, without `protoc`.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use prost::Message;

const FILES: [&str; 8] = [
    "deriva/v1/admin.proto",
    "deriva/v1/blobs.proto",
    "deriva/v1/errors.proto",
    "deriva/v1/explain.proto",
    "deriva/v1/graph.proto",
    "deriva/v1/materialize.proto",
    "deriva/v1/types.proto",
    "deriva/v1/violation.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let described = protox::compile(FILES, ["proto"])?;
    // Reflection has no use for comments, which are most of it.
    let mut bare = described.clone();
    for file in &mut bare.file {
        file.source_code_info = None;
    }
    let out = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    fs::write(Path::new(&out).join("deriva.v1.bin"), bare.encode_to_vec())?;
    tonic_prost_build::configure()
        // Chunks and canonical bytes are parts of the message that was received, and not copied.
        .bytes(".")
        // One message has one encoding.
        .btree_map(".")
        // Who connects and listens is for clients and servers to say.
        .build_transport(false)
        .build_client(cfg!(feature = "client"))
        .build_server(cfg!(feature = "server"))
        .compile_fds(described)?;
    Ok(())
}
