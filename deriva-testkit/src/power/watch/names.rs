//! Names of files and folders: what they point to, and how that changes.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use super::{CUT, ODD, Opening, Watch};
use crate::power::calls::{Call, descriptor, quoted};
use crate::power::timeline::{Node, ROOT, What};

/// A folder, and a name in it.
type Place = (Node, Vec<u8>);

impl Watch {
    pub(super) fn opened(&mut self, call: &Call<'_>) -> Result<(), String> {
        let number = call.answer().ok_or(ODD)? as i64;
        let (folder, at) = match call.name.starts_with("openat") {
            true => (Some(call.arg(0)), 1),
            false => (None, 0),
        };
        let path = self.path(folder, call.arg(at))?;
        let flags = match call.name {
            "creat" => "O_CREAT|O_TRUNC",
            _ => call.arg(at + 1),
        };
        if !path.starts_with(&self.root) {
            self.open(number, None);
            return Ok(());
        }
        let node = match self.find(&path) {
            _ if flags.contains("O_TMPFILE") => self.add(false),
            Some(node) => node,
            None if flags.contains("O_CREAT") => {
                let node = self.add(false);
                let place = self.place(&path)?.ok_or(ODD)?;
                self.name(call, vec![(place, Some(node))]);
                node
            }
            None => return Err(format!("{} was not seen to be made", path.display())),
        };
        if flags.contains("O_TRUNC") && self.lens[node] > 0 {
            self.resize(call, node, 0);
        }
        let opening = Opening {
            node,
            at: 0,
            append: flags.contains("O_APPEND"),
            synced: flags.contains("O_SYNC") || flags.contains("O_DSYNC"),
        };
        self.open(number, Some(opening));
        Ok(())
    }

    pub(super) fn made(&mut self, call: &Call<'_>) -> Result<(), String> {
        let path = match call.name {
            "mkdirat" => self.path(Some(call.arg(0)), call.arg(1)),
            _ => self.path(None, call.arg(0)),
        }?;
        if let Some(place) = self.place(&path)? {
            let node = self.add(true);
            self.name(call, vec![(place, Some(node))]);
        }
        Ok(())
    }

    pub(super) fn unlinked(&mut self, call: &Call<'_>) -> Result<(), String> {
        let path = match call.name {
            "unlinkat" => self.path(Some(call.arg(0)), call.arg(1)),
            _ => self.path(None, call.arg(0)),
        }?;
        if let Some(place) = self.place(&path)? {
            self.name(call, vec![(place, None)]);
        }
        Ok(())
    }

    pub(super) fn renamed(&mut self, call: &Call<'_>) -> Result<(), String> {
        if call.arg(4).contains("RENAME_EXCHANGE") {
            return Err("names that change places are not followed".to_owned());
        }
        let (from, to) = self.two_paths(call)?;
        match (self.place(&from)?, self.place(&to)?) {
            (Some(from), Some(to)) => {
                let node = self.names.get(&from).copied();
                let node = node.ok_or("what is renamed was not seen to be made")?;
                // In one folder both change at once. Of two folders, the new name comes first.
                let (new, old) = ((to, Some(node)), (from, None));
                match new.0.0 == old.0.0 {
                    true => self.name(call, vec![new, old]),
                    false => {
                        self.name(call, vec![new]);
                        self.name(call, vec![old]);
                    }
                }
                Ok(())
            }
            (None, None) => Ok(()),
            _ => Err("what comes from elsewhere or goes there is not followed".to_owned()),
        }
    }

    pub(super) fn linked(&mut self, call: &Call<'_>) -> Result<(), String> {
        let (from, to) = self.two_paths(call)?;
        let Some(to) = self.place(&to)? else {
            return Ok(());
        };
        let unnamed = from.strip_prefix("/proc/self/fd").ok();
        let node = match unnamed.and_then(|number| number.to_str()?.parse().ok()) {
            _ if call.arg(4).contains("AT_EMPTY_PATH") => self.opening(call.arg(0)),
            Some(number) => self.descriptors.get(&number).copied(),
            None => None,
        };
        let node = node.map(|opening| self.openings[opening].node);
        let node = node.or_else(|| self.find(&from));
        let node = node.ok_or("what is linked was not seen to be made")?;
        self.name(call, vec![(to, Some(node))]);
        Ok(())
    }

    fn two_paths(&self, call: &Call<'_>) -> Result<(PathBuf, PathBuf), String> {
        Ok(match matches!(call.name, "rename" | "link") {
            true => (self.path(None, call.arg(0))?, self.path(None, call.arg(1))?),
            false => (
                self.path(Some(call.arg(0)), call.arg(1))?,
                self.path(Some(call.arg(2)), call.arg(3))?,
            ),
        })
    }

    fn add(&mut self, folder: bool) -> Node {
        self.lens.push(0);
        self.timeline.folders.push(folder);
        self.lens.len() - 1
    }

    /// Changes names of one folder.
    fn name(&mut self, call: &Call<'_>, changed: Vec<(Place, Option<Node>)>) {
        let mut folder = ROOT;
        let mut names = Vec::new();
        for ((within, name), node) in changed {
            folder = within;
            match node {
                Some(node) => self.names.insert((within, name.clone()), node),
                None => self.names.remove(&(within, name.clone())),
            };
            names.push((name, node));
        }
        self.change(call, What::Names { folder, names });
    }

    pub(super) fn find(&self, path: &Path) -> Option<Node> {
        let below = path.strip_prefix(&self.root).ok()?;
        let mut node = ROOT;
        for part in below.components() {
            match part {
                Component::CurDir => {}
                Component::Normal(name) => {
                    node = *self.names.get(&(node, name.as_bytes().to_vec()))?;
                }
                _ => return None,
            }
        }
        Some(node)
    }

    /// `None` where it lies elsewhere.
    fn place(&self, path: &Path) -> Result<Option<Place>, String> {
        if !path.starts_with(&self.root) || path == self.root {
            return Ok(None);
        }
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(ODD.to_owned());
        };
        match self.find(above) {
            Some(folder) => Ok(Some((folder, name.as_bytes().to_vec()))),
            None => Err(format!("{} was not seen to be made", above.display())),
        }
    }

    /// A path as it was given, perhaps relative to a folder that a descriptor stands for.
    pub(super) fn path(&self, folder: Option<&str>, arg: &str) -> Result<PathBuf, String> {
        let path = PathBuf::from(OsString::from_vec(quoted(arg).ok_or(CUT)?));
        let folder = folder.and_then(descriptor).map(|(_, folder)| folder);
        Ok(match folder {
            Some(folder) => Path::new(OsStr::from_bytes(&folder)).join(path),
            None => path,
        })
    }
}
