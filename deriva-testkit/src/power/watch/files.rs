//! Bytes and lengths of files that are open.

use super::{CUT, ODD, Opening, Watch};
use crate::power::calls::{Call, number, quoted, vector};
use crate::power::timeline::{Node, Sync, SyncKind, What};

impl Watch {
    pub(super) fn passed_over(&mut self, call: &Call<'_>) -> Result<(), String> {
        if let Some(opening) = self.opening(call.arg(0)) {
            self.openings[opening].at += call.answer().ok_or(ODD)?;
        }
        Ok(())
    }

    pub(super) fn sought(&mut self, call: &Call<'_>) -> Result<(), String> {
        if let Some(opening) = self.opening(call.arg(0)) {
            self.openings[opening].at = call.answer().ok_or(ODD)?;
        }
        Ok(())
    }

    pub(super) fn duplicated(&mut self, call: &Call<'_>) -> Result<(), String> {
        if call.name == "fcntl" && !call.arg(1).starts_with("F_DUPFD") {
            return match (call.arg(1), self.opening(call.arg(0))) {
                ("F_SETFL", Some(opening)) => {
                    self.openings[opening].append = call.arg(2).contains("O_APPEND");
                    Ok(())
                }
                _ => Ok(()),
            };
        }
        let new = call.answer().ok_or(ODD)? as i64;
        match self.opening(call.arg(0)) {
            Some(opening) => self.descriptors.insert(new, opening),
            None => self.descriptors.remove(&new),
        };
        Ok(())
    }

    pub(super) fn written(&mut self, call: &Call<'_>) -> Result<(), String> {
        let Some(opening) = self.known(call.arg(0))? else {
            return Ok(());
        };
        let bytes = match call.arg(1).starts_with('[') {
            true => vector(call.arg(1)),
            false => quoted(call.arg(1)),
        };
        let mut bytes = bytes.ok_or(CUT)?;
        bytes.truncate(call.answer().ok_or(ODD)? as usize);
        let opened = &mut self.openings[opening];
        let file = opened.node;
        let sequential = matches!(call.name, "write" | "writev");
        let at = match sequential {
            _ if opened.append => self.lens[file],
            true => opened.at,
            // RWF_APPEND and `-1` would have to be followed.
            false => number(call.arg(3)).ok_or(ODD)?,
        };
        let end = at + bytes.len() as u64;
        if sequential {
            opened.at = end;
        }
        let synced = opened.synced || call.arg(4).contains("SYNC");
        self.lens[file] = self.lens[file].max(end);
        if !bytes.is_empty() {
            self.change(call, What::Write { file, at, bytes });
        }
        if synced {
            let end = self.since + call.end;
            self.timeline.syncs.push(Sync {
                begin: end,
                end,
                kind: SyncKind::Fsync,
                of: Some(file),
            });
        }
        Ok(())
    }

    pub(super) fn resized(&mut self, call: &Call<'_>) -> Result<(), String> {
        let file = match call.name {
            "truncate" => self.find(&self.path(None, call.arg(0))?),
            _ => self.node(call.arg(0))?,
        };
        if let Some(file) = file {
            self.resize(call, file, call.number(1).ok_or(ODD)?);
        }
        Ok(())
    }

    pub(super) fn allocated(&mut self, call: &Call<'_>) -> Result<(), String> {
        let Some(file) = self.node(call.arg(0))? else {
            return Ok(());
        };
        let (mode, from) = (call.arg(1), call.number(2).ok_or(ODD)?);
        let end = from + call.number(3).ok_or(ODD)?;
        let is = |flag| mode.split('|').any(|part| part == flag);
        if is("FALLOC_FL_PUNCH_HOLE") || is("FALLOC_FL_ZERO_RANGE") {
            let within = end.min(self.lens[file]).saturating_sub(from);
            let bytes = vec![0; within as usize];
            let at = from;
            self.change(call, What::Write { file, at, bytes });
        } else if mode != "0" && mode != "FALLOC_FL_KEEP_SIZE" {
            return Err(format!("the mode {mode} is not followed"));
        }
        if !is("FALLOC_FL_KEEP_SIZE") && end > self.lens[file] {
            self.resize(call, file, end);
        }
        Ok(())
    }

    pub(super) fn resize(&mut self, call: &Call<'_>, file: Node, len: u64) {
        self.lens[file] = len;
        self.change(call, What::Resize { file, len });
    }

    pub(super) fn synced(&mut self, call: &Call<'_>) -> Result<(), String> {
        let (of, kind) = match call.name {
            "syncfs" | "sync" => (None, SyncKind::FileSystem),
            name => match self.node(call.arg(0))? {
                None => return Ok(()),
                Some(node) if self.timeline.folders[node] => (Some(node), SyncKind::Folder),
                Some(node) if name == "fsync" => (Some(node), SyncKind::Fsync),
                Some(node) => (Some(node), SyncKind::Fdatasync),
            },
        };
        self.timeline.syncs.push(Sync {
            begin: self.since + call.begin,
            end: self.since + call.end,
            kind,
            of,
        });
        Ok(())
    }

    fn node(&self, arg: &str) -> Result<Option<Node>, String> {
        let opening = self.known(arg)?;
        Ok(opening.map(|opening| self.openings[opening].node))
    }

    pub(super) fn open(&mut self, descriptor: i64, opening: Option<Opening>) {
        match opening {
            None => self.descriptors.remove(&descriptor),
            Some(opening) => {
                self.openings.push(opening);
                self.descriptors.insert(descriptor, self.openings.len() - 1)
            }
        };
    }
}
