//! Puts eight blobs into a sled store, one after the other, each acknowledged when it is on the disk.
//!
//! Run it under strace to see that acknowledgements wait for the disk:
//!
//! ```text
//! strace -f -e trace=fsync,fdatasync,sync_file_range target/debug/examples/durable_put sled:/tmp/new
//! ```

use std::io::Write;

use deriva_api::{Blob, Result};
use futures::executor::block_on;

fn main() -> Result<()> {
    let uri = std::env::args().nth(1);
    let uri = uri.unwrap_or_else(|| "sled:./durable_put".to_owned());
    block_on(async {
        let opened = deriva_backends::registry().open(&uri.parse()?).await?;
        let mut out = std::io::stdout();
        for i in 0..8u8 {
            let blob = Blob::new(vec![i; 100]);
            if let Some(blobs) = &opened.blobs {
                blobs.put(std::slice::from_ref(&blob)).await?;
            }
            // One write call, so that it stands between the syncs in the trace.
            writeln!(out, "acknowledged {}", blob.addr()).map_err(deriva_api::Error::io)?;
        }
        Ok(())
    })
}
