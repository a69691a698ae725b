//! A process that is killed while it checks what it computes: what it told to be a lie is in the ledger, and nobody is served it,
//! nor what was made from it.
//!
//! Lies name the handle that they were made through: so a lie that was stored is told from one that is made anew.
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use conformance::UriFixture;
use conformance::proof::{Ask, Family, Moment, Upkeep, UpkeepArgs, lies_in, with_liars};
use deriva::{Bytes, CAddr, Cutoff, Deriva, Determinism, ErrorKind, Result};
use deriva_backends::failpoints;
use deriva_testkit::SplitMix64;
use rstest::rstest;

/// Where a commit comes by.
const PLACES: [&str; 4] = [
    failpoints::COMMIT_DECIDED,
    failpoints::ENGINE_WRITTEN,
    failpoints::COMMIT_APPLIED,
    failpoints::COMMIT_ANSWERED,
];
const KILLS: u64 = 36;
/// Of these, every Nth comes before anybody looks at what the one before left.
const UNSEEN: u64 = 4;
/// Families that a round asks for.
const ASKED: u64 = 3;

#[rstest]
#[case("sled", "")]
#[case("redb", "")]
#[cfg_attr(feature = "rocksdb", case("rocksdb", ""))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_told_to_be_a_lie_is_served_to_nobody(
    #[case] scheme: &str,
    #[case] options: &str,
) {
    let seed = std::env::var("DERIVA_SEED").map_or(13, |seed| seed.parse().unwrap());
    let fixture = UriFixture::new(scheme, options);
    let mut random = SplitMix64::new(seed);
    let mut killed = Killed::default();
    let mut died = 0;
    for kill in 0..KILLS {
        let when = format!("seed {seed}, kill {kill}");
        let args = UpkeepArgs {
            uri: fixture.uri(),
            work: Upkeep::Check,
            ..moment(kill, &mut random)
        };
        eprintln!("{when}: {:?}, {:?}", args.die_at, args.killed);
        if kill % UNSEEN != UNSEEN - 1 {
            killed.next_round(&fixture.uri(), &mut random).await;
        }
        let (is_dead, told) = args
            .dies_telling(Path::new(env!("CARGO_BIN_EXE_conformance")))
            .unwrap();
        died += u64::from(is_dead);
        killed.told.extend(told);
        if kill % UNSEEN != UNSEEN - 2 {
            killed.look(&fixture.uri(), &when).await;
        }
    }
    let told = killed.told.len();
    assert!(
        died > KILLS / 3 && told as u64 > KILLS / 3,
        "{died} kills, {told} told"
    );
}

/// Two of three are killed at a failpoint, the third from outside.
fn moment(kill: u64, random: &mut SplitMix64) -> UpkeepArgs {
    let (passes, lines) = (random.below(24), random.below(8) as usize);
    let delay = Duration::from_micros(random.below(4000));
    let at_failpoint = !kill.is_multiple_of(3);
    UpkeepArgs {
        uri: String::new(),
        work: Upkeep::Check,
        die_at: at_failpoint.then(|| PLACES[(kill % 4) as usize].to_owned()),
        passes,
        killed: (!at_failpoint).then_some(Moment { lines, delay }),
    }
}

/// All that processes were killed at, and what they told.
#[derive(Default)]
struct Killed {
    rounds: u64,
    families: Vec<Family>,
    told: BTreeSet<CAddr>,
}

impl Killed {
    /// Adds what the next process is to ask for. Some of it is there already, computed without checks.
    async fn next_round(&mut self, uri: &str, random: &mut SplitMix64) {
        let deriva = open(uri, "planted").await;
        for (root, _) in deriva.roots().await.unwrap() {
            if root.starts_with("ask") {
                deriva.remove_root(&root).await.unwrap();
            }
        }
        let mut asks = Vec::new();
        for nth in 0..ASKED {
            let at = self.rounds * ASKED + nth;
            let family = Family::new(at).unwrap();
            deriva.put(family.leaf.bytes().clone()).await.unwrap();
            deriva.insert(&family.recipes).await.unwrap();
            if random.below(3) > 0 {
                deriva.get(family.above[0]).await.unwrap();
            }
            if random.below(3) > 0 {
                let same = deriva.materialize(family.lies[2]);
                same.cutoff(Cutoff::Always).await.unwrap();
            }
            asks.extend(asks_for(&family, at));
            self.families.push(family);
        }
        for nth in (1..asks.len()).rev() {
            asks.swap(nth, random.below(nth as u64 + 1) as usize);
        }
        for (nth, (ask, addr)) in asks.into_iter().enumerate() {
            deriva.set_root(&ask.root(nth), addr).await.unwrap();
        }
        deriva.flush().await.unwrap();
        self.rounds += 1;
    }

    /// Looks at what is left.
    async fn look(&self, uri: &str, when: &str) {
        let deriva = open(uri, "look").await;
        let ledger = deriva.ledger().await.unwrap();
        assert!(ledger.iter().all(|entry| entry.damage.is_none()), "{when}");
        let violations = ledger.iter().filter_map(|entry| entry.violation.as_ref());
        let entries: BTreeMap<CAddr, Option<CAddr>> = violations
            .inspect(|it| assert!(it.function.name().starts_with("lie."), "{when}: {it}"))
            .map(|it| (it.recipe, it.accepted))
            .collect();
        let lost: Vec<&CAddr> = (self.told.iter())
            .filter(|told| !entries.contains_key(told))
            .collect();
        assert!(
            lost.is_empty(),
            "{when}: told, and not in the ledger: {lost:?}"
        );
        for (nth, family) in self.families.iter().enumerate() {
            let found = (family.lies.iter()).filter_map(|lie| entries.get(lie));
            let accepted: Vec<Option<CAddr>> = found.copied().collect();
            let is_recent = nth + 2 * ASKED as usize >= self.families.len();
            let when = format!("{when}, family {nth}");
            if !accepted.is_empty() {
                let accepts = accepted.iter().any(Option::is_some);
                recorded(&deriva, family, accepts, &when).await;
                if is_recent {
                    serves_no_lie(&deriva, family, accepts, &when).await;
                    recorded(&deriva, family, accepts, &when).await;
                }
            }
            for (addr, expected) in &family.honest {
                let outputs = deriva.dag().outputs(&[*addr]).await.unwrap();
                for output in outputs.into_iter().flatten() {
                    assert_eq!(output.addr, CAddr::of_blob(expected), "{when}: {addr}");
                }
                if is_recent {
                    let got = deriva.get(*addr).await.unwrap();
                    assert_eq!(&got, expected, "{when}: {addr}");
                }
            }
        }
        deriva.flush().await.unwrap();
    }
}

/// Of what was found to lie nothing is recorded but what a quorum accepted, and what was made from that.
async fn recorded(deriva: &Deriva, family: &Family, accepts: bool, when: &str) {
    let suspects: Vec<CAddr> = family.suspects().collect();
    let outputs = deriva.dag().outputs(&suspects).await.unwrap();
    for (addr, output) in suspects.iter().zip(outputs) {
        let Some(output) = output else { continue };
        assert!(accepts, "{when}: {addr} is recorded");
        let blob = deriva.blobs().get(output.addr).await.unwrap().unwrap();
        let lies = lies_in(blob.bytes());
        assert!(lies.is_empty(), "{when}: {addr} is recorded: {lies:?}");
    }
}

/// Who asks without checks is refused, or answered with what is made anew; with Report that is a lie of this handle's.
async fn serves_no_lie(deriva: &Deriva, family: &Family, accepts: bool, when: &str) {
    for cutoff in [None, Some(Cutoff::Always), Some(Cutoff::Never)] {
        for addr in family.suspects() {
            let asked = match cutoff {
                None => deriva.get(addr).await,
                Some(cutoff) => bytes_of(deriva, addr, cutoff).await,
            };
            match asked {
                Err(error) => {
                    assert!(family.fails(), "{when}: {addr}: {error:?}");
                    assert_eq!(
                        error.kind(),
                        ErrorKind::Nondeterministic,
                        "{when}: {error:?}"
                    );
                }
                Ok(bytes) => {
                    assert!(accepts || !family.fails(), "{when}: {addr} is served");
                    for lie in lies_in(&bytes) {
                        let is_anew = !family.fails() && lie.starts_with("<lie look ");
                        assert!(is_anew, "{when}: {addr} is served: {lie}");
                    }
                }
            }
        }
    }
}

async fn bytes_of(deriva: &Deriva, addr: CAddr, cutoff: Cutoff) -> Result<Bytes> {
    let mut done = deriva.materialize(addr).cutoff(cutoff).await?;
    let stat = done.results.swap_remove(0)?;
    Ok(match done.held.swap_remove(0) {
        Some(blob) => blob.into_bytes(),
        None => {
            let stored = deriva.blobs().get(stat.addr).await?;
            stored.unwrap().into_bytes()
        }
    })
}

async fn open(uri: &str, mark: &'static str) -> Deriva {
    let builder = deriva::builder().store(uri).jobs(2);
    with_liars(builder, mark).unwrap().build().await.unwrap()
}

/// How a family is asked for: with checks under each name, and without them beside.
fn asks_for(family: &Family, nth: u64) -> Vec<(Ask, CAddr)> {
    let modes = ["dual", "sampled:1", "quorum:2/3"];
    let mode = match family.lies_once() {
        true => "quorum:2/3",
        // The liars have come round after twice as many.
        false => modes[(nth / (2 * ASKED) % 3) as usize],
    };
    let mode: Determinism = mode.parse().unwrap();
    let ask = |mode, cutoff, keep_going| Ask {
        mode,
        cutoff,
        keep_going,
    };
    let [first, second, third] = family.lies;
    let honest = family.honest[2].0;
    vec![
        (ask(mode, Cutoff::Never, false), second),
        (ask(mode, Cutoff::Never, true), first),
        (ask(mode, Cutoff::Auto, true), family.above[1]),
        (ask(mode, Cutoff::Always, false), honest),
        (ask(Determinism::Off, Cutoff::Never, false), third),
        (ask(Determinism::Off, Cutoff::Always, true), family.above[1]),
    ]
}
