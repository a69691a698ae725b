//! One cold LAYERED graph in memory, on one thread, to be profiled:
//! `valgrind --tool=callgrind target/release/examples/layered 1000 20`.

use deriva::prelude::*;
use deriva_testkit::Workload;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let mut number = |default| {
        args.next()
            .and_then(|arg| arg.parse().ok())
            .unwrap_or(default)
    };
    let (width, layers) = (number(1000), number(20));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(Error::io)?;
    runtime.block_on(async {
        let deriva = Deriva::builder().store("memory:").jobs(1).build().await?;
        let workload = Workload::Layered { width, layers };
        let root = workload.load(&**deriva.blobs(), &**deriva.dag()).await?;
        let done = deriva.materialize(root).await?;
        assert_eq!(done.summary.computed, workload.len());
        Ok(())
    })
}
