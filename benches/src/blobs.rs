//! Blobs put and got, by size.

use std::io::Write;

use deriva::prelude::*;
use deriva_testkit::SplitMix64;
use tempfile::TempDir;

use crate::Scale;
use crate::measure::{Sample, disk_bytes, interleaved, runtime, sample};
use crate::report::{Report, Target};

pub(crate) fn run(scale: Scale, report: &mut Report) -> Result<()> {
    let total = scale.pick(64 << 20, 8 << 20);
    for (name, size) in [
        ("1 KiB", 1 << 10),
        ("64 KiB", 64 << 10),
        ("1 MiB", 1 << 20),
        ("64 MiB", 64 << 20),
    ] {
        let count = (total / size).clamp(1, 4096);
        let mut random = SplitMix64::new(42);
        let blobs: Vec<Bytes> = (0..count)
            .map(|_| Bytes::from(random.bytes(size)))
            .collect();
        let target = Target::AtLeast(if size >= 64 << 10 { 0.95 } else { 0.9 });
        for store in ["memory", "sled", "files"] {
            let target = if store == "memory" {
                Target::None
            } else {
                target
            };
            let (ours, baseline) = interleaved(3, || put(store, &blobs), || raw_put(&blobs))?;
            let row = format!("put {name}, {store} / raw (file from 64 KiB, else sled)");
            report.add("blobs", row, count as u64, &ours, &baseline, target);
            let (ours, baseline) = interleaved(3, || get(store, &blobs), || hash(&blobs))?;
            let row = format!("get {name}, {store} / BLAKE3 alone");
            report.add(
                "blobs",
                row,
                count as u64,
                &ours,
                &baseline,
                Target::AtLeast(0.9),
            );
        }
    }
    Ok(())
}

fn open(store: &str, folder: &TempDir) -> Result<(tokio::runtime::Runtime, Deriva)> {
    let path = folder.path().join("store");
    let runtime = runtime(2)?;
    let builder = Deriva::builder().cache_bytes(0);
    let builder = match store {
        "memory" => builder.store("memory:"),
        "sled" => builder.store(&format!("sled:{}", path.display())),
        _ => builder
            .blobs(format!("files:{}", path.display()))
            .dag("memory:"),
    };
    let deriva = runtime.block_on(builder.build())?;
    Ok((runtime, deriva))
}

/// Each blob hashed and put on its own, durable before the next.
fn put(store: &str, blobs: &[Bytes]) -> Result<Sample> {
    let folder = TempDir::new().map_err(Error::io)?;
    let (runtime, deriva) = open(store, &folder)?;
    let ((), mut sample) = sample(|| {
        runtime.block_on(async {
            for bytes in blobs {
                deriva.put(bytes.clone()).await?;
            }
            Ok(())
        })
    })?;
    drop(deriva);
    sample.disk_bytes = disk_bytes(folder.path())?;
    Ok(sample)
}

/// Each blob read from a store that was opened anew, so that nothing is remembered as verified.
fn get(store: &str, blobs: &[Bytes]) -> Result<Sample> {
    let folder = TempDir::new().map_err(Error::io)?;
    let (runtime, mut deriva) = open(store, &folder)?;
    let blobs: Vec<Blob> = blobs.iter().map(|bytes| Blob::new(bytes.clone())).collect();
    runtime.block_on(deriva.put_many(&blobs))?;
    if store != "memory" {
        drop(runtime);
        drop(deriva);
        let (again, reopened) = open(store, &folder)?;
        deriva = reopened;
        let ((), sample) = sample(|| again.block_on(read(&deriva, &blobs)))?;
        return Ok(sample);
    }
    Ok(sample(|| runtime.block_on(read(&deriva, &blobs)))?.1)
}

async fn read(deriva: &Deriva, blobs: &[Blob]) -> Result<()> {
    for blob in blobs {
        let read = deriva.get(blob.addr()).await?;
        if read.len() as u64 != blob.len() {
            return Err(Error::new(
                ErrorKind::Corrupt,
                "a blob came back with another length",
            ));
        }
    }
    Ok(())
}

fn hash(blobs: &[Bytes]) -> Result<Sample> {
    let hash = || {
        for bytes in blobs {
            std::hint::black_box(CAddr::of_blob(bytes));
        }
        Ok(())
    };
    Ok(sample(hash)?.1)
}

/// What the engine alone takes: a file that is synced and renamed from 64 KiB up, a durable row in sled
/// below; hashed, since the name must be known.
fn raw_put(blobs: &[Bytes]) -> Result<Sample> {
    let folder = TempDir::new().map_err(Error::io)?;
    let engine =
        |source: sled::Error| Error::new(ErrorKind::Internal, "raw sled failed").caused_by(source);
    if blobs.first().is_some_and(|bytes| bytes.len() >= 64 << 10) {
        let sync = std::fs::File::open(folder.path()).map_err(Error::io)?;
        let write = || {
            for bytes in blobs {
                let path = folder.path().join(CAddr::of_blob(bytes).to_string());
                let mut file = tempfile::NamedTempFile::new_in(folder.path()).map_err(Error::io)?;
                file.write_all(bytes).map_err(Error::io)?;
                file.as_file().sync_data().map_err(Error::io)?;
                file.persist(path).map_err(|error| Error::io(error.error))?;
                sync.sync_all().map_err(Error::io)?;
            }
            Ok(())
        };
        return Ok(sample(write)?.1);
    }
    let db = sled::open(folder.path().join("raw")).map_err(engine)?;
    let log = std::fs::File::open(folder.path().join("raw/db")).map_err(Error::io)?;
    let write = || {
        for bytes in blobs {
            db.insert(CAddr::of_blob(bytes).as_bytes(), bytes.as_ref())
                .map_err(engine)?;
            db.flush().map_err(engine)?;
            log.sync_all().map_err(Error::io)?;
        }
        Ok(())
    };
    Ok(sample(write)?.1)
}
