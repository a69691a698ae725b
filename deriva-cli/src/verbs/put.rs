//! `deriva put`: files, folders and stdin into blobs.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use deriva::Deriva;
use deriva::api::{BlobStat, Error, ErrorKind, Result};
use serde_json::json;

use crate::exit::Outcome;
use crate::files;
use crate::run::{at, walk};
use crate::term::Out;

/// Files stored between two prints.
const BATCH: usize = 1024;

/// Stores everything and prints `ADDRESS  PATH` for each file, as `b3sum` does.
pub(crate) async fn put(deriva: &Deriva, paths: &[PathBuf], out: &mut Out) -> Outcome {
    let mut all = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let stat = deriva.put_reader(tokio::io::stdin()).await?;
            tell(path, stat, out, &mut all)?;
            continue;
        }
        for batch in expand(path)?.chunks(BATCH) {
            let stats = files::put_files(Some(deriva), batch.to_vec(), |_| {}).await?;
            for (path, stat) in batch.iter().zip(stats) {
                tell(path, stat, out, &mut all)?;
            }
        }
    }
    match out.json() {
        true => out.value(&all),
        false => Ok(()),
    }
}

fn tell(path: &Path, stat: BlobStat, out: &mut Out, all: &mut Vec<serde_json::Value>) -> Outcome {
    let name = files::shown(path);
    if out.json() {
        all.push(json!({ "addr": stat.addr, "path": name, "bytes": stat.len }));
        return Ok(());
    }
    // As `b3sum`: a name that would break the line is escaped, and the line marked.
    let bytes = matches!(name, Cow::Owned(_));
    match bytes || name.contains(['\n', '\\']) {
        true => {
            let escaped = match bytes {
                true => name.into_owned(),
                false => name.replace('\\', "\\\\"),
            };
            let escaped = escaped.replace('\n', "\\n");
            out.line(format!("\\{}  {escaped}", stat.addr))
        }
        false => out.line(format!("{}  {name}", stat.addr)),
    }
}

/// A file is itself; a folder is all files below it, in order, without stores. Links to folders are not followed.
fn expand(path: &Path) -> Result<Vec<PathBuf>> {
    if std::fs::metadata(path)
        .map_err(|error| at(error, path))?
        .is_file()
    {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in walk(path, |_| true)? {
        let entry = entry.map_err(|error| {
            Error::new(ErrorKind::Invalid, "the folder cannot be read")
                .with("path", path.display())
                .caused_by(error)
        })?;
        // A link to a file counts as one; what has no content of its own does not.
        if entry.path().is_file() {
            files.push(entry.into_path());
        }
    }
    files.sort_unstable_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    Ok(files)
}
