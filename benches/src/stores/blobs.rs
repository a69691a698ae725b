//! Blobs put and got, by size: against the engine below the threshold, and a file from there on.

use std::io::Write;
use std::path::Path;

use deriva::CAddr;
use deriva::prelude::*;
use deriva_testkit::SplitMix64;

use super::raw::Engine;
use super::{Place, blobs, missing};
use crate::Scale;
use crate::measure::{Sample, disk_bytes, interleaved, runtime, sample};
use crate::report::{Report, Target};

/// From here on stores keep a blob as a file.
const FILES_FROM: usize = 32 << 10;

pub(super) fn run(scale: Scale, report: &mut Report) -> Result<()> {
    for (name, size, count) in [
        ("1 KiB", 1 << 10, scale.pick(1000, 100)),
        ("64 KiB", 64 << 10, scale.pick(200, 20)),
        ("1 MiB", 1 << 20, scale.pick(50, 5)),
        ("64 MiB", 64 << 20, scale.pick(2, 1)),
    ] {
        let mut random = SplitMix64::new(42);
        let blobs: Vec<Blob> = (0..count).map(|_| Blob::new(random.bytes(size))).collect();
        let put_target = Target::AtLeast(if size >= 64 << 10 { 0.95 } else { 0.9 });
        let modes = ["", "?durability=buffered"];
        for (engine, mode) in Engine::ALL
            .iter()
            .flat_map(|e| modes.map(|mode| (*e, mode)))
        {
            let scheme = format!("{}{mode}", engine.name());
            let target = if mode.is_empty() {
                put_target
            } else {
                Target::None
            };
            let engine = Some(engine).filter(|_| size < FILES_FROM);
            compare_put(report, &scheme, name, engine, &blobs, target)?;
            if mode.is_empty() {
                compare_get(report, &scheme, name, engine, &blobs)?;
            }
        }
        compare_put(report, "files", name, None, &blobs, put_target)?;
        compare_get(report, "files", name, None, &blobs)?;
    }
    Ok(())
}

/// `engine`: the engine that would hold these blobs, or none where they are files.
fn compare_put(
    report: &mut Report,
    scheme: &str,
    size: &str,
    engine: Option<Engine>,
    blobs: &[Blob],
    target: Target,
) -> Result<()> {
    let (ours, baseline) = interleaved(3, || put(scheme, blobs), || raw_put(engine, blobs))?;
    let row = format!("{scheme}: put {size}, one by one");
    report.add("stores", row, blobs.len() as u64, &ours, &baseline, target);
    Ok(())
}

fn compare_get(
    report: &mut Report,
    scheme: &str,
    size: &str,
    engine: Option<Engine>,
    blobs: &[Blob],
) -> Result<()> {
    let count = blobs.len() as u64;
    let (ours, baseline) = interleaved(3, || get(scheme, blobs), || hash(blobs))?;
    let row = format!("{scheme}: get {size} / BLAKE3 alone");
    report.add("stores", row, count, &ours, &baseline, Target::AtLeast(0.9));
    let (ours, baseline) = interleaved(3, || get(scheme, blobs), || raw_get(engine, blobs))?;
    let row = format!("{scheme}: get {size} / raw read and BLAKE3");
    report.add("stores", row, count, &ours, &baseline, Target::None);
    Ok(())
}

/// Each blob hashed and put on its own, durable before the next.
fn put(scheme: &str, blobs: &[Blob]) -> Result<Sample> {
    let (place, runtime) = (Place::new()?, runtime(2)?);
    let opened = runtime.block_on(place.open(scheme))?;
    let store = super::blobs(&opened)?;
    let ((), mut sample) = sample(|| {
        runtime.block_on(async {
            for blob in blobs {
                store.put(&[Blob::new(blob.bytes().clone())]).await?;
            }
            Ok(())
        })
    })?;
    drop((store, opened));
    sample.disk_bytes = disk_bytes(place.path())?;
    Ok(sample)
}

/// Each blob read from a store that was opened anew, so that nothing is remembered as verified.
fn get(scheme: &str, wanted: &[Blob]) -> Result<Sample> {
    let (place, runtime) = (Place::new()?, runtime(2)?);
    let opened = runtime.block_on(place.open(scheme))?;
    runtime.block_on(blobs(&opened)?.put(wanted))?;
    drop(opened);
    let opened = runtime.block_on(place.open(scheme))?;
    let store = blobs(&opened)?;
    let read = || {
        runtime.block_on(async {
            for blob in wanted {
                let found = store.get(blob.addr()).await?;
                if found.map(|found| found.len()) != Some(blob.len()) {
                    return Err(missing("a blob"));
                }
            }
            Ok(())
        })
    };
    Ok(sample(read)?.1)
}

fn hash(blobs: &[Blob]) -> Result<Sample> {
    let hash = || {
        for blob in blobs {
            std::hint::black_box(CAddr::of_blob(blob.bytes()));
        }
        Ok(())
    };
    Ok(sample(hash)?.1)
}

/// Hashed too, since the name must be known: a durable row, or a file that is synced, renamed, and its
/// folder synced.
fn raw_put(engine: Option<Engine>, blobs: &[Blob]) -> Result<Sample> {
    let place = Place::new()?;
    if let Some(engine) = engine {
        let raw = place.raw(engine)?;
        let write = || {
            blobs.iter().try_for_each(|blob| {
                let addr = CAddr::of_blob(blob.bytes());
                raw.write(&[(super::rows::key(b"b", &[addr]), blob.bytes().to_vec())])
            })
        };
        return Ok(sample(write)?.1);
    }
    Ok(sample(|| write_files(place.path(), blobs))?.1)
}

fn write_files(folder: &Path, blobs: &[Blob]) -> Result<()> {
    let sync = std::fs::File::open(folder).map_err(Error::io)?;
    for blob in blobs {
        let name = CAddr::of_blob(blob.bytes()).to_string();
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(Error::io)?;
        file.write_all(blob.bytes()).map_err(Error::io)?;
        file.as_file().sync_data().map_err(Error::io)?;
        let named = file.persist(folder.join(name));
        named.map_err(|error| Error::io(error.error))?;
        sync.sync_all().map_err(Error::io)?;
    }
    Ok(())
}

/// Read from the engine or the file, and hashed.
fn raw_get(engine: Option<Engine>, blobs: &[Blob]) -> Result<Sample> {
    let place = Place::new()?;
    if let Some(engine) = engine {
        let key = |blob: &Blob| super::rows::key(b"b", &[blob.addr()]);
        let rows: Vec<_> = blobs.iter().map(|b| (key(b), b.bytes().to_vec())).collect();
        place.raw(engine)?.write(&rows)?;
        let raw = place.raw(engine)?;
        let read = || {
            for (key, _) in &rows {
                raw.get(key, &mut |value| {
                    std::hint::black_box(CAddr::of_blob(value));
                })?;
            }
            Ok(())
        };
        return Ok(sample(read)?.1);
    }
    write_files(place.path(), blobs)?;
    let read = || {
        for blob in blobs {
            let path = place.path().join(blob.addr().to_string());
            let bytes = std::fs::read(path).map_err(Error::io)?;
            std::hint::black_box(CAddr::of_blob(&bytes));
        }
        Ok(())
    };
    Ok(sample(read)?.1)
}
