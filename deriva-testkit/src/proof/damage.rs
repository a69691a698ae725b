//! Damages the files of a store at random places, and has another process read everything.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::reader::Verdict;
use super::store::Prover;
use super::{Broken, child};
use crate::SplitMix64;

/// How many items the damaged stores hold.
const ITEMS: u64 = 48;
/// The size of the pieces that are zeroed.
const PAGE: u64 = 4096;

/// Damages to be done to copies of one store.
#[derive(Clone, Debug)]
pub struct Damage {
    /// The store.
    pub prover: Prover,
    /// How many copies to damage, each in one place or, one in five, in several.
    pub damages: u64,
    /// Where chance begins.
    pub seed: u64,
}

/// What became of the damaged stores. None gave a wrong answer, panicked, crashed or hung.
#[derive(Clone, Debug, Default)]
pub struct DamageReport {
    /// Stores that were damaged and read.
    pub damages: u64,
    /// Stores that gave right answers only: the damage fell on nothing that is read.
    pub unharmed: u64,
    /// Stores that did not open, by kind of error.
    pub not_opened: BTreeMap<String, u64>,
    /// Stores that refused some reads or writes, by kind of error.
    pub refused: BTreeMap<String, u64>,
    /// Stores that answered some reads with an earlier state and refused nothing, by file damaged.
    pub lost: BTreeMap<String, u64>,
}

impl Damage {
    /// Does it, telling `progress` the number of damages so far.
    ///
    /// # Errors
    /// Every damage that was answered wrongly, each with the seed that repeats it.
    pub fn run(&self, mut progress: impl FnMut(u64)) -> Result<DamageReport, Broken> {
        let folder = tempfile::tempdir()?;
        let stores = [("closed", false), ("killed", true)].map(|(name, killed)| {
            let at = folder.path().join(name);
            fs::create_dir(&at)?;
            self.prover.fill(&self.prover.place(&at)?, ITEMS, killed)?;
            Ok::<_, Broken>(at)
        });
        let [closed, killed] = stores;
        let stores = [closed?, killed?];
        let copy = folder.path().join("copy");
        let mut report = DamageReport::default();
        let mut broken = Vec::new();
        for number in 0..self.damages {
            let seed = self.seed.wrapping_add(number);
            let original = &stores[number as usize % 2];
            copy_all(original, &copy)?;
            let done = Done::any(&copy.join("store"), &mut SplitMix64::new(seed))?;
            if let Err(found) = self.read(&copy, &done, &mut report) {
                broken.push(format!(
                    "{} (seed {seed}, {done}): {found}",
                    self.prover.store.name()
                ));
            }
            fs::remove_dir_all(&copy)?;
            report.damages += 1;
            progress(report.damages);
        }
        match broken.is_empty() {
            true => Ok(report),
            false => Err(Broken::new(format!(
                "{} of {} damages: {}",
                broken.len(),
                report.damages,
                broken.join("\n")
            ))),
        }
    }

    /// Has a child read the damaged store, and adds to the report.
    fn read(&self, folder: &Path, done: &Done, report: &mut DamageReport) -> Result<(), Broken> {
        let mut heard = Heard::default();
        let place = folder.join("store");
        child::read(&self.prover, &place, ITEMS, |line| heard.note(line))?;
        heard.judge(done, report)
    }
}

/// What a reader told.
#[derive(Default)]
struct Heard {
    not_opened: Option<String>,
    refused: BTreeSet<String>,
    lost: Vec<String>,
    bad: Vec<String>,
}

impl Heard {
    fn note(&mut self, line: &str) {
        match Verdict::parse(line) {
            Some((Verdict::Right, _)) => {}
            Some((Verdict::Lost, what)) => self.lost.push(what.to_owned()),
            Some((Verdict::Refused, what)) if !is_apt(what) => self.bad.push(line.to_owned()),
            Some((Verdict::Refused, what)) => match what.strip_prefix("open ") {
                Some(error) => self.not_opened = Some(error.to_owned()),
                None => drop(self.refused.insert(kind_of(what))),
            },
            Some((Verdict::Panicked | Verdict::Wrong, _)) | None => self.bad.push(line.to_owned()),
        }
    }

    fn judge(self, done: &Done, report: &mut DamageReport) -> Result<(), Broken> {
        if !self.bad.is_empty() {
            return Err(Broken::new(self.bad.join("; ")));
        }
        if let Some(error) = self.not_opened {
            let kind = error.split(' ').next().unwrap_or_default();
            *report.not_opened.entry(kind.to_owned()).or_default() += 1;
        } else if !self.refused.is_empty() {
            for kind in self.refused {
                *report.refused.entry(kind).or_default() += 1;
            }
        } else if !self.lost.is_empty() {
            *report.lost.entry(done.class()).or_default() += 1;
        } else {
            report.unharmed += 1;
        }
        Ok(())
    }
}

/// Whether damage may be answered with this kind. Damage to the marker of a folder may look like a
/// foreign folder, damage to a version number like a newer one; and what a damaged store did not
/// insert it does not find.
fn is_apt(refusal: &str) -> bool {
    let (what, _) = refusal.split_once(' ').unwrap_or((refusal, ""));
    match kind_of(refusal).as_str() {
        "Corrupt" => true,
        "Invalid" | "Unsupported" => what == "open",
        "NotFound" => what == "write",
        _ => false,
    }
}

/// The kind in `WHAT KIND MESSAGE`.
fn kind_of(refusal: &str) -> String {
    let is_kind = |word: &&str| word.starts_with(|c: char| c.is_ascii_uppercase());
    refusal
        .split(' ')
        .find(is_kind)
        .unwrap_or_default()
        .to_owned()
}

/// What was done to a store's files.
struct Done(Vec<(String, Change)>);

#[derive(Clone, Copy, Debug)]
enum Change {
    FlipBit { at: u64, bit: u8 },
    Truncate { to: u64 },
    ZeroPage { at: u64 },
    Delete,
}

impl Done {
    fn any(store: &Path, random: &mut SplitMix64) -> Result<Self, Broken> {
        let places = match random.below(5) {
            0 => 2 + random.below(4),
            _ => 1,
        };
        let mut done = Vec::new();
        for _ in 0..places {
            let mut files = Vec::new();
            files_below(store, &mut files)?;
            let Some((path, len)) = pick(&files, random) else {
                break;
            };
            let change = Change::any(*len, random);
            change.make(path, *len)?;
            let name = path.strip_prefix(store).unwrap_or(path);
            done.push((name.display().to_string(), change));
        }
        Ok(Self(done))
    }

    /// The change and the kind of file, for counts.
    fn class(&self) -> String {
        let class = |(name, change): &(String, Change)| {
            let change = match change {
                Change::FlipBit { .. } => "flip in",
                Change::Truncate { .. } => "truncate",
                Change::ZeroPage { .. } => "zero in",
                Change::Delete => "delete",
            };
            format!("{change} {}", super::trace::normal(name))
        };
        self.0.iter().map(class).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, change) in &self.0 {
            write!(f, " {change:?} of {name}")?;
        }
        Ok(())
    }
}

impl Change {
    fn any(len: u64, random: &mut SplitMix64) -> Self {
        let at = random.below(len.max(1));
        match (random.below(8), len) {
            (7, _) | (_, 0) => Self::Delete,
            (0..3, _) => Self::FlipBit {
                at,
                bit: random.below(8) as u8,
            },
            // Half of the cuts take a few bytes only.
            (3, _) => Self::Truncate {
                to: len - (1 + random.below(100)).min(len),
            },
            (4, _) => Self::Truncate { to: at },
            _ => Self::ZeroPage {
                at: at / PAGE * PAGE,
            },
        }
    }

    fn make(self, path: &Path, len: u64) -> Result<(), Broken> {
        if let Self::Delete = self {
            return Ok(fs::remove_file(path)?);
        }
        let mut bytes = fs::read(path)?;
        match self {
            Self::FlipBit { at, bit } => bytes[at as usize] ^= 1 << bit,
            Self::Truncate { to } => bytes.truncate(to as usize),
            Self::ZeroPage { at } => bytes[at as usize..(at + PAGE).min(len) as usize].fill(0),
            Self::Delete => {}
        }
        Ok(fs::write(path, bytes)?)
    }
}

/// Half of the time any file, half of the time any byte.
fn pick<'a>(files: &'a [(PathBuf, u64)], random: &mut SplitMix64) -> Option<&'a (PathBuf, u64)> {
    let bytes: u64 = files.iter().map(|(_, len)| len).sum();
    if random.below(2) == 0 || bytes == 0 {
        return files.get(random.below(files.len().max(1) as u64) as usize);
    }
    let mut at = random.below(bytes);
    files.iter().find(|(_, len)| {
        let here = at < *len;
        at = at.saturating_sub(*len);
        here
    })
}

/// All files of a store but its lock, which holds nothing; in the same order each time.
fn files_below(folder: &Path, files: &mut Vec<(PathBuf, u64)>) -> Result<(), Broken> {
    let entries: Result<Vec<_>, _> = fs::read_dir(folder)?.collect();
    let mut entries = entries?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            files_below(&entry.path(), files)?;
        } else if !entry.file_name().eq_ignore_ascii_case("lock") {
            files.push((entry.path(), metadata.len()));
        }
    }
    Ok(())
}

pub(super) fn copy_all(from: &Path, to: &Path) -> Result<(), Broken> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.metadata()?.is_dir() {
            true => copy_all(&entry.path(), &target)?,
            false => drop(fs::copy(entry.path(), target)?),
        }
    }
    Ok(())
}

impl fmt::Display for DamageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |counts: &BTreeMap<String, u64>| {
            let each = counts.iter().map(|(what, count)| format!("{what} {count}"));
            format!(
                "{} [{}]",
                counts.values().sum::<u64>(),
                each.collect::<Vec<_>>().join(", ")
            )
        };
        write!(
            f,
            "{} damages: {} unharmed; not opened {}; refused {}; earlier state {}",
            self.damages,
            self.unharmed,
            list(&self.not_opened),
            list(&self.refused),
            list(&self.lost),
        )
    }
}
