//! What checked pages cost redb: a plain file against one whose pages are checked, in turn.
//!
//! ```text
//! cargo run -p deriva-backends --release --example redb_pages -- FOLDER 100000 5
//! ```

#[path = "../src/redb/pages.rs"]
mod pages;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use deriva_api::{CAddr, Clock, Error, ErrorKind, Result, SystemClock};
use pages::Pages;
use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase, TableDefinition};

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");
const BATCH: u64 = 1000;
/// As in a redb store by default, and small, so that nearly all reads come from the file.
const CACHE: usize = 256 << 20;
const SMALL_CACHE: usize = 1 << 20;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<u64> = args.iter().skip(1).flat_map(|n| n.parse()).collect();
    let ([folder, ..], [rows, rounds]) = (args.as_slice(), numbers.as_slice()) else {
        let message = "give a folder, a number of rows and one of rounds";
        return Err(Error::new(ErrorKind::Invalid, message));
    };
    let mut measured: BTreeMap<&str, [Vec<[f64; 2]>; 2]> = BTreeMap::new();
    for _ in 0..*rounds {
        for (n, kind) in [Kind::Plain, Kind::Checked].into_iter().enumerate() {
            let folder = Path::new(folder).join("bench");
            fs::create_dir_all(&folder).map_err(Error::io)?;
            let found = run(kind, &folder.join("file"), *rows).map_err(internal)?;
            for (what, times) in found {
                measured.entry(what).or_default()[n].push(times);
            }
            fs::remove_dir_all(&folder).map_err(Error::io)?;
        }
    }
    let mut out = std::io::stdout();
    for (what, both) in measured {
        // The least: other work on the machine only adds.
        let least = |times: Vec<[f64; 2]>| {
            [0, 1].map(|i| times.iter().fold(f64::MAX, |least, t| least.min(t[i])))
        };
        let [plain, checked] = both.map(least);
        let ratio = [0, 1].map(|i| checked[i] / plain[i]);
        writeln!(
            out,
            "{what}: wall {:.1} -> {:.1} ms (x{:.2}), CPU {:.1} -> {:.1} ms (x{:.2})",
            plain[0], checked[0], ratio[0], plain[1], checked[1], ratio[1]
        )
        .map_err(Error::io)?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Kind {
    Plain,
    Checked,
}

impl Kind {
    fn create(self, file: &Path) -> Result<Database, redb::Error> {
        let builder = Database::builder();
        Ok(match self {
            Self::Plain => {
                builder.create_with_backend(FileBackend::new(File::create_new(file)?)?)?
            }
            Self::Checked => builder.create_with_backend(Pages::create(file)?)?,
        })
    }

    fn open(self, file: &Path, cache: usize) -> Result<Database, redb::Error> {
        let mut builder = Database::builder();
        builder.set_cache_size(cache);
        Ok(match self {
            Self::Plain => builder.open(file)?,
            Self::Checked => builder.create_with_backend(Pages::open(file)?)?,
        })
    }
}

/// Milliseconds of each part: by the clock, and on the CPU.
fn run(kind: Kind, file: &Path, rows: u64) -> Result<Vec<(&'static str, [f64; 2])>, redb::Error> {
    let mut found = Vec::new();
    let database = kind.create(file)?;
    found.push(timed("1 insert, 1,000 a commit, durable", || {
        for batch in 0..rows / BATCH {
            insert(&database, batch * BATCH..(batch + 1) * BATCH)?;
        }
        Ok(())
    })?);
    let single = rows..rows + 300;
    found.push(timed("2 insert 300, one a commit, durable", || {
        for n in single.clone() {
            insert(&database, n..n + 1)?;
        }
        Ok(())
    })?);
    let killed = copy(file)?;
    found.push(timed("3 open after a kill", || {
        kind.open(&killed, CACHE).map(drop)
    })?);
    drop(database);
    found.push(timed("4 open and close, 20 times", || {
        (0..20).try_for_each(|_| kind.open(file, CACHE).map(drop))
    })?);
    let database = kind.open(file, SMALL_CACHE)?;
    let reads = |count: u64| {
        let read = database.begin_read()?.open_table(ROWS)?;
        for n in 0..count {
            let key = key(n.wrapping_mul(0x9E37_79B9) % rows);
            read.get(key.as_slice())?.ok_or(redb::Error::PreviousIo)?;
        }
        Ok(())
    };
    found.push(timed("5 100,000 reads past redb's cache", || {
        reads(100_000)
    })?);
    forget(file)?;
    found.push(timed("6 2,000 reads from the disk", || reads(2_000))?);
    forget(file)?;
    found.push(timed("7 insert 20,000 into a cold file", || {
        for batch in 0..20 {
            insert(
                &database,
                rows * 2 + batch * BATCH..rows * 2 + (batch + 1) * BATCH,
            )?;
        }
        Ok(())
    })?);
    Ok(found)
}

fn insert(database: &Database, rows: std::ops::Range<u64>) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(ROWS)?;
        let mut batch: Vec<_> = rows.map(|n| (key(n), [n as u8; 150])).collect();
        batch.sort_unstable();
        for (key, value) in &batch {
            table.insert(key.as_slice(), value.as_slice())?;
        }
    }
    Ok(transaction.commit()?)
}

fn key(n: u64) -> [u8; 33] {
    let mut key = [b'r'; 33];
    key[1..].copy_from_slice(CAddr::of_blob(&n.to_le_bytes()).as_bytes());
    key
}

fn copy(file: &Path) -> Result<PathBuf, redb::Error> {
    let killed = file.with_extension("killed");
    fs::copy(file, &killed)?;
    Ok(killed)
}

/// Has the system drop what it holds of the file in memory.
fn forget(file: &Path) -> Result<(), redb::Error> {
    let file = File::open(file)?;
    file.sync_all()?;
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)
        .map_err(|error| redb::Error::Io(error.into()))
}

fn timed(
    what: &'static str,
    work: impl FnOnce() -> Result<(), redb::Error>,
) -> Result<(&'static str, [f64; 2]), redb::Error> {
    let clock = SystemClock::new();
    let (begin, cpu) = (clock.now(), on_cpu()?);
    work()?;
    let spent = [clock.now() - begin, on_cpu()?.saturating_sub(cpu)];
    Ok((what, spent.map(|time| time.as_secs_f64() * 1e3)))
}

/// The time that this thread has had on a CPU: all work is done in it.
fn on_cpu() -> Result<Duration, redb::Error> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Ok(Duration::from_nanos(nanos.unwrap_or(0)))
}

fn internal(source: redb::Error) -> Error {
    Error::new(ErrorKind::Internal, "redb failed").caused_by(source)
}
